"""Remove channels, or a direction, from what a tap says."""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.interventions.base import EDITS, Edit, EditParams, expect_width


class AblateParams(EditParams):
    """What is removed, and what takes its place."""

    channels: tuple[int, ...] = ()
    """Channels to remove; none when a direction is given."""
    direction: tuple[float, ...] = ()
    """Direction to project out; none when channels are given."""
    to: Literal["zero", "mean"] = "zero"
    """What takes its place: nothing, or the mean over the clip's frames."""


@EDITS.register("ablate")
class Ablate(Edit):
    """Set channels, or the coordinate along a direction.

    To zero or to their mean (METHODS B-7, D-5).

    Along a unit direction u: ``x - (x · u) u``, and ``(x̄ · u) u`` is added for the mean. A gain g
    is strength 1 - g: strength 1 silences, -1 doubles.
    """

    Params: ClassVar[type[Config]] = AblateParams

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Move towards the values without what is removed, by the strength.

        Raises:
            ConfigError: Neither channels nor a direction, or both, or a channel that there is not,
                or a direction of zeros.
            WidthError: The direction was made for another tap.
        """
        del time
        params = self.params
        if bool(params.channels) == bool(params.direction):
            raise ConfigError("ablate needs channels or a direction, one of the two")
        if params.direction:
            expect_width(values, len(params.direction), "the direction")
            unit = torch.tensor(params.direction, dtype=values.dtype, device=values.device)
            if float(unit.norm()) == 0:
                raise ConfigError("ablate needs a direction with a length, and this one has none")
            unit = unit / unit.norm()
            along = values @ unit
            kept = along.mean(1, keepdim=True) if params.to == "mean" else torch.zeros_like(along)
            removed: Tensor = self.params.strength * (along - kept)[..., None] * unit
            return values - removed
        missing = [c for c in params.channels if not 0 <= c < values.shape[-1]]
        if missing:
            raise ConfigError(f"channel {missing[0]} is not among the tap's {values.shape[-1]}")
        chosen = list(params.channels)
        mean = values[..., chosen].mean(1, keepdim=True)
        target = mean if params.to == "mean" else torch.zeros_like(mean)
        changed = values.clone()
        changed[..., chosen] += params.strength * (target - values[..., chosen])
        return changed
