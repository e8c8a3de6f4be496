"""The shards of a store as one table: rows of a column, wherever they lie."""

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from auscult.core.errors import StoreError
from auscult.store.generators import stretches
from auscult.store.index import StoreIndex
from auscult.store.precision import as_float32
from auscult.store.ranges import RowRanges
from auscult.store.shard import MappedShard


class ShardTable:
    """All rows of all shards, numbered through; a shard is mapped when it is first needed."""

    def __init__(self, folder: Path, index: StoreIndex) -> None:
        """Check that every shard is there and has its size: a map must not pass a file's end.

        Raises:
            StoreError: One is missing or of another size, or clips and shards do not add up.
        """
        self.folder = folder
        self.index = index
        for record in index.shards:
            path = folder / record.file
            try:
                n_bytes = path.stat().st_size
            except OSError as error:
                raise StoreError(f"{path} is missing: capture again") from error
            if n_bytes != record.n_bytes:
                raise StoreError(f"{path} has {n_bytes} bytes, not {record.n_bytes}: capture again")
        counts = np.array([record.n_vectors for record in index.shards], dtype=np.int64)
        if counts.sum() != sum(clip.n_vectors for clip in index.clips):
            raise StoreError(f"{folder} has clips and shards that do not add up: capture again")
        self._stops = np.cumsum(counts)
        self._mapped: dict[int, MappedShard] = {}

    def take(
        self, rows: Int64[np.ndarray, " n"], column: Literal["values", "frame"]
    ) -> Shaped[np.ndarray, "n ..."]:
        """Copy rows of a column in the order given; they are read in the order of the disk."""
        if len(self._stops) == 1:
            only: np.ndarray = getattr(self._shard(0), column)
            return only.take(rows, axis=0)
        order = np.argsort(rows)
        ascending = rows[order]
        cuts = np.searchsorted(ascending, np.concatenate([[0], self._stops]))
        like: np.ndarray = getattr(self._shard(0), column)
        sorted_rows = np.empty((len(rows), *like.shape[1:]), like.dtype)
        for number in np.flatnonzero(np.diff(cuts)).tolist():
            part = slice(cuts[number], cuts[number + 1])
            array: np.ndarray = getattr(self._shard(number), column)
            local = ascending[part] - (self._stops[number] - len(array))
            # Clipping never happens; it is the one mode in which NumPy writes straight into `out`.
            array.take(local, axis=0, out=sorted_rows[part], mode="clip")
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        return sorted_rows.take(position, axis=0)

    def stretch(
        self, start: int, stop: int
    ) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, "n d_in"]]:
        """Copy frames and values of consecutive rows of one clip, which lie in one shard."""
        if start == stop:
            return np.empty(0, np.int64), np.empty((0, self.index.settings.d_in), np.float32)
        number = int(np.searchsorted(self._stops, start, side="right"))
        shard = self._shard(number)
        first = int(self._stops[number]) - len(shard.values)
        part = slice(start - first, stop - first)
        return shard.frame[part].copy(), np.array(as_float32(shard.values[part]))

    @cached_property
    def unbroken(self) -> RowRanges:
        """Rows of unbroken stretches of frames; shards never split a clip, nor then a stretch."""
        shards = (self._shard(number) for number in range(len(self.index.shards)))
        step = self.index.settings.sampling.step
        return stretches(((shard.frame, shard.clip) for shard in shards), step)

    def _shard(self, number: int) -> MappedShard:
        if number not in self._mapped:
            settings, record = self.index.settings, self.index.shards[number]
            shard = MappedShard(self.folder / record.file)
            width, dtype = shard.values.shape[1], shard.values.dtype
            if width != settings.d_in or dtype != settings.dtype or shard.record != record:
                raise StoreError(f"{shard.path} does not belong to this store: capture again")
            self._mapped[number] = shard
        return self._mapped[number]
