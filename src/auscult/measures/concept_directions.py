"""Directions that a concept has among vectors, by several ways of asking (METHODS C-7, 8.4).

Rows whose concept has no value are left out. All directions point towards more of the concept.
"""

import numpy as np
from jaxtyping import Float, Shaped

from auscult.core.errors import NothingToMeasureError

_FEWEST = 50


def difference_of_means(
    x: Float[np.ndarray, "n d"], concept: Float[np.ndarray, " n"], tail: float = 0.25
) -> Float[np.ndarray, " d"]:
    """Mean vector of the rows with the most of a concept, minus that of those with the least.

    Bias: whatever goes along with the concept in these sounds is in the direction as well.

    Args:
        x: One vector a row.
        concept: Its value; NaN where there is none.
        tail: Share of the rows on each side.

    Raises:
        NothingToMeasureError: Fewer than 50 rows have a value, or all the same.
    """
    known, values = _known(concept)
    low, high = np.quantile(values, [tail, 1 - tail])
    if low == high:
        raise NothingToMeasureError("the concept hardly varies over these sounds")
    rows = x[known].astype(np.float64)
    return np.asarray(rows[values >= high].mean(0) - rows[values <= low].mean(0))


def others_held(
    x: Float[np.ndarray, "n d"], concepts: Float[np.ndarray, "n concept"], which: int
) -> Float[np.ndarray, " d"]:
    """How vectors change with one concept while the others stay: a regression of x on all of them.

    ``x ≈ x̄ + Σ_a b_a z_a`` by least squares, with standardised concepts z; the answer is b of one.
    Without other concepts it is along the covariance of x with it. What a difference of means
    takes from correlated concepts (louder voices are brighter) is left out here, as far as it is
    linear.

    Raises:
        NothingToMeasureError: Fewer than 50 rows have a value of every concept, or one is constant.
    """
    known = np.isfinite(concepts).all(1)
    if known.sum() < _FEWEST:
        raise NothingToMeasureError(f"only {int(known.sum())} frames have a value of every concept")
    z = concepts[known] - concepts[known].mean(0)
    spread = z.std(0)
    if np.any(spread == 0):
        raise NothingToMeasureError("a concept is the same in every frame")
    rows = x[known].astype(np.float64)
    solved, *_ = np.linalg.lstsq(z / spread, rows - rows.mean(0), rcond=None)
    return np.asarray(solved[which])


def readout(
    x: Float[np.ndarray, "n d"], concept: Float[np.ndarray, " n"], penalty: float = 1e-2
) -> Float[np.ndarray, " d"]:
    """Direction along which a linear readout of the concept grows fastest: ridge regression.

    ``(C + penalty · tr(C)/d · 1)^-1 c`` with C the covariance of x and c its covariance with the
    standardised concept. The direction that *reads* a concept best need not be the one that
    *writes* it: it also turns away from what disturbs the reading.

    Raises:
        NothingToMeasureError: Fewer than 50 rows have a value, or all the same.
    """
    known, values = _known(concept)
    spread = values.std()
    if spread == 0:
        raise NothingToMeasureError("the concept is the same in every frame")
    rows = x[known].astype(np.float64)
    rows = rows - rows.mean(0)
    covariance = rows.T @ rows / len(rows)
    ridge = penalty * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    together = rows.T @ ((values - values.mean()) / spread) / len(rows)
    return np.asarray(np.linalg.solve(covariance + ridge, together))


def shuffled_by_recording(
    concept: Float[np.ndarray, "n ..."],
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n ..."]:
    """Labels of other recordings: each recording's labels in order, but handed to another.

    The null of a direction that was learned from labels. Recordings are laid end to end in random
    order and their labels turned against them by at least the longest one, so no row has a label of
    its own recording, labels keep their course over time, and the whole its distribution. Where one
    recording is longer than all others together, the part of it that has no other is turned alone.
    """
    names, sizes = np.unique(recording_ids, return_counts=True)
    rows = np.concatenate([np.flatnonzero(recording_ids == n) for n in rng.permutation(names)])
    longest, most = int(sizes.max()), len(rows) - int(sizes.max())
    turn = int(rng.integers(longest, most + 1)) if longest <= most else len(rows) // 2
    shuffled = np.empty_like(concept)
    shuffled[rows] = concept[np.roll(rows, turn)]
    return shuffled


def isotropic(d: int, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
    """Random directions of unit length, none preferred."""
    drawn = rng.standard_normal((n, d))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def along_the_data(
    x: Float[np.ndarray, "m d"], n: int, rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """Random directions of unit length that lie as vectors do: weighted sums of centred rows.

    Their covariance is that of x, so they move what x moves most: a harder null than
    :func:`isotropic`.
    """
    centred = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    rows = rng.integers(0, len(x), (n, 32))
    weights = rng.standard_normal((n, 32))
    drawn = np.einsum("nk,nkd->nd", weights, centred[rows])
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _known(concept: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(concept)
    if known.sum() < _FEWEST:
        raise NothingToMeasureError(f"only {int(known.sum())} frames have a value of the concept")
    return known, concept[known]
