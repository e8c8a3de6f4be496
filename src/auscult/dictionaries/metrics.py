"""How well a dictionary describes vectors: one pass, in float64, each figure with its bias."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from auscult.core.errors import UserError, WidthError
from auscult.dictionaries.base import Dictionary
from auscult.store.source import VectorSource

DENSE_USAGE = 0.1
"""A feature that is on in more than this share of vectors counts as dense."""

_NO_VARIATION = 1e-12


@dataclass(frozen=True)
class DictionaryMetrics:
    """Figures of one dictionary on one set of vectors. What is undefined there is NaN.

    "About the mean" means after subtracting the mean of the evaluated vectors, so that a constant
    offset, which any bias reproduces, earns nothing.

    Attributes:
        n_vectors: Vectors looked at.
        fvu: Fraction of variance unexplained, ``Σ ‖x - x̂‖² / Σ ‖x - mean x‖²``. In [0, ∞): 0 is
            perfect, 1 is no better than the mean, lower is better. Loud frames dominate it; more
            features or a higher l0 lower it by themselves, so compare at equal l0.
        explained_variance: ``1 - fvu`` of each dimension alone, in (-∞, 1], higher is better. NaN
            for a dimension that does not vary.
        cosine: Mean cosine of x and x̂, in [-1, 1], higher is better. An offset common to all
            vectors brings it near 1 without any feature. Vectors of length zero are left out, here
            and below.
        centred_cosine: The same about the mean. Every frame counts alike, however quiet.
        l0: Mean number of features that are not zero, in [0, n_features]. What is wanted depends on
            the question; without it the other figures mean little.
        l0_per_second: l0 times frames per second: comparable between taps of different rates. NaN
            where the dictionary's provenance has no time base.
        usage: Share of vectors in which each feature is on, in [0, 1].
        dead_fraction: Share of features that are off on every vector, in [0, 1], lower is better.
            It falls as more vectors are looked at.
        dense_share: Share of features that are on in more than a tenth of the vectors, in [0, 1].
        reconstruction_bias: ``Σ ‖x̂‖² / Σ x·x̂`` about the mean, as SAEBench's
            ``relative_reconstruction_bias`` on centred vectors. 1 is unbiased; below 1
            reconstructions are systematically too short (the shrinkage of an L1 penalty), above 1
            too long.
        relative_norm: Mean ``‖x̂‖ / ‖x‖`` about the mean, in [0, ∞). Below 1 also for an unbiased
            but imperfect reconstruction, and dominated by quiet frames.
    """

    n_vectors: int
    fvu: float
    explained_variance: Float64[np.ndarray, " d_out"]
    cosine: float
    centred_cosine: float
    l0: float
    l0_per_second: float
    usage: Float64[np.ndarray, " n_features"]
    dead_fraction: float
    dense_share: float
    reconstruction_bias: float
    relative_norm: float

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN becomes None."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(entry) for entry in value.tolist()]
    return value if isinstance(value, int) or math.isfinite(value) else None


@torch.no_grad()
def evaluate(
    dictionary: Dictionary,
    source: VectorSource,
    batch: int = 8192,
    targets: VectorSource | None = None,
) -> DictionaryMetrics:
    """Measure a dictionary on every vector of a source; batches change nothing but the last digits.

    Args:
        dictionary: To be measured; it is left in the mode that it was in.
        source: Vectors to encode.
        batch: How many at a time.
        targets: What should be reconstructed, if not the vectors themselves.

    Raises:
        WidthError: The vectors were made for another dictionary.
        UserError: There are more or fewer targets than vectors.
    """
    if source.d_in != dictionary.d_in:
        raise WidthError(
            f"this dictionary takes vectors of width {dictionary.d_in}, "
            f"but the source has vectors of width {source.d_in}"
        )
    wanted = source if targets is None else targets
    if wanted.n_vectors != source.n_vectors:
        raise UserError(
            f"{wanted.n_vectors} targets for {source.n_vectors} vectors: give one for each"
        )
    sums = _Sums(wanted.statistics.mean, dictionary.n_features)
    device, training = dictionary.preprocess.mean.device, dictionary.training
    dictionary.eval()
    try:
        for values, target in zip(source.ordered(batch), wanted.ordered(batch), strict=True):
            acts = dictionary.encode(torch.from_numpy(values).to(device))
            sums.add(target, acts, dictionary.decode(acts))
    finally:
        dictionary.train(training)
    time = dictionary.provenance.time
    return sums.metrics(float(time.frame_rate) if time else math.nan)


class _Sums:
    """Running sums about the mean."""

    def __init__(self, mean: Float64[np.ndarray, " d"], n_features: int) -> None:
        self.mean = mean
        self.n = 0
        self.error = np.zeros(len(mean))
        self.power = np.zeros(len(mean))
        self.offset = np.zeros(len(mean))
        self.raw_power = 0.0
        self.estimate_power = self.product = 0.0
        self.cosine, self.centred_cosine, self.relative_norm = _Mean(), _Mean(), _Mean()
        self.on = np.zeros(n_features, np.int64)

    def add(
        self,
        values: Float[np.ndarray, "n d"],
        acts: Float[Tensor, "n n_features"],
        decoded: Float[Tensor, "n d"],
    ) -> None:
        x, estimate = values.astype(np.float64), decoded.cpu().numpy().astype(np.float64)
        self.cosine.add(_row_dot(x, estimate), _norms(x) * _norms(estimate))
        self.raw_power += float(np.square(x).sum())
        self.error += np.square(x - estimate).sum(0)
        x -= self.mean
        estimate -= self.mean
        self.n += len(x)
        self.offset += x.sum(0)
        self.power += np.square(x).sum(0)
        products = _row_dot(x, estimate)
        self.centred_cosine.add(products, _norms(x) * _norms(estimate))
        self.relative_norm.add(_norms(estimate), _norms(x))
        self.estimate_power += float(np.square(estimate).sum())
        self.product += float(products.sum())
        self.on += (acts != 0).sum(0).cpu().numpy()

    def metrics(self, frame_rate: float) -> DictionaryMetrics:
        # The mean given is that of the statistics; what is left of it is taken out exactly.
        variance = np.maximum(self.power - self.offset**2 / self.n, 0.0)
        moves = variance > _NO_VARIATION * (variance + self.n * self.mean**2)
        explained = np.full(len(variance), math.nan)
        explained[moves] = 1.0 - self.error[moves] / variance[moves]
        total = float(variance.sum())
        usage = self.on / self.n
        l0 = float(self.on.sum()) / self.n
        return DictionaryMetrics(
            n_vectors=self.n,
            fvu=_ratio(float(self.error.sum()), total, _NO_VARIATION * self.raw_power),
            explained_variance=explained,
            cosine=self.cosine.value,
            centred_cosine=self.centred_cosine.value,
            l0=l0,
            l0_per_second=l0 * frame_rate,
            usage=usage,
            dead_fraction=float((usage == 0).mean()),
            dense_share=float((usage > DENSE_USAGE).mean()),
            reconstruction_bias=_ratio(self.estimate_power, self.product),
            relative_norm=self.relative_norm.value,
        )


class _Mean:
    """Mean of quotients; those with a zero below are left out."""

    def __init__(self) -> None:
        self.total, self.n = 0.0, 0

    def add(self, above: Float64[np.ndarray, " n"], below: Float64[np.ndarray, " n"]) -> None:
        defined = below > 0
        self.total += float((above[defined] / below[defined]).sum())
        self.n += int(defined.sum())

    @property
    def value(self) -> float:
        return self.total / self.n if self.n else math.nan


def _ratio(above: float, below: float, least: float = 0.0) -> float:
    return above / below if below > least else math.nan


def _norms(rows: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, " n"]:
    lengths: np.ndarray = np.sqrt(np.square(rows).sum(1))
    return lengths


def _row_dot(
    a: Float64[np.ndarray, "n d"], b: Float64[np.ndarray, "n d"]
) -> Float64[np.ndarray, " n"]:
    products: np.ndarray = np.einsum("nd,nd->n", a, b)
    return products
