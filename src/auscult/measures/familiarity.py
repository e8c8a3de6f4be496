"""How far vectors lie from those that a probe was trained on: is its answer to be believed?"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

LEVEL = 0.95
"""Share of held-out vectors that count as familiar."""

_NEIGHBOURS = 5
_MOST = 4_000


@final
@dataclass(frozen=True)
class Familiarity:
    """Distance to the fifth nearest training vector, against what held-out vectors have.

    Channels count by their training deviation. An ellipsoid (Mahalanobis) does not do: vectors of
    sound are dense near silence and far apart where it is loud, and noise of their mean and
    covariance lies well inside it, where no vector of sound ever is. Bias: held-out recordings of a
    few training recordings are strange themselves, which moves the edge outwards.

    Attributes:
        mean: Of the training vectors.
        spread: Of the training vectors, by channel.
        neighbours: Finds them.
        edge: Distance below which the share ``LEVEL`` of held-out vectors lies.
    """

    mean: Float[np.ndarray, " d"]
    spread: Float[np.ndarray, " d"]
    neighbours: Any
    edge: float

    @classmethod
    def of(
        cls, training: Float[np.ndarray, "n d"], held_out: Float[np.ndarray, "m d"]
    ) -> "Familiarity":
        """Keep training vectors, at most 4,000, and put the edge where others end."""
        from sklearn.neighbors import NearestNeighbors

        mean, spread = training.mean(0), training.std(0)
        spread = np.where(spread > 0, spread, 1.0)
        kept = training[np.linspace(0, len(training) - 1, min(_MOST, len(training))).astype(int)]
        found = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(kept)), algorithm="brute")
        one = cls(mean, spread, found.fit((kept - mean) / spread), 1.0)
        edge = float(np.quantile(one.distance(held_out), LEVEL))
        return cls(mean, spread, found, max(edge, 1e-12))

    def distance(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """In units of ``edge``: above 1 lies one held-out vector in twenty."""
        apart, _ = self.neighbours.kneighbors((x - self.mean) / self.spread)
        return np.asarray(apart[:, -1] / self.edge)

    def strange(self, x: Float[np.ndarray, "n d"]) -> float:
        """Share of vectors beyond the edge: 0.05 for what is like training, 1 for the unknown."""
        return float(np.mean(self.distance(x) > 1))
