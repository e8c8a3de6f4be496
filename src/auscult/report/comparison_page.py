"""The page of several runs side by side."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auscult.blocks import Axis, Block, Curve, Series
from auscult.claims.ledger import UNTESTED
from auscult.claims.words import measured
from auscult.core.numbers import amount
from auscult.report.comparison import Cell, Comparison, Difference, Row
from auscult.report.exports import Exporter
from auscult.report.media import SoundLibrary
from auscult.report.overview import Grid, version
from auscult.report.pages import SCRIPTS, environment, shown
from auscult.report.payload import Payloads
from auscult.report.source import DAMAGED
from auscult.report.target import Target, write_assets
from auscult.report.text import visible_everywhere


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write ``index.html``, its assets and ``comparison.json``; the page opens from the disk.

    Raises:
        StoreError: The folder cannot be written.
    """
    target = Target(folder)
    library = SoundLibrary(folder, {}, folder)
    payloads = Payloads(library, Exporter("comparison", library, target.write), target.write)
    blocks = [
        shown(block, payloads, f"comparison-{count}")
        for count, block in enumerate(fronts(comparison), 1)
    ]
    html = (
        environment()
        .get_template("comparison.html")
        .render(
            comparison=comparison,
            blocks=blocks,
            settings=settings_grid(comparison),
            claims=list(_claims(comparison)),
            tables=list(_tables(comparison)),
            title=" and ".join(comparison.names) if len(comparison.names) < 3 else "Runs compared",
            scripts=SCRIPTS,
            version=version(),
        )
    )
    told = visible_everywhere(comparison.to_json())
    with target.writing():
        write_assets(target)
        target.write("index.html", html.encode())
        target.write("comparison.json", json.dumps(told, indent=1, allow_nan=False).encode())
        target.finish([])
    return folder / "index.html"


def settings_grid(comparison: Comparison) -> Grid | None:
    """What was not asked alike; None where everything was."""
    if not comparison.settings:
        return None
    return Grid(
        ("setting", *comparison.names), tuple((s.key, *s.values) for s in comparison.settings)
    )


def rows_as_text(comparison: Comparison, clear_only: bool = False) -> list[tuple[str, ...]]:
    """Measurements as rows: where, what, each run's value, each difference from the first.

    Args:
        comparison: The runs.
        clear_only: Leave out rows none of whose differences leaves out 0.
    """
    return [
        (row.analysis, row.tap, row.measure, *_texts(row))
        for row in comparison.rows
        if not clear_only or any(one is not None and one.clear for one in row.differences)
    ]


def columns(comparison: Comparison) -> tuple[str, ...]:
    """Heads of :func:`rows_as_text`."""
    first, *others = comparison.names
    differences = [f"{name} less {first}" for name in others]
    return ("analysis", "tap", "measure", *comparison.names, *differences)


def _texts(row: Row) -> Iterator[str]:
    for cell in row.cells:
        yield _cell(cell, row.unit)
    for difference in row.differences:
        yield _difference(difference, row.unit)


def _cell(cell: Cell | None, unit: str) -> str:
    if cell is None:
        return "not measured"
    within = ""
    if cell.interval is not None:
        within = f" ({amount(cell.interval[0])} to {amount(cell.interval[1])})"
    return amount(cell.value, unit) + within


def _difference(one: Difference | None, unit: str) -> str:
    if one is None:
        return "–"
    if one.interval is None:
        return f"{_signed(one.value)} {unit}".strip()
    low, high = (_signed(end) for end in one.interval)
    mark = " *" if one.clear else ""
    return f"{_signed(one.value)} {unit}".strip() + f" ({low} to {high}){mark}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{amount(value)}"


def _tables(comparison: Comparison) -> Iterator[tuple[str, Grid]]:
    """One table for each analysis."""
    heads = columns(comparison)[1:]
    for analysis in dict.fromkeys(row.analysis for row in comparison.rows):
        some = [row for row in comparison.rows if row.analysis == analysis]
        yield analysis, Grid(heads, tuple((row.tap, row.measure, *_texts(row)) for row in some))


def _claims(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Claims that some run put to the test, with each run's verdict and deciding number."""
    by_run = [{s.claim.id: s for s in ledger.standings} for ledger in comparison.ledgers]
    ids = dict.fromkeys(
        s.claim.id for ledger in comparison.ledgers for s in ledger.standings if s.entries
    )
    for id_ in ids:
        standings = [found.get(id_) for found in by_run]
        known = next(s for s in standings if s is not None)
        cells = []
        for one in standings:
            if one is None or not one.entries:
                cells.append({"verdict": UNTESTED, "value": "not asked"})
                continue
            entry = next((e for e in one.entries if e.verdict == one.verdict), one.entries[0])
            null = entry.nearest_null
            beside = f"; {null[0]}: {amount(null[1], entry.unit)}" if null else ""
            cells.append({"verdict": one.verdict, "value": f"{measured(entry)}{beside}"})
        alike = len({cell["verdict"] for cell in cells}) == 1
        yield {"claim": known.claim, "cells": cells, "alike": alike}


def fronts(comparison: Comparison) -> list[Block]:
    """Fvu over l0 of every dictionary of every run in one chart, baselines dashed."""
    lines: dict[tuple[str, str, str, bool], list[tuple[float, float]]] = {}
    for name, run in zip(comparison.names, comparison.runs, strict=True):
        for analysis in run.analyses:
            for family, tap, control, point in _points(analysis.result):
                lines.setdefault((name, tap, family, control), []).append(point)
    if not lines:
        return []
    taps = {tap for _, tap, _, _ in lines}
    series = []
    for (name, tap, family, control), points in sorted(lines.items(), key=lambda it: it[0][3]):
        ordered = np.array(sorted(points))
        where = f" at {tap}" if len(taps) > 1 else ""
        series.append(
            Series(f"{name}{where}: {family}", ordered[:, 1], ordered[:, 0], control=control)
        )
    everywhere = np.unique(np.concatenate([one.x for one in series if one.x is not None]))
    return [
        Curve(
            "Variance left unexplained over features on at once, all runs",
            everywhere,
            tuple(series),
            Axis("features on at once (l0)", "per frame", "log"),
            Axis("fraction of variance unexplained", ""),
            "Lower left is better within one tap of one model; fvu of different taps or models is "
            "not on one scale. Dashed: sanity baselines.",
        )
    ]


def _points(
    result: Mapping[str, Any],
) -> Iterator[tuple[str, str, bool, tuple[float, float]]]:
    """Family, tap, whether a baseline, and place of each dictionary that a result tells of."""
    facts = result.get("facts")
    listed = facts.get("dictionaries") if isinstance(facts, Mapping) else None
    for told in listed if isinstance(listed, list) else ():
        try:
            figures = told["figures"]
            point = (float(figures["l0"]["value"]), float(figures["fvu"]["value"]))
            family, tap, role = str(told["family"]), str(told["tap"]), str(told["role"])
        except DAMAGED:
            continue
        if all(math.isfinite(value) for value in point):
            yield family, tap, role != "learned", point
