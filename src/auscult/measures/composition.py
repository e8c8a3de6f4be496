"""Whether components of a sound are separable and stable directions (METHODS B-6).

A sound is one vector here: what a layer says, pooled over time. A component (a partial, a note, a
timbre, a chord's quality) is compositional as far as adding it moves the vector by the same amount
in any company, sums of sounds are sums of moves, and a readout learned on components alone works in
mixtures. Each score is read against the same number with the components' names shuffled.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from auscult.core.errors import NothingToMeasureError

_RIDGES = np.logspace(-3, 4, 15)


@dataclass(frozen=True)
class Score:
    """A score with the same score under shuffled names.

    Attributes:
        value: At most 1.
        null: What it is when names say nothing.
        each: Part of every item, for intervals; their mean is ``value``.
    """

    value: float
    null: float
    each: Float[np.ndarray, " item"]

    @property
    def corrected(self) -> float:
        """What is left beyond the null, 1 for a perfect score and 0 for what shuffling gives."""
        return float(beyond(np.array(self.value), self.null))

    @property
    def corrected_each(self) -> Float[np.ndarray, " item"]:
        """The same for every item."""
        return beyond(self.each, self.null)


def beyond(values: Float[np.ndarray, "*n"], null: float) -> Float[np.ndarray, "*n"]:
    """``(value - null) / (1 - null)``: the share of what the null leaves open.

    >>> beyond(np.array([0.5, 1.0]), 0.5).tolist()
    [0.0, 1.0]
    """
    if null >= 1 - 1e-9:
        return np.zeros_like(values)
    return np.asarray((values - null) / (1 - null))


def stability(moves: Float[np.ndarray, "item context d"]) -> Score:
    """Mean cosine between the moves that one component makes in different contexts.

    The null takes the second move from another component. Bias: where all components share a
    direction ("something was added"), both are high; read :attr:`Score.corrected`.

    Args:
        moves: How far component ``i`` moved the vector in context ``c``, averaged over draws.

    Raises:
        NothingToMeasureError: There are fewer than two components or contexts.
    """
    n_items, n_contexts, _ = moves.shape
    if n_items < 2 or n_contexts < 2:
        raise NothingToMeasureError("stability needs two components and two contexts")
    length = np.linalg.norm(moves, axis=-1, keepdims=True)
    unit = np.divide(moves, length, out=np.zeros_like(moves), where=length > 0)
    own, other = np.zeros(n_items), 0.0
    pairs = list(combinations(range(n_contexts), 2))
    for a, b in pairs:
        cosines = unit[:, a] @ unit[:, b].T
        own += np.diag(cosines) / len(pairs)
        off = cosines.sum() - np.trace(cosines)
        other += float(off) / (n_items * (n_items - 1)) / len(pairs)
    return Score(float(own.mean()), other, own)


def additivity(
    both: Float[np.ndarray, "pair d"],
    first: Float[np.ndarray, "pair d"],
    second: Float[np.ndarray, "pair d"],
    silence: Float[np.ndarray, " d"],
    rng: np.random.Generator,
) -> Score:
    """``1 - |z(a+b) - z(a) - z(b) + z(0)|² / |z(a+b) - z(0)|²``, averaged over pairs.

    1 for a linear layer read by its mean. Not bounded below; pairs count from -1 on, so that a
    silent sum does not decide. The null adds the second part of another pair.
    """
    order = _derangement(len(both), rng)

    def each(part: np.ndarray) -> np.ndarray:
        error = np.square(both - first - part + silence).sum(-1)
        total = np.square(both - silence).sum(-1)
        share = np.divide(error, total, out=np.full_like(error, 2.0), where=total > 0)
        return np.asarray(np.maximum(1 - share, -1.0))

    own, null = each(second), each(second[order])
    return Score(float(own.mean()), float(null.mean()), own)


@dataclass(frozen=True)
class Analogy:
    """Whether moving any item by a step is the same move.

    Attributes:
        cosine: Between the moves of different items by one step, beside the same with items
            shuffled.
        retrieval: Share of items that the mean move of the others takes nearest to the right item.
        chance: Of the retrieval.
    """

    cosine: Score
    retrieval: float
    chance: float


def analogy(
    items: Float[np.ndarray, "item d"], steps: tuple[int, ...], rng: np.random.Generator
) -> Analogy:
    """Transposition as a vector: ``z(p + k) - z(p)`` for items ``p`` in order (pitches).

    Raises:
        NothingToMeasureError: A step leaves fewer than three pairs.
    """
    n = len(items)
    if n - max(steps) < 3:
        raise NothingToMeasureError("transposition needs at least three pairs of pitches")
    cosines, nulls, hits = [], [], []
    for step in steps:
        moves = items[step:] - items[:-step]
        cosines.append(_mean_cosines(moves))
        order = _derangement(n, rng)
        nulls.append(_mean_cosines(items[order][step:] - items[order][:-step]).mean())
        for p, move in enumerate(moves):
            others = (moves.sum(0) - move) / (len(moves) - 1)
            distance = np.square(items - (items[p] + others)).sum(-1)
            distance[p] = np.inf
            hits.append(int(distance.argmin()) == p + step)
    own = np.concatenate(cosines)
    score = Score(float(own.mean()), float(np.mean(nulls)), own)
    return Analogy(score, float(np.mean(hits)), 1 / (n - 1))


def found_components(
    train: Float[np.ndarray, "n d"],
    train_present: Bool[np.ndarray, "n item"],
    test: Float[np.ndarray, "m d"],
    test_present: Bool[np.ndarray, "m item"],
) -> Float[np.ndarray, " m"]:
    """Share of the components of each test sound that a linear readout names.

    One ridge readout per component, its penalty chosen by leave-one-out error on the training
    sounds; of a sound with n components the n highest count as named (they must tell, not how
    many). Chance is n over the number of components.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    readout = RidgeCV(alphas=_RIDGES).fit(scaler.transform(train), train_present.astype(np.float64))
    told = readout.predict(scaler.transform(test)).reshape(len(test), -1)
    counts = test_present.sum(1)
    rank = np.argsort(np.argsort(-told, axis=1, kind="stable"), axis=1, kind="stable")
    named = (rank < counts[:, None]) & test_present
    return np.asarray(named.sum(1) / np.maximum(counts, 1))


