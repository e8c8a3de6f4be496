"""Frames beside one another as a view of a store: each vector is several frames, end to end."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Float32, Int, Int64

from auscult.core.errors import NoVectorsError
from auscult.store.ranges import RowRanges
from auscult.store.source import VectorSource, check_indices, measured
from auscult.store.statistics import Statistics


@final
class WindowView(VectorSource):
    """For each frame t of a store, the response vectors at ``t + offset``, end to end.

    All frames from ``t + first`` to ``t + last`` lie in one clip and are stored, so that a window
    never spans two clips, two runs or a masked gap. Its place is that of t. Views with the same
    ``reach`` have the same frames, whatever their offsets: one can be joined with another, or be
    its target.

    Attributes:
        offsets: Frames from t to each part.
        reach: First and last frame from t on that must be there.
    """

    def __init__(
        self,
        states: VectorSource,
        unbroken: RowRanges,
        digest: str,
        offsets: Sequence[int],
        reach: tuple[int, int],
        step: int = 1,
    ) -> None:
        """Use ``windows`` of a store or of a selection."""
        first, last = reach
        if any(frames % step for frames in (*offsets, *reach)):
            raise NoVectorsError(
                f"frames {list(offsets)} from another are no multiples of the stored step of "
                f"{step} frames"
            )
        if not first <= min(offsets) <= max(offsets) <= last or first > 0 > last:
            raise NoVectorsError(f"offsets {list(offsets)} must lie within {first} to {last}")
        before, after = max(0, -first) // step, max(0, last) // step
        self._states = states
        self._rows = [offset // step for offset in offsets]
        self._frames = RowRanges(unbroken.starts + before, unbroken.counts - before - after)
        self._parent_digest = digest
        self.offsets, self.reach = tuple(offsets), reach
        self.d_in = states.d_in * len(self.offsets)
        self.n_vectors = self._frames.n
        if self.n_vectors == 0:
            longest = int(unbroken.counts.max(initial=0)) * step
            raise NoVectorsError(
                f"there are no {last - first + 1} frames beside one another: the longest unbroken "
                f"stretch has {longest} frames; sample longer runs"
            )

    @cached_property
    def digest(self) -> str:
        """SHA-256 that stands for the vectors, the offsets and the reach."""
        said = f"{self._parent_digest} windows {self.offsets} within {self.reach}"
        return hashlib.sha256(said.encode()).hexdigest()

    def rows(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """Copy the windows of these frames."""
        here = self._here(indices)
        return np.concatenate([self._states.rows(here + row) for row in self._rows], axis=1)

    def locate(self, indices: Int[np.ndarray, " n"]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
        """Say of which clip, and at which frame t, each window is."""
        return self._states.locate(self._here(indices))

    def _here(self, indices: Int[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self._frames.rows(check_indices(indices, self.n_vectors))

    def _measure(self) -> Statistics:
        return measured(self)
