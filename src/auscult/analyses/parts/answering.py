"""How analyses answer: numbers gathered and judged, what cannot be told, the order of a page."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np

from auscult.analyses.base import Context, Judgement, Measurement, Result
from auscult.blocks import Block, Missing, Text, Verdict
from auscult.core.errors import ConfigError, NothingToMeasureError, TapError
from auscult.measures.scorecards import Scorecard

OWN = "as asked for"
"""Name of the base condition in pictures and tables."""

DRAWN = "random weights"
"""Name of the same network with random weights."""

NOTHING_TO_MEASURE = (NothingToMeasureError, ConfigError, TapError)
"""What an analysis answers with "cannot be tested here": too little to say anything, no such
dictionary, or a tap that has no frames for a sound made up. Everything else passes through, a
damaged store first of all: it must not come out as a finding."""

JudgedBy = Literal["sound", "published"]
"""The rule that judges: the one that holds against every control, or the published one."""

T = TypeVar("T")


def in_turn(context: Context, these: Collection[T]) -> Iterator[T]:
    """One after the other; how much is done is said after each."""
    for step, one in enumerate(these):
        yield one
        context.advance((step + 1) / len(these))


def verdict_of(
    value: float,
    controls: Sequence[float],
    better: Literal["more", "less"],
    margin: float,
    interval: tuple[float, float] | None = None,
) -> Verdict:
    """Judge a value against its controls.

    It holds when it beats every control by more than ``margin`` (in the value's own unit), is
    explained by a control that comes within the margin, and does not hold when a control beats it.
    Where recordings give an interval, all of it must lie beyond every control to hold; of one
    recording, whose interval is NaN, nothing can be told.
    """
    sign = 1.0 if better == "more" else -1.0
    gap = min(sign * (value - control) for control in controls)
    near = gap
    if interval is not None:
        near = min(sign * (end - control) for end in interval for control in controls)
    if not np.isfinite(gap + near):
        return "cannot be tested here"
    if gap > margin:
        return "holds" if near > 0 else "explained by control"
    return "explained by control" if gap >= -margin else "does not hold"


def unmeasured(
    name: str, tap: str, nulls: Sequence[str], unit: str = "", published: str = ""
) -> Measurement:
    """A number that could not be taken, and none under its controls."""
    nan = float("nan")
    return Measurement(name, nan, unit, dict.fromkeys(nulls, nan), published=published, tap=tap)


def untested(
    sentence: str,
    reason: str,
    claim: str,
    name: str,
    tap: str,
    nulls: Sequence[str],
    published: str = "",
) -> Judgement:
    """Say that a claim cannot be tested at a tap.

    Args:
        sentence: What cannot be told.
        reason: Why.
        claim: Id in the claims ledger, or "".
        name: The number that would be judged.
        tap: Where.
        nulls: Names of the controls that it would be judged against.
        published: The published value and where it stands.
    """
    nothing = unmeasured(name, tap, nulls, published=published)
    return Judgement(sentence, nothing, "cannot be tested here", reason, claim)


@dataclass
class Gathered:
    """What a run gathers, tap by tap.

    Attributes:
        measurements: Numbers.
        judgements: Verdicts.
        arrays: What pictures are drawn from.
        blocks: What only the running analysis can draw.
        missing: Tap, what could not be measured there, and why.
        facts: What else its view needs.
        cards: Results of single dictionaries.
    """

    measurements: list[Measurement] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    missing: list[tuple[str, str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    cards: dict[str, Scorecard] = field(default_factory=dict)

    def add(self, judged: Judgement, *more: Measurement) -> None:
        """Keep a judgement with its number, and what goes with it."""
        self.judgements.append(judged)
        self.measurements += [judged.measurement, *more]

    def result(self, facts: Mapping[str, Any]) -> Result:
        """All of it."""
        return Result(
            tuple(self.measurements),
            self.arrays,
            {**self.facts, **facts},
            tuple(self.blocks),
            tuple(self.judgements),
            scorecards=self.cards,
        )

    def judged_first(self, facts: Mapping[str, Any]) -> Result:
        """All of it, judged numbers before the others, each told once."""
        known = {id(one) for one in self.measurements}
        judged = (one.measurement for one in self.judgements if id(one.measurement) not in known)
        found = self.result(facts)
        return replace(found, measurements=(*judged, *self.measurements))


def missing_blocks(result: Result) -> list[Missing]:
    """What could not be measured, as ``Gathered.missing`` says it, where facts keep that."""
    return [Missing(f"{tap}: {what}", why) for tap, what, why in result.facts["missing"]]


def guided(result: Result, how_to_read: str) -> list[Block]:
    """The blocks of a page that was drawn while it ran: findings, how to read it, the rest."""
    findings = [one.finding() for one in result.judgements]
    guide = Text(how_to_read, "How to read this page")
    return [*findings, guide, *missing_blocks(result), *result.blocks]


def page(result: Result, how_to_read: str, pictures: Sequence[Block]) -> list[Block]:
    """The blocks of a page: findings, how to read it, pictures; reports add every number."""
    findings = [one.finding() for one in result.judgements]
    return [*findings, Text(how_to_read, "How to read this page"), *pictures]
