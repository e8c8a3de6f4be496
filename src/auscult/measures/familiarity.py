"""How far vectors lie from those that a probe was trained on: is its answer to be believed?"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

LEVEL = 0.99
"""Share of held-out vectors that count as familiar."""


@final
@dataclass(frozen=True)
class Familiarity:
    """Mahalanobis distance from training vectors, against what held-out ones have.

    The covariance is shrunk towards a multiple of the identity (Ledoit & Wolf 2004), or directions
    in which training vectors do not vary at all would make every distance infinite. Bias: it sees
    one ellipsoid; vectors between two clusters of training seem familiar.

    Attributes:
        mean: Of the training vectors.
        whitening: Rows of its square-rooted inverse covariance.
        edge: Distance below which the share ``LEVEL`` of held-out vectors lies.
    """

    mean: Float[np.ndarray, " d"]
    whitening: Float[np.ndarray, "d d"]
    edge: float

    @classmethod
    def of(
        cls, training: Float[np.ndarray, "n d"], held_out: Float[np.ndarray, "m d"]
    ) -> "Familiarity":
        """Fit to some vectors, and put the edge where others end that were not fitted to."""
        from sklearn.covariance import ledoit_wolf

        mean = training.mean(0, dtype=np.float64)
        covariance, _ = ledoit_wolf(training.astype(np.float64), block_size=256)
        values, vectors = np.linalg.eigh(covariance)
        whitening = (vectors / np.sqrt(np.maximum(values, 1e-12))).T
        one = cls(mean, whitening, 1.0)
        return cls(mean, whitening, float(np.quantile(one.distance(held_out), LEVEL)))

    def distance(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Root mean square over dimensions of the whitened difference, in units of ``edge``.

        About 1 / edge for a vector like those of training; above 1 lies one held-out vector in a
        hundred.
        """
        apart = (x - self.mean) @ self.whitening.T
        return np.asarray(np.sqrt(np.square(apart).mean(-1)) / self.edge)

    def strange(self, x: Float[np.ndarray, "n d"]) -> float:
        """Share of vectors beyond the edge: 0.01 for what is like training, 1 for the unknown."""
        return float(np.mean(self.distance(x) > 1))
