"""Training on what the model makes of a dictionary, and not on its vectors alone."""

import json
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.responses import Responses
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.own_task import OwnTask
from auscult.dictionaries.splicing import spliced
from auscult.taps.capture import capture


class EndToEndSettings(Config):
    """The model's own task in the loss (METHODS 8.1).

    Braun et al. 2024, "Identifying Functionally Important Features with End-to-End Sparse
    Dictionary Learning".
    """

    task_weight: NonNegativeFloat = 1.0
    """Weight of what the model's own output loses by the dictionary at the tap."""
    local_weight: NonNegativeFloat = 0.0
    """Weight of the dictionary's own reconstruction terms; its penalties keep theirs."""
    downstream: tuple[str, ...] = ()
    """Later taps whose response vectors are to stay as they are, too."""
    downstream_weight: NonNegativeFloat = 1.0
    """Weight of the mean over these taps of the fraction of variance that changes."""
    clips: PositiveInt = 4
    """Clips that go through the model in a step."""


@runtime_checkable
class Clips(Protocol):
    """Sounds to train on."""

    @property
    def ids(self) -> Sequence[str]:
        """Names of the clips, all of one length."""

    def waveforms(self, ids: Sequence[str]) -> Float[Tensor, "clip channel time"]:
        """Some of them as a batch, at the model's rate."""


class EndToEnd:
    """Terms for :class:`auscult.dictionaries.train.TrainingJob`, from clips of its own.

    ::

        task = task_weight · E loss(output spliced, output)
        downstream = downstream_weight · mean_k Σ ‖a_k - â_k‖² / Σ ‖a_k - E a_k‖²

    ``loss`` is the one of :mod:`auscult.dictionaries.own_task`, a_k are response vectors of the tap
    k to the clips as they are, â_k with the dictionary in the way. Which clips a step hears is
    drawn from the seed and the number of the step, so that a training that goes on is the training
    that was not interrupted.

    With ``local_weight = 0``, as published, atoms are good for the task and need not resemble what
    the tap says: seeds agree less, and a dictionary may reach the same output another way than the
    model does. The downstream term is against that; look at ``fvu`` beside the loss recovered.

    Attributes:
        identity: All that decides its values.
    """

    def __init__(
        self, task: OwnTask, tap: str, settings: EndToEndSettings, clips: Clips, seed: int
    ) -> None:
        """Make the terms.

        Raises:
            ConfigError: There are no clips.
        """
        if not clips.ids:
            raise ConfigError("end-to-end training needs clips to hear, and there are none")
        self._task, self._tap, self._settings = task, tap, settings
        self._clips, self._seed = clips, seed
        said = [settings.model_dump(mode="json"), tap, task.model.name, seed, list(clips.ids)]
        self.identity = json.dumps(said)

    def __call__(
        self, dictionary: Dictionary, x: Float[Tensor, "n d_in"], step: int
    ) -> dict[str, Float[Tensor, ""]]:
        """``task``, and ``downstream`` where there are such taps; the vectors are not looked at."""
        del x
        settings = self._settings
        rng = named_rng(self._seed, "end to end", step)
        ids = self._clips.ids
        some = rng.choice(len(ids), min(settings.clips, len(ids)), replace=False)
        waveform = self._clips.waveforms([ids[i] for i in sorted(some.tolist())])
        with torch.no_grad(), capture(self._task.model, settings.downstream) as before:
            own = self._task.output(waveform)
        with capture(self._task.model, settings.downstream, detach=False) as after:
            changed = self._task.output(waveform, spliced(dictionary, self._tap))
        terms = {"task": settings.task_weight * self._task.loss(changed, own).total.mean()}
        if settings.downstream:
            moved = [_moved(before[tap], after[tap]) for tap in settings.downstream]
            terms["downstream"] = settings.downstream_weight * torch.stack(moved).mean()
        return terms


def _moved(before: Responses, after: Responses) -> Float[Tensor, ""]:
    """Share of the variance of response vectors that a change makes up."""
    own, now = before.values.flatten(0, 1), after.values.flatten(0, 1)
    variance = (own - own.mean(0)).square().sum()
    return (now - own).square().sum() / variance.clamp_min(1e-30)
