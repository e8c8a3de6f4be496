"""The tempo of a clip."""

from typing import Any, final

import numpy as np

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.core.audio import Audio
from auscult.core.optional import librosa_for
from auscult.core.timebase import TimeBase

_HOP_S = 0.01


@final
@CONCEPTS.register("tempo")
class Tempo(Concept):
    """Beats per minute of a clip, once for each of its frames, by librosa's beat tracker.

    Bias: half and double tempo are confused, and librosa prefers what is near 120; clips should
    hold at least eight beats. A clip without onsets has no tempo.
    """

    unit: str = "beats per minute"
    n_bins: int = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """The clip's tempo, once a frame."""
        n = len(hops(audio, time)) - 1
        tempo, beats = beat_times(audio)
        if len(beats) < 2:
            return Labels(np.full(n, np.nan), np.zeros(n))
        return Labels(np.full(n, tempo), np.ones(n))


def beat_times(audio: Audio) -> tuple[float, Any]:
    """Tempo in beats per minute, and the times of beats in seconds, by librosa."""
    librosa = librosa_for("tempo and beats")
    samples = audio.samples.mean(0)
    if not np.any(samples):
        return float("nan"), np.zeros(0)
    hop = max(1, round(_HOP_S * audio.sample_rate))
    tempo, beats = librosa.beat.beat_track(
        y=samples, sr=audio.sample_rate, hop_length=hop, units="frames", trim=False
    )
    at = np.asarray(beats, dtype=np.float64) * hop / audio.sample_rate
    return float(np.atleast_1d(tempo)[0]), at
