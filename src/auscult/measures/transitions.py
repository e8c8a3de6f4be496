"""Which direction follows which: counts, the order shuffled, and what one says about the next."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.store.source import VectorSource


def spread_blocks(n: int, most: int, length: int) -> Int[np.ndarray, " k"]:
    """Rows of unbroken blocks, evenly spread over ``n`` rows, at most ``most`` rows in all.

    A sample of single rows has no order left in it.
    """
    if n <= most:
        return np.arange(n)
    length = max(1, min(length, most))
    starts = np.linspace(0, n - length, max(1, most // length)).astype(np.int64)
    return np.unique(starts[:, None] + np.arange(length))


def successive(
    clips: Int[np.ndarray, " n"], frames: Int[np.ndarray, " n"], apart: int, step: int = 1
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Pair rows with the rows ``apart`` frames later in the same clip, over unbroken stretches.

    Args:
        clips: Number of the clip of each row; rows are in the order of the store.
        frames: Frame of each row within its clip.
        apart: Frames from one to the other.
        step: Frames from one stored frame to the next.
    """
    reach = max(1, apart // step)
    first = np.arange(max(len(frames) - reach, 0))
    later = first + reach
    # Frames ascend within a clip by at least a step, so this distance leaves no gap between.
    kept = (clips[first] == clips[later]) & (frames[later] - frames[first] == reach * step)
    return first[kept], later[kept]


@dataclass(frozen=True)
class Transitions:
    """How often one label follows another, beside a shuffled order (METHODS A-9, A-21).

    Attributes:
        counts: How often the column followed the row.
        shuffled: The same after labels were dealt out anew within each recording, on average.
        predictability: Share of the entropy of the next label that the present one removes, from 0
            (independent) to 1 (certain). Bias: above 0 by chance; more so with many labels.
        shuffled_predictability: The same for the shuffled order: the level of chance.
    """

    counts: Int[np.ndarray, "m m"]
    shuffled: Float[np.ndarray, "m m"]
    predictability: float
    shuffled_predictability: float

    @property
    def n(self) -> int:
        """Number of transitions."""
        return int(self.counts.sum())

    @property
    def probability(self) -> Float[np.ndarray, "m m"]:
        """Probability that the column follows the row; rows of zeros where nothing follows."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1))

    @property
    def log_ratio(self) -> Float[np.ndarray, "m m"]:
        """log2 of the counts over those of the shuffled order; rare pairs are held near 0."""
        return np.asarray(np.log2((self.counts + 1) / (self.shuffled + 1)))


def measure_transitions(
    labels: Int[np.ndarray, " n"],
    pairs: tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]],
    recordings: Shaped[np.ndarray, " n"],
    n_labels: int,
    rng: np.random.Generator,
    repeats: int = 10,
) -> Transitions:
    """Count which label follows which, and the same after shuffling the order of labels.

    Labels are shuffled within each recording: what differs between recordings stays, what follows
    from the order goes. Bias: neighbouring frames share input samples, so white noise has an order
    too; compare with it.

    Args:
        labels: One per row, below ``n_labels``; negative ones (standstill) are passed over.
        pairs: Rows and the rows that follow them, see :func:`successive`.
        recordings: Recording of each row.
        n_labels: Number of labels there may be.
        rng: Shuffles.
        repeats: Shuffles that are averaged.
    """
    _, groups = np.unique(recordings, return_inverse=True)
    known = np.flatnonzero(labels >= 0)
    counts = _count(labels, pairs, n_labels)
    shuffled, chance = np.zeros((n_labels, n_labels)), []
    by_group = known[np.argsort(groups[known], kind="stable")]
    for _ in range(repeats):
        order = np.lexsort((rng.random(len(by_group)), groups[by_group]))
        dealt = labels.copy()
        dealt[by_group] = labels[by_group[order]]
        once = _count(dealt, pairs, n_labels)
        shuffled += once
        chance.append(predictability(once))
    return Transitions(counts, shuffled / repeats, predictability(counts), float(np.mean(chance)))


def _count(
    labels: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], n_labels: int
) -> Int[np.ndarray, "m m"]:
    a, b = labels[pairs[0]], labels[pairs[1]]
    both = (a >= 0) & (b >= 0)
    cells = np.bincount(a[both] * n_labels + b[both], minlength=n_labels**2)
    return cells.reshape(n_labels, n_labels)


def predictability(counts: Int[np.ndarray, "m m"]) -> float:
    """Mutual information of row and column over the entropy of the column, 0 to 1.

    NaN without counts, or where only one column occurs.

    >>> predictability(np.array([[0, 5], [5, 0]]))
    1.0
    >>> predictability(np.array([[4, 4], [4, 4]]))
    0.0
    """
    total = counts.sum()
    if total == 0:
        return float("nan")
    joint = counts / total
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    entropy = _entropy(columns)
    if entropy <= 0:
        return float("nan")
    return float(np.clip((_entropy(rows) + entropy - _entropy(joint.ravel())) / entropy, 0, 1))


def _entropy(shares: np.ndarray) -> float:
    used = shares[shares > 0]
    return float(-np.sum(used * np.log2(used)))


def transitions_in(
    source: VectorSource,
    label: Callable[[np.ndarray], np.ndarray],
    n_labels: int,
    apart: int,
    rng: np.random.Generator,
    most: int = 60_000,
    step: int = 1,
) -> Transitions:
    """Count what follows what in a store or its generators, over unbroken blocks of it.

    Args:
        source: Vectors in the order of time.
        label: Gives each vector its label, below ``n_labels``; negative ones are passed over.
        n_labels: Number of labels there may be.
        apart: Frames from one vector to its successor.
        rng: Shuffles.
        most: Vectors looked at.
        step: Frames from one stored frame to the next.
    """
    rows = spread_blocks(source.n_vectors, most, max(256, 8 * apart))
    clip_ids, frames = source.locate(rows)
    clips = np.unique(clip_ids, return_inverse=True)[1].astype(np.int64)
    pairs = successive(clips, np.asarray(frames, dtype=np.int64), apart, step)
    return measure_transitions(label(source.rows(rows)), pairs, clips, n_labels, rng)
