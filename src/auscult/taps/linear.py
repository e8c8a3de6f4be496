"""Run a network without its nonlinearities: what is left is its filters and its strides.

Comparing both runs parts what decimation does from what activations do (METHODS B-2, B-3).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from auscult.models.base import AudioModel


class Linear(TorchFunctionMode):
    """Rectifiers and sigmoids pass what they get; maxima over windows take their first value.

    Functions that a network composes itself (Snake from sines) are seen by
    :func:`without_nonlinearities` only, which knows their modules. Recurrences, attention and
    normalisations over time stay what they are.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Route a call past its nonlinearity, or leave it."""
        replaced = _REPLACED.get(func)
        return (replaced or func)(*args, **(kwargs or {}))


@contextmanager
def without_nonlinearities(model: AudioModel) -> Iterator[None]:
    """Within the block a model's activations are the identity and its maxima decimate.

    Modules whose class is called a Snake pass their input on.
    """
    with ExitStack() as stack:
        for module in model.module.modules():
            if "snake" in type(module).__name__.lower():
                stack.callback(module.register_forward_hook(_pass_on).remove)
        stack.enter_context(Linear())
        yield


def _pass_on(_: nn.Module, args: tuple[Tensor, ...], __: Any) -> Tensor:
    return args[0]


def _same(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return input


def _first_of(dimensions: int) -> Callable[..., Tensor]:
    """Takes the first value of each window: a stride, and nothing else."""

    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,  # noqa: ARG001
        return_indices: bool = False,  # noqa: ARG001
    ) -> Tensor:
        def each(value: Any) -> tuple[int, ...]:
            return (value,) * dimensions if isinstance(value, int) else tuple(value)

        kernels, steps = each(kernel_size), each(kernel_size if stride in (None, ()) else stride)
        places = zip(kernels, steps, each(padding), each(dilation), strict=True)
        for axis, (kernel, step, pad, gap) in enumerate(places, -dimensions):
            sides = [0, 0] * (-axis - 1) + [pad, pad]
            padded = F.pad(input, sides)
            n_windows = (padded.shape[axis] - gap * (kernel - 1) - 1) // step + 1
            places_kept = torch.arange(n_windows, device=input.device) * step
            input = padded.index_select(axis, places_kept)
        return input

    return pool


_REPLACED: dict[Any, Callable[..., Tensor]] = {
    F.max_pool1d: _first_of(1),
    F.max_pool2d: _first_of(2),
    torch.max_pool1d: _first_of(1),
    torch.max_pool2d: _first_of(2),
    **dict.fromkeys(
        (
            F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6, F.elu,
            F.selu, F.celu, F.gelu, F.silu, F.mish, F.softplus, F.leaky_relu, F.prelu, F.hardtanh,
            F.hardswish, F.hardsigmoid, F.softsign, F.tanhshrink, F.logsigmoid, torch.tanh, F.tanh,
            Tensor.tanh, torch.sigmoid, F.sigmoid, Tensor.sigmoid,
        ),
        _same,
    ),
}  # fmt: skip
