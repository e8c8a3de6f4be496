"""Spectra of filters: response, bandwidth, and the limit that time sets (METHODS A-1, A-2)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

RECTANGLE_3DB = 0.886
"""Width at -3 dB of a rectangular window of K samples, in units of f_s / K (METHODS A-2)."""

GABOR_LIMIT = 1 / (4 * np.pi)
"""Least product of spread in time and spread in frequency."""

_FLOOR_DB = -300.0

_Edge = Callable[[np.ndarray], float]


def frequency_response(
    filters: Float[np.ndarray, "n k"], sample_rate: int, n_fft: int = 4096
) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, "n f"]]:
    """Gain of each filter from 0 Hz to half the sample rate (METHODS A-2).

    Returns:
        Frequencies in Hz and gain as a factor, with ``n_fft // 2 + 1`` points.
    """
    n_fft = max(n_fft, filters.shape[1])
    gain = np.abs(np.fft.rfft(filters.astype(np.float64), n_fft, axis=1))
    return np.fft.rfftfreq(n_fft, 1 / sample_rate), gain


def dominant_frequency_hz(
    filters: Float[np.ndarray, "n k"], sample_rate: int, n_fft: int = 4096
) -> Float[np.ndarray, " n"]:
    """Frequency of the highest gain, to the nearest ``sample_rate / n_fft`` (METHODS A-1)."""
    frequencies_hz, gain = frequency_response(filters, sample_rate, n_fft)
    return np.asarray(frequencies_hz[gain.argmax(axis=1)])


def bandwidth_hz(
    filters: Float[np.ndarray, "n k"],
    sample_rate: int,
    level_db: float = -3.0,
    n_fft: int = 4096,
) -> Float[np.ndarray, " n"]:
    """Width of the main lobe at a level below its peak, interpolated between bins (METHODS A-2).

    The lobe is followed in the two-sided spectrum: a low-pass filter counts both sides of 0 Hz, so
    a rectangle of K samples gives 0.886 f_s / K at -3 dB. A filter that never falls below the
    level has the width f_s; one of zeros has NaN.

    Args:
        filters: One filter per row.
        sample_rate: In Hz.
        level_db: Relative to the peak, below 0.
        n_fft: Points of the transform; the error is far below ``sample_rate / n_fft``.
    """
    widths = [
        _lobe_width(row, lambda lobe: _crossing(lobe, level_db))
        for row in _two_sided_db(filters, n_fft)
    ]
    return np.asarray(
        np.array(widths, dtype=np.float64) * sample_rate / max(n_fft, filters.shape[1])
    )


def first_null_width_hz(
    filters: Float[np.ndarray, "n k"], sample_rate: int, n_fft: int = 4096
) -> Float[np.ndarray, " n"]:
    """Distance between the first minima of gain on both sides of the peak (METHODS A-2).

    A rectangle of K samples gives 2 f_s / K; a filter without minima f_s; one of zeros NaN.
    """
    widths = [_lobe_width(row, _first_minimum) for row in _two_sided_db(filters, n_fft)]
    return np.asarray(
        np.array(widths, dtype=np.float64) * sample_rate / max(n_fft, filters.shape[1])
    )


def _two_sided_db(filters: Float[np.ndarray, "n k"], n_fft: int) -> Float[np.ndarray, "n f"]:
    """Gain in dB re each filter's peak; rows of NaN for filters of zeros."""
    gain = np.abs(np.fft.fft(filters.astype(np.float64), max(n_fft, filters.shape[1]), axis=1))
    peak = gain.max(axis=1, keepdims=True)
    relative = np.divide(gain, peak, out=np.full_like(gain, np.nan), where=peak > 0)
    return np.asarray(20 * np.log10(np.maximum(relative, 10 ** (_FLOOR_DB / 20))))


def _lobe_width(decibels: Float[np.ndarray, " f"], edge: _Edge) -> float:
    """Bins between the edges of the lobe around the peak; at most the whole circle."""
    if np.isnan(decibels[0]):
        return float("nan")
    rightwards = np.roll(decibels, -int(decibels.argmax()))
    leftwards = np.roll(rightwards[::-1], 1)
    return min(edge(rightwards) + edge(leftwards), float(len(decibels)))


def _crossing(lobe: Float[np.ndarray, " f"], level_db: float) -> float:
    """Bins from the peak, which is first, to where the lobe falls through a level."""
    below = np.flatnonzero(lobe < level_db)
    if not len(below):
        return float(len(lobe))
    i = int(below[0])
    return i - 1 + float((lobe[i - 1] - level_db) / (lobe[i - 1] - lobe[i]))


