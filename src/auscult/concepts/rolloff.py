"""The frequency below which most of a spectrum lies."""

from typing import final

import numpy as np
from jaxtyping import Float

from auscult.concepts.base import CONCEPTS
from auscult.concepts.framing import SpectralConcept

_SHARE = 0.85


@final
@CONCEPTS.register("rolloff")
class Rolloff(SpectralConcept):
    """Lowest frequency below which 85 % of the magnitudes' sum lies."""

    unit: str = "Hz"

    @staticmethod
    def measure(
        magnitudes: Float[np.ndarray, "batch bin"], hz: Float[np.ndarray, " bin"]
    ) -> Float[np.ndarray, " batch"]:
        """Of each spectrum."""
        running = np.cumsum(magnitudes, axis=1, dtype=np.float64)
        return np.asarray(hz[(running >= _SHARE * running[:, -1:]).argmax(axis=1)])
