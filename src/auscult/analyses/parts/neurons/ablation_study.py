"""The network, the head, the sets of neurons, and every change that is tried on test clips."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field

from auscult.analyses.base import Context
from auscult.analyses.parts.neurons.tasks import (
    Task,
    TaskSpec,
    chosen_members,
    firing_of,
    heard_batches,
    of_task,
    picked,
    sides_of,
    tasks_of,
)
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.interventions.silencing import Around, Change, Silencer, usual_of
from auscult.measures.ablation import (
    Effect,
    Outcome,
    effect,
    lower_share,
    matched,
    next_indices,
    self_minus_cross,
)
from auscult.measures.firing import ClipFiring, Heard
from auscult.measures.probe_targets import Target
from auscult.measures.probes import Probe, ProbeSettings, fit_probe
from auscult.taps.neurons import embedding_tap

SelectorName = Literal["aape", "lape", "mean-difference", "margin", "mutual-information", "probe"]
GAINS = (0.0, 0.5, 2.0, 4.0)
_NAN = float("nan")


class NeuronAblationParams(Config):
    """Settings of the analysis of ablation."""

    task: TaskSpec = TaskSpec()
    """The task."""
    selector: SelectorName = "aape"
    """How the neurons of a class are chosen."""
    compared: tuple[SelectorName, ...] = ("mean-difference", "margin", "probe")
    """Other selectors, silenced for comparison: as many neurons a class."""
    share: float = Field(0.01, gt=0, lt=1)
    """Share of all neurons that the rule keeps."""
    embedding: str = ""
    """Tap whose mean over frames the head reads; the usual one when empty."""
    dictionary: str | None = None
    """Features of this dictionary instead of neurons."""
    n_random: int = Field(100, ge=10)
    """Random sets for each class, matched for layer and firing rate."""
    most_random_clips: int = Field(8, ge=2)
    """Test clips of the class, and as many of the others, that random sets are tried on."""


@dataclass
class AblationStudy:
    """The network, the head, the sets, and what was measured."""

    params: NeuronAblationParams
    task: Task
    labels: np.ndarray
    recordings: np.ndarray
    test: list[Heard]
    train: list[Heard]
    fitted: tuple[np.ndarray, np.ndarray]
    silencer: Silencer
    rows: ClipFiring
    sets: dict[str, list[np.ndarray]]
    head: Probe
    rng: np.random.Generator
    before: Outcome = field(default_factory=lambda: Outcome(np.zeros(0, bool), np.zeros(0)))
    after: dict[tuple[str, int], Outcome] = field(default_factory=dict)
    random: dict[int, np.ndarray] = field(default_factory=dict)
    same_clips: dict[int, float] = field(default_factory=dict)
    retrained: list[float] = field(default_factory=list)

    @classmethod
    def begin(cls, context: Context, params: NeuronAblationParams) -> "AblationStudy":
        """Choose neurons and train the head on the training side.

        Raises:
            NothingToMeasureError: The selector finds no neuron of any class.
        """
        sides = sides_of(context)
        both = next(iter(tasks_of(sides, [params.task]).values()))
        task, tested = both["train"], both["test"]
        table = firing_of(context, sides["train"], "train", dictionary=params.dictionary)
        rows, labels = task.on(table)
        rng = named_rng(context.seed, "neuron-ablation", task.title)
        names = (params.selector, *(n for n in params.compared if n != params.selector))
        n = len(task.classes)
        sets: dict[str, list[np.ndarray]] = {
            name: _sets(name, params.share, rows, labels, n) for name in names
        }
        if not any(len(neurons) for neurons in sets[params.selector]):
            raise NothingToMeasureError(
                f"{params.selector} finds no neuron of any class of {task.title} at a share of "
                f"{params.share:g}: another selector, or a larger share, may"
            )
        train = of_task(heard_batches(context, "train"), task.labels)
        test = of_task(heard_batches(context, "test"), tested.labels)
        model = context.model()
        dictionaries = {}
        if params.dictionary is not None:
            dictionaries = {
                tap: context.dictionaries(params.dictionary, tap)[0] for tap in context.taps
            }
        usual = None if dictionaries else usual_of(model, table.layers, _spread(train), rng)
        silencer = Silencer(
            model, table.layers, params.embedding or embedding_tap(model), usual, dictionaries
        )
        x = np.concatenate([silencer.embed(batch, [None])[0] for batch in train])
        head = fit_probe(x, _target(task, labels), rows.recording_ids, rng, ProbeSettings())
        return cls(
            params, task, tested.labels[tested.rows],
            np.concatenate([np.array(batch.recording_ids) for batch in test]), test, train,
            (labels, rows.recording_ids), silencer, rows,
            sets, head, rng,
        )  # fmt: skip

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.task.classes

    @property
    def own(self) -> list[np.ndarray]:
        """The neurons of each class by the main selector."""
        return self.sets[self.params.selector]

    def measure(self, context: Context) -> None:
        """Run all changes over the test clips, batch by batch, then the random sets."""
        wanted = self._changes()
        said = self._outcomes(self.test, [None, *wanted.values()], self.labels)
        self.before, self.after = said[0], dict(zip(wanted, said[1:], strict=True))
        context.advance(0.3)
        for label in range(len(self.classes)):
            self._against_random(label)
            self.retrained.append(self._anew(label))
            context.advance(0.3 + 0.7 * (label + 1) / len(self.classes))

    def _changes(self) -> dict[tuple[str, int], Change]:
        """Everything but random sets, by what it is and the class."""
        found: dict[tuple[str, int], Change] = {}
        seconds = self.test[0].waveform.shape[-1] / self.silencer.model.sample_rate
        features = self.params.dictionary is not None
        ways: tuple[Around, ...] = ("zero",) if features else ("zero", "mean", "resample")
        for label, neurons in enumerate(self.own):
            if not len(neurons):
                continue
            beside = next_indices(neurons, self.rows)
            for around in ways:
                found[around, label] = Change(neurons, around=around)
            for gain in GAINS:
                found[f"gain {gain:g}", label] = Change(neurons, gain)
                found[f"next, gain {gain:g}", label] = Change(beside, gain)
            found["first half", label] = Change(neurons, stop_s=seconds / 2)
            found["second half", label] = Change(neurons, start_s=seconds / 2)
        for name, sets in self.sets.items():
            if name != self.params.selector:
                found |= {(name, k): Change(s) for k, s in enumerate(sets) if len(s)}
        return found

    def _outcomes(
        self, batches: Sequence[Heard], changes: Sequence[Change | None], labels: np.ndarray
    ) -> list[Outcome]:
        x = np.concatenate([self.silencer.embed(batch, changes) for batch in batches], axis=1)
        return [Outcome.of(self.head.answers(one).log_probabilities, labels) for one in x]

    def _against_random(self, label: int) -> None:
        """Self-minus-cross of random sets and of the class's own, on the same few clips."""
        neurons = self.own[label]
        if not len(neurons):
            return
        most = self.params.most_random_clips
        mine, others = np.flatnonzero(self.labels == label), np.flatnonzero(self.labels != label)
        chosen = np.sort(
            np.concatenate([self.rng.permutation(side)[:most] for side in (mine, others)])
        )
        batches, labels = picked(self.test, chosen), self.labels[chosen]
        draws = [matched(neurons, self.rows, self.rng) for _ in range(self.params.n_random)]
        changes = [None, Change(neurons), *(Change(draw) for draw in draws)]
        before, *after = self._outcomes(batches, changes, labels)
        n = len(self.classes)
        effects = [effect(before, one, labels, n) for one in after]
        scores = [self_minus_cross(one.log_p, label) for one in effects]
        self.same_clips[label] = scores[0]
        self.random[label] = np.array(
            [
                [one.accuracy[label], score]
                for one, score in zip(effects[1:], scores[1:], strict=True)
            ]
        )

    def _anew(self, label: int) -> float:
        """Accuracy of the class when its neurons are silent and the head is trained on that."""
        neurons = self.own[label]
        if not len(neurons):
            return _NAN
        change = Change(neurons)
        x = np.concatenate([self.silencer.embed(batch, [change])[0] for batch in self.train])
        labels, recordings = self.fitted
        head = fit_probe(x, _target(self.task, labels), recordings, self.rng, ProbeSettings())
        y = np.concatenate([self.silencer.embed(batch, [change])[0] for batch in self.test])
        right = head.answers(y).classes == self.labels
        return float(right[self.labels == label].mean())

    def effect(self, what: str, label: int) -> Effect | None:
        """What one change did; None for a class without neurons."""
        after = self.after.get((what, label))
        if after is None:
            return None
        return effect(self.before, after, self.labels, len(self.classes))

    def over_classes(self, what: str) -> tuple[float, float]:
        """Mean change of own accuracy (pp), and of own log-probability less the others'."""
        effects = [(label, self.effect(what, label)) for label in range(len(self.classes))]
        own = [one.accuracy[label] for label, one in effects if one is not None]
        cross = [self_minus_cross(one.log_p, label) for label, one in effects if one is not None]
        return (float(np.mean(own)), float(np.mean(cross))) if own else (_NAN, _NAN)

    def pooled(self, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every clip of a class with neurons, before and after that class was silenced."""
        rows, right = [], []
        for label in range(len(self.classes)):
            if (what, label) in self.after:
                mine = np.flatnonzero(self.labels == label)
                rows.append(mine)
                right.append(self.after[what, label].right[mine])
        if not rows:
            return np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, np.int64)
        where = np.concatenate(rows)
        return self.before.right[where], np.concatenate(right), where

    def arrays(self) -> dict[str, np.ndarray]:
        """What pictures are drawn from."""
        n = len(self.classes)
        found = {name: np.full((n, n), _NAN) for name in ("accuracy", "log_p", "p_values")}
        for label in range(n):
            one = self.effect("zero", label)
            if one is not None:
                for name, matrix in found.items():
                    matrix[label] = getattr(one, name)
        random = [self.random[k] for k in sorted(self.random)]
        found["random"] = np.stack(random) if random else np.zeros((0, 0, 2))
        found["targeted"] = np.array([self.same_clips[k] for k in sorted(self.random)])
        return found

    def facts(self) -> dict[str, Any]:
        """What else the page needs."""
        ways = list(dict.fromkeys(what for what, _ in self.after))
        return {
            "reason": "",
            "classes": list(self.classes),
            "task": self.task.title,
            "sizes": [len(neurons) for neurons in self.own],
            "n_test": np.bincount(self.labels, minlength=len(self.classes)).tolist(),
            "accuracy": [
                float(self.before.right[self.labels == k].mean()) for k in range(len(self.classes))
            ],
            "retrained": [None if not np.isfinite(a) else a for a in self.retrained],
            "with_random": sorted(self.random),
            "ways": {what: list(self.over_classes(what)) for what in ways},
            "p_random": [
                lower_share(self.same_clips[k], self.random[k][:, 1]) for k in sorted(self.random)
            ],
            "next_share": [self._next(k) for k in sorted(self.random)],
            "selector": self.params.selector,
        }

    def _next(self, label: int) -> dict[str, float]:
        """How far the published control is from a random set: what it shares with the classes."""
        beside = next_indices(self.own[label], self.rows)
        other = np.unique(np.concatenate(self.own))
        one = self.effect("next, gain 0", label)
        return {
            "members": float(np.isin(beside, other).mean()),
            "rate": float(np.abs(_rates(self.rows, beside) - _rates(self.rows, self.own[label]))),
            "accuracy": _NAN if one is None else float(one.accuracy[label]),
        }


def _spread(batches: Sequence[Heard], most: int = 8) -> list[Heard]:
    """Some batches of all, evenly spread: sounds come in the order of files, and so of classes."""
    places = np.linspace(0, len(batches) - 1, min(most, len(batches))).round().astype(int)
    return [batches[place] for place in places.tolist()]


def _rates(rows: ClipFiring, neurons: np.ndarray) -> float:
    return float(rows.rate[neurons].mean())


def _sets(
    name: str, share: float, rows: ClipFiring, labels: np.ndarray, n: int
) -> list[np.ndarray]:
    members = chosen_members(name, share, rows, labels, n)
    return [np.flatnonzero(members[:, label]) for label in range(n)]


def _target(task: Task, labels: np.ndarray) -> Target:
    nan = np.full(len(task.classes), _NAN)
    return Target(labels, task.classes, np.full(len(labels), _NAN), nan)
