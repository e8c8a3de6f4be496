"""What the page of claims shows: each with its nulls on one scale, and over depth."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auscult.blocks import Axis, Curve, Series
from auscult.claims import VERDICTS, Entry, Ledger, Standing, ledger_of
from auscult.claims.words import measured, sureness
from auscult.core.numbers import amount
from auscult.report.annotations import cell, table
from auscult.report.source import RunFolder

_FEWEST_TAPS = 3
_COLUMNS = (
    "claim",
    "statement",
    "tap",
    "verdict",
    "measure",
    "value",
    "unit",
    "interval_low",
    "interval_high",
    "controls",
    "rule",
    "published",
    "reason",
    "analysis",
)
_MEANINGS = (
    "They pass their rule and beat every null, at every tap where they could be tested.",
    "A null does as well: the number is there, and something simpler than the claim gives it.",
    "The number falls short, at one tap at least.",
    "Nothing in this run speaks to them.",
)


@dataclass(frozen=True)
class Mark:
    """A place on the line beside an entry, in percent of its width."""

    name: str
    text: str
    at: float | None
    nearest: bool = False


@dataclass(frozen=True)
class Line:
    """One entry as the page shows it.

    Attributes:
        entry: What was measured.
        page: Name of the analysis's page without ending, or "".
        value: With its unit and interval, as text.
        marks: Every control, in the ledger's order.
        at: Place of the value, or None.
        span: Left end and width of the interval, or None.
        ends: Ends of the line as text.
    """

    entry: Entry
    page: str
    value: str
    marks: tuple[Mark, ...]
    at: float | None
    span: tuple[float, float] | None
    ends: tuple[str, str]


@dataclass(frozen=True)
class Shown:
    """One claim as the page shows it.

    Attributes:
        standing: The claim and its entries.
        sure: How sure the verdict is, in sentences.
        lines: Its entries.
        curves: Value and nulls over the taps, when there are more than two.
    """

    standing: Standing
    sure: str
    lines: tuple[Line, ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Group:
    """The claims of one verdict."""

    verdict: str
    meaning: str
    claims: tuple[Shown, ...]


def ledger_of_run(run: RunFolder) -> Ledger:
    """The ledger of what could be read of a run."""
    return ledger_of([{**one.result, "analysis": one.name} for one in run.analyses], taps_of(run))


def taps_of(run: RunFolder) -> list[str]:
    """Addresses of the recorded taps, in order of depth."""
    receipts = run.manifest.get("receipts")
    told = (
        [one for one in receipts if isinstance(one, Mapping)] if isinstance(receipts, list) else []
    )
    found = [one.get("address", one.get("tap")) for one in told]
    return [tap for tap in found if isinstance(tap, str)]


def groups(ledger: Ledger, run: RunFolder) -> list[Group]:
    """The claims by verdict; verdicts that no claim has are left out."""
    pages = {one.name: one.page for one in run.analyses}
    return [
        Group(verdict, meaning, tuple(_shown(one, pages) for one in ledger.of(verdict)))
        for verdict, meaning in zip(VERDICTS, _MEANINGS, strict=True)
        if ledger.of(verdict)
    ]


def _shown(one: Standing, pages: Mapping[str, str]) -> Shown:
    scales = {key: _Scale(entries) for key, entries in _by_measure(one.entries).items()}
    lines = tuple(
        _line(entry, scales[entry.measure, entry.unit], pages.get(entry.analysis, ""))
        for entry in one.entries
    )
    return Shown(one, sureness(one), lines, tuple(curves_over_taps(one)))


def _by_measure(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.measure, entry.unit), []).append(entry)
    return found


class _Scale:
    """A line from the smallest to the largest number of some entries; logarithmic when it must."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        told = [
            number
            for entry in entries
            for number in (entry.value, *(entry.interval or ()), *entry.controls.values())
            if number is not None
        ]
        low, high = (min(told), max(told)) if told else (0.0, 1.0)
        self.log = low > 0 and high / low > 100
        room = 0.04 * (self._of(high) - self._of(low)) or 0.5
        self._from, self._to = self._of(low) - room, self._of(high) + room
        self.ends = (low, high)

    def _of(self, number: float) -> float:
        return math.log(number) if self.log else number

    def at(self, number: float | None) -> float | None:
        """Place in percent."""
        if number is None:
            return None
        return round(100 * (self._of(number) - self._from) / (self._to - self._from), 2)


