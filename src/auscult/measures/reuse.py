"""Reuse of directions over sounds, repeated paths, clustering along directions (METHODS A-21)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.core.errors import ConfigError
from auscult.measures.geometry import nearest_atom, unit_rows
from auscult.measures.statistics import jensen_shannon, recording_draws


def usage_by_group(
    labels: Int[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], n_labels: int
) -> Float[np.ndarray, "group label"]:
    """Histogram of labels in each group (recording, genre), rows in sorted order of groups.

    Negative labels (standstill, not assigned) are left out; the rows sum to 1 or are zero.
    """
    _, which = np.unique(groups, return_inverse=True)
    n_groups = int(which.max(initial=-1)) + 1
    known = labels >= 0
    cells = which[known] * n_labels + labels[known]
    counts = np.bincount(cells, minlength=n_groups * n_labels).reshape(n_groups, n_labels)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def pair_distances(
    histograms: Float[np.ndarray, "group label"],
) -> Float[np.ndarray, "group group"]:
    """Jensen–Shannon distance of every two groups, 0 to 1; NaN on and below the diagonal."""
    n = len(histograms)
    found = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(i + 1, n):
            found[i, j] = jensen_shannon(histograms[i], histograms[j])
    return found


def mean_of_pairs(pairs: Float[np.ndarray, "group group"]) -> float:
    """Mean over the pairs that have a value; NaN without any."""
    known = pairs[np.isfinite(pairs)]
    return float(known.mean()) if len(known) else float("nan")


def mean_distance(histograms: Float[np.ndarray, "group label"]) -> float:
    """Mean Jensen–Shannon distance over all pairs of groups, 0 to 1 (METHODS A-21 i)."""
    return mean_of_pairs(pair_distances(histograms))


def resampled_mean(
    pairs: Float[np.ndarray, "group group"], times: Float[np.ndarray, "b group"]
) -> Float[np.ndarray, " b"]:
    """Mean over pairs when groups are drawn anew; one drawn twice is no pair with itself.

    Args:
        pairs: Of every two groups, NaN where there is none.
        times: How often each group is drawn, draw by draw.
    """
    known = np.isfinite(pairs)
    sums = np.einsum("bi,ij,bj->b", times, np.where(known, pairs, 0.0), times, optimize=True)
    counts = np.einsum("bi,ij,bj->b", times, known.astype(float), times, optimize=True)
    return np.asarray(np.where(counts > 0, sums / np.where(counts > 0, counts, 1), np.nan))


def shuffled_pairs(
    labels: Int[np.ndarray, " n"],
    groups: Shaped[np.ndarray, " n"],
    n_labels: int,
    rng: np.random.Generator,
    repeats: int = 20,
) -> Float[np.ndarray, "group group"]:
    """Distances that groups of the same sizes have when frames are dealt out at random.

    The floor for :func:`pair_distances`: small groups differ by chance alone.
    """
    dealt = [
        pair_distances(usage_by_group(rng.permutation(labels), groups, n_labels))
        for _ in range(repeats)
    ]
    return np.asarray(np.mean(dealt, axis=0))


def shared_by_most(
    histograms: Float[np.ndarray, "group label"], share: float = 0.9, least: float = 0.0
) -> float:
    """Share of the directions in use that at least ``share`` of the groups use (METHODS A-21 i).

    Args:
        histograms: Usage per group.
        share: Of the groups.
        least: A group uses a direction whose share of its frames is above this.
    """
    used = histograms > least
    anywhere = used.any(axis=0)
    if not anywhere.any():
        return float("nan")
    return float(np.mean(used[:, anywhere].mean(axis=0) >= share - 1e-12))


def path_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Dynamic time warping distance of two paths per step of the warping (METHODS A-21 iii).

    Euclidean cost, steps (1,1), (1,0), (0,1), ends fixed (Sakoe & Chiba 1978). Divided by n + m, so
    that diagonal steps count twice as in the symmetric form. In the unit of the vectors.
    """
    if not len(a) or not len(b):
        raise ConfigError("a path without frames has no distance to another")
    cost = np.linalg.norm(a[:, None].astype(np.float64) - b[None], axis=2)
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    # Cells of one antidiagonal do not depend on each other.
    for k in range(2, n + m + 1):
        i = np.arange(max(1, k - m), min(n, k - 1) + 1)
        j = k - i
        here = cost[i - 1, j - 1]
        straight = total[i - 1, j - 1] + 2 * here
        bent = np.minimum(total[i - 1, j], total[i, j - 1]) + here
        total[i, j] = np.minimum(straight, bent)
    return float(total[n, m] / (n + m))


