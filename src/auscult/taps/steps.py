"""Read and change what a generator says at each of its steps, outside and inside its network."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import SilentTapError, TapError, WidthError
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel
from auscult.models.generation import Generator, Prompt, Row, Step
from auscult.taps.capture import EditFunction
from auscult.taps.hooks import attach
from auscult.taps.layout import from_frames, layout_of, to_frames
from auscult.taps.point import ResolvedTap, resolve, resolve_among
from auscult.taps.probe import time_base

STATE, ESTIMATE = "state", "estimate"
"""Places outside the network: the latents as they are, and the one-step clean estimate."""

BOTH: tuple[Row, ...] = ("conditional", "unconditional")


@dataclass(frozen=True)
class Seen:
    """What one place said at one step.

    Attributes:
        place: ``state``, ``estimate``, or the address of a tap inside the network.
        step: 0 before the first step, ``n_steps`` at the result.
        n_steps: Steps in all.
        progress: From 0 to 1, see :class:`~auscult.models.generation.Step`.
        row: Which of the guidance's rows; None outside the network, where there is one only.
        values: An own copy ``[prompt frame d_in]``.
        time: Where the frames lie in the sound that comes of it.
    """

    place: str
    step: int
    n_steps: int
    progress: float
    row: Row | None
    values: Float[Tensor, "prompt frame d_in"]
    time: TimeBase


See = Callable[[Sequence[Prompt], Seen], None]


@dataclass(frozen=True)
class StepEdit:
    """A change while a sound is made.

    Attributes:
        place: ``state``, or a tap inside the network.
        edit: As for :func:`auscult.intervene`: ``(values [batch frame d_in], time)`` to values.
        steps: When: steps at which the network hears the changed values (``n_steps`` is the result,
            which only a change of the state can reach).
        rows: Inside the network, which of the guidance's rows.
    """

    place: str
    edit: EditFunction
    steps: Collection[int]
    rows: tuple[Row, ...] = BOTH


def generator_of(model: AudioModel) -> Generator:
    """What a model generates with.

    Raises:
        TapError: It generates nothing.
    """
    if model.generator is None:
        raise TapError(f"{model.name} makes no sound in steps: it has no generator")
    return model.generator


def inner_taps(model: AudioModel, addresses: Sequence[str]) -> list[ResolvedTap]:
    """Taps inside the network that generation runs, by role, module path, or glob.

    Raises:
        UnknownNameError: There is none of that name.
        TapError: A particular call is asked for, while the network runs once a step.
    """
    found = resolve_among(model, generator_of(model).taps, addresses)
    for tap in found:
        if tap.point.call is not None:
            raise TapError(f"{tap.address}: the network runs once a step, so leave the call out")
    return found


def trace(
    model: AudioModel,
    prompts: Sequence[Prompt],
    see: See | None = None,
    *,
    places: Sequence[str] = (STATE, ESTIMATE),
    steps: Collection[int] | None = None,
    rows: Sequence[Row] = ("conditional",),
    edits: Sequence[StepEdit] = (),
    n_batch: int = 16,
) -> Iterator[tuple[tuple[Prompt, ...], Float[Tensor, "prompt d_latent frame"]]]:
    """Generate, some prompts at a time, while places are seen and changed.

    Nothing is kept: memory does not grow with the number of prompts. What is seen is what edits
    have made of it.

    Args:
        model: Has a generator.
        prompts: What to ask for.
        see: Gets the prompts of a batch and what a place said of them, as it is said.
        places: ``state``, ``estimate``, taps inside the network.
        steps: At which steps; all when None.
        rows: Which of the guidance's rows are seen inside the network.
        edits: Changes, applied in this order.
        n_batch: Prompts at a time; results do not depend on it.

    Yields:
        The prompts of each batch and their latents, as the codec decodes them.

    Raises:
        SilentTapError: A place said nothing.
        TapError: A tap fired several times in a step, or said values that are not finite.
        WidthError: An edit returned vectors of another width.
    """
    generator = generator_of(model)
    wanted = range(generator.n_steps + 1) if steps is None else steps
    lacking = [row for row in rows if row not in generator.rows]
    if lacking and any(place not in (STATE, ESTIMATE) for place in places):
        raise TapError(f"{model.name} has no {lacking[0]} rows: it generates without guidance")
    latent = resolve(model, [generator.latent])[0]
    time = time_base(model, latent.point)
    for start in range(0, len(prompts), n_batch):
        batch = tuple(prompts[start : start + n_batch])
        tracer = _Tracer(model, batch, time, see, places, frozenset(wanted), tuple(rows), edits)
        with torch.no_grad(), ExitStack() as stack:
            tracer.open(stack)
            latents = generator.generate(batch, tracer.watch)
        tracer.check()
        yield batch, latents


class _Tracer:
    """One batch of prompts on its way from noise to sound."""

    def __init__(
        self,
        model: AudioModel,
        prompts: tuple[Prompt, ...],
        time: TimeBase,
        see: See | None,
        places: Sequence[str],
        steps: frozenset[int],
        rows: tuple[Row, ...],
        edits: Sequence[StepEdit],
    ) -> None:
        self.model, self.prompts, self.time, self.see = model, prompts, time, see
        self.generator = generator_of(model)
        self.steps, self.rows, self.edits = steps, rows, edits
        self.outside = [place for place in places if place in (STATE, ESTIMATE)]
        self.inside = inner_taps(model, [p for p in places if p not in (STATE, ESTIMATE)])
        self.now: Step | None = None
        self.fired: dict[str, set[int]] = {}

    def open(self, stack: ExitStack) -> None:
        """Put hooks in place: first what changes, then what looks."""
        for edit in self.edits:
            if edit.place != STATE:
                for tap in inner_taps(self.model, [edit.place]):
                    attach(stack, self.model, tap, self._changer(tap, edit))
        for tap in self.inside:
            attach(stack, self.model, tap, self._looker(tap))

    def watch(self, step: Step) -> Tensor | None:
        """What generation calls at every step, before and after the network has heard it."""
        if step.estimate is not None:
            self._hand_over(ESTIMATE, step, step.estimate)
            return None
        new = step.state
        for edit in self.edits:
            if edit.place == STATE and step.index in edit.steps:
                frames = new.transpose(1, 2)
                new = _checked(STATE, edit.edit(frames.clone(), self.time), frames).transpose(1, 2)
        self.now = replace(step, state=new)
        self._hand_over(STATE, step, new)
        return None if new is step.state else new.contiguous()

    def _hand_over(self, place: str, step: Step, latents: Tensor) -> None:
        if place in self.outside and step.index in self.steps:
            frames = latents.transpose(1, 2)
            self._show(place, step, None, frames, self.time)

    def _show(
        self, place: str, step: Step, row: Row | None, frames: Tensor, time: TimeBase
    ) -> None:
        self.fired.setdefault(place, set()).add(step.index)
        if self.see is None:
            return
        values = frames.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        if not torch.isfinite(values.sum()) and not torch.isfinite(values).all():
            raise TapError(f"{place} said values that are not finite numbers at step {step.index}")
        told = (step.index, step.n_steps, step.progress, row)
        self.see(self.prompts, Seen(place, *told, values, time))

    def _looker(self, tap: ResolvedTap) -> Callable[[Tensor], None]:
        def look(tensor: Tensor) -> None:
            step = self._arrived(tap)
            if step.index in self.steps:
                layout = layout_of(self.model, tap, tensor)
                for row, part in self._rows(tap, to_frames(tensor, layout)).items():
                    if row in self.rows:
                        time = self._time_of(tap, part.shape[1])
                        self._show(tap.address, step, row, part, time)

        return look

    def _changer(self, tap: ResolvedTap, edit: StepEdit) -> Callable[[Tensor], Tensor | None]:
        def change(tensor: Tensor) -> Tensor | None:
            self.fired.setdefault(tap.address, set())
            if self.now is None or self.now.index not in edit.steps:
                return None
            layout = layout_of(self.model, tap, tensor)
            frames = to_frames(tensor, layout).clone()
            for row, part in self._rows(tap, frames).items():
                if row in edit.rows:
                    time = self._time_of(tap, part.shape[1])
                    part.copy_(_checked(tap.address, edit.edit(part.clone(), time), part))
            return from_frames(frames, tensor, layout).contiguous()

        return change

    def _arrived(self, tap: ResolvedTap) -> Step:
        """The step that a tap's words belong to.

        Raises:
            TapError: It spoke before the first step, or twice in one.
        """
        if self.now is None:
            raise TapError(f"{tap.address} fired before the generator said where it stands")
        if self.now.index in self.fired.get(tap.address, ()):
            raise TapError(
                f"{tap.address} fired several times in step {self.now.index}; of a network that "
                "runs more than once a step there is no saying which run is meant"
            )
        self.fired.setdefault(tap.address, set()).add(self.now.index)
        return self.now

    def _rows(self, tap: ResolvedTap, frames: Tensor) -> dict[Row, Tensor]:
        """Views of the batch by guidance row.

        Raises:
            TapError: The batch is not laid out as the generator says.
        """
        rows, n = self.generator.rows, len(self.prompts)
        if len(frames) != n * len(rows):
            raise TapError(
                f"{tap.address} has {len(frames)} rows for {n} prompts and guidance of "
                f"{len(rows)} rows each"
            )
        return {row: frames[i * n : (i + 1) * n] for i, row in enumerate(rows)}

    def _time_of(self, tap: ResolvedTap, n_frames: int) -> TimeBase:
        """As told, else as the latents lie: some to a token."""
        told = self.generator.times.get(tap.tap.path)
        if told is not None:
            return told
        per_token, rest = divmod(self.generator.n_frames, n_frames)
        if rest or not per_token:
            raise TapError(
                f"{tap.address} has {n_frames} frames for {self.generator.n_frames} of the latents,"
                " and no place in time for them"
            )
        return self.time.after_pool(per_token).after_global()

    def check(self) -> None:
        """Refuse silence.

        Raises:
            SilentTapError: A place that was asked for, or was to be changed, said nothing.
        """
        for place in [*self.outside, *(tap.address for tap in self.inside)]:
            if not self.fired.get(place, set()) & self.steps:
                raise SilentTapError(
                    f"{place} said nothing at the steps asked for while {self.model.name} generated"
                )
        for edit in self.edits:
            if edit.place != STATE:
                for tap in inner_taps(self.model, [edit.place]):
                    if tap.address not in self.fired:
                        raise SilentTapError(f"{tap.address} was not called: nothing was changed")


def _checked(place: str, new: Tensor, old: Tensor) -> Tensor:
    """What an edit returned, in the shape of what it got.

    Raises:
        WidthError: It has another shape.
    """
    if new.shape != old.shape:
        raise WidthError(
            f"the edit at {place} returned the shape {list(new.shape)} for {list(old.shape)} "
            "[prompt frame d_in]"
        )
    return new.to(old.dtype)
