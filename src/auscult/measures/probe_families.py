"""Readouts that a probe can be: linear, ridge, k-sparse, one hidden layer, nearest neighbours.

Each owns the standardisation of what it reads, so that it can be saved, moved and applied as one.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from auscult.core.errors import ConfigError
from auscult.measures.multinomial import minimise
from auscult.measures.probe_targets import Target

_SELECTION_WORK = 2e9  # multiplications per step of forward selection: rows are drawn to fit


@dataclass(frozen=True)
class Answers:
    """What a readout says about rows.

    Attributes:
        log_probabilities: Of each class, natural logarithm.
        values: Point estimate in the target's unit, for an ordered target; else NaN.
        from_values: Whether the values came first and the probabilities were made from them.
    """

    log_probabilities: Float[np.ndarray, "n n_classes"]
    values: Float[np.ndarray, " n"]
    from_values: bool = False

    def rows(self, chosen: Shaped[np.ndarray, " k"]) -> "Answers":
        """The same for some rows."""
        return replace(
            self,
            log_probabilities=self.log_probabilities[chosen],
            values=self.values[chosen],
        )

    @property
    def classes(self) -> Int[np.ndarray, " n"]:
        """The most probable class of each row."""
        return np.asarray(self.log_probabilities.argmax(axis=1))


class Readout(ABC):
    """A fitted map from vectors to answers."""

    @abstractmethod
    def answers(self, x: Float[np.ndarray, "n d"]) -> Answers:
        """Read some vectors."""


@runtime_checkable
class Family(Protocol):
    """How a kind of readout is fitted; ``strengths`` are tried from the smoothest on."""

    @property
    def name(self) -> str:
        """As printed with every score."""
        ...

    @property
    def strengths(self) -> tuple[float, ...]:
        """What validation chooses among."""
        ...

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        target: Target,
        strength: float,
        rng: np.random.Generator,
        start: Readout | None = None,
    ) -> Readout:
        """Fit to rows that all have a class; ``start`` is a readout to begin from."""
        ...


@dataclass(frozen=True)
class Standardised:
    """Mean and spread of the training rows; a constant column is left out by a spread of 1."""

    mean: Float[np.ndarray, " d"]
    spread: Float[np.ndarray, " d"]

    @classmethod
    def of(cls, x: Float[np.ndarray, "n d"]) -> "Standardised":
        """Of these rows."""
        mean = x.mean(axis=0, dtype=np.float64)
        spread = x.std(axis=0, dtype=np.float64)
        flat = spread <= 1e-6 * np.maximum(np.abs(mean), 1e-12)
        return cls(mean, np.where(flat, 1.0, spread))

    def apply(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Centre and scale, in float32."""
        return ((x - self.mean.astype(np.float32)) / self.spread.astype(np.float32)).astype(
            np.float32
        )


def estimate(
    log_p: Float[np.ndarray, "n n_classes"], target_centres: Float[np.ndarray, " n_classes"]
) -> Float[np.ndarray, " n"]:
    """Expected value over the classes that stand on the scale."""
    on_scale = np.isfinite(target_centres)
    if not on_scale.any():
        return np.full(len(log_p), np.nan)
    part = log_p[:, on_scale]
    weights = np.exp(part - part.max(axis=1, keepdims=True))
    return np.asarray(weights @ target_centres[on_scale] / weights.sum(axis=1))


@final
@dataclass(frozen=True)
class LinearReadout(Readout):
    """Logits ``weights @ x + bias`` in the units of x itself: standardisation is folded in.

    Attributes:
        weights: Of each class; the direction along which its logit grows fastest.
        bias: Of each class.
        centres: Of the target's classes.
    """

    weights: Float[np.ndarray, "n_classes d"]
    bias: Float[np.ndarray, " n_classes"]
    centres: Float[np.ndarray, " n_classes"]

    def logits(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n_classes"]:
        """Before the softmax."""
        return np.asarray(x.astype(np.float64) @ self.weights.T + self.bias)

    def answers(self, x: Float[np.ndarray, "n d"]) -> Answers:
        """Softmax of the logits."""
        logits = self.logits(x)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return Answers(log_p, estimate(log_p, self.centres))


@final
@dataclass(frozen=True)
class Linear:
    """Multinomial logistic regression: summed cross-entropy + strength / 2 · ‖W‖², by L-BFGS.

    W acts on standardised vectors; the bias is free. The strength is scikit-learn's 1 / C: a prior,
    that may be chosen on some rows and used on all. Classes that no row is of start from the bias
    that half a row would give them.

    Attributes:
        strengths: Weight decays.
        balanced: Weigh rows so that every class counts alike.
        n_steps: Most steps of L-BFGS.
    """

    strengths: tuple[float, ...] = (1000.0, 100.0, 10.0, 1.0, 0.1)
    balanced: bool = False
    n_steps: int = 200

    @property
    def name(self) -> str:
        """As printed with every score."""
        return "linear"

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        target: Target,
        strength: float,
        rng: np.random.Generator,  # noqa: ARG002
        start: Readout | None = None,
    ) -> LinearReadout:
        """Fit to rows that all have a class."""
        scaling = Standardised.of(x)
        scaled = torch.from_numpy(scaling.apply(x))
        n_classes, d = target.n_classes, x.shape[1]
        counts = np.bincount(target.labels, minlength=n_classes)
        first = np.zeros((n_classes, d + 1))
        first[:, d] = np.log(np.maximum(counts, 0.5) / len(x))
        if isinstance(start, LinearReadout):
            first[:, :d] = start.weights * scaling.spread
            first[:, d] = start.bias + start.weights @ scaling.mean
        weight = np.ones(len(x))
        if self.balanced:
            weight = len(x) / (np.sum(counts > 0) * counts[target.labels])
        found = minimise(scaled, target.labels, weight, first, strength / len(x), self.n_steps)
        weights = found[:, :d] / scaling.spread
        return LinearReadout(weights, found[:, d] - weights @ scaling.mean, target.centres)


