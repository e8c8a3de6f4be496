"""A shard while it fills: arrays allocated once, rows copied in, an image taken at any time."""

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from auscult.store.index import ClipRecord, StoreDtype
from auscult.store.shard import ShardImage


class ShardBuffer:
    """Room for the vectors of one shard.

    Attributes:
        capacity: Vectors that it has room for.
        number: Position of the shard.
    """

    def __init__(self, d_in: int, dtype: StoreDtype, capacity: int) -> None:
        self.capacity = capacity
        self._values = np.empty((capacity, d_in), np.dtype(dtype))
        self._frame = np.empty(capacity, np.int64)
        self._clip = np.empty(capacity, np.int32)
        self.begin(0, 0)

    def begin(self, number: int, first_clip: int) -> None:
        """Forget what is in it and start the shard of this number."""
        self.number = number
        self._first_clip = first_clip
        # A clip and the row after its last enter together: an interruption leaves both or none.
        self._entries: list[tuple[ClipRecord, int]] = []

    @property
    def n(self) -> int:
        """Vectors in it."""
        return self._entries[-1][1] if self._entries else 0

    def load(self, image: ShardImage) -> None:
        """Take over what a shard holds, to go on filling it."""
        self.begin(image.number, image.first_clip)
        n = len(image.values)
        self._values[:n] = image.values
        self._frame[:n] = image.frame
        self._clip[:n] = image.clip
        stops = np.cumsum([clip.n_vectors for clip in image.clips]).tolist()
        self._entries = list(zip(image.clips, stops, strict=True))

    def append(
        self,
        record: ClipRecord,
        frames: Int64[np.ndarray, " n"],
        values: Shaped[Tensor, "n d_in"],
    ) -> None:
        """Copy the vectors of a clip in, straight from where they are."""
        start, stop = self.n, self.n + len(frames)
        torch.from_numpy(self._values[start:stop]).copy_(values)
        self._frame[start:stop] = frames
        self._clip[start:stop] = self._first_clip + len(self._entries)
        self._entries.append((record, stop))

    def image(self) -> ShardImage:
        """What it holds now; clips that are appended later do not change it."""
        n = self.n
        return ShardImage(
            self.number,
            self._first_clip,
            tuple(record for record, _ in self._entries),
            self._frame[:n],
            self._clip[:n],
            self._values[:n],
        )


def picked(
    values: Shaped[Tensor, "frame d_in"], frames: Int64[np.ndarray, " n"]
) -> Shaped[Tensor, "n d_in"]:
    """Take sorted frames: as a view when they are consecutive, else as a copy."""
    if len(frames) == 0:
        return values[:0]
    first, last = int(frames[0]), int(frames[-1])
    if last - first + 1 == len(frames):
        return values[first : last + 1]
    return values.index_select(0, torch.from_numpy(frames).to(values.device))


def fits(values: Shaped[Tensor, "n d_in"], dtype: StoreDtype) -> bool:
    """Whether every value is a number that the dtype can hold."""
    if values.numel() == 0:
        return True
    # Of a transposed view the transpose is contiguous, which is thirty times as fast to go through.
    low, high = torch.aminmax(values if values.is_contiguous() else values.t())
    # Minimum and maximum let NaN through, and no comparison with NaN holds.
    largest = float(np.finfo(dtype).max)
    return float(low) >= -largest and float(high) <= largest
