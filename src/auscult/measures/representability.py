"""Which partials of a sound stay decodable, and what foretells it (METHODS B-5)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from jaxtyping import Complex, Float, Int, Shaped

from auscult.measures.collapse import Signal, correlation
from auscult.measures.folding import cosines, folded_hz
from auscult.measures.stages import Stage
from auscult.measures.tone_sweep import (
    clip_samples,
    lines_of,
    steady_responses,
    tone_waves,
)
from auscult.models.base import AudioModel

Kind = Literal["boosted", "linear"]

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
)
"""What is known of a partial from signal and architecture alone; distances in bins of what is
observed, as log(1 + x); levels in dB; the stride as its logarithm."""

_FAR_DB = 60.0
_LOBE_BINS = 3.0


@dataclass(frozen=True)
class Partials:
    """Rows: one partial of one signal at one stage.

    Attributes:
        predictors: In the order of :data:`PREDICTORS`.
        decodable: Held-out R² of a linear probe for the partial's level, 0 to 1.
        architecture: Number of the architecture of each row.
        signal: Number of the signal of each row.
    """

    predictors: Float[np.ndarray, "n predictor"]
    decodable: Float[np.ndarray, " n"]
    architecture: Int[np.ndarray, " n"]
    signal: Int[np.ndarray, " n"]

    def taken(self, where: Shaped[np.ndarray, " n"]) -> "Partials":
        """Some of the rows."""
        return Partials(*(getattr(self, f.name)[where] for f in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence["Partials"]) -> "Partials":
        """Rows of several, one behind another."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def partials_of(
    model: AudioModel,
    stages: Sequence[Stage],
    signals: Sequence[Signal],
    tones_hz: Float[np.ndarray, " tone"],
    rng: np.random.Generator,
    first: int = 0,
    n_contexts: int = 96,
    n_frames: int = 40,
) -> Partials:
    """Observe how well each partial of each signal is decodable, with what could have foretold it.

    A context is the signal with every partial at a level of its own, drawn over 20 dB, and at a
    phase of its own. A ridge probe reads the log level of a partial from the log magnitudes of
    every channel at the line where the partial lands, and from the channels' means; it is judged on
    contexts that it was not fitted to.

    Args:
        model: The model.
        stages: Where; each counts as an architecture of its own.
        signals: Sets of partials.
        tones_hz: The grid that they are taken from.
        rng: Draws levels and phases.
        first: Number of the first architecture.
        n_contexts: Contexts of each signal; a third of them is held out.
        n_frames: Frames of the slowest stage that hear nothing of the clip's ends.
    """
    n_samples = clip_samples(model, stages, n_frames)
    waves = tone_waves(tones_hz, model.sample_rate, n_samples)
    alone = _alone(model, stages, waves)
    parts = []
    for number, signal in enumerate(signals):
        levels, sound = _contexts(
            tones_hz[signal.partials], model.sample_rate, n_samples, n_contexts, rng
        )
        heard = _in_chunks(model, stages, sound)
        for place, stage in enumerate(stages):
            values = heard[stage.address]
            told = _foretelling(stage, tones_hz, signal.partials, alone[stage.address], values)
            decodable = _decodable(values, stage, tones_hz[signal.partials], levels)
            n = len(signal.partials)
            parts.append(Partials(told, decodable, np.full(n, first + place), np.full(n, number)))
    return Partials.joined(parts)


def _in_chunks(
    model: AudioModel, stages: Sequence[Stage], sound: Float[np.ndarray, "sound time"]
) -> dict[str, Float[np.ndarray, "sound frame channel"]]:
    """What stages say to many sounds, a few seconds at a time."""
    size = max(1, int(8 * model.sample_rate / sound.shape[1]))
    parts = [
        steady_responses(model, stages, sound[i : i + size]) for i in range(0, len(sound), size)
    ]
    return {s.address: np.concatenate([part[s.address] for part in parts]) for s in stages}


