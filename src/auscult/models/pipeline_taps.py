"""Places inside the networks that pipelines of diffusers run at each step."""

import re
from typing import Any

from torch import nn

from auscult.core.timebase import TimeBase
from auscult.models.base import Layout, Method, Tap, TokenGrid

_SIDE = re.compile(r"(down|up)_blocks\.(\d+)\.")
_PREFIXED = {"StableAudioDiTModel": TokenGrid(1, n_prefix=1)}
"""Transformers that put tokens of their own before the latents' frames."""

_PARTS = {
    "attn.out": ("attn1", "self_attn", "attn"),
    "cross.out": ("attn2", "cross_attn"),
    "mlp.out": ("ff", "ffn", "mlp"),
}
"""What the libraries call the parts of a layer."""


def network_taps(
    network: Any, path: str, latent: TimeBase | None
) -> tuple[tuple[Tap, ...], dict[str, TimeBase]]:
    """Blocks of a transformer over frames, or attention stages of a U-Net over pictures.

    Of a transformer ``block.N``, ``block.N.attn.out``, ``block.N.cross.out`` (what it takes from
    the prompt), ``block.N.mlp.act`` (the neurons: what goes into the last matrix) and
    ``block.N.mlp.out``; of a U-Net ``block.N``, the stages on its way down, in the middle and up.

    Args:
        network: The network.
        path: Of it, in the model's module.
        latent: Time base of the latents that it hears.

    Returns:
        The taps, and the time bases of a U-Net's by path; tokens of a transformer lie as the
        latents do, some frames to a token.
    """
    if hasattr(network, "down_blocks") and latent is not None:
        return _of_unet(network, path, latent)
    layout: Layout | TokenGrid = _PREFIXED.get(type(network).__name__) or "btc"
    taps: list[Tap] = []
    for index, (name, block) in enumerate(_blocks(network)):
        taps += _of_block(block, f"{path}.{name}", f"block.{index}", layout)
    return tuple(taps), {}


def _blocks(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The items of the longest list of modules that have attention."""
    lists = [
        [(f"{name}.{index}", block) for index, block in enumerate(items)]
        for name, items in network.named_children()
        if isinstance(items, nn.ModuleList) and any("attn" in part for part, _ in _parts(items))
    ]
    return max(lists, key=len, default=[])


def _parts(items: nn.ModuleList) -> list[tuple[str, nn.Module]]:
    return list(items[0].named_children()) if len(items) else []


def _of_block(block: nn.Module, path: str, role: str, layout: Layout | TokenGrid) -> list[Tap]:
    parts = dict(block.named_children())
    taps = []
    for part, names in _PARTS.items():
        name = next((name for name in names if name in parts), None)
        if name is None:
            continue
        matrices = [
            inner
            for inner, layer in parts[name].named_modules()
            if inner and isinstance(layer, nn.Linear)
        ]
        if part == "mlp.out" and matrices:
            heard = Method("forward", takes="argument")
            last = f"{path}.{name}.{matrices[-1]}"
            taps.append(Tap(last, f"{role}.mlp.act", layout, {"out": heard}))
        taps.append(Tap(f"{path}.{name}", f"{role}.{part}", layout))
    return [*taps, Tap(path, role, layout)]


def _of_unet(
    network: Any, path: str, latent: TimeBase
) -> tuple[tuple[Tap, ...], dict[str, TimeBase]]:
    n_levels = len(network.down_blocks)
    found: list[tuple[int, int, str]] = []
    for name, layer in network.named_modules():
        if type(layer).__name__ != "Transformer2DModel":
            continue
        side = _SIDE.match(f"{name}.")
        if side is None:
            found.append((1, n_levels - 1, name))
        elif side[1] == "down":
            found.append((0, int(side[2]), name))
        else:
            found.append((2, n_levels - 1 - int(side[2]), name))
    taps, times = [], {}
    # Modules are listed in the order of their making, in which the middle comes last.
    for index, (_, level, name) in enumerate(sorted(found, key=lambda one: one[0])):
        taps.append(Tap(f"{path}.{name}", f"block.{index}", "bctf"))
        time = latent
        for _ in range(level):
            time = time.after_conv(3, 2, 1)
        times[f"{path}.{name}"] = time.after_global()
    return tuple(taps), times
