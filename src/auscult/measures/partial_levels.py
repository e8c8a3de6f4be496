"""Levels of single notes' partials within a sound of two notes (METHODS B-6, B-7)."""

import numpy as np
from jaxtyping import Float

from auscult.core.errors import NothingToMeasureError

N_PARTIALS = 8
_APART = 0.06  # partials nearer than a semitone to one of the other note belong to neither
_WIDTH = 0.025
_FLOOR_DB = -100.0


def own_partials_hz(
    f0_hz: float, other_hz: float, sample_rate: int
) -> Float[np.ndarray, " partial"]:
    """Harmonics of one note that no harmonic of the other comes near, below 0.4 of the rate.

    Raises:
        NothingToMeasureError: There is none: the other note covers it.
    """
    own = f0_hz * np.arange(1, N_PARTIALS + 1)
    other = other_hz * np.arange(1, int(own[-1] / other_hz) + 2)
    clear = np.abs(own[:, None] / other - 1).min(1) > _APART
    kept: np.ndarray = own[clear & (own < 0.4 * sample_rate)]
    if not len(kept):
        raise NothingToMeasureError(f"{f0_hz:.0f} Hz and {other_hz:.0f} Hz share every partial")
    return kept


def level_db(
    wave: Float[np.ndarray, " time"], f_hz: Float[np.ndarray, " partial"], sample_rate: int
) -> float:
    """Power within 2.5 % of some frequencies, in dB re a full-scale sine; at least -100 dB."""
    window = np.hanning(len(wave))
    spectrum = np.abs(np.fft.rfft(wave.astype(np.float64) * window)) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / sample_rate)
    resolution = 2.5 * sample_rate / len(wave)
    near = np.zeros(len(hz), dtype=np.bool_)
    for f in f_hz:
        near |= np.abs(hz - f) <= max(_WIDTH * f, resolution)
    power = 4 * spectrum[near].sum() / (np.square(window).sum() * len(wave))
    return float(max(10 * np.log10(power + 1e-30), _FLOOR_DB))


def path_roughness(energies: Float[np.ndarray, "step band"]) -> float:
    """How far band energies along a path stray from a straight line between its ends, in dB.

    Root mean square over bands and steps; 0 for a path that is straight in decibels.
    """
    share = np.linspace(0, 1, len(energies))[:, None]
    straight = (1 - share) * energies[0] + share * energies[-1]
    return float(np.sqrt(np.square(energies - straight).mean()))
