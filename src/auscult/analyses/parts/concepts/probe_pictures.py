"""Pictures of probes: concepts over taps, representations side by side, every score."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auscult.analyses.base import Result
from auscult.analyses.parts.answering import missing_blocks
from auscult.blocks import Axis, Bars, Block, Curve, Heatmap, Series, Table
from auscult.measures.probe_scores import SCORES

RAW = "response vectors"
Rows = Sequence[Mapping[str, Any]]


def pictures(result: Result) -> list[Block]:
    """Everything between the findings and the numbers."""
    rows: Rows = result.facts["rows"]
    blocks: list[Block] = [*missing_blocks(result)]
    if not rows:
        return blocks
    taps = [tap for tap in result.facts["taps"] if any(row["tap"] == tap for row in rows)]
    concepts = list(dict.fromkeys(row["concept"] for row in rows))
    family = rows[0]["family"]
    blocks.append(_map(rows, taps, concepts, family))
    if len(taps) > 1:
        blocks += [_sweep(rows, taps, concept, family) for concept in concepts]
    blocks += [_side_by_side(rows, tap, c, family) for tap in taps for c in concepts]
    return [*blocks, _scores(rows, result.facts["units"], result.facts["pooling"])]


def _find(rows: Rows, **wanted: str) -> Mapping[str, Any] | None:
    return next((row for row in rows if all(row[k] == v for k, v in wanted.items())), None)


def _map(rows: Rows, taps: Sequence[str], concepts: Sequence[str], family: str) -> Heatmap:
    """Share of what the majority class leaves that a probe of the response vectors reads."""
    values = np.full((2 * len(concepts), len(taps)), np.nan)
    names = []
    for i, concept in enumerate(concepts):
        names += [concept, f"{concept}, shuffled labels"]
        for j, tap in enumerate(taps):
            row = _find(rows, tap=tap, concept=concept, representation=RAW, family=family)
            if row is not None:
                left = max(1 - row["majority"], 1e-9)
                values[2 * i, j] = (row["accuracy"] - row["majority"]) / left
                values[2 * i + 1, j] = (row["shuffled"] - row["majority"]) / left
    return Heatmap(
        "Concepts and taps",
        values,
        np.arange(len(taps), dtype=float),
        np.arange(len(names), dtype=float),
        Axis("tap"),
        Axis("concept"),
        Axis("accuracy, of what the majority class leaves"),
        "diverging",
        f"{family} probe of the response vectors; 0 is the majority class, 1 is no error. Under "
        "each concept the probe of shuffled labels.",
        x_names=tuple(taps),
        y_names=tuple(names),
    )


def _sweep(rows: Rows, taps: Sequence[str], concept: str, family: str) -> Curve:
    """Accuracy over taps, with all that it is read against."""
    seen = list(dict.fromkeys(row["representation"] for row in rows if row["concept"] == concept))
    x = np.arange(len(taps), dtype=float)

    def line(name: str, key: str) -> np.ndarray:
        found = [
            _find(rows, tap=t, concept=concept, representation=name, family=family) for t in taps
        ]
        return np.array([np.nan if row is None else row[key] for row in found])

    series = [
        Series(name, line(name, "accuracy"), low=line(name, "low"), high=line(name, "high"))
        if name == RAW
        else Series(name, line(name, "accuracy"), control=name != "dictionary features")
        for name in seen
    ]
    series += [
        Series("majority class", line(RAW, "majority"), control=True),
        Series("shuffled labels", line(RAW, "shuffled"), control=True),
    ]
    told = ", ".join(f"{i} {tap}" for i, tap in enumerate(taps))
    return Curve(
        f"{concept}: accuracy over taps",
        x,
        tuple(series),
        Axis("tap, in the order of the spec"),
        Axis("accuracy, share of frames"),
        f"{family} probe. Taps: {told}.",
    )


def _side_by_side(rows: Rows, tap: str, concept: str, family: str) -> Bars:
    """Representations and kinds of probe beside the majority class."""
    here = [row for row in rows if row["tap"] == tap and row["concept"] == concept]
    names, values, low, high = [], [], [], []
    for row in here:
        names.append(
            row["representation"]
            if row["family"] == family
            else f"{row['representation']}, {row['family']}"
        )
        values.append(row["accuracy"])
        low.append(row["low"])
        high.append(row["high"])
    for name in ("majority", "shuffled"):
        value = here[0][name] if here else np.nan
        names.append({"majority": "majority class", "shuffled": "shuffled labels"}[name])
        values.append(value)
        low.append(value)
        high.append(value)
    return Bars(
        f"{tap}: {concept}, read in several ways",
        tuple(names),
        np.array(values),
        Axis("accuracy, share of frames"),
        Axis("what is read"),
        np.array(low),
        np.array(high),
        f"{family} probe unless another is named; intervals over test recordings.",
    )


def _scores(rows: Rows, units: Mapping[str, str], pooling: str) -> Table:
    """Every score of every probe."""
    columns = (
        "tap",
        "concept",
        "representation",
        "probe",
        "pooling",
        *SCORES,
        "unit of the error",
        "majority class",
        "shuffled labels",
        "selectivity",
        "strength",
        "rows fitted to",
        "test recordings",
    )
    lines = tuple(
        (
            row["tap"],
            row["concept"],
            row["representation"],
            row["family"],
            pooling,
            *(row[name] for name in SCORES),
            units.get(row["concept"], ""),
            row["majority"],
            row["shuffled"],
            row["selectivity"],
            row["strength"],
            row["fitted to"],
            row["recordings"],
        )
        for row in rows
    )
    return Table("Every score of every probe", columns, lines)
