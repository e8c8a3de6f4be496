"""What a question is: parameters, the conditions it must be read against, a result.

And how to show it. Whoever writes an analysis, here or outside, takes all of it from this package.
"""

from auscult.analyses.base.analysis import ANALYSES, Analysis
from auscult.analyses.base.context import (
    BASE,
    NOISE,
    RANDOM,
    ClipBatch,
    ClipSound,
    Condition,
    Context,
    ControlWeights,
    DictionaryOf,
    Joint,
    Split,
)
from auscult.analyses.base.result import (
    MADE,
    Judgement,
    MadeSound,
    Measurement,
    Result,
    Saveable,
    Spread,
)

__all__ = [
    "ANALYSES",
    "BASE",
    "MADE",
    "NOISE",
    "RANDOM",
    "Analysis",
    "ClipBatch",
    "ClipSound",
    "Condition",
    "Context",
    "ControlWeights",
    "DictionaryOf",
    "Joint",
    "Judgement",
    "MadeSound",
    "Measurement",
    "Result",
    "Saveable",
    "Split",
    "Spread",
]
