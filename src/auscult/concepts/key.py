"""The key of a clip."""

from typing import ClassVar, final

import numpy as np

from auscult.concepts.base import CONCEPTS, Concept, Labels
from auscult.concepts.chroma import PITCH_CLASSES, ChromaParams, chroma
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@final
@CONCEPTS.register("key")
class Key(Concept):
    """One of 24 keys for all frames of a clip: the profile that its pitch classes correlate with.

    Profiles of Krumhansl & Kessler (1982); the confidence is the correlation, at least 0. Bias:
    a key is confused with its relative, its parallel and its fifths; clips of a few seconds seldom
    tell.
    """

    Params: ClassVar[type[Config]] = ChromaParams
    unit: str = ""
    n_bins: int = 24
    classes: tuple[str, ...] = tuple(
        f"{name} {mode}" for mode in ("major", "minor") for name in PITCH_CLASSES
    )

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """The clip's key, once a frame; silence has none."""
        energies = np.sqrt(chroma(audio, time, self.params.window_s))
        mean = energies.mean(axis=0)
        n = len(energies)
        if not mean.any() or np.ptp(mean) == 0:
            return Labels(np.full(n, np.nan), np.zeros(n), self.classes)
        profiles = [np.roll(p, root) for p in (_MAJOR, _MINOR) for root in range(12)]
        fits = [float(np.corrcoef(mean, profile)[0, 1]) for profile in profiles]
        best = int(np.argmax(fits))
        return Labels(
            np.full(n, float(best)), np.full(n, float(np.clip(fits[best], 0, 1))), self.classes
        )
