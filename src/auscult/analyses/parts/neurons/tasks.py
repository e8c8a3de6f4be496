"""What analyses of neurons share: tasks over the labels of clips, and one pass of the model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Int
from pydantic import Field

from auscult.analyses.base import ClipBatch, Context, ControlWeights, Split
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError, suggestion
from auscult.measures.firing import ClipFiring, FiringPass, Heard, clip_firing
from auscult.measures.selectors import SELECTORS, Rule, all_probabilities, equal_share
from auscult.models.base import AudioModel

_NAMED = 8
"""Classes that a sentence counts at most."""


class TaskSpec(Config):
    """Classes among the recordings: the values of one label, among those that fit."""

    label: str = "class"
    """The label whose values are the classes."""
    where: dict[str, str | float] = {}
    """Only recordings with these labels, such as ``{ corpus = "esc10" }``."""
    name: str = ""
    """What it is called; the label and what is asked for when empty."""
    classes: tuple[str, ...] = ()
    """Only these classes; all when empty."""
    groups: dict[str, str] = {}
    """Other names for values, one name for several: ``{ alto = "high", bass = "low" }``.

    Values that are not named are of no class.
    """
    fewest: int = Field(3, ge=2)
    """Recordings that a class must have on each side of the split."""

    @property
    def title(self) -> str:
        """Its name, or one made of what it asks."""
        where = ", ".join(f"{value}" for value in self.where.values())
        return self.name or (f"{self.label} ({where})" if where else self.label)


@dataclass(frozen=True)
class Task:
    """A task on the clips of one side.

    Attributes:
        title: Its name.
        classes: Names of the classes.
        labels: Class of each clip by place; -1 for one that is of none.
    """

    title: str
    classes: tuple[str, ...]
    labels: Int[np.ndarray, " clip"]

    @property
    def rows(self) -> Int[np.ndarray, " k"]:
        """Clips with a class."""
        return np.flatnonzero(self.labels >= 0)

    def on(self, table: ClipFiring) -> tuple[ClipFiring, Int[np.ndarray, " k"]]:
        """The table of these clips alone, and their classes."""
        return table.select(self.rows), self.labels[self.rows]


@dataclass(frozen=True)
class Side:
    """The clips of one side of the split, in order.

    Attributes:
        clip_ids: Of each clip.
        recording_ids: Of each clip.
        labels: What is known about each.
    """

    clip_ids: tuple[str, ...]
    recording_ids: tuple[str, ...]
    labels: tuple[Mapping[str, str | float], ...]


def tasks_of(
    sides: Mapping[Split, Side], asked: Sequence[TaskSpec]
) -> dict[str, dict[Split, Task]]:
    """The tasks with enough recordings, by title, with the same classes on both sides.

    Raises:
        NothingToMeasureError: No task has two classes with enough recordings.
    """
    found: dict[str, dict[Split, Task]] = {}
    short: list[str] = []
    for spec in asked:
        named = {
            split: [_class_of(spec, labels) for labels in s.labels] for split, s in sides.items()
        }
        counts = [_recordings(named[split], side) for split, side in sides.items()]
        kept = [
            name
            for name in sorted(counts[0], key=_order)
            if all(count.get(name, 0) >= spec.fewest for count in counts)
        ]
        if len(kept) > 1:
            place = {name: index for index, name in enumerate(kept)}
            found[spec.title] = {
                split: Task(
                    spec.title, tuple(kept), np.array([place.get(n, -1) for n in names], np.int64)
                )
                for split, names in named.items()
            }
        else:
            short.append(_why_none(spec, sides, counts))
    if not found:
        raise NothingToMeasureError("; ".join(short))
    return found


def _why_none(
    spec: TaskSpec, sides: Mapping[Split, Side], counts: Sequence[Mapping[str, int]]
) -> str:
    """What a task lacks: its label, or recordings."""
    labels = {key for side in sides.values() for one in side.labels for key in one}
    if spec.label not in labels:
        return f"no recording has a label {spec.label!r}{suggestion(spec.label, labels)}"
    there = sorted({name for count in counts for name in count}, key=_order)
    told = ", ".join(
        f"{name} {' + '.join(str(count.get(name, 0)) for count in counts)}"
        for name in there[:_NAMED]
    )
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    side = "each side of the split" if len(counts) > 1 else "its side of the split"
    return (
        f"{spec.title} has no two classes with {spec.fewest} recordings on {side}"
        f" ({' + '.join(sides)}: {told or 'none'}{more})"
    )


def _class_of(spec: TaskSpec, labels: Mapping[str, str | float]) -> str:
    """The class of a clip; "" when it is of none."""
    if any(_text(labels.get(key, "")) != _text(value) for key, value in spec.where.items()):
        return ""
    name = _text(labels.get(spec.label, ""))
    if spec.groups:
        name = spec.groups.get(name, "")
    return name if not spec.classes or name in spec.classes else ""


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _order(name: str) -> tuple[float, str]:
    """Numbers by size, names by the alphabet."""
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name


def _recordings(names: Sequence[str], side: Side) -> dict[str, int]:
    pairs = {(n, r) for n, r in zip(names, side.recording_ids, strict=True) if n}
    classes = [name for name, _ in pairs]
    return {name: classes.count(name) for name in set(classes)}


def sides_of(context: Context) -> dict[Split, Side]:
    """Both sides of the split, decoded once."""
    return {split: _side(context.batches(split)) for split in ("train", "test")}


def _side(batches: Iterator[ClipBatch]) -> Side:
    ids: list[str] = []
    recordings: list[str] = []
    labels: list[Mapping[str, str | float]] = []
    for batch in batches:
        ids += batch.clip_ids
        recordings += batch.recording_ids
        labels += batch.labels
    return Side(tuple(ids), tuple(recordings), tuple(labels))


_tables: "WeakKeyDictionary[AudioModel, dict[object, ClipFiring]]" = WeakKeyDictionary()


def heard_batches(context: Context, split: Split) -> Iterator[Heard]:
    """The clips of a side as the model is fed."""
    for batch in context.batches(split):
        waveform = torch.from_numpy(np.ascontiguousarray(batch.waveform))
        yield Heard(waveform, batch.clip_ids, batch.recording_ids, batch.n_valid)


def firing_of(
    context: Context,
    side: Side,
    split: Split,
    weights: ControlWeights = "trained",
    dictionary: str | None = None,
) -> ClipFiring:
    """What every neuron at the recorded taps did in every clip of a side.

    One pass for all analyses of a run: remembered as long as the model lives.

    Args:
        context: Has the clips and the model.
        side: The clips.
        split: Which side they are.
        weights: Of the model.
        dictionary: Count the features of this dictionary instead of neurons.
    """
    model = context.model(weights)
    key = (tuple(context.taps), split, dictionary, hash(side.clip_ids))
    known = _tables.setdefault(model, {})
    if key not in known:
        features = {}
        if dictionary is not None:
            features = {tap: context.dictionaries(dictionary, tap)[0] for tap in context.taps}
        counting = FiringPass(model, context.taps, features)
        known[key] = clip_firing(counting, heard_batches(context, split), len(side.clip_ids))
    return known[key]


def chosen_members(
    name: str, share: float, rows: ClipFiring, labels: Int[np.ndarray, " clip"], n_classes: int
) -> Bool[np.ndarray, "neuron class"]:
    """The neurons of each class by a selector.

    Selectors that rank neurons class by class take as many a class as the published rule does at
    this share.
    """
    chooser, rule = SELECTORS[name](), Rule(share=share)
    if chooser.per_class:
        own = all_probabilities(rows, labels[None], n_classes, "clip")[0]
        rule = equal_share(own, rule)
    return chooser.members(rows, labels, n_classes, rule)


def of_task(batches: Iterable[Heard], labels: Int[np.ndarray, " clip"]) -> list[Heard]:
    """The clips that have a class, in order, as they come."""
    return picked(list(batches), np.flatnonzero(labels >= 0))


def picked(batches: Sequence[Heard], chosen: Int[np.ndarray, " k"]) -> list[Heard]:
    """Clips by their places among all, in order."""
    found, start = [], 0
    for batch in batches:
        n = len(batch.clip_ids)
        rows = (chosen[(chosen >= start) & (chosen < start + n)] - start).tolist()
        start += n
        if rows:
            found.append(
                Heard(
                    batch.waveform[rows],
                    tuple(batch.clip_ids[i] for i in rows),
                    tuple(batch.recording_ids[i] for i in rows),
                    tuple(batch.n_valid[i] for i in rows),
                )
            )
    return found
