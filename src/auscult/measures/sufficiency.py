"""How few directions rebuild vectors, and what others would need (METHODS A-13)."""

import warnings

import numpy as np
import torch
from jaxtyping import Float, Int

from auscult.dictionaries.pursuit import (
    least_squares_curve,
    non_negative_least_squares,
    omp,
    relative_error,
)
from auscult.dictionaries.spectrum import principal_directions

Rows = Float[np.ndarray, "n d"]
Atoms = Float[np.ndarray, "m d"]
Errors = Float[np.ndarray, " m_plus_1"]
SMALLEST = 1e-35
"""What an error of zero is shown as on a logarithmic axis."""


def atom_counts(n_atoms: int, marked: tuple[int, ...] = (4, 20)) -> Int[np.ndarray, " k"]:
    """About sixteen numbers of atoms from 1 to all, evenly spread in ratio, with those marked.

    >>> atom_counts(5).tolist()
    [1, 2, 3, 4, 5]
    """
    spread = np.geomspace(1, n_atoms, 14).round().astype(np.int64)
    wanted = [n for n in marked if n <= n_atoms]
    return np.unique(np.concatenate([spread, np.array([*wanted, n_atoms], dtype=np.int64)]))


def principal_rows(x: Rows) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Energy along the principal directions about zero, largest first, and these as rows.

    About zero because the errors are relative to the vectors, not to their deviations.
    """
    wide = x.astype(np.float64)
    return principal_directions(wide.T @ wide / max(len(wide), 1))


def span_rank(energies: Float[np.ndarray, " d"], states: Rows) -> int:
    """Number of directions in which generators are more than the rounding of float32.

    A generator is a difference, so its rounding is that of the states on either side.
    """
    rounding = 16 * np.finfo(np.float32).eps ** 2
    floor = rounding * float(np.square(states, dtype=np.float64).mean(axis=0).max(initial=0.0))
    return max(1, int(np.sum(energies > max(floor, 0.0))))


def learned_atoms(
    x: Rows, n_atoms: int, rng: np.random.Generator, n_passes: int = 10, penalty: float = 0.3
) -> Atoms:
    """Atoms of scikit-learn's sparse dictionary learning (Mairal et al. 2009), most used first.

    ``MiniBatchDictionaryLearning`` by coordinate descent; usage is how often an atom is picked
    first, which is where orthogonal matching pursuit begins.

    Args:
        x: Vectors to learn from; their scale does not matter.
        n_atoms: How many; never more than there are vectors.
        rng: Seeds it.
        n_passes: Passes over the vectors.
        penalty: Of the sum of absolute coefficients, for vectors of norm 1.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning

    norms = np.linalg.norm(x, axis=1, keepdims=True).astype(np.float64)
    scaled = x / max(float(np.sqrt(np.mean(np.square(norms)))), 1e-300)
    learner = MiniBatchDictionaryLearning(
        min(n_atoms, len(x)),
        alpha=penalty,
        max_iter=n_passes,
        batch_size=min(256, len(x)),
        fit_algorithm="cd",
        transform_algorithm="omp",
        random_state=int(rng.integers(1 << 31)),
    )
    with warnings.catch_warnings():
        # A lasso that stopped early costs a little sparsity in one step of many.
        warnings.simplefilter("ignore")
        learner.fit(scaled)
    atoms: np.ndarray = np.asarray(learner.components_, dtype=np.float64)
    first = omp(torch.from_numpy(scaled), torch.from_numpy(atoms), 1).picks[:, 0].numpy()
    order = np.argsort(-np.bincount(first, minlength=len(atoms)), kind="stable")
    return atoms[order]


def unrestricted_errors(x: Rows, atoms: Atoms, precision: type = np.float64) -> Errors:
    """Σ‖x − x̂‖² / Σ‖x‖² of least squares on the first 0, 1, … m atoms."""
    curve = least_squares_curve(
        torch.from_numpy(x.astype(precision)), torch.from_numpy(atoms.astype(np.float64))
    )
    return np.asarray(curve.numpy())


def pursued_errors(x: Rows, atoms: Atoms, most: int = 32) -> Errors:
    """The same with the 0, 1, … atoms that matching pursuit picks for each vector.

    Args:
        x: Vectors.
        atoms: Any number; more picks than dimensions change nothing.
        most: No more picks than this; where more could lower the error, the last entry is NaN.
    """
    useful = min(len(atoms), x.shape[1])
    picks = min(useful, most)
    wide, rows = torch.from_numpy(x.astype(np.float64)), torch.from_numpy(atoms.astype(np.float64))
    errors = omp(wide, rows, picks).errors.numpy()
    return np.append(errors, np.nan) if picks < useful else np.asarray(errors)


def pursued(x: Rows, atoms: Atoms, n_picks: int) -> Rows:
    """Vectors rebuilt from the few atoms that matching pursuit picks for each."""
    wide, rows = torch.from_numpy(x.astype(np.float64)), torch.from_numpy(atoms.astype(np.float64))
    return np.asarray(omp(wide, rows, min(n_picks, len(atoms))).reconstruct(rows).numpy())


def non_negative_error(x: Rows, atoms: Atoms, n_sweeps: int = 150) -> float:
    """The same with coefficients that may not be negative, on all given atoms."""
    wide, rows = torch.from_numpy(x.astype(np.float64)), torch.from_numpy(atoms.astype(np.float64))
    coefficients = non_negative_least_squares(wide, rows, n_sweeps, 1e-4)
    return relative_error(wide, coefficients @ rows)


def error_at(errors: Errors, n: int) -> float:
    """Error with n atoms; a set that has fewer stays at its last value."""
    return float(errors[min(n, len(errors) - 1)])


def needed(errors: Errors, target: float) -> float:
    """Fewest atoms that bring the error down to a target; NaN where all do not."""
    reached = np.flatnonzero(errors <= target)
    return float(reached[0]) if len(reached) else float("nan")


def random_error(n: int, d: int, n_draws: int) -> tuple[float, float]:
    """Error that n random directions leave in d dimensions, 1 − n / d, and its standard deviation.

    The part of a vector within a random subspace is Beta(n / 2, (d − n) / 2) of its energy,
    whatever the vector. The deviation is that of one direction of data, over the draws averaged:
    data of more dimensions deviate less.
    """
    kept = min(n / d, 1.0)
    return 1 - kept, float(np.sqrt(2 * kept * (1 - kept) / (d + 2) / n_draws))
