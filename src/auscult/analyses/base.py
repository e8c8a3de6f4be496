"""What a question is: parameters, the conditions it must be read against, a result.

And how to show it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.blocks import Block, Clip, Table, Verdict
from auscult.core.config import Config
from auscult.core.errors import ConfigError, InvariantError
from auscult.core.registry import Registry
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.models.base import AudioModel, Weights
from auscult.store.reader import ActivationStore

ANALYSES: Registry["Analysis"] = Registry("analysis", "auscult.analyses")

Split = Literal["train", "test"]


@dataclass(frozen=True, order=True)
class Condition:
    """Which weights heard which sounds.

    The base condition is what the user asked about, the others are controls.

    Attributes:
        weights: Of the model: as asked for, drawn afresh, or shuffled within each tensor.
        sounds: ``real`` for the spec's own, else the name of a stimulus (``noise``, ``flat``, …).
    """

    weights: Weights = "trained"
    sounds: str = "real"

    def __str__(self) -> str:
        return f"{self.weights} weights, {self.sounds} sounds"


BASE = Condition()


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
class Result:
    """What an analysis found: measurements with controls, arrays, and facts for its view."""

    measurements: tuple[Measurement, ...]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()


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


@runtime_checkable
class Context(Protocol):
    """What an analysis may ask of an experiment.

    The same object serves a notebook and the tests.
    """

    seed: int
    taps: Sequence[str]
    """Addresses of the recorded taps."""

    def model(self, weights: Weights = "trained") -> AudioModel:
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

    def dictionary_names(self, of: Literal["responses", "generators"]) -> list[str]:
        """Names of the trained dictionaries of one kind, in the spec's order."""
        ...

    def dictionaries(self, name: str, tap: str, condition: Condition = BASE) -> list[Dictionary]:
        """The dictionaries of that name, one per seed (one only under a control condition)."""
        ...

    def clip_ids(self, split: Split = "test", condition: Condition = BASE) -> list[str]:
        """Ids of the clips of one side of the split, in order."""
        ...

    def sound(self, clip_id: str, condition: Condition = BASE) -> ClipSound:
        """The sound of one clip, decoded again from its source."""
        ...

    def responses(self, tap: str, clip_id: str, condition: Condition = BASE) -> Responses:
        """Every response vector of one clip, computed anew (the store may hold a sample only)."""
        ...

    def hear(self, tap: str, waveform: np.ndarray, weights: Weights = "trained") -> Responses:
        """Response vectors to sounds made up by the analysis.

        ``[batch time]`` at the model's rate.
        """
        ...

    def clip(self, clip_id: str, start_s: float, stop_s: float, label: str) -> Clip:
        """A stretch of a clip of the base condition that the page will play."""
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


def chosen_dictionary(context: Context, asked: str | None) -> str:
    """The dictionary of response vectors that was asked for, or the first.

    Raises:
        ConfigError: The spec fits none to response vectors, or not this one.
    """
    names = context.dictionary_names("responses")
    if not names or (asked is not None and asked not in names):
        fitted = ", ".join(repr(name) for name in names) or "none"
        raise ConfigError(
            f"there is no dictionary {asked or 'of response vectors'}; fitted to responses: "
            f"{fitted}"
        )
    return asked or names[0]


@dataclass(frozen=True)
class Sample:
    """Response vectors with where they come from.

    Attributes:
        values: Response vectors.
        clip_ids: The clip of each.
        frames: The frame of each within its clip.
        recording_ids: The recording of each, the unit of the bootstrap.
    """

    values: Float[np.ndarray, "n d_in"]
    clip_ids: Shaped[np.ndarray, " n"]
    frames: Int[np.ndarray, " n"]
    recording_ids: Shaped[np.ndarray, " n"]


def sample(store: ActivationStore, most: int) -> Sample:
    """Take at most so many vectors of a store, evenly spread over it."""
    count = min(most, store.n_vectors)
    rows = np.linspace(0, store.n_vectors - 1, count).astype(np.int64)
    located, frames = store.locate(rows)
    recordings = {clip.clip_id: clip.recording_id for clip in store.clips}
    return Sample(
        store.rows(rows).astype(np.float32),
        np.array(located),
        np.asarray(frames, dtype=np.int64),
        np.array([recordings[clip_id] for clip_id in located]),
    )


def pooled(values: Float[np.ndarray, "lane frame"], most: int) -> tuple[np.ndarray, np.ndarray]:
    """Shorten lanes for a picture.

    The value farthest from 0 of each stretch, and its middle frame.
    """
    n_frames = values.shape[1]
    edges = np.linspace(0, n_frames, min(most, n_frames) + 1).astype(np.int64)
    middles = (edges[:-1] + edges[1:] - 1) // 2
    high = np.maximum.reduceat(values, edges[:-1], axis=1)
    low = np.minimum.reduceat(values, edges[:-1], axis=1)
    return np.where(high >= -low, high, low), middles


OWN = "as asked for"
"""Name of the base condition in pictures and tables."""


def numbers_table(measurements: Sequence[Measurement]) -> Table:
    """Every number with all its controls, one column each."""
    columns = tuple(dict.fromkeys(name for one in measurements for name in one.controls))
    rows = tuple(
        (one.tap, one.name, one.value, *(one.controls.get(name) for name in columns))
        for one in measurements
    )
    return Table("Numbers and their controls", ("tap", "measure", OWN, *columns), rows)


def verdict_of(
    value: float, controls: Sequence[float], better: Literal["more", "less"], margin: float
) -> Verdict:
    """Judge a value against its controls.

    It holds when it beats every control by more than ``margin`` (in the value's own unit), is
    explained by a control that comes within the margin, and does not hold when a control beats it.
    """
    sign = 1.0 if better == "more" else -1.0
    gap = min(sign * (value - control) for control in controls)
    if not np.isfinite(gap):
        return "cannot be tested here"
    if gap > margin:
        return "holds"
    return "explained by control" if gap >= -margin else "does not hold"
