"""How many directions a set of vectors takes up, and which."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from auscult.core.errors import UserError
from auscult.store.source import VectorSource

SUBSPACE_SHARE = 0.9999
"""Share of the variance that a principal subspace holds."""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class EffectiveDimension:
    """How many dimensions the variance is spread over.

    Attributes:
        participation_ratio: ``(Σ λ)² / Σ λ²`` over the covariance's eigenvalues λ, in [1, d_in]:
            their number if all are equal, less if few dominate. 0 for vectors that do not vary.
            Sampling noise biases it downwards when there are few vectors.
        rank: Fewest principal directions that hold 99.99 % of the variance, in [0, d_in].
    """

    participation_ratio: float
    rank: int


def covariance_of(source: VectorSource) -> Float64[np.ndarray, "d_in d_in"]:
    """The covariance of a source, in one more pass where its statistics do without."""
    statistics = source.statistics
    if statistics.covariance is not None:
        return statistics.covariance
    total = np.zeros((source.d_in, source.d_in))
    for batch in source.ordered(4096):
        centred = batch - statistics.mean
        total += centred.T @ centred
    return total / source.n_vectors


def principal_directions(
    covariance: Float[np.ndarray, "d_in d_in"],
) -> tuple[Float64[np.ndarray, " d_in"], Float64[np.ndarray, "d_in d_in"]]:
    """Eigenvalues, largest first and never negative, and unit eigenvectors as rows.

    The sign of a direction is chosen so that its largest entry is positive.

    Raises:
        UserError: The covariance is not finite.
    """
    if not np.isfinite(covariance).all():
        raise UserError("the covariance of the vectors is not finite: the store holds NaN")
    values, columns = np.linalg.eigh(np.asarray(covariance, np.float64))
    rows = columns.T[::-1]
    largest = np.abs(rows).argmax(1)
    signs = np.sign(rows[np.arange(len(rows)), largest])
    return np.maximum(values[::-1], 0.0), np.ascontiguousarray(rows * signs[:, None])


def effective_dimension(covariance: Float[np.ndarray, "d_in d_in"]) -> EffectiveDimension:
    """Measure over how many dimensions variance is spread."""
    values, _ = principal_directions(covariance)
    total = float(values.sum())
    if total <= 0.0:
        return EffectiveDimension(0.0, 0)
    shares = np.cumsum(values) / total
    rank = int(np.searchsorted(shares, SUBSPACE_SHARE - _ROUNDING) + 1)
    return EffectiveDimension(total**2 / float(np.square(values).sum()), min(rank, len(values)))


def principal_subspace(
    covariance: Float[np.ndarray, "d_in d_in"],
) -> Float64[np.ndarray, "rank d_in"]:
    """Orthonormal rows that span 99.99 % of the variance; every direction if nothing varies."""
    rank = effective_dimension(covariance).rank
    _, rows = principal_directions(covariance)
    return rows[:rank] if rank else rows


def random_unit_rows(rng: np.random.Generator, n: int, d: int) -> Float64[np.ndarray, "n d"]:
    """Directions drawn evenly from the sphere."""
    rows = rng.standard_normal((n, d))
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def unit_rows_or_random(
    rows: Float[np.ndarray, "n d"], rng: np.random.Generator
) -> Float64[np.ndarray, "n d"]:
    """Rows at unit length; a row of next to nothing is replaced by a random direction."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    nothing = lengths <= _ROUNDING * max(float(lengths.max()), 1.0)
    random = random_unit_rows(rng, *rows.shape)
    return np.where(nothing, random, rows / np.where(nothing, 1.0, lengths))
