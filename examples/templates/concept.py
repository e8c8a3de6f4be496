"""Template: a concept. Copy to src/auscult/concepts/<name>.py and change what is marked."""

import numpy as np

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase


@CONCEPTS.register("example-concept")  # CHANGE: the name that users write
class ExampleConcept(Concept):
    """Peak of each frame's hop. One sentence with unit, source and bias."""

    unit: str = "of full scale"
    n_bins: int = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; NaN where there is no value."""
        edges = hops(audio, time)
        peaks = np.maximum.reduceat(np.abs(audio.samples).max(0), edges[:-1]).astype(np.float64)
        return Labels(peaks, np.ones(len(peaks)))
