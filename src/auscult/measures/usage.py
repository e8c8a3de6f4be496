"""How often a dictionary's directions are used, and how alike they are (METHODS A-12, A-15)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from auscult.measures.geometry import effective_dimension
from auscult.measures.matching import cosine_matrix, random_directions
from auscult.measures.statistics import effective_number, gini, smallest_covering


@dataclass(frozen=True)
class Usage:
    """Counts of use, which add up over chunks, and the three definitions of usage (METHODS A-12).

    Attributes:
        n: Number of vectors.
        n_top: Vectors in which each atom has the greatest activation.
        n_strong: Vectors of which each atom carries at least a given share of the norm.
        energy: Energy of each atom's own contribution, Σ z² ‖d‖².
    """

    n: int
    n_top: Int[np.ndarray, " m"]
    n_strong: Int[np.ndarray, " m"]
    energy: Float[np.ndarray, " m"]

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.n + other.n,
            self.n_top + other.n_top,
            self.n_strong + other.n_strong,
            self.energy + other.energy,
        )

    @property
    def top(self) -> Float[np.ndarray, " m"]:
        """Share of vectors in which each atom is on top; sums to at most 1."""
        return np.asarray(self.n_top / max(self.n, 1))

    @property
    def strong(self) -> Float[np.ndarray, " m"]:
        """Share of vectors in which each atom is highly active; need not sum to 1."""
        return np.asarray(self.n_strong / max(self.n, 1))

    @property
    def energy_share(self) -> Float[np.ndarray, " m"]:
        """Share of each atom in the sum of all contributions' energies; sums to 1 unless all are 0.

        Bias: what two similar atoms both carry counts for both.
        """
        return np.asarray(self.energy / max(float(self.energy.sum()), 1e-300))


def measure_usage(
    acts: Float[np.ndarray, "n m"],
    atoms: Float[np.ndarray, "m d"],
    x: Float[np.ndarray, "n d"],
    strong_share: float = 0.25,
) -> Usage:
    """Count the use of every atom; add the answers of several chunks (METHODS A-12).

    Args:
        acts: Activations; their absolute values count, so either sign is fine.
        atoms: What each feature adds with an activation of 1, lengths included.
        x: The vectors that were encoded.
        strong_share: An atom is highly active where ‖z d‖ is at least this share of ‖x‖.
    """
    size = np.abs(acts) * np.linalg.norm(atoms, axis=1)
    norms = np.linalg.norm(x, axis=1)
    m, strength = acts.shape[1], np.abs(acts)
    active = strength.max(axis=1, initial=0.0) > 0
    strong = (size >= strong_share * norms[:, None]) & (size > 0)
    return Usage(
        len(acts),
        np.bincount(strength[active].argmax(axis=1), minlength=m) if m else np.zeros(0, np.int64),
        strong.sum(axis=0),
        np.square(size, dtype=np.float64).sum(axis=0),
    )


@dataclass(frozen=True)
class UsageSummary:
    """Concentration of usage (METHODS A-12).

    Attributes:
        n80: Smallest number of atoms that cover 80 % of the summed usage.
        n90: The same for 90 %.
        n95: The same for 95 %.
        gini: 0 all alike, towards 1 all in one.
        effective_number: exp of the entropy, from 1 to the number of atoms.
        unused_share: Share of atoms that are never used.
    """

    n80: int
    n90: int
    n95: int
    gini: float
    effective_number: float
    unused_share: float


def usage_summary(shares: Float[np.ndarray, " m"]) -> UsageSummary:
    """Summarise usage by any definition; the shares need not sum to 1 (METHODS A-12, A-15)."""
    return UsageSummary(
        smallest_covering(shares, 0.8),
        smallest_covering(shares, 0.9),
        smallest_covering(shares, 0.95),
        gini(shares),
        effective_number(shares),
        float(np.mean(shares <= 0)),
    )


def most_used(shares: Float[np.ndarray, " m"], n: int) -> Int[np.ndarray, " n_most"]:
    """Indices of the most used atoms, most used first; equals in the order of their index."""
    return np.argsort(-shares, kind="stable")[:n]


def active_fraction(
    shares: Float[np.ndarray, " m"], thresholds: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Fraction of atoms whose usage is above each threshold (METHODS A-15, the caption)."""
    return np.asarray((shares[:, None] > thresholds).mean(axis=0))


