"""Vectors and the directions near them: alignment, dimension, nearest atoms, coverage, spread."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.core.errors import WidthError
from auscult.dictionaries import spectrum
from auscult.measures.statistics import matched_sample

_CHUNK_VALUES = 1 << 21
"""Cosines held at once: 8 MiB, so that a chunk stays near the processor."""


def unit_rows(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Divide every row by its norm; rows of zeros stay zero."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.divide(x, norms, out=np.zeros_like(x), where=norms > 0))


def loud_rows(x: Float[np.ndarray, "n d"], percentile: float = 1.0) -> Bool[np.ndarray, " n"]:
    """Rows whose norm is above 0 and not below a percentile of all norms (METHODS A-4: silence).

    Report ``1 - mean()`` of the answer: it is the share that was left out.
    """
    norms = np.linalg.norm(x, axis=1)
    return np.asarray(
        (norms > 0) & (norms >= np.percentile(norms, percentile)) if len(norms) else norms > 0
    )


def axis_alignment(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Largest share of one channel in the vector's norm, max |x_i| / ‖x‖ (METHODS A-3).

    From 1/√d (all channels alike) to 1 (one channel alone); NaN for a row of zeros. Bias: a random
    vector is far from 1/√d, so read it against vectors of the same covariance.
    """
    norms = np.linalg.norm(x, axis=1)
    return _ratio(np.abs(x).max(axis=1, initial=0.0), norms)


