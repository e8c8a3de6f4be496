"""Constant sounds: what a model makes of no sound at all, and of a direct current."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from auscult.core.audio import Audio
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.synthetic import PEAK, Labels, Range, StimulusParams, listed, rendered


@SOUNDS.register("flat")
class Flat(SoundSource):
    """Constants of either sign, without fades, so that nothing changes. Label: ``value``.

    After a causal layer's span, generators are exactly zero; what is found before comes from the
    edge.
    """

    class Params(StimulusParams):
        """Which constants."""

        below_db: Range = (0.0, 20.0)
        """How far the magnitude lies below ``level_db``, in dB."""

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a constant."""
        return rendered(self, recording, sample_rate, self._render)

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:
        magnitude = 10 ** ((self.params.level_db - rng.uniform(*self.params.below_db)) / 20)
        return {"value": min(magnitude, PEAK) * (1 if index % 2 == 0 else -1)}

    def _render(
        self,
        labels: Mapping[str, str | float],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Float[np.ndarray, " time"]:
        return np.full(self.params.n_samples, float(labels["value"]))
