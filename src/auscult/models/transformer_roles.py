"""The parts of a transformer encoder, found by what they are and not by what they are called.

Module names of one architecture differ between versions of a library (``encoder.layer.7.attention``
in transformers 4.57, ``layers.7.self_attn`` in 5.x). What stays is the structure: blocks are the
items of a list; attention holds three matrices side by side that hear the same vector, or one that
is three times as high; the MLP is the pair of matrices outside of it that goes up and comes back.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from auscult.models.base import Layout, Method, Tap, TokenGrid

Order = Layout | TokenGrid


@dataclass(frozen=True)
class Block:
    """One layer of a transformer.

    Attributes:
        path: Of the layer.
        attention: Path of the attention module: its output is what is added to the stream.
        down: Path of the MLP's second matrix: its input is what the MLP's neurons say.
        stage: Which of several stages with their own resolution, 0 where there is one only.
    """

    path: str
    attention: str
    down: str
    stage: int = 0


def find_blocks(module: nn.Module) -> list[Block]:
    """The transformer layers of a network, in the order of their lists."""
    found = []
    for path, items in module.named_modules():
        if not isinstance(items, nn.ModuleList):
            continue
        for name, item in items.named_children():
            block = _as_block(f"{path}.{name}", item)
            if block is not None:
                found.append(block)
    return [b for b in found if not any(o.path.startswith(f"{b.path}.") for o in found)]


def block_taps(
    blocks: list[Block], order: Callable[[int], Order], windowed: bool = False
) -> list[Tap]:
    """Taps of every block, in the order in which a block computes them.

    ``block.N.attn.out``, ``block.N.mlp.act`` (after the activation: the input of the second matrix,
    which is there whether the activation is a module, a function or in place), ``block.N.mlp.out``
    and ``block.N`` (the stream behind it).

    Args:
        blocks: The blocks.
        order: Order of axes at a stage.
        windowed: Attention sees windows folded into the batch, whose output has no frames.
    """
    taps = []
    for index, block in enumerate(blocks):
        role, axes = f"block.{index}", order(block.stage)
        if not windowed:
            taps.append(Tap(block.attention, f"{role}.attn.out", axes))
        heard = {"out": Method("forward", takes="argument")}
        taps.append(Tap(block.down, f"{role}.mlp.act", axes, heard))  # type: ignore[arg-type]
        taps.append(Tap(block.down, f"{role}.mlp.out", axes))
        taps.append(Tap(block.path, role, axes))
    return taps


def convolutions(module: nn.Module, blocks: list[Block]) -> tuple[list[str], list[str]]:
    """Paths of the convolutions before the blocks: those that hear the input, and positional ones.

    Behind the first matrix a convolution no longer filters the input but tells positions apart. Of
    two-dimensional ones only the first counts: it cuts the patches.
    """
    hears: list[str] = []
    positional: list[str] = []
    projected = False
    for path, layer in module.named_modules():
        if any(path.startswith(f"{block.path}.") for block in blocks):
            continue
        projected = projected or isinstance(layer, nn.Linear)
        if isinstance(layer, nn.Conv1d) or (isinstance(layer, nn.Conv2d) and not hears):
            (positional if projected else hears).append(path)
    return hears, positional


def _as_block(path: str, item: nn.Module) -> Block | None:
    matrices = [(name, m) for name, m in item.named_modules() if isinstance(m, nn.Linear)]
    attention = _attention(matrices)
    if attention is None:
        return None
    rest = [(name, m) for name, m in matrices if not name.startswith(f"{attention}.")]
    down = [
        low
        for i, (_, one) in enumerate(rest)
        for low, other in rest[i + 1 :]
        if (one.in_features, one.out_features) == (other.out_features, other.in_features)
    ]
    if not down:
        return None
    numbers = [int(part) for part in path.split(".") if part.isdigit()]
    stage = numbers[0] if len(numbers) > 1 else 0
    return Block(path, f"{path}.{attention}", f"{path}.{down[-1]}", stage)


def _attention(matrices: list[tuple[str, nn.Linear]]) -> str | None:
    """The child of a block that holds the queries, keys and values."""
    siblings: dict[str, list[nn.Linear]] = defaultdict(list)
    for name, matrix in matrices:
        siblings[name.rpartition(".")[0]].append(matrix)
    for parent, group in siblings.items():
        alike = max(sum(m.in_features == one.in_features for m in group) for one in group)
        joined = any(m.out_features == 3 * m.in_features for m in group)
        if parent and (alike >= 3 or joined):
            return parent.split(".")[0]
    return None
