"""What a question is: parameters, the conditions it must be read against, a result.

And how to show it.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from auscult.blocks import Block, Clip, Finding, Verdict
from auscult.core.config import Config
from auscult.core.errors import InvariantError
from auscult.core.registry import Registry
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.train import TrainSettings
from auscult.measures.scorecards import Scorecard
from auscult.models.base import AudioModel, Weights
from auscult.store.reader import ActivationStore
from auscult.store.source import VectorSource

ANALYSES: Registry["Analysis"] = Registry("analysis", "auscult.analyses")

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


MADE = "made:"
"""Begins the id of a clip that an analysis made; recordings have ids of their own."""

BASE = Condition()
NOISE = Condition(sounds="noise")
RANDOM = Condition(weights="random")


@dataclass(frozen=True)
class Measurement:
    """A number with what it must be read against. There is no way to report one without a control.

    Attributes:
        name: What was measured, in words.
        value: In ``unit``.
        unit: "" for shares and cosines.
        controls: The same number under each control, by the control's name; never empty.
        interval: 95 % bootstrap interval over recordings, where one makes sense.
        published: The published value and where it stands, or "".
        tap: Where it was measured, or "" for the model as a whole.
    """

    name: str
    value: float
    unit: str
    controls: Mapping[str, float]
    interval: tuple[float, float] | None = None
    published: str = ""
    tap: str = ""

    def __post_init__(self) -> None:
        if not self.controls:
            raise InvariantError(f"{self.name!r} was reported without a control")

    def text(self, value: float | None = None) -> str:
        """The value (or another of the same kind) as text with its unit."""
        number = self.value if value is None else value
        shown = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
        return f"{shown} {self.unit}".strip()


@dataclass(frozen=True)
class Judgement:
    """How a measurement stands against its controls: what the page says and the ledger keeps.

    Attributes:
        sentence: The answer in plain words, with its number.
        measurement: What was measured, with its controls.
        verdict: Against the controls.
        reason: The rule that gave the verdict.
        claim: Id in the claims ledger (METHODS §10), or "" for what no claim is about.
    """

    sentence: str
    measurement: Measurement
    verdict: Verdict
    reason: str
    claim: str = ""

    def finding(self) -> Finding:
        """As the page shows it."""
        one = self.measurement
        within = ""
        if one.interval is not None:
            within = f" ({one.text(one.interval[0])} to {one.text(one.interval[1])})"
        return Finding(
            self.sentence,
            one.text() + within,
            "; ".join(f"{name}: {one.text(value)}" for name, value in one.controls.items()),
            self.verdict,
            one.published,
            self.claim,
            self.reason,
        )


@dataclass(frozen=True)
class MadeSound:
    """A sound that an analysis made: steered, decoded, averaged or synthesised.

    Put into :attr:`Result.sounds` it is kept with the run, and :meth:`clip` plays it on the page.

    Attributes:
        waveform: ``[time]`` or ``[channel time]``, 1 is full scale; louder is kept with a gain.
        sample_rate: In Hz.
        label: What it is, for people.
    """

    waveform: np.ndarray
    sample_rate: int
    label: str

    def __post_init__(self) -> None:
        if self.waveform.ndim not in (1, 2) or not self.waveform.size:
            raise InvariantError(f"the sound {self.label!r} has the shape {self.waveform.shape}")
        if not np.isfinite(self.waveform).all():
            raise InvariantError(f"the sound {self.label!r} holds values that are not finite")

    @cached_property
    def clip_id(self) -> str:
        """Names the sound by what it holds, so that equal sounds are kept once."""
        samples = np.ascontiguousarray(self.waveform, dtype="<f4")
        told = f"{self.sample_rate} {samples.shape} {self.label}".encode()
        return f"{MADE}{hashlib.sha256(told + samples.tobytes()).hexdigest()[:20]}"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.waveform.shape[-1] / self.sample_rate)

    def clip(self, label: str = "", start_s: float = 0.0, stop_s: float | None = None) -> Clip:
        """The sound, or a stretch of it, as pages play it."""
        stop = self.duration_s if stop_s is None else min(stop_s, self.duration_s)
        return Clip(self.clip_id, start_s, stop, label or self.label)


@runtime_checkable
class Saveable(Protocol):
    """Something that writes itself into a folder."""

    def save(self, folder: Path) -> None:
        """Write it."""
        ...


@dataclass(frozen=True)
class Result:
    """What an analysis found.

    Attributes:
        measurements: Every number, with its controls.
        arrays: What its pictures are drawn from.
        facts: What else its view needs, as JSON types.
        blocks: Blocks that only the running analysis could make.
        judgements: The verdicts; their measurements need not stand in ``measurements`` again.
        sounds: What it made and its page plays.
        scorecards: Results of single dictionaries in SAEBench's shape, by a name unique here.
    """

    measurements: tuple[Measurement, ...]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    sounds: tuple[MadeSound, ...] = ()
    keeps: Mapping[str, Saveable] = field(default_factory=dict)
    scorecards: Mapping[str, Scorecard] = field(default_factory=dict)


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


class Analysis(ABC):
    """A question put to a model.

    Attributes:
        title: Heading of its page.
        question: What it asks, as a sentence that ends in a question mark.
        source: Paper and section.
        version: Raised when results change, so that finished runs are computed again.
    """

    registered_name: ClassVar[str] = ""
    Params: ClassVar[type[Config]] = Config
    title: ClassVar[str]
    question: ClassVar[str]
    source: ClassVar[str] = ""
    version: ClassVar[int] = 1

    @classmethod
    @abstractmethod
    def controls(cls, params: Any) -> tuple[Condition, ...]:
        """The conditions, beside the base one, that must be recorded for it."""

    @abstractmethod
    def run(self, context: Context, params: Any) -> Result:
        """Answer the question."""

    @abstractmethod
    def view(self, result: Result) -> list[Block]:
        """Show the answer: findings first."""
