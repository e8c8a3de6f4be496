"""How well a probe reads, with intervals over recordings (METHODS C-5).

Every score is a function of sums over rows, so a bootstrap over recordings draws sums, not rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.core.errors import ConfigError
from auscult.measures.probe_families import Answers
from auscult.measures.probe_targets import Target
from auscult.measures.statistics import joint_intervals, recording_draws

SCORES = (
    "accuracy",
    "balanced accuracy",
    "accuracy within one bin",
    "absolute error",
    "R²",
    "calibration error",
)
"""Names of the scores, in the order in which they are reported."""

_CONFIDENCE_BINS = 10
_N_PLAIN = 9  # rows, right, near, five of the values, whether there is an order


@final
@dataclass(frozen=True)
class Scores:
    """Of one probe on the rows of the test recordings.

    Attributes:
        values: By name, see ``SCORES``. Accuracies and the calibration error are shares, 0 to 1;
            the absolute error is in the target's unit. NaN for what a target
            without an order lacks.
        intervals: 95 % bootstrap intervals over test recordings; NaN where there is one. Bias:
            with fewer than about ten recordings they are too narrow.
        n_rows: Rows judged.
        n_recordings: Recordings that they are from.
        tallies: Rows and rows read rightly, by recording: what several accuracies are drawn anew
            from together.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    n_rows: int
    n_recordings: int
    tallies: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def score(
    answers: Answers,
    target: Target,
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> Scores:
    """Judge answers; rows without a class are passed over.

    * *balanced accuracy*: mean over the classes that occur of the share answered rightly.
    * *accuracy within one bin*: a class off the scale must be met exactly.
    * *absolute error*: between a row's value and the middle of the most probable class on the scale
      (for ridge: its estimate), mean over the rows that have a value.
    * *R²*: 1 − squared error of the estimate over that of the test rows' mean; below 0 for what is
      worse than the mean.
    * *calibration error*: mean over ten confidence bins of |accuracy − confidence|, weighted by
      their rows (ECE). Bias: never below 0, so small samples look miscalibrated.

    Raises:
        ConfigError: No row has a class.
    """
    known = target.labels >= 0
    if not known.any():
        raise ConfigError("no row of the test recordings has a class; there is nothing to judge")
    columns = _columns(answers.rows(known), target.rows(known))
    names, which = np.unique(recording_ids[known], return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, which, columns)
    values = dict(zip(SCORES, _scores(sums.sum(axis=0)[None], target.n_classes)[0], strict=True))
    drawn = recording_draws(len(names), n_resamples, rng)
    spread = _scores(drawn @ sums, target.n_classes)
    intervals = {}
    for i, name in enumerate(SCORES):
        ends = (np.nan, np.nan)
        if len(drawn) and np.isfinite(values[name]):
            ends = tuple(np.nanquantile(spread[:, i], [0.025, 0.975]))
        intervals[name] = (float(ends[0]), float(ends[1]))
    told = {name: float(value) for name, value in values.items()}
    tallies = {
        str(name): (n, right)
        for name, (n, right) in zip(names.tolist(), sums[:, :2].tolist(), strict=True)
    }
    return Scores(told, intervals, int(known.sum()), len(names), tallies)


def joint_accuracies(
    tallies: Sequence[Mapping[str, tuple[float, float]]], rng: np.random.Generator
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """95 % intervals of several accuracies that hold for all at once, whichever is picked.

    Args:
        tallies: Of each, as :class:`Scores` has them; recordings are drawn once for all.
        rng: Draws them.

    Returns:
        Low and high ends; NaN for what one recording tells alone.
    """
    names = sorted({name for one in tallies for name in one})
    told = np.array([[one.get(name, (0.0, 0.0)) for one in tallies] for name in names])
    rows, right = told.transpose(2, 0, 1)
    enough = (rows > 0).sum(axis=0) > 1
    rows, right = rows[:, enough], right[:, enough]
    drawn = recording_draws(len(names), 1000, rng)
    counts = drawn @ rows
    resampled = np.divide(
        drawn @ right, counts, out=np.full(counts.shape, np.nan), where=counts > 0
    )
    found = np.full((2, len(tallies)), np.nan)
    if enough.any():
        found[:, enough] = joint_intervals(right.sum(axis=0) / rows.sum(axis=0), resampled)
    return found[0], found[1]


def _columns(answers: Answers, target: Target) -> Float[np.ndarray, "n column"]:
    """What each row adds: plain sums, hits and rows by class, confidence bins."""
    n = len(target.labels)
    answered, labels = answers.classes, target.labels
    right = (answered == labels).astype(float)
    plain = np.zeros((n, _N_PLAIN))
    plain[:, 0], plain[:, 1] = 1, right
    if target.ordered:
        plain[:, 2] = _near(answered, target)
        plain[:, 3:8] = _distances(answers, target)
        plain[:, 8] = 1
    by_class = np.zeros((n, 2, target.n_classes))
    by_class[np.arange(n), 0, labels] = right
    by_class[np.arange(n), 1, labels] = 1
    confidence = np.exp(answers.log_probabilities.max(axis=1))
    which = np.clip((confidence * _CONFIDENCE_BINS).astype(int), 0, _CONFIDENCE_BINS - 1)
    binned = np.zeros((n, _CONFIDENCE_BINS))
    binned[np.arange(n), which] = right - confidence
    return np.concatenate([plain, by_class.reshape(n, -1), binned], axis=1)


def _near(answered: Int[np.ndarray, " n"], target: Target) -> Float[np.ndarray, " n"]:
    """Whether the answer is the right class or, on the scale, its neighbour."""
    place = -10.0 * (1 + np.arange(target.n_classes))  # off the scale: far from all
    on_scale = np.flatnonzero(np.isfinite(target.centres))
    place[on_scale] = np.argsort(np.argsort(target.centres[on_scale]))
    near: np.ndarray = np.abs(place[answered] - place[target.labels]) <= 1
    return near.astype(float)


def _distances(answers: Answers, target: Target) -> Float[np.ndarray, "n five"]:
    """Sums of the error and of R²: rows, |error|, squared error, value, value².

    Values are taken relative to the middle of the scale, or their squares would swallow digits.
    """
    known = np.isfinite(target.values)
    value = np.where(known, target.values, 0.0)
    on_scale = np.flatnonzero(np.isfinite(target.centres))
    best = on_scale[answers.log_probabilities[:, on_scale].argmax(axis=1)]
    point = target.centres[best] if not answers.from_values else answers.values
    middle = float(np.nanmean(target.centres))
    columns = np.stack(
        [
            np.ones(len(value)),
            np.abs(point - value),
            np.square(answers.values - value),
            value - middle,
            np.square(value - middle),
        ],
        axis=1,
    )
    return np.asarray(np.where(known[:, None], columns, 0.0))


def _scores(
    sums: Float[np.ndarray, "draw column"], n_classes: int
) -> Float[np.ndarray, "draw score"]:
    """The scores, in the order of ``SCORES``, from sums over rows."""
    plain, rest = sums[:, :_N_PLAIN], sums[:, _N_PLAIN:]
    hits, rows, gaps = np.split(rest, [n_classes, 2 * n_classes], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        n = plain[:, 0]
        share = np.where(rows > 0, hits / np.where(rows > 0, rows, 1), 0.0)
        balanced = share.sum(axis=1) / (rows > 0).sum(axis=1)
        ordered = plain[:, 8] > 0
        near = np.where(ordered, plain[:, 2] / n, np.nan)
        valued = np.where(plain[:, 3] > 0, plain[:, 3], np.nan)
        error = plain[:, 4] / valued
        total = plain[:, 7] - np.square(plain[:, 6]) / valued
        explained = 1 - plain[:, 5] / np.where(total > 0, total, np.nan)
        calibration = np.abs(gaps).sum(axis=1) / n
    return np.stack([plain[:, 1] / n, balanced, near, error, explained, calibration], axis=1)
