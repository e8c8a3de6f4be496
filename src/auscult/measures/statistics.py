"""Intervals, tests, summaries of shares; rows are resampled by recording (METHODS §1.4)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int, Num, Shaped

from auscult.core.errors import ConfigError

Statistic = Callable[[np.ndarray], float]
"""What a resampling of rows gives; its argument holds row numbers, some of them several times."""


def bootstrap_interval(
    values: Float[np.ndarray, " n"] | Statistic,
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap over recordings, of a mean or of any statistic (METHODS §1.4).

    Recordings are drawn with replacement and bring all their rows. Bias: with fewer than about ten
    recordings the interval is too narrow; with one recording it is a point.

    Args:
        values: One value per row, whose mean is wanted; or a function from row numbers to a number.
        recording_ids: The recording that each row comes from.
        rng: Draws the recordings.
        n_resamples: Number of resamples.
        level: Share of the resamples that lies within the interval.

    Returns:
        Low and high end, in the unit of the values; NaN where no resample has a value.
    """
    if isinstance(values, np.ndarray):
        low, high = bootstrap_band(values[:, None], recording_ids, rng, n_resamples, level)
        return float(low[0]), float(high[0])
    members = _rows_by_recording(recording_ids)
    draws = rng.integers(0, len(members), (n_resamples, len(members)))
    found = [values(np.concatenate([members[i] for i in draw])) for draw in draws]
    if np.isnan(found).all():
        return float("nan"), float("nan")
    low_end, high_end = np.nanquantile(found, _tails(level))
    return float(low_end), float(high_end)


def bootstrap_band(
    values: Float[np.ndarray, "n d"],
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Bootstrap the mean of every column over recordings (METHODS A-5: bars with intervals)."""
    if not len(values):
        raise ConfigError("an interval needs at least one value")
    _, which = np.unique(recording_ids, return_inverse=True)
    n_recordings = int(which.max()) + 1
    sums = np.zeros((n_recordings, values.shape[1]))
    np.add.at(sums, which, values)
    sizes = np.bincount(which, minlength=n_recordings).astype(float)
    times_drawn = rng.multinomial(
        n_recordings, np.full(n_recordings, 1 / n_recordings), n_resamples
    )
    means = (times_drawn @ sums) / (times_drawn @ sizes)[:, None]
    low, high = np.quantile(means, _tails(level), axis=0)
    return low, high


def recording_draws(
    n_recordings: int, n_resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "b n_recordings"]:
    """How often each recording counts in each bootstrap over recordings (METHODS §1.4).

    The same draws for several things make their differences paired. One recording says nothing
    about others: of one there are no draws, and so no interval.

    >>> recording_draws(1, 1000, np.random.default_rng(0)).shape
    (0, 1)
    """
    if n_recordings < 2:
        return np.empty((0, n_recordings))
    even = np.full(n_recordings, 1 / n_recordings)
    return rng.multinomial(n_recordings, even, n_resamples).astype(np.float64)


def resampled_sums(
    rows: Float[np.ndarray, "n k"],
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> Float[np.ndarray, "b k"]:
    """Sums of columns over resamplings of the recordings: what any ratio of sums is drawn from.

    Empty where there is one recording.
    """
    names, which = np.unique(recording_ids, return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, which, rows)
    return np.asarray(recording_draws(len(names), n_resamples, rng) @ sums)


def ends_of(resampled: Float[np.ndarray, " b"], level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of resamplings; NaN where there are none, or none has a value."""
    known = resampled[np.isfinite(resampled)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, _tails(level))
    return float(low), float(high)


def joint_intervals(
    values: Float[np.ndarray, " n"], resampled: Float[np.ndarray, "b n"], level: float = 0.95
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Intervals of several numbers that hold for all of them at once (METHODS §1.4).

    For whoever picks the best of several: the largest deviation of any of them in one resampling
    of the recordings, in units of its spread, sets how wide all are (the maximum statistic of
    Westfall & Young 1993, §2; Romano & Wolf 2005). What several have in common is not paid for
    several times, so that it is never wider than Bonferroni's; of a single number it is the
    percentile interval of :func:`bootstrap_interval`. Bias: as there.

    Args:
        values: The numbers; none NaN.
        resampled: The same over resamplings, one draw of the recordings a row for all of them.
        level: Share of the resamplings in which every number lies within its interval, from each
            side (1 + level) / 2.

    Returns:
        Low and high ends; NaN where there are no resamplings.
    """
    if not len(resampled):
        nothing = np.full(len(values), np.nan)
        return nothing, nothing
    apart = np.where(np.isfinite(resampled), resampled - values, 0.0)
    spread = apart.std(axis=0)
    size = apart / np.where(spread > 0, spread, 1.0)
    low, high = (float(np.quantile(one.max(axis=1), _tails(level)[1])) for one in (-size, size))
    return values - low * spread, values + high * spread


def _tails(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval lies between 0 and 1, got {level}")
    return (1 - level) / 2, (1 + level) / 2


def _rows_by_recording(recording_ids: Shaped[np.ndarray, " n"]) -> list[np.ndarray]:
    if not len(recording_ids):
        raise ConfigError("an interval needs at least one value")
    _, which = np.unique(recording_ids, return_inverse=True)
    order = np.argsort(which, kind="stable")
    return np.split(order, np.cumsum(np.bincount(which))[:-1])


def split_by_recording(
    recording_ids: Shaped[np.ndarray, " n"], rng: np.random.Generator, test_share: float = 0.3
) -> Bool[np.ndarray, " n"]:
    """Choose the rows to test on: all rows of some recordings, at least one recording on each side.

    Raises:
        ConfigError: There is only one recording, so that no split by recording exists.
    """
    names = np.unique(recording_ids)
    if len(names) < 2:
        raise ConfigError("a split by recording needs at least two recordings; give more sounds")
    n_test = min(max(round(test_share * len(names)), 1), len(names) - 1)
    return np.isin(recording_ids, rng.permutation(names)[:n_test])


def paired_wilcoxon(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Two-sided p-value that paired values differ (METHODS §1.4); equal pairs carry no evidence.

    >>> paired_wilcoxon(np.ones(5), np.ones(5))
    1.0
    """
    difference = a - b
    if not np.any(difference):
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(difference).pvalue)


def mcnemar(before: Bool[np.ndarray, " n"], after: Bool[np.ndarray, " n"]) -> float:
    """Exact two-sided p-value that as many cases turn right as turn wrong (METHODS §1.4).

    Args:
        before: Whether each case was right without the change.
        after: Whether the same case is right with it.
    """
    gained, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    if gained + lost == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, 0.5).pvalue)


