"""The ear's weighting of frequencies, as broadcasters agreed on it (ITU-R BS.1770-5)."""

import numpy as np
from jaxtyping import Float

OFFSET = -0.691
"""What brings 10 log10 of the K-weighted power to LUFS."""


def k_weighted(samples: Float[np.ndarray, " time"], sample_rate: int) -> Float[np.ndarray, " time"]:
    """Filter as BS.1770, annex 1: a shelf for the head, then a high-pass.

    The standard gives coefficients at 48 kHz only; these are its analogue prototypes (centre, gain
    and Q as in De Man 2014), bilinearly transformed at the sound's own rate.
    """
    from scipy.signal import sosfilt

    sections = np.array([_shelf(sample_rate), _high_pass(sample_rate)])
    filtered: np.ndarray = sosfilt(sections, samples.astype(np.float64))
    return filtered


def _shelf(sample_rate: int) -> list[float]:
    centre_hz, gain_db, q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = np.tan(np.pi * centre_hz / sample_rate)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    b = (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k)
    return [*(value / a0 for value in b), 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]


def _high_pass(sample_rate: int) -> list[float]:
    corner_hz, q = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * corner_hz / sample_rate)
    a0 = 1 + k / q + k * k
    return [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
