"""Run a network again and again on the same sound, computing only what can have changed.

What stands before the first edited tap does not depend on the edit. It is run once; later passes
get copies of what it said. In an audio network that is the front end at least, which may cost more
than all the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from auscult.models.base import AudioModel
from auscult.taps.hooks import watched_forward
from auscult.taps.point import resolve


@contextmanager
def replaying(model: AudioModel, waveform: Tensor, taps: Sequence[str]) -> Iterator[int]:
    """Within the block, ``model.forward(waveform)`` begins where the first of the taps is.

    Exact: bit for bit what a whole pass gives, as long as the same waveform is fed and nothing
    before the taps is random or changes its own input.

    Args:
        model: The network.
        waveform: The sound that every pass in the block is fed.
        taps: Where passes may differ.

    Yields:
        How many calls of modules are not computed again.
    """
    said = _before(model, waveform, {tap.tap.path for tap in resolve(model, taps)})
    players = {path: _Player(model.module.get_submodule(path), s) for path, s in said.items()}

    def rewind(_: Tensor) -> None:
        for player in players.values():
            player.n_calls = 0

    with ExitStack() as stack:
        for player in players.values():
            stack.enter_context(player.playing())
        stack.enter_context(watched_forward(model, rewind, lambda: None))
        yield sum(len(outputs) for outputs in said.values())


def _before(model: AudioModel, waveform: Tensor, watched: set[str]) -> dict[str, list[Any]]:
    """What each module said in the calls that were over before any watched module began."""
    said: dict[str, list[Any]] = {}
    begun = [False]

    def begin(*_: Any) -> None:
        begun[0] = True

    def keep(path: str) -> Callable[..., None]:
        def after(_: nn.Module, __: Any, output: Any) -> None:
            if not begun[0]:
                said.setdefault(path, []).append(_copied(output))

        return after

    with ExitStack() as stack, torch.no_grad():
        for path, module in model.module.named_modules():
            if path in watched:
                stack.callback(module.register_forward_pre_hook(begin).remove)
            elif path and not any(w.startswith(f"{path}.") for w in watched):
                stack.callback(module.register_forward_hook(keep(path)).remove)
        model.forward(waveform)
    # What a replayed module would call is not called.
    return {
        path: outputs
        for path, outputs in said.items()
        if not any(path.startswith(f"{other}.") for other in said)
    }


class _Player:
    """Answers the first calls of each pass from memory, later ones in earnest."""

    def __init__(self, module: nn.Module, outputs: Sequence[Any]) -> None:
        self.module = module
        self.outputs = outputs
        self.n_calls = 0

    @contextmanager
    def playing(self) -> Iterator[None]:
        """Stand in for the module's forward."""
        inner, present = self.module.forward, self.module.__dict__.get("forward")

        def forward(*args: Any, **kwargs: Any) -> Any:
            place, self.n_calls = self.n_calls, self.n_calls + 1
            if place < len(self.outputs):
                return _copied(self.outputs[place])
            return inner(*args, **kwargs)

        self.module.__dict__["forward"] = forward
        try:
            yield
        finally:
            del self.module.__dict__["forward"]
            if present is not None:
                self.module.__dict__["forward"] = present


def _copied(value: Any) -> Any:
    """Own tensors in the same structure: what comes behind may work in place."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, tuple | list):
        items = [_copied(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value
