"""Whether planted directions are found again (METHODS §8.2: recovery)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from auscult.measures.geometry import unit_rows
from auscult.measures.matching import cosine_matrix, drawing_like


@dataclass(frozen=True)
class Recovery:
    """Agreement of learned with planted directions.

    Attributes:
        mean_max_cosine: Mean over planted directions of the highest cosine with a learned one, in
            [-1, 1] ([0, 1] where signs do not count), higher is better. Bias: grows with the number
            of learned directions and falls with the dimension, also where nothing was learned: read
            it against as many random directions.
        recall: Share of planted directions that some learned one meets at the threshold.
        precision: Share of learned directions that meet some planted one.
        f1: Harmonic mean of both, in [0, 1], higher is better; 0 where neither is met. Bias: more
            directions than were planted lower the precision although nothing is missing.
    """

    mean_max_cosine: float
    recall: float
    precision: float
    f1: float


def recovery(
    planted: Float[np.ndarray, "n d"],
    learned: Float[np.ndarray, "m d_other"],
    threshold: float = 0.9,
    signed: bool = False,
) -> Recovery:
    """Compare learned directions with the truth.

    Args:
        planted: The truth; lengths do not count.
        learned: What was found; give those that are ever on, dead ones stay where they began.
        threshold: Cosine from which a direction counts as met.
        signed: A direction also stands for its opposite.

    Raises:
        WidthError: The two are of different widths.
    """
    cosines = cosine_matrix(planted, learned, signed)
    best = cosines.max(1, initial=-1.0)
    recall = float((best >= threshold).mean())
    precision = float((cosines.max(0, initial=-1.0) >= threshold).mean()) if len(learned) else 0.0
    both = recall + precision
    f1 = 2 * recall * precision / both if both else 0.0
    return Recovery(float(best.mean()), recall, precision, f1)


def found_again(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d_other"],
    threshold: float = 0.7,
    signed: bool = False,
) -> float:
    """Share of the rows of ``a`` that have a row of ``b`` at least so near, in [0, 1].

    The coverage of one seed's features by another's. Bias: grows with the number of rows of ``b``
    and falls with the dimension of the data; read it against random vectors of the data's own
    covariance, :func:`chance_found_again`.
    """
    return float((cosine_matrix(a, b, signed).max(axis=1, initial=-1.0) >= threshold).mean())


def chance_found_again(
    covariance: Float[np.ndarray, "d d"],
    n_a: int,
    n_b: int,
    rng: np.random.Generator,
    threshold: float = 0.7,
    signed: bool = False,
    repeats: int = 3,
) -> float:
    """The share that two sets of random vectors of this covariance reach (METHODS A-10)."""
    draw = drawing_like(covariance)
    pairs = ((draw(n_a, rng), draw(n_b, rng)) for _ in range(repeats))
    return float(np.mean([found_again(a, b, threshold, signed) for a, b in pairs]))


@dataclass(frozen=True)
class Planted:
    """Vectors whose directions are known.

    Attributes:
        atoms: The directions, of unit length.
        values: Sparse mixtures of them.
    """

    atoms: Float[np.ndarray, "m d"]
    values: Float[np.ndarray, "n d"]


def plant(
    n_atoms: int,
    n: int,
    k: float,
    covariance: Float[np.ndarray, "d d"],
    rng: np.random.Generator,
) -> Planted:
    """Draw directions with the shape of some data, and sparse mixtures of them.

    Directions are random vectors of the data's covariance. Each is on independently, the i-th most
    common with a probability that falls as ``1 / (i + n_atoms / 10)`` and is at most 1/2, ``k`` at
    a time on average; strengths are log-normal (σ = 0.5 of their logarithm). This is kinder than
    real features, which come together: what is not found here is not found anywhere.

    Args:
        n_atoms: Directions to plant.
        n: Vectors to draw.
        k: Mean number of directions in a vector.
        covariance: Of the data whose shape they take.
        rng: Draws everything.
    """
    atoms = unit_rows(drawing_like(covariance)(n_atoms, rng))
    odds = 1.0 / (np.arange(n_atoms) + max(1.0, n_atoms / 10))
    odds = np.minimum(odds * (k / odds.sum()), 0.5)
    values = np.empty((n, len(covariance)), np.float32)
    for start in range(0, n, 4096):
        shape = (min(4096, n - start), n_atoms)
        on = rng.random(shape) < odds
        strength = np.exp(0.5 * rng.standard_normal(shape))
        values[start : start + shape[0]] = (on * strength) @ atoms
    return Planted(atoms.astype(np.float32), values)
