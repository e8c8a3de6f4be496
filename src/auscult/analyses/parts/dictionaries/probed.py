"""What probes of one tap's dictionaries found: three figures of each, with draws of recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from auscult.analyses.parts.answering import DRAWN
from auscult.analyses.parts.dictionaries.lineup import LEARNED, Entry, beside
from auscult.measures.discrimination import AUC, PairCounts, macro_auc, pair_counts
from auscult.measures.probe_families import Answers

Task = tuple[str, str, int]
"""Label, level and number of features of a probe."""

CHANNELS = "channels of the tap"
LEVELS = {"clip": "a clip, means over its frames", "frame": "single frames"}
"""What a row of a probe is."""

ACCURACY, BALANCED = "accuracy", "balanced accuracy"
FIGURES = (ACCURACY, BALANCED, AUC)
"""What is told of every probe: the share of rows answered rightly, the mean of that over classes,
and how well rows of a class are ranked above the rest (one-vs-rest, mean over classes)."""


@dataclass(frozen=True)
class Answered:
    """Answers of one probe on the test recordings.

    Attributes:
        right: Right answers by class and recording.
        rows: Rows by class and recording.
        auc: See :func:`macro_auc`.
        pairs: For draws of it; None where none are asked for.
    """

    right: Float[np.ndarray, "n_classes r"]
    rows: Float[np.ndarray, "n_classes r"]
    auc: float
    pairs: PairCounts | None = None

    @classmethod
    def of(
        cls,
        answers: Answers,
        labels: Int[np.ndarray, " n"],
        where: Int[np.ndarray, " n"],
        n_recordings: int,
        draws: bool,
    ) -> "Answered":
        """Count answers of rows that have a class.

        Args:
            answers: Of each row.
            labels: Its class.
            where: Its recording, counted from 0.
            n_recordings: How many there are.
            draws: Whether the AUC is to be resampled.
        """
        scores = answers.log_probabilities
        right = np.zeros((scores.shape[1], n_recordings))
        rows = np.zeros_like(right)
        np.add.at(right, (labels, where), answers.classes == labels)
        np.add.at(rows, (labels, where), 1)
        pairs = pair_counts(scores, labels, where, n_recordings) if draws else None
        return cls(right, rows, macro_auc(scores, labels), pairs)

    def value(self, figure: str) -> float:
        """One of ``FIGURES``."""
        if figure == AUC:
            return self.auc
        return float(self._shares(np.ones((1, self.rows.shape[1])), figure)[0])

    def resampled(self, figure: str, draws: Float[np.ndarray, "b r"]) -> Float[np.ndarray, " b"]:
        """The same over draws of the test recordings."""
        if figure != AUC:
            return self._shares(draws, figure)
        if self.pairs is None:
            return np.full(len(draws), np.nan)
        return self.pairs.resampled(draws)

    def _shares(self, draws: Float[np.ndarray, "b r"], figure: str) -> Float[np.ndarray, " b"]:
        right, rows = draws @ self.right.T, draws @ self.rows.T
        if figure == ACCURACY:
            return np.asarray(right.sum(axis=1) / np.maximum(rows.sum(axis=1), 1e-9))
        each = np.divide(right, rows, out=np.zeros_like(right), where=rows > 0)
        return np.asarray(each.sum(axis=1) / np.maximum((rows > 0).sum(axis=1), 1))


@dataclass(frozen=True)
class Probed:
    """Probes of one representation.

    Attributes:
        answered: Of each task (label, level, k).
        nulls: Of each task, the figures of the majority class and of shuffled labels.
        completeness: DCI of linear probes of all its columns; NaN with one factor.
        disentanglement: See there.
        l0: Features on at once, per frame.
    """

    answered: Mapping[Task, Answered]
    nulls: Mapping[Task, Mapping[str, Mapping[str, float]]]
    completeness: float
    disentanglement: float
    l0: float

    def value(self, task: Task, figure: str = ACCURACY) -> float:
        """A figure of the test recordings."""
        return self.answered[task].value(figure)

    def resampled(
        self, task: Task, draws: np.ndarray, figure: str = ACCURACY
    ) -> Float[np.ndarray, " b"]:
        """The same over draws of the test recordings."""
        return self.answered[task].resampled(figure, draws)


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

    def untrained_at(
        self, name: str, tasks: Sequence[Task], figure: str = ACCURACY
    ) -> dict[str, float]:
        """A figure of the same dictionary under random weights, mean over tasks; or nothing."""
        there = self.untrained.get(name)
        if there is None or not set(tasks) <= set(there.answered):
            return {}
        return {DRAWN: float(np.mean([there.value(task, figure) for task in tasks]))}

    def beside(self, entry: Entry) -> dict[str, list[tuple[Entry, float]]]:
        """Its baselines at its own l0."""
        return beside(entry, list(self.entries.values()), lambda one: self.found[one.name].l0)

    def mean_of(self, parts: Sequence[tuple[Entry, float]], task: Task, figure: str) -> float:
        """A figure of several dictionaries, each with its weight."""
        return float(sum(w * self.found[one.name].value(task, figure) for one, w in parts))

    @property
    def tasks(self) -> list[Task]:
        """Label, level and number of features of every probe."""
        return list(next(iter(self.found.values())).answered)

    @property
    def learned(self) -> list[Entry]:
        """Those that are no baselines."""
        return [one for one in self.entries.values() if one.role == LEARNED]
