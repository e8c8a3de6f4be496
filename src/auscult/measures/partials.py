"""Which partial of a mixture a unit follows, and whether it is the same in all mixtures (A-20)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.core.errors import ConfigError
from auscult.measures.tuning import envelope_regression

_FLOOR = 0.01
"""A unit that varies less than this share of what is usual for it has nothing to follow."""

_STEP_OCTAVES = 1 / 6
_LEAST_IN_BAND = 5


def pool(
    values: Float[np.ndarray, "frame unit"],
    times_s: Float[np.ndarray, " frame"],
    edges_s: Float[np.ndarray, " edge"],
) -> tuple[Float[np.ndarray, "bin unit"], Int[np.ndarray, " bin"]]:
    """Average over stretches of time.

    Args:
        values: Of the frames, in any order.
        times_s: Centre of each frame in seconds.
        edges_s: Ascending; frames beyond them are left out.

    Returns:
        Mean per stretch, and how many frames lie in it; NaN where there is none.
    """
    which = np.searchsorted(edges_s, times_s, "right") - 1
    inside = (which >= 0) & (which < len(edges_s) - 1)
    counts = np.bincount(which[inside], minlength=len(edges_s) - 1)
    means = np.full((len(edges_s) - 1, values.shape[1]), np.nan)
    present = np.flatnonzero(counts)
    if len(present):
        rows = values[inside][np.argsort(which[inside], kind="stable")]
        starts = np.cumsum(counts[present]) - counts[present]
        sums = np.add.reduceat(rows, starts, axis=0, dtype=np.float64)
        means[present] = sums / counts[present, None]
    return means, counts


@dataclass(frozen=True)
class MixtureFit:
    """How units relate to the partials of one mixture.

    Attributes:
        f_hz: Frequency of each partial.
        r_squared: Held-out share of a unit's variance that one partial's envelope explains.
        variance: Of each unit over the held-out stretches, in its own unit squared.
    """

    f_hz: Float[np.ndarray, " partial"]
    r_squared: Float[np.ndarray, "unit partial"]
    variance: Float[np.ndarray, " unit"]


def fit_mixture(
    acts: Float[np.ndarray, "bin unit"],
    envelopes: Float[np.ndarray, "bin partial"],
    f_hz: Float[np.ndarray, " partial"],
    held_out: Bool[np.ndarray, " bin"],
) -> MixtureFit:
    """Regress every unit on every partial's envelope within one mixture (METHODS A-20)."""
    fitted = envelope_regression(acts[None], envelopes[None], held_out)
    return MixtureFit(f_hz, fitted.r_squared[0], acts[held_out].astype(np.float64).var(axis=0))


@dataclass(frozen=True)
class Following:
    """Which partials units follow over many mixtures.

    Attributes:
        best: Partial that explains most of a unit, by its place in the mixture.
        r_squared: What this partial explains, 0 to 1.
        selectivity: The same minus what the second best explains, 0 to 1.
        centre_hz: Centre of the band that a unit follows most faithfully; NaN where too few
            mixtures moved the unit for any band to be judged.
        recall: Share of the mixtures with a partial in this band, and which move the unit at all,
            in which it follows this partial.
        precision: Share of all that the unit follows that lies within half an octave of the centre.
        consistent: Whether both shares reach what was asked.
        winner_share: Share of mixtures in which a band has its most frequent winner among all
            units, mean over bands: METHODS' own wording, which ties between neighbours lower.
    """

    best: Int[np.ndarray, "mixture unit"]
    r_squared: Float[np.ndarray, "mixture unit"]
    selectivity: Float[np.ndarray, "mixture unit"]
    centre_hz: Float[np.ndarray, " unit"]
    recall: Float[np.ndarray, " unit"]
    precision: Float[np.ndarray, " unit"]
    consistent: Bool[np.ndarray, " unit"]
    winner_share: float

    @property
    def judged(self) -> Bool[np.ndarray, " unit"]:
        """Units that enough mixtures moved."""
        return np.asarray(np.isfinite(self.centre_hz))

    @property
    def consistent_share(self) -> float:
        """Share of the judged units that are consistent; NaN when none was judged."""
        n_judged = int(self.judged.sum())
        return float(self.consistent.sum()) / n_judged if n_judged else float("nan")


