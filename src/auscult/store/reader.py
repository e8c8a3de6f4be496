"""Reads a finished store by memory map: any rows, whole clips, passes in order or shuffled."""

import hashlib
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float32, Int, Int64

from auscult.core.errors import NoVectorsError, StoreError, UnknownNameError
from auscult.core.timebase import TimeBase
from auscult.store.columns import ShardTable
from auscult.store.generators import GeneratorView
from auscult.store.index import ClipRecord, StoreIndex
from auscult.store.precision import as_float32
from auscult.store.ranges import RowRanges
from auscult.store.recovery import read_statistics, rows_of
from auscult.store.shard import verify_file
from auscult.store.source import VectorSource, check_indices, measured
from auscult.store.statistics import Statistics
from auscult.store.windows import WindowView


@final
class ActivationStore(VectorSource):
    """Response vectors of one tap, on disk; or those of some of its clips, see :meth:`select`.

    Attributes:
        index: Settings, clips and shards of the whole store.
        time: Where frames lie in the model's input.
        clips: Table of the clips, in the order in which they were captured.
    """

    def __init__(self, table: ShardTable, positions: Int64[np.ndarray, " n_clips"] | None) -> None:
        """Use :meth:`open` and :meth:`select`."""
        self._table = table
        self.index = table.index
        self.time: TimeBase = self.index.settings.time
        self.d_in = self.index.settings.d_in
        self.is_whole = positions is None
        if positions is None:
            positions = np.arange(len(self.index.clips))
        edges = rows_of(self.index.clips)
        self._positions = positions
        self.clips: tuple[ClipRecord, ...] = tuple(self.index.clips[i] for i in positions)
        self._starts, self._counts = edges[positions], np.diff(edges)[positions]
        # All clips are one range of rows, which costs nothing to look up.
        self._ranges = (
            RowRanges(edges[:1], edges[-1:])
            if self.is_whole
            else RowRanges(self._starts, self._counts)
        )
        self.n_vectors = self._ranges.n
        self._by_id = {clip.clip_id: i for i, clip in enumerate(self.clips)}

    @classmethod
    def open(cls, folder: Path) -> "ActivationStore":
        """Open a store that was finished; shards are mapped when first needed.

        Raises:
            StoreError: It is unfinished or damaged, or a shard is missing or of another size.
        """
        folder = Path(folder)
        index = StoreIndex.read(folder)
        if index.statistics is None:
            raise StoreError(f"{folder} is unfinished: run its capture again, it will go on")
        return cls(ShardTable(folder, index), None)

    @property
    def folder(self) -> Path:
        """Where the store is."""
        return self._table.folder

    @property
    def step(self) -> int:
        """Frames from one stored frame of a run to the next."""
        return self.index.settings.sampling.step

    @cached_property
    def digest(self) -> str:
        """SHA-256 that stands for settings, clips and every byte of every shard."""
        if self.is_whole:
            return self.index.digest
        parts = [self.index.digest, *(clip.clip_id for clip in self.clips)]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    @cached_property
    def recording_ids(self) -> frozenset[str]:
        """The recordings that the clips were cut from."""
        return frozenset(clip.recording_id for clip in self.clips)

    def rows(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """Copy the vectors at these indices."""
        return as_float32(self._table.take(self._rows(indices), "values"))

    def locate(self, indices: Int[np.ndarray, " n"]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
        """Say of which clip, and which of its frames, each vector is."""
        frames = self._table.take(self._rows(indices), "frame")
        return [self.clips[i].clip_id for i in self.clip_positions(indices)], frames

    def clip_positions(self, indices: Int[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Position in :attr:`clips` of each vector's clip: for grouping vectors by clip."""
        checked = check_indices(indices, self.n_vectors)
        stops = np.cumsum(self._counts)
        return np.searchsorted(stops, checked, side="right").astype(np.int64)

    def clip(self, clip_id: str) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, "n d_in"]]:
        """Give the stored frames of a clip and their vectors.

        Raises:
            UnknownNameError: There is no such clip here.
        """
        position = self._by_id.get(clip_id)
        if position is None:
            raise UnknownNameError("clip", clip_id, self._by_id)
        start = int(self._starts[position])
        return self._table.stretch(start, start + int(self._counts[position]))

    def select(
        self,
        recording_ids: Collection[str] | None = None,
        *,
        clip_ids: Collection[str] | None = None,
    ) -> "ActivationStore":
        """View the clips of some recordings (one side of a split), or some clips, as a store.

        A recording that gave no clip, as one that could not be decoded, is passed over.

        Raises:
            UnknownNameError: A clip is not here.
            NoVectorsError: Nothing is selected.
        """
        for clip_id in clip_ids or ():
            if clip_id not in self._by_id:
                raise UnknownNameError("clip", clip_id, self._by_id)
        recordings = self.recording_ids if recording_ids is None else frozenset(recording_ids)
        wanted = self._by_id.keys() if clip_ids is None else frozenset(clip_ids)
        chosen = [
            i
            for i, clip in enumerate(self.clips)
            if clip.recording_id in recordings and clip.clip_id in wanted
        ]
        if not self._counts[chosen].sum():
            raise NoVectorsError(
                f"nothing of {self.folder} is selected: no stored vector is of these names"
            )
        return ActivationStore(self._table, self._positions[chosen])

    def generators(self, lag: int = 1) -> GeneratorView:
        """View the differences r[t + lag] - r[t] within clips, over frames that are all stored.

        Raises:
            NoVectorsError: No clip has a stretch of stored frames longer than the lag.
        """
        whole = ActivationStore(self._table, None)
        return GeneratorView(whole, self._unbroken, lag, self.digest, self.step)

    def windows(self, offsets: Sequence[int], reach: tuple[int, int] | None = None) -> WindowView:
        """View, for each frame, the vectors at some frames from it, end to end, within clips.

        Args:
            offsets: Frames from each frame on: ``[-1, 0, 1]`` for a frame between its neighbours.
            reach: First and last frame that must be stored as well; None: those of the offsets.
                Views of one reach have the same frames.

        Raises:
            NoVectorsError: No clip has a stretch of stored frames that long.
        """
        within = reach or (min(0, *offsets, 0), max(0, *offsets, 0))
        whole = ActivationStore(self._table, None)
        return WindowView(whole, self._unbroken, self.digest, offsets, within, self.step)

    @property
    def _unbroken(self) -> RowRanges:
        """Rows of unbroken stretches of the clips that are selected."""
        unbroken = self._table.unbroken
        return unbroken if self.is_whole else unbroken.within(self._ranges)

    def verify(self) -> None:
        """Read every byte of the whole store and compare it with the digests.

        Raises:
            StoreError: A file is missing, cut short, or differs in a bit.
        """
        StoreIndex.read(self.folder)
        statistics = [self.index.statistics] if self.index.statistics else []
        for record in [*self.index.shards, *statistics]:
            verify_file(self.folder, record)

    def _rows(self, indices: Int[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self._ranges.rows(check_indices(indices, self.n_vectors))

    def _measure(self) -> Statistics:
        if not self.is_whole or self.index.statistics is None:
            return measured(self)
        return read_statistics(self.folder, self.index.statistics, self.d_in).statistics()