@final
@dataclass(frozen=True)
class RidgeReadout(Readout):
    """A straight line per channel; classes are as probable as a normal error makes them.

    Attributes:
        weights: Of the value, in its unit per unit of each channel.
        bias: In the value's unit.
        deviation: Standard deviation of the error on the training rows.
        centres: Of the target's classes.
    """

    weights: Float[np.ndarray, " d"]
    bias: float
    deviation: float
    centres: Float[np.ndarray, " n_classes"]

    def answers(self, x: Float[np.ndarray, "n d"]) -> Answers:
        """The value, and how near each class is to it; a class off the scale is never chosen."""
        values = x.astype(np.float64) @ self.weights + self.bias
        distance = (values[:, None] - self.centres) / max(self.deviation, 1e-12)
        logits = np.where(np.isfinite(self.centres), -np.square(distance) / 2, -1e9)
        logits -= logits.max(axis=1, keepdims=True)
        return Answers(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), values, True)


@final
@dataclass(frozen=True)
class Ridge:
    """Least squares on the value: summed squared error + strength · ‖w‖², scikit-learn's alpha.

    Attributes:
        strengths: Weight decays.
    """

    strengths: tuple[float, ...] = (10_000.0, 1000.0, 100.0, 10.0, 1.0, 0.1)

    @property
    def name(self) -> str:
        """As printed with every score."""
        return "ridge"

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        target: Target,
        strength: float,
        rng: np.random.Generator,  # noqa: ARG002
        start: Readout | None = None,  # noqa: ARG002
    ) -> RidgeReadout:
        """Fit to the rows that have a value.

        Raises:
            ConfigError: The target has no values.
        """
        known = np.isfinite(target.values)
        if not known.any():
            raise ConfigError("ridge reads values, and these classes have none")
        scaling = Standardised.of(x[known])
        z, y = scaling.apply(x[known]).astype(np.float64), target.values[known]
        middle = y.mean()
        gram = z.T @ z + strength * np.eye(z.shape[1])
        slope = np.linalg.solve(gram, z.T @ (y - middle))
        weights = slope / scaling.spread
        deviation = float(np.std(y - middle - z @ slope))
        return RidgeReadout(
            weights, float(middle - weights @ scaling.mean), deviation, target.centres
        )


def forward_order(
    x: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    n_columns: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, " k"]:
    """Choose columns one by one: each time the one that explains most of the labels still left.

    Orthogonal matching pursuit of the one-hot labels (every class scaled to the same variance) on
    standardised columns. The first ``k`` are the choice for every smaller ``k`` too.
    """
    classes = np.unique(labels)
    n_most = max(2_000, int(_SELECTION_WORK / (x.shape[1] * len(classes))))
    if len(x) > n_most:
        some = np.sort(rng.choice(len(x), n_most, replace=False))
        x, labels = x[some], labels[some]
    z = Standardised.of(x).apply(x)
    wanted = (labels[:, None] == classes).astype(np.float32)
    wanted -= wanted.mean(axis=0)
    wanted /= np.maximum(wanted.std(axis=0), 1e-6)
    flat = ~z.any(axis=0)
    own = np.maximum(np.square(z).sum(axis=0), 1e-12)
    explained = np.zeros(z.shape[1])  # of each column, by the chosen ones
    basis: list[np.ndarray] = []
    chosen: list[int] = []
    for _ in range(min(n_columns, z.shape[1])):
        left = own - explained
        gain = np.square(z.T @ wanted).sum(axis=1) / np.maximum(left, 1e-12)
        # A column that never varies, as that of a dead feature, has no direction to be added.
        gain[(left < 1e-6 * own) | np.isin(np.arange(len(gain)), chosen) | flat] = -1
        best = int(gain.argmax())
        if gain[best] < 0:
            break
        chosen.append(best)
        direction = z[:, best].astype(np.float64)
        for earlier in basis:
            direction -= (earlier @ direction) * earlier
        direction /= np.linalg.norm(direction)
        basis.append(direction)
        along = direction.astype(np.float32)
        explained += np.square(along @ z)
        wanted -= np.outer(along, along @ wanted)
    return np.array(chosen, dtype=np.int64)


@final
@dataclass(frozen=True)
class Sparse:
    """A linear readout of ``k`` columns only, chosen by :func:`forward_order`.

    Attributes:
        k: Number of columns.
        strengths: Weight decays.
    """

    k: int = 5
    strengths: tuple[float, ...] = (100.0, 1.0)

    @property
    def name(self) -> str:
        """As printed with every score."""
        return f"{self.k}-sparse"

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        target: Target,
        strength: float,
        rng: np.random.Generator,
        start: Readout | None = None,
    ) -> LinearReadout:
        """Choose columns, unless ``start`` has chosen already, and fit to them."""
        chosen = (
            np.flatnonzero(np.any(start.weights != 0, axis=0))
            if isinstance(start, LinearReadout)
            else np.sort(forward_order(x, target.labels, self.k, rng))
        )
        part = Linear().fit(x[:, chosen], target, strength, rng)
        weights = np.zeros((target.n_classes, x.shape[1]))
        weights[:, chosen] = part.weights
        return LinearReadout(weights, part.bias, target.centres)
