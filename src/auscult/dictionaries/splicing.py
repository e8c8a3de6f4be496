"""A dictionary in the way of a running model, and what takes its place for comparison.

Everything here makes edits for :func:`auscult.taps.capture.intervene`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import UserError, WidthError
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.own_task import OwnTask, TaskLoss
from auscult.taps.capture import EditFunction
from auscult.taps.point import TapPoint

Frames = Float[Tensor, "clip frame d_in"]


def spliced(dictionary: Dictionary, tap: str) -> dict[str | TapPoint, EditFunction]:
    """Have a dictionary say what it makes of a tap; gradients pass.

    Every response vector of the tap is replaced by its reconstruction. A transcoder hears its tap,
    leaves it as it is, and speaks in place of its target; where a clip ends, the frames that it
    would read beyond are taken to be like the last one.

    Args:
        dictionary: Of response vectors.
        tap: Where its vectors come from; one address, no glob.

    Raises:
        UserError: It is of generators, or of several parts.
    """
    provenance = dictionary.provenance
    if provenance.of == "generators":
        raise UserError(
            "a dictionary of generators cannot be spliced in: it encodes differences of response "
            "vectors, and the tap says response vectors; take one of responses"
        )
    if dictionary.reads == "parts":
        raise UserError(
            "a crosscoder cannot be spliced in: it needs all of its parts before it can give back "
            "one; take a dictionary of a single tap"
        )
    if dictionary.reads != "target":

        def replace(values: Frames, time: TimeBase) -> Frames:
            del time
            rebuilt: Tensor = dictionary(values)
            return rebuilt

        return {tap: replace}
    return _past(dictionary, tap)


def _past(dictionary: Dictionary, tap: str) -> dict[str | TapPoint, EditFunction]:
    """Edits for a transcoder: remember what goes in, replace what comes out."""
    heard: list[Tensor] = []
    target, context = dictionary.provenance.target, dictionary.provenance.context
    if not target:
        raise UserError("this transcoder does not say which tap it gives back: set its provenance")

    def hear(values: Frames, time: TimeBase) -> Frames:
        del time
        heard[:] = [values]
        return values

    def speak(values: Frames, time: TimeBase) -> Frames:
        del time
        if not heard:
            raise UserError(
                f"{target} speaks before {tap} does: a transcoder reads what comes first"
            )
        said: Tensor = dictionary(with_neighbours(heard.pop(), context))
        if said.shape != values.shape:
            raise WidthError(
                f"the transcoder says {list(said.shape)} at {target}, which says "
                f"{list(values.shape)} [clip frame d_out]"
            )
        return said

    return {tap: hear, target: speak}


def with_neighbours(values: Frames, context: int) -> Float[Tensor, "clip frame d_window"]:
    """Each frame with ``context`` frames on either side, in time, end to end."""
    if context == 0:
        return values
    n = values.shape[1]
    shifts = [torch.arange(n) + offset for offset in range(-context, context + 1)]
    return torch.cat([values[:, shift.clamp(0, n - 1)] for shift in shifts], -1)


def silenced(values: Frames, time: TimeBase) -> Frames:
    """Zero ablation."""
    del time
    return torch.zeros_like(values)


def levelled(mean: Float[Tensor, " d_in"]) -> EditFunction:
    """Mean ablation: every response vector becomes the mean of the training vectors."""

    def edit(values: Frames, time: TimeBase) -> Frames:
        del time
        if values.shape[-1] != len(mean):
            raise WidthError(f"the mean has width {len(mean)}, the tap has {values.shape[-1]}")
        return mean.to(values).expand_as(values)

    return edit


@dataclass(frozen=True)
class SpliceLosses:
    """What a model loses clip by clip, from which the loss recovered is computed.

    Attributes:
        model: As it is; zero where the reference is its own output.
        dictionary: With the dictionary at the tap.
        zero: With zeros where the dictionary speaks.
        mean: With the mean of the training vectors there.
    """

    model: TaskLoss
    dictionary: TaskLoss
    zero: TaskLoss
    mean: TaskLoss


@torch.no_grad()
def splice_losses(
    task: OwnTask,
    tap: str,
    dictionary: Dictionary,
    waveform: Float[Tensor, "clip channel time"],
    mean: Float[Tensor, " d_in"],
    reference: Float[Tensor, "..."] | None = None,
) -> SpliceLosses:
    """Run clips through a model four times: as it is, spliced, and under both ablations.

    Args:
        task: Of the model.
        tap: Where the dictionary's vectors come from; one address, no glob.
        dictionary: Of response vectors.
        waveform: Clips at the model's rate.
        mean: Of the vectors that the dictionary gives back.
        reference: The truth, as :meth:`OwnTask.truth` gives it; None: the model's own output.

    Raises:
        UserError: The dictionary cannot be spliced in, or widths differ.
    """
    own = task.output(waveform)
    against = own if reference is None else reference

    place = dictionary.provenance.target or tap

    def changed(edits: Mapping[str | TapPoint, EditFunction]) -> TaskLoss:
        return task.loss(task.output(waveform, edits), against)

    return SpliceLosses(
        model=task.loss(own, against),
        dictionary=changed(spliced(dictionary, tap)),
        zero=changed({place: silenced}),
        mean=changed({place: levelled(mean)}),
    )
