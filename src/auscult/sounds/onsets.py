"""Onsets: transients that decay, at times known to the sample."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from auscult.core.audio import Audio
from auscult.core.errors import ConfigError
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.synthetic import (
    Labels,
    Range,
    StimulusParams,
    as_list,
    below_nyquist,
    fade,
    from_list,
    levelled,
    listed,
    log_uniform,
    rendered,
    times,
)

_LEAD_S = 0.02


@SOUNDS.register("onsets")
class Onsets(SoundSource):
    """Bursts in silence that decay from their first sample: white noise, or a sine.

    Labels: ``kind``, ``n_onsets``, ``decay_s`` (to 1 / e), ``f_hz`` (of tones, else 0) and the list
    ``onset_s``: the time of each event's first sample, an exact multiple of the sample period.
    """

    class Params(StimulusParams):
        """Which bursts."""

        n_onsets: tuple[int, int] = (1, 6)
        """Least and most onsets; fewer where they do not fit."""
        least_gap_s: float = Field(0.15, gt=0)
        """Least time between two onsets, and after the last one."""
        kinds: tuple[Literal["burst", "tone"], ...] = Field(("burst", "tone"), min_length=1)
        """Taken in turn."""
        decay_s: Range = (0.01, 0.03)
        """Time in which amplitude falls to 1 / e."""
        f_hz: Range = (500.0, 4_000.0)
        """Frequency of tones; a low one needs a quarter of its period to be heard."""

        @model_validator(mode="after")
        def _events_fit(self) -> "Onsets.Params":
            if not 1 <= self.n_onsets[0] <= self.n_onsets[1]:
                raise ConfigError(f"n_onsets needs 1 ≤ least ≤ most, got {list(self.n_onsets)}")
            if self.decay_s[0] <= 0:
                raise ConfigError("decay_s must be above 0")
            if self.seconds < _LEAD_S + self.least_gap_s:
                raise ConfigError(
                    f"{self.seconds} s are too short for a gap of {self.least_gap_s} s"
                )
            return self

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a train of bursts."""
        return rendered(self, recording, sample_rate, self._render)

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:
        params = self.params
        room_s, gap_s = params.seconds - _LEAD_S, params.least_gap_s
        # Each onset takes a gap; what they leave is free.
        most = min(params.n_onsets[1], int(room_s / gap_s))
        n = int(rng.integers(min(params.n_onsets[0], most), most + 1))
        free_s = np.sort(rng.uniform(0, room_s - n * gap_s, n))
        starts = np.round((_LEAD_S + free_s + gap_s * np.arange(n)) * params.sample_rate)
        kind = params.kinds[index % len(params.kinds)]
        f_hz = log_uniform(rng, below_nyquist(params.f_hz, params.sample_rate))
        return {
            "kind": kind,
            "n_onsets": float(n),
            "decay_s": rng.uniform(*params.decay_s),
            "f_hz": f_hz if kind == "tone" else 0.0,
            "onset_s": as_list(starts / params.sample_rate),
        }

    def _render(
        self, labels: Mapping[str, str | float], rng: np.random.Generator
    ) -> Float[np.ndarray, " time"]:
        n_samples, sample_rate = self.params.n_samples, self.params.sample_rate
        t = times(n_samples, sample_rate)
        decay = np.exp(-t / float(labels["decay_s"]))
        train = np.zeros(n_samples)
        for onset_s in from_list(labels["onset_s"]):
            start = round(onset_s * sample_rate)
            event = np.sin(2 * np.pi * float(labels["f_hz"]) * t)
            if labels["kind"] == "burst":
                event = rng.standard_normal(n_samples)
            train[start:] += (event * decay)[: n_samples - start]
        return levelled(train * fade(n_samples, sample_rate), self.params.level_db)
