"""What the analyses of a quantiser share: their common settings, and codes under two weights."""

from collections.abc import Mapping

from pydantic import Field

from auscult.analyses.base import Context, ControlWeights
from auscult.analyses.parts.answering import DRAWN, OWN
from auscult.core.config import Config
from auscult.measures.code_hearing import CodeReader

_SOURCES: Mapping[str, ControlWeights] = {OWN: "trained", DRAWN: "random"}


class CodeParams(Config):
    """Settings that every reading of codes has."""

    n_levels: int = Field(8, ge=1)
    """Levels that are read, from the first on."""
    note_seconds: float = Field(0.6, ge=0.2)
    """Length of the notes that are made for it."""


def code_readers(context: Context) -> dict[str, CodeReader]:
    """The model's codes, and those of the same quantiser behind random weights.

    Raises:
        NothingToMeasureError: The model has no quantiser that can be read.
    """
    return {name: CodeReader(context.model(weights)) for name, weights in _SOURCES.items()}


def at_level(level: int) -> str:
    """What a level is called, from 1 on."""
    return f"level {level + 1}"
