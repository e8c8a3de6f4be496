"""How the foretelling of archetypes is shown: over lags, and archetype by archetype."""

from typing import Literal

import numpy as np

from auscult.analyses.base import NOISE, RANDOM, Result
from auscult.analyses.parts.answering import OWN
from auscult.blocks import Axis, Bars, Block, Curve, Heatmap, Series, Table

SHUFFLED = "shuffled successors"
LINEAR = "read off a linear prediction"
MAJORITY = "most frequent archetype"
CHANCE = "one of as many"


def over_lags(result: Result, tap: str, kind: Literal["accuracy", "balanced"]) -> Block:
    """A curve over the lags, or bars where there is one lag."""
    names = [OWN, str(NOISE), str(RANDOM), SHUFFLED, LINEAR, MAJORITY, CHANCE]
    known = {name: result.arrays.get(f"{tap}/{name}/{kind}") for name in names}
    values = {name: one for name, one in known.items() if one is not None}
    what = "accuracy" if kind == "accuracy" else "balanced accuracy"
    note = "P1 §1.5.5 has one number, about 0.85 against 0.05, presumably at lag 1."
    lags = result.facts["lags"]
    if len(lags) == 1:
        each = np.array([one[0] for one in values.values()])
        title = f"{tap}: {what} at lag {lags[0]}, and under controls"
        return Bars(title, tuple(values), each, Axis("condition"), Axis(what), note=note)
    ends = {"low": result.arrays[f"{tap}/low"], "high": result.arrays[f"{tap}/high"]}
    banded = OWN if kind == "accuracy" else ""
    series = tuple(
        Series(name, one, control=name != OWN, **(ends if name == banded else {}))
        for name, one in values.items()
    )
    note += " Band: 95 % over recordings." if kind == "accuracy" else ""
    x = np.array(lags, dtype=np.float64)
    return Curve(f"{tap}: {what} over the lag", x, series, Axis("lag", "frames"), Axis(what), note)


def by_archetype(result: Result, tap: str) -> list[Block]:
    """Whose archetypes are told, at the shortest lag."""
    lag = result.facts["lags"][0]
    confusion = result.arrays[f"{tap}/confusion"]
    if not len(confusion):
        return []
    ranks = np.arange(1, len(confusion) + 1)
    series = []
    for name in (OWN, str(NOISE), str(RANDOM), SHUFFLED):
        recall = result.arrays[f"{tap}/{name}/recall"]
        if len(recall):
            own_ranks = np.arange(1, len(recall) + 1)
            series.append(Series(name, recall, own_ranks, control=name != OWN))
    rank = Axis("archetype, by rank of use")
    return [
        Curve(
            f"{tap}: how often each archetype is told, at lag {lag}",
            ranks,
            tuple(series),
            rank,
            Axis("share told"),
            "Each condition has archetypes of its own, so ranks stand for different archetypes.",
        ),
        Heatmap(
            f"{tap}: which archetypes are taken for which, at lag {lag}",
            confusion,
            ranks,
            ranks,
            Axis("archetype answered, by rank of use"),
            rank,
            Axis("share of its cases"),
        ),
    ]


def lag_table(result: Result) -> Table:
    """Every lag in a row, with what was not tested and why."""
    numbers = ("accuracy", "beyond overlap", "most frequent", "balanced accuracy")
    counts = ("generators of these archetypes", "archetypes", "tested", "recordings tested")
    return Table(
        "State dependence by lag",
        ("tap", "lag", "samples heard twice", *numbers, *counts, "not tested because"),
        tuple(tuple(row) for row in result.facts["rows"]),
        ("", "frames", "share", "", "", "", "", "share", "", "", "", ""),
        "METHODS asks for lags of 1, of one filter length and of two.",
    )
