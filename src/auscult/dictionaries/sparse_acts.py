"""Activations of which most are zero: only the others are stored, decoded and learned from."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, Shaped
from scipy import sparse
from torch import Tensor
from torch.nn.functional import embedding_bag

from auscult.dictionaries.products import as_integers

_GROUP = 8
"""Entries that stand for one when the largest of many are looked for."""

BLOCK_FLOATS = 1 << 19
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

    def decode(
        self, atoms: Float[Tensor, "n_features d"], start: int = 0, stop: int | None = None
    ) -> Float[Tensor, "n_some d"]:
        """``z D`` of all vectors, or of some."""
        ends = self.ends[start : stop + 1 if stop is not None else None]
        first, last = int(ends[0]), int(ends[-1])
        features, values = self.features[first:last], self.values[first:last]
        return _weighted_sums(features, values, ends - first, atoms)

    def of(self, start: int, stop: int) -> "SparseActs":
        """Those of some features alone, which are counted from 0."""
        kept = (self.features >= start) & (self.features < stop)
        before = torch.zeros(len(kept) + 1, dtype=torch.int64)
        torch.cumsum(kept, 0, out=before[1:])
        features, values = self.features[kept] - start, self.values[kept]
        return SparseActs(features, values, before[self.ends], stop - start)

    @cached_property
    def by_feature(self) -> "ByFeature":
        """The same entries, feature by feature."""
        numbers = np.arange(len(self.features), dtype=np.int32)
        by_vector = sparse.csr_array(
            (numbers, self.features.numpy(), self.ends.numpy()),
            shape=(len(self.ends) - 1, self.n_features),
        )
        found = by_vector.tocsc()
        order, vectors = torch.from_numpy(found.data), torch.from_numpy(found.indices)
        ends = torch.from_numpy(found.indptr)
        return ByFeature(vectors.long(), self.values[order], ends.long(), len(self.ends) - 1)


@dataclass(frozen=True)
class ByFeature:
    """Activations as :class:`SparseActs`, but feature by feature.

    An atom is then read once for all of its entries, and not once for each.

    Attributes:
        vectors: Which vector each entry is of.
        values: Its activation.
        ends: Where each feature's entries start, and behind the last where they end.
        n_vectors: Of the batch.
    """

    vectors: Int64[Tensor, " n_entries"]
    values: Float[Tensor, " n_entries"]
    ends: Int64[Tensor, " n_features_and_one"]
    n_vectors: int

    def products(
        self, left: Float[Tensor, "n_vectors d"], right: Float[Tensor, "n_features d"]
    ) -> Float[Tensor, " n_entries"]:
        """``left rightᵀ`` at the places of the entries."""
        shape = (len(self.ends) - 1, self.n_vectors)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*beta state")
            places = torch.sparse_csr_tensor(
                self.ends, self.vectors, torch.zeros_like(self.values), shape,
                check_invariants=False,
            )  # fmt: skip
            sampled: Tensor = torch.sparse.sampled_addmm(places, right, left.T, beta=0.0)
        values: Tensor = sampled.values()
        return values

    def pulled(
        self,
        weights: Float[Tensor, " n_entries"],
        vectors: Float[Tensor, "n_vectors d"],
        out: Float[Tensor, "n_features d"],
    ) -> Float[Tensor, "n_features d"]:
        """``wᵀ vectors``, where w has these weights at the places of the entries."""
        block = max(1, BLOCK_FLOATS // vectors.shape[1])
        n_features = len(self.ends) - 1
        for start in range(0, n_features, block):
            stop = min(start + block, n_features)
            first, last = int(self.ends[start]), int(self.ends[stop])
            out[start:stop] = _weighted_sums(
                self.vectors[first:last],
                weights[first:last],
                self.ends[start : stop + 1] - first,
                vectors,
            )
        return out

    def totals(self, weights: Float[Tensor, " n_entries"]) -> Float[Tensor, " n_features"]:
        """The sum of the weights of each feature's entries."""
        return self._features_sum(weights, weights.dtype)

    def count(self) -> Int64[Tensor, " n_features"]:
        """How many entries of each feature are not 0."""
        return self._features_sum(self.values != 0, torch.int64)

    def _features_sum(self, what: Shaped[Tensor, " n_entries"], dtype: torch.dtype) -> Tensor:
        features = torch.repeat_interleave(self.lengths)
        return torch.zeros_like(self.lengths, dtype=dtype).index_add_(0, features, what.to(dtype))

    @cached_property
    def lengths(self) -> Int64[Tensor, " n_features"]:
        """How many entries each feature has."""
        return self.ends.diff()


