"""Methods of somebody's network that stand for a codec: called, and held to what they promise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from auscult.core.errors import AuscultError, UnknownNameError, UserError
from auscult.models.loading import said_by

WAVEFORM = "[batch channel time]"
LATENTS = "[batch d_latent frame]"
CODES = "[batch level frame]"


@dataclass(frozen=True)
class Promise:
    """What a row of methods is given, and what it has to return for that.

    Attributes:
        key: Of ``[model]``, under which the methods are named.
        given: What the first of them gets, with its axes.
        returned: What the last of them returns, with its axes.
        n_axes: Of the tensor that is returned; 0 for any number.
        like: Which axes of what was given keep their length: ``"all"``, or the numbers of some.
        integers: Whether whole numbers are returned, and not floats.
        advice: What to do where it is not kept.
    """

    key: str
    given: str
    returned: str
    n_axes: int = 3
    like: str | tuple[int, ...] = (0,)
    integers: bool = False
    advice: str = ""

    def keeps(self, given: Any, returned: Any) -> bool:
        """Whether what was returned is what was promised for what was given."""
        if not isinstance(returned, Tensor) or not returned.numel():
            return False
        if self.integers == returned.is_floating_point() or returned.is_complex():
            return False
        if self.n_axes and returned.ndim != self.n_axes:
            return False
        if self.like == "all":
            return bool(returned.shape == given.shape)
        axes = [axis for axis in self.like if isinstance(axis, int)]
        return all(returned.shape[axis] == given.shape[axis] for axis in axes)


class MethodRow:
    """Methods called in a row, each on what the one before returned.

    They are looked up at each call: a wrapped method is used while it is wrapped.

    Args:
        module: The network.
        names: Of its methods.
        promise: What they are given and have to return.

    Raises:
        UnknownNameError: The network has no such method.
    """

    def __init__(self, module: nn.Module, names: Sequence[str], promise: Promise) -> None:
        check_methods(module, names)
        self.module = module
        self.names = tuple(names)
        self.promise = promise

    def __call__(self, value: Any) -> Any:
        """Call them.

        Raises:
            UserError: A method fails, or the last one returns something else than it has to.
        """
        given = value
        for index, name in enumerate(self.names):
            value = self._called(name, value, self.promise.given if index == 0 else "")
        if not self.promise.keeps(given, value):
            raise UserError(
                f"{self._named(self.names[-1])} returned {_described(value)} for "
                f"{self.promise.given} of {_shape(given)}, where {self.promise.returned} of "
                f"{'whole numbers' if self.promise.integers else 'floats'} are needed"
                f"{self.promise.advice}"
            )
        return value

    def _called(self, name: str, value: Any, words: str) -> Any:
        try:
            return getattr(self.module, name)(value)
        except (AuscultError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            said = said_by(error)
            if said is None:
                raise
            what = f"{words} of {_shape(value)}" if words else _described(value)
            raise UserError(f"{self._named(name)} fails on {what}: {said}") from error

    def _named(self, name: str) -> str:
        return f"model.{self.promise.key}: {type(self.module).__name__}.{name}()"


def in_a_row(module: nn.Module, names: Sequence[str]) -> Callable[[Any], Any]:
    """Methods called in a row of which nothing is promised: those that stand for ``forward``.

    Raises:
        UnknownNameError: The network has no such method.
    """
    check_methods(module, names)
    return lambda x: reduce(lambda value, name: getattr(module, name)(value), names, x)


def check_methods(module: nn.Module, names: Sequence[str]) -> None:
    """Refuse a name that is no method of the network.

    Raises:
        UnknownNameError: Naming its own methods.
    """
    for name in names:
        if not callable(getattr(module, name, None)):
            known = [n for n in dir(type(module)) if n not in dir(nn.Module)]
            raise UnknownNameError(f"method of {type(module).__name__}", name, known)


def _shape(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _described(value: Any) -> str:
    """A value in a few words, as somebody would write its type."""
    if isinstance(value, Tensor):
        kind = "" if value.is_floating_point() else f"{str(value.dtype).removeprefix('torch.')} "
        return f"a {kind}tensor of {list(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "nothing" if value is None else f"a {type(value).__name__}"