def following(
    fits: Sequence[MixtureFit],
    share: float = 0.8,
    selective: float = 0.5,
    octaves: float = 1 / 3,
) -> Following:
    """Find the units that follow one band of partials, whatever else sounds (METHODS A-20).

    In a mixture a unit follows the partial that explains most of its variance, if the second best
    explains less by at least ``selective``. It is consistent when it follows the partial in some
    band in at least ``share`` of the mixtures that have one there, and when as large a share of all
    that it follows lies near that band: a unit that follows the highest partial, wherever that
    lies, follows no band. What is explained counts in proportion where a unit hardly varies (less
    than a hundredth of its mean variance), since the far skirt of any filter follows something.

    Bias: the band is chosen after the fact; fewer than five mixtures do not count. A unit so narrow
    that random partials hardly ever meet it is not judged. With levels that differ much, broad
    units follow what is loudest.

    Args:
        fits: Of each mixture, all with the same units.
        share: Of mixtures.
        selective: Difference between best and second best share of variance.
        octaves: Width of a band.

    Raises:
        ConfigError: There are no mixtures.
    """
    if not fits:
        raise ConfigError("which partials units follow needs at least one mixture")
    variance = np.stack([fit.variance for fit in fits])
    usual = np.maximum(_FLOOR * variance.mean(axis=0), 1e-300)
    heard = [fit.r_squared * np.minimum(1, fit.variance / usual)[:, None] for fit in fits]
    best = np.stack([r.argmax(axis=1) for r in heard])
    r_squared = np.stack([r.max(axis=1) for r in heard])
    second = [np.sort(r, axis=1)[:, -2] if r.shape[1] > 1 else np.zeros(len(r)) for r in heard]
    selectivity = r_squared - np.stack(second)
    best_hz = np.stack([fit.f_hz[row] for fit, row in zip(fits, best, strict=True)])
    followed_hz = np.where(selectivity >= selective, best_hz, np.nan)
    centres_hz, present = _bands([fit.f_hz for fit in fits], octaves)
    moved = variance >= usual
    centre, recall = _best_band(followed_hz, moved, centres_hz, present, octaves)
    near = np.abs(np.log2(followed_hz / centre)) <= 0.5
    followed = np.isfinite(followed_hz).sum(axis=0)
    precision = near.sum(axis=0) / np.maximum(followed, 1)
    return Following(
        best,
        r_squared,
        selectivity,
        centre,
        recall,
        precision,
        (recall >= share) & (precision >= share),
        _winner_share(heard, [fit.f_hz for fit in fits], centres_hz, present),
    )


def _best_band(
    followed_hz: Float[np.ndarray, "mixture unit"],
    moved: Bool[np.ndarray, "mixture unit"],
    centres_hz: Float[np.ndarray, " band"],
    present: Sequence[Bool[np.ndarray, " mixture"]],
    octaves: float,
) -> tuple[Float[np.ndarray, " unit"], Float[np.ndarray, " unit"]]:
    """The band that each unit follows most often, and in what share of its mixtures."""
    n_units = followed_hz.shape[1]
    centre, recall = np.full(n_units, np.nan), np.zeros(n_units)
    for middle, there in zip(centres_hz, present, strict=True):
        hits = np.abs(np.log2(followed_hz[there] / middle)) <= octaves / 2
        asked = moved[there].sum(axis=0)
        found = (hits & moved[there]).sum(axis=0) / np.maximum(asked, 1)
        better = (asked >= _LEAST_IN_BAND) & ((found > recall) | np.isnan(centre))
        centre[better], recall[better] = middle, found[better]
    return centre, recall


def _bands(
    f_hz: Sequence[np.ndarray], octaves: float
) -> tuple[Float[np.ndarray, " band"], list[Bool[np.ndarray, " mixture"]]]:
    """Centres of overlapping bands that enough mixtures have a partial in, and which these are."""
    low, high = np.log2(min(f.min() for f in f_hz)), np.log2(max(f.max() for f in f_hz))
    centres, present = [], []
    for middle in np.arange(low, high + _STEP_OCTAVES, _STEP_OCTAVES):
        there = np.array([np.any(np.abs(np.log2(f) - middle) <= octaves / 2) for f in f_hz])
        if there.sum() >= _LEAST_IN_BAND:
            centres.append(2**middle)
            present.append(there)
    return np.array(centres), present


def _winner_share(
    heard: Sequence[np.ndarray],
    f_hz: Sequence[np.ndarray],
    centres_hz: np.ndarray,
    present: Sequence[np.ndarray],
) -> float:
    shares = []
    for middle, there in zip(centres_hz, present, strict=True):
        winners = []
        for i in np.flatnonzero(there).tolist():
            partial = int(np.abs(np.log2(f_hz[i] / middle)).argmin())
            winners.append(int(heard[i][:, partial].argmax()))
        shares.append(np.bincount(winners).max() / len(winners))
    return float(np.mean(shares)) if shares else float("nan")


def explained_by_band(
    fits: Sequence[MixtureFit], centres_hz: Float[np.ndarray, " band"]
) -> Float[np.ndarray, "unit band"]:
    """Mean share of a unit's variance that a partial explains, by the partial's frequency."""
    nearest = [np.abs(np.log(fit.f_hz[:, None] / centres_hz)).argmin(axis=1) for fit in fits]
    which = np.concatenate(nearest)
    every = np.concatenate([fit.r_squared for fit in fits], axis=1)
    sums = np.stack([np.bincount(which, row, len(centres_hz)) for row in every])
    return np.asarray(sums / np.maximum(np.bincount(which, minlength=len(centres_hz)), 1))
