"""Activations of which most are zero: only the others are stored, decoded and learned from."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from scipy import sparse
from torch import Tensor
from torch.nn.functional import embedding_bag

_GROUP = 8
"""Entries that stand for one when the largest of many are looked for."""

_BLOCK_FLOATS = 1 << 19
"""Size of temporaries: larger ones are given back to the system, which clears them every time."""


@dataclass(frozen=True)
class SparseActs:
    """Some activations of some vectors, vector by vector.

    The twin of each method is a product of dense matrices.

    Attributes:
        features: Which feature each entry is of.
        values: Its activation.
        ends: Where each vector's entries start, and behind the last where they end.
        n_features: Of the dictionary.
    """

    features: Int64[Tensor, " n_entries"]
    values: Float[Tensor, " n_entries"]
    ends: Int64[Tensor, " n_vectors_and_one"]
    n_features: int

    def decode(self, atoms: Float[Tensor, "n_features d"]) -> Float[Tensor, "n_vectors d"]:
        """``z D``."""
        return _weighted_sums(self.features, self.values, self.ends, atoms)

    def products(
        self, left: Float[Tensor, "n_vectors d"], right: Float[Tensor, "n_features d"]
    ) -> Float[Tensor, " n_entries"]:
        """``left rightᵀ`` at the places of the entries."""
        shape = (len(self.ends) - 1, self.n_features)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*beta state")
            places = torch.sparse_csr_tensor(
                self.ends, self.features, torch.zeros_like(self.values), shape,
                check_invariants=False,
            )  # fmt: skip
            sampled: Tensor = torch.sparse.sampled_addmm(places, left, right.T, beta=0.0)
        values: Tensor = sampled.values()
        return values

    def pulled(
        self,
        weights: Float[Tensor, " n_entries"],
        vectors: Float[Tensor, "n_vectors d"],
        out: Float[Tensor, "n_features d"],
    ) -> Float[Tensor, "n_features d"]:
        """``wᵀ vectors``, where w has these weights at the places of the entries."""
        order, rows, ends = self._by_feature
        sorted_weights = weights[order]
        block = max(1, _BLOCK_FLOATS // vectors.shape[1])
        for start in range(0, self.n_features, block):
            stop = min(start + block, self.n_features)
            first, last = int(ends[start]), int(ends[stop])
            out[start:stop] = _weighted_sums(
                rows[first:last],
                sorted_weights[first:last],
                ends[start : stop + 1] - first,
                vectors,
            )
        return out

    def count(self, which: Bool[Tensor, " n_entries"]) -> Int64[Tensor, " n_features"]:
        """How many of these entries each feature has."""
        return torch.bincount(self.features[which], minlength=self.n_features)

    @cached_property
    def _by_feature(self) -> tuple[Tensor, Tensor, Tensor]:
        """The entries' order by feature, their vectors in it, and where each feature's start."""
        numbers = np.arange(len(self.features), dtype=np.int32)
        by_vector = sparse.csr_array(
            (numbers, self.features.numpy(), self.ends.numpy()),
            shape=(len(self.ends) - 1, self.n_features),
        )
        by_feature = by_vector.tocsc()
        return (
            torch.from_numpy(by_feature.data),
            torch.from_numpy(by_feature.indices.astype(np.int64)),
            torch.from_numpy(by_feature.indptr.astype(np.int64)),
        )


def _weighted_sums(
    which: Int[Tensor, " n_entries"],
    weights: Float[Tensor, " n_entries"],
    ends: Int[Tensor, " n_sums_and_one"],
    rows: Float[Tensor, "n d"],
) -> Float[Tensor, "n_sums d"]:
    """For each stretch of entries the weighted sum of the rows they name."""
    return embedding_bag(
        which, rows, ends, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


def largest_entries(ranked: Float[Tensor, "n n_features"], k: int) -> Int64[Tensor, "n k"]:
    """Where the k largest entries of each row are, in no order; of equal ones any.

    The k largest lie in the k groups with the largest maxima: these are found first, in the same
    way, and only their entries are looked at. The twin is ``torch.topk``. On a CPU, NumPy chooses
    among few entries several times faster.
    """
    n, n_features = ranked.shape
    if ranked.device.type != "cpu":
        return ranked.topk(k, dim=1, sorted=False).indices
    n_groups = n_features // _GROUP
    if n_groups <= 2 * k:
        plain = ranked if ranked.dtype != torch.bfloat16 else ranked.float()
        chosen = np.argpartition(plain.numpy(), n_features - k, axis=1)[:, n_features - k :]
        return torch.from_numpy(np.ascontiguousarray(chosen))
    whole = n_groups * _GROUP
    grouped = ranked[:, :whole].reshape(n, _GROUP, n_groups)
    best = largest_entries(grouped.amax(1), k)
    # Entry j of group g stands in column j · n_groups + g; what no group holds is always looked at.
    columns = (best[:, None, :] + n_groups * torch.arange(_GROUP)[:, None]).flatten(1)
    if whole < n_features:
        rest = torch.arange(whole, n_features).expand(n, -1)
        columns = torch.cat([columns, rest], 1)
    return columns.gather(1, largest_entries(ranked.gather(1, columns), k))


def places_above(pre: Float[Tensor, "n n_features"], floor: float) -> Int64[Tensor, " n_entries"]:
    """Where in the flattened activations those lie that exceed a floor of at least 0, in order."""
    if pre.device.type != "cpu":
        return (pre > floor).flatten().nonzero().squeeze(1)
    # Positive numbers are ordered as integers of their size are; NumPy has no bfloat16.
    plain, least = pre.flatten(), torch.tensor(floor, dtype=pre.dtype)
    if pre.dtype == torch.bfloat16:
        plain, least = plain.view(torch.int16), least.view(torch.int16)
    return torch.from_numpy(np.flatnonzero(plain.numpy() > least.numpy()))


def entries_at(
    places: Int64[Tensor, " n_entries"],
    values: Float[Tensor, " n_entries"],
    n: int,
    n_features: int,
) -> SparseActs:
    """Activations from their places, in order, in the flattened matrix."""
    vectors = torch.div(places, n_features, rounding_mode="floor")
    ends = torch.zeros(n + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(vectors, minlength=n), 0, out=ends[1:])
    return SparseActs(places - n_features * vectors, values, ends, n_features)
