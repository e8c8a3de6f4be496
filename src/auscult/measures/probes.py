"""Probes: what can be read from vectors, split by recording and read against nulls (METHODS C-5).

A probe shows that a readout exists, not that the network uses it; and it cannot beat the labels it
is given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from pydantic import Field

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.measures.probe_families import (
    Answers,
    Family,
    Linear,
    Readout,
    Ridge,
    Sparse,
)
from auscult.measures.probe_families_curved import Hidden, Neighbours
from auscult.measures.probe_scores import Scores, score
from auscult.measures.probe_targets import Target
from auscult.measures.statistics import split_by_recording

FamilyName = Literal["linear", "ridge", "sparse", "hidden", "neighbours"]

MAJORITY = "majority class"
SHUFFLED = "shuffled labels"
CONTROL_TASK = "control task"


Further = Callable[[Answers, Target], Mapping[str, float]]
"""Scores of answers beyond ``SCORES``, by name, without intervals."""


class ProbeSettings(Config):
    """How probes are fitted."""

    family: FamilyName = "linear"
    """Kind of readout."""
    k: int = Field(5, ge=1)
    """Columns of a sparse readout."""
    balanced: bool = False
    """Weigh rows so that every class counts alike (linear only)."""
    steps: int = Field(200, ge=1)
    """Most steps of each linear fit."""
    n_most: int = Field(50_000, ge=100)
    """Largest number of rows to fit to, and to judge on."""
    n_most_chosen_on: int = Field(10_000, ge=100)
    """Rows on which the weight decay is chosen."""
    validation_share: float = Field(0.2, gt=0, lt=1)
    """Share of the training recordings that choose the weight decay."""

    def readout(self) -> Family:
        """The family that these settings ask for."""
        made: dict[FamilyName, Family] = {
            "linear": Linear(balanced=self.balanced, n_steps=self.steps),
            "ridge": Ridge(),
            "sparse": Sparse(self.k),
            "hidden": Hidden(),
            "neighbours": Neighbours(),
        }
        return made[self.family]


@final
@dataclass(frozen=True)
class Probe:
    """A fitted readout with how it was chosen.

    Attributes:
        readout: Maps vectors to answers.
        family: As printed with every score.
        strength: The weight decay (or number of neighbours) that validation chose.
        n_rows: Rows that it was fitted to.
        n_recordings: Recordings that these are from.
    """

    readout: Readout
    family: str
    strength: float
    n_rows: int
    n_recordings: int

    def answers(self, x: Float[np.ndarray, "n d"]) -> Answers:
        """Read some vectors."""
        return self.readout.answers(x)


@final
@dataclass(frozen=True)
class Reading:
    """What a probe reads from a representation, beside its nulls.

    Attributes:
        probe: The fitted probe.
        scores: On the test recordings.
        controls: The same scores by null: the majority class, a probe of shuffled labels, and a
            probe of the control task where one was given.
    """

    probe: Probe
    scores: Scores
    controls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def selectivity(self) -> float:
        """Accuracy minus that of the control task (Hewitt & Liang): NaN without one."""
        task = self.controls.get(CONTROL_TASK, {}).get("accuracy", float("nan"))
        return self.scores.values["accuracy"] - task


def fit_probe(
    x: Float[np.ndarray, "n d"],
    target: Target,
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    settings: ProbeSettings | None = None,
) -> Probe:
    """Fit a probe; its weight decay is the one that reads held-out recordings best.

    The weight decay is chosen by cross-entropy on a share of the recordings (of at most
    ``n_most_chosen_on`` rows on each side), then the probe is fitted to all rows. With one
    recording only there is nothing to choose by, and the smoothest setting is taken.

    Raises:
        ConfigError: Fewer than two classes occur, or a vector is not finite.
    """
    settings = settings or ProbeSettings()
    family = settings.readout()
    rows = _drawn(target.labels >= 0, settings.n_most, rng)
    x, target, recording_ids = x[rows], target.rows(rows), recording_ids[rows]
    _refuse_not_finite(x)
    if len(np.unique(target.labels)) < 2:
        raise ConfigError("there is only one class to read; nothing can be learned from it")
    strength, start = _chosen(family, x, target, recording_ids, rng, settings)
    readout = family.fit(x, target, strength, rng, start)
    return Probe(readout, family.name, strength, len(rows), len(np.unique(recording_ids)))


def _chosen(
    family: Family,
    x: Float[np.ndarray, "n d"],
    target: Target,
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    settings: ProbeSettings,
) -> tuple[float, Readout | None]:
    """The strength with the least cross-entropy on held-out recordings, and its readout."""
    if len(family.strengths) == 1 or len(np.unique(recording_ids)) < 2:
        return family.strengths[0], None
    held_out = split_by_recording(recording_ids, rng, settings.validation_share)
    most = settings.n_most_chosen_on
    inner, outer = _drawn(~held_out, most, rng), _drawn(held_out, most, rng)
    best: tuple[float, float, Readout | None] = (np.inf, family.strengths[0], None)
    start: Readout | None = None
    for strength in family.strengths:
        start = family.fit(x[inner], target.rows(inner), strength, rng, start)
        log_p = start.answers(x[outer]).log_probabilities
        loss = -float(np.mean(log_p[np.arange(len(outer)), target.labels[outer]]))
        if loss < best[0]:
            best = (loss, strength, start)
    return best[1], best[2]


def read(
    x: Float[np.ndarray, "n d"],
    target: Target,
    recording_ids: Shaped[np.ndarray, " n"],
    test: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
    settings: ProbeSettings | None = None,
    types: Int[np.ndarray, " n"] | None = None,
    further: Further | None = None,
) -> Reading:
    """Fit a probe on some recordings, judge it on others, and do the same under its nulls.

    Args:
        x: One vector a row.
        target: What is to be read.
        recording_ids: Of each row.
        test: Rows to judge on; their recordings must not occur in the other rows.
        rng: Draws rows, validation recordings, nulls.
        settings: Of the probe.
        types: The kind of sound that each row is (a cluster of its input, the same for every
            representation that is compared), for the control task; none: no control task.
        further: More scores of the probe's answers, and of those under each null.

    Raises:
        ConfigError: A recording stands on both sides; or only one class occurs; or a vector is
            not finite.
    """
    settings = settings or ProbeSettings()
    shared = np.intersect1d(recording_ids[test], recording_ids[~test])
    if len(shared):
        raise ConfigError(f"recording {shared[0]} is both fitted to and judged on")
    fitted = _drawn(~test & (target.labels >= 0), settings.n_most, rng)
    judged = _drawn(test & (target.labels >= 0), settings.n_most, rng)
    sides = _Sides(x[fitted], x[judged], recording_ids[fitted], recording_ids[judged], further)
    _refuse_not_finite(sides.x_test)
    train, held_out = target.rows(fitted), target.rows(judged)
    probe = fit_probe(sides.x, train, sides.recordings, rng, settings)
    answers = probe.answers(sides.x_test)
    scores = score(answers, held_out, sides.recordings_test, rng)
    scores = replace(scores, values={**scores.values, **sides.more(answers, held_out)})
    controls = {
        MAJORITY: majority(train, held_out, sides.recordings_test, rng, further),
        SHUFFLED: sides.null(
            probe, train.rows(rng.permutation(len(train.labels))), held_out, rng, settings
        ),
    }
    if types is not None:
        task = control_task(target, types, rng)
        controls[CONTROL_TASK] = sides.null(
            probe, task.rows(fitted), task.rows(judged), rng, settings
        )
    return Reading(probe, scores, controls)


@dataclass(frozen=True)
class _Sides:
    """Rows to fit to and rows to judge on."""

    x: Float[np.ndarray, "n d"]
    x_test: Float[np.ndarray, "m d"]
    recordings: Shaped[np.ndarray, " n"]
    recordings_test: Shaped[np.ndarray, " m"]
    further: Further | None = None

    def more(self, answers: Answers, test: Target) -> Mapping[str, float]:
        """The further scores, if any are asked for."""
        return self.further(answers, test) if self.further is not None else {}

    def null(
        self,
        probe: Probe,
        train: Target,
        test: Target,
        rng: np.random.Generator,
        settings: ProbeSettings,
    ) -> dict[str, float]:
        """Scores of the same family under the weight decay already chosen, on other labels."""
        readout = settings.readout().fit(self.x, train, probe.strength, rng)
        answers = readout.answers(self.x_test)
        found = score(answers, test, self.recordings_test, rng, 2)
        return {**found.values, **self.more(answers, test)}


def majority(
    train: Target,
    test: Target,
    recording_ids: Shaped[np.ndarray, " m"],
    rng: np.random.Generator,
    further: Further | None = None,
) -> dict[str, float]:
    """Scores of always answering with the shares of the classes in training.

    The most frequent class is answered, the mean value estimated.
    """
    counts = np.bincount(train.labels[train.labels >= 0], minlength=train.n_classes) + 1e-3
    log_p = np.log(counts / counts.sum())
    known = np.isfinite(train.values)
    mean = float(train.values[known].mean()) if known.any() else float("nan")
    n = len(test.labels)
    same = Answers(np.tile(log_p, (n, 1)), np.full(n, mean))
    more = further(same, test) if further is not None else {}
    return {**score(same, test, recording_ids, rng, 2).values, **more}


def control_task(target: Target, types: Int[np.ndarray, " n"], rng: np.random.Generator) -> Target:
    """Labels that only memory can give: every type of sound gets a class drawn at random.

    Classes are drawn with the shares they have in the target, so that the majority rate is alike
    (Hewitt & Liang 2019, §2). What a probe reads of this it has learned by heart, type by type.
    """
    counts = np.bincount(target.labels[target.labels >= 0], minlength=target.n_classes)
    names, which = np.unique(types, return_inverse=True)
    drawn = rng.choice(target.n_classes, size=len(names), p=counts / counts.sum())
    labels = np.where(target.labels >= 0, drawn[which], target.labels)
    return target.relabelled(labels)


def _refuse_not_finite(x: Float[np.ndarray, "n d"]) -> None:
    # The sum of finite numbers is finite but for overflow; only then is every one looked at.
    if not np.isfinite(x.sum()) and not np.isfinite(x).all():
        raise ConfigError("a vector to be read holds NaN or an infinite value: leave it out")


def _drawn(
    rows: Bool[np.ndarray, " n"], n_most: int, rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    found = np.flatnonzero(rows)
    return found if len(found) <= n_most else np.sort(rng.choice(found, n_most, replace=False))
