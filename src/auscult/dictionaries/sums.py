"""Running sums of which every figure of a dictionary is a ratio, kept by group of vectors."""

import math

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

DENSE_USAGE = 0.1
"""A feature that is on in more than this share of vectors counts as dense."""

_NO_VARIATION = 1e-12


class Sums:
    """Sums about a mean, one row a group: a clip, so that recordings can be drawn anew.

    Sums are taken about the mean given; what is left of it is taken out exactly, so any vector
    near the mean will do. A figure of a resampling is the same ratio of weighted sums: the
    bootstrap over recordings needs no second pass.

    Args:
        mean: Of the vectors that are to be reconstructed, or near it.
        n_features: Of the dictionary.
        n_groups: How many groups there are.
    """

    def __init__(self, mean: Float64[np.ndarray, " d"], n_features: int, n_groups: int = 1) -> None:
        self.mean = mean
        self.n = np.zeros(n_groups, np.int64)
        self.on = np.zeros((n_groups, n_features), np.int64)
        self._error, self._power, self._offset = (np.zeros((n_groups, len(mean))) for _ in "epo")
        self._scalars = {
            name: np.zeros(n_groups) for name in ("raw power", "estimate power", "product")
        }
        self._quotients = {
            name: np.zeros((2, n_groups))
            for name in ("cosine", "centred_cosine", "relative_norm", "hoyer")
        }

    def add(
        self,
        values: Float[np.ndarray, "n d"],
        acts: Float[Tensor, "n n_features"],
        decoded: Float[Tensor, "n d"],
        groups: Int64[np.ndarray, " n"] | None = None,
    ) -> None:
        """Take in a batch.

        Args:
            values: What should be reconstructed.
            acts: Their activations.
            decoded: What is given back.
            groups: The group of each; of one group they should stand together.
        """
        x, estimate = values.astype(np.float64), decoded.cpu().numpy().astype(np.float64)
        by = _Grouping(np.zeros(len(x), np.int64) if groups is None else groups)
        by.add(self.n, np.ones(len(x), np.int64))
        by.add(self.on, (acts != 0).cpu().numpy())
        self._quotient("hoyer", *_hoyer(acts), by)
        self._quotient("cosine", _row_dot(x, estimate), _norms(x) * _norms(estimate), by)
        by.add(self._scalars["raw power"], np.square(x).sum(1))
        by.add(self._error, np.square(x - estimate))
        x -= self.mean
        estimate -= self.mean
        by.add(self._offset, x)
        by.add(self._power, np.square(x))
        products = _row_dot(x, estimate)
        self._quotient("centred_cosine", products, _norms(x) * _norms(estimate), by)
        self._quotient("relative_norm", _norms(estimate), _norms(x), by)
        by.add(self._scalars["estimate power"], np.square(estimate).sum(1))
        by.add(self._scalars["product"], products)

    def _quotient(
        self,
        name: str,
        above: Float64[np.ndarray, " n"],
        below: Float64[np.ndarray, " n"],
        by: "_Grouping",
    ) -> None:
        """Mean of quotients; those with a zero below are left out."""
        defined = below > 0
        by.add(
            self._quotients[name][0], np.divide(above, below, np.zeros(len(above)), where=defined)
        )
        by.add(self._quotients[name][1], defined.astype(np.float64))

    def explained_variance(
        self, weights: Float64[np.ndarray, "b g"] | None = None
    ) -> Float64[np.ndarray, "b d"]:
        """``1 - fvu`` of each dimension for each weighting of the groups; NaN where none varies."""
        w = self._weights(weights)
        n = (w @ self.n)[:, None]
        variance = np.maximum(w @ self._power - (w @ self._offset) ** 2 / n, 0.0)
        moves = variance > _NO_VARIATION * (variance + n * self.mean**2)
        error = w @ self._error
        unexplained = np.divide(error, variance, np.full(error.shape, math.nan), where=moves)
        return np.asarray(1.0 - unexplained)

    def usage(
        self, weights: Float64[np.ndarray, "b g"] | None = None
    ) -> Float64[np.ndarray, "b n_features"]:
        """Share of vectors in which each feature is on, for each weighting of the groups."""
        w = self._weights(weights)
        return np.asarray((w @ self.on) / (w @ self.n)[:, None])

    def figures(
        self, weights: Float64[np.ndarray, "b g"] | None = None
    ) -> dict[str, Float64[np.ndarray, " b"]]:
        """Every figure of :class:`DictionaryMetrics` that is one number, for each weighting.

        Args:
            weights: How often each group counts; once each unless given.
        """
        w = self._weights(weights)
        n = w @ self.n
        total = (np.maximum(w @ self._power - (w @ self._offset) ** 2 / n[:, None], 0.0)).sum(1)
        scalars = {name: w @ values for name, values in self._scalars.items()}
        usage = self.usage(weights)
        means = {name: _ratio(w @ above, w @ n) for name, (above, n) in self._quotients.items()}
        return {
            "fvu": _ratio((w @ self._error).sum(1), total, _NO_VARIATION * scalars["raw power"]),
            "l0": usage.sum(1),
            "dead_fraction": (usage == 0).mean(1),
            "dense_share": (usage > DENSE_USAGE).mean(1),
            "reconstruction_bias": _ratio(scalars["estimate power"], scalars["product"]),
            **means,
        }

    def _weights(self, weights: Float64[np.ndarray, "b g"] | None) -> Float64[np.ndarray, "b g"]:
        return np.ones((1, len(self.n))) if weights is None else weights


class _Grouping:
    """Adds rows up by group; neighbours of one group are summed before they are scattered."""

    def __init__(self, groups: Int64[np.ndarray, " n"]) -> None:
        self._starts = np.flatnonzero(np.diff(groups, prepend=-1))
        self._groups = groups[self._starts]

    def add(self, into: np.ndarray, rows: np.ndarray) -> None:
        if len(rows):
            np.add.at(into, self._groups, np.add.reduceat(rows, self._starts, 0, into.dtype))


def _hoyer(
    acts: Float[Tensor, "n n_features"],
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """``√m - ‖z‖₁ / ‖z‖₂`` over ``√m - 1``, both times ‖z‖₂: 0 below where nothing is on."""
    root = math.sqrt(acts.shape[1])
    one = acts.abs().sum(1, dtype=torch.float64).cpu().numpy()
    two = torch.linalg.vector_norm(acts, dim=1, dtype=torch.float64).cpu().numpy()
    return root * two - one, (root - 1.0) * two


def _ratio(
    above: Float64[np.ndarray, " b"],
    below: Float64[np.ndarray, " b"],
    least: Float64[np.ndarray, " b"] | float = 0.0,
) -> Float64[np.ndarray, " b"]:
    out = np.full(len(above), math.nan)
    return np.asarray(np.divide(above, below, out, where=below > least))


def _norms(rows: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, " n"]:
    lengths: np.ndarray = np.sqrt(np.square(rows).sum(1))
    return lengths


def _row_dot(
    a: Float64[np.ndarray, "n d"], b: Float64[np.ndarray, "n d"]
) -> Float64[np.ndarray, " n"]:
    products: np.ndarray = np.einsum("nd,nd->n", a, b)
    return products
