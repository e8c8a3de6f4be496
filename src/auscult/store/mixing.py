"""How well batches are mixed: what their means tell about where their vectors came from."""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from auscult.store.shuffle import BUFFER_BYTES
from auscult.store.source import VectorSource


@dataclass(frozen=True)
class Mixing:
    """How far batches are from draws that know nothing of each other.

    Attributes:
        noise: Variance of a batch's mean over what independent draws would give, in [0, batch]. 1
            is perfect; ``batch`` is a batch of one vector, repeated. The gradient of a batch is as
            noisy as that of a perfect batch ``noise`` times smaller. Drawing a pass without
            replacement lowers it to ``1 - batch / n_vectors``.
        n_batches: How many batches it was measured on; its own relative error is about
            ``√(2 / (n_batches · effective dimension))``.
    """

    noise: float
    n_batches: int


def mixing(
    source: VectorSource,
    batch: int,
    rng: np.random.Generator,
    *,
    n_batches: int | None = None,
    buffer_bytes: int = BUFFER_BYTES,
) -> Mixing:
    """Measure how well a source mixes its vectors, on one pass or its first batches.

    ::

        noise = batch · E_b ‖mean(batch_b) - mean‖² / Σ_d variance_d

    This is the design effect of cluster sampling (Kish 1965): frames of one clip resemble each
    other, so a batch from few clips is worth fewer vectors than it has. The first batches of a
    pass may all be of few clips: then a part of it tells little.
    """
    statistics = source.statistics
    squares = []
    passed = source.vectors(batch, rng, drop_last=True, buffer_bytes=buffer_bytes)
    for values in islice(passed, n_batches):
        away = values.mean(0, dtype=np.float64) - statistics.mean
        squares.append(float(np.square(away).sum()))
    total = float(np.sum(statistics.variance))
    noise = batch * float(np.mean(squares)) / total if squares and total > 0.0 else 0.0
    return Mixing(noise, len(squares))
