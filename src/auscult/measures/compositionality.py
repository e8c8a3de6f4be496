"""How compositional a layer is: one score a concept, made of a few parts (METHODS B-6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.company import POLYPHONIES, Chords, InCompany
from auscult.measures.composition import (
    Analogy,
    Score,
    additivity,
    analogy,
    found_components,
    stability,
    sums_of_parts,
)

STABLE, ADDS, FOUND, SUMMED = (
    "stability in company",
    "additivity",
    "transfer to mixtures of three",
    "chords as sums of notes",
)
_AT = 3
_STEPS = (1, 2, 5, 7)
_N_RESAMPLES = 1000


@dataclass(frozen=True)
class Composed:
    """What one layer gives for one concept.

    Attributes:
        parts: Scores that count, by name.
        score: Mean of their corrected values, each cut at 0 and 1.
        interval: 95 % of 1,000 resamplings of the items behind each part.
        polyphony: Share of components found in mixtures of 2, 3, … by a readout of single ones.
        reverse: Share of single components found by a readout of mixtures; NaN where not asked.
        chance: Of ``polyphony``.
        analogy: Transposition as a vector, for pitches and partials.
    """

    parts: Mapping[str, Score]
    score: float
    interval: tuple[float, float]
    polyphony: Float[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0))
    reverse: float = float("nan")
    chance: Float[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0))
    analogy: Analogy | None = None


def standardised(vectors: Float[np.ndarray, "sound d"]) -> Float[np.ndarray, "sound d"]:
    """Each dimension in its own standard deviations over all sounds; those that stand still are 0.

    Silence, the first row, becomes the origin.

    Raises:
        NothingToMeasureError: A value is not finite, or nothing moves.
    """
    if not np.isfinite(vectors).all():
        raise NothingToMeasureError("the tap answers with values that are not finite")
    moved = vectors.astype(np.float64) - vectors[0]
    spread = moved.std(0)
    lively = spread > 1e-6 * max(float(spread.max()), 1e-300)
    if not lively.any() or spread.max() == 0:
        raise NothingToMeasureError("the tap says the same to every sound")
    return np.asarray(moved[:, lively] / spread[lively])


def in_company(vectors: Float[np.ndarray, "sound d"], heard: InCompany, seed: int) -> Composed:
    """Partials or notes: stable in any company, additive, found in mixtures."""
    rng = named_rng(seed, "composition")
    moves = (vectors[heard.joined] - vectors[heard.without]).mean(2)
    first, second, both = heard.pairs.T
    n_items, n_draws = heard.alone.shape
    one = np.repeat(np.eye(n_items, dtype=np.bool_), n_draws, axis=0)
    alone, mixed = vectors[heard.alone.ravel()], vectors[heard.mixed]
    found = found_components(alone, one, mixed, heard.present)
    counts = heard.present.sum(1)
    at_three = found[counts == _AT]
    parts = {
        STABLE: stability(moves),
        ADDS: additivity(vectors[both], vectors[first], vectors[second], vectors[0], rng),
        FOUND: Score(float(at_three.mean()), _AT / n_items, at_three),
    }
    return Composed(
        parts,
        *scored(parts, rng),
        polyphony=np.array([found[counts == n].mean() for n in POLYPHONIES]),
        reverse=float(found_components(mixed, heard.present, alone, one).mean()),
        chance=np.array(POLYPHONIES) / n_items,
        analogy=analogy(vectors[heard.alone].mean(1), _STEPS, rng),
    )


def of_timbres(
    vectors: Float[np.ndarray, "sound d"], rows: Int[np.ndarray, "timbre pitch"], seed: int
) -> Composed:
    """Timbres: the same move at every pitch, and read off at pitches never heard in training."""
    rng = named_rng(seed, "composition")
    moves = vectors[rows] - vectors[rows].mean(0)
    named = np.arange(rows.shape[1]) % 2 == 0
    found = _across(vectors[rows], named)
    parts = {STABLE: stability(moves), "transfer to other pitches": found}
    return Composed(parts, *scored(parts, rng))


def of_chords(vectors: Float[np.ndarray, "sound d"], heard: Chords, seed: int) -> Composed:
    """Chords: sums of their notes, which a readout of single notes names."""
    rng = named_rng(seed, "composition")
    rows = heard.rows.ravel()
    held_out = np.arange(len(rows)) % 4 == 0
    n_notes, n_draws = heard.alone.shape
    one = np.repeat(np.eye(n_notes, dtype=np.bool_), n_draws, axis=0)
    found = found_components(vectors[heard.alone.ravel()], one, vectors[rows], heard.parts)
    chance = float(heard.parts.sum(1).mean()) / n_notes
    parts = {
        SUMMED: sums_of_parts(heard.parts, vectors[rows], held_out, rng),
        "notes found in chords": Score(float(found.mean()), chance, found),
    }
    return Composed(parts, *scored(parts, rng))


def quality_over_roots(vectors: Float[np.ndarray, "sound d"], heard: Chords) -> Score:
    """Whether a chord's quality is one move on every root.

    Not part of the score: a layer that keeps notes apart shifts it from root to root.
    """
    moves = vectors[heard.rows] - vectors[heard.rows].mean(0)
    return stability(moves)


def _across(
    vectors: Float[np.ndarray, "item context d"], train: Bool[np.ndarray, " context"]
) -> Score:
    n_items, _, d = vectors.shape

    def side(which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        present = np.repeat(np.eye(n_items, dtype=np.bool_), int(which.sum()), axis=0)
        return vectors[:, which].reshape(-1, d), present

    found = found_components(*side(train), *side(~train))
    return Score(float(found.mean()), 1 / n_items, found)


def scored(
    parts: Mapping[str, Score], rng: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """Mean of the parts beyond their nulls, each within [0, 1], and its interval."""
    told = [one.corrected_each for one in parts.values()]

    def of(values: list[np.ndarray]) -> float:
        return float(np.mean([np.clip(one.mean(), 0.0, 1.0) for one in values]))

    draws = [
        of([one[rng.integers(0, len(one), len(one))] for one in told]) for _ in range(_N_RESAMPLES)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return of(told), (float(low), float(high))
