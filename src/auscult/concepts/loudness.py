"""Loudness as the published experiment has it: root mean square of a frame."""

from typing import Any, ClassVar, Literal, final

import numpy as np

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

_FLOOR = 1e-12  # power: -120 dB


class LoudnessParams(Config):
    """Settings of loudness."""

    scale: Literal["db", "amplitude"] = "db"
    """In dB re full scale; or the root mean square itself, as librosa gives it and as it seems to
    have been published: bins of equal width are then crowded at the quiet end."""


@final
@CONCEPTS.register("loudness")
class Loudness(Concept):
    """Root-mean-square level of each frame's hop, all channels together (METHODS C-4)."""

    Params: ClassVar[type[Config]] = LoudnessParams
    unit: str = "dB re full scale"
    n_bins: int = 20

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        if self.params.scale == "amplitude":
            self.unit = "of full scale"

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; silence is -120 dB."""
        edges = hops(audio, time)
        power = np.square(audio.samples, dtype=np.float64).mean(0)
        sums = np.concatenate([[0.0], np.cumsum(power)])
        counts = np.maximum(np.diff(edges), 1)
        means = np.maximum((sums[edges[1:]] - sums[edges[:-1]]) / counts, 0.0)
        if self.params.scale == "amplitude":
            return Labels(np.sqrt(means), np.ones(len(means)))
        return Labels(10 * np.log10(np.maximum(means, _FLOOR)), np.ones(len(means)))
