"""Do two dictionaries hold the same atoms? And how often would chance say so?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int64

from auscult.core.errors import ConfigError, WidthError
from auscult.dictionaries.spectrum import (
    effective_dimension,
    principal_directions,
    random_unit_rows,
)

Match = Literal["one-to-one", "nearest"]
"""Whether an atom may be the partner of one other only (Hungarian), or of many (top-1)."""

Rows = Float[np.ndarray, "n d"]
Others = Float[np.ndarray, "m other_d"]


@dataclass(frozen=True)
class Agreement:
    """How far several dictionaries agree, beside what chance gives.

    Attributes:
        cosine: Mean cosine after matching, over all pairs of dictionaries; in [-1, 1], 1 is full
            agreement. It rises with the number of atoms and as the dimension falls, whatever the
            atoms are.
        pairs: The same for each pair.
        isotropic_chance: For random directions spread evenly over ``d_effective`` dimensions.
        shaped_chance: For random directions distributed as the vectors are (the same covariance):
            the stricter of the two where few directions dominate.
        above_chance: ``(cosine - chance) / (1 - chance)`` with the larger chance: 0 at chance, 1 at
            full agreement, negative below it, NaN where chance is 1 already. Cautious: atoms that
            leave the few dominant directions agree less by chance than both figures say, so put the
            agreement of ``random`` dictionaries in the subspace beside it.
        d_effective: Participation ratio of the vectors' covariance, rounded.
        n_atoms: Atoms of each dictionary that were compared.
    """

    cosine: float
    pairs: tuple[float, ...]
    isotropic_chance: float
    shaped_chance: float
    above_chance: float
    d_effective: int
    n_atoms: int


def matched_cosine(
    a: Rows,
    b: Others,
    top: int | None = None,
    signed: bool = False,
    match: Match = "one-to-one",
) -> float:
    """Mean cosine of atoms with their partners in another dictionary.

    Args:
        a: Atoms as rows, of any length, those used most first if ``top`` is given.
        b: Others, of the same width.
        top: Compare only so many rows from the beginning of each.
        signed: An atom and its opposite are the same: match by magnitude.
        match: ``one-to-one`` maximises the sum over disjoint pairs (Hungarian; with unequal numbers
            the rest of the larger stays alone); ``nearest`` gives each row of ``a`` its best in
            ``b``.

    Raises:
        WidthError: Atoms of different widths.
    """
    cosines = _cosines(a[:top], b[:top])
    return _matched(np.abs(cosines) if signed else cosines, match)


def matching(
    a: Rows, b: Others, signed: bool = False
) -> tuple[Int64[np.ndarray, " n_pairs"], Int64[np.ndarray, " n_pairs"]]:
    """Rows of ``a`` and their partners in ``b``, one to one, for the largest sum of cosines."""
    from scipy.optimize import linear_sum_assignment

    cosines = _cosines(a, b)
    rows, columns = linear_sum_assignment(np.abs(cosines) if signed else cosines, maximize=True)
    return np.asarray(rows, np.int64), np.asarray(columns, np.int64)


def chance_matched_cosine(
    d_effective: int,
    n_a: int,
    n_b: int,
    rng: np.random.Generator,
    signed: bool = False,
    match: Match = "one-to-one",
    repeats: int = 20,
) -> float:
    """What :func:`matched_cosine` gives for random directions (METHODS A-10).

    Raises:
        ConfigError: There is no such dimension.
    """
    if d_effective < 1:
        raise ConfigError(f"directions need at least one dimension, not {d_effective}")
    basis = np.eye(d_effective)
    return _chance(basis, np.ones(d_effective), n_a, n_b, rng, signed, match, repeats)


def agreement(
    dictionaries: Sequence[Rows],
    covariance: Float[np.ndarray, "d d"],
    rng: np.random.Generator,
    usages: Sequence[Float[np.ndarray, " n"]] | None = None,
    top: int | None = None,
    signed: bool = False,
    match: Match = "one-to-one",
) -> Agreement:
    """Compare dictionaries of different seeds with each other and with chance.

    Args:
        dictionaries: Atoms of each, at least two.
        covariance: Of the vectors that they were trained on.
        rng: Draws the random directions.
        usages: Of each feature, to compare the most used only.
        top: How many of these; all when None.
        signed: An atom and its opposite are the same.
        match: See :func:`matched_cosine`.

    Raises:
        ConfigError: Fewer than two dictionaries, or ``top`` without usages.
    """
    if len(dictionaries) < 2:
        raise ConfigError("agreement needs dictionaries of at least two seeds: add a seed")
    if top is not None and usages is None:
        raise ConfigError("the most used atoms can only be chosen by usage: give usages")
    ranked = [
        atoms if usages is None else atoms[np.argsort(-usages[i], kind="stable")]
        for i, atoms in enumerate(dictionaries)
    ]
    pairs = tuple(matched_cosine(a, b, top, signed, match) for a, b in combinations(ranked, 2))
    n_a, n_b = (min(len(atoms), top or len(atoms)) for atoms in ranked[:2])
    d_effective = max(1, round(effective_dimension(covariance).participation_ratio))
    isotropic = chance_matched_cosine(d_effective, n_a, n_b, rng, signed, match)
    values, rows = principal_directions(covariance)
    spread = np.sqrt(values) if values.any() else np.ones(len(values))
    shaped = _chance(rows, spread, n_a, n_b, rng, signed, match, repeats=20)
    cosine, chance = float(np.mean(pairs)), max(isotropic, shaped)
    above = (cosine - chance) / (1.0 - chance) if chance < 1.0 else float("nan")
    return Agreement(cosine, pairs, isotropic, shaped, above, d_effective, n_a)


def _chance(
    basis: Float64[np.ndarray, "rank d"],
    spread: Float64[np.ndarray, " rank"],
    n_a: int,
    n_b: int,
    rng: np.random.Generator,
    signed: bool,
    match: Match,
    repeats: int,
) -> float:
    def draw(n: int) -> Rows:
        rows: np.ndarray = (random_unit_rows(rng, n, len(spread)) * spread) @ basis
        return rows

    return float(
        np.mean([matched_cosine(draw(n_a), draw(n_b), None, signed, match) for _ in range(repeats)])
    )


def _matched(cosines: Float64[np.ndarray, "n m"], match: Match) -> float:
    if match == "nearest":
        return float(cosines.max(1).mean())
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cosines, maximize=True)
    return float(cosines[rows, columns].mean())


def _cosines(a: Rows, b: Others) -> Float64[np.ndarray, "n m"]:
    """Cosines of all pairs; a row of zeros has cosine 0 with everything."""
    if a.shape[1] != b.shape[1]:
        raise WidthError(
            f"atoms of width {a.shape[1]} cannot be compared with atoms of width {b.shape[1]}"
        )

    def unit(rows: Float[np.ndarray, "k d"]) -> Float64[np.ndarray, "k d"]:
        wide = np.asarray(rows, np.float64)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        scaled: np.ndarray = wide / np.where(lengths > 0, lengths, 1.0)
        return scaled

    cosines: np.ndarray = unit(a) @ unit(b).T
    return cosines
