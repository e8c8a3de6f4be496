"""What the analyses of a quantiser share: their common settings, and codes under two weights."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field

from auscult.analyses.base import ClipSound, Context, ControlWeights
from auscult.analyses.parts.answering import DRAWN, OWN
from auscult.core.config import Config
from auscult.core.timebase import TimeBase
from auscult.measures.code_hearing import CodeReader

_SILENT = 1e-3
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


def codes_of(reader: CodeReader, sound: ClipSound) -> Int[np.ndarray, "level frame"]:
    """Codes of a clip; frames that the codec adds behind its last hop are left out."""
    codes: np.ndarray = reader.codes(reader.latents(sound.waveform[None]))[0].numpy()
    return codes[:, : len(reader.time.frames_of(0, len(sound.waveform)))]


def sounding(
    wave: Float[np.ndarray, " time"], time: TimeBase, n_frames: int
) -> Bool[np.ndarray, " frame"]:
    """Frames in whose hop something is heard: more than -60 dB re full scale."""
    edges = [int(i * time.hop) for i in range(n_frames + 1)]
    power = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    ends = np.minimum(edges, len(wave))
    mean = np.diff(power[ends]) / np.maximum(np.diff(ends), 1)
    return np.asarray(mean > _SILENT**2)


def at_level(level: int) -> str:
    """What a level is called, from 1 on."""
    return f"level {level + 1}"
