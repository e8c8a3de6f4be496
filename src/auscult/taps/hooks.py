"""The one way in which tensors are seen and replaced.

Hooks on modules, wrappers on methods, all undone.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from auscult.core.errors import TapError
from auscult.models.base import AudioModel, Method
from auscult.models.structures import first_tensor, with_first_tensor
from auscult.taps.point import ResolvedTap

See = Callable[[Tensor], Tensor | None]
"""Gets the tensor each time a tap fires; what it returns, unless None, takes the tensor's place."""


class StopPass(BaseException):
    """Ends a pass after its last tap; no ``except Exception`` of a network can swallow it."""


def attach(stack: ExitStack, model: AudioModel, resolved: ResolvedTap, see: See) -> None:
    """Have ``see`` called whenever a tap fires, until ``stack`` is closed.

    Hooks of one tap run in the order of attachment, so what is attached later sees what earlier
    ones made of the tensor.

    Raises:
        TapError: The tap has no such side.
    """
    tap, side = resolved.tap, resolved.point.side
    if side in tap.methods:
        _wrap(stack, model, tap.path, tap.methods[side], see)
        return
    if side == "codes":
        raise TapError(
            f"{resolved.address}: {resolved.point.path!r} is no quantiser, it has no codes"
        )
    if not tap.path:
        raise TapError(f"{resolved.address}: {resolved.point.path!r} has no side {side!r}")
    module = model.module.get_submodule(tap.path)
    if side == "in":

        def before(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
            return _replaced((args, kwargs), see)

        stack.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
    else:

        def after(_: nn.Module, __: Any, output: Any) -> Any:
            return _replaced(output, see)

        stack.callback(module.register_forward_hook(after).remove)


def _replaced(structure: Any, see: See) -> Any:
    """The structure with what ``see`` returned in it; None (as for hooks) if nothing changes."""
    tensor = first_tensor(structure)
    if tensor is None:
        return None
    new = see(tensor)
    return None if new is None else with_first_tensor(structure, new)


class _Wrapper:
    """Stands in for a bound method while somebody looks.

    Arguments and results pass all lookers in order.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self.method: Callable[..., Any] = getattr(module, name)
        self.hidden = module.__dict__.get(name)
        self.on_argument: list[Callable[[Any], Any]] = []
        self.on_result: list[Callable[[Any], Any]] = []
        self.depth = 0
        self.users = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call: Any = (args, kwargs)
        for look in self.on_argument:
            changed = look(call)
            call = call if changed is None else changed
        self.depth += 1
        try:
            result = self.method(*call[0], **call[1])
        finally:
            self.depth -= 1
        for look in self.on_result:
            changed = look(result)
            result = result if changed is None else changed
        return result


@contextmanager
def _wrapped(module: nn.Module, name: str) -> Iterator[_Wrapper]:
    """Replace a method on this one object, for all who wrap it, until the last of them is done."""
    present = module.__dict__.get(name)
    wrapper = present if isinstance(present, _Wrapper) else _Wrapper(module, name)
    wrapper.users += 1
    module.__dict__[name] = wrapper
    try:
        yield wrapper
    finally:
        wrapper.users -= 1
        if wrapper.users == 0:
            del module.__dict__[name]
            if wrapper.hidden is not None:
                module.__dict__[name] = wrapper.hidden


def _wrap(stack: ExitStack, model: AudioModel, path: str, method: Method, see: See) -> None:
    module = model.module.get_submodule(method.owner or path)
    wrapper = stack.enter_context(_wrapped(module, method.name))
    scope: _Wrapper | None = None
    if method.during:
        owner, _, name = method.during.rpartition(".")
        scope = stack.enter_context(_wrapped(model.module.get_submodule(owner), name))

    def look(structure: Any) -> Any:
        if scope is not None and scope.depth == 0:
            return None
        if method.pick is None:
            return _replaced(structure, see)
        see(method.pick(first_argument(structure) if method.takes == "argument" else structure))
        return None

    looks = wrapper.on_argument if method.takes == "argument" else wrapper.on_result
    looks.append(look)
    stack.callback(looks.remove, look)


def first_argument(call: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
    """The first positional argument of a call, else the first by name."""
    args, kwargs = call
    return args[0] if args else next(iter(kwargs.values()))


@contextmanager
def watched_forward(
    model: AudioModel, begin: Callable[[Tensor], None], end: Callable[[], None]
) -> Iterator[None]:
    """Call ``begin(waveform)`` and ``end()`` around each ``model.forward``.

    A :class:`StopPass` ends it early.
    """
    present = model.__dict__.get("forward")
    inner = model.forward

    def forward(waveform: Tensor) -> Any:
        begin(waveform)
        try:
            result = inner(waveform)
        except StopPass:
            result = None
        end()
        return result

    model.__dict__["forward"] = forward
    try:
        yield
    finally:
        if present is None:
            del model.__dict__["forward"]
        else:
            model.__dict__["forward"] = present
