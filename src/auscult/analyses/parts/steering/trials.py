"""Sounds under control vectors, their concepts measured again: the bench of a steering audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from auscult.analyses.base import Context, Split
from auscult.concepts.base import CONCEPTS, Concept
from auscult.core.audio import Audio, level_db
from auscult.core.errors import NothingToMeasureError
from auscult.core.timebase import TimeBase
from auscult.interventions.control import ControlVector
from auscult.interventions.controlled import control
from auscult.interventions.resynthesis import EditFunction, Resynthesis
from auscult.taps.capture import run_capture

MEASURED_BY: Mapping[str, dict[str, Any]] = {
    "pitch": {"type": "pitch", "estimator": "yin", "unvoiced": "left out"},
    "loudness": {"type": "lufs"},
    "centroid": {"type": "rolloff"},
}
"""An estimator of each concept that is not the one whose labels vectors are made from."""

_FRAMES_PER_S = 50
_RANGE_DB = 40.0
_QUIETEST_DB = -50.0
_FEWEST_FRAMES = 5


def estimators(
    names: Sequence[str], asked: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Concept]:
    """What measures each concept: as asked for, or the usual independent one, or its labeler.

    Args:
        names: Of concepts.
        asked: Sections such as ``{"type": "pitch", "estimator": "yin"}``, by concept.

    Raises:
        UnknownNameError: There is no such concept.
    """
    known = CONCEPTS.names()
    found = {}
    for name in names:
        usual = MEASURED_BY.get(name, {"type": name})
        section = (asked or {}).get(name) or (usual if usual["type"] in known else {"type": name})
        cls, params = CONCEPTS.parse(section, f"measured_by {name!r}")
        found[name] = cls(params)
    return found


def frames_of(sample_rate: int) -> TimeBase:
    """Frames that concepts are measured in: 50 a second."""
    return TimeBase(sample_rate, hop=Fraction(sample_rate, _FRAMES_PER_S))


def measured(
    sounds: Float[np.ndarray, "clip time"], concepts: Mapping[str, Concept], time: TimeBase
) -> Float[np.ndarray, "clip concept frame"]:
    """Each concept of each sound over time; NaN where it has no value."""
    audios = [
        Audio(np.ascontiguousarray(one[None], dtype=np.float32), time.sample_rate) for one in sounds
    ]
    return np.array(
        [[concept.label(audio, time).values for concept in concepts.values()] for audio in audios]
    )


@dataclass(frozen=True)
class Piece:
    """One clip of a bench."""

    clip_id: str
    recording_id: str
    waveform: Float[np.ndarray, " time"]


def pieces(context: Context, split: Split, most: int, skip: int = 0) -> list[Piece]:
    """Clips of one length, loud enough to change, first one of each recording, then the next.

    Args:
        context: Has the sounds.
        split: Which side.
        most: How many.
        skip: How many of the same order to pass over.

    Raises:
        NothingToMeasureError: There is none left.
    """
    by_recording: dict[str, list[str]] = {}
    for clip_id in context.clip_ids(split):
        by_recording.setdefault(clip_id.rpartition("#")[0], []).append(clip_id)
    rounds = max(map(len, by_recording.values()), default=0)
    order = [ids[i] for i in range(rounds) for ids in by_recording.values() if i < len(ids)]
    found: list[Piece] = []
    length = 0
    for clip_id in order:
        sound = context.sound(clip_id)
        length = length or len(sound.waveform)
        if len(sound.waveform) == length and level_db(sound.waveform) > _QUIETEST_DB:
            found.append(Piece(clip_id, sound.recording_id, sound.waveform))
        if len(found) == skip + most:
            break
    if len(found) <= skip:
        raise NothingToMeasureError(
            f"no {split} clips are left to steer: give more recordings, or shorter clips"
        )
    return found[skip:]


@dataclass(frozen=True)
class Version:
    """The sounds of a bench under one edit.

    Attributes:
        sounds: One waveform per clip.
        values: Each measured concept over time; NaN where it has no value.
    """

    sounds: Float[np.ndarray, "clip time"]
    values: Float[np.ndarray, "clip concept frame"]


class Bench:
    """Clips that are steered, and the concepts that are measured of them.

    Args:
        context: Has the model.
        tap: Where vectors act.
        clips: What is steered.
        concepts: Estimators, by the name of what they measure.
        spread: Standard deviation of each concept over the corpus; None: over these clips.
    """

    def __init__(
        self,
        context: Context,
        tap: str,
        clips: Sequence[Piece],
        concepts: Mapping[str, Concept],
        spread: Float[np.ndarray, " concept"] | None = None,
    ) -> None:
        self.model = context.model()
        self.clips = clips
        self.concepts = concepts
        waveforms = np.stack([one.waveform for one in clips])
        batch = torch.from_numpy(np.ascontiguousarray(waveforms, dtype=np.float32))
        self._heard = batch[:, None].expand(-1, self.model.n_channels, -1).contiguous()
        self._versions = Resynthesis(self.model, tap, self._heard)
        self._tap, self._tap_time = tap, context.time(tap)
        self.time = frames_of(self.model.sample_rate)
        self.original = self._measured(waveforms)
        self.spread = self._spread() if spread is None else spread
        self.recordings = np.array([one.recording_id for one in clips])

    @cached_property
    def active(self) -> Bool[np.ndarray, "clip frame"]:
        """Frames of the originals within 40 dB of the loudest of their clip."""
        levels = _levels(self.original.sounds, self.original.values.shape[2])
        return np.asarray(levels > levels.max(1, keepdims=True) - _RANGE_DB)

    def version(self, edit: EditFunction | None = None, requantise: bool = False) -> Version:
        """Make the sounds again with an edit at the tap, and measure them."""
        made = self._versions(edit, requantise).mean(1).numpy()
        return self._measured(made)

    def steered(self, vector: ControlVector, strength: float, **more: Any) -> Version:
        """The sounds under a control vector; ``more`` as for ``controlled.control``."""
        requantise = bool(more.pop("requantise", False))
        return self.version(control(vector, strength, **more), requantise)

    def sounds(self, edit: EditFunction | None = None) -> Float[np.ndarray, "clip time"]:
        """Only make the sounds."""
        return np.asarray(self._versions(edit).mean(1).numpy())

    def moved(self, version: Version, reference: Version) -> Float[np.ndarray, "clip concept"]:
        """Mean change in s.d. over active frames with a value in both; NaN with fewer than 5."""
        change = self.change(version, reference)
        known = np.isfinite(change)
        counts = known.sum(2)
        sums = np.where(known, change, 0.0).sum(2)
        return np.where(counts >= _FEWEST_FRAMES, sums / np.maximum(counts, 1), np.nan)

    def change(
        self, version: Version, reference: Version
    ) -> Float[np.ndarray, "clip concept frame"]:
        """Change of each concept over time in s.d.; NaN in quiet frames of the originals."""
        change = (version.values - reference.values) / self.spread[:, None]
        return np.where(self.active[:, None], change, np.nan)

    @cached_property
    def quarters(self) -> Float[np.ndarray, "2 concept"]:
        """Where the lower and the upper quarter of each concept begin in the originals."""
        values = np.where(self.active[:, None], self.original.values, np.nan)
        flat = values.transpose(1, 0, 2).reshape(len(self.concepts), -1)
        return np.asarray(np.nanquantile(flat, [0.25, 0.75], axis=1))

    def hits(self, version: Version, which: int, side: int, edge: float) -> float:
        """Share of active frames whose concept lies beyond an edge; of those that have a value."""
        values = np.where(self.active, version.values[:, which], np.nan)
        known = np.isfinite(values)
        return float(np.mean(side * values[known] >= side * edge)) if known.any() else float("nan")

    def displacement(self, edit: EditFunction, spread: float) -> float:
        """How far an edit moves vectors of the tap, root mean square, in units of their spread."""
        values = self._at_tap
        apart = (edit(values, self._tap_time) - values).square().sum(-1).mean().sqrt()
        return float(apart) / spread

    @cached_property
    def _at_tap(self) -> torch.Tensor:
        return run_capture(self.model, self._heard, [self._tap])[self._tap].values

    def _measured(self, sounds: Float[np.ndarray, "clip time"]) -> Version:
        return Version(np.asarray(sounds), measured(sounds, self.concepts, self.time))

    def _spread(self) -> Float[np.ndarray, " concept"]:
        values = np.where(self.active[:, None], self.original.values, np.nan)
        spread = np.nanstd(values.transpose(1, 0, 2).reshape(len(self.concepts), -1), axis=1)
        if not np.all(spread > 0):
            which = list(self.concepts)[int(np.flatnonzero(~(spread > 0))[0])]
            raise NothingToMeasureError(
                f"{which} cannot be measured in these sounds, or is constant"
            )
        return np.asarray(spread)


def _levels(sounds: Float[np.ndarray, "clip time"], n_frames: int) -> np.ndarray:
    """Level of each frame in dB."""
    edges = np.linspace(0, sounds.shape[1], n_frames + 1).astype(int)
    sums = np.concatenate(
        [np.zeros((len(sounds), 1)), np.cumsum(np.square(sounds, dtype=np.float64), axis=1)], axis=1
    )
    power = (sums[:, edges[1:]] - sums[:, edges[:-1]]) / np.maximum(np.diff(edges), 1)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)))