def redundancy(atoms: Float[np.ndarray, "m d"], signed: bool = False) -> tuple[float, float]:
    """Mean and highest cosine between different atoms (METHODS A-12); NaN for fewer than two."""
    if len(atoms) < 2:
        return float("nan"), float("nan")
    cosines = cosine_matrix(atoms, atoms, signed)
    others = cosines[~np.eye(len(atoms), dtype=np.bool_)]
    return float(others.mean()), float(others.max())


def random_redundancy(
    n: int, d: int, rng: np.random.Generator, repeats: int = 100, signed: bool = False
) -> tuple[float, float]:
    """Mean and highest cosine of random directions of an effective dimension (METHODS A-12)."""
    found = [redundancy(random_directions(n, d, rng), signed) for _ in range(repeats)]
    mean, highest = np.mean(found, axis=0)
    return float(mean), float(highest)


def shaped_redundancy(
    covariance: Float[np.ndarray, "d d"],
    n: int,
    rng: np.random.Generator,
    repeats: int = 100,
    signed: bool = False,
) -> tuple[float, float]:
    """Mean and highest cosine of random vectors of the data's covariance (METHODS A-12)."""
    scale, axes = np.linalg.eigh(covariance)
    drawn = rng.standard_normal((repeats, n, len(scale))) * np.sqrt(np.clip(scale, 0, None))
    mean, highest = np.mean([redundancy(vectors @ axes.T, signed) for vectors in drawn], axis=0)
    return float(mean), float(highest)


def chance_redundancy(
    x: Float[np.ndarray, "k d"], n: int, rng: np.random.Generator, signed: bool = False
) -> dict[str, tuple[float, float]]:
    """Mean and highest cosine between ``n`` random directions, by what is known of the vectors.

    In as many dimensions as their participation ratio and their rank say, and of their covariance.
    """
    width = x.shape[1]
    covariance = np.cov(x.T.astype(np.float64)).reshape(width, width)
    participation, rank = effective_dimension(covariance)
    dimensions = {"participation": max(1, round(participation)), "rank": max(1, rank)}
    levels = {
        f"random directions in {d} dimensions ({kind})": random_redundancy(n, d, rng, signed=signed)
        for kind, d in dimensions.items()
    }
    shaped = shaped_redundancy(covariance, n, rng, signed=signed)
    return {**levels, "random vectors of the same covariance": shaped}


def least_alike(atoms: Float[np.ndarray, "m d"], signed: bool = False) -> tuple[int, int]:
    """The two atoms with the lowest mutual cosine (METHODS A-12, figure 6)."""
    cosines = cosine_matrix(atoms, atoms, signed)
    np.fill_diagonal(cosines, np.inf)
    first, second = np.unravel_index(int(cosines.argmin()), cosines.shape)
    return int(first), int(second)


def cohens_d(
    inside: Float[np.ndarray, "k d"], n: int, squares: Float[np.ndarray, " d"]
) -> Float[np.ndarray, " d"]:
    """How far a feature's vectors deviate from all others, in pooled standard deviations (A-5).

    NaN where a channel is constant or a side has fewer than two vectors.

    Args:
        inside: Vectors assigned to the feature, less the mean of all.
        n: How many vectors there are in all.
        squares: Sum of squares of all of them, about their mean.
    """
    n_in, n_out = len(inside), n - len(inside)
    nothing = np.full(inside.shape[1], np.nan)
    if n_in < 2 or n_out < 2:
        return nothing
    mean = inside.mean(axis=0, dtype=np.float64)
    others = -mean * n_in / n_out
    spread = squares - n_in * np.square(mean) - n_out * np.square(others)
    pooled = np.sqrt(np.maximum(spread, 0.0) / (n - 2))
    return np.asarray(np.divide(mean - others, pooled, out=nothing, where=spread > 1e-9 * squares))
