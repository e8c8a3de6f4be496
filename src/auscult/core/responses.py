"""Response vectors at a tap, with their place in time."""

from dataclasses import dataclass

from jaxtyping import Bool, Shaped
from torch import Tensor

from auscult.core.timebase import TimeBase


@dataclass(frozen=True)
class Responses:
    """What a tap said about a batch of clips.

    Attributes:
        values: Response vectors (integers at a ``codes`` tap); an own copy that nothing overwrites.
        time: Where the frames lie in the model's input.
        clip_ids: One id per row of the batch.
        valid: Frames whose hop lies within the sound and not in its padding; None means all.
    """

    values: Shaped[Tensor, "batch frame d_in"]
    time: TimeBase
    clip_ids: tuple[str, ...] = ()
    valid: Bool[Tensor, "batch frame"] | None = None

    @property
    def d_in(self) -> int:
        """Width of a response vector."""
        return int(self.values.shape[-1])
