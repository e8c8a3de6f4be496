"""Where in its beat a frame lies."""

from typing import final

import numpy as np

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.concepts.tempo import beat_times
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase

_N = 8


@final
@CONCEPTS.register("beat-phase")
class BeatPhase(Concept):
    """Eighth of the way from one beat to the next, by librosa's beat tracker.

    Classes without an order, since the last eighth is next to the first. Frames before the first
    and after the last beat have no value.
    """

    unit: str = ""
    n_bins: int = _N
    classes: tuple[str, ...] = tuple(f"{i}/{_N}" for i in range(_N))

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame."""
        edges = hops(audio, time)
        middles = (edges[:-1] + edges[1:]) / 2 / audio.sample_rate
        beats = beat_times(audio)[1]
        if len(beats) < 2:
            return Labels(np.full(len(middles), np.nan), np.zeros(len(middles)), self.classes)
        phase = np.interp(middles, beats, np.arange(len(beats)), np.nan, np.nan) % 1
        values = np.floor(phase * _N)
        return Labels(values, np.isfinite(values).astype(np.float64), self.classes)
