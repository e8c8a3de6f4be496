"""How well a dictionary describes vectors: one pass, in float64, each figure with its bias."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from auscult.core.errors import UserError, WidthError
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.sums import Sums
from auscult.store.source import VectorSource


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
            ``relative_reconstruction_bias`` on centred vectors: one over the slope of the
            regression of x on x̂. 1 is unbiased; below 1 reconstructions are systematically too
            short (the shrinkage of an L1 penalty), above 1 too long.
        relative_norm: Mean ``‖x̂‖ / ‖x‖`` about the mean, in [0, ∞). Below 1 also for an unbiased
            but imperfect reconstruction, and dominated by quiet frames.
        hoyer: Mean Hoyer sparsity of the activations, ``(√m - ‖z‖₁ / ‖z‖₂) / (√m - 1)``, in [0, 1]:
            1 where one feature is on, 0 where all are on alike. Unlike l0 it sees how unequal those
            are that are on; it grows with the number of features at the same l0. Vectors without an
            active feature are left out.
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
    hoyer: float

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
    sums = Sums(wanted.statistics.mean, dictionary.n_features)
    device, training = dictionary.preprocess.mean.device, dictionary.training
    dictionary.eval()
    try:
        for values, target in zip(source.ordered(batch), wanted.ordered(batch), strict=True):
            x = torch.from_numpy(values).to(device)
            acts = dictionary.encode(x)
            sums.add(target, acts, dictionary.rebuild(x, acts))
    finally:
        dictionary.train(training)
    return metrics_of(sums, dictionary)


def metrics_of(sums: Sums, dictionary: Dictionary) -> DictionaryMetrics:
    """The figures of sums taken with this dictionary, every vector counted once."""
    time = dictionary.provenance.time
    figures = {name: float(value[0]) for name, value in sums.figures().items()}
    return DictionaryMetrics(
        n_vectors=int(sums.n.sum()),
        explained_variance=sums.explained_variance()[0],
        usage=sums.usage()[0],
        l0_per_second=figures["l0"] * (float(time.frame_rate) if time else math.nan),
        **figures,
    )
