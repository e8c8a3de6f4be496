"""A part of a store as ranges of consecutive rows: millions of rows without a list of them."""

from functools import cached_property

import numpy as np
from jaxtyping import Int64


class RowRanges:
    """Rows ``starts[i] … starts[i] + counts[i] - 1`` for each i, ascending, numbered from 0."""

    def __init__(
        self, starts: Int64[np.ndarray, " n_ranges"], counts: Int64[np.ndarray, " n_ranges"]
    ) -> None:
        kept = counts > 0
        self.starts, self.counts = starts[kept], counts[kept]
        self._stops = np.cumsum(self.counts)
        self._shift = self.starts - (self._stops - self.counts)
        self.n = int(self.counts.sum())

    @cached_property
    def _size(self) -> int:
        """The size of every range, or 0 when sizes differ; the last one may be smaller."""
        if not len(self.counts) or np.any(self.counts[:-1] != self.counts[0]):
            return 0
        return int(self.counts[0]) if self.counts[-1] <= self.counts[0] else 0

    def rows(self, indices: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Map indices of the part to rows of the whole; the indices are not checked."""
        if len(self.starts) == 1:
            return indices + int(self.starts[0])
        if self._size:
            ranges = indices // self._size
        else:
            ranges = np.searchsorted(self._stops, indices, side="right")
        rows: Int64[np.ndarray, " n"] = indices + self._shift[ranges]
        return rows

    def within(self, outer: "RowRanges") -> "RowRanges":
        """Keep the ranges that lie in one of the outer ones; none may cross the edge of one."""
        after = np.searchsorted(outer.starts, self.starts, side="right")
        ends = np.concatenate([[0], outer.starts + outer.counts])
        inside = self.starts < ends[after]
        return RowRanges(self.starts[inside], self.counts[inside])
