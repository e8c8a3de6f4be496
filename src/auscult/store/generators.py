"""Generators r[t + lag] - r[t] as a view of a store: dynamics needs no second one."""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Float32, Int, Int32, Int64

from auscult.core.errors import NoVectorsError
from auscult.store.ranges import RowRanges
from auscult.store.source import VectorSource, check_indices, measured
from auscult.store.statistics import Statistics


def stretches(
    columns: Iterable[tuple[Int64[np.ndarray, " n"], Int32[np.ndarray, " n"]]], step: int
) -> RowRanges:
    """Find the rows of unbroken stretches: same clip, each frame ``step`` after the one before.

    Args:
        columns: Frame and clip of every row, shard by shard; a stretch lies in one shard.
        step: Frames from one kept frame to the next.
    """
    starts, counts, first = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for frame, clip in columns:
        broken = (np.diff(frame) != step) | (np.diff(clip) != 0)
        begins = np.concatenate([[0], np.flatnonzero(broken) + 1])[: len(frame)]
        starts.append(begins + first)
        counts.append(np.diff(np.concatenate([begins, [len(frame)]]))[: len(begins)])
        first += len(frame)
    return RowRanges(np.concatenate(starts), np.concatenate(counts))


@final
class GeneratorView(VectorSource):
    """Differences of response vectors ``lag`` frames apart.

    A pair lies within one clip, and every frame between its ends that the sampling keeps is stored:
    it never spans two clips, two runs or a masked gap. Its place is that of r[t].

    Attributes:
        lag: Frames from r[t] to r[t + lag].
    """

    def __init__(
        self, states: VectorSource, unbroken: RowRanges, lag: int, digest: str, step: int = 1
    ) -> None:
        """Use ``generators`` of a store or of a selection."""
        if lag < 1 or lag % step:
            raise NoVectorsError(
                f"a lag of {lag} frames is no multiple of the stored step of {step} frames"
            )
        self._states = states
        self._reach = lag // step
        self._pairs = RowRanges(unbroken.starts, unbroken.counts - self._reach)
        self._parent_digest = digest
        self.lag = lag
        self.d_in = states.d_in
        self.n_vectors = self._pairs.n
        if self.n_vectors == 0:
            longest = int(unbroken.counts.max(initial=0)) * step
            raise NoVectorsError(
                f"there are no generators of lag {lag}: the longest unbroken stretch has {longest} "
                "frames; sample longer runs"
            )

    @cached_property
    def digest(self) -> str:
        """SHA-256 that stands for the vectors and the lag."""
        return hashlib.sha256(f"{self._parent_digest} generators {self.lag}".encode()).hexdigest()

    def rows(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """Compute the generators at these indices."""
        first = self._first(indices)
        generators = self._states.rows(first + self._reach)
        generators -= self._states.rows(first)
        return generators

    def states(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """Copy the r[t] of these generators."""
        return self._states.rows(self._first(indices))

    def successors(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """Copy the r[t + lag] of these generators."""
        return self._states.rows(self._first(indices) + self._reach)

    def locate(self, indices: Int[np.ndarray, " n"]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
        """Say of which clip, and at which frame t, each generator is."""
        return self._states.locate(self._first(indices))

    def _first(self, indices: Int[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self._pairs.rows(check_indices(indices, self.n_vectors))

    def _measure(self) -> Statistics:
        return measured(self)
