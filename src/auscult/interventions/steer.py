"""Add a direction to what a tap says."""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.core.config import Config
from auscult.core.timebase import TimeBase
from auscult.interventions.base import EDITS, Edit, EditParams, expect_width


class SteerParams(EditParams):
    """What is added; ``strength`` is α."""

    direction: tuple[float, ...] = Field(min_length=1)
    """The direction w, of any length."""
    renorm: Literal["none", "rms"] = "none"
    """Whether a changed vector is given back the root mean square that it had."""


@EDITS.register("steer")
class Steer(Edit):
    """``x + α w``, with ``renorm = "rms"`` scaled back to the level of x (METHODS C-7)."""

    Params: ClassVar[type[Config]] = SteerParams

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Add α times the direction.

        Raises:
            WidthError: The direction was made for another tap.
        """
        del time
        expect_width(values, len(self.params.direction), "the direction")
        direction = torch.tensor(self.params.direction, dtype=values.dtype, device=values.device)
        moved: Tensor = values + self.params.strength * direction
        if self.params.renorm == "none":
            return moved
        before, after = (x.square().mean(-1, keepdim=True).sqrt() for x in (values, moved))
        return torch.where(after > 0, moved * before / after.clamp_min(1e-12), moved)