def sums_of_parts(
    present: Bool[np.ndarray, "n item"],
    vectors: Float[np.ndarray, "n d"],
    held_out: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Score:
    """How well unseen sums (chords) are a sum of one vector per part (note), fitted on others.

    R² against the mean of the training sums, over all dimensions; at most 1, items below -1 count
    as -1. The null shuffles which parts belong to which training sum.

    Args:
        present: Which parts each sum has.
        vectors: What the layer says to each sum.
        held_out: The sums that it is judged on.
        rng: Shuffles.
    """
    from sklearn.linear_model import RidgeCV

    seen = ~held_out
    centre = vectors[seen].mean(0)

    def each(parts: NDArray[np.bool_]) -> np.ndarray:
        fitted = RidgeCV(alphas=_RIDGES).fit(parts.astype(np.float64), vectors[seen])
        guess = fitted.predict(present[held_out].astype(np.float64))
        error = np.square(vectors[held_out] - guess).sum(-1)
        total = np.square(vectors[held_out] - centre).sum(-1)
        share = np.divide(error, total, out=np.full_like(error, 2.0), where=total > 0)
        return np.asarray(np.maximum(1 - share, -1.0))

    own = each(present[seen])
    null = np.mean([each(present[seen][rng.permutation(seen.sum())]).mean() for _ in range(8)])
    return Score(float(own.mean()), float(null), own)


def _mean_cosines(moves: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Of each move, the mean cosine with the others."""
    length = np.linalg.norm(moves, axis=-1, keepdims=True)
    unit = np.divide(moves, length, out=np.zeros_like(moves), where=length > 0)
    cosines = unit @ unit.T
    return np.asarray((cosines.sum(1) - np.diag(cosines)) / (len(moves) - 1))


def _derangement(n: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """An order in which nothing stays in place."""
    if n < 2:
        raise NothingToMeasureError("shuffling needs at least two items")
    order = rng.permutation(n)
    shifted = np.empty(n, dtype=np.int64)
    shifted[order] = np.roll(order, 1)
    return shifted
