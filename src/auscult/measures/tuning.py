"""What pitch a unit answers to, and whether that survives a mixture (METHODS A-8, A-20)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.core.errors import ConfigError


def q_factor(
    curve: Float[np.ndarray, " bin"], centres_hz: Float[np.ndarray, " bin"], level: float = 2**-0.5
) -> float:
    """Peak frequency over bandwidth of a tuning curve (METHODS A-8): the higher, the narrower.

    Without unit, above 0; a band of a third of an octave has 4.3 at -3 dB.
    Where the curve does not fall to the level within its range, the bandwidth ends with the range,
    so that the answer is an upper bound. Empty bins are bridged. NaN without a positive peak.

    Args:
        curve: Mean activation per bin; NaN for an empty bin.
        centres_hz: Centre of each bin, ascending.
        level: Share of the peak at which the width is taken; -3 dB unless told.
    """
    known = ~np.isnan(curve)
    y, x = curve[known], np.log2(centres_hz[known])
    if len(y) < 2 or not y.max() > 0:
        return float("nan")
    peak = int(y.argmax())
    left, right = np.flatnonzero(y[:peak] < level * y[peak]), np.flatnonzero(y < level * y[peak])
    right = right[right > peak]
    low, high = float(x[0]), float(x[-1])
    if len(left):
        i = int(left[-1])
        low = float(np.interp(level * y[peak], y[i : i + 2], x[i : i + 2]))
    if len(right):
        i = int(right[0])
        high = float(np.interp(level * y[peak], y[[i, i - 1]], x[[i, i - 1]]))
    return float(2 ** x[peak] / (2**high - 2**low))


def tuning_stability(
    isolated: Float[np.ndarray, " bin"], mixture: Float[np.ndarray, " bin"]
) -> float:
    """Correlation of a unit's tuning curves in two contexts, -1 to 1 (METHODS A-8).

    Over bins that both know; NaN with fewer than three of them or when a curve is constant.
    """
    both = ~np.isnan(isolated) & ~np.isnan(mixture)
    a, b = isolated[both] - isolated[both].mean(), mixture[both] - mixture[both].mean()
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b))) if both.sum() >= 3 else 0.0
    return float(np.sum(a * b) / scale) if scale > 0 else float("nan")


def is_narrow_band(
    bandwidth_octaves_per_context: Float[np.ndarray, " context"],
    limit: float = 1 / 3,
    share: float = 0.8,
) -> bool:
    """Whether a unit is narrow in most contexts (METHODS A-8, decision rule).

    Args:
        bandwidth_octaves_per_context: NaN counts as not narrow.
        limit: A narrow band is below it, in octaves.
        share: Smallest share of contexts in which it must be.
    """
    narrow = bandwidth_octaves_per_context < limit
    return bool(len(narrow) and narrow.mean() >= share)


@dataclass(frozen=True)
class EnvelopeRegression:
    """Whether units follow single partials of mixtures (METHODS A-20).

    Attributes:
        r_squared: Held-out share of a unit's variance that one partial's envelope explains, 0 to 1.
        selectivity: Best minus second best partial, per mixture and unit, 0 to 1.
        winner: The unit that follows each partial best, per mixture.
        consistency: Share of mixtures in which a partial has its most frequent winner.
        consistent_units: Units that win one and the same partial in at least ``share`` of mixtures.
    """

    r_squared: Float[np.ndarray, "mixture unit partial"]
    selectivity: Float[np.ndarray, "mixture unit"]
    winner: Int[np.ndarray, "mixture partial"]
    consistency: Float[np.ndarray, " partial"]
    consistent_units: Int[np.ndarray, " consistent"]


def envelope_regression(
    acts: Float[np.ndarray, "mixture frame unit"],
    envelopes: Float[np.ndarray, "mixture frame partial"],
    held_out: Bool[np.ndarray, " frame"],
    share: float = 0.8,
) -> EnvelopeRegression:
    """Regress every unit on every partial's envelope, one at a time (METHODS A-20).

    A line is fitted on some frames of a mixture and judged on the held-out ones; what is worse than
    the mean of the fitted frames counts as 0. Bias: envelopes that correlate by accident share what
    they explain, so use mixtures that are long against the modulation, and read against random
    filters.

    Args:
        acts: Activations of units.
        envelopes: Of each partial; a partial has the same place in all mixtures.
        held_out: Frames to judge on.
        share: Of mixtures, for a unit to count as consistent.

    Raises:
        ConfigError: Nothing is left to fit or to judge on.
    """
    if held_out.all() or not held_out.any():
        raise ConfigError("some frames must be held out, and some not")
    pairs = zip(acts.astype(np.float64), envelopes.astype(np.float64), strict=True)
    r_squared = np.stack([_r_squared(a, e, held_out) for a, e in pairs])
    ordered = np.sort(r_squared, axis=2)
    second = ordered[:, :, -2] if ordered.shape[2] > 1 else 0.0
    winner = r_squared.argmax(axis=1)
    n_units = r_squared.shape[1]
    won = np.stack([np.bincount(column, minlength=n_units) for column in winner.T]) / len(winner)
    followed = np.any(r_squared.max(axis=1) > 0, axis=0)
    consistent = np.flatnonzero(np.any(won[followed] >= share, axis=0))
    return EnvelopeRegression(
        r_squared, ordered[:, :, -1] - second, winner, won.max(axis=1), consistent
    )


def _r_squared(acts: np.ndarray, envelopes: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Held-out R² of every unit (rows) on every partial (columns) of one mixture."""
    centre_a, centre_e = acts[~held_out].mean(axis=0), envelopes[~held_out].mean(axis=0)
    a, e = acts - centre_a, envelopes - centre_e
    fit_a, fit_e, test_a, test_e = a[~held_out], e[~held_out], a[held_out], e[held_out]
    power = np.square(fit_e).sum(axis=0)
    slope = np.divide(
        fit_a.T @ fit_e, power, out=np.zeros((a.shape[1], e.shape[1])), where=power > 0
    )
    total = np.square(test_a).sum(axis=0)[:, None]
    explained = 2 * slope * (test_a.T @ test_e) - slope**2 * np.square(test_e).sum(axis=0)
    return np.asarray(
        np.divide(explained, total, out=np.zeros_like(slope), where=total > 0).clip(0, 1)
    )
