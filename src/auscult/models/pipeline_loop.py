"""A pipeline of diffusers run in its own words, opened between its steps.

A pipeline's callback comes when a step is over: it never sees the first noise, nor what the network
predicted, and the older kind cannot put anything back. Every pipeline draws its first latents in
``prepare_latents`` and moves on through ``scheduler.step``, which is called with the prediction,
guidance included; there both are to be had, whatever the pipeline.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from auscult.core.errors import ConfigError
from auscult.models.generation import Row, Step, Watch
from auscult.models.schedules import clean_estimate, is_flow, mixture_at
from auscult.models.structures import first_tensor, with_first_tensor


class Finished(Exception):
    """Leaves a pipeline's loop with what is wanted of it; not an error."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found


@dataclass(frozen=True)
class Frames:
    """Between a pipeline's own latents and ``[prompt d_latent frame]``.

    Attributes:
        from_own: To frames.
        to_own: Back.
    """

    from_own: Callable[[Tensor], Tensor]
    to_own: Callable[[Tensor], Tensor]


PLAIN = Frames(lambda own: own, lambda framed: framed)
FRAMES_FIRST = Frames(lambda own: own.transpose(1, 2), lambda framed: framed.transpose(1, 2))


def bands_last(n_bands: int) -> Frames:
    """Of latents ``[prompt channel frame band]``: channels times bands make a frame's vector."""
    return Frames(
        lambda own: own.transpose(2, 3).flatten(1, 2),
        lambda framed: framed.reshape(len(framed), -1, n_bands, framed.shape[2]).transpose(2, 3),
    )


@dataclass(frozen=True)
class Rehearsal:
    """What a pipeline does when it is asked for something, short of doing it.

    Attributes:
        n_steps: Steps of its scheduler.
        shape: Of its own latents, of one prompt.
        n_passes: How often the network runs in a step.
        heard: Every tensor that the network gets in its first pass, by name or place.
    """

    n_steps: int
    shape: tuple[int, ...]
    n_passes: int
    heard: Mapping[str, Tensor]

    @property
    def n_rows(self) -> int:
        """How many times the network's batch holds the prompt."""
        return len(next(iter(self.heard.values())))


class _Said(tuple[Tensor]):
    """What a network returns, with or without ``return_dict``."""

    __slots__ = ()

    @property
    def sample(self) -> Tensor:
        return self[0]


def rehearse(pipe: Any, network: nn.Module, call: Mapping[str, Any]) -> Rehearsal:
    """Ask a pipeline for one prompt, in whose first step the network says zeros and costs nothing.

    Raises:
        ConfigError: The pipeline refuses the call, or does not move on through its scheduler.
    """
    passes: list[dict[str, Tensor]] = []

    def silent(*args: Any, **kwargs: Any) -> _Said:
        given = {**{str(i): value for i, value in enumerate(args)}, **kwargs}
        heard = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        passes.append(heard)
        return _Said((next(iter(heard.values())) * 0,))

    def stop(*_: Any, **__: Any) -> None:
        raise Finished(None)

    name = type(pipe).__name__
    with ExitStack() as stack:
        stack.enter_context(_replaced(network, "forward", silent))
        stack.enter_context(_replaced(pipe.scheduler, "step", stop))
        try:
            run_pipeline(pipe, call)
        except (TypeError, ValueError) as error:
            said = str(error).strip().split("\n")[0]
            raise ConfigError(f"{name} refuses to be called this way: {said}") from error
        except (AttributeError, LookupError, RuntimeError) as error:
            said = f"{error}, with the versions of diffusers and transformers that are installed"
            raise ConfigError(f"{name} does not run: {said}") from error
    if not passes:
        raise ConfigError(f"{name} takes a step before its network has run")
    shape = tuple(next(iter(passes[0].values())).shape[1:])
    return Rehearsal(len(pipe.scheduler.timesteps), shape, len(passes), passes[0])


def rows_of(one: Rehearsal, other: Rehearsal) -> tuple[Row, ...]:
    """Which rows of the network's batch are conditional: those that another prompt changes.

    Where none does (a tokenizer that knows neither), diffusers' own order is taken.

    Raises:
        ConfigError: The batch holds the prompt more than twice.
    """
    if one.n_rows == 1:
        return ("conditional",)
    if one.n_rows != 2:
        raise ConfigError(f"the network hears each prompt {one.n_rows} times in a step, not twice")
    changed = [
        any(
            len(heard) == 2 and not torch.equal(heard[row], other.heard[name][row])
            for name, heard in one.heard.items()
            if name in other.heard and heard.shape == other.heard[name].shape and heard.ndim
        )
        for row in range(2)
    ]
    return ("conditional", "unconditional") if changed[0] else ("unconditional", "conditional")


