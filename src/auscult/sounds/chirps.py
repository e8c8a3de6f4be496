"""Sweeps: one partial whose frequency is known at every instant."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.core.audio import Audio
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.synthetic import (
    Labels,
    Range,
    StimulusParams,
    below_nyquist,
    fade,
    levelled,
    listed,
    log_uniform,
    rendered,
    times,
)


def chirp_frequency(
    labels: Mapping[str, str | float], seconds: Float[np.ndarray, " time"], duration_s: float
) -> Float[np.ndarray, " time"]:
    """Frequency of a chirp in Hz at times in seconds from its start, exactly."""
    start, stop = float(labels["f_start_hz"]), float(labels["f_stop_hz"])
    if labels["shape"] == "linear":
        return start + (stop - start) * seconds / duration_s
    return start * (stop / start) ** (seconds / duration_s)


@SOUNDS.register("chirps")
class Chirps(SoundSource):
    """Sweeps up and down. Labels: ``f_start_hz``, ``f_stop_hz``, ``shape``, ``phase_rad``.

    ``linear`` moves by as many hertz, ``exponential`` by as many octaves each second.
    """

    class Params(StimulusParams):
        """Which sweeps."""

        f_hz: Range = (40.0, 8_000.0)
        """Where they start and stop, both drawn uniformly in the logarithm."""
        shapes: tuple[Literal["linear", "exponential"], ...] = Field(
            ("linear", "exponential"), min_length=1
        )
        """Taken in turn."""

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a sweep."""
        return rendered(self, recording, sample_rate, self._render)

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:
        ends = below_nyquist(self.params.f_hz, self.params.sample_rate)
        return {
            "f_start_hz": log_uniform(rng, ends),
            "f_stop_hz": log_uniform(rng, ends),
            "shape": self.params.shapes[index % len(self.params.shapes)],
            "phase_rad": rng.uniform(0, 2 * np.pi),
        }

    def _render(
        self,
        labels: Mapping[str, str | float],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Float[np.ndarray, " time"]:
        n_samples, sample_rate = self.params.n_samples, self.params.sample_rate
        duration_s = n_samples / sample_rate
        share = times(n_samples, sample_rate) / duration_s
        start, stop = float(labels["f_start_hz"]), float(labels["f_stop_hz"])
        # Cycles are the integral of frequency over time.
        if labels["shape"] == "linear" or abs(np.log(stop / start)) < 1e-9:
            cycles = duration_s * (start * share + (stop - start) * share**2 / 2)
        else:
            slope = np.log(stop / start)
            cycles = duration_s * start * np.expm1(slope * share) / slope
        sweep = np.sin(2 * np.pi * cycles + float(labels["phase_rad"]))
        return levelled(sweep * fade(n_samples, sample_rate), self.params.level_db)
