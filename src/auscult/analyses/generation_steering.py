"""Can a sound be steered while it is made, and at which of its steps?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    MadeSound,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, Gathered, guided, in_turn, untested
from auscult.analyses.parts.generation.bench import Bench, BenchParams
from auscult.analyses.parts.generation.course import steps_of
from auscult.blocks import Axis, Block, Curve, Series, Table
from auscult.core.config import Config
from auscult.measures.draws import edge_words
from auscult.models.generation import Generator
from auscult.taps.steps import STATE

RANDOM, RESEEDED = "random directions in any window", "another seed"


@ANALYSES.register("generation-steering")
class GenerationSteering(Analysis):
    """Directions of concepts, added at some steps, outside or inside the network.

    A direction is the difference of means between prompts whose results have much and little of
    the concept. Other prompts are steered along it in one window of steps at a time; effects are
    measured on the decoded results, beside random directions of the same length and the same
    prompts under other seeds.
    """

    Params: ClassVar[type[Config]] = BenchParams
    title: ClassVar[str] = "Steered while it is made"
    question: ClassVar[str] = (
        "At which steps can a concept be moved, outside or inside the network?"
    )
    source: ClassVar[str] = "METHODS C-7, C-8, 8.4"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: BenchParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None are recorded: random directions and other seeds are made on the way."""
        return ()

    def run(self, context: Context, params: BenchParams) -> Result:
        """Steer every concept at every place in every window."""
        found = Gathered()
        try:
            model, generator = steps_of(context)
            bench = Bench(context, model, generator, params)
            places = params.places or _usual_places(generator)
            rows: list[dict[str, Any]] = []
            sounds: list[MadeSound] = []
            for place in in_turn(context, places):
                more, clips, played = bench.steered(place)
                rows += more
                sounds += played
                found.blocks += [*_curves(place, more, bench), *clips]
                found.judgements += [_judged(place, name, more, bench) for name in params.concepts]
            found.measurements += [_measurement(row, bench) for row in rows]
            found.blocks.append(_table(rows))
        except NOTHING_TO_MEASURE as error:
            tap = context.taps[0]
            found.add(
                untested(
                    f"{tap}: nothing can be steered while it is made.",
                    str(error),
                    "",
                    "largest effect of a window, s.d.",
                    tap,
                    [RANDOM, RESEEDED],
                )
            )
            return found.result({"missing": [(tap, "steering", str(error))], "rows": []})
        result = found.judged_first({"rows": rows, "missing": found.missing})
        return Result(
            result.measurements,
            result.arrays,
            result.facts,
            result.blocks,
            result.judgements,
            tuple(sounds),
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, effects by window, and what it sounds like."""
        return guided(result, _HOW_TO_READ)


_HOW_TO_READ = (
    "Effects are changes of the decoded result in standard deviations of the concept over results, "
    "positive towards more. A window that moves a concept does so beyond random directions of the "
    "same length and beyond what another seed moves. As the best window is what is told of a "
    "concept, random directions are given the same choice: each counts by the window where it "
    "moves the concept most, the edge is a rank among them (the largest of 19 for 95 %, and with "
    "fewer draws nothing holds), and intervals over prompts hold for all windows at once. Concepts "
    "and places are judged one by one: of twenty that only chance moved, one would exceed the "
    "edge. Isolation is the share of what moved that "
    "should have, and quality is the distance of the steered sounds from the untouched ones, "
    "against that of other seeds. The same prompts and seeds are steered in every window."
)


def _usual_places(generator: Generator) -> tuple[str, ...]:
    blocks = [t.role for t in generator.taps if t.role.removeprefix("block.").isdigit()]
    return (STATE, blocks[len(blocks) // 2]) if blocks else (STATE,)


def _judged(place: str, concept: str, rows: Sequence[Mapping[str, Any]], bench: Bench) -> Judgement:
    """Where a concept is moved most."""
    own = [row for row in rows if row["concept"] == concept]
    best = max(own, key=lambda row: (row["verdict"] == "holds", row["effect"]))
    return Judgement(
        f"{concept}, steered at {place}: most in steps {best['first']} to {best['last']}, by "
        f"{best['effect']:z.2f} s.d.",
        _measurement(best, bench),
        best["verdict"],
        best["reason"],
    )


def _measurement(row: Mapping[str, Any], bench: Bench) -> Measurement:
    return Measurement(
        f"{row['concept']}: effect at {row['place']}, steps {row['first']} to {row['last']}",
        row["effect"],
        "s.d.",
        {edge_words(row["n_random"], RANDOM): row["random"], RESEEDED: row["seed"]},
        (row["low"], row["high"]),
        tap=bench.tap,
    )


def _curves(place: str, rows: Sequence[Mapping[str, Any]], bench: Bench) -> list[Curve]:
    x = np.array([(one.start + one.stop - 1) / 2 for one in bench.windows])
    found = []
    for name in bench.concepts:
        own = [row for row in rows if row["concept"] == name]
        effect, low, high = (np.array([r[k] for r in own]) for k in ("effect", "low", "high"))
        found.append(
            Curve(
                f"{name}, steered at {place}",
                x,
                (
                    Series("effect", effect, None, low, high),
                    Series(
                        edge_words(own[0]["n_random"], RANDOM),
                        np.array([row["random"] for row in own]),
                        control=True,
                    ),
                    Series(RESEEDED, np.array([row["seed"] for row in own]), control=True),
                ),
                Axis("middle of the window", "step"),
                Axis("change of the result", "s.d."),
                f"Mean over {len(bench.prompts)} prompts, 95 % bootstrap over prompts for all "
                "windows at once.",
            )
        )
    return found


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        "place", "concept", "first step", "last step", "effect", "interval", "random here",
        "random in any window", "other seed",
        "isolation", "distance", "of at most", "verdict",
    )  # fmt: skip
    cells = tuple(
        (
            row["place"],
            row["concept"],
            row["first"],
            row["last"],
            round(row["effect"], 3),
            f"{row['low']:.2f} to {row['high']:.2f}",
            round(row["random here"], 3),
            round(row["random"], 3),
            round(row["seed"], 3),
            round(row["isolation"], 3),
            round(row["distance"], 4),
            round(row["bound"], 4),
            row["verdict"],
        )
        for row in rows
    )
    fewest = min(row["n_random"] for row in rows)
    note = (
        f"Random: {edge_words(fewest)}, in the same window, and each in the window where it moves "
        "the concept most. The verdict is against the second."
    )
    return Table("Every window", columns, cells, note=note)
