"""A dictionary in the way of a running model, and what takes its place for comparison.

Everything here makes edits for :func:`auscult.taps.capture.intervene`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import UserError, WidthError
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.own_task import OwnTask, TaskLoss
from auscult.taps.capture import EditFunction

Frames = Float[Tensor, "clip frame d_in"]


def spliced(dictionary: Dictionary) -> EditFunction:
    """Replace every response vector by what the dictionary makes of it; gradients pass.

    Raises:
        UserError: The dictionary is of generators: a difference has no place in the model.
    """
    if dictionary.provenance.of == "generators":
        raise UserError(
            "a dictionary of generators cannot be spliced in: it encodes differences of response "
            "vectors, and the tap says response vectors; take one of responses"
        )

    def edit(values: Frames, time: TimeBase) -> Frames:
        del time
        rebuilt: Tensor = dictionary(values)
        return rebuilt

    return edit


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
        zero: With zeros at the tap.
        mean: With the mean of the training vectors at the tap.
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
        mean: Of the vectors that the dictionary was fitted to.
        reference: The truth, as :meth:`OwnTask.truth` gives it; None: the model's own output.

    Raises:
        UserError: The dictionary cannot be spliced in, or widths differ.
    """
    own = task.output(waveform)
    against = own if reference is None else reference

    def changed(edit: EditFunction) -> TaskLoss:
        return task.loss(task.output(waveform, {tap: edit}), against)

    return SpliceLosses(
        model=task.loss(own, against),
        dictionary=changed(spliced(dictionary)),
        zero=changed(silenced),
        mean=changed(levelled(mean)),
    )
