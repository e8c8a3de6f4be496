"""Loudness as the published experiment has it: root mean square of a frame, in dB."""

from typing import ClassVar

import numpy as np

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase

_FLOOR = 1e-12  # power: -120 dB


@CONCEPTS.register("loudness")
class Loudness(Concept):
    """Root-mean-square level of each frame's hop, all channels together (METHODS C-4)."""

    unit: ClassVar[str] = "dB re full scale"
    n_bins: ClassVar[int] = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; silence is -120 dB."""
        edges = hops(audio, time)
        power = np.square(audio.samples, dtype=np.float64).mean(0)
        sums = np.concatenate([[0.0], np.cumsum(power)])
        counts = np.maximum(np.diff(edges), 1)
        means = (sums[edges[1:]] - sums[edges[:-1]]) / counts
        decibels = 10 * np.log10(np.maximum(means, _FLOOR))
        return Labels(decibels, np.ones(len(decibels)))
