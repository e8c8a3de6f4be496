"""Two sets of directions: cosines, matching, and the level of chance (METHODS A-10)."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from auscult.core.errors import ConfigError, WidthError
from auscult.measures.geometry import unit_rows


def cosine_matrix(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d_other"], signed: bool = False
) -> Float[np.ndarray, "n m"]:
    """Cosine of every row of one set with every row of the other; absolute when ``signed``.

    Raises:
        WidthError: The two come from different taps.
    """
    if a.shape[1] != b.shape[1]:
        raise WidthError(
            f"atoms of width {a.shape[1]} cannot be compared with atoms of width {b.shape[1]}"
        )
    cosines = unit_rows(a.astype(np.float64)) @ unit_rows(b.astype(np.float64)).T
    return np.asarray(np.abs(cosines) if signed else cosines)


def match_atoms(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d_other"], signed: bool = False
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Pair two sets of directions one to one so that the sum of cosines is largest (METHODS A-10).

    Returns:
        Row in ``a``, row in ``b`` and cosine of each of the min(n, m) pairs.
    """
    from scipy.optimize import linear_sum_assignment

    cosines = cosine_matrix(a, b, signed)
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    return rows, columns, cosines[rows, columns]


def matched_cosine(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d_other"], signed: bool = False
) -> float:
    """Mean cosine after one-to-one matching (METHODS A-10); compare with :func:`chance_cosine`."""
    return float(match_atoms(a, b, signed)[2].mean())


def top_cosine(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d_other"], signed: bool = False
) -> float:
    """Mean over ``a`` of the highest cosine with any row of ``b`` (METHODS A-16).

    Bias: grows with the size of ``b``; compare with :func:`chance_cosine` of kind ``top``.
    """
    return float(cosine_matrix(a, b, signed).max(axis=1).mean())


def random_directions(
    n: int, d: int, rng: np.random.Generator, basis: Float[np.ndarray, "d d_in"] | None = None
) -> Float[np.ndarray, "n width"]:
    """Isotropic unit vectors, in d dimensions or within the span of ``basis`` (METHODS §1.3, 2).

    Args:
        n: How many.
        d: Dimension they are drawn in.
        rng: Draws them.
        basis: Orthonormal rows that carry them into the space of the data.
    """
    directions = unit_rows(rng.standard_normal((n, d)))
    return directions if basis is None else directions @ basis


def chance_cosine(
    d: int | float,
    n_a: int,
    n_b: int,
    kind: Literal["matched", "top"] = "matched",
    *,
    rng: np.random.Generator,
    repeats: int = 100,
    signed: bool = False,
) -> float:
    """Cosine that two sets of random directions reach (METHODS A-10, the table of chance levels).

    Args:
        d: Effective dimension of the data, at least 1; between integers the answer is interpolated.
        n_a: Directions in the first set.
        n_b: Directions in the second set.
        kind: ``matched`` one to one, or the nearest (``top``) of ``n_b`` for each of ``n_a``.
        rng: Draws the directions.
        repeats: Pairs of sets that are averaged.
        signed: A direction also stands for its opposite.
    """
    if d < 1:
        raise ConfigError(f"chance needs a dimension of at least 1, got {d}")
    below, part = int(np.floor(d)), float(d - np.floor(d))
    measure = matched_cosine if kind == "matched" else top_cosine
    levels = [
        np.mean(
            [
                measure(random_directions(n_a, k, rng), random_directions(n_b, k, rng), signed)
                for _ in range(repeats)
            ]
        )
        for k in ((below, below + 1) if part else (below,))
    ]
    return float(levels[0] + part * (levels[-1] - levels[0]))


def drawing_like(
    covariance: Float[np.ndarray, "d d"],
) -> Callable[[int, np.random.Generator], Float[np.ndarray, "n d"]]:
    """What draws Gaussian vectors of some data's covariance, so many at a time."""
    eigenvalues, basis = np.linalg.eigh(covariance)
    scale = np.sqrt(np.clip(eigenvalues, 0, None))

    def draw(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
        vectors: np.ndarray = (rng.standard_normal((n, len(scale))) * scale) @ basis.T
        return vectors

    return draw


def shaped_chance_cosine(
    covariance: Float[np.ndarray, "d d"],
    n: int,
    rng: np.random.Generator,
    signed: bool = False,
    repeats: int = 5,
) -> float:
    """Matched cosine between two sets of random vectors of the data's covariance (METHODS A-10).

    Isotropic chance asks for one number of dimensions; where a few directions dominate there is
    none, and the participation ratio gives a level that is too high.

    Args:
        covariance: Of the data.
        n: Vectors in each set.
        rng: Draws them.
        signed: Compare absolute cosines.
        repeats: Pairs of sets that are averaged over.
    """
    draw = drawing_like(covariance)
    pairs = ((draw(n, rng), draw(n, rng)) for _ in range(repeats))
    return float(np.mean([matched_cosine(a, b, signed) for a, b in pairs]))


def chance_corrected(value: float, chance: float, room: float = 0.0) -> float:
    """Place of a cosine between chance (0) and identity (1), (value - chance) / (1 - chance).

    Negative below chance (METHODS A-10); NaN when chance is already 1, or leaves no more than
    ``room`` below it: over so little the quotient says nothing but how small it is.

    >>> chance_corrected(0.9, 0.8), chance_corrected(0.9, 0.995, room=0.03)
    (0.5, nan)
    """
    return (value - chance) / (1 - chance) if 1 - chance > room else float("nan")
