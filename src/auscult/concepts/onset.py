"""Whether something begins in a frame."""

from typing import Any, ClassVar, final

import numpy as np
from pydantic import Field

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.optional import librosa_for
from auscult.core.timebase import TimeBase

_HOP_S = 0.005


class OnsetParams(Config):
    """Settings of onsets."""

    tolerance_s: float = Field(0.02, ge=0)
    """A frame also counts when an onset lies so near its hop."""


@final
@CONCEPTS.register("onset")
class Onset(Concept):
    """Two classes: whether an onset lies in a frame's hop, or within 20 ms of it.

    Onsets are librosa's: peaks of the rise of the mel spectrum, every 5 ms. Bias: slow attacks are
    found late or not at all. Onsets are rare: read balanced accuracy.
    """

    Params: ClassVar[type[Config]] = OnsetParams
    unit: str = ""
    n_bins: int = 2
    classes: tuple[str, ...] = ("none", "onset")

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame."""
        edges = hops(audio, time)
        at = onset_times(audio)
        reach = self.params.tolerance_s * audio.sample_rate
        first = np.searchsorted(at * audio.sample_rate, edges[:-1] - reach)
        last = np.searchsorted(at * audio.sample_rate, edges[1:] + reach)
        values = (last > first).astype(np.float64)
        return Labels(values, np.ones(len(values)), self.classes)


def onset_times(audio: Audio) -> Any:
    """Times of onsets in seconds, ascending."""
    librosa = librosa_for("onsets")
    hop = max(1, round(_HOP_S * audio.sample_rate))
    samples = audio.samples.mean(0)
    if not np.any(samples):
        return np.zeros(0)
    frames = librosa.onset.onset_detect(
        y=samples, sr=audio.sample_rate, hop_length=hop, units="frames"
    )
    return np.asarray(frames, dtype=np.float64) * hop / audio.sample_rate
