"""Predict what comes next, and how much of it overlap explains (METHODS A-17, A-21)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from auscult.core.errors import ConfigError
from auscult.measures.dynamics import fit_linear, r_squared
from auscult.measures.geometry import nearest_atom
from auscult.measures.statistics import bootstrap_interval, split_by_recording


@dataclass(frozen=True)
class LabelPrediction:
    """How well labels are predicted in recordings that were not learned from (METHODS A-17).

    Attributes:
        accuracy: Share of right answers.
        interval: Bootstrap interval of the accuracy over the test recordings.
        balanced_accuracy: Mean over labels of the share of right answers; the mean over labels that
            the test recordings hold.
        majority: Accuracy of always answering the label most frequent in training: the floor.
        shuffled: Accuracy after the labels were permuted in training; NaN if not asked for.
        n_labels: Labels seen in training.
        n_test: Rows tested.
        rows: Which rows were tested.
        answers: The label that each of them was given.
    """

    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    majority: float
    shuffled: float
    n_labels: int
    n_test: int
    rows: Int[np.ndarray, " n_test"]
    answers: Int[np.ndarray, " n_test"]


def predict_label(
    x: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    n_most: int = 20_000,
    test_share: float = 0.3,
    shuffled: bool = False,
) -> LabelPrediction:
    """Multinomial logistic regression on standardised vectors, split by recording (METHODS A-17).

    Bias: at lag 1 a first layer's state already holds most of the samples of the next one; compare
    with :func:`overlap_null` and with lags of one and two filter lengths.

    Args:
        x: States.
        labels: What to predict, for instance the top archetype of the generator that follows.
        recording_ids: Recording of each row.
        rng: Splits, and draws rows.
        n_most: Largest number of rows for training, and for testing.
        test_share: Share of recordings to test on.
        shuffled: Whether to fit the label-permutation control as well.

    Raises:
        ConfigError: One recording only, or one label only.
    """
    held_out = split_by_recording(recording_ids, rng, test_share)
    train, test = _draw(~held_out, n_most, rng), _draw(held_out, n_most, rng)
    seen, counts = np.unique(labels[train], return_counts=True)
    if len(seen) < 2:
        raise ConfigError("there is only one label to predict; nothing can be learned from it")
    mean, spread = x[train].mean(axis=0), x[train].std(axis=0)
    scaled = (x - mean) / np.where(spread > 0, spread, 1)
    answers = _fit(scaled[train], labels[train], scaled[test])
    right = answers == labels[test]
    by_label = [right[labels[test] == label].mean() for label in np.unique(labels[test])]
    chance = float("nan")
    if shuffled:
        guesses = _fit(scaled[train], rng.permutation(labels[train]), scaled[test])
        chance = float(np.mean(guesses == labels[test]))
    return LabelPrediction(
        float(right.mean()),
        bootstrap_interval(right.astype(np.float64), recording_ids[test], rng),
        float(np.mean(by_label)),
        float(np.mean(labels[test] == seen[counts.argmax()])),
        chance,
        len(seen),
        len(test),
        test,
        answers,
    )


def _draw(rows: Bool[np.ndarray, " n"], n: int, rng: np.random.Generator) -> Int[np.ndarray, " k"]:
    found = np.flatnonzero(rows)
    return found if len(found) <= n else np.sort(rng.choice(found, n, replace=False))


def _fit(x: np.ndarray, labels: np.ndarray, x_test: np.ndarray) -> Int[np.ndarray, " n"]:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # Without an optimum in reach (separable labels) the last step is a fair predictor.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=300).fit(x, labels)
    return np.asarray(model.predict(x_test))


def linear_r_squared(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n e"],
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    test_share: float = 0.3,
) -> float:
    """Held-out R² of a linear map, for instance of generators from states (METHODS A-17, A-21)."""
    test = split_by_recording(recording_ids, rng, test_share)
    step = fit_linear(x[~test], y[~test])
    return r_squared(y[test], step.predict(x[test]), y[~test].mean(axis=0))


def top_labels(
    generators: Float[np.ndarray, "n d"], archetypes: Float[np.ndarray, "m d"], signed: bool = False
) -> Int[np.ndarray, " n"]:
    """Archetype with the highest cosine to each generator; -1 for standstill (METHODS A-17)."""
    return nearest_atom(generators, archetypes, signed)[0]


def shuffled_successors(
    states: Float[np.ndarray, "n d"], rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """Generators r[t'] − r[t] with a random t', for regression to the mean (METHODS A-17)."""
    return np.asarray(states[rng.permutation(len(states))] - states)


@dataclass(frozen=True)
class OverlapNull:
    """State dependence that a linear layer shows on white noise (METHODS A-17).

    Attributes:
        prediction: Of the top archetype from the state.
        linear_r_squared: Held-out R² of the generator from the state.
    """

    prediction: LabelPrediction
    linear_r_squared: float


def noise_responses(
    filters: Float[np.ndarray, "n k"], n_frames: int, stride: int, rng: np.random.Generator
) -> Float[np.ndarray, "frame n"]:
    """Responses of a linear layer to white noise, without padding."""
    n_taps = filters.shape[1]
    noise = rng.standard_normal((n_frames - 1) * stride + n_taps)
    windows = np.lib.stride_tricks.sliding_window_view(noise, n_taps)[::stride]
    return np.asarray(windows @ filters.T)


def overlap_null(
    filters: Float[np.ndarray, "n k"],
    archetypes: Float[np.ndarray, "m n"],
    rng: np.random.Generator,
    lag: int = 1,
    stride: int = 1,
    n_frames: int = 1000,
    n_recordings: int = 20,
) -> OverlapNull:
    """Predict archetypes of white noise: all that is found is overlap of windows (METHODS A-17).

    What real sounds show beyond this is state dependence. For 32 random filters of 7 taps at stride
    1 the accuracy is near 0.8 at lag 1 and 0.3 at lag 7, where no samples are shared and only the
    regression of −r[t] to the mean is left.

    Args:
        filters: Of the layer, trained or random.
        archetypes: The directions to tell apart, for instance the 20 most used.
        rng: Draws noise, splits, rows.
        lag: Of the generators, in frames.
        stride: Of the layer, in samples.
        n_frames: Per recording of noise.
        n_recordings: Recordings of noise.
    """
    clips = [noise_responses(filters, n_frames, stride, rng) for _ in range(n_recordings)]
    states = np.concatenate([clip[:-lag] for clip in clips])
    generators = np.concatenate([clip[lag:] - clip[:-lag] for clip in clips])
    recordings = np.repeat(np.arange(n_recordings), n_frames - lag)
    labels = top_labels(generators, archetypes)
    return OverlapNull(
        predict_label(states, labels, recordings, rng),
        linear_r_squared(states, generators, recordings, rng),
    )
