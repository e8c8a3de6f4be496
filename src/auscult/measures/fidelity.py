"""How far a set of sounds lies from another: Fréchet and kernel distances of embeddings.

Both compare sets, not pairs: they say whether changed sounds still are such sounds as the others.
"""

import numpy as np
from jaxtyping import Float

from auscult.core.errors import NothingToMeasureError

KERNEL_SCALE = 100.0
"""Kernel distances are given times this, as is customary."""


def frechet_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """Fréchet distance of Gaussians fitted to two sets (METHODS 8.4; "FAD" of audio embeddings).

    ``|μx - μy|² + tr(Σx + Σy - 2 (Σx Σy)^½)``, in squared units of the embedding. The trace of the
    root is the sum of the roots of the eigenvalues of ``Σx^½ Σy Σx^½``, which is symmetric.

    Range: 0 for sets of one mean and covariance, without an upper end. Bias: upwards, by about
    1 / n of either set, and heavily where there are fewer items than dimensions: see
    :func:`frechet_at_infinity`, and prefer :func:`kernel_distance` below a thousand items.

    Raises:
        NothingToMeasureError: A set has fewer than two items.
    """
    (mean_x, cov_x), (mean_y, cov_y) = _gaussian(x), _gaussian(y)
    values, vectors = np.linalg.eigh(cov_x)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov_y @ root)
    trace_of_root = np.sqrt(np.maximum(inner, 0)).sum()
    apart = np.trace(cov_x) + np.trace(cov_y) - 2 * trace_of_root
    return float(np.square(mean_x - mean_y).sum() + max(apart, 0.0))


def _gaussian(x: Float[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray]:
    if len(x) < 2:
        raise NothingToMeasureError("a covariance needs at least two items")
    values = np.asarray(x, dtype=np.float64)
    return values.mean(0), np.cov(values, rowvar=False).reshape(x.shape[1], x.shape[1])


def frechet_at_infinity(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    rng: np.random.Generator,
    n_sizes: int = 8,
    n_draws: int = 4,
) -> float:
    """Fréchet distance extrapolated to sets of infinite size (Chong & Forsyth 2020).

    The distance of random subsets grows like a line in 1 / n; its value at 1 / n = 0 is taken.
    Subsets of both sets shrink together, from all of the smaller set to half of it.

    Bias: small once subsets hold several times as many items as dimensions. May come out below 0
    for sets that do not differ.
    """
    most = min(len(x), len(y))
    sizes = np.unique(np.linspace(max(2, most // 2), most, n_sizes).astype(int))
    if len(sizes) < 2:
        raise NothingToMeasureError(f"{most} items are too few to extrapolate from")
    inverse, distances = [], []
    for size in sizes:
        for _ in range(n_draws):
            some_x = x[rng.choice(len(x), size, replace=False)]
            some_y = y[rng.choice(len(y), size, replace=False)]
            inverse.append(1 / size)
            distances.append(frechet_distance(some_x, some_y))
    slope_and_value: np.ndarray = np.polyfit(inverse, distances, 1)
    return float(slope_and_value[1])


def median_distance(x: Float[np.ndarray, "n d"]) -> float:
    """Median distance between two different items of a set: the kernel's usual bandwidth.

    Raises:
        NothingToMeasureError: There are no two different items.
    """
    squared = _squared_distances(x, x)[np.triu_indices(len(x), 1)]
    median = float(np.sqrt(np.median(squared))) if len(squared) else 0.0
    if median <= 0:
        raise NothingToMeasureError("a kernel distance needs items that differ")
    return median


def kernel_distance(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], bandwidth: float | None = None
) -> float:
    """Unbiased squared maximum mean discrepancy under a Gaussian kernel, times 100 ("KAD").

    ``1/(n(n-1)) Σ_{i≠j} k(x_i, x_j) + 1/(m(m-1)) Σ_{i≠j} k(y_i, y_j) - 2/(nm) Σ k(x_i, y_j)`` with
    ``k(a, b) = exp(-|a - b|² / 2σ²)`` (Chung et al. 2025, arXiv 2502.15602; METHODS 8.4).

    Range: 0 on average for sets of one distribution (it may come out below 0), at most 200.
    Unbiased at any size, which makes it the one to trust for few clips.

    Args:
        x: The reference.
        y: What is compared with it.
        bandwidth: σ; None for the median distance within the reference.

    Raises:
        NothingToMeasureError: A set has fewer than two items, or all of the reference's are equal.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise NothingToMeasureError("a kernel distance needs at least two items of each set")
    sigma = median_distance(x) if bandwidth is None else bandwidth

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-_squared_distances(a, b) / (2 * sigma**2)))

    within_x = (kernel(x, x).sum() - n) / (n * (n - 1))
    within_y = (kernel(y, y).sum() - m) / (m * (m - 1))
    return float(KERNEL_SCALE * (within_x + within_y - 2 * kernel(x, y).mean()))


def _squared_distances(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "n m"]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    squared = np.square(x).sum(1)[:, None] + np.square(y).sum(1)[None] - 2 * x @ y.T
    squared = np.maximum(squared, 0)
    if x is y:
        np.fill_diagonal(squared, 0.0)
    return np.asarray(squared)


def clipping_share(waveform: Float[np.ndarray, "*batch time"]) -> float:
    """Share of samples beyond full scale: what a file of integers would cut off."""
    return float(np.mean(np.abs(waveform) > 1.0))


def standing_share(waveform: Float[np.ndarray, "*batch time"]) -> float:
    """Share of the energy that does not move (DC): 0 for sound, 1 for a constant."""
    power = np.square(waveform, dtype=np.float64).mean(-1)
    still = np.square(waveform.mean(-1, dtype=np.float64))
    return float(np.mean(np.where(power > 0, still / np.where(power > 0, power, 1), 0.0)))


def same_level(
    reference: Float[np.ndarray, "*batch time"], waveform: Float[np.ndarray, "*batch time"]
) -> Float[np.ndarray, "*batch time"]:
    """A sound scaled to the root mean square of another: louder must not count as other."""
    was, now = (
        np.sqrt(np.square(one, dtype=np.float64).mean(-1, keepdims=True))
        for one in (reference, waveform)
    )
    factor = np.where(now > 0, was / np.where(now > 0, now, 1.0), 1.0)
    return np.asarray(waveform * factor, dtype=waveform.dtype)
