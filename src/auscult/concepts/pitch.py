"""Pitch as the published experiment has it: semitones, 66 classes."""

from typing import Any, ClassVar, Literal, final

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.concepts.framing import Grid, grid, loud
from auscult.concepts.pitch_estimators import ESTIMATORS, VOICED_FROM, EstimatorName, PitchTrack
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

N_CLASSES = 66
_HIGHEST = 95


class PitchParams(Config):
    """Settings of pitch."""

    estimator: EstimatorName = "swift-f0"
    """Which estimator; its labels bound what a probe can reach."""
    unvoiced: Literal["class", "left out"] = "class"
    """MIDI 31 to 95 and a class for unvoiced frames; or MIDI 30 to 95 and voiced frames only."""
    confidence: float | None = Field(None, ge=0, le=1)
    """Least confidence of a voiced frame; none: the estimator's own."""
    level_db: float = -60.0
    """Least level of a voiced frame in dB re full scale."""


@final
@CONCEPTS.register("pitch")
class Pitch(Concept):
    """MIDI number of the fundamental (A4 = 69 = 440 Hz); NaN where unvoiced (METHODS C-4).

    A frame takes the median of what the estimator says within its hop, or the nearest where its
    hop is shorter than the estimator's. It is voiced when the estimator is sure enough and the
    sound loud enough. Bias: of a mixture one of the pitches; low pure tones are missed.
    """

    Params: ClassVar[type[Config]] = PitchParams
    unit: str = "semitones"
    n_bins: int = N_CLASSES

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        has_class = self.params.unvoiced == "class"
        lowest = _HIGHEST - N_CLASSES + 1 + has_class
        self.edges = tuple(lowest - 0.5 + i for i in range(_HIGHEST - lowest + 2))
        self.absent = "unvoiced" if has_class else None

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame."""
        name: EstimatorName = self.params.estimator
        track = ESTIMATORS[name](audio.samples.mean(0), audio.sample_rate)
        points = grid(audio, time)
        midi, sure = _within_hops(track, hops(audio, time), audio.sample_rate)
        least = VOICED_FROM[name] if self.params.confidence is None else self.params.confidence
        voiced = (sure >= least) & _any_loud(audio, points, self.params.level_db)
        return Labels(np.where(voiced, midi, np.nan), sure)


def _any_loud(audio: Audio, points: Grid, level_db: float) -> np.ndarray:
    heard = loud(audio, points, 0.02, level_db)
    return np.asarray(heard[points.points].any(axis=1))


def _within_hops(
    track: PitchTrack, edges: Int[np.ndarray, " edge"], sample_rate: int
) -> tuple[Float[np.ndarray, " frame"], Float[np.ndarray, " frame"]]:
    """Median pitch and confidence of the estimates within each hop, or the nearest estimate's."""
    midi = 69 + 12 * np.log2(track.hz / 440)
    at = track.times_s * sample_rate
    first, last = np.searchsorted(at, edges[:-1]), np.searchsorted(at, edges[1:])
    middles = (edges[:-1] + edges[1:]) / 2
    nearest = _nearest(at, middles)
    pitch, sure = midi[nearest], track.confidence[nearest]
    for i in np.flatnonzero(last - first > 1):
        some = slice(first[i], last[i])
        pitch[i], sure[i] = np.median(midi[some]), np.median(track.confidence[some])
    return pitch, sure


def _nearest(
    sorted_values: Float[np.ndarray, " n"], wanted: Float[np.ndarray, " m"]
) -> Int[np.ndarray, " m"]:
    right = np.clip(np.searchsorted(sorted_values, wanted), 1, max(len(sorted_values) - 1, 1))
    right = np.minimum(right, len(sorted_values) - 1)
    left = np.maximum(right - 1, 0)
    closer = np.abs(sorted_values[left] - wanted) <= np.abs(sorted_values[right] - wanted)
    return np.asarray(np.where(closer, left, right))