def _first_minimum(lobe: Float[np.ndarray, " f"]) -> float:
    """Bins from the peak to the first minimum, refined by a parabola through three powers."""
    rises = np.flatnonzero(np.diff(lobe) > 1e-9)
    if not len(rises):
        return float(len(lobe))
    i = int(rises[0])
    if i == 0:
        return 0.0
    before, here, after = 10 ** (lobe[i - 1 : i + 2] / 10)
    bend = before - 2 * here + after
    return i + float((before - after) / (2 * bend)) if bend > 0 else float(i)


def gabor_product(filters: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Spread in time times spread in frequency, σ_t σ_f, at least 1 / (4π) = 0.0796 (METHODS A-2).

    Spreads are standard deviations of the energy densities |w(t)|² and |W(f)|²; the product has no
    unit. The taps of the filter's envelope are joined by straight lines, which makes it a function
    of continuous time, for which the limit is a theorem (Gabor 1946); sums over taps can fall below
    it. As envelope serve the filter itself (low-pass), the filter shifted by half the sample rate
    (high-pass) and the analytic signal shifted to 0 Hz (band-pass); the least product counts.
    Filters of zeros give NaN.
    """
    return np.array([_gabor_product(row) for row in filters.astype(np.float64)])


def _gabor_product(taps: Float[np.ndarray, " k"]) -> float:
    peak = np.abs(taps).max(initial=0.0)
    if peak == 0:
        return float("nan")
    taps = taps / peak
    alternating = taps * (1 - 2 * (np.arange(len(taps)) % 2))
    return min(_spread_product(w) for w in (taps, alternating, _envelope(taps)))


def _envelope(taps: Float[np.ndarray, " k"]) -> np.ndarray:
    """Analytic signal of a filter amid zeros, shifted by its mean frequency to 0 Hz."""
    n = 1 << max(8, (16 * len(taps) - 1).bit_length())
    padded = np.zeros(n)
    padded[n // 2 : n // 2 + len(taps)] = taps
    spectrum = np.fft.fft(padded)
    spectrum[n // 2 + 1 :] = 0
    spectrum[1 : n // 2] *= 2
    energy = np.square(np.abs(spectrum))
    centre = float(np.arange(n) @ energy / energy.sum()) / n
    return np.asarray(np.fft.ifft(spectrum) * np.exp(-2j * np.pi * centre * np.arange(n)))


def _spread_product(w: np.ndarray) -> float:
    """σ_t σ_f of the function that joins zero, the values of w, and zero by straight lines.

    Within a piece from a to b, |w|² integrates to (|a|² + Re(a b*) + |b|²) / 3; its first and
    second moments about the piece's start have the coefficients below. σ_f, about 0 Hz, follows
    from the derivative, which is constant within a piece: ∫ f² |W|² = ∫ |w'|² / (4π²).
    """
    knots = np.concatenate([[0], w, [0]])
    a, b = knots[:-1], knots[1:]
    aa, bb = np.square(np.abs(a)), np.square(np.abs(b))
    ab = (a * np.conj(b)).real
    energy = (aa + ab + bb) / 3
    first = aa / 12 + ab / 6 + bb / 4
    second = aa / 30 + ab / 10 + bb / 5
    start = np.arange(len(a), dtype=np.float64)
    total = float(energy.sum())
    mean = float(np.sum(start * energy + first)) / total
    variance = (
        float(np.sum((start - mean) ** 2 * energy + 2 * (start - mean) * first + second)) / total
    )
    slope = np.square(np.abs(b - a))
    spread = float(slope.sum()) / (4 * np.pi**2 * total)
    return float(np.sqrt(max(variance, 0.0) * spread))


def dc_gain(filters: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Gain at 0 Hz, the sum of the taps, with its sign (METHODS A-1)."""
    return np.asarray(filters.sum(axis=1))


def symmetry_index(filters: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Σ w_i w_{K-1-i} / Σ w²: 1 symmetric, -1 antisymmetric, NaN for zeros (METHODS A-1)."""
    energy = np.square(filters).sum(axis=1)
    product = np.sum(filters * filters[:, ::-1], axis=1)
    return np.asarray(
        np.divide(product, energy, out=np.full_like(energy, np.nan), where=energy > 0)
    )


def sign_changes(filters: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """How often the sign changes along each filter; zeros are passed over (METHODS A-1)."""
    counts = [np.count_nonzero(np.diff(np.sign(row[row != 0]))) for row in filters]
    return np.array(counts, dtype=np.int64)
