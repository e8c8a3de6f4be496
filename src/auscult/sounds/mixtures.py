"""Mixtures of a few tones whose amplitudes move independently, along exactly known envelopes."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from auscult.core.audio import Audio
from auscult.core.errors import ConfigError
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.synthetic import (
    PEAK,
    Labels,
    Range,
    StimulusParams,
    as_list,
    below_nyquist,
    fade,
    from_list,
    listed,
    rendered,
    times,
)


def envelopes(
    labels: Mapping[str, str | float], n_samples: int, sample_rate: int
) -> Float[np.ndarray, "partial time"]:
    """Amplitude of each partial of a mixture at each sample, fades included.

    Before the fades it is a (1 + m sin(2π r t + φ)) / (1 + m) with the labels a = ``amplitude``,
    m = ``am_depth``, r = ``am_hz`` and φ = ``am_phase_rad``.
    """
    t = times(n_samples, sample_rate)
    column = {name: from_list(labels[name])[:, None] for name in _COLUMNS}
    swing = np.sin(2 * np.pi * column["am_hz"] * t + column["am_phase_rad"])
    depth = column["am_depth"]
    envelope = column["amplitude"] * (1 + depth * swing) / (1 + depth)
    return np.asarray(envelope * fade(n_samples, sample_rate))


_COLUMNS = ("f_hz", "phase_rad", "amplitude", "am_hz", "am_depth", "am_phase_rad")


def _drawn(
    rng: np.random.Generator, ends: tuple[float, float], n: int
) -> Float[np.ndarray, " partial"]:
    return rng.uniform(ends[0], ends[1], n)


@SOUNDS.register("mixtures")
class Mixtures(SoundSource):
    """Several sines at once, each with an amplitude modulation of its own.

    Labels: ``n_tones``, and a list with one number per tone of ``f_hz``, ``phase_rad``,
    ``amplitude``, ``am_hz``, ``am_depth`` and ``am_phase_rad``; :func:`envelopes` turns them into
    the exact envelopes.
    """

    class Params(StimulusParams):
        """Which mixtures."""

        n_tones: tuple[int, int] = (2, 6)
        """Least and most tones."""
        f_hz: Range = (80.0, 4_000.0)
        """Frequencies, spread over the logarithm."""
        least_ratio: float = Field(1.2, gt=1)
        """Neighbouring tones are at least so far apart in frequency."""
        am_hz: Range = (1.0, 8.0)
        """Rates of the modulations."""
        am_depth: Range = (0.3, 1.0)
        """Depths of the modulations; (0, 0) for steady tones, 1 reaches silence."""

        @model_validator(mode="after")
        def _tones_fit(self) -> "Mixtures.Params":
            least, most = self.n_tones
            if not 1 <= least <= most:
                raise ConfigError(f"n_tones needs 1 ≤ least ≤ most, got {list(self.n_tones)}")
            if self.am_depth[1] > 1:
                raise ConfigError(f"am_depth is at most 1, got {self.am_depth[1]}")
            low, high = below_nyquist(self.f_hz, self.sample_rate)
            if low * self.least_ratio ** (most - 1) > high:
                wanted = f"{most} tones a factor {self.least_ratio} apart"
                raise ConfigError(f"{wanted} do not fit {low:g} to {high:g} Hz")
            return self

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a mixture."""
        return rendered(self, recording, sample_rate, self._render)

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:  # noqa: ARG002
        params = self.params
        n = int(rng.integers(params.n_tones[0], params.n_tones[1] + 1))
        low, high = np.log(below_nyquist(params.f_hz, params.sample_rate))
        gap = np.log(params.least_ratio)
        # Sorted uniform numbers on what the gaps leave, then the gaps put between them.
        free = np.sort(rng.uniform(0, high - low - (n - 1) * gap, n))
        depth = _drawn(rng, params.am_depth, n)
        amplitude = rng.uniform(0.5, 1.0, n)
        power = np.sum((amplitude / (1 + depth)) ** 2 * (1 + depth**2 / 2) / 2)
        gain = min(10 ** (params.level_db / 20) / power**0.5, PEAK / float(amplitude.sum()))
        return {
            "n_tones": float(n),
            "f_hz": as_list(np.exp(low + free + gap * np.arange(n))),
            "phase_rad": as_list(rng.uniform(0, 2 * np.pi, n)),
            "amplitude": as_list(amplitude * gain),
            "am_hz": as_list(_drawn(rng, params.am_hz, n)),
            "am_depth": as_list(depth),
            "am_phase_rad": as_list(rng.uniform(0, 2 * np.pi, n)),
        }

    def _render(
        self,
        labels: Mapping[str, str | float],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Float[np.ndarray, " time"]:
        n_samples, sample_rate = self.params.n_samples, self.params.sample_rate
        t = times(n_samples, sample_rate)
        phase = 2 * np.pi * from_list(labels["f_hz"])[:, None] * t
        partials = np.sin(phase + from_list(labels["phase_rad"])[:, None])
        return np.asarray(np.sum(envelopes(labels, n_samples, sample_rate) * partials, axis=0))
