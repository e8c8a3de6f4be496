"""Codes that a language model writes level by level, each level a position later than the last.

MusicGen's delay pattern (Copet et al. 2023, section 2.2): frame j's code of level q stands at
position ``1 + j + q`` behind the start token, so that a decoder pass writes one level each of as
many frames as there are levels. Of a stereo codec both channels' codes of a level stand together.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class DelayPattern:
    """Where codes stand.

    Attributes:
        n_frames: Frames to write.
        n_books: Rows of codes, of all channels.
        n_channels: Channels whose codes of a level stand at the same position.
        blank: The token at places that hold no code.
    """

    n_frames: int
    n_books: int
    n_channels: int
    blank: int

    @property
    def longest(self) -> int:
        """Positions between the first and the last level of a frame."""
        return self.n_books // self.n_channels - 1

    @property
    def n_passes(self) -> int:
        """Passes of the decoder that write everything."""
        return self.n_frames + self.longest

    def delay(self, book: int) -> int:
        """Positions by which a row of codes is late."""
        return book // self.n_channels

    def n_written(self, n_passes: int) -> int:
        """Frames that are complete after some passes."""
        return max(0, n_passes - self.longest)

    def holds(self, position: int) -> list[bool]:
        """Which rows have a code at a position; 0 is the start token."""
        frames = [position - 1 - self.delay(book) for book in range(self.n_books)]
        return [0 <= frame < self.n_frames for frame in frames]

    def masked(
        self, tokens: Int[Tensor, "prompt book"], position: int
    ) -> Int[Tensor, "prompt book"]:
        """What was drawn for a position, blank where the pattern has no code."""
        held = torch.tensor(self.holds(position), device=tokens.device)
        return torch.where(held, tokens, torch.full_like(tokens, self.blank))

    def frames(
        self, written: Int[Tensor, "prompt book position"]
    ) -> Int[Tensor, "prompt book frame"]:
        """The delay undone: codes of the frames that are complete."""
        n = self.n_written(written.shape[2] - 1)
        rows = [
            written[:, book, 1 + self.delay(book) : 1 + self.delay(book) + n]
            for book in range(self.n_books)
        ]
        return torch.stack(rows, 1)

    def put(
        self,
        written: Int[Tensor, "prompt book position"],
        codes: Int[Tensor, "prompt book frame"],
    ) -> Int[Tensor, "prompt book position"]:
        """The same with other codes for the first so many frames."""
        changed = written.clone()
        for book in range(self.n_books):
            start = 1 + self.delay(book)
            changed[:, book, start : start + codes.shape[2]] = codes[:, book]
        return changed
