"""A constant-Q magnitude in decibel-like steps: the layer that keeps notes apart (METHODS B-6).

The positive control of compositionality: what it cannot pass, no layer can.
"""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from auscult.core.timebase import TimeBase
from auscult.sounds.synthetic import HIGHEST

_FLOOR = 1e-3  # amplitudes below -60 dB re full scale count for little


def constant_q(
    waves: Float[np.ndarray, "sound time"],
    sample_rate: int,
    lowest_hz: float = 110.0,
    bins_per_octave: int = 24,
    frames_per_s: int = 20,
) -> tuple[Float[np.ndarray, "sound frame band"], TimeBase]:
    """``log(1 + |a| / 0.001)`` of the amplitude ``a`` in bands of equal width in octaves.

    Each band is a Hann-windowed complex exponential of ``Q = 1 / (2^(1/bins_per_octave) - 1)``
    periods, so that its main lobe reaches to its neighbours (Brown 1991). Bands end at 0.45 of the
    sample rate. A tone of amplitude ``a`` at a band's centre reads ``a``.

    Args:
        waves: Sounds.
        sample_rate: In Hz.
        lowest_hz: Centre of the lowest band.
        bins_per_octave: Bands an octave.
        frames_per_s: Frames a second.
    """
    n_bands = int(bins_per_octave * math.log2(HIGHEST * sample_rate / lowest_hz))
    centres_hz = lowest_hz * 2 ** (np.arange(n_bands) / bins_per_octave)
    q = 1 / (2 ** (1 / bins_per_octave) - 1)
    longest = math.ceil(q * sample_rate / lowest_hz) | 1
    kernels = np.zeros((longest, n_bands), dtype=np.complex64)
    for band, hz in enumerate(centres_hz):
        length = math.ceil(q * sample_rate / hz) | 1
        window = np.hanning(length + 2)[1:-1]
        t = (np.arange(length) - length // 2) / sample_rate
        start = longest // 2 - length // 2
        kernels[start : start + length, band] = (
            2 * window / window.sum() * np.exp(-2j * np.pi * hz * t)
        )
    hop = sample_rate // frames_per_s
    padded = np.pad(waves.astype(np.float32), ((0, 0), (longest // 2, longest // 2)))
    views = np.lib.stride_tricks.sliding_window_view(padded, longest, axis=1)[:, ::hop]
    amplitude = np.abs(views @ kernels)
    time = TimeBase(sample_rate, hop=Fraction(hop), span=Fraction(longest))
    return np.log1p(amplitude / _FLOOR), time
