"""Turn channels up or down around a value: silence, attenuate, amplify, or replace."""

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.interventions.base import EDITS, Edit, EditParams


class GainParams(EditParams):
    """Which channels, how much of them is left, and what takes the place of the rest."""

    channels: tuple[int, ...] = Field(min_length=1)
    """Channels that are changed."""
    gain: float = 0.0
    """What is left of them: 0 silences, 1 changes nothing, above 1 amplifies."""
    around: tuple[tuple[float, ...], ...] = ()
    """Values that gain 0 leaves, one column a channel. None: zeros. One row: that row in every
    frame, such as the mean over a corpus. Several rows: frame i gets row i, from the first again
    behind the last, such as frames drawn from other sounds."""

    @model_validator(mode="after")
    def _columns_fit(self) -> "GainParams":
        if any(len(row) != len(self.channels) for row in self.around):
            raise ValueError(f"each row of around needs {len(self.channels)} values")
        return self


@EDITS.register("gain")
class Gain(Edit):
    """``v + g (x - v)`` on some channels (METHODS D-5).

    ``v`` is zero (published), a mean, or what was said of other sounds. Strength s goes that part
    of the way: strength 0 changes nothing.
    """

    Params: ClassVar[type[Config]] = GainParams

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Change the channels in every frame.

        Raises:
            ConfigError: A channel that there is not.
        """
        del time
        params = self.params
        chosen = list(params.channels)
        width = values.shape[-1]
        missing = [c for c in chosen if not 0 <= c < width]
        if missing:
            raise ConfigError(f"channel {missing[0]} is not among the tap's {width}")
        left = 1 + params.strength * (params.gain - 1)
        changed = values.clone()
        if not params.around:
            changed[..., chosen] *= left
            return changed
        rows = torch.tensor(params.around, dtype=values.dtype, device=values.device)
        centre = rows[torch.arange(values.shape[1], device=values.device) % len(rows)]
        changed[..., chosen] = centre + left * (values[..., chosen] - centre)
        return changed
