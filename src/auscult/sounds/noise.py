"""Noise without any structure but its spectrum: white, pink, and bands."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.core.audio import Audio
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.synthetic import (
    HIGHEST,
    Labels,
    Range,
    StimulusParams,
    below_nyquist,
    fade,
    levelled,
    listed,
    log_uniform,
    rendered,
)

PINK_FROM_HZ = 20.0
"""Pink noise falls by 3 dB per octave from here; below, its spectrum is flat, so that it stays
finite."""


@SOUNDS.register("noise")
class Noise(SoundSource):
    """Gaussian noise. Labels: ``colour``, ``low_hz`` and ``high_hz`` (edges of the band).

    The spectrum is drawn, one complex Gaussian number per bin times the wanted magnitude, and
    transformed.
    """

    class Params(StimulusParams):
        """Which noises."""

        colours: tuple[Literal["white", "pink", "band"], ...] = Field(
            ("white", "pink", "band"), min_length=1
        )
        """Taken in turn."""
        centre_hz: Range = (100.0, 5_000.0)
        """Geometric centre of a band, drawn uniformly in its logarithm."""
        width_octaves: Range = (0.3, 1.5)
        """Width of a band."""

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a noise."""
        return rendered(self, recording, sample_rate, self._render)

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:
        params = self.params
        colour = params.colours[index % len(params.colours)]
        centre = log_uniform(rng, below_nyquist(params.centre_hz, params.sample_rate))
        half = 2 ** (rng.uniform(*params.width_octaves) / 2)
        low, high = 0.0, params.sample_rate / 2
        if colour == "band":
            low, high = centre / half, min(centre * half, HIGHEST * params.sample_rate)
        return {"colour": colour, "low_hz": low, "high_hz": high}

    def _render(
        self, labels: Mapping[str, str | float], rng: np.random.Generator
    ) -> Float[np.ndarray, " time"]:
        n_samples, sample_rate = self.params.n_samples, self.params.sample_rate
        # At least a second, so that a narrow band holds some bins; a part of noise is noise.
        n_drawn = max(n_samples, sample_rate)
        f_hz = np.fft.rfftfreq(n_drawn, 1 / sample_rate)
        low, high = float(labels["low_hz"]), float(labels["high_hz"])
        magnitude = ((f_hz >= low) & (f_hz <= high) & (f_hz > 0)).astype(np.float64)
        if labels["colour"] == "pink":
            magnitude /= np.sqrt(np.maximum(f_hz, PINK_FROM_HZ))
        spectrum = rng.standard_normal(len(f_hz)) + 1j * rng.standard_normal(len(f_hz))
        samples = np.fft.irfft(spectrum * magnitude, n_drawn)[:n_samples]
        return levelled(samples * fade(n_samples, sample_rate), self.params.level_db)
