"""Run a network so that its gradient shows its structure and not the luck of one input.

A rectifier that is off and a maximum that lies elsewhere pass no gradient, so the support of the
true gradient is smaller than what a unit can hear, and differs between frames. Within
:class:`Structural` values stay what they are, and every rectifier and maximum passes a gradient
to all that it could have heard: supports become those of the architecture, in one pass. Within
:class:`Smooth` the values change too, rectifiers leak and maxima are means, for whoever moves an
input and looks what moves behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_SLOPE = 0.5


class Structural(TorchFunctionMode):
    """Adds to what can pass a zero gradient the gradient of its smooth counterpart."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Add nothing to the value of a call, and a gradient to its arguments."""
        kwargs = kwargs or {}
        smooth = _COUNTERPARTS.get(func)
        if smooth is None:
            return func(*args, **kwargs)
        leak = smooth(*args, **kwargs)
        in_place = func in _IN_PLACE or bool(kwargs.get("inplace")) or True in args[1:2]
        if not in_place:
            return _with_gradient_of(func(*args, **kwargs), leak)
        given: Tensor = args[0]
        return given.copy_(_with_gradient_of(func(given.clone()), leak))


class Smooth(TorchFunctionMode):
    """Replaces what can swallow a change by its smooth counterpart of the same reach."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Route a call to its counterpart, or leave it."""
        smooth = _COUNTERPARTS.get(func)
        if smooth is None:
            return func(*args, **(kwargs or {}))
        value = smooth(*args, **(kwargs or {}))
        in_place = func in _IN_PLACE or bool((kwargs or {}).get("inplace"))
        return args[0].copy_(value) if in_place else value


def _with_gradient_of(value: Tensor, other: Tensor) -> Tensor:
    """The value of one tensor with the gradients of both."""
    return value + (other - other.detach())


def _leaky(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.where(input > 0, input, _SLOPE * input)


def _pool(dimensions: int) -> Callable[..., Tensor]:
    """The mean over the windows of a maximum; over more than they hold where they have gaps."""
    average = getattr(F, f"avg_pool{dimensions}d")

    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Tensor:
        if return_indices or dilation not in (1, (1,), (1, 1)):
            maximum = getattr(F, f"max_pool{dimensions}d")
            with torch._C.DisableTorchFunction():
                return maximum(  # type: ignore[no-any-return]
                    input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
                )
        return average(input, kernel_size, stride, padding, ceil_mode)  # type: ignore[no-any-return]

    return pool


def _adaptive(dimensions: int) -> Callable[..., Tensor]:
    average = getattr(F, f"adaptive_avg_pool{dimensions}d")

    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:  # noqa: ARG001
        return average(input, output_size)  # type: ignore[no-any-return]

    return pool


def _mean(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return input.mean(dim if dim != () else None, keepdim=keepdim)


_IN_PLACE = frozenset({F.relu_, torch.relu_, Tensor.relu_})

_COUNTERPARTS: dict[Any, Callable[..., Tensor]] = {
    F.relu: _leaky,
    F.relu_: _leaky,
    torch.relu: _leaky,
    torch.relu_: _leaky,
    Tensor.relu: _leaky,
    Tensor.relu_: _leaky,
    F.relu6: _leaky,
    F.hardswish: _leaky,
    F.max_pool1d: _pool(1),
    F.max_pool2d: _pool(2),
    torch.max_pool1d: _pool(1),
    torch.max_pool2d: _pool(2),
    F.adaptive_max_pool1d: _adaptive(1),
    F.adaptive_max_pool2d: _adaptive(2),
    torch.amax: _mean,
    Tensor.amax: _mean,
}
