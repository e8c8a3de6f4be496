"""Which vectors lie along a direction, and how alike the fragments are that they heard."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.measures.geometry import effective_dimension, unit_rows
from auscult.measures.matching import random_directions
from auscult.measures.statistics import matched_sample
from auscult.measures.windows import (
    align_by_correlation,
    align_by_trough,
    mean_pairwise_correlation,
    pick_top,
)

LONGEST_SAMPLES = 1024
"""Longer fragments are compared by so many samples around their centre."""
_POOL = 3000


@dataclass(frozen=True)
class Neighbourhood:
    """Vectors in time, to find those near a direction (METHODS A-11).

    Attributes:
        unit: Vectors of length 1, or of zeros.
        clips: Number of the clip of each.
        frames: Frame of each.
        apart: Frames between two that heard no sample in common.
    """

    unit: Float[np.ndarray, "n d"]
    clips: Int[np.ndarray, " n"]
    frames: Int[np.ndarray, " n"]
    apart: float

    @classmethod
    def of(
        cls,
        x: Float[np.ndarray, "n d"],
        clip_ids: Shaped[np.ndarray, " n"],
        frames: Int[np.ndarray, " n"],
        apart: float,
    ) -> "Neighbourhood":
        """From vectors of any length and names of clips."""
        clips = np.unique(clip_ids, return_inverse=True)[1].astype(np.int64)
        return cls(unit_rows(x), clips, frames, apart)

    def closest(
        self, direction: Float[np.ndarray, " d"], n: int
    ) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Rows nearest to a direction that heard different samples, and their cosines."""
        cosines = self.unit @ unit_rows(direction[None])[0].astype(self.unit.dtype)
        near = np.arange(len(cosines))
        if len(near) > _POOL:
            near = np.sort(np.argpartition(-cosines, _POOL - 1)[:_POOL])
        # Clips stand for recordings: no limit is set on how many come from one.
        clips, frames = self.clips[near], self.frames[near]
        chosen = pick_top(cosines[near], clips, clips, frames, n, n, self.apart)
        return near[chosen], cosines[near[chosen]]

    def nearness(self, directions: Float[np.ndarray, "k d"], n: int) -> float:
        """Mean cosine of the ``n`` closest vectors, over directions."""
        found = [self.closest(direction, n)[1] for direction in directions]
        means = [float(np.mean(cosines)) for cosines in found if len(cosines)]
        return float(np.mean(means)) if means else float("nan")


def random_like(
    x: Float[np.ndarray, "m d"], n: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    """Random directions of the vectors' covariance, and others within their principal subspace."""
    values, axes = np.linalg.eigh(np.atleast_2d(np.cov(x.T.astype(np.float64))))
    values = np.clip(values, 0, None)
    shaped: np.ndarray = (rng.standard_normal((n, len(values))) * np.sqrt(values)) @ axes.T
    rank = max(1, effective_dimension(np.diag(values))[1])
    return shaped, random_directions(n, rank, rng, axes[:, ::-1][:, :rank].T)


@dataclass(frozen=True)
class Likeness:
    """Mean correlation between fragments, as they lie and after alignment (METHODS A-11).

    Attributes:
        as_cut: Without alignment.
        by_trough: With their lowest samples at one place.
        by_correlation: With each shifted to agree best with the mean.
    """

    as_cut: float
    by_trough: float
    by_correlation: float


def aligned(fragments: Float[np.ndarray, "n time"]) -> tuple[np.ndarray, np.ndarray]:
    """Fragments aligned by trough, and by correlation with their mean."""
    return (
        align_by_trough(fragments)[0],
        align_by_correlation(fragments, min(fragments.shape[1] // 4, 64))[0],
    )


def fragment_likeness(fragments: Float[np.ndarray, "n time"]) -> Likeness:
    """Measure how alike fragments are; read it against random ones treated in the same way."""
    if len(fragments) < 2 or fragments.shape[1] < 3:
        return Likeness(float("nan"), float("nan"), float("nan"))
    by_trough, by_correlation = aligned(fragments)
    return Likeness(
        mean_pairwise_correlation(fragments),
        mean_pairwise_correlation(by_trough),
        mean_pairwise_correlation(by_correlation),
    )


def matched_on_energy(
    fragments: Float[np.ndarray, "n time"],
    pool: Float[np.ndarray, "m time"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n time"]:
    """Draw fragments of the same energies from a pool (METHODS A-11, control ii)."""
    own, others = (np.square(x, dtype=np.float64).sum(axis=1) for x in (fragments, pool))
    drawn: np.ndarray = pool[matched_sample(own, others, rng)]
    return drawn


def compared_likeness(
    groups: list[Float[np.ndarray, "_ time"]],
    pool: Float[np.ndarray, "m time"],
    rng: np.random.Generator,
) -> dict[str, Likeness]:
    """Mean likeness within groups of fragments (``own``), of random ones, of random ones as loud.

    The controls are aligned for themselves, in the same way.
    """
    own = [fragment_likeness(group) for group in groups]
    random, matched = [], []
    for group in groups if len(pool) else ():
        random.append(fragment_likeness(pool[rng.integers(0, len(pool), len(group))]))
        matched.append(fragment_likeness(matched_on_energy(group, pool, rng)))
    return {
        "own": mean_likeness(own),
        "random fragments, aligned alike": mean_likeness(random),
        "fragments of the same energy, aligned alike": mean_likeness(matched),
    }


def mean_likeness(found: list[Likeness]) -> Likeness:
    """Mean over archetypes; those without two fragments that vary are left out."""

    def mean(values: list[float]) -> float:
        known = [value for value in values if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")

    return Likeness(
        mean([one.as_cut for one in found]),
        mean([one.by_trough for one in found]),
        mean([one.by_correlation for one in found]),
    )