def _alone(
    model: AudioModel, stages: Sequence[Stage], waves: Float[np.ndarray, "tone time"]
) -> dict[str, Float[np.ndarray, "tone frame channel"]]:
    return _in_chunks(model, stages, waves)


def _contexts(
    f_hz: Float[np.ndarray, " partial"],
    sample_rate: int,
    n_samples: int,
    n_contexts: int,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "context partial"], Float[np.ndarray, "context time"]]:
    """Levels (natural logarithms of amplitudes, -20 to 0 dB re 0.1) and sounds."""
    levels = rng.uniform(np.log(0.1), 0.0, (n_contexts, len(f_hz)))
    phases = rng.uniform(0, 2 * np.pi, (n_contexts, len(f_hz)))
    turning = 2 * np.pi * f_hz[:, None] * np.arange(n_samples) / sample_rate
    sound = np.zeros((n_contexts, n_samples))
    for p in range(len(f_hz)):
        cosine, sine = np.cos(turning[p]), np.sin(turning[p])
        amplitude = 0.1 * np.exp(levels[:, p])
        sound += np.outer(amplitude * np.cos(phases[:, p]), cosine)
        sound -= np.outer(amplitude * np.sin(phases[:, p]), sine)
    return levels, sound.astype(np.float32)


def _foretelling(
    stage: Stage,
    tones_hz: Float[np.ndarray, " tone"],
    chosen: Int[np.ndarray, " partial"],
    alone: Float[np.ndarray, "tone frame channel"],
    values: Float[np.ndarray, "context frame channel"],
) -> Float[np.ndarray, "partial predictor"]:
    """What strides, spans and answers to single tones say; the contexts are not looked at."""
    n_frames = values.shape[1]
    rate = stage.rate_hz
    lines = lines_of(alone, tones_hz, rate, np.zeros(alone.shape[2]))
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


def _decodable(
    values: Float[np.ndarray, "context frame channel"],
    stage: Stage,
    f_hz: Float[np.ndarray, " partial"],
    levels: Float[np.ndarray, "context partial"],
) -> Float[np.ndarray, " partial"]:
    """Held-out R² of each partial's level, not below 0."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n, n_frames = values.shape[:2]
    means = values.mean(1)
    window = np.hanning(n_frames + 2)[1:-1]
    moving = (values - means[:, None]) * window[:, None]
    fitted = np.arange(n) % 3 > 0
    scores = []
    for p, hz in enumerate(folded_hz(f_hz, stage.rate_hz).tolist()):
        turning = np.exp(-2j * np.pi * hz / stage.rate_hz * np.arange(n_frames))
        line: Complex[np.ndarray, "context channel"] = np.einsum("t,ntc->nc", turning, moving)
        x = np.concatenate([np.log(np.abs(line) + 1e-6), means], 1)
        probe = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-2, 1e4, 13)))
        probe.fit(x[fitted], levels[fitted, p])
        left = levels[~fitted, p] - probe.predict(x[~fitted])
        total = levels[~fitted, p] - levels[fitted, p].mean()
        scores.append(1 - float(np.sum(left**2) / np.sum(total**2)))
    return np.asarray(np.maximum(np.array(scores), 0.0))


Predict = Callable[[Float[np.ndarray, "n predictor"]], Float[np.ndarray, " n"]]


def fit_prediction(
    x: Float[np.ndarray, "n predictor"], y: Float[np.ndarray, " n"], kind: Kind, seed: int
) -> tuple[Predict, Float[np.ndarray, " predictor"]]:
    """Learn decodability from predictors.

    Returns:
        The prediction; and the weight of each predictor: standardised coefficients of the linear
        model, shares of the loss's fall of the boosted one.
    """
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "linear":
        model = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-2, 1e3, 11))).fit(x, y)
        return model.predict, np.asarray(model[-1].coef_)
    boosted = GradientBoostingRegressor(
        n_estimators=200, max_depth=3, subsample=0.7, learning_rate=0.06, random_state=seed
    ).fit(x, y)
    return boosted.predict, np.asarray(boosted.feature_importances_)


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
