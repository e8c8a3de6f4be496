"""Which classes of sound use which units more than others: lift, with labels dealt out anew.

A unit is whatever a frame is given: the feature or archetype on top, the code of a level.
"""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from auscult.core.errors import NothingToMeasureError
from auscult.measures.selection_nulls import benjamini_hochberg
from auscult.measures.statistics import recording_draws

_N_NULLS = 20
_ROUNDING = 1e-9


def usage_by_recording(
    units: Int[np.ndarray, " n"], recording_ids: Shaped[np.ndarray, " n"], n_units: int
) -> tuple[Float[np.ndarray, "r k"], Shaped[np.ndarray, " r"]]:
    """Share of each recording's frames in which each unit speaks, and the recordings' ids.

    Rows without a unit (below 0) count as frames of none.
    """
    names, which = np.unique(recording_ids, return_inverse=True)
    counts = np.zeros((len(names), n_units))
    known = units >= 0
    np.add.at(counts, (which[known], units[known]), 1)
    return counts / np.bincount(which)[:, None], names


@final
@dataclass(frozen=True)
class ClassUsage:
    """Lift of every unit in every class.

    Attributes:
        lift: A class' mean share over that of all recordings; 1 is no difference, 0 never. NaN for
            units that no recording uses.
        low: Lower end of its 95 % bootstrap interval over recordings; NaN where most draws say
            nothing. Bias: too narrow for classes of fewer than about ten recordings.
        high: Upper end.
        p_values: Two-sided: twice the smaller share of deals of the labels that give a class as
            high, or as low, a share of the unit. NaN where lift is.
        q_values: Adjusted over all cells (Benjamini and Hochberg).
        n_recordings: Of each class.
        dealt: Share of cells that are marked where the labels themselves are dealt out anew: its
            mean over 20 deals.
        alpha: False-discovery rate at which cells are marked.
        smallest: The smallest p-value that labels of so many recordings can have in any class.
    """

    lift: Float[np.ndarray, "c k"]
    low: Float[np.ndarray, "c k"]
    high: Float[np.ndarray, "c k"]
    p_values: Float[np.ndarray, "c k"]
    q_values: Float[np.ndarray, "c k"]
    n_recordings: Int[np.ndarray, " c"]
    dealt: float
    alpha: float
    smallest: float

    @property
    def resolves(self) -> bool:
        """Whether the classes of a single unit could be marked, if labels decided its usage."""
        n_used = int(np.isfinite(self.q_values).any(axis=0).sum())
        return self.smallest <= self.alpha / max(n_used, 1)

    @property
    def marked(self) -> Bool[np.ndarray, "c k"]:
        """Cells of which the lift is significant."""
        return np.asarray(self.q_values <= self.alpha)

    @property
    def share(self) -> float:
        """Share of the cells that are marked, of those that could be."""
        return float(self.marked.sum() / max(int(np.isfinite(self.q_values).sum()), 1))


def class_usage(
    shares: Float[np.ndarray, "r k"],
    classes: Int[np.ndarray, " r"],
    rng: np.random.Generator,
    n_deals: int = 10_000,
    n_resamples: int = 1000,
    alpha: float = 0.05,
) -> ClassUsage:
    """Compare the classes' mean shares with that of all recordings.

    Recordings count alike, however long. The null deals the labels out anew among recordings and
    never among frames, which are no independent witnesses: it keeps how much recordings differ by
    themselves.

    Args:
        shares: Of each unit in each recording.
        classes: Of each recording, from 0 on, none left out.
        rng: Deals and draws.
        n_deals: Deals of the labels. No p-value is below 2 / (n_deals + 1).
        n_resamples: Draws of the recordings for the intervals.
        alpha: False-discovery rate.

    Raises:
        NothingToMeasureError: There is one class only, or no unit is used.
    """
    n_classes = int(classes.max()) + 1 if len(classes) else 0
    overall = shares.mean(axis=0) if len(shares) else np.zeros(shares.shape[1])
    used = overall > 0
    if n_classes < 2 or not used.any():
        raise NothingToMeasureError("usage by class needs two classes, and units that are used")
    own = _means(classes[None], shares[:, used], n_classes)[0]
    deals = np.stack([rng.permutation(classes) for _ in range(n_deals)])
    dealt = _means(deals, shares[:, used], n_classes)
    p_values = _two_sided(own, dealt, 1)
    nulls = [_two_sided(one, dealt, 0) for one in dealt[:_N_NULLS]]
    marked = [float(np.mean(benjamini_hochberg(one) <= alpha)) for one in nulls]
    low, high = _intervals(shares[:, used], classes, n_classes, n_resamples, rng)
    adjusted = benjamini_hochberg(p_values)

    def everywhere(cells: Float[np.ndarray, "c _used"]) -> Float[np.ndarray, "c k"]:
        spread = np.full((n_classes, len(used)), np.nan)
        spread[:, used] = cells
        return spread

    return ClassUsage(
        lift=everywhere(own / overall[used]),
        low=everywhere(low),
        high=everywhere(high),
        p_values=everywhere(p_values),
        q_values=everywhere(adjusted),
        n_recordings=np.bincount(classes, minlength=n_classes),
        dealt=float(np.mean(marked)),
        alpha=alpha,
        smallest=max(_fewest_deals(classes), 2 / (n_deals + 1)),
    )


def _fewest_deals(classes: Int[np.ndarray, " r"]) -> float:
    """Two-sided p of the one deal among all that gives a class its own recordings, at its best."""
    return min(2 / math.comb(len(classes), int(n)) for n in np.bincount(classes) if n)


def _means(
    deals: Int[np.ndarray, "deal r"], shares: Float[np.ndarray, "r k"], n_classes: int
) -> Float[np.ndarray, "deal c k"]:
    """Mean share of each class under each deal."""
    found = np.empty((len(deals), n_classes, shares.shape[1]))
    for one in range(n_classes):
        members = (deals == one).astype(np.float64)
        found[:, one] = (members @ shares) / members.sum(axis=1, keepdims=True)
    return found


def _two_sided(
    one: Float[np.ndarray, "c k"], dealt: Float[np.ndarray, "deal c k"], itself: int
) -> Float[np.ndarray, "c k"]:
    """Twice the rarer side; ``itself`` counts what was observed where it is no deal of its own."""
    slack = _ROUNDING * np.abs(one)
    n = len(dealt) + itself
    above = ((dealt >= one - slack).sum(axis=0) + itself) / n
    below = ((dealt <= one + slack).sum(axis=0) + itself) / n
    return np.asarray(np.minimum(1.0, 2 * np.minimum(above, below)))


def _intervals(
    shares: Float[np.ndarray, "r k"],
    classes: Int[np.ndarray, " r"],
    n_classes: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "c k"], Float[np.ndarray, "c k"]]:
    """Percentiles of the lift over draws of the recordings."""
    draws = recording_draws(len(shares), n_resamples, rng)
    ends = np.full((2, n_classes, shares.shape[1]), np.nan)
    overall = draws @ shares / max(len(shares), 1)
    for one in range(n_classes):
        inside = draws * (classes == one)
        drawn = inside.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            lift = (inside @ shares) / drawn / overall
        enough = np.isfinite(lift).sum(axis=0) > len(draws) / 2
        if enough.any():
            ends[:, one, enough] = np.nanquantile(lift[:, enough], [0.025, 0.975], axis=0)
    return ends[0], ends[1]
