"""Models of the next state, compared by what they explain of held-out sounds (METHODS A-21 ii)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import Dictionary
from auscult.measures.dynamics import Trajectory, dmd_spectrum, fit_linear
from auscult.measures.statistics import ends_of, resampled_sums
from auscult.store.reader import ActivationStore

ORDERS = (1, 2, 3)
"""Orders of the Markov chains."""

_LEAST_SEEN = 5


def unbroken(
    frames: Int[np.ndarray, " n"], values: Float[np.ndarray, "n d"], step: int = 1
) -> list[Trajectory]:
    """Cut the stored frames of a clip where one is missing.

    Args:
        frames: Frame numbers, ascending.
        values: Their vectors.
        step: Frames from one stored frame to the next.
    """
    breaks = np.flatnonzero(np.diff(frames) != step) + 1
    return [part for part in np.split(values, breaks) if len(part)]


@dataclass(frozen=True)
class Steps:
    """States, what preceded them, and what came next.

    Attributes:
        before: State at t.
        after: State ``lag`` frames later.
        history: Labels of the states at t, t - lag and t - 2 lag.
        move: Label of the move that led to t.
        stretch: Number of the trajectory.
    """

    before: Float[np.ndarray, "n d"]
    after: Float[np.ndarray, "n d"]
    history: Int[np.ndarray, "n 3"]
    move: Int[np.ndarray, " n"]
    stretch: Int[np.ndarray, " n"]


def steps(
    trajectories: Sequence[Trajectory],
    states: Sequence[Int[np.ndarray, " _"]],
    moves: Sequence[Int[np.ndarray, " _"]],
    lag: int,
) -> Steps:
    """Gather every step of a lag, with three labels of history.

    Args:
        trajectories: Unbroken.
        states: Label of every state.
        moves: Label of the move r[t + lag] - r[t], at t: ``lag`` fewer than states.
        lag: In frames of the trajectories.

    Raises:
        ConfigError: No trajectory is longer than three times the lag.
    """
    long = [i for i, x in enumerate(trajectories) if len(x) > 3 * lag]
    if not long:
        raise ConfigError(
            f"no unbroken stretch is longer than {3 * lag} frames: record longer runs"
        )
    told = [_one(trajectories[i], states[i], moves[i], lag) for i in long]
    stretch = np.repeat(long, [len(one[0]) for one in told])
    before, after, history, move = (np.concatenate(parts) for parts in zip(*told, strict=True))
    return Steps(before, after, history, move, stretch)


def _one(
    x: np.ndarray, states: np.ndarray, moves: np.ndarray, lag: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    t = np.arange(2 * lag, len(x) - lag)
    history = np.stack([states[t - k * lag] for k in range(3)], axis=1)
    return x[t], x[t + lag], history, moves[t - lag]


def one_step_skill(train: Steps, test: Steps) -> dict[str, float]:
    """Share of the variance of the next state that each model explains on held-out sounds.

    1 is perfect, 0 as good as the training mean, below 0 worse; see :func:`one_step_errors`.
    """
    return {name: _skill(rows) for name, rows in one_step_errors(train, test).items()}


def _skill(rows: Float[np.ndarray, "n 2"]) -> float:
    error, total = rows.sum(axis=0)
    return float(1 - error / total) if total > 0 else float("nan")


def one_step_errors(train: Steps, test: Steps) -> dict[str, Float[np.ndarray, "n 2"]]:
    """Squared error of each model and of the training mean, step by step on held-out sounds.

    Persistence says that nothing changes; the linear step is a matrix (dynamic mode decomposition
    without a rank); Markov chains of order 1 to 3 know the last labels of the state and answer the
    mean of what followed them; the last one adds the mean move that follows the last move's label.
    Histories seen fewer than five times fall back on shorter ones. All models are judged on the
    same steps.

    Bias: neighbouring frames share samples of the sound, so that noise is predictable too; what
    says something is the excess over noise heard through the same weights.
    """
    mean = train.after.mean(axis=0)
    predicted = {
        "persistence": test.before,
        "linear step": fit_linear(train.before, train.after).predict(test.before),
    }
    guess = np.broadcast_to(mean, test.after.shape)
    for order in ORDERS:
        keys, asked = _keys(train.history[:, :order]), _keys(test.history[:, :order])
        guess = conditional_mean(keys, train.after, asked, guess)
        predicted[f"Markov chain of order {order}"] = guess
    moved = train.after - train.before
    still = np.broadcast_to(moved.mean(axis=0), test.after.shape)
    ahead = conditional_mean(train.move, moved, test.move, still)
    predicted["mean after the last archetype"] = test.before + ahead
    total = np.square(test.after - mean).sum(axis=1)
    return {
        name: np.stack([np.square(test.after - one).sum(axis=1), total], axis=1).astype(np.float64)
        for name, one in predicted.items()
    }


def _keys(history: Int[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """One number for each history of labels, which may be -1."""
    key = np.zeros(len(history), dtype=np.int64)
    for column in history.T:
        key = key * 100_003 + column + 1
    return key


def conditional_mean(
    keys: Int[np.ndarray, " n"],
    values: Float[np.ndarray, "n d"],
    asked: Int[np.ndarray, " m"],
    otherwise: Float[np.ndarray, "m d"],
    least: int = _LEAST_SEEN,
) -> Float[np.ndarray, "m d"]:
    """Mean of the values that share a key; another answer where a key was hardly seen."""
    known, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
    sums = np.zeros((len(known), values.shape[1]))
    np.add.at(sums, which, values)
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    seen = (known[place] == asked) & (counts[place] >= least)
    return np.where(seen[:, None], sums[place] / counts[place][:, None], otherwise)


def strongest(dictionary: Dictionary, values: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """The strongest feature of each vector, -1 where none is on."""
    if not len(values):
        return np.zeros(0, np.int64)
    with torch.no_grad():
        acts = dictionary.encode(torch.from_numpy(np.ascontiguousarray(values))).abs()
    highest, which = acts.max(1)
    return np.asarray(torch.where(highest > 0, which, torch.full_like(which, -1)).numpy())


def trajectories(store: ActivationStore, most: int) -> tuple[list[Trajectory], list[str]]:
    """Unbroken stretches of a store, as many frames from every clip, about ``most`` in all.

    Returns:
        The stretches, and the recording that each is of.
    """
    kept: list[np.ndarray] = []
    recordings: list[str] = []
    each = max(1, most // max(len(store.clips), 1))
    for clip in store.clips:
        frames, values = store.clip(clip.clip_id)
        parts = unbroken(frames[:each], values[:each], store.step)
        kept += parts
        recordings += [clip.recording_id] * len(parts)
    return kept, recordings


@dataclass(frozen=True)
class Tellers:
    """What labels states and moves, and the directions through which both are seen.

    Attributes:
        features: Labels states by their strongest feature.
        archetypes: Labels moves alike; None: all moves are one.
        axes: Directions as columns.
        lag: Of the steps, in frames.
        most: Frames looked at on each side.
    """

    features: Dictionary
    archetypes: Dictionary | None
    axes: Float[np.ndarray, "d rank"]
    lag: int
    most: int


@dataclass(frozen=True)
class Dynamics:
    """What one-step models and modes say of held-out sounds.

    Attributes:
        skill: Share of the variance of the next state that each model explains.
        intervals: 95 % of each over recordings; NaN of one recording.
        modes: Of the held-out side, per stored frame.
    """

    skill: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    modes: Complex[np.ndarray, " mode"]


def dynamics_of(
    train: ActivationStore,
    test: ActivationStore,
    tellers: Tellers,
    rng: np.random.Generator,
    n_modes: int = 24,
) -> Dynamics:
    """Skill of every one-step model with its interval over recordings, and the modes.

    Raises:
        ConfigError: No unbroken stretch is longer than three times the lag.
    """
    sides: list[Steps] = []
    seen: list[np.ndarray] = []
    for store in (train, test):
        paths, recordings = trajectories(store, tellers.most)
        reach = max(1, tellers.lag // store.step)
        states = [strongest(tellers.features, path) for path in paths]
        moves = [_moves(tellers.archetypes, path, reach) for path in paths]
        seen = [path @ tellers.axes for path in paths]
        sides.append(steps(seen, states, moves, reach))
    modes = dmd_spectrum(seen, rank=min(n_modes, tellers.axes.shape[1]))
    told = np.array(recordings)[sides[1].stretch]
    errors, intervals = one_step_errors(*sides), {}
    drawn = resampled_sums(np.concatenate(list(errors.values()), axis=1), told, rng)
    for place, name in enumerate(errors):
        error, total = drawn[:, 2 * place], drawn[:, 2 * place + 1]
        intervals[name] = ends_of(1 - error / np.where(total > 0, total, np.nan))
    return Dynamics({name: _skill(rows) for name, rows in errors.items()}, intervals, modes)


def _moves(dictionary: Dictionary | None, path: np.ndarray, reach: int) -> np.ndarray:
    if dictionary is None:
        return np.zeros(max(len(path) - reach, 0), np.int64)
    return strongest(dictionary, path[reach:] - path[:-reach])
