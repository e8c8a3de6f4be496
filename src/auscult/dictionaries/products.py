"""Matrix products in the precision that a training asked for."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Bf16 = Literal["auto", "off", "on"]
"""Whether large products read bfloat16; weights, losses and moments are float32 all the same."""

_WORTH_IT = 4096
"""Entries of an encoder from which on the faster products outweigh the conversions."""


def reads_bf16(asked: Bf16, device: torch.device, n_weights: int) -> bool:
    """Whether products of a dictionary with so many encoder weights read bfloat16.

    With ``auto`` they do where the processor multiplies it by itself, and it pays.
    """
    if asked != "auto":
        return asked == "on"
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return n_weights >= _WORTH_IT and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def rectified_product(
    x: Float[Tensor, "n d"],
    weights: Float[Tensor, "m d"],
    bias: Float[Tensor, " m"],
    out: Float[Tensor, "n m"],
) -> Float[Tensor, "n m"]:
    """``relu(x Wᵀ + b)``, into ``out`` or into memory of its own.

    In bfloat16 a pass over the result costs as much as a fifth of the product: oneDNN rectifies
    while it multiplies.
    """
    if x.dtype == torch.bfloat16 and x.device.type == "cpu" and torch._C._has_mkldnn:
        fused: Tensor = torch.ops.mkldnn._linear_pointwise(x, weights, bias, "relu", [], "")
        return fused
    return torch.addmm(bias, x, weights.T, out=out).clamp_(min=0)


def counted(acts: Float[Tensor, "n m"], on: Bool[Tensor, "n m"]) -> Int64[Tensor, " m"]:
    """How many entries of each column are above 0; ``on`` is overwritten with which are."""
    if acts.device.type != "cpu":
        return torch.gt(acts, 0, out=on).sum(0)
    # Positive numbers are positive as integers of their size; NumPy has no bfloat16.
    plain = acts.view(torch.int16) if acts.dtype == torch.bfloat16 else acts
    np.greater(plain.numpy(), 0, out=on.numpy())
    counts = np.add.reduce(on.view(torch.uint8).numpy(), axis=0, dtype=np.int32)
    return torch.from_numpy(counts.astype(np.int64))
