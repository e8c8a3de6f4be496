"""How far vectors lie from those that a probe was trained on: is its answer to be believed?"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Shaped

LEVEL = 0.95
"""Share of held-out recordings that count as familiar."""

_NEIGHBOURS = 5
_MOST = 4_000
_TIGHTEST = 0.05


@final
@dataclass(frozen=True)
class Familiarity:
    """Distance to the fifth nearest training vector, over what training vectors have just there.

    As a ratio to what held-out vectors have (the idea of local outlier factors, Breunig et al.
    2000). Channels count by their training deviation.

    Neither an ellipsoid (Mahalanobis) nor the bare distance does: vectors of sound are dense near
    silence and far apart where it is loud. Noise of their mean and covariance lies well inside the
    ellipsoid, and loud held-out sounds are as far from any neighbour as it is; but it lies among
    vectors that are near one another. In mini-encodec's latents of notes, states of mini-flow begin
    at 1.2 of the bare distance beside an edge of 1.7, and at 2.8 of this ratio beside 1.6; results
    end at 0.9 and 1.1.

    Single vectors tell little, and sounds are judged by their median. Bias: held-out recordings of
    a few training recordings are strange themselves, which moves the edge outwards; with fewer than
    about 40 of them false alarms are well above 5 %.

    Attributes:
        mean: Of the training vectors.
        spread: Of the training vectors, by channel.
        neighbours: Finds them.
        own: How far each training vector has to its own fifth neighbour.
        typical: Median ratio of held-out vectors, before it is divided by.
        edge: Ratio below which the medians of the share ``LEVEL`` of held-out recordings lie.
    """

    mean: Float[np.ndarray, " d"]
    spread: Float[np.ndarray, " d"]
    neighbours: Any
    own: Float[np.ndarray, " k"]
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
        scaled = (kept - mean) / spread
        found = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(kept)), algorithm="brute")
        found.fit(scaled)
        # Without points to look from, scikit-learn does not count a vector as its own neighbour.
        around, _ = found.kneighbors(n_neighbors=min(_NEIGHBOURS, max(1, len(kept) - 1)))
        own = around[:, -1]
        # Frames of digital silence are all alike: nothing would ever be as near to them.
        apart = own[own > 0]
        own = np.maximum(own, np.quantile(apart, _TIGHTEST) if len(apart) else 1.0)
        one = cls(mean, spread, found, own, 1.0, 1.0)
        ratios = one.ratio(held_out)
        typical = max(float(np.median(ratios)), 1e-12)
        medians = [np.median(ratios[recording_ids == name]) for name in np.unique(recording_ids)]
        edge = float(np.quantile(medians, LEVEL)) / typical
        return cls(mean, spread, found, own, typical, edge)

    def ratio(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """1 for a vector as strange as the median held-out one; from 0."""
        apart, places = self.neighbours.kneighbors((x - self.mean) / self.spread)
        return np.asarray(apart[:, -1] / np.median(self.own[places], axis=1) / self.typical)
