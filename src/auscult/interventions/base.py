"""What an edit is: response vectors in, changed response vectors out.

Anywhere, or within a time span that it fades into and out of.
"""

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import ConfigError, WidthError
from auscult.core.registry import Registry
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary

EDITS: Registry["Edit"] = Registry("edit", "auscult.interventions")


class EditParams(Config):
    """Settings that every edit has."""

    strength: float = 1.0
    """How much; 0 changes nothing, bit for bit."""
    start_s: float | None = None
    """Frames whose hop is centred before this time are left alone; none: from the beginning."""
    stop_s: float | None = None
    """Frames whose hop is centred from this time on are left alone; none: to the end."""
    fade_s: float = Field(0.0, ge=0)
    """Length of the raised-cosine crossfade at each end of the span, inside it.

    At most half of the span; where a span has no end there is nothing to fade.
    """

    @model_validator(mode="after")
    def _span_has_length(self) -> "EditParams":
        start, stop = self.start_s, self.stop_s
        if start is not None and stop is not None and stop <= start:
            raise ValueError(f"the span ends at {stop:g} s, before it starts at {start:g} s")
        return self


class DictionaryEditParams(EditParams):
    """Settings of edits that work on the activations of a dictionary."""

    dictionary: str = ""
    """Folder of the dictionary; none where the edit is made with one in memory."""


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
        params = self.params
        share = span_share(values.shape[1], time, params.start_s, params.stop_s, params.fade_s)
        if share is None:
            return changed
        share = share.to(values.device)[:, None]
        # Outside the span and where nothing fades, the very values and the very change.
        mixed = torch.lerp(values, changed, share.to(values.dtype))
        return torch.where(share == 0, values, torch.where(share == 1, changed, mixed))


def span_share(
    n_frames: int, time: TimeBase, start_s: float | None, stop_s: float | None, fade_s: float = 0.0
) -> Float[Tensor, " n_frames"] | None:
    """How much of a change each frame gets, from 0 outside a span to 1 inside it.

    A frame counts by the middle of its own hop, as labels do: the centre of all that it heard lies
    long before that where a layer looks back, and what is changed is heard when the frame is
    decoded. At each end the share rises as ``(1 - cos(pi t / fade)) / 2``.

    Args:
        n_frames: Number of frames.
        time: Where they lie.
        start_s: Start of the span; None for the beginning, which is not faded.
        stop_s: End of the span; None for the end of the clip.
        fade_s: Length of the crossfades, at most half of the span.

    Returns:
        Float64 shares; None when the span is the whole clip.
    """
    if start_s is None and stop_s is None:
        return None
    hop_s = float(time.hop) / time.sample_rate
    seconds = (torch.arange(n_frames, dtype=torch.float64) + 0.5) * hop_s
    share = torch.ones(n_frames, dtype=torch.float64)
    fade = fade_s
    if start_s is not None and stop_s is not None:
        fade = min(fade_s, (stop_s - start_s) / 2)
    if start_s is not None:
        share = torch.where(seconds < start_s, 0.0, share * _risen(seconds - start_s, fade))
    if stop_s is not None:
        share = torch.where(seconds >= stop_s, 0.0, share * _risen(stop_s - seconds, fade))
    return share


def _risen(since_s: Tensor, fade_s: float) -> Tensor:
    """Raised cosine from 0 at the edge to 1 after the fade."""
    if fade_s == 0:
        return torch.ones_like(since_s)
    return (1 - torch.cos(math.pi * (since_s / fade_s).clamp(0, 1))) / 2


def dictionary_of(params: DictionaryEditParams, given: Dictionary | None) -> Dictionary:
    """The dictionary of an edit: the one in memory, or the one in the folder that it names.

    Raises:
        ConfigError: There is neither.
        StoreError: The folder holds no dictionary.
    """
    if given is not None:
        return given
    if not params.dictionary:
        raise ConfigError("the edit needs a dictionary: give the folder that it was saved to")
    return Dictionary.load(Path(params.dictionary))


def expect_features(features: tuple[int, ...], n_features: int) -> None:
    """Refuse features that a dictionary does not have.

    Raises:
        ConfigError: Names the first of them.
    """
    missing = [feature for feature in features if not 0 <= feature < n_features]
    if missing:
        raise ConfigError(f"feature {missing[0]} is not among the dictionary's {n_features}")


def expect_width(values: Tensor, width: int, what: str) -> None:
    """Refuse values of another width than a direction or a set of channels was made for.

    Raises:
        WidthError: Names both widths.
    """
    if values.shape[-1] != width:
        raise WidthError(f"{what} has width {width}, the tap has {values.shape[-1]}")
