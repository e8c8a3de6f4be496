"""First layers that no data shaped: rare waveform shapes, fair comparison (METHODS A-14)."""

import numpy as np
from jaxtyping import Float

from auscult.core.errors import ConfigError
from auscult.measures.geometry import unit_rows
from auscult.measures.matching import random_directions


def patch_covariance(
    patches: Float[np.ndarray, "n k"], centred: bool = True
) -> Float[np.ndarray, "k k"]:
    """Covariance of stretches of waveform as long as a filter (METHODS A-14)."""
    x = patches.astype(np.float64)
    x = x - x.mean(axis=0) if centred else x
    return np.asarray(x.T @ x / max(len(x), 1))


def rare_filters(
    covariance: Float[np.ndarray, "k k"],
    norms: Float[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n k"]:
    """Filters for waveform shapes of least variance in the sounds (METHODS A-14, first set).

    First the alternating (Nyquist-rate) pattern, then the eigenvectors of the smaller half of the
    eigenvalues, then random mixtures of these eigenvectors.

    Args:
        covariance: Of patches of the corpus.
        norms: Of the trained filters, one for each filter that is wanted; given out at random.
        rng: Draws mixtures and deals out norms.
    """
    k, n = len(covariance), len(norms)
    _, axes = np.linalg.eigh(covariance.astype(np.float64))
    rare = axes[:, : max(k // 2, 1)].T
    # An odd number of signs has a mean, and the mean is what sounds have most of.
    signs = 1.0 - 2 * (np.arange(k) % 2)
    alternating = unit_rows((signs - signs.mean())[None])
    mixtures = random_directions(n, len(rare), rng, rare)
    filters = np.concatenate([alternating, rare, mixtures])[:n]
    return np.asarray(filters * rng.permutation(norms)[:, None])


def tail_filters(
    patches: Float[np.ndarray, "m k"],
    norms: Float[np.ndarray, " n"],
    rng: np.random.Generator,
    tail_share: float = 0.01,
) -> Float[np.ndarray, "n k"]:
    """Patches of the corpus that a Gaussian finds least likely (METHODS A-14, second set).

    Patches count by shape alone, whatever their level.

    Raises:
        ConfigError: There are too few patches that are not silent.
    """
    shapes = unit_rows(patches.astype(np.float64))
    shapes = shapes[np.any(shapes != 0, axis=1)]
    n_tail = max(len(norms), int(tail_share * len(shapes)))
    if len(shapes) < n_tail:
        raise ConfigError(
            f"{len(shapes)} patches do not make {len(norms)} filters; give more sounds"
        )
    covariance = patch_covariance(shapes, centred=False)
    distance = np.sum((shapes @ np.linalg.pinv(covariance)) * shapes, axis=1)
    tail = np.argsort(-distance, kind="stable")[:n_tail]
    return np.asarray(shapes[rng.choice(tail, len(norms), replace=False)] * norms[:, None])


def match_singular_values(
    filters: Float[np.ndarray, "n k"], reference: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "n k"]:
    """Give filters the singular values of a reference, largest to largest (METHODS A-14).

    Without it, a comparison of layers compares how well conditioned they are.
    """
    left, _, right = np.linalg.svd(filters.astype(np.float64), full_matrices=False)
    values = np.linalg.svd(reference.astype(np.float64), compute_uv=False)
    return np.asarray((left * values) @ right)
