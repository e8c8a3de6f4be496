"""From a tensor in any layout to response vectors ``[batch frame d_in]`` and back."""

from collections.abc import Sequence
from typing import cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from auscult.core.errors import TapError
from auscult.models.base import AudioModel, Layout, TokenGrid
from auscult.models.stimulus import harmonic_noise
from auscult.models.survey import Firing, survey
from auscult.taps.point import ResolvedTap

_PERMUTATIONS: dict[Layout, tuple[int, ...]] = {
    "bct": (0, 2, 1),
    "btc": (0, 1, 2),
    "tbc": (1, 0, 2),
    "bcft": (0, 3, 1, 2),
    "bctf": (0, 2, 1, 3),
}

_CHANNEL_FIRST = (
    nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, nn.GroupNorm, nn.InstanceNorm1d, nn.MaxPool1d,
    nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.Upsample, nn.ConstantPad1d,
    nn.ReflectionPad1d, nn.ReplicationPad1d,
)  # fmt: skip
_CHANNEL_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.RMSNorm)
_RECURRENT = (nn.RNNBase, nn.MultiheadAttention)

_surveys: "WeakKeyDictionary[AudioModel, dict[str, Firing]]" = WeakKeyDictionary()


def surveyed(model: AudioModel) -> dict[str, Firing]:
    """What each module does in one pass over synthetic sound, in firing order.

    Run once per model.
    """
    if model not in _surveys:
        n_samples = model.probe_samples or model.sample_rate
        sound = harmonic_noise(model.sample_rate, model.n_channels, n_samples)
        fired = survey(model.module, lambda: model.forward(sound))
        _surveys[model] = {firing.path: firing for firing in fired}
    return _surveys[model]


def layout_of(model: AudioModel, resolved: ResolvedTap, tensor: Tensor) -> Layout | TokenGrid:
    """The order of axes of a tensor at a tap.

    As declared, else by kind of module, else by its neighbours.

    Raises:
        TapError: There is no saying; the sentence tells how to declare it.
    """
    declared = resolved.tap.layout
    if isinstance(declared, TokenGrid):
        _check_grid(resolved.address, declared, tensor)
        return declared
    if declared is not None and len(declared) == tensor.ndim:
        return declared
    if tensor.is_complex():
        raise TapError(f"{resolved.address} carries complex numbers, which are no response vectors")
    if resolved.point.side == "codes":
        return "bt" if tensor.ndim == 2 else "bct"
    if tensor.ndim == 2:
        return "bc"
    module = model.module.get_submodule(resolved.tap.path)
    if tensor.ndim == 4 and not isinstance(module, _CHANNEL_LAST):
        # One of the two axes is often a dummy: a one-dimensional network written in two dimensions.
        return "bctf" if tensor.shape[3] == 1 and tensor.shape[2] > 1 else "bcft"
    if tensor.ndim == 3:
        return _by_kind(module) or _by_neighbours(model, resolved.tap.path, tensor)
    raise TapError(
        f"{resolved.address} has the shape {list(tensor.shape)}, which does not tell its axes: "
        f"declare them, for instance layouts = {{ {resolved.tap.path!r} = 'bcft' }}"
    )


def _by_kind(module: nn.Module) -> Layout | None:
    if isinstance(module, _CHANNEL_FIRST):
        return "bct"
    if isinstance(module, _CHANNEL_LAST):
        return "btc"
    if isinstance(module, _RECURRENT):
        return "btc" if getattr(module, "batch_first", False) else "tbc"
    return None


def _by_neighbours(model: AudioModel, path: str, tensor: Tensor) -> Layout:
    """The layout of the nearest module of a known kind with an output of this shape, or rank."""
    fired = list(surveyed(model).values())
    known = [
        (position, firing, layout)
        for position, firing in enumerate(fired)
        if (layout := _by_kind(model.module.get_submodule(firing.path))) in ("bct", "btc")
        and len(firing.out_shape) == 3
    ]
    if not known:
        return "bct"
    here = next((i for i, firing in enumerate(fired) if firing.path == path), len(fired))
    shape = next((f.out_shape for f in fired if f.path == path), tuple(tensor.shape))

    def distance(item: tuple[int, Firing, Layout | None]) -> tuple[bool, bool, int]:
        position, firing, _ = item
        return firing.out_shape != shape, position > here, abs(position - here)

    return cast(Layout, min(known, key=distance)[2])