def hopkins(
    x: Float[np.ndarray, "n d"],
    rng: np.random.Generator,
    n_probes: int = 300,
    n_most: int = 5000,
) -> float:
    """Hopkins statistic of directions against a Gaussian of the same covariance (METHODS A-21 iv).

    Compares distances to the nearest data from Gaussian points with those from data points, all on
    the unit sphere: 0.5 as clustered as the Gaussian, towards 1 more clustered. Bias: 0.5 ± 0.03
    for a few hundred probes; frames of one clip repeat one another and look clustered, so draw
    frames that are far apart.

    Args:
        x: Vectors, centred or not; rows of zeros are left out.
        rng: Draws points.
        n_probes: Number of probes of each kind.
        n_most: Data kept for the search.
    """
    x = x[np.any(x != 0, axis=1)].astype(np.float64)
    n_probes = min(n_probes, len(x) // 2)
    if n_probes < 2:
        raise ConfigError(f"{len(x)} vectors are too few to see whether they cluster")
    rows = rng.permutation(len(x))[: n_most + n_probes]
    probes, data = unit_rows(x[rows[:n_probes]]), unit_rows(x[rows[n_probes:]])
    from_data = _nearest_distance(probes, data)
    from_null = _nearest_distance(unit_rows(_gaussian_like(x, n_probes, rng)), data)
    return float(from_null.sum() / (from_null.sum() + from_data.sum()))


def _gaussian_like(x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    covariance = np.cov(x.T).reshape(x.shape[1], x.shape[1])
    values, axes = np.linalg.eigh(covariance)
    scaled = rng.standard_normal((n, x.shape[1])) * np.sqrt(np.clip(values, 0, None))
    return np.asarray(x.mean(axis=0) + scaled @ axes.T)


def _nearest_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cosines = (a @ b.T).max(axis=1)
    return np.asarray(np.sqrt(np.maximum(2 - 2 * cosines, 0)))


def gap_statistic(
    x: Float[np.ndarray, "n d"],
    n_clusters: int,
    rng: np.random.Generator,
    repeats: int = 10,
    n_rounds: int = 20,
) -> tuple[float, float]:
    """Gap of directional clustering against Gaussians of the same covariance (METHODS A-21 iv).

    log of the dispersion 1 − mean cosine to the nearest of ``n_clusters`` centres, for the Gaussian
    minus for the data (after Tibshirani, Walther & Hastie 2001): above 0 the data cluster more.

    Returns:
        The gap, and its standard error √(1 + 1/repeats) · s.d. over Gaussian draws.
    """
    x = x[np.any(x != 0, axis=1)].astype(np.float64)
    found = np.log(_dispersion_of(x, n_clusters, rng, n_rounds))
    null = [
        np.log(_dispersion_of(_gaussian_like(x, len(x), rng), n_clusters, rng, n_rounds))
        for _ in range(repeats)
    ]
    return float(np.mean(null) - found), float(np.std(null) * np.sqrt(1 + 1 / repeats))


def _dispersion_of(x: np.ndarray, n: int, rng: np.random.Generator, n_rounds: int) -> float:
    centres = spherical_centres(x, n, rng, n_rounds)
    return max(1 - float(nearest_atom(x, centres)[1].mean()), 1e-12)


def spherical_centres(
    x: Float[np.ndarray, "n d"], n: int, rng: np.random.Generator, n_rounds: int = 20
) -> Float[np.ndarray, "m d"]:
    """Centres of spherical k-means from random data: the null dictionary of METHODS A-4 and A-17.

    An empty cluster keeps its centre. For dictionaries in earnest use ``auscult.dictionaries``.
    """
    unit = unit_rows(x.astype(np.float64))
    centres = unit[rng.choice(len(unit), n, replace=len(unit) < n)]
    for _ in range(n_rounds):
        index, _ = nearest_atom(unit, centres)
        sums = np.zeros_like(centres)
        np.add.at(sums, index[index >= 0], unit[index >= 0])
        fresh = unit_rows(sums)
        centres = np.where(np.any(fresh != 0, axis=1, keepdims=True), fresh, centres)
    return centres


@dataclass(frozen=True)
class ResampledReuse:
    """What other recordings of the same kind might have given, draw by draw.

    Attributes:
        distance: Mean distance between the recordings drawn.
        beyond_floor: The same less that of frames dealt out at random.
        place: Between ceiling (0) and floor (1).
    """

    distance: Float[np.ndarray, " b"]
    beyond_floor: Float[np.ndarray, " b"]
    place: Float[np.ndarray, " b"]


@dataclass(frozen=True)
class Reuse:
    """How alike recordings use directions (METHODS A-21 i).

    Attributes:
        histograms: Usage of each recording.
        apart: Jensen–Shannon distance of every two recordings, 0 to 1.
        dealt: The same after frames were dealt out at random.
        renamed: The same after the directions of each recording were renamed at random: usage as
            concentrated, but of directions of its own.
        halves: Mean distance between the first and second half of a recording: the floor for
            frames that resemble their neighbours.
        shared: Share of the directions in use that nine of ten recordings use.
        floor_shared: The same after frames were dealt out at random.
        group_distance: Mean distance between groups of recordings; NaN without groups.
        group_floor: The same after groups were dealt out over recordings.
    """

    histograms: Float[np.ndarray, "recording label"]
    apart: Float[np.ndarray, "recording recording"]
    dealt: Float[np.ndarray, "recording recording"]
    renamed: Float[np.ndarray, "recording recording"]
    halves: float
    shared: float
    floor_shared: float
    group_distance: float = float("nan")
    group_floor: float = float("nan")

    @property
    def distance(self) -> float:
        """Mean distance between recordings."""
        return mean_of_pairs(self.apart)

    @property
    def floor(self) -> float:
        """Mean distance after frames were dealt out at random."""
        return mean_of_pairs(self.dealt)

    @property
    def ceiling(self) -> float:
        """Mean distance when each recording has directions of its own."""
        return mean_of_pairs(self.renamed)

    @property
    def place(self) -> float:
        """Place between ceiling (0: each has directions of its own) and floor (1: alike)."""
        reach = self.ceiling - self.floor
        return (self.ceiling - self.distance) / reach if reach > 1e-9 else float("nan")

    def resampled(self, rng: np.random.Generator, n_resamples: int = 1000) -> "ResampledReuse":
        """Distance and place over draws of the recordings; none of fewer than three.

        Two recordings are one pair, whatever is drawn. Bias: the intervals are too narrow with
        fewer than about ten recordings.
        """
        n = len(self.histograms)
        times = recording_draws(n, n_resamples, rng) if n > 2 else np.empty((0, n))
        own, floor, ceiling = (
            resampled_mean(one, times) for one in (self.apart, self.dealt, self.renamed)
        )
        reach = ceiling - floor
        place = (ceiling - own) / np.where(reach > 1e-9, reach, np.nan)
        return ResampledReuse(own, own - floor, place)


def measure_reuse(
    labels: Int[np.ndarray, " n"],
    recording_ids: Shaped[np.ndarray, " n"],
    n_labels: int,
    rng: np.random.Generator,
    groups: Shaped[np.ndarray, " n"] | None = None,
    repeats: int = 5,
) -> Reuse:
    """Compare the use of directions from recording to recording (METHODS A-21 i).

    Bias: recordings of few frames lie apart by chance, which the floor shows; directions that all
    recordings use equally are renamed without effect, so that floor and ceiling meet when usage is
    even.

    Args:
        labels: Direction of each frame; negative ones are left out.
        recording_ids: The recording of each frame, in order of time.
        n_labels: Number of directions.
        rng: Deals out frames and names.
        groups: The group of each frame's recording.
        repeats: Random draws that are averaged.

    Raises:
        ConfigError: Fewer than two recordings use any direction.
    """
    histograms = usage_by_group(labels, recording_ids, n_labels)
    if np.sum(histograms.any(axis=1)) < 2:
        raise ConfigError("reuse from recording to recording needs two recordings that use any")
    renamed = [
        pair_distances(np.stack([rng.permutation(row) for row in histograms]))
        for _ in range(repeats)
    ]
    dealt = rng.permutation(labels)
    told = {}
    if groups is not None:
        told["group_distance"] = mean_distance(usage_by_group(labels, groups, n_labels))
        told["group_floor"] = _dealt_groups(labels, recording_ids, groups, n_labels, rng, repeats)
    return Reuse(
        histograms,
        pair_distances(histograms),
        shuffled_pairs(labels, recording_ids, n_labels, rng, repeats),
        np.mean(renamed, axis=0),
        _halves(labels, recording_ids, n_labels),
        shared_by_most(histograms),
        shared_by_most(usage_by_group(dealt, recording_ids, n_labels)),
        **told,
    )


def _halves(labels: np.ndarray, recording_ids: np.ndarray, n_labels: int) -> float:
    distances = []
    for name in np.unique(recording_ids):
        mine = labels[recording_ids == name]
        half = np.arange(len(mine)) >= len(mine) // 2
        distances.append(mean_distance(usage_by_group(mine, half, n_labels)))
    known = [distance for distance in distances if not np.isnan(distance)]
    return float(np.mean(known)) if known else float("nan")


def _dealt_groups(
    labels: np.ndarray,
    recording_ids: np.ndarray,
    groups: np.ndarray,
    n_labels: int,
    rng: np.random.Generator,
    repeats: int,
) -> float:
    """Mean distance between groups after whole recordings changed their group at random."""
    _, first, which = np.unique(recording_ids, return_index=True, return_inverse=True)
    found = [
        mean_distance(usage_by_group(labels, rng.permutation(groups[first])[which], n_labels))
        for _ in range(repeats)
    ]
    return float(np.mean(found))
