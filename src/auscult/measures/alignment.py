"""How near the most used directions of one set lie to those of another (METHODS A-16)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from auscult.measures.matching import cosine_matrix, match_atoms

Kind = Literal["all", "top", "matched"]
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Alignment:
    """Cosines of the most used directions, one row for each pair of sets.

    Attributes:
        nearest: With the nearest of all directions of the other set.
        among_top: With the nearest of as many most used ones.
        matched: With a partner of its own among as many most used ones.
    """

    nearest: Float[np.ndarray, "pair u"]
    among_top: Float[np.ndarray, "pair u"]
    matched: Float[np.ndarray, "pair u"]

    @property
    def n_used(self) -> int:
        """How many directions were compared."""
        return int(self.nearest.shape[1])

    def mean(self, kind: Kind | str) -> float:
        """Mean over directions and pairs.

        Bias: the more directions the other set has, and the fewer dimensions, the higher.
        """
        rows = {"all": self.nearest, "top": self.among_top, "matched": self.matched}
        return float(rows[kind].mean())


def align(pairs: Sequence[Pair], n_used: int, signed: bool = False) -> Alignment:
    """Compare pairs of sets of directions, each with its most used first.

    Args:
        pairs: One set, and the baseline.
        n_used: So many of the first are compared; at most as many as either set has.
        signed: A direction also stands for its opposite.
    """
    u = min(n_used, *(len(atoms) for pair in pairs for atoms in pair))
    nearest, among, matched = [], [], []
    for a, b in pairs:
        cosines = cosine_matrix(a[:u], b, signed)
        nearest.append(cosines.max(axis=1))
        among.append(cosines[:, :u].max(axis=1))
        matched.append(match_atoms(a[:u], b[:u], signed)[2])
    return Alignment(np.array(nearest), np.array(among), np.array(matched))


def shaped_directions(
    covariance: Float[np.ndarray, "d d"], n: int, rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """Random vectors with a covariance: what a dictionary that learned nothing else looks like."""
    energies, basis = np.linalg.eigh(covariance.astype(np.float64))
    scale = np.sqrt(np.clip(energies, 0, None))
    return np.asarray((rng.standard_normal((n, len(scale))) * scale) @ basis.T)


def corrected_difference(
    one: Alignment,
    other: Alignment,
    floors: tuple[float, float],
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> tuple[float, tuple[float, float]]:
    """Difference of two alignments, each as its place between its own chance (0) and identity (1).

    Args:
        one: Against some baselines, one pair for each.
        other: Against the same baselines in the same order.
        floors: Chance of each; zeros leave the cosines as they are.
        rng: Draws baselines and archetypes, the latter of each alignment by itself.
        n_resamples: How often.

    Returns:
        The difference of the nearest among all, and where 95 % of the resamples lie; NaN where a
        floor is 1.
    """
    if max(floors) >= 1:
        return float("nan"), (float("nan"), float("nan"))
    a, b = ((x.nearest - f) / (1 - f) for x, f in zip((one, other), floors, strict=True))
    drawn = np.empty(n_resamples)
    for i in range(n_resamples):
        seeds = rng.integers(0, len(a), len(a))
        left, right = (rng.integers(0, x.shape[1], x.shape[1]) for x in (a, b))
        drawn[i] = a[seeds][:, left].mean() - b[seeds][:, right].mean()
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(a.mean() - b.mean()), (float(low), float(high))
