"""How far vectors lie from those that a probe was trained on: is its answer to be believed?"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Shaped

LEVEL = 0.95
"""Share of held-out recordings that count as familiar."""

_NEIGHBOURS = 5
_MOST = 4_000


@final
@dataclass(frozen=True)
class Familiarity:
    """Distance to the fifth nearest training vector, as a ratio to what held-out vectors have.

    Channels count by their training deviation. An ellipsoid (Mahalanobis) does not do: vectors of
    sound are dense near silence and far apart where it is loud, and noise of their mean and
    covariance lies well inside it, where no sound ever is. For the same reason single vectors tell
    little, and sounds are judged by their median. Bias: held-out recordings of a few training
    recordings are strange themselves, which moves the edge outwards.

    Attributes:
        mean: Of the training vectors.
        spread: Of the training vectors, by channel.
        neighbours: Finds them.
        typical: Median distance of held-out vectors.
        edge: Ratio below which the medians of the share ``LEVEL`` of held-out recordings lie.
    """

    mean: Float[np.ndarray, " d"]
    spread: Float[np.ndarray, " d"]
    neighbours: Any
    typical: float
    edge: float

    @classmethod
    def of(
        cls,
        training: Float[np.ndarray, "n d"],
        held_out: Float[np.ndarray, "m d"],
        recording_ids: Shaped[np.ndarray, " m"],
    ) -> "Familiarity":
        """Keep training vectors, at most 4,000, and measure what others have.

        Args:
            training: Vectors that a probe was fitted to.
            held_out: Vectors of other recordings.
            recording_ids: Of those.
        """
        from sklearn.neighbors import NearestNeighbors

        mean, spread = training.mean(0), training.std(0)
        spread = np.where(spread > 0, spread, 1.0)
        kept = training[np.linspace(0, len(training) - 1, min(_MOST, len(training))).astype(int)]
        found = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(kept)), algorithm="brute")
        one = cls(mean, spread, found.fit((kept - mean) / spread), 1.0, 1.0)
        apart = one.ratio(held_out)
        typical = max(float(np.median(apart)), 1e-12)
        medians = [np.median(apart[recording_ids == name]) for name in np.unique(recording_ids)]
        return cls(mean, spread, found, typical, float(np.quantile(medians, LEVEL)) / typical)

    def ratio(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """1 for a vector as far from training as the median held-out one; from 0."""
        apart, _ = self.neighbours.kneighbors((x - self.mean) / self.spread)
        return np.asarray(apart[:, -1] / self.typical)