def run_pipeline(pipe: Any, call: Mapping[str, Any]) -> Any:
    """Call a pipeline until something inside says :class:`Finished`.

    Raises:
        ConfigError: It ends on its own.
    """
    try:
        pipe(**call)
    except Finished as finished:
        return finished.found
    raise ConfigError(
        f"{type(pipe).__name__} does not move on through scheduler.step, so it cannot be watched"
    )


def generate_watched(
    pipe: Any, call: Mapping[str, Any], frames: Frames, n_steps: int, watch: Watch | None
) -> Tensor:
    """Run a pipeline up to its last latents; each step is seen before and after the network.

    Args:
        pipe: The pipeline; it is left as it was.
        call: Its arguments.
        frames: How its latents lie.
        n_steps: As many as it was found to take.
        watch: Sees the steps; None to run on.

    Returns:
        The last latents ``[prompt d_latent frame]``; what the pipeline would do with them is left
        out.

    Raises:
        ConfigError: What the watch returns does not fit.
    """
    loop = _Loop(pipe.scheduler, frames, n_steps, watch)
    with ExitStack() as stack:
        stack.enter_context(_replaced(pipe, "prepare_latents", loop.begun(pipe.prepare_latents)))
        stack.enter_context(_replaced(pipe.scheduler, "step", loop.stepped(pipe.scheduler.step)))
        latents: Tensor = run_pipeline(pipe, call)
    return frames.from_own(latents)


@contextmanager
def _replaced(owner: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Call a function in place of a method; the pipelines look at some signatures."""
    own = getattr(owner, name)
    object.__setattr__(owner, name, functools.wraps(own)(function))
    try:
        yield
    finally:
        object.__delattr__(owner, name)


class _Loop:
    """Where a run stands, and what the watch makes of it."""

    def __init__(self, scheduler: Any, frames: Frames, n_steps: int, watch: Watch | None) -> None:
        self.scheduler = scheduler
        self.frames = frames
        self.n_steps = n_steps
        self.watch = watch
        self.index = 0
        self.first_share: float | None = None

    def begun(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        """The pipeline's ``prepare_latents``, whose result is state 0."""

        def prepared(*args: Any, **kwargs: Any) -> Any:
            made = prepare(*args, **kwargs)
            new = self._show(first_tensor(made), 0.0)
            return made if new is None else with_first_tensor(made, new)

        return prepared

    def stepped(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The scheduler's ``step``, which leads from one state to the next."""

        def moved(said: Tensor, timestep: Tensor, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self.watch is not None:
                clean = clean_estimate(self.scheduler, timestep, sample, said)
                self._show(sample, self._progress(timestep), clean)
            result = step(said, timestep, sample, *args, **kwargs)
            self.index += 1
            last = self.index == self.n_steps
            progress = 1.0
            if self.watch is not None and not last:
                progress = self._progress(self.scheduler.timesteps[self.index])
            new = self._show(first_tensor(result), progress)
            result = result if new is None else with_first_tensor(result, new)
            if last:
                raise Finished(first_tensor(result))
            return result

        return moved

    def _progress(self, timestep: Tensor) -> float:
        """Share of the first noise that is gone; of a straight flow this is its time."""
        mixture = mixture_at(self.scheduler, timestep)
        share = mixture.noise if is_flow(self.scheduler) else mixture.share
        if self.first_share is None:
            self.first_share = share
        return max(0.0, 1.0 - share / self.first_share) if self.first_share else 1.0

    def _show(
        self, own: Tensor | None, progress: float, clean: Tensor | None = None
    ) -> Tensor | None:
        """Let the watch see a state; what it returns, in the pipeline's own order."""
        if self.watch is None or own is None:
            return None
        state = self.frames.from_own(own).clone()
        estimate = None if clean is None else self.frames.from_own(clean)
        new = self.watch(Step(self.index, self.n_steps, progress, state, estimate))
        if new is None or clean is not None:
            return None
        if new.shape != state.shape:
            raise ConfigError(
                f"what takes the place of a state must have its shape {list(state.shape)}, "
                f"this has {list(new.shape)}"
            )
        return self.frames.to_own(new).to(own).contiguous()
