"""Whether specific neurons are more than labels dealt out at random would give (METHODS D-1)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from auscult.core.errors import NothingToMeasureError
from auscult.measures.firing import ClipFiring
from auscult.measures.selectors import Dealt, Rule, Selector

_EDGES = np.linspace(-10, 40, 5001)


def deal_labels(
    labels: Int[np.ndarray, " clip"],
    recording_ids: Shaped[np.ndarray, " clip"],
    rng: np.random.Generator,
    n: int,
) -> Dealt:
    """The true labels first, then n ways of dealing them out among recordings anew.

    All clips of a recording keep one label: clips of one recording resemble each other, and labels
    dealt out among clips would make a null that anything beats.

    Raises:
        NothingToMeasureError: Clips of one recording have different labels.
    """
    _, first, which = np.unique(recording_ids, return_index=True, return_inverse=True)
    own = labels[first]
    if not np.array_equal(own[which], labels):
        raise NothingToMeasureError("clips of one recording have different labels")
    return np.stack([labels, *(rng.permutation(own)[which] for _ in range(n))])


def benjamini_hochberg(p_values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Adjusted p-values: those at most α are found with a false-discovery rate of α.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    flat = p_values.reshape(-1)
    order = np.argsort(flat, kind="stable")[::-1]
    n = len(flat)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum.accumulate(flat[order] * n / np.arange(n, 0, -1))
    return np.asarray(np.minimum(adjusted, 1).reshape(p_values.shape))


@dataclass(frozen=True)
class Significance:
    """Scores beside those under dealt labels; a score's height is in deviations of its own null.

    Attributes:
        scores: Under the true labels; one cell per class, or one in all.
        p_values: That dealt labels give as high a score. Where some deal reached a neuron's score,
            at least its own share of deals; beyond, from the heights of all neurons together, which
            can tell more than a few hundred deals of one. Bias: there it assumes that the neurons'
            nulls have one shape.
        q_values: Adjusted for the number of cells (Benjamini and Hochberg).
        false_share: Cells as high in the 95th percentile of deals, as a share of the cells as high
            under the true labels: what of a finding could be chance, though nulls differ in shape
            and neurons are copies of each other.
    """

    scores: Float[np.ndarray, "neuron cell"]
    p_values: Float[np.ndarray, "neuron cell"]
    q_values: Float[np.ndarray, "neuron cell"]
    false_share: Float[np.ndarray, "neuron cell"]

    def found(self, rate: float = 0.05) -> Bool[np.ndarray, "neuron cell"]:
        """Which cells are found at a false-discovery rate, by both ways of counting."""
        return np.asarray((self.q_values <= rate) & (self.false_share <= rate))


def significance(
    selector: Selector, table: ClipFiring, dealt: Dealt, n_classes: int
) -> Significance:
    """Test every neuron against dealt labels, block by block.

    Args:
        selector: Scores them.
        table: Clip by clip.
        dealt: The true labels, then the null (:func:`deal_labels`).
        n_classes: Number of classes.

    Raises:
        NothingToMeasureError: There are fewer than 20 deals, which can show nothing.
    """
    n_deals = len(dealt) - 1
    if n_deals < 20:
        raise NothingToMeasureError(f"{n_deals} ways of dealing labels are too few for a null")
    selector.prepare(table)
    scores, heights, reached = [], [], []
    counts = np.zeros((n_deals, len(_EDGES) - 1), dtype=np.int64)
    for block in table.blocks():
        found = selector.scores(block, dealt, n_classes)
        own, null = found[0], found[1:]
        # With the true labels among them all are exchangeable: without, they alone would stick out.
        mean, deviation = found.mean(0), found.std(0)
        flat = deviation <= 1e-12 * np.maximum(np.abs(mean), 1e-12)
        scale = np.where(flat, np.inf, deviation)
        for row, deal in zip(counts, (null - mean) / scale, strict=True):
            row += np.bincount(_bins(deal).reshape(-1), minlength=len(row))
        scores.append(own)
        heights.append((own - mean) / scale)
        reached.append((null >= own - 1e-9 * np.maximum(np.abs(own), 1e-9)).sum(0))
    bins = _bins(np.concatenate(heights))
    p_values = _p_values(bins, np.concatenate(reached), counts.sum(0), n_deals)
    return Significance(
        np.concatenate(scores), p_values, benjamini_hochberg(p_values), _false_share(bins, counts)
    )


def _bins(heights: np.ndarray) -> np.ndarray:
    """The narrow bin of each height; what lies beyond the edges is in the outermost."""
    width = _EDGES[1] - _EDGES[0]
    found = np.floor((heights - _EDGES[0]) / width + 1e-9).astype(np.int64)
    return np.asarray(np.clip(found, 0, len(_EDGES) - 2))


def _at_least(counts: np.ndarray) -> np.ndarray:
    # The bin that a height lies in counts as a whole: nothing is too small by the binning.
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]


def _p_values(bins: np.ndarray, reached: np.ndarray, counts: np.ndarray, n: int) -> np.ndarray:
    as_high = _at_least(counts)
    pooled = (1 + as_high[bins]) / (1 + as_high[0])
    single = (1 + reached) / (1 + n)
    return np.asarray(np.where(reached > 0, np.maximum(single, pooled), pooled))


def _false_share(bins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    own = _at_least(np.bincount(bins.reshape(-1), minlength=counts.shape[1]))
    by_chance = np.quantile(_at_least(counts), 0.95, axis=0, method="higher")
    share = np.divide(by_chance, own, out=np.full(len(own), np.inf), where=own > 0)
    # A height is found as soon as some lower bar that it clears is a clean one.
    return np.asarray(np.minimum.accumulate(share)[bins])


@dataclass(frozen=True)
class RuleUnderDealing:
    """What a rule selects when labels are dealt out anew.

    Attributes:
        coverage: Share of the classes that have a neuron, for each deal.
        n_memberships: Pairs of neuron and class, for each deal.
    """

    coverage: Float[np.ndarray, " deal"]
    n_memberships: Int[np.ndarray, " deal"]


def rule_under_dealing(
    selector: Selector, table: ClipFiring, dealt: Dealt, n_classes: int, rule: Rule
) -> RuleUnderDealing:
    """Apply a selector's whole rule to the dealt labels; the true ones, first, are passed over."""
    members = list(_members(selector, table, dealt[1:], n_classes, rule))
    return RuleUnderDealing(
        np.array([coverage(one) for one in members]), np.array([int(one.sum()) for one in members])
    )


def _members(
    selector: Selector, table: ClipFiring, dealt: Dealt, n_classes: int, rule: Rule
) -> Iterator[np.ndarray]:
    for labels in dealt:
        yield selector.members(table, labels, n_classes, rule)


def coverage(members: Bool[np.ndarray, "neuron class"]) -> float:
    """Share of the classes that have at least one neuron (METHODS D-3)."""
    return float(members.any(0).mean())
