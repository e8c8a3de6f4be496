"""What a dictionary is fitted to: vectors drawn shuffled, in order, or by their index."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64

from auscult.core.errors import StoreError
from auscult.store.background import prefetched
from auscult.store.shuffle import BUFFER_BYTES, in_batches, shuffled
from auscult.store.statistics import Moments, Statistics

GATHER_BYTES = 2 << 20
"""How much is read at once; batches are cut from it, so that small ones cost no more."""

Batches = Iterator[Float32[np.ndarray, "batch d_in"]]


class VectorSource(ABC):
    """Vectors of one width, each with an index from 0 to ``n_vectors`` - 1.

    A store, a part of it, its generators and an array in memory are all sources: what is written
    for one works on the others.

    Attributes:
        d_in: Width of a vector.
        n_vectors: How many there are.
        waits: Whether reading waits for something else than the processor, a disk for instance.
    """

    waits: bool = True
    d_in: int
    n_vectors: int

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 that stands for every vector and their order."""

    @abstractmethod
    def rows(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """Copy the vectors at these indices, in this order; an index may come twice.

        Raises:
            IndexError: One is below 0 or not below ``n_vectors``.
        """

    @abstractmethod
    def locate(self, indices: Int[np.ndarray, " n"]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
        """Say of which clip, and which of its frames, each vector is."""

    @abstractmethod
    def _measure(self) -> Statistics:
        """Take statistics; called once."""

    @final
    @cached_property
    def statistics(self) -> Statistics:
        """Mean and second moments in float64; a view takes them in one pass when first asked."""
        return self._measure()

    def vectors(
        self,
        batch: int,
        rng: np.random.Generator,
        *,
        prefetch: int = 0,
        skip_batches: int = 0,
        drop_last: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> Batches:
        """Pass over all vectors once, shuffled.

        The order is fixed by one draw from ``rng`` at the time of the call. It is a uniform
        permutation while the vectors take at most ``buffer_bytes`` as float32; beyond that the
        source is cut into blocks, buffers are filled with blocks from everywhere, and each is
        shuffled within.

        Args:
            batch: Vectors in a batch; the last batch may have fewer.
            rng: Draws the order.
            prefetch: Reads of ``GATHER_BYTES`` that a thread stays ahead; the batches are the same.
            skip_batches: Leave out the first so many without reading them (to resume a pass).
            drop_last: Leave out a last batch that is not full.
            buffer_bytes: See above; also about how much of the source should fit in memory.

        Raises:
            StoreError: The batch is not at least 1.
        """
        _check_batch(batch)
        row_bytes = 4 * self.d_in
        own = np.random.default_rng(int(rng.integers(1 << 63)))
        order = shuffled(self.n_vectors, own, max(1, buffer_bytes // row_bytes))
        at_once = batch * max(1, GATHER_BYTES // (row_bytes * batch))
        chunks = in_batches(order, at_once, skip=skip_batches * batch)
        read = prefetched((self.rows(indices) for indices in chunks), prefetch)
        return _cut(read, batch, drop_last)

    @final
    def ordered(self, batch: int) -> Batches:
        """Pass over all vectors once, in order; the last batch may have fewer.

        Raises:
            StoreError: The batch is not at least 1.
        """
        _check_batch(batch)
        starts = range(0, self.n_vectors, batch)
        return (self.rows(np.arange(i, min(i + batch, self.n_vectors))) for i in starts)


@final
class ArraySource(VectorSource):
    """Vectors in memory."""

    waits = False

    def __init__(self, values: Float[np.ndarray, "n d_in"]) -> None:
        if values.ndim != 2 or 0 in values.shape:
            raise StoreError(f"vectors must be [n d_in] with at least one, got {values.shape}")
        self._values = np.ascontiguousarray(values, dtype=np.float32)
        self.n_vectors, self.d_in = self._values.shape
        # Torch copies rows with all of its threads, but only out of memory that may be written.
        self._shared = torch.from_numpy(self._values) if self._values.flags.writeable else None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape and values."""
        hasher = hashlib.sha256(f"array {self._values.shape}".encode())
        hasher.update(self._values.data)
        return hasher.hexdigest()

    def rows(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """Copy the vectors at these indices."""
        checked = check_indices(indices, self.n_vectors)
        if self._shared is None:
            return np.take(self._values, checked, axis=0)
        found: np.ndarray = self._shared.index_select(
            0, torch.from_numpy(np.array(checked))
        ).numpy()
        return found

    def locate(self, indices: Int[np.ndarray, " n"]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
        """An array is one clip, named "array"; a vector's index is its frame."""
        checked = check_indices(indices, self.n_vectors)
        return ["array"] * len(checked), checked

    def _measure(self) -> Statistics:
        return measured(self)


def measured(source: VectorSource) -> Statistics:
    """Take the statistics of any source in one ordered pass."""
    moments = Moments(source.d_in)
    for batch in source.ordered(max(1, GATHER_BYTES // (4 * source.d_in))):
        moments.add(batch)
    return moments.statistics()


def check_indices(indices: Any, n_vectors: int) -> Int64[np.ndarray, " n"]:
    """Refuse indices outside a source.

    Raises:
        IndexError: One is below 0 or not below ``n_vectors``.
    """
    checked = np.asarray(indices, dtype=np.int64)
    if len(checked) and (checked.min() < 0 or checked.max() >= n_vectors):
        raise IndexError(f"indices must lie in [0, {n_vectors})")
    return checked


def _check_batch(batch: int) -> None:
    if batch < 1:
        raise StoreError(f"a batch must have at least 1 vector, not {batch}")


def _cut(chunks: Batches, batch: int, drop_last: bool) -> Batches:
    """Cut what was read, which comes in whole batches but for the last, into batches."""
    for chunk in chunks:
        for start in range(0, len(chunk), batch):
            part = chunk[start : start + batch]
            if len(part) == batch or not drop_last:
                yield part
