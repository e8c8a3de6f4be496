"""Encoders and decoders of the DAC family: their roles, their time bases.

First convolution; blocks of three residual units and a strided step; last convolution. DAC and
Oobleck (Stable Audio's autoencoder) share this shape and the names of its modules.
"""

from typing import Any

import torch

from auscult.core.timebase import TimeBase
from auscult.models.base import Side, Tap
from auscult.models.initial import level_convolutions
from auscult.models.stimulus import harmonic_noise

UNITS = ("res_unit1", "res_unit2", "res_unit3")
Times = dict[tuple[str, Side], TimeBase]


def stage_taps(stage: Any, path: str, prefix: str, strided: str, decodes: bool) -> list[Tap]:
    """Taps of an encoder or decoder, in the order in which sound passes them.

    Args:
        stage: The encoder or decoder.
        path: Its module path.
        prefix: Before every role.
        strided: Name of a block's strided step: ``conv1`` behind its residual units, ``conv_t1``
            in front of them.
        decodes: Whether the taps fire only while latents are turned back into sound.
    """
    name = "conv" if strided == "conv1" else "up"
    taps = [Tap(f"{path}.conv1", f"{prefix}conv.0", "bct", decodes=decodes)]
    offset = 1 if name == "conv" else 0
    for b in range(len(stage.block)):
        units = [
            Tap(f"{path}.block.{b}.{unit}", f"{prefix}res.{b}.{u}", "bct", decodes=decodes)
            for u, unit in enumerate(UNITS)
        ]
        step = Tap(
            f"{path}.block.{b}.{strided}", f"{prefix}{name}.{b + offset}", "bct", decodes=decodes
        )
        taps += [*units, step] if name == "conv" else [step, *units]
    last = len(stage.block) + 1 if name == "conv" else 1
    return [*taps, Tap(f"{path}.conv2", f"{prefix}conv.{last}", "bct", decodes=decodes)]


def level_stages(module: Any, n_channels: int, sample_rate: int, seed: int) -> None:
    """Level a freshly drawn encoder, and the decoder behind it, on synthetic sound."""
    sound = harmonic_noise(sample_rate, n_channels, sample_rate // 4, 1, seed)
    said: list[torch.Tensor] = []
    level_convolutions(module.encoder, lambda: said.append(module.encoder(sound)))
    # A decoder of an autoencoder takes half of what the encoder says: means without scales.
    latents = said[0][:, : module.decoder.conv1.in_channels]
    level_convolutions(module.decoder, lambda: module.decoder(latents))


class StackTimes:
    """Composes time bases through such stages and notes them on both sides of every module.

    Attributes:
        times: By module path and side.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self.times: Times = {}

    def note(self, path: str, now: TimeBase, after: TimeBase) -> TimeBase:
        """Keep what lies before and behind a module; gives what lies behind."""
        self.times[path, "in"], self.times[path, "out"] = now, after
        return after

    def stage(self, name: str, now: TimeBase, strided: str) -> TimeBase:
        """Walk through an encoder (``strided`` = ``conv1``) or a decoder (``conv_t1``)."""
        start, now = now, self._conv(f"{name}.conv1", now)
        for b in range(len(self._module.get_submodule(f"{name}.block"))):
            path, before = f"{name}.block.{b}", now
            steps = [(self._unit, f"{path}.{u}") for u in UNITS]
            steps.insert(3 if strided == "conv1" else 0, (self._conv, f"{path}.{strided}"))
            for step, where in steps:
                now = step(where, now)
            self.note(path, before, now)
        return self.note(name, start, self._conv(f"{name}.conv2", now))

    def _conv(self, path: str, now: TimeBase) -> TimeBase:
        layer = self._module.get_submodule(path)
        sizes = (layer.kernel_size[0], layer.stride[0], layer.padding[0], layer.dilation[0])
        up = isinstance(layer, torch.nn.ConvTranspose1d)
        return self.note(path, now, (now.after_transposed_conv if up else now.after_conv)(*sizes))

    def _unit(self, path: str, now: TimeBase) -> TimeBase:
        behind = self._conv(f"{path}.conv2", self._conv(f"{path}.conv1", now))
        return self.note(path, now, behind)
