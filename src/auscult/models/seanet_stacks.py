"""Encoders and decoders of the SEANet family: roles and time bases of their stacks of layers.

EnCodec, WavTokenizer and Mimi share them: convolutions, residual blocks, strided steps, perhaps an
LSTM, one behind another in a list. transformers names the classes after the model and the layers
alike.
"""

import math
from typing import Any

from torch import nn

from auscult.core.timebase import TimeBase
from auscult.models.base import Side, Tap
from auscult.models.survey import kind_of

_ROLES = {"Conv1d": "conv", "ResnetBlock": "res", "ConvTranspose1d": "up", "LSTM": "lstm"}

Times = dict[tuple[str, Side], TimeBase]


def stack_taps(stack: nn.Module, path: str, prefix: str, decodes: bool) -> list[Tap]:
    """Number the layers of each kind; a kind that comes once needs no number.

    Args:
        stack: Encoder or decoder, its layers in ``stack.layers``.
        path: Its module path.
        prefix: Before every role.
        decodes: Whether the taps fire only while latents are turned back into sound.
    """
    layers = list(stack.layers)  # type: ignore[arg-type]
    counts: dict[str, int] = {}
    taps = []
    for index, layer in enumerate(layers):
        kind = _kind(layer)
        if kind not in _ROLES:
            continue
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        role = "lstm" if kind == "LSTM" else f"{_ROLES[kind]}.{number}"
        taps.append(Tap(f"{path}.layers.{index}", prefix + role, "bct", decodes=decodes))
    return taps


def walk_stack(times: Times, stack: Any, path: str, now: TimeBase) -> TimeBase:
    """Note the time base on both sides of every layer; gives what lies behind the last."""
    for index, layer in enumerate(stack.layers):
        times[f"{path}.layers.{index}", "in"] = now
        now = after_layer(layer, now)
        times[f"{path}.layers.{index}", "out"] = now
    return now


def after_layer(layer: Any, now: TimeBase) -> TimeBase:
    """Compose with one layer; what is none of these works frame by frame."""
    kind = _kind(layer)
    if kind == "Conv1d":
        return _after_conv(layer, now)
    if kind == "ConvTranspose1d":
        return _after_up(layer, now)
    if kind == "LSTM":
        return now.after_recurrence()
    if kind == "ResnetBlock":
        for inner in layer.block:
            now = after_layer(inner, now)
    return now


def _kind(layer: nn.Module) -> str:
    return kind_of(layer).removeprefix("Encodec").removeprefix("Mimi")


def _after_conv(layer: Any, now: TimeBase) -> TimeBase:
    """The padding lies on the left, or (not causal) on both sides, the odd sample on the left."""
    conv = layer.conv
    kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
    padding = (kernel - 1) * dilation + 1 - stride
    left = padding if layer.causal else padding - padding // 2
    return _after_norm(layer, now.after_conv(kernel, stride, left, dilation))


def _after_up(layer: Any, now: TimeBase) -> TimeBase:
    """The surplus is cut on the right, or (not causal) on both sides; left of an odd one more."""
    kernel, stride = layer.conv.kernel_size[0], layer.conv.stride[0]
    surplus = kernel - stride
    right = math.ceil(surplus * layer.trim_right_ratio) if layer.causal else surplus // 2
    return _after_norm(layer, now.after_transposed_conv(kernel, stride, surplus - right))


def _after_norm(layer: Any, now: TimeBase) -> TimeBase:
    whole = getattr(layer, "norm_type", "") == "time_group_norm"
    return now.after_global() if whole else now
