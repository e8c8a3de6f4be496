"""Directions that generators take, and the states that they leave (METHODS A-17, A-18)."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from auscult.core.errors import NothingToMeasureError
from auscult.dictionaries.base import Dictionary
from auscult.measures.dynamics import fit_linear
from auscult.measures.prediction import linear_r_squared, predict_label
from auscult.measures.usage import most_used

_CHUNK_ROWS = 8192
_FEWEST = 100
_NAN = float("nan")


def direction_acts(
    dictionary: Dictionary, generators: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "n m"]:
    """How far generators go along each direction, never negative.

    An atom of a signed dictionary stands for two opposite directions, which lead elsewhere: the
    columns of the atoms are followed by those of their opposites.
    """
    parts = [np.zeros((0, dictionary.n_features), dtype=np.float32)]
    with torch.no_grad():
        for start in range(0, len(generators), _CHUNK_ROWS):
            part = np.ascontiguousarray(generators[start : start + _CHUNK_ROWS], dtype=np.float32)
            parts.append(dictionary.encode(torch.from_numpy(part)).numpy())
    acts = np.concatenate(parts)
    if dictionary.signed:
        acts = np.concatenate([acts, -acts], axis=1)
    return np.maximum(acts, 0)


def top_directions(
    dictionary: Dictionary,
    generators: Float[np.ndarray, "n d"],
    among: Int[np.ndarray, " k"] | None = None,
) -> Int[np.ndarray, " n"]:
    """Direction with the greatest activation, argmax z (METHODS A-17); -1 where none is active.

    Args:
        dictionary: Of generators.
        generators: As recorded.
        among: Columns of :func:`direction_acts` to choose among; None for all.
    """
    acts = direction_acts(dictionary, generators)
    columns = np.arange(acts.shape[1]) if among is None else among
    acts = acts[:, columns]
    return np.where(acts.max(axis=1, initial=0.0) > 0, columns[acts.argmax(axis=1)], -1)


def direction_name(direction: int, n_features: int) -> str:
    """What people call a column of :func:`direction_acts`.

    >>> direction_name(3, 8), direction_name(11, 8)
    ('archetype 3', 'archetype 3, opposite')
    """
    opposite = ", opposite" if direction >= n_features else ""
    return f"archetype {direction % n_features}{opposite}"


def linearly_read(
    dictionary: Dictionary,
    states: Float[np.ndarray, "n d"],
    generators: Float[np.ndarray, "n d"],
    test: Bool[np.ndarray, " n"],
    among: Int[np.ndarray, " k"],
) -> Int[np.ndarray, " n_test"]:
    """Top directions of generators that a linear map foretells (METHODS A-17).

    The linear-predictability null: what remains beyond it is not linear in the state.

    Args:
        dictionary: Of generators.
        states: The r[t].
        generators: The g[t].
        test: Rows to foretell; the others are learned from.
        among: Directions to choose among.
    """
    step = fit_linear(states[~test], generators[~test])
    return top_directions(dictionary, step.predict(states[test]).astype(np.float32), among)


@dataclass(frozen=True)
class Foretold:
    """How well states foretell the direction that leads on (METHODS A-17); NaN where untested.

    Attributes:
        reason: Why nothing was tested, or "".
        accuracy: Share of right answers in recordings that were not learned from.
        interval: 95 % bootstrap interval of it over recordings.
        balanced: Mean share of right answers of each direction.
        majority: Accuracy of always naming the direction most frequent in training.
        permuted: Accuracy after labels were permuted in training, if that was asked for.
        linear_accuracy: Accuracy of the top direction of linearly foretold generators.
        linear_balanced: The same, balanced.
        r_squared: Held-out R² of the generator, linear in the state.
        n_labels: Directions told apart.
        kept_share: Share of generators on top of which one of these directions is.
        recordings: Recording of each tested generator.
        truth: Rank by usage of each one's direction, 0 the most used.
        given: The rank that was answered.
    """

    reason: str = ""
    accuracy: float = _NAN
    interval: tuple[float, float] = (_NAN, _NAN)
    balanced: float = _NAN
    majority: float = _NAN
    permuted: float = _NAN
    linear_accuracy: float = _NAN
    linear_balanced: float = _NAN
    r_squared: float = _NAN
    n_labels: int = 0
    kept_share: float = _NAN
    recordings: Shaped[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0))
    truth: Int[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, np.int64))
    given: Int[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def right(self) -> Float[np.ndarray, " n"]:
        """1 where the answer is right."""
        return np.asarray(self.truth == self.given, dtype=np.float64)

    @property
    def skill(self) -> float:
        """Share of what the most frequent direction leaves wrong that is right: at most 1.

        Compares conditions whose directions are used unevenly; 0 is no better than it.
        """
        return (self.accuracy - self.majority) / (1 - self.majority) if self.majority < 1 else _NAN


def foretell(
    dictionary: Dictionary,
    states: Float[np.ndarray, "n d"],
    generators: Float[np.ndarray, "n d"],
    recording_ids: Shaped[np.ndarray, " n"],
    n_directions: int,
    n_most: int,
    rng: np.random.Generator,
    permuted: bool = False,
) -> Foretold:
    """Learn to name the top direction from the state, among the most used ones (METHODS A-17).

    Args:
        dictionary: Of generators.
        states: The r[t].
        generators: The g[t]; those led by other directions, or by none, are left out.
        recording_ids: Recording of each; learned from and tested on different ones.
        n_directions: How many of the most used directions are told apart.
        n_most: Largest number of generators to learn from, and to test on.
        rng: Splits, and draws.
        permuted: Whether to learn from permuted labels as well.

    Raises:
        NothingToMeasureError: There are too few generators.
        ConfigError: One recording only, or one direction only.
    """
    labels = top_directions(dictionary, generators)
    counts = np.bincount(labels[labels >= 0], minlength=1)
    kept = most_used(counts.astype(np.float64), n_directions)
    kept = kept[counts[kept] > 0]
    inside = np.isin(labels, kept)
    if inside.sum() < _FEWEST:
        raise NothingToMeasureError(
            f"only {int(inside.sum())} generators are left; record more frames"
        )
    states, generators = states[inside], generators[inside]
    recordings = recording_ids[inside]
    rank = np.zeros(len(counts), dtype=np.int64)
    rank[kept] = np.arange(len(kept))
    truth = rank[labels[inside]]
    told = predict_label(states, truth, recordings, rng, n_most, shuffled=permuted)
    test = np.isin(recordings, np.unique(recordings[told.rows]))
    read = linearly_read(dictionary, states, generators, test, kept)
    read = np.where(read >= 0, rank[read], -1)
    return Foretold(
        accuracy=told.accuracy,
        interval=told.interval,
        balanced=told.balanced_accuracy,
        majority=told.majority,
        permuted=told.shuffled,
        linear_accuracy=float(np.mean(read == truth[test])),
        linear_balanced=float(np.mean(recalls(truth[test], read)[1])),
        r_squared=linear_r_squared(states, generators, recordings, rng),
        n_labels=len(kept),
        kept_share=float(inside.mean()),
        recordings=recordings[told.rows],
        truth=truth[told.rows],
        given=told.answers,
    )


def recalls(
    truth: Int[np.ndarray, " n"], given: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Labels that occur, and the share of each one's cases that were told."""
    known = np.unique(truth)
    return known, np.array([np.mean(given[truth == label] == label) for label in known])


