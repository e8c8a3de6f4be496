"""Apply a control vector at its tap."""

from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.config import Config, parse
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.interventions.base import EDITS, Edit, EditParams, expect_width
from auscult.interventions.control import ControlVector


class ControlParams(EditParams):
    """Which vector is applied; ``strength`` is α."""

    vector: str = ""
    """Folder of the control vector; none where the edit is made with one in memory."""


@EDITS.register("control")
class Control(Edit):
    """Move a concept by a saved control vector, under the rule that it carries (METHODS C-7)."""

    Params: ClassVar[type[Config]] = ControlParams

    def __init__(self, params: ControlParams, vector: ControlVector | None = None) -> None:
        super().__init__(params)
        if vector is None and not params.vector:
            raise ConfigError("the edit needs a control vector: give the folder that holds it")
        self.vector = vector or ControlVector.load(Path(params.vector))

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Apply the vector at the edit's strength.

        Raises:
            WidthError: It was made for another tap.
        """
        del time
        vector, strength = self.vector, self.params.strength
        expect_width(values, vector.d_in, f"the control vector {vector.name!r}")
        direction = torch.from_numpy(vector.direction).to(values)
        if vector.dictionary is None:
            return _renormed(vector, values, values + strength * direction)
        acts = vector.dictionary.encode(values)
        direction = direction.to(acts)
        if vector.operation == "set":
            changed = torch.where(direction != 0, strength * direction, acts)
        else:
            changed = acts + strength * direction
        if vector.clamp == "relu":
            changed = changed.relu()
        rebuilt = vector.dictionary.decode(_renormed(vector, acts, changed))
        if vector.keep_error:
            rebuilt = values + (rebuilt - vector.dictionary.decode(acts))
        return rebuilt.to(values.dtype)


def control(
    vector: ControlVector,
    strength: float = 1.0,
    *,
    start_s: float | None = None,
    stop_s: float | None = None,
    fade_s: float = 0.0,
) -> Control:
    """An edit that applies a vector, everywhere or within a span that it fades into and out of.

    Raises:
        ConfigError: A span that ends before it begins, or a strength that is no number.
    """
    said = {"strength": strength, "start_s": start_s, "stop_s": stop_s, "fade_s": fade_s}
    return Control(parse(ControlParams, said, "control"), vector)


def _renormed(vector: ControlVector, before: Tensor, after: Tensor) -> Tensor:
    """Give changed vectors back the root mean square that they had; none has one to give to 0."""
    if vector.renorm == "none":
        return after
    was, now = (x.square().mean(-1, keepdim=True).sqrt() for x in (before, after))
    return torch.where(now > 0, after * was / now.clamp_min(1e-12), after)
