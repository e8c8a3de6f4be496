"""Which features carry a concept: contributions to the logits of a linear probe (METHODS C-6)."""

import numpy as np
from jaxtyping import Float, Int

from auscult.core.errors import ConfigError


def centred(weights: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "k m"]:
    """Take the mean over classes off: a softmax does not see what all its logits share.

    Without this, contributions depend on where the optimiser happened to start.
    """
    return np.asarray(weights - weights.mean(axis=0))


def class_contributions(
    weights: Float[np.ndarray, "k m"],
    acts: Float[np.ndarray, "n m"],
    labels: Int[np.ndarray, " n"],
) -> Float[np.ndarray, "k m"]:
    """Mean of W[k, j] · act[j] over the frames of class k; NaN for a class without frames.

    W is centred over classes first; see :func:`centred`.
    """
    free = centred(weights)
    counts = np.bincount(labels[labels >= 0], minlength=len(weights))
    sums = np.zeros(weights.shape)
    np.add.at(sums, labels[labels >= 0], acts[labels >= 0].astype(np.float64))
    means = np.divide(
        sums, counts[:, None], out=np.full(sums.shape, np.nan), where=counts[:, None] > 0
    )
    return np.asarray(free * means)


def importance(
    contributions: Float[np.ndarray, "k m"], labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """How much each feature moves the logit of the class that is there: mean over frames of |c|."""
    counts = np.bincount(labels[labels >= 0], minlength=len(contributions)).astype(float)
    shares = counts / max(counts.sum(), 1.0)
    return np.asarray(shares @ np.abs(np.nan_to_num(contributions)))


def classes_per_feature(contributions: Float[np.ndarray, "k m"]) -> Float[np.ndarray, " m"]:
    """For how many classes a feature speaks: exp of the entropy of its positive contributions.

    From 1 (one class alone) to the number of classes; NaN for a feature that speaks for none.
    """
    positive = np.maximum(np.nan_to_num(contributions), 0.0)
    total = positive.sum(axis=0)
    shares = positive / np.where(total > 0, total, 1.0)
    safe = np.where(shares > 0, shares, 1.0)
    entropy = -(shares * np.log(safe)).sum(axis=0)
    return np.asarray(np.where(total > 0, np.exp(entropy), np.nan))


def top(scores: Float[np.ndarray, " m"], n: int) -> Int[np.ndarray, " n"]:
    """The ``n`` greatest, greatest first; of equal ones the first."""
    return np.argsort(-scores, kind="stable")[:n]


def jaccard(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " m"]) -> float:
    """Shared over all: 0 without overlap, 1 for equal sets; NaN for two empty ones.

    >>> jaccard(np.array([1, 2, 3]), np.array([2, 3, 4]))
    0.5
    """
    both, either = len(np.intersect1d(a, b)), len(np.union1d(a, b))
    return both / either if either else float("nan")


def jaccard_by_chance(n_all: int, n: int, m: int) -> float:
    """Mean overlap of two sets drawn at random from as many things (hypergeometric).

    >>> round(jaccard_by_chance(10, 5, 5), 3)
    0.35

    Raises:
        ConfigError: A set is larger than what it is drawn from.
    """
    from scipy.stats import hypergeom

    if max(n, m) > n_all:
        raise ConfigError(f"sets of {n} and {m} cannot be drawn from {n_all} things")
    shared = np.arange(max(0, n + m - n_all), min(n, m) + 1)
    return float(hypergeom.pmf(shared, n_all, n, m) @ (shared / np.maximum(n + m - shared, 1)))
