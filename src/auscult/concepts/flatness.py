"""How much like noise a spectrum is, and how little like tones."""

from typing import final

import numpy as np
from jaxtyping import Float

from auscult.concepts.base import CONCEPTS
from auscult.concepts.framing import SpectralConcept

_LEAST = 1e-10


@final
@CONCEPTS.register("flatness")
class Flatness(SpectralConcept):
    """Geometric over arithmetic mean of the power spectrum, in dB: 0 flat, very negative tonal.

    Bias: an average of one spectrum of white noise is near -2.5 dB (exp(-0.577)), not 0; power
    below 1e-10 counts as 1e-10, as in librosa.
    """

    unit: str = "dB"

    @staticmethod
    def measure(
        magnitudes: Float[np.ndarray, "batch bin"],
        hz: Float[np.ndarray, " bin"],  # noqa: ARG004
    ) -> Float[np.ndarray, " batch"]:
        """Of each spectrum."""
        power = np.maximum(np.square(magnitudes, dtype=np.float64), _LEAST)
        return np.asarray(10 * (np.log10(power).mean(axis=1) - np.log10(power.mean(axis=1))))