def gap_interval(
    right: Float[np.ndarray, " n"],
    recording_ids: Shaped[np.ndarray, " n"],
    others: Float[np.ndarray, " m"],
    other_ids: Shaped[np.ndarray, " m"],
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> tuple[float, float]:
    """95 % bootstrap interval of a difference of accuracies, recordings and answers resampled.

    On each side recordings are drawn, and answers within them: a few recordings vary too little
    for the first alone to be honest. Bias: with fewer than about ten recordings on a side it is
    still too narrow (METHODS §1.4).

    Args:
        right: 1 for each right answer, 0 for each wrong one.
        recording_ids: Recording of each.
        others: What is subtracted, in the same way.
        other_ids: Recording of each.
        rng: Draws.
        n_resamples: Number of resamples.
    """
    gaps = _resampled(right, recording_ids, rng, n_resamples)
    gaps -= _resampled(others, other_ids, rng, n_resamples)
    low, high = np.quantile(gaps, (0.025, 0.975))
    return float(low), float(high)


def _resampled(
    right: np.ndarray, recording_ids: np.ndarray, rng: np.random.Generator, n_resamples: int
) -> Float[np.ndarray, " resample"]:
    _, which = np.unique(recording_ids, return_inverse=True)
    sizes = np.bincount(which)
    shares = np.bincount(which, right) / sizes
    drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), n_resamples) * sizes
    return np.asarray(rng.binomial(drawn, shares).sum(axis=1) / drawn.sum(axis=1))


def ratio_interval(
    states: Float[np.ndarray, "n d"],
    tops: Int[np.ndarray, " n"],
    chosen: Int[np.ndarray, " k"],
    radii: Float[np.ndarray, " k"],
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> tuple[float, float]:
    """95 % bootstrap interval of the median ratio of dispersion over recordings (METHODS A-18).

    Centroids and the radii compared with stay as they are. Bias: as for any interval over fewer
    than about ten recordings, too narrow.

    Args:
        states: The r[t].
        tops: Direction that leads on from each.
        chosen: The directions in question.
        radii: What the radius of each is divided by.
        recording_ids: Recording of each state.
        rng: Draws recordings.
        n_resamples: Number of resamples.
    """
    _, which = np.unique(recording_ids, return_inverse=True)
    n_recordings = int(which.max()) + 1
    sums, counts = np.zeros((n_recordings, len(chosen))), np.zeros((n_recordings, len(chosen)))
    for place, direction in enumerate(chosen):
        own = tops == direction
        centred = states[own] - states[own].mean(axis=0, dtype=np.float64)
        far = np.linalg.norm(centred, axis=1) / max(float(radii[place]), 1e-300)
        sums[:, place] = np.bincount(which[own], far, n_recordings)
        counts[:, place] = np.bincount(which[own], minlength=n_recordings)
    # Recordings without any of these starts say nothing; left out, no resample is empty.
    told = counts.sum(axis=1) > 0
    n_told = int(told.sum())
    drawn = rng.multinomial(n_told, np.full(n_told, 1 / n_told), n_resamples)
    heard = drawn @ counts[told]
    ratios = np.divide(drawn @ sums[told], heard, out=np.full(heard.shape, np.nan), where=heard > 0)
    low, high = np.quantile(np.nanmedian(ratios, axis=1), (0.025, 0.975))
    return float(low), float(high)