def holm(p_values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Adjust the p-values of one family by Holm's step-down rule (METHODS §1.4).

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def gini(shares: Float[np.ndarray, " n"]) -> float:
    """Inequality of non-negative shares: 0 all equal, 1 - 1/n all in one; NaN when they sum to 0.

    >>> gini(np.array([0.0, 0.0, 0.0, 1.0]))
    0.75
    """
    ordered = np.sort(shares.astype(np.float64))
    n, total = len(ordered), ordered.sum()
    if total <= 0:
        return float("nan")
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def effective_number(shares: Float[np.ndarray, " n"]) -> float:
    """Number of equally used things with the same entropy, exp(H): from 1 to n (METHODS A-12).

    The shares need not sum to 1. NaN when they sum to 0.

    >>> round(effective_number(np.array([0.5, 0.5, 0.0])), 6)
    2.0
    """
    total = shares.sum(dtype=np.float64)
    if total <= 0:
        return float("nan")
    used = shares[shares > 0].astype(np.float64) / total
    return float(np.exp(-np.sum(used * np.log(used))))


def smallest_covering(shares: Float[np.ndarray, " n"], coverage: float = 0.9) -> int:
    """Smallest number of things that hold a share of the sum (METHODS A-12: N80, N90, N95).

    >>> smallest_covering(np.array([0.1, 0.6, 0.3]), 0.9)
    2
    """
    running = np.cumsum(np.sort(shares.astype(np.float64))[::-1])
    if not len(running) or running[-1] <= 0:
        return 0
    # A sum that reaches the share exactly must not need one more because of rounding.
    return int(np.searchsorted(running, coverage * running[-1] * (1 - 1e-12))) + 1


def auc(positive: Float[np.ndarray, " p"], negative: Float[np.ndarray, " q"]) -> float:
    """Probability that a positive value exceeds a negative one, ties counting half (METHODS A-6).

    Range 0 to 1, 0.5 without a difference; NaN when a side is empty.

    >>> auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left").astype(np.float64)
    not_above = np.searchsorted(ordered, positive, "right")
    return float((below + not_above).mean() / 2 / len(negative))


def resampled_auc(
    positive: Float[np.ndarray, " p"],
    negative: Float[np.ndarray, " q"],
    times_positive: Num[np.ndarray, "p resample"],
    times_negative: Num[np.ndarray, "q resample"],
) -> Float[np.ndarray, " resample"]:
    """:func:`auc` where each value counts several times: over resamplings of the recordings.

    Args:
        positive: Values.
        negative: Other values.
        times_positive: How often each positive value was drawn, resample by resample.
        times_negative: The same of the negative ones.

    Returns:
        NaN for a resample that holds nothing of one side.
    """
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    won = np.sum((above @ times_negative) * times_positive, axis=0)
    pairs = times_positive.sum(axis=0) * times_negative.sum(axis=0)
    out = np.full(len(pairs), np.nan)
    return np.asarray(np.divide(won, pairs, out=out, where=pairs > 0))


def jensen_shannon(p: Float[np.ndarray, " n"], q: Float[np.ndarray, " n"]) -> float:
    """Jensen–Shannon distance of two histograms (METHODS A-21): 0 equal, 1 without overlap.

    It is the square root of the divergence in bits. Bias: histograms of few counts lie too far
    apart; compare with shuffled frames of the same number.
    """
    if p.sum() <= 0 or q.sum() <= 0:
        return float("nan")
    p, q = p.astype(np.float64) / p.sum(), q.astype(np.float64) / q.sum()
    mean = (p + q) / 2
    bits = sum(float(np.sum(a[a > 0] * np.log2(a[a > 0] / mean[a > 0]))) for a in (p, q))
    return float(np.sqrt(max(bits / 2, 0.0)))


def matched_sample(
    target: Float[np.ndarray, " n"],
    pool: Float[np.ndarray, " m"],
    rng: np.random.Generator,
    share: float = 0.01,
) -> Int[np.ndarray, " n"]:
    """Draw for each target value a random member of the pool that is near it in rank.

    The control for amplitude: frames of the same norm (METHODS A-18), fragments of the same energy
    (METHODS A-11).

    Args:
        target: Values to match.
        pool: Values to draw from, with replacement.
        rng: Draws the members.
        share: Half-width of the neighbourhood, as a share of the pool (at least 2 members).

    Returns:
        One row number of the pool per target.
    """
    order = np.argsort(pool, kind="stable")
    reach = max(2, round(share * len(pool)))
    place = np.searchsorted(pool[order], target) + rng.integers(-reach, reach + 1, len(target))
    return np.asarray(order[np.clip(place, 0, len(pool) - 1)])
