"""Probes of one tap's dictionaries, and pictures of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from auscult.analyses.parts.answering import DRAWN
from auscult.analyses.parts.dictionaries.lineup import LEARNED, Entry, beside
from auscult.analyses.parts.dictionaries.standing import card_config
from auscult.blocks import Axis, Block, Curve, Series, Table
from auscult.measures.probes import MAJORITY, SHUFFLED
from auscult.measures.scorecards import Scorecard

Task = tuple[str, str, int]
"""Label, level and number of features of a probe."""

CHANNELS = "channels of the tap"
LEVELS = {"clip": "a clip, means over its frames", "frame": "single frames"}
"""What a row of a probe is."""


@dataclass(frozen=True)
class Probed:
    """Probes of one representation.

    Attributes:
        hits: Of each task (label, level, k), right answers and rows of each test recording.
        nulls: Accuracy of the majority class and of shuffled labels.
        completeness: DCI of linear probes of all its columns; NaN with one factor.
        disentanglement: See there.
        l0: Features on at once, per frame.
    """

    hits: Mapping[Task, tuple[np.ndarray, np.ndarray]]
    nulls: Mapping[Task, Mapping[str, float]]
    completeness: float
    disentanglement: float
    l0: float

    def accuracy(self, task: Task) -> float:
        """Share of test rows answered rightly."""
        right, rows = self.hits[task]
        return float(right.sum() / rows.sum())

    def resampled(self, task: Task, draws: np.ndarray) -> Float[np.ndarray, " b"]:
        """The same over draws of the test recordings."""
        right, rows = self.hits[task]
        return np.asarray((draws @ right) / np.maximum(draws @ rows, 1e-9))


@dataclass(frozen=True)
class TapProbes:
    """Everything probed at one tap.

    Attributes:
        tap: Its address.
        entries: Dictionaries by name.
        found: Probes by name, of the channels among them.
        draws: How often each draw took each test recording.
        labels: What was read.
        untrained: Probes of learned dictionaries of the network with random weights, by name, and
            of its channels; none where too few of its sounds are recorded.
    """

    tap: str
    entries: Mapping[str, Entry]
    found: Mapping[str, Probed]
    draws: Float[np.ndarray, "b r"]
    labels: Sequence[str]
    untrained: Mapping[str, Probed]

    def untrained_at(self, name: str, tasks: Sequence[Task]) -> dict[str, float]:
        """Accuracy of the same dictionary under random weights, mean over tasks; or nothing."""
        there = self.untrained.get(name)
        if there is None or not set(tasks) <= set(there.hits):
            return {}
        return {DRAWN: float(np.mean([there.accuracy(task) for task in tasks]))}

    def beside(self, entry: Entry) -> dict[str, list[tuple[Entry, float]]]:
        """Its baselines at its own l0."""
        return beside(entry, list(self.entries.values()), lambda one: self.found[one.name].l0)

    @property
    def tasks(self) -> list[Task]:
        """Label, level and number of features of every probe."""
        return list(next(iter(self.found.values())).hits)

    @property
    def learned(self) -> list[Entry]:
        """Those that are no baselines."""
        return [one for one in self.entries.values() if one.role == LEARNED]


def pictures(there: TapProbes, ks: Sequence[int]) -> list[Block]:
    """Accuracy over the number of features for each label, and every probe."""
    blocks: list[Block] = []
    for label in there.labels:
        blocks += [_over_k(ks, there, label, level) for level in LEVELS]
    return [*blocks, _table(there)]


def _over_k(ks: Sequence[int], there: TapProbes, label: str, level: str) -> Curve:
    """Accuracy over the number of features, the best of each type and width."""
    most = (label, level, max(ks))
    best: dict[str, Entry] = {}
    for one in sorted(there.entries.values(), key=lambda o: -there.found[o.name].accuracy(most)):
        best.setdefault(one.family, one)
    lines = []
    for family, one in best.items():
        own = there.found[one.name]
        accuracies = np.array([own.accuracy((label, level, k)) for k in ks])
        lines.append(Series(family, accuracies, control=one.role != LEARNED))
    lines.sort(key=lambda one: one.control)
    channels = there.found[CHANNELS]
    told = {CHANNELS: [channels.accuracy((label, level, k)) for k in ks]}
    for null in (MAJORITY, SHUFFLED):
        told[null] = [channels.nulls[label, level, k][null] for k in ks]
    lines += [Series(name, np.array(values), control=True) for name, values in told.items()]
    return Curve(
        f"{there.tap}: {label} of {LEVELS[level]}, from few features",
        np.array(ks, dtype=np.float64),
        tuple(lines),
        Axis("features that the probe may use"),
        Axis("accuracy", ""),
        "Test recordings. Of each type and width the dictionary that is best at the most features.",
    )


def _table(there: TapProbes) -> Table:
    tasks = there.tasks
    rows = []
    for name, own in there.found.items():
        entry = there.entries.get(name)
        rows.append(
            (
                name,
                entry.role if entry else "",
                own.l0,
                *(own.accuracy(task) for task in tasks),
                _none(own.completeness),
                _none(own.disentanglement),
            )
        )
    heads = (f"{label}, {level}, {k}" for label, level, k in tasks)
    columns = ("columns", "what they are", "l0", *heads, "completeness", "disentanglement")
    note = "Accuracy on test recordings: label, level, number of features."
    return Table(f"{there.tap}: every probe", columns, tuple(rows), note=note)


def _none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def card(there: TapProbes, name: str) -> Scorecard:
    """In SAEBench's shape."""
    own, channels = there.found[name], there.found[CHANNELS]
    sae, llm = {}, {}
    for k in sorted({task[2] for task in own.hits}):
        tasks = [task for task in own.hits if task[1:] == ("clip", k)]
        sae[f"sae_top_{k}_test_accuracy"] = float(np.mean([own.accuracy(t) for t in tasks]))
        llm[f"llm_top_{k}_test_accuracy"] = float(np.mean([channels.accuracy(t) for t in tasks]))
    details = [
        {
            "dataset_name": f"{label}, {level}",
            "k": k,
            "sae_test_accuracy": own.accuracy((label, level, k)),
        }
        for label, level, k in own.hits
    ]
    audio = {"completeness": own.completeness, "disentanglement": own.disentanglement}
    metrics = {"sae": sae, "llm": llm, "audio": audio}
    return Scorecard(
        "sparse_probing", card_config(there.tap, there.entries[name]), metrics, details
    )
