"""What analyses share: vectors drawn from stores, dictionaries found, numbers shown and judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.analyses.base import (
    BASE,
    ClipSound,
    Condition,
    Context,
    DictionaryOf,
    Judgement,
    Measurement,
    Result,
    Split,
)
from auscult.blocks import Block, Missing, Table, Text, Verdict
from auscult.core.errors import ConfigError, NothingToMeasureError, TapError
from auscult.measures.dynamics import moving
from auscult.measures.scorecards import Scorecard
from auscult.store.reader import ActivationStore

NOTHING_TO_MEASURE = (NothingToMeasureError, ConfigError, TapError)
"""What an analysis answers with "cannot be tested here": too little to say anything, no such
dictionary, or a tap that has no frames for a sound made up. Everything else passes through, a
damaged store first of all: it must not come out as a finding."""

FEWEST_MOVES = 100
"""Generators that most statements need."""

KINDS: Mapping[str, DictionaryOf] = {"features": "responses", "archetypes": "generators"}
"""What the atoms of a dictionary are called, by what it is fitted to."""


def chosen_dictionary(
    context: Context, asked: str | None, of: DictionaryOf = "responses", lag: int | None = None
) -> str:
    """The dictionary that was asked for, or the first that is fitted to such vectors.

    Args:
        context: Knows the dictionaries.
        asked: A name, or None for the first.
        of: What it must be fitted to.
        lag: For generators, their lag in frames; None for any.

    Raises:
        ConfigError: The spec fits none to such vectors, or not this one.
    """
    names = [
        name for name in context.dictionary_names(of) if lag is None or context.lag(name) == lag
    ]
    if not names or (asked is not None and asked not in names):
        fitted = ", ".join(repr(name) for name in names) or "none"
        wanted = repr(asked) if asked else f"of {of}"
        at = "" if lag is None else f" at lag {lag}"
        raise ConfigError(f"there is no dictionary {wanted}; fitted to {of}{at}: {fitted}")
    return asked or names[0]


def archetypes_by_lag(context: Context) -> dict[int, str]:
    """The first dictionary fitted to generators of each lag, by lag in the spec's order.

    Raises:
        ConfigError: The spec fits none to generators.
    """
    found: dict[int, str] = {}
    for name in context.dictionary_names("generators"):
        found.setdefault(context.lag(name), name)
    if not found:
        chosen_dictionary(context, None, "generators")
    return found


def named_by_kind(context: Context, features: str | None, archetypes: str | None) -> dict[str, str]:
    """Name of the dictionary of each kind: as asked for, or the first; none of what is not fitted.

    Raises:
        ConfigError: The spec has no such dictionary.
    """
    asked = {"features": features, "archetypes": archetypes}
    return {
        kind: chosen_dictionary(context, asked[kind], of)
        for kind, of in KINDS.items()
        if asked[kind] or context.dictionary_names(of)
    }


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
    return Sample(store.rows(rows).astype(np.float32), *_places(store, *store.locate(rows)))


def _places(
    store: ActivationStore, located: list[str], frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    recordings = {clip.clip_id: clip.recording_id for clip in store.clips}
    return (
        np.array(located),
        np.asarray(frames, dtype=np.int64),
        np.array([recordings[clip_id] for clip_id in located]),
    )


@dataclass(frozen=True)
class Moves(Sample):
    """Generators with where they come from: ``values`` are g[t], ``states`` the r[t] they leave.

    Attributes:
        states: Response vectors r[t]; the successor r[t + lag] is ``states + values``.
        still_share: Share of the drawn generators that were left out as standstill.
    """

    states: Float[np.ndarray, "n d_in"] = field(default_factory=lambda: np.zeros((0, 0)))
    still_share: float = 0.0


def sample_moves(store: ActivationStore, lag: int, most: int) -> Moves:
    """Take at most so many generators of a store, evenly spread, without standstill (METHODS A-9).

    Standstill is a norm below 1e-6 of the root mean square of all.

    Raises:
        NoVectorsError: No stretch of frames is long enough for the lag.
    """
    view = store.generators(lag)
    count = min(most, view.n_vectors)
    rows = np.linspace(0, view.n_vectors - 1, count).astype(np.int64)
    values, states = view.rows(rows), view.states(rows)
    kept, _ = moving(values)
    clip_ids, frames, recordings = _places(store, *view.locate(rows))
    return Moves(
        values[kept],
        clip_ids[kept],
        frames[kept],
        recordings[kept],
        states[kept],
        float(1 - np.mean(kept)),
    )


def drawn_moves(
    context: Context,
    tap: str,
    lag: int,
    most: int,
    condition: Condition = BASE,
    split: Split = "test",
    fewest: int = 0,
    told: str = "generators",
) -> Moves:
    """Generators of one side of a tap, at least so many.

    Args:
        context: Has the stores.
        tap: Where.
        lag: Of the generators.
        most: How many are looked at.
        condition: Which weights heard which sounds.
        split: Which side.
        fewest: How many must move.
        told: What they are called where fewer do.

    Raises:
        NothingToMeasureError: Fewer than ``fewest`` move.
    """
    moves = sample_moves(context.store(tap, condition, split), lag, most)
    if len(moves.values) < fewest:
        raise NothingToMeasureError(f"only {len(moves.values)} {told} move")
    return moves


def moves_or_reason(
    context: Context,
    tap: str,
    lag: int,
    most: int,
    condition: Condition = BASE,
    split: Split = "test",
    fewest: int = FEWEST_MOVES,
) -> Moves | str:
    """Generators of a tap; where there are too few to say anything, the reason in words."""
    try:
        return drawn_moves(context, tap, lag, most, condition, split, fewest)
    except NOTHING_TO_MEASURE as error:
        return str(error)


def longest_clips(context: Context, most: int) -> list[ClipSound]:
    """The longest test clip of each of the first recordings: the last of one may be a sliver.

    Args:
        context: Has the sounds.
        most: How many recordings.

    Raises:
        NothingToMeasureError: There is no test clip.
    """
    found: dict[str, ClipSound] = {}
    for clip_id in context.clip_ids():
        clip = context.sound(clip_id)
        known = found.get(clip.recording_id)
        if known is None and len(found) == most:
            break
        if known is None or len(clip.waveform) > len(known.waveform):
            found[clip.recording_id] = clip
    if not found:
        raise NothingToMeasureError("there is no clip on the test side")
    return list(found.values())


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
        """All of it, where no judged number stands among the others yet."""
        judged = (one.measurement for one in self.judgements)
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
    """The blocks of a page: findings, how to read it, pictures, and every number."""
    blocks: list[Block] = [one.finding() for one in result.judgements]
    blocks += [Text(how_to_read, "How to read this page"), *pictures]
    if result.measurements:
        blocks.append(numbers_table(result.measurements))
    return blocks
