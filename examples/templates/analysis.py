"""Template: an analysis. Copy to src/auscult/analyses/<name>.py and change what is marked."""

from typing import Any, ClassVar

import numpy as np

from auscult.analyses.base import ANALYSES, Analysis, Condition, Context, Measurement, Result
from auscult.analyses.parts.answering import in_turn, verdict_of
from auscult.analyses.parts.reading import sample
from auscult.blocks import Block, Finding
from auscult.core.config import Config

NOISE = Condition(sounds="noise")


class ExampleParams(Config):
    """Settings, one docstring each."""

    most_vectors: int = 10_000
    """Vectors looked at under each condition."""


@ANALYSES.register("example-analysis")  # CHANGE: the name that users write
class ExampleAnalysis(Analysis):
    """One sentence: what is measured, and against what."""

    Params: ClassVar[type[Config]] = ExampleParams
    title: ClassVar[str] = "An example"
    question: ClassVar[str] = "How loud is the first channel?"
    source: ClassVar[str] = "CHANGE: paper and section"

    @classmethod
    def controls(cls, params: Any) -> tuple[Condition, ...]:
        """The conditions that are recorded beside the base one."""
        del params
        return (NOISE,)

    def run(self, context: Context, params: ExampleParams) -> Result:
        """Measure under the base condition and under each control, by the same function."""
        measurements = []
        for tap in in_turn(context, context.taps):
            own, null = (
                self._measure(context, tap, condition, params) for condition in (Condition(), NOISE)
            )
            measurements.append(
                Measurement("level of channel 0", own, "", {str(NOISE): null}, tap=tap)
            )
        return Result(tuple(measurements))

    def view(self, result: Result) -> list[Block]:
        """A finding a tap; the report adds all numbers."""
        return [
            Finding(
                f"{one.tap}: channel 0 has a level of {one.text()}.",
                one.text(),
                "; ".join(f"{name}: {one.text(value)}" for name, value in one.controls.items()),
                verdict_of(one.value, list(one.controls.values()), "more", 0.01),
            )
            for one in result.measurements
        ]

    @staticmethod
    def _measure(context: Context, tap: str, condition: Condition, params: ExampleParams) -> float:
        values = sample(context.store(tap, condition, "test"), params.most_vectors).values
        return float(np.sqrt(np.mean(np.square(values[:, 0]))))
