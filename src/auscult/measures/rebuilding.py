"""Sets of directions that rebuild the same vectors, each measured in the same ways (A-13)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from auscult.dictionaries.base import Dictionary
from auscult.measures.concentration import Encoded, encoded
from auscult.measures.geometry import agreement, effective_dimension
from auscult.measures.matching import random_directions
from auscult.measures.sufficiency import (
    atom_counts,
    error_at,
    learned_atoms,
    needed,
    non_negative_error,
    principal_rows,
    pursued,
    pursued_errors,
    span_rank,
    unrestricted_errors,
)
from auscult.measures.usage import most_used

OWN = "archetypes"
LEARNED = "sparse dictionary learning"
PCA = "principal components"
AMBIENT = "random directions"
SUBSPACE = "random within 99.99 % of the variance"
SPAN = "random within the span"
RAW = "generators drawn at random"

Rows = Float[np.ndarray, "n d"]


@dataclass(frozen=True)
class DirectionSets:
    """Directions of the same number, chosen in different ways from the same training vectors.

    Attributes:
        draws: By the name of the way; several draws of what is random.
        rank: Principal directions that hold 99.99 % of the energy.
        span: Directions in which there is more than rounding.
    """

    draws: Mapping[str, Sequence[np.ndarray]]
    rank: int
    span: int


def direction_sets(
    atoms: Float[np.ndarray, "m d"],
    train: Rows,
    states: Rows,
    rng: np.random.Generator,
    n_draws: int = 5,
    most_learned: int = 2000,
) -> DirectionSets:
    """Beside some archetypes, what else could be chosen (METHODS §1.3, A-13).

    Args:
        atoms: The archetypes, most used first.
        train: Training generators, not in order of time.
        states: The response vectors that they leave, for their precision.
        rng: Draws directions.
        n_draws: Draws of what is random.
        most_learned: Generators that scikit-learn's dictionary learning sees.
    """
    n, d = atoms.shape
    energies, rows = principal_rows(train)
    rank, span = effective_dimension(np.diag(energies))[1], span_rank(energies, states)
    rank = max(rank, 1)
    few = train[np.linspace(0, len(train) - 1, min(most_learned, len(train))).astype(np.int64)]
    repeats = range(n_draws)
    draws: dict[str, Sequence[np.ndarray]] = {
        OWN: [atoms],
        LEARNED: [learned_atoms(few, n, rng)],
        PCA: [rows[:n]],
        AMBIENT: [random_directions(n, d, rng) for _ in repeats],
        SUBSPACE: [random_directions(n, rank, rng, rows[:rank]) for _ in repeats],
        SPAN: [random_directions(n, span, rng, rows[:span]) for _ in repeats],
        RAW: [train[rng.permutation(len(train))[:n]] for _ in repeats],
    }
    return DirectionSets(draws, rank, span)


@dataclass(frozen=True)
class Rebuilt:
    """What one set of directions makes of test vectors.

    Attributes:
        wide: Error of least squares on the first 0, 1, … m directions, in float64.
        single: The same in float32.
        pursuit: Error with 0, 1, … directions chosen for each vector.
        few: Vectors rebuilt from a few directions each.
        cosine: Between a vector and what the few make of it; 0 where they make nothing.
        amplitude_ratio: Norm of the one over the norm of the other, median.
        rank_correlation: Of the coordinates of the two, median; NaN in one dimension.
    """

    wide: Float[np.ndarray, " m_plus_1"]
    single: Float[np.ndarray, " m_plus_1"]
    pursuit: Float[np.ndarray, " k_plus_1"]
    few: Rows
    cosine: Float[np.ndarray, " n"]
    amplitude_ratio: float
    rank_correlation: float

    @property
    def median_cosine(self) -> float:
        """Median over the vectors."""
        return float(np.median(self.cosine))


def rebuilt(
    draws: Sequence[np.ndarray], test: Float[np.ndarray, "k d"], some: Rows, n_picks: int
) -> Rebuilt:
    """Rebuild test vectors from a set of directions; errors are averaged over its draws.

    Args:
        draws: The set, or several draws of it; pursuit uses the first.
        test: For least squares.
        some: A part of them, for pursuit.
        n_picks: How many directions rebuild a single vector.
    """
    few = pursued(some, draws[0], n_picks)
    likeness = agreement(some, few)
    return Rebuilt(
        np.mean([unrestricted_errors(test, atoms) for atoms in draws], axis=0),
        np.mean([unrestricted_errors(test, atoms, np.float32) for atoms in draws], axis=0),
        pursued_errors(some, draws[0]),
        few,
        np.nan_to_num(likeness.cosine, nan=0.0),
        _median(likeness.amplitude_ratio),
        _median(likeness.rank_correlation),
    )


def _median(values: Float[np.ndarray, " n"]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


@dataclass(frozen=True)
class Rebuilding:
    """Archetypes and other directions, rebuilding the same test generators.

    Attributes:
        directions: All that is compared.
        sets: What each makes of the generators.
        non_negative: Error with coefficients that may not be negative, over ``counts``.
        counts: Numbers of directions that are shown; the last is all of them.
        n_top: Archetypes that are said to suffice, at most all.
        n_picks: Directions that rebuild a single generator, at most all.
        coded: What the dictionary's own encoder makes of the generators.
        some: The test generators that pursuit rebuilt, as rows of the test generators.
    """

    directions: DirectionSets
    sets: Mapping[str, Rebuilt]
    non_negative: Mapping[str, np.ndarray]
    counts: tuple[int, ...]
    n_top: int
    n_picks: int
    coded: Encoded
    some: Int[np.ndarray, " n"]

    @property
    def typical(self) -> int:
        """The generator of median likeness to what a few archetypes make of it, in ``some``."""
        order = np.argsort(self.sets[OWN].cosine, kind="stable")
        return int(order[len(order) // 2])

    def figures(self, every: Mapping[str, Rebuilt]) -> dict[str, dict[str, float]]:
        """Further numbers by name, of the archetypes first and then of what they are read against.

        Args:
            every: The sets, and those of control conditions.
        """
        n, place = max(1, round(self.coded.l0)), self.counts.index(self.n_top)
        pursuit = {f"pursuit, {label}": error_at(one.pursuit, n) for label, one in every.items()}
        few = {label: needed(one.wide, 1e-6) for label, one in every.items()}
        signs = {label: float(errors[place]) for label, errors in self.non_negative.items()}
        with_picks = f"with {self.n_picks}, median"
        return {
            f"error of its own encoder with {self.coded.l0:.2g} on": {
                "encoder": self.coded.error,
                **pursuit,
            },
            "archetypes until the error is 1e-6": {
                **few,
                "rank (99.99 % of the energy)": float(self.directions.rank),
            },
            f"non-negative error of the {self.n_top} most used": {
                **signs,
                "archetypes of either sign": error_at(self.sets[OWN].wide, self.n_top),
            },
            f"amplitude ratio {with_picks}": {k: one.amplitude_ratio for k, one in every.items()},
            f"rank correlation of coordinates {with_picks}": {
                k: one.rank_correlation for k, one in every.items()
            },
        }

    def arrays(self, controls: Mapping[str, Rebuilt]) -> dict[str, np.ndarray]:
        """Errors over ``counts`` by solver and set, and what single transitions become."""
        every = {**self.sets, **controls}
        kinds = {"float64": "wide", "float32": "single", "pursuit": "pursuit"}
        found = {
            f"{kind}/{label}": np.array([error_at(getattr(one, name), n) for n in self.counts])
            for kind, name in kinds.items()
            for label, one in every.items()
        }
        found |= {f"non-negative/{label}": errors for label, errors in self.non_negative.items()}
        found |= {f"cosine/{label}": one.cosine for label, one in every.items()}
        shown = (OWN, AMBIENT, SUBSPACE)
        return found | {f"transition/{k}": self.sets[k].few[self.typical] for k in shown}


def rebuilding(
    dictionary: Dictionary,
    train: Rows,
    states: Rows,
    test: Float[np.ndarray, "k d"],
    rng: np.random.Generator,
    n_top: int = 20,
    n_picks: int = 4,
    n_draws: int = 5,
    most: int = 2000,
) -> Rebuilding:
    """Rebuild test generators from archetypes and from everything else (METHODS A-13).

    Args:
        dictionary: Of generators.
        train: Training generators, to choose directions from.
        states: The response vectors that they leave.
        test: Test generators.
        rng: Draws directions.
        n_top: Archetypes that are said to suffice.
        n_picks: Directions that rebuild a single generator.
        n_draws: Draws of what is random.
        most: Generators for pursuit and for dictionary learning; a quarter for non-negative errors.
    """
    directions = direction_sets(by_usage(dictionary, train), train, states, rng, n_draws, most)
    n_top, n_picks = min(n_top, dictionary.n_features), min(n_picks, dictionary.n_features)
    some = np.linspace(0, len(test) - 1, min(most, len(test))).astype(np.int64)
    sets = {
        label: rebuilt(draws, test, test[some], n_picks)
        for label, draws in directions.draws.items()
    }
    counts = tuple(atom_counts(dictionary.n_features, (n_picks, n_top)).tolist())
    non_negative = {
        label: np.array(
            [non_negative_error(test[some[::4]], directions.draws[label][0][:n]) for n in counts]
        )
        for label in (OWN, AMBIENT, RAW)
    }
    coded = encoded(dictionary, test)
    return Rebuilding(directions, sets, non_negative, counts, n_top, n_picks, coded, some)


def by_usage(dictionary: Dictionary, values: Rows) -> Float[np.ndarray, "m d"]:
    """Atoms of a dictionary, the one most often on top of some vectors first."""
    atoms = dictionary.atoms.detach().double().numpy()
    return np.asarray(atoms[most_used(encoded(dictionary, values).usage.top, len(atoms))])