def with_plain_gradient(tensor: Tensor) -> Tensor:
    """The same tensor, whose gradient arrives contiguous.

    Frames are a transposed view, so their gradient comes back transposed; torch 2.13 reads the
    gradient of a two-dimensional batch norm over one row as if it were not, and passes on a wrong
    one.
    """
    if not tensor.requires_grad:
        return tensor
    same = tensor.view_as(tensor)
    same.register_hook(lambda gradient: gradient.contiguous())  # type: ignore[no-untyped-call, unused-ignore]
    return same


def unfolded_view(tensor: Tensor, layout: Layout | TokenGrid) -> Tensor:
    """Items first and frames second, whatever makes up the vector behind them.

    A view, but for tokens, whose order changes.
    """
    if isinstance(layout, TokenGrid):
        return _grid(tensor, layout).permute(0, 1, 3, 2, 4).flatten(1, 3)
    if layout == "bc":
        return tensor[:, None]
    if layout == "bt":
        return tensor[..., None]
    return tensor.permute(*_PERMUTATIONS[layout])


def to_frames(tensor: Tensor, layout: Layout | TokenGrid) -> Shaped[Tensor, "item frame d_in"]:
    """Items (clips, or frames of clips folded into the batch), their frames, their vectors."""
    return unfolded_view(tensor, layout).flatten(2)


def from_frames(
    values: Shaped[Tensor, "item frame d_in"], like: Tensor, layout: Layout | TokenGrid
) -> Tensor:
    """The inverse of :func:`to_frames`, in the shape of the tensor that it was taken from.

    Tokens without a place stay what they are.
    """
    if isinstance(layout, TokenGrid):
        shape = (len(values), layout.n_chunks, -1, layout.n_rows, values.shape[-1])
        tokens = values.reshape(shape).transpose(2, 3).flatten(1, 3)
        if like.ndim == 4:
            return tokens.transpose(1, 2).reshape(like.shape)
        return torch.cat([like[:, : layout.n_prefix], tokens], 1)
    if layout in ("bc", "bt"):
        return values.reshape(like.shape)
    order = _PERMUTATIONS[layout]
    permuted = values.reshape([like.shape[axis] for axis in order])
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return permuted.permute(*inverse)


def _grid(tensor: Tensor, grid: TokenGrid) -> Shaped[Tensor, "item chunk row column d_in"]:
    """The patches where they lie; tokens without a place are left out."""
    tokens = tensor.flatten(2).transpose(1, 2) if tensor.ndim == 4 else tensor
    patches = tokens[:, grid.n_prefix :] if tensor.ndim == 3 else tokens
    shape = (len(patches), grid.n_chunks, grid.n_rows, -1, patches.shape[-1])
    return patches.reshape(shape)


def _check_grid(address: str, grid: TokenGrid, tensor: Tensor) -> None:
    """Refuse a tensor that has no such grid.

    Raises:
        TapError: Its rank, or its number of tokens, is another.
    """
    n_rows = grid.n_chunks * grid.n_rows
    if tensor.ndim == 3:
        fits = tensor.shape[1] > grid.n_prefix and (tensor.shape[1] - grid.n_prefix) % n_rows == 0
    else:
        fits = tensor.ndim == 4 and tensor.shape[2] == n_rows
    if not fits:
        raise TapError(
            f"{address} has the shape {list(tensor.shape)}, which holds no patches in {n_rows} rows"
            f" behind {grid.n_prefix} other tokens"
        )


def joined(address: str, calls: Sequence[Tensor]) -> Shaped[Tensor, "item frame d_in"]:
    """The frames of several calls, one call behind another.

    Raises:
        TapError: They have different widths, or numbers of items.
    """
    if len({(len(call), call.shape[2]) for call in calls}) > 1:
        widths = ", ".join(str(call.shape[2]) for call in calls[:6])
        raise TapError(
            f"the calls of {address} say vectors of different widths ({widths}), which have no "
            "common "
            f"order in time; address them one by one"
        )
    return torch.cat(list(calls), 1)


def by_clip(
    values: Shaped[Tensor, "item frame d_in"], n_clips: int
) -> Shaped[Tensor, "clip clip_frame d_in"]:
    """Frames folded into the batch go back behind one another: ``[b·m t d]`` to ``[b m·t d]``."""
    return values.reshape(n_clips, -1, values.shape[-1])
