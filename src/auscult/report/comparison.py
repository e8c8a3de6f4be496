"""Finished runs lined up: the same measurement in each, its difference, what was asked alike."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.claims import Ledger
from auscult.core.errors import UserError
from auscult.report.ledger import ledger_of_run
from auscult.report.source import AnalysisFolder, RunFolder, read_run
from auscult.report.text import one_line

_MOST_SHOWN = 120
_UNTOLD = "–"
_ROUNDING = 1e-12
"""Share of a number below which a difference is float64's own, for sums of a few thousand terms."""


@dataclass(frozen=True)
class Cell:
    """One measurement of one run.

    Attributes:
        value: In the row's unit; None where it could not be measured.
        interval: 95 % interval, or None.
        controls: The same number under each control.
    """

    value: float | None
    interval: tuple[float, float] | None
    controls: Mapping[str, float | None]


@dataclass(frozen=True)
class Difference:
    """A run's value less the first run's.

    Attributes:
        value: The difference.
        interval: 95 % interval where both have one: their half-widths added in squares, as for
            independent runs. Runs on the same recordings are not independent; their interval is
            then too wide.
    """

    value: float
    interval: tuple[float, float] | None

    @property
    def clear(self) -> bool | None:
        """Whether the interval leaves out 0; None without one."""
        return None if self.interval is None else not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class Row:
    """One measurement over the runs.

    Attributes:
        analysis: Type of the analysis, with its name where that is another.
        tap: Where it was measured.
        measure: What was measured.
        unit: "" for shares.
        cells: One a run; None where a run has no such measurement.
    """

    analysis: str
    tap: str
    measure: str
    unit: str
    cells: tuple[Cell | None, ...]

    @property
    def differences(self) -> tuple[Difference | None, ...]:
        """Of every run after the first, from the first."""
        return tuple(_difference(self.cells[0], one) for one in self.cells[1:])

    @property
    def n_runs(self) -> int:
        """How many runs have it."""
        return sum(cell is not None for cell in self.cells)


@dataclass(frozen=True)
class Setting:
    """A setting that is not the same in all runs, as text for each."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Runs lined up.

    Attributes:
        names: What each run is called here; no two alike.
        runs: As read.
        ledgers: The claims of each.
        rows: Measurements that at least two runs have, in the first run's order.
        n_alone: Measurements that only one run has, by run.
        settings: What differs between their specs; seeds, weights and recordings included.
        troubles: What could not be read, in sentences.
    """

    names: tuple[str, ...]
    runs: tuple[RunFolder, ...]
    ledgers: tuple[Ledger, ...]
    rows: tuple[Row, ...]
    n_alone: tuple[int, ...]
    settings: tuple[Setting, ...]
    troubles: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "version": 1,
            "runs": list(self.names),
            "settings": [{"key": s.key, "values": list(s.values)} for s in self.settings],
            "measurements": [
                {
                    "analysis": row.analysis,
                    "tap": row.tap,
                    "measure": row.measure,
                    "unit": row.unit,
                    "values": [None if c is None else c.value for c in row.cells],
                    "intervals": [None if c is None else c.interval for c in row.cells],
                    "differences": [
                        None if d is None else {"value": d.value, "interval": d.interval}
                        for d in row.differences
                    ],
                }
                for row in self.rows
            ],
            "claims": {
                name: {s.claim.id: s.verdict for s in ledger.standings if s.entries}
                for name, ledger in zip(self.names, self.ledgers, strict=True)
            },
            "troubles": list(self.troubles),
        }


