"""Copy what a tap said of another sound."""

from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.tensors import read_arrays
from auscult.core.timebase import TimeBase
from auscult.interventions.base import EDITS, Edit, EditParams, expect_width


class PatchParams(EditParams):
    """What is copied, and from where."""

    source: str = ""
    """A ``.safetensors`` file whose ``values`` are ``[frame d_in]`` or ``[batch frame d_in]``.

    None where the edit is made with them in memory.
    """
    channels: tuple[int, ...] = ()
    """Only these channels are copied; none: all of them."""


@EDITS.register("patch")
class Patch(Edit):
    """Activation patching: ``x + s (source - x)``, on some channels, in some span.

    From a clean sound into the run of a corrupted one it asks what is enough to restore
    (denoising); from a corrupted sound into a clean run, what is needed (noising). Frames are
    copied to frames of the same number.
    """

    Params: ClassVar[type[Config]] = PatchParams

    def __init__(
        self, params: PatchParams, source: Float[Tensor, "*batch frame d_in"] | None = None
    ) -> None:
        super().__init__(params)
        self.source = _read(params) if source is None else source

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Copy.

        Raises:
            WidthError: The source was recorded at another tap.
            ConfigError: It has another number of frames or clips, or there is no such channel.
        """
        del time
        expect_width(values, self.source.shape[-1], "what is copied")
        source = self.source if self.source.ndim == 3 else self.source[None]
        if source.shape[1] != values.shape[1] or source.shape[0] not in (1, values.shape[0]):
            raise ConfigError(
                f"what is copied is {list(source.shape[:2])} clips and frames, "
                f"the sound has {list(values.shape[:2])}: copy between sounds of one length"
            )
        source = source.to(values).expand_as(values)
        strength = self.params.strength
        moved = source if strength == 1 else values + strength * (source - values)
        if not self.params.channels:
            return moved.clone()
        missing = [c for c in self.params.channels if not 0 <= c < values.shape[-1]]
        if missing:
            raise ConfigError(f"channel {missing[0]} is not among the tap's {values.shape[-1]}")
        changed = values.clone()
        chosen = list(self.params.channels)
        changed[..., chosen] = moved[..., chosen]
        return changed


def _read(params: PatchParams) -> Tensor:
    if not params.source:
        raise ConfigError("patch needs a source: a .safetensors file with 'values', or a tensor")
    arrays = read_arrays(Path(params.source))
    if "values" not in arrays or arrays["values"].ndim not in (2, 3):
        raise ConfigError(f"{params.source} holds no 'values' [frame d_in]")
    return torch.from_numpy(arrays["values"])
