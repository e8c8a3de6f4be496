"""When a concept settles over the steps of a generator (METHODS C-8).

What is read at each step is a distribution over a concept's classes. How far it has come is counted
in four ways. The printed one, `s_ratio`, is kept for comparison: it is a mean of ratios by class,
so that it has no upper bound, is undefined where a class ends where it began, and counts distance
from noise, so that overshooting is progress. `s_end` counts what is left to go and is the default.
By construction all are 1 at the result: "never converges" can only mean that a concept moves late.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float

from auscult.measures.statistics import bootstrap_interval, holm, paired_wilcoxon

Distributions = Float[np.ndarray, "prompt step n_classes"]
Progress = Float[np.ndarray, "prompt step"]
MeasureName = Literal["s_end", "s_L1", "s_ratio", "s_JS"]

MOVED = 1e-3
"""Least change of a class, and of a distribution, that is a change at all."""

THRESHOLD = 0.95


def s_ratio(p: Distributions, least: float = MOVED) -> Progress:
    """As printed: the mean over classes of ``|p_t - p_0| / |p_T - p_0|``.

    Classes that end within ``least`` of where they began are left out, which the printed formula
    divides by. Range: from 0 without an upper bound; NaN where no class moved. Bias: classes that
    hardly move count as much as those that take all the mass, and swing widely.
    """
    whole = np.abs(p[:, -1:] - p[:, :1])
    moved = whole > least
    ratio = np.where(moved, np.abs(p - p[:, :1]) / np.where(moved, whole, 1.0), 0.0)
    n_moved = moved.sum(-1)
    return np.asarray(np.where(n_moved > 0, ratio.sum(-1) / np.maximum(n_moved, 1), np.nan))


def s_l1(p: Distributions) -> Progress:
    """``Σ|p_t - p_0| / Σ|p_T - p_0|``: how far it went, against how far it had to go.

    Range: from 0; above 1 where it went further than it had to. NaN where nothing moved.
    """
    gone, whole = np.abs(p - p[:, :1]).sum(-1), _whole(p)
    return np.asarray(gone / whole)


def s_end(p: Distributions) -> Progress:
    """``1 - Σ|p_T - p_t| / Σ|p_T - p_0|``: how much of the way is behind it.

    Range: up to 1, below 0 where it moves away from its end. NaN where nothing moved.
    """
    left = np.abs(p[:, -1:] - p).sum(-1)
    return np.asarray(1 - left / _whole(p))


def s_js(p: Distributions) -> Progress:
    """As `s_end` with the Jensen-Shannon divergence in place of the sum of differences.

    Range: up to 1. Bias: a divergence grows with the square of small differences, so the last of
    the way counts little, and things seem to settle earlier.
    """
    left = _divergence(p, p[:, -1:])
    return np.asarray(1 - left / np.where(_whole(p) > 0, left[:, :1], np.nan))


MEASURES: Mapping[MeasureName, Callable[[Distributions], Progress]] = {
    "s_end": s_end,
    "s_L1": s_l1,
    "s_ratio": s_ratio,
    "s_JS": s_js,
}


def _whole(p: Distributions) -> Float[np.ndarray, "prompt 1"]:
    """The whole way; NaN where it is none."""
    whole = np.abs(p[:, -1] - p[:, 0]).sum(-1, keepdims=True)
    return np.asarray(np.where(whole > MOVED, whole, np.nan))


def _divergence(p: Distributions, q: Float[np.ndarray, "prompt 1 n_classes"]) -> Progress:
    """Jensen-Shannon divergence in bits."""
    middle = (p + q) / 2

    def bits(one: np.ndarray) -> np.ndarray:
        safe = np.where(one > 0, one / np.where(middle > 0, middle, 1), 1.0)
        return np.asarray((one * np.log2(safe)).sum(-1))

    return np.asarray((bits(p) + bits(np.broadcast_to(q, p.shape))) / 2)


def convergence_step(progress: Progress, threshold: float = THRESHOLD) -> Float[np.ndarray, " n"]:
    """The first step from which on progress stays at or above a threshold.

    NaN where progress is undefined. A prompt that passes the threshold and falls back has not
    settled until it passes it for good.

    >>> convergence_step(np.array([[0.0, 0.97, 0.5, 0.96, 1.0]])).tolist()
    [3.0]
    """
    known = np.isfinite(progress).all(1)
    below = np.where(known[:, None], progress, 0.0) < threshold
    last_below = progress.shape[1] - 1 - np.argmax(below[:, ::-1], axis=1)
    settled = np.where(below.any(1), last_below + 1, 0)
    return np.where(known, settled, np.nan)


@dataclass(frozen=True)
class Settled:
    """When one concept settles, over prompts.

    Attributes:
        step: Mean over the prompts in which it moved; NaN where it moved in none.
        interval: 95 % bootstrap over prompts.
        n_prompts: Prompts in which it moved.
    """

    step: float
    interval: tuple[float, float]
    n_prompts: int


def settled(
    steps: Float[np.ndarray, " prompt"], names: np.ndarray, rng: np.random.Generator
) -> Settled:
    """Mean convergence step with its interval over prompts.

    Args:
        steps: Convergence step of each prompt, NaN where there is none.
        names: Of the prompts.
        rng: Draws them.
    """
    known = np.isfinite(steps)
    if not known.any():
        return Settled(float("nan"), (float("nan"), float("nan")), 0)
    interval = bootstrap_interval(steps[known], names[known], rng)
    return Settled(float(steps[known].mean()), interval, int(known.sum()))


@dataclass(frozen=True)
class Lead:
    """By how much one concept settles before another, prompt by prompt.

    Attributes:
        first: The earlier one, on average.
        then: The later one.
        lead: Steps between them, mean over the prompts in which both moved.
        interval: 95 % bootstrap over prompts.
        p: Two-sided Wilcoxon signed-rank test over prompts, Holm-adjusted over all pairs.
        null: The lead of the same pair under the null.
        excess: 95 % interval of the lead minus that of the same prompt under the null.
        n_prompts: Prompts in which both moved.
    """

    first: str
    then: str
    lead: float
    interval: tuple[float, float]
    p: float
    null: float
    excess: tuple[float, float]
    n_prompts: int

    @property
    def is_significant(self) -> bool:
        """Whether the order is more than chance: at 5 %, over all pairs."""
        return self.p < 0.05 and self.interval[0] > 0

    @property
    def beyond_null(self) -> bool:
        """Whether it is also more than the geometry of the probes makes of a straight line."""
        return self.is_significant and self.excess[0] > 0


def leads(
    steps: Mapping[str, Float[np.ndarray, " prompt"]],
    null: Mapping[str, Float[np.ndarray, " prompt"]],
    names: np.ndarray,
    rng: np.random.Generator,
) -> list[Lead]:
    """Every pair of concepts, the earlier one first; pairs that never move together are left out.

    Args:
        steps: Convergence steps by concept, one a prompt.
        null: The same where states lie on a straight line between noise and result.
        names: Of the prompts.
        rng: Draws prompts.
    """
    pairs = []
    for one, other in combinations(steps, 2):
        both = np.isfinite(steps[one]) & np.isfinite(steps[other])
        if not both.any():
            continue
        ahead = (steps[other] - steps[one])[both].mean() >= 0
        pairs.append((one, other, both) if ahead else (other, one, both))
    adjusted = holm(np.array([paired_wilcoxon(steps[b][k], steps[a][k]) for a, b, k in pairs]))
    found = []
    for (first, then, both), p in zip(pairs, adjusted, strict=True):
        gap = (steps[then] - steps[first])[both]
        straight = (null[then] - null[first])[both]
        beyond = gap - straight
        known = np.isfinite(beyond)
        nothing = (float("nan"), float("nan"))
        found.append(
            Lead(
                first,
                then,
                float(gap.mean()),
                bootstrap_interval(gap, names[both], rng),
                float(p),
                float(straight[known].mean()) if known.any() else float("nan"),
                bootstrap_interval(beyond[known], names[both][known], rng)
                if known.any()
                else nothing,
                int(both.sum()),
            )
        )
    return found
