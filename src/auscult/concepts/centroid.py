"""Brightness as the published experiment has it: the spectral centroid of a frame."""

from typing import final

import numpy as np
from jaxtyping import Float

from auscult.concepts.base import CONCEPTS
from auscult.concepts.framing import SpectralConcept


@final
@CONCEPTS.register("centroid")
class Centroid(SpectralConcept):
    """Mean frequency, weighted by magnitude (METHODS C-4)."""

    unit: str = "Hz"

    @staticmethod
    def measure(
        magnitudes: Float[np.ndarray, "batch bin"], hz: Float[np.ndarray, " bin"]
    ) -> Float[np.ndarray, " batch"]:
        """Of each spectrum."""
        return np.asarray(magnitudes @ hz / magnitudes.sum(axis=1))
