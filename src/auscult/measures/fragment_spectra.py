"""Spectra of the fragments a feature likes, and how narrow they are (METHODS A-8)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float


def mean_spectrum(
    fragments: Float[np.ndarray, "n time"],
    sample_rate: int,
    window: Literal["hann", "rectangle"] = "hann",
    weights: Float[np.ndarray, " n"] | None = None,
) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " f"]]:
    """Average power spectrum of fragments that count the same whatever their level (METHODS A-8).

    Args:
        fragments: Stretches of waveform; 4096 samples resolve about 12 Hz at 24 kHz. Silent ones
            are left out.
        sample_rate: In Hz.
        window: Applied to every fragment.
        weights: How much each fragment counts, for instance its activation; all alike when None.

    Returns:
        Frequencies in Hz, and the share of power in each bin: it sums to 1, or is NaN when every
        fragment is silent.
    """
    n = fragments.shape[1]
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) if window == "hann" else np.ones(n)
    counts = np.ones(len(fragments)) if weights is None else weights.astype(np.float64)
    total, counted = np.zeros(n // 2 + 1), 0.0
    # One fragment after the other: millions of samples of spectra need not exist at once.
    for fragment, count in zip(fragments, counts, strict=True):
        power = np.square(np.abs(np.fft.rfft(fragment * shape)))
        if n > 2:
            power[1 : (n + 1) // 2] *= 2
        if power.sum() > 0:
            total += count * power / power.sum()
            counted += count
    frequencies_hz = np.fft.rfftfreq(n, 1 / sample_rate)
    return frequencies_hz, total / counted if counted > 0 else np.full(n // 2 + 1, np.nan)


def spectral_flatness(power: Float[np.ndarray, " f"]) -> float:
    """Geometric over arithmetic mean of power: 0 for one line, 1 for a flat spectrum (METHODS A-8).

    Without unit (Gray & Markel 1974). Bias: the spectrum of a single noise fragment has 0.56; the
    average over many tends to 1.
    """
    mean = power.mean()
    if not mean > 0:
        return float("nan")
    return float(np.exp(np.mean(np.log(np.maximum(power / mean, 1e-300)))))


def ratio_spectrum(
    power: Float[np.ndarray, " f"], reference: Float[np.ndarray, " f"], floor_db: float = -60.0
) -> Float[np.ndarray, " f"]:
    """Power over the corpus mean, so that what is common in the sounds drops out (METHODS A-8).

    Args:
        power: Of the fragments.
        reference: Of the corpus, at the same frequencies.
        floor_db: The reference is held above this level relative to its peak: where the corpus has
            nothing, a ratio would only show rounding.
    """
    return np.asarray(power / np.maximum(reference, reference.max() * 10 ** (floor_db / 10)))


def smoothed(
    frequencies_hz: Float[np.ndarray, " f"], power: Float[np.ndarray, " f"], octaves: float = 1 / 12
) -> Float[np.ndarray, " f"]:
    """Average power over a band of constant width in octaves around each frequency.

    A ratio of noisy spectra is all spikes; unsmoothed, its widest lobe would count as narrow.
    """
    half = 2 ** (octaves / 2)
    running = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    low = np.searchsorted(frequencies_hz, frequencies_hz / half * (1 - 1e-12), "left")
    high = np.searchsorted(frequencies_hz, frequencies_hz * half * (1 + 1e-12), "right")
    return np.asarray((running[high] - running[low]) / np.maximum(high - low, 1))


def band_edges_hz(
    frequencies_hz: Float[np.ndarray, " f"], power: Float[np.ndarray, " f"], level_db: float = -10.0
) -> tuple[float, float]:
    """Where the lobe around the highest power falls through a level (METHODS A-8).

    Interpolated between bins in dB. An edge that is not reached is the first or last frequency. NaN
    when there is no power.
    """
    if not power.max(initial=0.0) > 0:
        return float("nan"), float("nan")
    decibels = 10 * np.log10(np.maximum(power / power.max(), 1e-30))
    peak = int(decibels.argmax())
    below = np.flatnonzero(decibels < level_db)
    left, right = below[below < peak], below[below > peak]
    low, high = float(frequencies_hz[0]), float(frequencies_hz[-1])
    if len(left):
        low = _between(frequencies_hz, decibels, int(left[-1]), int(left[-1]) + 1, level_db)
    if len(right):
        high = _between(frequencies_hz, decibels, int(right[0]), int(right[0]) - 1, level_db)
    return low, high


def _between(
    frequencies_hz: np.ndarray, decibels: np.ndarray, outside: int, inside: int, level_db: float
) -> float:
    part = (level_db - decibels[outside]) / (decibels[inside] - decibels[outside])
    return float(
        frequencies_hz[outside] + part * (frequencies_hz[inside] - frequencies_hz[outside])
    )


def bandwidth_octaves(
    frequencies_hz: Float[np.ndarray, " f"], power: Float[np.ndarray, " f"], level_db: float = -10.0
) -> float:
    """Width in octaves of the lobe around the highest power (METHODS A-8, the narrow-band test).

    A lobe that reaches 0 Hz is cut at the first frequency above it. Bias: cannot fall below the
    resolution of the fragments; rough spectra look narrow, smooth them first.
    """
    low, high = band_edges_hz(frequencies_hz, power, level_db)
    lowest = float(frequencies_hz[frequencies_hz > 0][0])
    return float(np.log2(max(high, lowest) / max(low, lowest)))


def half_energy_bandwidth_hz(
    frequencies_hz: Float[np.ndarray, " f"], power: Float[np.ndarray, " f"]
) -> float:
    """Width of the narrowest band that holds half of the power (METHODS A-8); NaN without power.

    Each bin stands for a band of one bin's width in which its power is spread evenly.
    """
    total = float(power.sum())
    if not total > 0:
        return float("nan")
    bin_hz = float(frequencies_hz[1] - frequencies_hz[0])
    running = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)]) / total
    edges = np.arange(len(running)) * bin_hz
    # Some best band starts or ends on an edge: within a bin, shifting it trades at fixed rates.
    rising = running + np.arange(len(running)) * 1e-15
    starts, ends = edges[running <= 0.5], edges[running >= 0.5]
    from_start = np.interp(running[running <= 0.5] + 0.5, rising, edges) - starts
    to_end = ends - np.interp(running[running >= 0.5] - 0.5, rising, edges)
    return float(min(from_start.min(), to_end.min()))


@dataclass(frozen=True)
class Band:
    """How narrow the spectrum around some fragments is (METHODS A-8); NaN where all are silent.

    Attributes:
        flatness: Of the mean power, without unit: near 0 for one line, 1 for a flat spectrum.
        half_energy_hz: Width in Hz of the narrowest band that holds half of the power.
        width_octaves: Width in octaves at -10 dB of the highest lobe over the corpus' spectrum,
            both smoothed over a twelfth of an octave, below which it cannot fall.
    """

    flatness: float
    half_energy_hz: float
    width_octaves: float


def band_of(
    frequencies_hz: Float[np.ndarray, " f"],
    power: Float[np.ndarray, " f"],
    corpus: Float[np.ndarray, " f"],
) -> Band:
    """Measure a mean spectrum, the first bin (0 Hz) left out (METHODS A-8).

    Bias: music is heavy in the bass whatever a unit does, which makes any fragments' flatness and
    half-energy width small; read both against as many random fragments. The third is over the
    corpus and is free of that.
    """
    if not (np.isfinite(power).all() and np.isfinite(corpus).all()):
        return Band(float("nan"), float("nan"), float("nan"))
    hz, own = frequencies_hz[1:], power[1:]
    return Band(
        spectral_flatness(own),
        half_energy_bandwidth_hz(hz, own),
        bandwidth_octaves(hz, over_corpus(hz, own, corpus[1:])),
    )


def over_corpus(
    frequencies_hz: Float[np.ndarray, " f"],
    power: Float[np.ndarray, " f"],
    corpus: Float[np.ndarray, " f"],
) -> Float[np.ndarray, " f"]:
    """Power over that of the corpus, both smoothed over a twelfth of an octave (METHODS A-8)."""
    return ratio_spectrum(smoothed(frequencies_hz, power), smoothed(frequencies_hz, corpus))
