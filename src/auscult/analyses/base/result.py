"""What an analysis found: numbers with their controls, verdicts, and the sounds that it made."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from auscult.blocks import Block, Clip, Finding, Verdict
from auscult.core.errors import InvariantError
from auscult.core.numbers import amount
from auscult.measures.scorecards import Scorecard

MADE = "made:"
"""Begins the id of a clip that an analysis made; recordings have ids of their own."""


@dataclass(frozen=True)
class Spread:
    """Where a number lay over a few things of which it is the mean: a range, not an interval.

    Attributes:
        least: The smallest.
        largest: The largest.
        of: What they are, such as ``pairs of seeds``.
    """

    least: float
    largest: float
    of: str

    @classmethod
    def over(cls, values: Sequence[float], of: str) -> "Spread | None":
        """Of some values; None of fewer than two."""
        return cls(float(min(values)), float(max(values)), of) if len(values) > 1 else None


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
        spread: Least and largest over seeds, pairs of them or dictionaries, where the value is a
            mean over those.
    """

    name: str
    value: float
    unit: str
    controls: Mapping[str, float]
    interval: tuple[float, float] | None = None
    published: str = ""
    tap: str = ""
    spread: Spread | None = None

    def __post_init__(self) -> None:
        if not self.controls:
            raise InvariantError(f"{self.name!r} was reported without a control")

    def text(self, value: float | None = None) -> str:
        """The value (or another of the same kind) as text with its unit."""
        shown = self.value if value is None else value
        # What is left of a difference of equal floats is nothing.
        return amount(0.0 if abs(shown) < 1e-12 else shown, self.unit)


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
        if one.interval is not None and all(map(math.isfinite, one.interval)):
            within = f" ({one.text(one.interval[0])} to {one.text(one.interval[1])})"
        if one.spread is not None:
            ends = f"{one.text(one.spread.least)} to {one.text(one.spread.largest)}"
            within += f"; over {one.spread.of}: {ends}"
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
