"""What the architecture alone says of every stage of a model, before a sound is played (B-1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from auscult.core.errors import AuscultError, TapError
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel
from auscult.models.stimulus import harmonic_noise
from auscult.models.survey import Firing, kind_of, survey
from auscult.taps.capture import capture
from auscult.taps.layout import surveyed
from auscult.taps.probe import time_base

_MOVING = (
    nn.Conv1d, nn.Conv2d, nn.MaxPool1d, nn.AvgPool1d, nn.MaxPool2d, nn.AvgPool2d, nn.RNNBase,
    nn.MultiheadAttention,
)  # fmt: skip
_FEWEST_ROLES = 2
"""A user's own codec names its latents and nothing else: its stages are its modules."""


@dataclass(frozen=True)
class Stage:
    """One tap of the way from sound to latents.

    Attributes:
        address: Of the tap.
        kind: Class of its module.
        time: Where its frames lie; its span is that of the convolutions alone where a recurrence
            or attention lets a frame hear more.
        n_channels: Width of its response vectors.
    """

    address: str
    kind: str
    time: TimeBase
    n_channels: int

    @property
    def rate_hz(self) -> float:
        """Frames per second."""
        return float(self.time.frame_rate)

    @property
    def nyquist_hz(self) -> float:
        """Highest frequency that differs from all lower ones among the frames of one channel."""
        return self.rate_hz / 2

    @property
    def resolution_hz(self) -> float:
        """Bound f_s / R: what lies closer cannot be told apart within one frame."""
        return float(self.time.resolution_hz)

    @property
    def bounded(self) -> bool:
        """Whether a frame hears no more than its span."""
        return not (self.time.global_ or self.time.unbounded_past)

    @property
    def numbers_per_s(self) -> float:
        """Degrees of freedom: channels times frames per second; the sound has f_s of them."""
        return self.n_channels * self.rate_hz

    @property
    def n_bands(self) -> int:
        """Bands of the width of the bound below the local Nyquist frequency, at least one."""
        return max(1, int(self.nyquist_hz / self.resolution_hz))

    @property
    def multiplicity(self) -> float:
        """Bands of the input that share each frequency of the frames: the cumulative stride."""
        return float(self.time.hop)

    @property
    def n_separable(self) -> int:
        """Most partials that can be told apart at once, whatever the weights are.

        One of each band in each channel, as channels part what meets in one band as long as their
        responses differ; and no more than the sound within the span has: R samples, of which each
        partial takes two. METHODS B-1 proposes min(rank of the channels' responses, bands). That
        rank hangs on the weights, and it counts one partial a band, where by B-2 those that share
        a band may still be told apart by channel. What the proposal is right about is the first
        layers, whose channels are of lower rank than their number: R samples bound it.
        """
        heard = max(1, int(self.time.span) // 2)
        return min(self.n_bands * self.n_channels, heard)


def stages_of(model: AudioModel) -> tuple[list[Stage], list[tuple[str, str]]]:
    """The encoder's stages in the order in which sound passes them, and what has no place in time.

    Where the family names its taps these are the stages; elsewhere convolutions, poolings,
    recurrences and attention.

    Returns:
        Stages; and pairs of an address and the reason why it is none.
    """
    times: dict[str, TimeBase] = {}
    refused: list[tuple[str, str]] = []
    paths = dict(_addresses(model))
    for address in paths:
        try:
            times[address] = time_base(model, address)
        except (AuscultError, RuntimeError, ValueError) as error:
            refused.append((address, str(error).split("\n")[0]))
    widths = _widths(model, list(times))
    return [
        Stage(address, kind_of(model.module.get_submodule(paths[address])), time, widths[address])
        for address, time in times.items()
    ], refused


def _addresses(model: AudioModel) -> list[tuple[str, str]]:
    listed = [tap for tap in model.taps() if not tap.decodes]
    named = [
        (tap.role, tap.path)
        for tap in listed
        if tap.role and not tap.role.startswith(("rvq", "latent.q", "logits"))
    ]
    if len(named) > _FEWEST_ROLES:
        return named
    moving = [
        (firing.path, firing.path)
        for firing in encoding(model)
        if firing.n_calls == 1 and _moves(model.module.get_submodule(firing.path))
    ]
    return [*moving, *named]


def encoding(model: AudioModel) -> Iterable[Firing]:
    """What fires before the latents of a codec, or at all."""
    if model.codec is None:
        return surveyed(model).values()
    encode = model.codec.encode
    sound = harmonic_noise(model.sample_rate, model.n_channels, model.sample_rate)
    return survey(model.module, lambda: encode(sound))


def _moves(module: nn.Module) -> bool:
    """Whether a module may mix frames or drop some; a kernel of one sample with stride 1 cannot."""
    if not isinstance(module, _MOVING):
        return False
    layer: Any = module
    sizes = (getattr(layer, "kernel_size", 2), getattr(layer, "stride", 1))
    return any(size != 1 for one in sizes for size in (one if isinstance(one, tuple) else (one,)))


def _widths(model: AudioModel, addresses: list[str]) -> dict[str, int]:
    """Widths of response vectors, from one pass over as little sound as the model takes."""
    n_samples = model.probe_samples or model.sample_rate // 4
    sound = harmonic_noise(model.sample_rate, model.n_channels, n_samples)
    widths: dict[str, int] = {}

    def note(address: str, said: Responses) -> None:
        widths[address] = int(said.values.shape[-1])

    with torch.no_grad(), capture(model, addresses, stop=True, on_fire=note):
        model.forward(sound)
    return widths


def turning_points(stages: list[Stage]) -> list[Stage]:
    """The first stage, the first of every new hop, and the last: where the ruler is read.

    Raises:
        TapError: There are no stages.
    """
    if not stages:
        raise TapError("the model has no stage with a place in time")
    kept = [stages[0]]
    for stage in stages[1:]:
        if stage.time.hop != kept[-1].time.hop:
            kept.append(stage)
    if stages[-1].address != kept[-1].address:
        kept.append(stages[-1])
    return kept


def evenly_spread(n: int, most: int) -> Int[np.ndarray, " place"]:
    """At most so many of n places, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))
