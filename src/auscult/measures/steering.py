"""What a steering audit counts: effect, isolation, monotonicity, saturation, nulls (METHODS 8.4).

Changes of concepts are in units of the concept's standard deviation over the corpus, so that those
of different concepts can be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from auscult.blocks import Verdict
from auscult.measures.draws import FEWEST_DRAWS, upper_edge
from auscult.measures.statistics import bootstrap_interval

ISOLATION = 0.7
"""Least isolation of a control that counts as isolated (METHODS 8.4)."""

MOST_CLIPPED = 1e-3
"""Largest share of samples beyond full scale, above that of the untouched sound."""


def isolation(effects: Float[np.ndarray, " concept"], which: int) -> float:
    """Share of what moved that should have: ``|E_a| / (|E_a| + mean_{b≠a} |E_b|)``.

    Range: 0 to 1; 0.5 when the others move as much as the concept on average. Bias: below 1 by
    chance alone, since noise in the other effects counts as leakage; NaN when nothing moved, or
    nothing else could be measured.

    >>> round(isolation(np.array([0.9, 0.1, -0.3]), 0), 3)
    0.818
    """
    size = np.abs(effects)
    others = np.delete(size, which)
    others = others[np.isfinite(others)]
    total = size[which] + (others.mean() if len(others) else np.nan)
    return float(size[which] / total) if total > 0 else float("nan")


def isolation_interval(
    moved: Float[np.ndarray, "clip concept"],
    which: int,
    recording_ids: Shaped[np.ndarray, " clip"],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """95 % interval of :func:`isolation` of the mean changes, over recordings.

    Bias: downwards. The sizes of small effects on other concepts can only grow when recordings are
    drawn anew, so isolation that is clean in every recording keeps a narrow interval and one that
    rests on changes that cancel between recordings does not.
    """

    def drawn(rows: Int[np.ndarray, " n"]) -> float:
        return isolation(mean_over_clips(moved[rows]), which)

    if not np.isfinite(drawn(np.arange(len(moved)))):
        return float("nan"), float("nan")
    return bootstrap_interval(drawn, recording_ids, rng)


def effect_interval(
    changes: Float[np.ndarray, " clip"],
    recording_ids: Shaped[np.ndarray, " clip"],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """95 % interval of a mean change over recordings; of the clips that have a value."""
    known = np.isfinite(changes)
    if not known.any():
        return float("nan"), float("nan")
    return bootstrap_interval(changes[known], recording_ids[known], rng)


def mean_over_clips(moved: Float[np.ndarray, "*more clip concept"]) -> np.ndarray:
    """Mean over clips that have a value; NaN where none has."""
    known = np.isfinite(moved)
    counts = known.sum(-2)
    sums = np.where(known, moved, 0.0).sum(-2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def monotonicity(doses: Float[np.ndarray, " dose"], moved: Float[np.ndarray, "dose clip"]) -> float:
    """Mean over clips of Spearman's correlation of strength and change: 1 when each step adds.

    Clips with fewer than three known changes, or the same one everywhere, are left out.
    """
    from scipy.stats import spearmanr

    found = []
    for changes in moved.T:
        known = np.isfinite(changes)
        if known.sum() >= 3 and np.ptp(changes[known]) > 0:
            found.append(float(spearmanr(doses[known], changes[known]).statistic))
    return float(np.mean(found)) if found else float("nan")


def saturation(doses: Float[np.ndarray, " dose"], effects: Float[np.ndarray, " dose"]) -> float:
    """The smallest strength that reaches 90 % of the largest effect; infinite when it is the last.

    Strengths and effects go outwards from 0, all of one sign.

    >>> saturation(np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.5, 0.95, 1.0, 0.98]))
    2.0
    """
    size = np.abs(effects)
    if not np.isfinite(size).any():
        return float("nan")
    first = int(np.flatnonzero(size >= 0.9 * np.nanmax(size))[0])
    return float("inf") if first == len(doses) - 1 else float(doses[first])


@dataclass(frozen=True)
class RandomBand:
    """How far random directions move each concept.

    Attributes:
        edge: What an effect must exceed to lie beyond 95 % of them, see
            :func:`auscult.measures.draws.upper_edge`; of the kind that moves it furthest.
        n_draws: Directions of the kind that has fewest, where the concept could be measured.
    """

    edge: Float[np.ndarray, "dose concept"]
    n_draws: Int[np.ndarray, "dose concept"]


def random_band(
    moved: Mapping[str, Float[np.ndarray, "draw dose clip concept"]],
) -> RandomBand:
    """The edge of what random directions do: of |mean over clips|, by rank over the draws.

    Args:
        moved: Changes under each kind of random direction; the widest kind counts, and each needs
            enough draws of its own. Sizes count, so that the edge is that of a direction and its
            opposite: it lies higher than 95 % of one-sided effects.
    """
    edges, counts = zip(
        *(upper_edge(np.abs(mean_over_clips(changes))) for changes in moved.values()), strict=True
    )
    return RandomBand(np.max(edges, axis=0), np.min(counts, axis=0))


def share_inside(
    change: Float[np.ndarray, "clip frame"], inside: Bool[np.ndarray, " frame"]
) -> Float[np.ndarray, " clip"]:
    """Share of each clip's change that lies within a span of frames: Σ_in |Δ| / Σ |Δ|.

    Range 0 to 1; a change that is the same everywhere gives the span's share of the clip. Bias:
    downwards, since what an estimator wavers outside counts as change. NaN where nothing changed.
    """
    size = np.abs(np.where(np.isfinite(change), change, 0.0))
    total = size.sum(1)
    return np.where(total > 0, size[:, inside].sum(1) / np.where(total > 0, total, 1), np.nan)


def random_halves(
    n: int, n_draws: int, rng: np.random.Generator
) -> Int[np.ndarray, "n_draws half"]:
    """Halves of n recordings, drawn without replacement.

    What a statistic of a half scatters about its mean is what the statistic of all scatters about
    the truth (the delete-half jackknife), and no recording comes twice, which would make unbiased
    kernel distances biased.
    """
    return np.stack([rng.choice(n, max(2, n // 2), replace=False) for _ in range(n_draws)])


@dataclass(frozen=True)
class Trial:
    """What one control did at one strength, and what it is judged against.

    Attributes:
        effect: Change of the concept, in s.d., positive towards what was asked for.
        interval: 95 % of it over recordings.
        band: Edge of the random directions' band at the same strength.
        n_draws: Random directions behind it; 19 carry the claim to lie beyond 95 % of them.
        isolation: Share of what moved that should have.
        quality: Distance of the changed sounds from the corpus, by embedding.
        bounds: What each distance may be.
        clipping: Share of samples beyond full scale, more than without the control.
        isolated: 95 % interval of the isolation over recordings.
    """

    effect: float
    interval: tuple[float, float]
    band: float
    n_draws: int
    isolation: float
    quality: Mapping[str, float]
    bounds: Mapping[str, float]
    clipping: float = 0.0
    isolated: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def above_band(self) -> bool:
        """Whether the whole interval lies beyond what random directions do."""
        return min(self.interval) > self.band

    @property
    def intact(self) -> bool:
        """Whether every distance is within its bound, and no more than 0.1 % of samples clip."""
        within = all(value <= self.bounds[name] for name, value in self.quality.items())
        return within and self.clipping <= MOST_CLIPPED

    def judged(self, least: float = ISOLATION) -> tuple[Verdict, str]:
        """The rule of METHODS 8.4, with the reason in words."""
        if not all(map(np.isfinite, (self.effect, self.band, self.isolation))):
            return "cannot be tested here", "The concept could not be measured in enough frames."
        if self.effect <= 0:
            return "does not hold", "The concept moved the other way, or not at all."
        if not self.above_band:
            return "explained by control", "Random directions of the same length move it as far."
        why = []
        if self.isolation < least:
            why.append(f"isolation {self.isolation:.2f} is below {least:g}")
        worst = [name for name, value in self.quality.items() if not value <= self.bounds[name]]
        why += [f"quality is out of bounds ({', '.join(worst)})"] if worst else []
        why += ["it clips"] if self.clipping > MOST_CLIPPED else []
        if why:
            return "does not hold", f"The concept moves, but {' and '.join(why)}."
        if self.n_draws < FEWEST_DRAWS:
            return "cannot be tested here", (
                f"It moves further than under each of {self.n_draws} random directions, which is "
                f"not beyond 95 % of them: that takes {FEWEST_DRAWS} or more (n_random)."
            )
        return "holds", "Above the random band, isolated, and within the bounds of quality."