def compare(folders: Sequence[Path | str]) -> Comparison:
    """Read finished runs and line up what they measured. Needs no torch.

    Measurements are lined up by analysis, tap and name (which names the dictionary where one is
    meant). What is damaged in a run is told in ``troubles``.

    Args:
        folders: At least two; differences are from the first.

    Raises:
        UserError: There is one run only, one is given twice, one holds no result that can be read,
            or they have no analysis in common.
        StoreError: A folder holds no run.
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2:
        raise UserError("a comparison needs at least two runs: give their folders")
    resolved = [path.resolve() for path in paths]
    for place, path in enumerate(resolved):
        if path in resolved[:place]:
            raise UserError(f"{paths[place]} is given twice: a run does not differ from itself")
    runs = [read_run(path) for path in paths]
    for path, run in zip(paths, runs, strict=True):
        if not any(one.result for one in run.analyses):
            raise UserError(f"{path} holds no result that can be read: run its study again")
    _expect_common(paths, runs)
    names = _names(runs)
    rows = list(_rows(runs))
    alone = [
        sum(row.cells[place] is not None and row.n_runs == 1 for row in rows)
        for place in range(len(runs))
    ]
    troubles = [
        f"{name}: {trouble}"
        for name, run in zip(names, runs, strict=True)
        for trouble in (*run.troubles, *_damaged(run))
    ]
    return Comparison(
        tuple(names),
        tuple(runs),
        tuple(ledger_of_run(run) for run in runs),
        tuple(row for row in rows if row.n_runs > 1),
        tuple(alone),
        tuple(_settings(runs)),
        tuple(troubles),
    )


def _expect_common(paths: Sequence[Path], runs: Sequence[RunFolder]) -> None:
    kinds = [{_analysis(one) for one in run.analyses if one.result} for run in runs]
    if not set.intersection(*kinds):
        told = "; ".join(
            f"{path} has {', '.join(sorted(kind)) or 'none'}"
            for path, kind in zip(paths, kinds, strict=True)
        )
        raise UserError(
            f"these runs have no analysis in common, so nothing can be compared: {told}"
        )


def _analysis(one: AnalysisFolder) -> str:
    kind = one.told("type") or one.name
    return kind if kind == one.name else f"{kind} ({one.name})"


def _damaged(run: RunFolder) -> Iterator[str]:
    for one in run.analyses:
        if not one.result:
            yield f"the result of {one_line(one.name)} cannot be read"


def _names(runs: Sequence[RunFolder]) -> list[str]:
    """Names of the runs; those that share one are told apart by their folders, then by number."""
    names = [run.name for run in runs]
    told = [
        name if names.count(name) == 1 else f"{name} ({run.folder.resolve().name})"
        for name, run in zip(names, runs, strict=True)
    ]
    return [
        name if told.count(name) == 1 else f"{name} [{place}]" for place, name in enumerate(told, 1)
    ]


def _rows(runs: Sequence[RunFolder]) -> Iterator[Row]:
    found: dict[tuple[str, str, str, str], list[Cell | None]] = {}
    for place, run in enumerate(runs):
        for one in run.analyses:
            for told in _measurements(one):
                name, unit, tap = (_text(told.get(key)) for key in ("name", "unit", "tap"))
                key = (_analysis(one), tap, name, unit)
                cells = found.setdefault(key, [None] * len(runs))
                cells[place] = cells[place] or _cell(told)
    for (analysis, tap, name, unit), cells in found.items():
        yield Row(analysis, tap, name, unit, tuple(cells))


def _measurements(one: AnalysisFolder) -> Iterator[Mapping[str, Any]]:
    """Those of the result, then those that only a judgement holds."""
    for key in ("measurements", "judgements"):
        listed = one.result.get(key)
        for told in listed if isinstance(listed, list) else ():
            inner = (
                told.get("measurement") if key == "judgements" and isinstance(told, dict) else told
            )
            if isinstance(inner, Mapping) and _text(inner.get("name")):
                yield inner


def _cell(told: Mapping[str, Any]) -> Cell:
    ends = told.get("interval")
    interval = None
    if isinstance(ends, list) and len(ends) == 2:
        low, high = (_number(end) for end in ends)
        interval = None if low is None or high is None else (low, high)
    controls = told.get("controls")
    nulls = controls if isinstance(controls, Mapping) else {}
    return Cell(
        _number(told.get("value")),
        interval,
        {str(name): _number(value) for name, value in nulls.items()},
    )


def _difference(first: Cell | None, other: Cell | None) -> Difference | None:
    if first is None or other is None or first.value is None or other.value is None:
        return None
    scale = max(abs(first.value), abs(other.value))
    by = _rounded(other.value - first.value, scale)
    if first.interval is None or other.interval is None:
        return Difference(by, None)
    down = math.hypot(other.value - other.interval[0], first.interval[1] - first.value)
    up = math.hypot(other.interval[1] - other.value, first.value - first.interval[0])
    return Difference(by, (_rounded(by - down, scale), _rounded(by + up, scale)))


def _rounded(difference: float, scale: float) -> float:
    """A difference that is only the rounding of numbers of this size is none."""
    return 0.0 if abs(difference) <= _ROUNDING * scale else difference


def _settings(runs: Sequence[RunFolder]) -> Iterator[Setting]:
    """What is not the same in all specs, then seeds, weights and recordings."""
    flat = [dict(_flat(run.manifest.get("spec"), "")) for run in runs]
    keys = [key for key in dict.fromkeys(key for one in flat for key in one) if key != "name"]
    differing = [key for key in keys if len({one.get(key, _UNTOLD) for one in flat}) > 1]
    for key in differing[:_MOST_SHOWN]:
        yield Setting(key, tuple(one.get(key, _UNTOLD) for one in flat))
    if len(differing) > _MOST_SHOWN:
        yield Setting(f"{len(differing) - _MOST_SHOWN} more settings", ("differ",) * len(runs))
    for key, words in (("weights", "digest of the weights"), ("inputs", "recordings")):
        parts = [run.manifest.get(key) for run in runs]
        if any(part != parts[0] for part in parts):
            yield Setting(words, tuple(_summary(part) for part in parts))


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for place, inner in enumerate(value):
            named = inner.get("name") if isinstance(inner, Mapping) else None
            yield from _flat(inner, f"{key}[{named if isinstance(named, str) else place}]")
    else:
        yield key, one_line(value if isinstance(value, str) else repr(value))


def _summary(part: Any) -> str:
    if not isinstance(part, Mapping):
        return _UNTOLD
    if all(isinstance(value, str) for value in part.values()) and len(part) < 4:
        return ", ".join(f"{one_line(name)} {one_line(value)[:12]}" for name, value in part.items())
    return f"{len(part)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
