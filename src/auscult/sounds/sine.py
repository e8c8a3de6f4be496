"""Pure sines at stated frequencies: the simplest trajectory a model can take."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from auscult.core.audio import Audio
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.synthetic import (
    Labels,
    StimulusParams,
    below_nyquist,
    fade,
    levelled,
    listed,
    midi_of,
    rendered,
    times,
)


@SOUNDS.register("sine")
class Sine(SoundSource):
    """Pure sines; the phase is drawn. Labels: ``f0_hz``, ``pitch_midi``, ``phase_rad``."""

    class Params(StimulusParams):
        """Which sines."""

        f_hz: tuple[float, ...] = Field((440.0,), min_length=1)
        """Frequencies, taken in turn."""

        @model_validator(mode="after")
        def _all_below_nyquist(self) -> "Sine.Params":
            for f_hz in self.f_hz:
                below_nyquist((f_hz, f_hz), self.sample_rate)
            return self

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a sine."""
        return rendered(self, recording, sample_rate, self._render)

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:
        f_hz = self.params.f_hz[index % len(self.params.f_hz)]
        phase = rng.uniform(0, 2 * np.pi)
        return {"f0_hz": f_hz, "pitch_midi": midi_of(f_hz), "phase_rad": phase}

    def _render(
        self,
        labels: Mapping[str, str | float],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Float[np.ndarray, " time"]:
        n_samples, sample_rate = self.params.n_samples, self.params.sample_rate
        phase = 2 * np.pi * float(labels["f0_hz"]) * times(n_samples, sample_rate)
        tone = np.sin(phase + float(labels["phase_rad"])) * fade(n_samples, sample_rate)
        return levelled(tone, self.params.level_db)