def participation_ratio(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Number of channels that share a vector's energy, (Σ x²)² / Σ x⁴, from 1 to d (METHODS A-3).

    NaN for a row of zeros. Bias: a Gaussian vector has about d / 3, not d.
    """
    energy = np.square(_scaled(x).astype(np.float64))
    return _ratio(np.square(energy.sum(axis=1)), np.square(energy).sum(axis=1))


def _scaled(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Rows with a largest entry of 1: fourth powers of quiet vectors would underflow."""
    peak = np.abs(x).max(axis=1, initial=0.0, keepdims=True)
    return np.asarray(np.divide(x, peak, out=np.zeros_like(x), where=peak > 0))


def _ratio(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    out = np.full(len(a), np.nan, dtype=np.result_type(a, b))
    return np.asarray(np.divide(a, b, out=out, where=b > 0))


def effective_dimension(covariance: Float[np.ndarray, "d d"]) -> tuple[float, int]:
    """Dimension of a cloud of vectors: participation of eigenvalues, and rank (METHODS A-0, A-10).

    Returns:
        (Σλ)² / Σλ², from 1 to d; and how many eigenvalues hold 99.99 % of the variance. A
        covariance of zeros has dimension 0.
    """
    found = spectrum.effective_dimension(covariance)
    return found.participation_ratio, found.rank


def nearest_atom(
    x: Float[np.ndarray, "n d"], atoms: Float[np.ndarray, "m d_atoms"], signed: bool = False
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Find the atom with the highest cosine to each vector, in float32 and in chunks (METHODS A-4).

    Args:
        x: Vectors, already centred if that is wanted; millions of rows are fine.
        atoms: Directions of any norm.
        signed: An atom also stands for its opposite: the absolute cosine decides and is returned.

    Returns:
        Index of the atom and the cosine; a row of zeros has no nearest atom: index -1, cosine NaN.

    Raises:
        WidthError: Vectors and atoms come from different taps.
    """
    if x.shape[1] != atoms.shape[1]:
        raise WidthError(
            f"vectors of width {x.shape[1]} were given atoms of width {atoms.shape[1]}"
        )
    directions = np.ascontiguousarray(unit_rows(atoms.astype(np.float32)).T)
    index = np.empty(len(x), dtype=np.int64)
    cosine = np.empty(len(x), dtype=np.float32)
    for rows in _chunks(len(x), len(atoms)):
        part = np.asarray(x[rows], dtype=np.float32)
        products = part @ directions
        if signed:
            np.abs(products, out=products)
        best = products.argmax(axis=1)
        norms = np.linalg.norm(part, axis=1)
        index[rows] = np.where(norms > 0, best, -1)
        cosine[rows] = _ratio(np.take_along_axis(products, best[:, None], 1)[:, 0], norms)
    return index, np.minimum(cosine, 1.0)


def _chunks(n: int, width: int) -> Iterator[slice]:
    step = max(256, _CHUNK_VALUES // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def coverage_curve(
    cosines: Float[np.ndarray, " n"], thresholds: Float[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Share of vectors whose nearest atom is at least as near as a threshold (METHODS A-4).

    Args:
        cosines: To the nearest atom; NaN counts as not assigned.
        thresholds: Cosines from which a vector counts as assigned.

    Returns:
        Coverage, 0 to 1, and mean cosine of the assigned (NaN where there is none).
    """
    falling = np.sort(cosines[~np.isnan(cosines)].astype(np.float64))[::-1]
    n_assigned = np.searchsorted(-falling, -thresholds.astype(np.float64), "right")
    sums = np.concatenate([[0.0], np.cumsum(falling)])[n_assigned]
    coverage = n_assigned / max(len(cosines), 1)
    return coverage, _ratio(sums, n_assigned.astype(np.float64))


def threshold_at_coverage(cosines: Float[np.ndarray, " n"], coverage: float = 0.96) -> float:
    """Highest threshold at which at least a share of the vectors is assigned (METHODS A-4).

    NaN when even a threshold of -1 does not reach it, because too many cosines are NaN.
    """
    falling = np.sort(np.where(np.isnan(cosines), -np.inf, cosines).astype(np.float64))[::-1]
    needed = int(np.ceil(coverage * len(falling) - 1e-9))
    if needed < 1 or needed > len(falling) or np.isinf(falling[needed - 1]):
        return float("nan")
    return float(falling[needed - 1])


def mean_at_coverage(cosines: Float[np.ndarray, " n"], coverage: float = 0.96) -> float:
    """Mean cosine of the vectors assigned at :func:`threshold_at_coverage`; NaN without one."""
    threshold = threshold_at_coverage(cosines, coverage)
    return float(np.mean(cosines[cosines >= threshold])) if np.isfinite(threshold) else float("nan")


def resampled_mean_at_coverage(
    cosines: Float[np.ndarray, " n"],
    times: Float[np.ndarray, "b n_recordings"],
    recordings: Int[np.ndarray, " n"],
    coverage: float = 0.96,
) -> Float[np.ndarray, " b"]:
    """:func:`mean_at_coverage` when recordings are drawn anew, in one sort for all draws.

    Args:
        cosines: To the nearest atom; none NaN.
        times: How often each recording is drawn, draw by draw.
        recordings: Number of the recording of each vector.
        coverage: Share that is assigned.
    """
    order = np.argsort(-cosines, kind="stable")
    falling, of = cosines[order].astype(np.float64), recordings[order]
    # Equal cosines are assigned together: the last of each run stands for it.
    last = np.append(falling[1:] < falling[:-1], True)
    found = np.empty(len(times))
    for draw, drawn in enumerate(times):
        weights = drawn[of]
        counts = np.cumsum(weights)
        sums = np.cumsum(weights * falling)[last]
        counts = counts[last]
        place = np.searchsorted(counts, np.ceil(coverage * counts[-1] - 1e-9))
        found[draw] = sums[place] / counts[place] if counts[place] > 0 else np.nan
    return found


@dataclass(frozen=True)
class Agreement:
    """How like a reconstruction is to its vector, per row (METHODS A-13, figure 7b).

    Attributes:
        cosine: Between the two, -1 to 1.
        amplitude_ratio: Norm of the reconstruction over norm of the vector.
        rank_correlation: Spearman's, over coordinates: do peaks and troughs stand in one order?
    """

    cosine: Float[np.ndarray, " n"]
    amplitude_ratio: Float[np.ndarray, " n"]
    rank_correlation: Float[np.ndarray, " n"]


def agreement(x: Float[np.ndarray, "n d"], x_hat: Float[np.ndarray, "n d"]) -> Agreement:
    """Compare vectors with reconstructions in shape; NaN where a vector is zero or constant."""
    from scipy.stats import rankdata

    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    norms, norms_hat = np.linalg.norm(x, axis=1), np.linalg.norm(x_hat, axis=1)
    ranks, ranks_hat = (rankdata(v, axis=1) - (x.shape[1] + 1) / 2 for v in (x, x_hat))
    scale = np.sqrt(np.square(ranks).sum(axis=1) * np.square(ranks_hat).sum(axis=1))
    return Agreement(
        _ratio(np.sum(x * x_hat, axis=1), norms * norms_hat),
        _ratio(norms_hat, norms),
        _ratio(np.sum(ranks * ranks_hat, axis=1), scale),
    )


@dataclass(frozen=True)
class Dispersion:
    """How local the states are from which an archetype starts (METHODS A-18), in their units.

    Attributes:
        n: Number of starts.
        radius: Mean distance of the starts from their centroid.
        random_radius: The same for as many random states.
        norm_matched_radius: The same for random states of the same norms: the control for loudness.
        unit_radius: Radius of the starts after every state was divided by its norm, 0 to 1.
        unit_random_radius: The same for random states.
    """

    n: int
    radius: float
    random_radius: float
    norm_matched_radius: float
    unit_radius: float
    unit_random_radius: float


def dispersion(
    states: Float[np.ndarray, "n d"],
    starts: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
    repeats: int = 10,
) -> Dispersion:
    """Measure the spread of some states against random ones of the same number (METHODS A-18).

    Bias: the radius depends on the level of the sounds; read the ratios. Random states are drawn
    with replacement from all states, starts included, so an archetype that is nearly always on top
    cannot lie far below 1.

    Args:
        states: Response vectors.
        starts: The states from which the archetype in question leads.
        rng: Draws the random states.
        repeats: Random sets that are averaged.
    """
    n = int(starts.sum())
    if n == 0:
        nan = float("nan")
        return Dispersion(0, nan, nan, nan, nan, nan)
    norms = np.linalg.norm(states, axis=1)
    drawn = [rng.integers(0, len(states), n) for _ in range(repeats)]
    matched = [matched_sample(norms[starts], norms, rng, share=0.002) for _ in range(repeats)]
    unit = unit_rows(states)
    return Dispersion(
        n,
        _radius(states[starts]),
        float(np.mean([_radius(states[rows]) for rows in drawn])),
        float(np.mean([_radius(states[rows]) for rows in matched])),
        _radius(unit[starts]),
        float(np.mean([_radius(unit[rows]) for rows in drawn])),
    )


def _radius(points: Float[np.ndarray, "n d"]) -> float:
    centred = points - points.mean(axis=0, dtype=np.float64)
    return float(np.linalg.norm(centred, axis=1).mean())