def _weighted_sums(
    which: Int[Tensor, " n_entries"],
    weights: Float[Tensor, " n_entries"],
    ends: Int[Tensor, " n_sums_and_one"],
    rows: Float[Tensor, "n d"],
) -> Float[Tensor, "n_sums d"]:
    """For each stretch of entries the weighted sum of the rows they name."""
    return embedding_bag(
        which,
        rows,
        ends,
        mode="sum",
        per_sample_weights=weights.to(rows.dtype),
        include_last_offset=True,
    )


def largest_entries(ranked: Float[Tensor, "n n_features"], k: int) -> Int64[Tensor, "n k"]:
    """Where the k largest entries of each row are, in no order; of equal or negative ones any.

    The k largest lie in the k groups with the largest maxima: these are found first, in the same
    way, and only their entries are looked at. The twin is ``torch.topk``.
    """
    if ranked.device.type != "cpu":
        return ranked.topk(k, dim=1, sorted=False).indices
    return _largest(as_integers(ranked), k)


def _largest(ranked: Int[Tensor, "n n_features"], k: int) -> Int64[Tensor, "n k"]:
    n, n_features = ranked.shape
    n_groups = n_features // _GROUP
    if n_groups <= 2 * k:
        return _largest_of_few(ranked, k)
    whole = n_groups * _GROUP
    best = _largest(ranked[:, :whole].reshape(n, _GROUP, n_groups).amax(1), k)
    # Entry j of group g stands in column j · n_groups + g; what no group holds is always looked at.
    columns = (best[:, None, :] + n_groups * torch.arange(_GROUP)[:, None]).flatten(1)
    if whole < n_features:
        rest = torch.arange(whole, n_features).expand(n, -1)
        columns = torch.cat([columns, rest], 1)
    return columns.gather(1, _largest(ranked.gather(1, columns), k))


def _largest_of_few(ranked: Int[Tensor, "n n_features"], k: int) -> Int64[Tensor, "n k"]:
    """The same without groups.

    NumPy parts numbers ten times as fast as it finds out where they would go. So each takes its
    column along, in bits below its own.
    """
    wide, bits, first = torch.int64, 32, ranked.shape[1] - k
    if ranked.dtype == torch.int64:
        chosen = np.argpartition(ranked.numpy(), first, axis=1)[:, first:]
        return torch.from_numpy(np.ascontiguousarray(chosen))
    if ranked.dtype == torch.int16 and ranked.shape[1] <= 1 << 16:
        wide, bits = torch.int32, 16
    columns = torch.arange(ranked.shape[1], dtype=wide)
    marked = torch.add(columns, ranked.to(wide), alpha=1 << bits)
    marked.numpy().partition(first, axis=1)
    return marked[:, first:].bitwise_and((1 << bits) - 1).long()


def places_above(pre: Float[Tensor, "n n_features"], floor: float) -> Int64[Tensor, " n_entries"]:
    """Where in the flattened activations those lie that exceed a floor of at least 0, in order."""
    if pre.device.type != "cpu":
        return (pre > floor).flatten().nonzero().squeeze(1)
    plain, least = (as_integers(each) for each in (pre.flatten(), pre.new_tensor(floor)))
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
