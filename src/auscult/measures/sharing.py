"""Whether classes share neurons more than sets of their sizes would by chance (METHODS D-4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.core.errors import NothingToMeasureError

Members = Bool[np.ndarray, "neuron class"]
Square = Float[np.ndarray, "class class2"]


@dataclass(frozen=True)
class Shared:
    """Overlaps of the neuron sets of classes, row classes against column classes.

    Attributes:
        jaccard: |A ∩ B| / |A ∪ B|, the common-neuron ratio; NaN where both are empty.
        anywhere: What it is on average for sets of these sizes drawn from all neurons.
        within: The same for sets with as many neurons of each layer as these have.
        p_anywhere: That such sets share as many neurons.
        p_within: The same within layers.
    """

    jaccard: Square
    anywhere: Square
    within: Square
    p_anywhere: Square
    p_within: Square


def shared(one: Members, other: Members, layer_of: Int[np.ndarray, " neuron"]) -> Shared:
    """Compare every set of one task with every set of another (or of the same).

    Args:
        one: The sets of the rows.
        other: The sets of the columns.
        layer_of: Layer of each neuron.
    """
    shape = (one.shape[1], other.shape[1])
    found = {name: np.full(shape, np.nan) for name in Shared.__annotations__}
    layers = np.unique(layer_of)
    sizes = np.array([(layer_of == layer).sum() for layer in layers])
    first, second = (
        np.stack([members[layer_of == layer].sum(0) for layer in layers])
        for members in (one, other)
    )
    for row in range(shape[0]):
        for column in range(shape[1]):
            a, b = first[:, row], second[:, column]
            if a.sum() + b.sum() == 0:
                continue
            common = int((one[:, row] & other[:, column]).sum())
            total = int(a.sum() + b.sum())
            everywhere = overlap_chances(
                sizes.sum(keepdims=True), a.sum(keepdims=True), b.sum(keepdims=True)
            )
            layered = overlap_chances(sizes, a, b)
            found["jaccard"][row, column] = common / (total - common)
            for name, chances in (("anywhere", everywhere), ("within", layered)):
                k = np.arange(len(chances))
                found[name][row, column] = float((chances * k / (total - k)).sum())
                found[f"p_{name}"][row, column] = min(1.0, float(chances[common:].sum()))
    return Shared(**found)


def overlap_chances(
    sizes: Int[np.ndarray, " layer"], a: Int[np.ndarray, " layer"], b: Int[np.ndarray, " layer"]
) -> Float[np.ndarray, " overlap"]:
    """Probability of each overlap of two independent sets, drawn layer by layer.

    The overlap within a layer is hypergeometric; over layers it is their sum.

    Args:
        sizes: Neurons of each layer.
        a: Of them in the first set.
        b: Of them in the second.
    """
    from scipy.stats import hypergeom

    chances = np.ones(1)
    for size, first, second in zip(sizes, a, b, strict=True):
        if first and second:
            k = np.arange(min(first, second) + 1)
            chances = np.convolve(chances, hypergeom.pmf(k, size, first, second))
    return chances


def off_diagonal(values: Square) -> Float[np.ndarray, " pair"]:
    """One value a pair of different classes."""
    return values[np.triu_indices(len(values), 1)]


@dataclass(frozen=True)
class Mantel:
    """Rank correlation of two matrices over classes.

    Attributes:
        correlation: Spearman's, over pairs of classes.
        p_value: That classes in another order give as high a one in size (two-sided).
    """

    correlation: float
    p_value: float


def mantel(one: Square, other: Square, rng: np.random.Generator, n: int = 1000) -> Mantel:
    """Correlate two symmetric matrices; pairs share classes, so that only classes are permuted.

    Raises:
        NothingToMeasureError: Fewer than four classes, or a matrix without differences.
    """
    from scipy.stats import rankdata

    if len(one) < 4:
        raise NothingToMeasureError(f"{len(one)} classes have too few pairs to correlate")
    first, second = (np.nan_to_num(values) for values in (one, other))
    upper = np.triu_indices(len(first), 1)
    ranks = np.zeros_like(second)
    ranks[upper] = rankdata(second[upper])
    ranks = ranks + ranks.T
    fixed = rankdata(first[upper])
    if np.ptp(fixed) == 0 or np.ptp(ranks[upper]) == 0:
        raise NothingToMeasureError("one of the two matrices has one value only")

    def correlation(order: np.ndarray) -> float:
        return float(np.corrcoef(fixed, ranks[np.ix_(order, order)][upper])[0, 1])

    own = correlation(np.arange(len(first)))
    null = [abs(correlation(rng.permutation(len(first)))) for _ in range(n)]
    return Mantel(own, (1 + sum(value >= abs(own) - 1e-12 for value in null)) / (1 + n))


@dataclass(frozen=True)
class Tree:
    """Classes joined two by two, the most alike first (average linkage).

    Attributes:
        merges: scipy's linkage matrix on 1 − Jaccard.
        order: Classes from left to right.
        clades: The classes below each join.
        support: Share of the resamplings of recordings in which each join is there again.
    """

    merges: Float[np.ndarray, "join 4"]
    order: Int[np.ndarray, " class"]
    clades: tuple[frozenset[int], ...]
    support: Float[np.ndarray, " join"]


def tree(
    jaccard: Square, resampled: Callable[[np.random.Generator], Square],
    rng: np.random.Generator, n: int = 100,
) -> Tree:  # fmt: skip
    """Cluster classes by the neurons they share, and say which joins would stand again.

    Args:
        jaccard: Of the classes.
        resampled: The same from recordings drawn with replacement.
        rng: Draws them.
        n: Number of resamplings.
    """
    merges, order, clades = _joined(jaccard)
    counts = np.zeros(len(clades))
    for _ in range(n):
        again = set(_joined(resampled(rng))[2])
        counts += np.array([clade in again for clade in clades])
    return Tree(merges, order, clades, counts / n)


def _joined(jaccard: Square) -> tuple[np.ndarray, np.ndarray, tuple[frozenset[int], ...]]:
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - np.nan_to_num(jaccard)
    np.fill_diagonal(distance, 0)
    merges = linkage(squareform((distance + distance.T) / 2, checks=False), "average")
    below: list[frozenset[int]] = [frozenset([i]) for i in range(len(jaccard))]
    for a, b, *_ in merges:
        below.append(below[int(a)] | below[int(b)])
    return merges, leaves_list(merges), tuple(below[len(jaccard) :])


def branches(found: Tree, names: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Each join as a line to draw: places, heights, and what it joins with its support."""
    n = len(names)
    place = {int(leaf): float(x) for x, leaf in enumerate(found.order)}
    height = dict.fromkeys(range(n), 0.0)
    lines = []
    for join, (a, b, h, _) in enumerate(found.merges):
        left, right = sorted((int(a), int(b)), key=place.__getitem__)
        x = np.array([place[left], place[left], place[right], place[right]])
        y = np.array([height[left], h, h, height[right]])
        place[n + join], height[n + join] = float(x.mean()), float(h)
        told = " + ".join(names[i] for i in found.order if int(i) in found.clades[join])
        lines.append((x, y, f"{told} ({found.support[join]:.0%})"))
    return lines
