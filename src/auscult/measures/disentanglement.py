"""Whether each feature speaks of one factor, and each factor through few features (DCI)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Disentanglement:
    """DCI of a matrix of importances (Eastwood & Williams 2018, §2; METHODS §8.2).

    Attributes:
        disentanglement: Mean over features, by their share of all importance, of one minus the
            entropy of what they are important for. In [0, 1], higher is better: 1 where each
            feature serves one factor, 0 where each serves all alike. Bias: noise in the importances
            lowers it, and more so with few features; weights of an L1 probe raise it by themselves.
        completeness: Mean over factors of one minus the entropy of what is important for them. In
            [0, 1]: 1 where each factor needs one feature, 0 where it needs all alike. Bias: entropy
            is taken in units of its greatest value, which grows with the number of features, so
            that wider dictionaries come out more complete by themselves; compare equal widths.
        by_factor: Completeness of each factor alone; NaN for one that nothing is important for.
    """

    disentanglement: float
    completeness: float
    by_factor: Float[np.ndarray, " factor"]


def dci(importance: Float[np.ndarray, "feature factor"]) -> Disentanglement:
    """Disentanglement and completeness of non-negative importances, |probe weights| for instance.

    NaN for one factor (nothing to disentangle) or one feature (nothing to complete).
    """
    weights = np.abs(importance.astype(np.float64))
    of_features, of_factors = weights.sum(1), weights.sum(0)
    across = 1.0 - _entropy(weights)
    down = 1.0 - _entropy(weights.T)
    known = of_features > 0
    total = float(of_features.sum())
    nan = float("nan")
    separated = float(across[known] @ of_features[known] / total) if total > 0 else nan
    down = np.where(of_factors > 0, down, nan)
    return Disentanglement(
        separated if weights.shape[1] > 1 else nan,
        float(np.nanmean(down)) if total > 0 and weights.shape[0] > 1 else nan,
        down,
    )


def _entropy(rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
    """Entropy of each row in units of its greatest value; rows of zeros have 0."""
    if rows.shape[1] < 2:
        return np.zeros(len(rows))
    total = rows.sum(1, keepdims=True)
    shares = np.divide(rows, total, np.zeros(rows.shape), where=total > 0)
    logs = np.log(shares, out=np.zeros(rows.shape), where=shares > 0)
    return np.asarray(-(shares * logs).sum(1) / np.log(rows.shape[1]))
