"""Whether the chord that sounds is major, minor, diminished or another."""

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from auscult.concepts.base import CONCEPTS, Concept, Labels
from auscult.concepts.chroma import ChromaParams, chroma
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

_SEMITONES = {
    "major": (0, 4, 7),
    "minor": (0, 3, 7),
    "diminished": (0, 3, 6),
    "augmented": (0, 4, 8),
    "dominant7": (0, 4, 7, 10),
    "major7": (0, 4, 7, 11),
    "minor7": (0, 3, 7, 10),
}


class ChordQualityParams(ChromaParams):
    """Settings of chord quality."""

    least: float = Field(0.75, ge=0, le=1)
    """Least likeness of a frame to the best chord; below it there is none."""


@final
@CONCEPTS.register("chord-quality")
class ChordQuality(Concept):
    """Quality of the chord whose pitch classes are most like a frame's, whatever its root.

    Likeness is the cosine between square roots of energies and a template of equal notes; it is the
    confidence. Bias: sevenths are heard as triads when one note is weak, and minor sevenths share
    all their notes with major sixths, which are not among the chords.
    """

    Params: ClassVar[type[Config]] = ChordQualityParams
    unit: str = ""
    n_bins: int = 7
    classes: tuple[str, ...] = tuple(_SEMITONES)

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; what is like no chord has no value."""
        energies = np.sqrt(chroma(audio, time, self.params.window_s))
        lengths = np.linalg.norm(energies, axis=1, keepdims=True)
        shapes = energies / np.where(lengths > 0, lengths, 1.0)
        templates = np.zeros((len(_SEMITONES), 12, 12))
        for quality, steps in enumerate(_SEMITONES.values()):
            for root in range(12):
                templates[quality, root, [(root + step) % 12 for step in steps]] = (
                    len(steps) ** -0.5
                )
        likeness = np.einsum("fc,qrc->fqr", shapes, templates).max(axis=2)
        best = likeness.max(axis=1)
        values = likeness.argmax(axis=1).astype(np.float64)
        return Labels(np.where(best >= self.params.least, values, np.nan), best, self.classes)
