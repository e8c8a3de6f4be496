"""What every frame is given (a feature, an archetype, a code), with the labels of its recording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.analyses.base import BASE, Condition, Context
from auscult.analyses.parts.codecs.code_reading import at_level, codes_of, sounding
from auscult.analyses.parts.reading import Sample, sample, sample_moves, spread_over_recordings
from auscult.core.errors import NothingToMeasureError
from auscult.measures.code_hearing import CodeReader
from auscult.measures.one_step import strongest

FEWEST_RECORDINGS = 3
MOST_CLASSES = 24
_LEAST_LABELLED = 0.8


@dataclass(frozen=True)
class Units:
    """Frames of recordings with their unit.

    Attributes:
        tap: Where: a tap, or a level of the codec.
        word: What a unit is called, such as ``feature``.
        units: Of each frame; -1 where none speaks.
        n_units: How many there are.
        recording_ids: Of each frame.
        clip_ids: Of each frame.
        at_s: Middle of each frame's hop within its clip, in seconds.
        labels: What is known of each recording, as words.
    """

    tap: str
    word: str
    units: Int[np.ndarray, " n"]
    n_units: int
    recording_ids: Shaped[np.ndarray, " n"]
    clip_ids: Shaped[np.ndarray, " n"]
    at_s: Float[np.ndarray, " n"]
    labels: Mapping[str, Mapping[str, str]]

    def only(self, recordings: Shaped[np.ndarray, " r"]) -> "Units":
        """Those of some recordings."""
        kept = np.isin(self.recording_ids, recordings)
        return Units(
            self.tap,
            self.word,
            self.units[kept],
            self.n_units,
            self.recording_ids[kept],
            self.clip_ids[kept],
            self.at_s[kept],
            self.labels,
        )


def of_dictionary(
    context: Context, tap: str, name: str, most: int, condition: Condition = BASE
) -> Units:
    """The feature, or archetype, on top of every frame of both sides of the split.

    Dictionaries know nothing of labels, so that no side has to be kept from them.
    """
    store, lag = context.store(tap, condition), context.lag(name)
    drawn: Sample = sample_moves(store, lag, most) if lag else sample(store, most)
    dictionary = context.dictionaries(name, tap, condition)[0]
    time = context.time(tap)
    return Units(
        tap,
        "archetype" if lag else "feature",
        strongest(dictionary, drawn.values),
        dictionary.n_features,
        drawn.recording_ids,
        drawn.clip_ids,
        (drawn.frames + 0.5) / float(time.frame_rate),
        {clip.recording_id: words(clip.labels) for clip in store.clips},
    )


def of_codes(context: Context, reader: CodeReader, n_clips: int, n_levels: int) -> list[Units]:
    """The code of every frame in whose hop something is heard, level by level."""
    ids = [*context.clip_ids("train"), *context.clip_ids("test")]
    sounds = [context.sound(one) for one in spread_over_recordings(ids, n_clips)]
    codes, frames = [], []
    for sound in sounds:
        heard = codes_of(reader, sound)[:n_levels]
        frames.append(np.flatnonzero(sounding(sound.waveform, reader.time, heard.shape[1])))
        codes.append(heard[:, frames[-1]])
    if not sum(map(len, frames)):
        raise NothingToMeasureError("there is no clip in which something sounds to read codes of")
    lengths = [len(one) for one in frames]
    labels = {one.recording_id: words(one.labels) for one in sounds}
    return [
        Units(
            at_level(level),
            "code",
            own,
            reader.n_codes(level, own),
            np.repeat([one.recording_id for one in sounds], lengths),
            np.repeat([one.clip_id for one in sounds], lengths),
            (np.concatenate(frames) + 0.5) / float(reader.time.frame_rate),
            labels,
        )
        for level, own in enumerate(np.concatenate(codes, axis=1))
    ]


def words(labels: Mapping[str, str | float | bool | None]) -> dict[str, str]:
    """Labels as text; what is empty is left out."""
    told = {k: f"{v:g}" if isinstance(v, int | float) else v for k, v in labels.items()}
    return {key: value for key, value in told.items() if value}


@dataclass(frozen=True)
class Classes:
    """A label that shares recordings out.

    Attributes:
        label: Its name.
        names: Of the classes.
        recordings: That have one of them.
        classes: Of each of these.
    """

    label: str
    names: tuple[str, ...]
    recordings: Shaped[np.ndarray, " r"]
    classes: Int[np.ndarray, " r"]


def classes_of(
    labels: Mapping[str, Mapping[str, str]], heard: Sequence[str], asked: Sequence[str]
) -> list[Classes]:
    """Labels that tell classes of recordings: those asked for, or every one that does.

    A class needs three recordings; a label two such classes and at most 24 values, in four of five
    recordings.

    Raises:
        NothingToMeasureError: No label does.
    """
    told = {one: labels.get(one, {}) for one in heard}
    there = sorted({name for known in told.values() for name in known})
    found = []
    for label in [name for name in asked if name in there] if asked else there:
        own = {one: known[label] for one, known in told.items() if label in known}
        values, counts = np.unique(list(own.values()), return_counts=True)
        names = [str(v) for v, n in zip(values, counts, strict=True) if n >= FEWEST_RECORDINGS]
        if len(names) < 2 or len(values) > MOST_CLASSES or len(own) < _LEAST_LABELLED * len(told):
            continue
        kept = [one for one, word in own.items() if word in names]
        which = np.array([names.index(own[one]) for one in kept])
        found.append(Classes(label, tuple(names), np.array(kept), which))
    if not found:
        wanted = f" of those asked for ({', '.join(asked)})" if asked else ""
        known = ", ".join(there) or "none"
        raise NothingToMeasureError(
            f"no label{wanted} has two classes of {FEWEST_RECORDINGS} recordings each (and at most "
            f"{MOST_CLASSES} values); labels of the sounds: {known}"
        )
    return found
