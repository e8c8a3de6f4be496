"""What an edit is: response vectors in, changed response vectors out.

Anywhere or within a time span.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import WidthError
from auscult.core.registry import Registry
from auscult.core.timebase import TimeBase

EDITS: Registry["Edit"] = Registry("edit", "auscult.interventions")


class EditParams(Config):
    """Settings that every edit has."""

    strength: float = 1.0
    """How much; 0 changes nothing, bit for bit."""
    start_s: float | None = None
    """Frames centred before this time are left alone; none: from the beginning."""
    stop_s: float | None = None
    """Frames centred from this time on are left alone; none: to the end."""


class Edit(ABC):
    """One change at a tap, for :func:`auscult.intervene`; always out of place.

    Attributes:
        params: Its settings.
    """

    registered_name: ClassVar[str] = ""
    Params: ClassVar[type[Config]] = EditParams

    def __init__(self, params: Any) -> None:
        self.params = params

    @abstractmethod
    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """The changed values at the edit's strength, as if the span were the whole clip."""

    def __call__(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Change within the span; strength 0 gives back the very values."""
        if self.params.strength == 0:
            return values
        changed = self.change(values, time)
        inside = self._inside(values.shape[1], time)
        return changed if inside is None else torch.where(inside[:, None], changed, values)

    def _inside(self, n_frames: int, time: TimeBase) -> Tensor | None:
        """Which frames lie in the span; None when it is the whole clip."""
        start, stop = self.params.start_s, self.params.stop_s
        if start is None and stop is None:
            return None
        seconds = torch.tensor([time.seconds(i) for i in range(n_frames)], dtype=torch.float64)
        inside = torch.ones(n_frames, dtype=torch.bool)
        if start is not None:
            inside &= seconds >= start
        if stop is not None:
            inside &= seconds < stop
        return inside


def expect_width(values: Tensor, width: int, what: str) -> None:
    """Refuse values of another width than a direction or a set of channels was made for.

    Raises:
        WidthError: Names both widths.
    """
    if values.shape[-1] != width:
        raise WidthError(f"{what} has width {width}, the tap has {values.shape[-1]}")