def _line(entry: Entry, scale: _Scale, page: str) -> Line:
    nearest = entry.nearest_null
    marks = tuple(
        Mark(
            name,
            amount(value, entry.unit),
            scale.at(value),
            nearest is not None and nearest[0] == name,
        )
        for name, value in entry.controls.items()
    )
    edges = [scale.at(edge) for edge in entry.interval or ()]
    span = (
        (edges[0], round(edges[1] - edges[0], 2))
        if len(edges) == 2 and edges[0] is not None and edges[1] is not None
        else None
    )
    low, high = (amount(end, entry.unit) for end in scale.ends)
    ends = (low, f"{high}, logarithmic" if scale.log else high)
    return Line(entry, page, measured(entry), marks, scale.at(entry.value), span, ends)


def curves_over_taps(one: Standing) -> list[Curve]:
    """Value and nulls of each measure over its taps, where there are more than two."""
    taps = list(dict.fromkeys(entry.tap for entry in one.entries))
    found: dict[tuple[str, str, int], dict[str, Entry]] = {}
    for entry in one.entries:
        # A measure that a tap has twice, say at two lags, gives two curves.
        turn = 0
        while entry.tap in found.setdefault((entry.measure, entry.unit, turn), {}):
            turn += 1
        found[entry.measure, entry.unit, turn][entry.tap] = entry
    return [
        _curve(measure, unit, taps, by_tap)
        for (measure, unit, _), by_tap in found.items()
        if len(by_tap) >= _FEWEST_TAPS
    ]


def _curve(measure: str, unit: str, taps: Sequence[str], by_tap: Mapping[str, Entry]) -> Curve:
    entries = [by_tap.get(tap) for tap in taps]

    def over(numbers: Sequence[float | None]) -> np.ndarray:
        return np.array([math.nan if one is None else one for one in numbers], dtype=np.float64)

    names = dict.fromkeys(name for entry in by_tap.values() for name in entry.controls)
    controls = [
        Series(
            name, over([one.controls.get(name) if one else None for one in entries]), control=True
        )
        for name in names
    ]
    value = Series(
        "measured",
        over([one.value if one else None for one in entries]),
        low=_edges(entries, 0),
        high=_edges(entries, 1),
    )
    told = ", ".join(tap or "the whole model" for tap in taps)
    axis = Axis(measure or "value", unit)
    note = f"Taps in order of depth: {told}."
    return Curve(
        f"{measure} over depth",
        np.arange(float(len(taps))),
        (value, *controls),
        Axis("tap"),
        axis,
        note,
    )


def _edges(entries: Sequence[Entry | None], side: int) -> np.ndarray | None:
    """One side of the band; a tap without interval has none to show, so it narrows to the value."""
    if not any(entry and entry.interval for entry in entries):
        return None
    told = [
        (entry.interval[side] if entry.interval else entry.value) if entry else None
        for entry in entries
    ]
    return np.array([math.nan if one is None else one for one in told], dtype=np.float64)


def as_json(ledger: Ledger) -> bytes:
    """The ledger for programs."""
    return (json.dumps(ledger.to_json(), indent=1, allow_nan=False) + "\n").encode()


def as_csv(ledger: Ledger) -> bytes:
    """The ledger for spreadsheets: one row for each tap of each claim."""
    rows = [_row(one, entry) for one in ledger.standings for entry in one.entries or (None,)]
    return table([_COLUMNS, *(tuple(_csv_cell(value) for value in row) for row in rows)]).encode()


def _row(one: Standing, entry: Entry | None) -> tuple[str | float | None, ...]:
    claim = one.claim
    if entry is None:
        rest = (None,) * 7
        return (claim.id, claim.statement, "", one.verdict, *rest, claim.published, one.reason, "")
    controls = [f"{name}: {_csv_cell(value)}" for name, value in entry.controls.items()]
    return (
        claim.id,
        claim.statement,
        entry.tap,
        entry.verdict,
        entry.measure,
        entry.value,
        entry.unit,
        *(entry.interval or (None, None)),
        "; ".join(controls),
        claim.rule,
        entry.published or claim.published,
        entry.reason,
        entry.analysis,
    )


def _csv_cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return cell(value) if isinstance(value, str) else f"{value:.9g}"
