"""How evenly and how independently a bank of filters tiles frequency (METHODS B-4)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from auscult.measures.tones import gammatone_centres_hz

_QUIET = 1e-30


@dataclass(frozen=True)
class Tiling:
    """A bank of filters, each brought to norm 1 first; filters of zeros are left out.

    Attributes:
        n: Filters that are not zero.
        coherence: Largest |cos| of two filters, 0 to 1.
        overlap: Mean |cos| over pairs, 0 for an orthogonal bank. Bias: n filters in fewer
            dimensions overlap whatever they are.
        band_overlap: Mean cosine of the magnitude responses of pairs: blind to time and phase.
        bound_ratio_db: B / A, the ratio of the largest to the least Σ |w_i(ω)|² over ω between
            1 % and 99 % of the band: 0 for a tight frame without a stride.
        strided_ratio_db: The ratio of the largest to the least eigenvalue of the alias matrix over
            ω that is not zero by dimension: 0 for filters whose shifts by the stride are
            orthogonal, or a tight frame.
        redundancy: Filters over stride: below 1 the strided bank loses signals (A = 0).
        covered: Share of the band where Σ |w_i(ω)|² is within 10 dB of its mean.
        density: Distance of the centres from an even spread (Kolmogorov–Smirnov), 0 to 1.
        mel_density: The same from an even spread over mels.
        rank: exp of the entropy of squared singular values: 1 to n.
    """

    n: int
    coherence: float
    overlap: float
    band_overlap: float
    bound_ratio_db: float
    strided_ratio_db: float
    redundancy: float
    covered: float
    density: float
    mel_density: float
    rank: float


def tiling(filters: Float[np.ndarray, "n tap"], sample_rate: int, stride: float = 1.0) -> Tiling:
    """Measure a bank (METHODS B-4).

    Args:
        filters: One a row.
        sample_rate: In Hz.
        stride: Samples between frames.
    """
    norms = np.linalg.norm(filters, axis=1)
    alive = norms > 1e-8 * norms.max(initial=0.0)
    bank = filters[alive] / norms[alive, None]
    n_fft = 1 << max(10, (2 * bank.shape[1] - 1).bit_length())
    power = np.square(np.abs(np.fft.rfft(bank, n_fft, axis=1)))
    pairs = np.triu_indices(len(bank), 1)
    gram = np.abs(bank @ bank.T)[pairs]
    sizes = np.sqrt(power)
    sizes = sizes / np.linalg.norm(sizes, axis=1, keepdims=True)
    inner = power[:, n_fft // 200 : -n_fft // 200].sum(0)
    centres = power.argmax(1) * sample_rate / n_fft
    values = np.square(np.linalg.svd(bank, compute_uv=False))
    shares = values[values > _QUIET] / values.sum()
    total = power.sum(0)
    return Tiling(
        len(bank),
        float(gram.max(initial=0.0)),
        float(gram.mean()) if len(gram) else float("nan"),
        float((sizes @ sizes.T)[pairs].mean()) if len(gram) else float("nan"),
        _decibels(float(inner.max()), float(inner.min())),
        _strided_ratio_db(bank, max(1, round(stride))),
        len(bank) / stride,
        float(np.mean(total >= 0.1 * total.mean())),
        _uneven(centres / (sample_rate / 2)),
        _uneven(_mel(centres) / _mel(np.array([sample_rate / 2]))[0]),
        float(np.exp(-np.sum(shares * np.log(shares)))),
    )


def _decibels(high: float, low: float) -> float:
    return float(10 * np.log10(max(high, _QUIET) / max(low, _QUIET)))


def _mel(hz: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return np.asarray(2595 * np.log10(1 + hz / 700))


def _uneven(places: Float[np.ndarray, " n"]) -> float:
    """Largest distance of the distribution of places in [0, 1] from the even one."""
    ordered = np.sort(places)
    n = len(ordered)
    above = np.arange(1, n + 1) / n - ordered
    return float(max(above.max(), (ordered - np.arange(n) / n).max()))


def frame_eigenvalues(
    filters: Num[np.ndarray, "n tap"], stride: int, n_frequencies: int = 24
) -> Float[np.ndarray, "frequency least"]:
    """Eigenvalues of the frame operator of a strided bank, per frequency below f_s / stride.

    A frame's atoms are the filters shifted by multiples of the stride. At ω the operator is the
    matrix of alias terms ŵ_i(ω + 2πk/S) / √S, k = 0 … S − 1 (Vetterli & Kovačević 1995, section
    2.5): its squared singular values, min(n, S) of them, lie between the frame bounds A and B when
    n ≥ S, and between the Riesz bounds when n < S.
    """
    n_taps = filters.shape[1]
    shifts = (np.arange(n_frequencies) + 0.5) / n_frequencies
    length = -(-n_taps // stride) * stride
    padded = np.zeros((len(filters), length), dtype=filters.dtype)
    padded[:, :n_taps] = filters
    found = []
    for shift in shifts:
        turned = padded * np.exp(-2j * np.pi * shift * np.arange(length) / stride)
        # Transforms at ω + 2πk/S for all k: samples that lie S apart add up first.
        folded = turned.reshape(len(filters), -1, stride).sum(1)
        terms = np.fft.fft(folded, axis=1) / np.sqrt(stride)
        small = terms @ terms.conj().T if len(terms) <= stride else terms.conj().T @ terms
        found.append(np.linalg.eigvalsh(small))
    return np.asarray(found)


def _strided_ratio_db(bank: Float[np.ndarray, "n tap"], stride: int) -> float:
    values = frame_eigenvalues(bank, stride)
    return _decibels(float(values.max()), max(float(values.min()), 0.0))


def control_banks(
    n: int, n_taps: int, sample_rate: int, rng: np.random.Generator
) -> dict[str, Float[np.ndarray, "n tap"]]:
    """Banks of the same size that are known by formula: what tiling looks like at its best.

    Orthogonal: rows of a random orthogonal matrix (a tight frame when there are more filters than
    taps). DCT: evenly chosen rows of the DCT-II. Mel and gammatone: Hann-windowed cosines and
    gammatones of fourth order at centres even in mels and in equivalent rectangular bandwidths, cut
    to the taps.
    """
    drawn = rng.standard_normal((max(n, n_taps), min(n, n_taps)))
    orthogonal = np.linalg.qr(drawn)[0]
    orthogonal = orthogonal.T if n <= n_taps else orthogonal
    rows = np.linspace(0, n_taps - 1, n).round()
    dct = np.cos(np.pi * (rows[:, None]) * (np.arange(n_taps) + 0.5) / n_taps)
    return {
        "orthogonal": orthogonal,
        "DCT": dct,
        "mel": _mel_bank(n, n_taps, sample_rate),
        "gammatone": _gammatone_bank(n, n_taps, sample_rate),
        "normal taps": rng.standard_normal((n, n_taps)),
    }


def _mel_bank(n: int, n_taps: int, rate: int) -> Float[np.ndarray, "n tap"]:
    mels = np.linspace(_mel(np.array([50.0]))[0], _mel(np.array([0.48 * rate]))[0], n + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    places = np.arange(n_taps) - (n_taps - 1) / 2
    bank = np.zeros((n, n_taps))
    for row, (low, centre, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        length = min(n_taps, max(3, round(4 * rate / (high - low))))
        window = np.where(np.abs(places) < length / 2, np.cos(np.pi * places / length) ** 2, 0.0)
        bank[row] = window * np.cos(2 * np.pi * centre / rate * places)
    return bank


def _gammatone_bank(n: int, n_taps: int, rate: int) -> Float[np.ndarray, "n tap"]:
    centres = gammatone_centres_hz(50.0, 0.45 * rate, n)
    t = np.arange(1, n_taps + 1) / rate
    width = 1.019 * 24.7 * (4.37e-3 * centres[:, None] + 1)
    tones = np.cos(2 * np.pi * centres[:, None] * t)
    return np.asarray(t**3 * np.exp(-2 * np.pi * width * t) * tones)
