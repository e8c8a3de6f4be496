"""What a sparse code of several taps says of each, and what of that lies in their pairing."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float

from auscult.dictionaries.base import Dictionary

SHARED_BELOW = 0.9
"""A feature is shared while no part has so much of its length (Lindsey et al. 2024 look at both
ends of the histogram; where to cut is ours)."""


def unpaired(
    values: Float[np.ndarray, "n d"], widths: Sequence[int], rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """The same parts with rows of every part but the first in another order.

    What each part says by itself stays; what they say about one another is gone.
    """
    edges = np.cumsum([0, *widths])
    kept = [values[:, : edges[1]]]
    kept += [values[rng.permutation(len(values)), a:b] for a, b in pairwise(edges[1:])]
    return np.concatenate(kept, axis=1)


@torch.no_grad()
def errors_by_part(
    dictionary: Dictionary,
    values: Float[np.ndarray, "n d_in"],
    targets: Float[np.ndarray, "n d_out"],
    widths: Sequence[int],
    batch: int = 4096,
) -> tuple[Float[np.ndarray, "n parts"], Float[np.ndarray, " m"]]:
    """Squared error of each row in each part, and how often each feature is on.

    Args:
        dictionary: Reads ``values``, is to give back ``targets``.
        values: Rows in the taps' own units.
        targets: As long as ``values``.
        widths: Of the parts that make up a target.
        batch: Rows at a time.

    Returns:
        Errors in squared units, at least 0; share of rows in [0, 1].
    """
    edges = np.cumsum([0, *widths])
    errors, on = [], np.zeros(dictionary.n_features)
    for start in range(0, len(values), batch):
        x = torch.from_numpy(values[start : start + batch])
        acts = dictionary.encode(x)
        # A transcoder's shortcut is part of what it gives back.
        miss = dictionary.rebuild(x, acts).double().numpy() - targets[start : start + batch]
        errors.append(np.stack([(miss[:, a:b] ** 2).sum(1) for a, b in pairwise(edges)], axis=1))
        on += (acts != 0).sum(0).numpy()
    return np.concatenate(errors), on / len(values)


def spread_by_part(
    targets: Float[np.ndarray, "n d_out"], widths: Sequence[int]
) -> Float[np.ndarray, "n parts"]:
    """Squared distance of each row from the mean, in each part: what explains nothing leaves."""
    edges = np.cumsum([0, *widths])
    off = targets - targets.mean(0, dtype=np.float64)
    return np.stack([(off[:, a:b] ** 2).sum(1) for a, b in pairwise(edges)], axis=1)


def affine_map(
    inputs: Float[np.ndarray, "n d_in"], outputs: Float[np.ndarray, "n d_out"], ridge: float = 1e-4
) -> tuple[Float[np.ndarray, "d_in d_out"], Float[np.ndarray, " d_out"]]:
    """Least squares from one tap to another: what a transcoder must beat.

    Args:
        inputs: Rows.
        outputs: What belongs to each.
        ridge: Added to the covariance, as a share of its mean variance.

    Returns:
        Weights and constant.
    """
    mean_in, mean_out = inputs.mean(0, dtype=np.float64), outputs.mean(0, dtype=np.float64)
    x, y = inputs - mean_in, outputs - mean_out
    gram = x.T @ x
    gram += np.eye(len(gram)) * max(ridge * float(np.trace(gram)) / len(gram), 1e-12)
    weights = np.linalg.solve(gram, x.T @ y)
    return weights, mean_out - mean_in @ weights
