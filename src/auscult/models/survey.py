"""What fires when a network runs once.

The order, the number of calls, the shapes, who feeds whom.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from auscult.models.structures import first_tensor


@dataclass(frozen=True)
class Firing:
    """How one module behaved during a pass.

    Attributes:
        path: Dotted path; "" is the network itself.
        kind: Class name, without the prefix that parametrisations add.
        n_calls: Times that ``forward`` ran.
        out_shape: Shape of the first tensor of its last output; () when it returned none.
        in_shape: Shape of the first tensor of its last input.
        fed_by: Path of the module whose unchanged output was its input, or None.
        leaf: Whether it has no child that fired.
    """

    path: str
    kind: str
    n_calls: int
    out_shape: tuple[int, ...]
    in_shape: tuple[int, ...]
    fed_by: str | None
    leaf: bool


class _Watch:
    """Collects firings while hooks are in place.

    Keeps outputs alive so that identities stay unique.
    """

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.order: list[str] = []
        self.shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self.fed_by: dict[str, str | None] = {}
        self._makers: dict[int, tuple[str, int, Tensor]] = {}

    def before(self, path: str, _: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Note who made the input, and that nobody has changed it in place since."""
        tensor = first_tensor((args, kwargs))
        maker = self._makers.get(id(tensor))
        unchanged = maker is not None and maker[1] == _changes(maker[2])
        self.fed_by[path] = maker[0] if maker is not None and unchanged else None
        shape = () if tensor is None else tuple(tensor.shape)
        self.shapes[path] = (shape, self.shapes.get(path, ((), ()))[1])

    def after(self, path: str, _: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG002
        """Count the call and remember the output."""
        self.calls[path] = self.calls.get(path, 0) + 1
        if self.calls[path] == 1:
            self.order.append(path)
        tensor = first_tensor(output)
        if tensor is not None:
            self._makers[id(tensor)] = (path, _changes(tensor), tensor)
            self.shapes[path] = (self.shapes[path][0], tuple(tensor.shape))


def _changes(tensor: Tensor) -> int:
    """How often a tensor was changed in place; torch does not count it for inference tensors."""
    return 0 if tensor.is_inference() else tensor._version


def kind_of(module: nn.Module) -> str:
    """Class name of a module; ``ParametrizedConv1d`` is a ``Conv1d``."""
    return type(module).__name__.removeprefix("Parametrized")


def survey(module: nn.Module, run: Callable[[], object]) -> list[Firing]:
    """Run once without gradients and report every module that fired, in order of completion."""
    watch = _Watch()
    modules = dict(module.named_modules())
    with ExitStack() as stack:
        for path, child in modules.items():
            before = child.register_forward_pre_hook(partial(watch.before, path), with_kwargs=True)
            stack.callback(before.remove)
            stack.callback(child.register_forward_hook(partial(watch.after, path)).remove)
        # inference_mode would be faster, but keeps no version counters to tell in-place changes by.
        stack.enter_context(torch.no_grad())
        run()
    parents = {path.rpartition(".")[0] for path in watch.order if path}
    ancestors = {".".join(p.split(".")[:i]) for p in parents for i in range(len(p.split(".")) + 1)}
    return [
        Firing(
            path=path,
            kind=kind_of(modules[path]),
            n_calls=watch.calls[path],
            out_shape=watch.shapes[path][1],
            in_shape=watch.shapes[path][0],
            fed_by=watch.fed_by[path],
            leaf=path not in ancestors,
        )
        for path in watch.order
    ]
