"""Brightness as the published experiment has it: the spectral centroid of a frame."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase


class CentroidParams(Config):
    """Settings of the spectral centroid."""

    window_s: float = Field(0.046, gt=0)
    """Length of the Hann window around each frame; 0.046 s is 2,048 samples at 44.1 kHz."""


@CONCEPTS.register("centroid")
class Centroid(Concept):
    """Mean frequency of each frame, weighted by magnitude (METHODS C-4)."""

    Params: ClassVar[type[Config]] = CentroidParams
    unit: ClassVar[str] = "Hz"
    n_bins: ClassVar[int] = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; silence has no centroid."""
        edges = hops(audio, time)
        n = max(16, round(self.params.window_s * audio.sample_rate))
        padded = np.pad(audio.samples.mean(0).astype(np.float64), (n // 2, n))
        centres = (edges[:-1] + edges[1:]) // 2
        hz = np.fft.rfftfreq(n, 1 / audio.sample_rate)
        window = np.hanning(n)
        values = np.empty(len(centres))
        for start in range(0, len(centres), 1024):
            some = centres[start : start + 1024]
            pieces = padded[some[:, None] + np.arange(n)] * window
            magnitude = np.abs(np.fft.rfft(pieces, axis=1))
            total = magnitude.sum(1)
            silent = total <= 1e-9 * n
            centroid = (magnitude @ hz) / np.where(silent, 1.0, total)
            values[start : start + 1024] = np.where(silent, np.nan, centroid)
        return Labels(values, np.isfinite(values).astype(np.float64))
