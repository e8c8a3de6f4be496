"""Run a network so that its gradient shows its structure and not the luck of one input.

A rectifier that is off and a maximum that lies elsewhere pass no gradient, so the support of the
true gradient is smaller than what a unit can hear, and differs between frames. Within
:class:`Structural`, rectifiers leak and maxima are means over the same window: supports become
those of the architecture, in one pass.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_SLOPE = 0.5


class Structural(TorchFunctionMode):
    """Replaces what can pass a zero gradient by its smooth counterpart of the same reach."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Route a call to its counterpart, or leave it."""
        counterpart = _COUNTERPARTS.get(func)
        return (counterpart or func)(*args, **(kwargs or {}))


def _relu(input: Tensor, inplace: bool = False) -> Tensor:
    return F.leaky_relu(input, _SLOPE, inplace)


def _relu_in_place(input: Tensor) -> Tensor:
    return F.leaky_relu(input, _SLOPE, inplace=True)


def _leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    return F.leaky_relu(input, negative_slope or _SLOPE, inplace)


def _pool(dimensions: int) -> Callable[..., Any]:
    """Maximum pooling as the mean over the same window, dilated ones included."""

    def pool(
        input: Tensor,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Tensor:
        if return_indices or dilation not in (1, (1,), (1, 1)):
            maximum = getattr(F, f"max_pool{dimensions}d")
            with torch._C.DisableTorchFunction():
                return maximum(  # type: ignore[no-any-return]
                    input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
                )
        average = getattr(F, f"avg_pool{dimensions}d")
        return average(input, kernel_size, stride, padding, ceil_mode)  # type: ignore[no-any-return]

    return pool


def _adaptive(dimensions: int) -> Callable[..., Any]:
    average = getattr(F, f"adaptive_avg_pool{dimensions}d")

    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:  # noqa: ARG001
        return average(input, output_size)  # type: ignore[no-any-return]

    return pool


def _amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return input.mean(dim if dim != () else None, keepdim=keepdim)


_COUNTERPARTS: dict[Any, Callable[..., Any]] = {
    F.relu: _relu,
    F.relu_: _relu_in_place,
    torch.relu: _relu,
    torch.relu_: _relu_in_place,
    Tensor.relu: _relu,
    Tensor.relu_: _relu_in_place,
    F.relu6: _relu,
    F.leaky_relu: _leaky_relu,
    F.hardswish: _relu,
    F.max_pool1d: _pool(1),
    F.max_pool2d: _pool(2),
    torch.max_pool1d: _pool(1),
    torch.max_pool2d: _pool(2),
    F.adaptive_max_pool1d: _adaptive(1),
    F.adaptive_max_pool2d: _adaptive(2),
    torch.amax: _amax,
    Tensor.amax: _amax,
}
