"""What an analysis may ask of an experiment: the conditions, and what is handed out under each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from auscult.blocks import Clip
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.train import TrainSettings
from auscult.models.base import AudioModel, Weights
from auscult.store.reader import ActivationStore
from auscult.store.source import VectorSource

Split = Literal["train", "test"]
DictionaryOf = Literal["responses", "generators"]
ControlWeights = Weights | Literal["random-matched", "rare", "rare-matched", "tail"]
"""Weights of a control.

Beyond those of every model family, first layers that keep the rest of the trained network (METHODS
A-14): filters drawn at random with the trained ones' singular values; filters for waveform shapes
rare in the sounds, with the trained ones' norms or also their singular values; patches from the
tail of the sounds' distribution.
"""


@dataclass(frozen=True, order=True)
class Condition:
    """Which weights heard which sounds.

    The base condition is what the user asked about, the others are controls.

    Attributes:
        weights: Of the model: as asked for, drawn afresh, shuffled within each tensor, or with
            another first layer.
        sounds: ``real`` for the spec's own, else the name of a stimulus (``noise``, ``flat``, …).
    """

    weights: ControlWeights = "trained"
    sounds: str = "real"

    def __str__(self) -> str:
        return f"{self.weights} weights, {self.sounds} sounds"


BASE = Condition()
NOISE = Condition(sounds="noise")
RANDOM = Condition(weights="random")


@dataclass(frozen=True)
class ClipSound:
    """A clip as the model hears it.

    Attributes:
        clip_id: Its id.
        recording_id: The recording that it was cut from (unit of splitting and of the bootstrap).
        waveform: Mean of its channels ``[time]`` at the model's rate, padding left out.
        labels: What is known about it.
    """

    clip_id: str
    recording_id: str
    waveform: np.ndarray
    labels: Mapping[str, str | float]


@dataclass(frozen=True)
class ClipBatch:
    """Clips of one length, ready for the model.

    Attributes:
        waveform: ``[clip channel time]`` at the model's rate; zeros behind what a clip holds.
        clip_ids: Of each.
        recording_ids: Of each.
        n_valid: Samples of each before the zeros.
        labels: What is known about each.
    """

    waveform: np.ndarray
    clip_ids: tuple[str, ...]
    recording_ids: tuple[str, ...]
    n_valid: tuple[int, ...]
    labels: tuple[Mapping[str, str | float], ...]


@dataclass(frozen=True)
class Joint:
    """A dictionary that reads several taps, or several weights, at once: crosscoder, transcoder.

    Attributes:
        tap: Where it is found: the first that it reads.
        parts: What is put end to end, in words; of a transcoder what it reads and what it gives.
        dictionaries: One a seed; one only under a control condition.
        vectors: Gives the vectors of one side of the split, and what is to be given back if not
            these vectors.
        training: How it was trained.
    """

    tap: str
    parts: tuple[str, ...]
    dictionaries: Sequence[Dictionary]
    vectors: Callable[[Split], tuple[VectorSource, VectorSource | None]]
    training: TrainSettings


@runtime_checkable
class Context(Protocol):
    """What an analysis may ask of an experiment.

    The same object serves a notebook and the tests.
    """

    seed: int
    taps: Sequence[str]
    """Addresses of the recorded taps."""

    def model(self, weights: ControlWeights = "trained") -> AudioModel:
        """The model under some weights."""
        ...

    def time(self, tap: str) -> TimeBase:
        """The time base of a recorded tap."""
        ...

    def store(
        self, tap: str, condition: Condition = BASE, split: Split | None = None
    ) -> ActivationStore:
        """Recorded response vectors; all of them, or those of one side of the split."""
        ...

    def dictionary_names(self, of: DictionaryOf) -> list[str]:
        """Names of the spec's dictionaries of one kind, in its order."""
        ...

    def lag(self, name: str) -> int:
        """Frames between the two ends of the generators that a dictionary is fitted to.

        0 for a dictionary of response vectors.
        """
        ...

    def dictionaries(
        self, name: str, tap: str, condition: Condition = BASE, split: Split = "train"
    ) -> list[Dictionary]:
        """The dictionaries of that name, fitted now unless they are there already.

        One per seed; one only under a control condition. Those of the test side are the same fit
        to disjoint recordings, under a seed of its own: one, of the base condition.
        """
        ...

    def training_logs(self, name: str, tap: str) -> list[list[Mapping[str, Any]]]:
        """Lines of the training log of each seed of that dictionary, in order of steps.

        Empty for those that are not trained.
        """
        ...

    def joint_names(self) -> list[str]:
        """Names of the spec's dictionaries that read several taps or weights at once."""
        ...

    def joint(self, name: str, condition: Condition = BASE) -> list[Joint]:
        """Such a dictionary wherever the spec fits it, fitted now unless it is there already.

        Empty under a control condition where it reads several weights: those are its controls.
        """
        ...

    def clip_ids(self, split: Split = "test", condition: Condition = BASE) -> list[str]:
        """Ids of the clips of one side of the split, in order."""
        ...

    def batches(self, split: Split, condition: Condition = BASE) -> Iterator[ClipBatch]:
        """The clips of one side of the split in order, for whoever runs the model over all."""
        ...

    def sound(self, clip_id: str, condition: Condition = BASE) -> ClipSound:
        """The sound of one clip, decoded again from its source."""
        ...

    def responses(self, tap: str, clip_id: str, condition: Condition = BASE) -> Responses:
        """Every response vector of one clip, computed anew (the store may hold a sample only)."""
        ...

    def hear(
        self, tap: str, waveform: np.ndarray, weights: ControlWeights = "trained"
    ) -> Responses:
        """Response vectors to sounds made up by the analysis.

        ``[batch time]`` at the model's rate.
        """
        ...

    def clip(
        self,
        clip_id: str,
        start_s: float,
        stop_s: float,
        label: str,
        condition: Condition = BASE,
    ) -> Clip:
        """A stretch of a recorded clip that the page will play."""
        ...

    def advance(self, share: float) -> None:
        """Say how much of the analysis is done, in [0, 1]."""
        ...
