"""Matrix products in the precision that a training asked for, and what is done to their results."""

from typing import Literal

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

Bf16 = Literal["auto", "off", "on"]
"""Whether large products read bfloat16; weights, losses and moments are float32 all the same."""

_WORTH_IT = 4096
"""Entries of an encoder from which on the faster products outweigh the conversions."""

_HAS_ONEDNN = torch._C._has_mkldnn

_INTEGERS = {
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


def reads_bf16(asked: Bf16, device: torch.device, n_weights: int) -> bool:
    """Whether products of a dictionary with so many encoder weights read bfloat16.

    With ``auto`` they do where the processor multiplies it by itself, and it pays.
    """
    if asked != "auto":
        return asked == "on"
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return n_weights >= _WORTH_IT and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def laid_out(weights: Float[Tensor, "m d"], n: int) -> Float[Tensor, "m d"]:
    """The same weights, as :func:`affine_product` reads them fastest when it gets n rows at a time.

    oneDNN lays out what it multiplies by in an order of its own, at every call; where a batch is
    multiplied piece by piece, once is enough. Nothing but a product can read what this gives.
    """
    if weights.device.type != "cpu" or weights.dtype == torch.float64 or not _HAS_ONEDNN:
        return weights
    ordered: Tensor = torch.ops.mkldnn._reorder_linear_weight(weights, n)
    return ordered


def affine_product(
    x: Float[Tensor, "*n d"],
    weights: Float[Tensor, "m d"],
    bias: Float[Tensor, " m"] | None,
    *,
    rectified: bool = False,
) -> Float[Tensor, "*n m"]:
    """``x Wᵀ + b``, or ``relu`` of it; the caller may overwrite it.

    A pass over the result costs as much as a fifth of the product: oneDNN adds and rectifies while
    it multiplies. Autograd follows to x, not to the weights.
    """
    followed = x.requires_grad and torch.is_grad_enabled()
    if x.device.type == "cpu" and x.dtype != torch.float64 and _HAS_ONEDNN and not followed:
        rule = "relu" if rectified else "none"
        fused: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weights, bias, rule, [], "")
        return fused
    plain = torch.nn.functional.linear(x, weights, bias)
    return plain.clamp_(min=0) if rectified else plain


def width_beside(d: int, device: torch.device) -> int:
    """Columns of a matrix of d that has one more beside; a GPU multiplies by eights."""
    return d + 1 if device.type == "cpu" else -(-(d + 1) // 8) * 8


def put_beside(
    rows: Float[Tensor, "n width"], last: Float[Tensor, " n"] | float, d: int
) -> Float[Tensor, "n d"]:
    """Put one number behind the first d of each row, and 0 behind that; give the first d."""
    if isinstance(last, Tensor):
        rows[:, d].copy_(last)
    else:
        rows[:, d].fill_(last)
    if rows.shape[1] > d + 1:
        rows[:, d + 1 :].zero_()
    return rows[:, :d]


def as_integers(values: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """The same bytes as integers: in the same order and on the same side of 0 where positive.

    Torch compares, counts and multiplies integers of 16 bits several times faster than bfloat16.
    """
    return values.view(_INTEGERS[values.dtype])


def switches(acts: Float[Tensor, "n m"], out: Int[Tensor, "n m"]) -> Int[Tensor, "n m"]:
    """1 where rectified activations are on, else 0, as integers of their size."""
    return torch.clamp(as_integers(acts), 0, 1, out=out)


def switch_off(values: Float[Tensor, "n m"], on: Int[Tensor, "n m"]) -> None:
    """Overwrite with 0 where these integers, or the bytes of rectified activations, are 0."""
    whole = as_integers(values)
    torch.ops.aten.threshold_backward.grad_input(whole, on, 0, grad_input=whole)


def counted(on: Int[Tensor, "n m"]) -> Int64[Tensor, " m"]:
    """How many entries of each column are on, of at most 32,767 rows."""
    return on.sum(0, dtype=on.dtype).long()


def switch_type(dtype: torch.dtype) -> torch.dtype:
    """The type of integers that :func:`switches` makes of activations of a type."""
    return _INTEGERS[dtype]
