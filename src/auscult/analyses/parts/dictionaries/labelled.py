"""Rows with labels of the sounds: vectors of both sides of a tap, pooled by clip or one a frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from auscult.analyses.base import BASE, Condition, Context, Split
from auscult.core.errors import NothingToMeasureError
from auscult.dictionaries.base import Dictionary
from auscult.measures.absorption import determines
from auscult.measures.probe_targets import Target, categories

_FRAMES_OF_A_CLIP = 64
_LEAST_LABELLED = 0.8
_FEWEST_RECORDINGS = 2
MOST_CLASSES = 24
_MOST_SPECIFIC = 128


@dataclass(frozen=True)
class Labelled:
    """Frames of labelled clips.

    Attributes:
        values: Vectors, at most 64 of a clip, evenly spread.
        clips: Clip of each, counted from 0.
        recording_ids: Recording of each clip.
        test: Which clips are of the test side.
        labels: Words of each clip, by label; "" where a clip has none.
    """

    values: Float[np.ndarray, "n d"]
    clips: Int[np.ndarray, " n"]
    recording_ids: Shaped[np.ndarray, " c"]
    test: Bool[np.ndarray, " c"]
    labels: Mapping[str, Shaped[np.ndarray, " c"]]

    def target(self, label: str, most: int = MOST_CLASSES) -> Target | None:
        """Classes of each clip; None where it is no label to read.

        A class needs two recordings on each side; labels of fewer than two such classes, of more
        than ``most``, or of less than four in five clips are none.
        """
        words = self.labels[label]
        known = np.unique(words[words != ""])
        usable = [word for word in known if self._on_both_sides(words == word)]
        if not 2 <= len(known) <= most or len(usable) < 2:
            return None
        if np.mean(words != "") < _LEAST_LABELLED:
            return None
        return categories([str(w) if w in usable else None for w in words], usable)

    def _on_both_sides(self, own: Bool[np.ndarray, " c"]) -> bool:
        sides = (own & self.test, own & ~self.test)
        return all(len(np.unique(self.recording_ids[s])) >= _FEWEST_RECORDINGS for s in sides)

    def hierarchies(self) -> list[tuple[str, str]]:
        """General and specific label, where each value of the specific has one of the general."""
        names = [name for name in self.labels if (self.labels[name] != "").all()]
        fine = [n for n in names if len(np.unique(self.labels[n])) <= _MOST_SPECIFIC]
        return [
            (general, specific)
            for general in fine
            for specific in fine
            if general != specific
            and self.target(general) is not None
            and determines(self.labels[specific], self.labels[general])
        ]

    def pooled(self, rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "c m"]:
        """Mean over the frames of each clip."""
        n_clips = len(self.recording_ids)
        sums = np.zeros((n_clips, rows.shape[1]))
        starts = np.flatnonzero(np.diff(self.clips, prepend=-1))
        np.add.at(sums, self.clips[starts], np.add.reduceat(rows, starts, axis=0))
        counts = np.bincount(self.clips, minlength=n_clips)[:, None]
        return np.asarray(sums / np.maximum(counts, 1), dtype=np.float32)


def labelled_rows(context: Context, tap: str, condition: Condition = BASE) -> Labelled:
    """Frames of both sides of a tap with the labels of their clips.

    Raises:
        NothingToMeasureError: Fewer than four clips are stored.
    """
    sides: tuple[Split, Split] = ("train", "test")
    values, clips, test = [], [], []
    recordings: list[str] = []
    told: list[dict[str, str]] = []
    for side in sides:
        store = context.store(tap, condition, side)
        for record in store.clips:
            _, rows = store.clip(record.clip_id)
            if not len(rows):
                continue
            n = min(_FRAMES_OF_A_CLIP, len(rows))
            values.append(rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)])
            clips.append(np.full(n, len(recordings)))
            recordings.append(record.recording_id)
            test.append(side == "test")
            told.append({key: _word(value) for key, value in record.labels.items()})
    if len(recordings) < 4:
        raise NothingToMeasureError(f"only {len(recordings)} clips are stored")
    names = sorted({name for one in told for name in one})
    labels = {name: np.array([one.get(name, "") for one in told]) for name in names}
    return Labelled(
        np.concatenate(values).astype(np.float32),
        np.concatenate(clips).astype(np.int64),
        np.array(recordings),
        np.array(test),
        labels,
    )


def _word(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, int | float) else value


@torch.no_grad()
def acts_of(dictionary: Dictionary, values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
    """Activations of rows that fit in memory."""
    parts = [
        dictionary.encode(torch.from_numpy(np.ascontiguousarray(values[i : i + 4096]))).numpy()
        for i in range(0, len(values), 4096)
    ]
    return np.concatenate(parts)


def chosen_labels(rows: Labelled, asked: Sequence[str]) -> dict[str, Target]:
    """Labels to read, those asked for or every one that can be.

    Raises:
        NothingToMeasureError: None can be read.
    """
    names = [name for name in asked if name in rows.labels] if asked else list(rows.labels)
    targets = {name: rows.target(name) for name in names}
    found = {name: target for name, target in targets.items() if target is not None}
    if not found:
        there = ", ".join(rows.labels) or "none"
        raise NothingToMeasureError(
            "no label has two classes with two recordings on each side (at most "
            f"{MOST_CLASSES}); labels of the sounds: {there}"
        )
    return found
