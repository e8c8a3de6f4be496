"""The calls of some taps during a pass.

Which ones are meant, whether all came, what to say when not.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from torch import Tensor, nn

from auscult.core.errors import SilentTapError, TapError
from auscult.models.base import AudioModel
from auscult.taps.hooks import StopPass, watched_forward
from auscult.taps.layout import surveyed
from auscult.taps.point import ResolvedTap


class Session:
    """Keeps count while hooks are in place.

    Attributes:
        n_clips: Clips in the batch of the current pass; None while it was not run by
            ``model.forward``.
        n_samples: How long they are; None likewise.
        n_passes: Calls of ``model.forward`` so far.
    """

    def __init__(self, model: AudioModel, taps: Sequence[ResolvedTap], stop: bool = False) -> None:
        self.model = model
        self.taps = {tap.address: tap for tap in taps}
        self.calls = dict.fromkeys(self.taps, 0)
        self.stop = stop and not any(tap.point.call == "*" for tap in taps)
        self.n_clips: int | None = None
        self.n_samples: int | None = None
        self.n_passes = 0
        self._missing = set(self.taps)
        self._at_begin: Callable[[], None] | None = None
        self._at_end: Callable[[], None] | None = None

    def open(
        self,
        stack: ExitStack,
        at_begin: Callable[[], None] | None = None,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        """Watch ``model.forward`` until ``stack`` is closed."""
        self._at_begin, self._at_end = at_begin, at_end
        stack.enter_context(watched_forward(self.model, self._begin, self._end))

    def _begin(self, waveform: Tensor) -> None:
        self.calls = dict.fromkeys(self.taps, 0)
        self._missing = set(self.taps)
        self.n_clips, self.n_samples = len(waveform), waveform.shape[-1]
        self.n_passes += 1
        if self._at_begin is not None:
            self._at_begin()

    def _end(self) -> None:
        self.check_counts()
        if self._at_end is not None:
            self._at_end()

    def is_meant(self, tap: ResolvedTap) -> bool:
        """Count a call and say whether the address means it."""
        index = self.calls[tap.address]
        self.calls[tap.address] = index + 1
        meant = index == 0 if tap.point.call is None else tap.point.call in (index, "*")
        if meant:
            self._missing.discard(tap.address)
        return meant

    def stop_if_done(self) -> None:
        """End the pass when every tap has had the call that it means."""
        if self.stop and not self._missing:
            raise StopPass

    def check_counts(self) -> None:
        """Refuse an address that means one call where there were several.

        Or a call that never came.

        Raises:
            TapError: Naming the number of calls and how to address them.
        """
        for address, tap in self.taps.items():
            n_calls = self.calls[address]
            if tap.point.call is None and n_calls > 1:
                raise TapError(several_calls(address, n_calls))
            if isinstance(tap.point.call, int) and 0 < n_calls <= tap.point.call:
                raise TapError(
                    f"{address} does not exist: {tap.point.path!r} was called {n_calls} times in "
                    "one "
                    f"pass, counted from 0"
                )

    def check(self) -> None:
        """Refuse silence too.

        Raises:
            SilentTapError: A tap did not fire, and why that may be.
            TapError: A tap fired more or less often than its address allows.
        """
        self.check_counts()
        for address, tap in self.taps.items():
            if self.calls[address] == 0:
                raise SilentTapError(f"{address} did not fire: {_why_silent(self.model, tap)}")


def several_calls(address: str, n_calls: int) -> str:
    """The sentence for a module that runs several times in a pass."""
    last = f"{address}@{n_calls - 1}"
    return (
        f"{address} was called {n_calls} times in one pass: write {address}@0 … {last} for one "
        "call, "
        f"or {address}@* for all of them one behind another"
    )


def check_survey(model: AudioModel, taps: Sequence[ResolvedTap]) -> None:
    """Refuse an ambiguous address before anything runs: a pass that is cut short would hide it.

    Raises:
        TapError: A module runs several times in a pass and the address does not say which call is
            meant.
    """
    fired = surveyed(model)
    for tap in taps:
        firing = fired.get(tap.tap.path)
        by_hook = tap.point.side not in tap.tap.methods
        if by_hook and firing is not None and firing.n_calls > 1 and tap.point.call is None:
            raise TapError(several_calls(tap.address, firing.n_calls))


def _why_silent(model: AudioModel, tap: ResolvedTap) -> str:
    path = tap.tap.path
    module = model.module.get_submodule(path)
    parent = model.module.get_submodule(path.rpartition(".")[0]) if path else module
    if tap.tap.decodes:
        return "it fires only while latents become sound, so call model.codec.decode() in the block"
    if tap.point.side in tap.tap.methods:
        name = tap.tap.methods[tap.point.side].name
        if path:
            return f"nothing called {name}() of {path!r}"
        return (
            f"its forward does not call {name}(); forward of [model] can name the methods to call"
        )
    if isinstance(module, nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict):
        return f"it is a {type(module).__name__}, which nothing calls; tap its items, {path}.0 …"
    if "parametrizations" in path.split("."):
        return "it computes a weight and no activation; tap the layer that owns it"
    if isinstance(parent, nn.MultiheadAttention):
        return "attention uses its weights through a function; tap the attention module itself"
    if type(module).forward is nn.Module.forward or _other_methods(module):
        named = ", ".join(_other_methods(module)) or "other methods"
        return (
            f"a {type(module).__name__} is used through {named} and not through forward(); its "
            f"model family has to name the method"
        )
    return (
        "this pass does not call the module; its weights may be used through a function, or only "
        "in "
        "another stage (training, decoding)"
    )


def _other_methods(module: nn.Module) -> list[str]:
    names = ("encode", "decode", "infer", "quantize", "quantise")
    return [f"{name}()" for name in names if callable(getattr(type(module), name, None))]
