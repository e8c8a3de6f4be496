"""How far a spectrum reaches around its centroid."""

from typing import final

import numpy as np
from jaxtyping import Float

from auscult.concepts.base import CONCEPTS
from auscult.concepts.framing import SpectralConcept


@final
@CONCEPTS.register("spread")
class Spread(SpectralConcept):
    """Standard deviation of frequency around the centroid, weighted by magnitude."""

    unit: str = "Hz"

    @staticmethod
    def measure(
        magnitudes: Float[np.ndarray, "batch bin"], hz: Float[np.ndarray, " bin"]
    ) -> Float[np.ndarray, " batch"]:
        """Of each spectrum."""
        shares = magnitudes.astype(np.float64)  # the difference below swallows float32's digits
        shares /= shares.sum(axis=1, keepdims=True)
        mean = shares @ hz
        return np.asarray(np.sqrt(np.maximum(shares @ np.square(hz) - np.square(mean), 0.0)))
