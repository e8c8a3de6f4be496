"""How collapse is shown: foretold against observed, over depth, and by fundamental."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from auscult.analyses.parts.architecture.pair_collapse import pair_pictures
from auscult.analyses.parts.architecture.stage_pictures import over_stages, stage_of
from auscult.blocks import Axis, Block, Curve, Heatmap, Scatter, Series
from auscult.measures.collapse import structured
from auscult.measures.stages import Stage


def collapse_pictures(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> list[Block]:
    """Foretold against observed, collapse over depth and by fundamental, and pairs of partials.

    Args:
        arrays: Of the result: what was foretold, observed and lost, by signal and stage.
        facts: Of the result: its stages, its signals and the least cosine.
    """
    stages = [stage_of(told) for told in facts["stages"]]
    kinds = np.array([kind for kind, _ in facts["signals"]])
    strided = np.array([stage.time.hop > 1 for stage in stages])[arrays["stage"]]
    return [
        Scatter(
            "Foretold and observed collapse",
            arrays["predicted"][strided],
            arrays["observed"][strided],
            Axis("collapse rate foretold"),
            Axis("collapse rate observed"),
            tuple(
                f"{facts['signals'][s][1]} at {stages[t].address}"
                for s, t in zip(arrays["signal"][strided], arrays["stage"][strided], strict=True)
            ),
            tuple(kinds[arrays["signal"][strided]]),
            "One point a signal and stage.",
            diagonal=True,
        ),
        _depth_curve(arrays, stages, kinds),
        _by_signal(arrays, stages, facts),
        *pair_pictures(arrays, stages, facts["least_cosine"]),
    ]


def _depth_curve(arrays: Mapping[str, np.ndarray], stages: list[Stage], kinds: np.ndarray) -> Curve:
    built = structured(kinds[arrays["signal"]])

    def over(name: str, rows: np.ndarray) -> np.ndarray:
        return np.array(
            [arrays[name][rows & (arrays["stage"] == i)].mean() for i in range(len(stages))]
        )

    series = (
        Series("lines meet, structured", over("observed", built)),
        Series("identity lost, structured", over("lost", built)),
        Series("foretold, structured", over("predicted", built), control=True),
        Series("lines meet, random and clusters", over("observed", ~built), control=True),
    )
    return over_stages("Collapse over depth", stages, series, Axis("collapse rate"))


def _by_signal(
    arrays: Mapping[str, np.ndarray], stages: list[Stage], facts: Mapping[str, Any]
) -> Heatmap:
    rows = [i for i, (kind, _) in enumerate(facts["signals"]) if kind == "harmonic"]
    values = np.array(
        [
            [
                arrays["observed"][(arrays["signal"] == row) & (arrays["stage"] == i)].mean()
                for i in range(len(stages))
            ]
            for row in rows
        ]
    )
    return Heatmap(
        "Harmonic series: collapse by fundamental and stage",
        values,
        np.arange(len(stages)),
        np.arange(1, len(rows) + 1),
        Axis("stage"),
        Axis("fundamental, in steps of the grid"),
        Axis("collapse rate"),
        x_names=tuple(stage.address for stage in stages),
    )
