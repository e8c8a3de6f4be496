"""Do several seeds find the same directions, and more than chance would?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
    Split,
    Spread,
)
from auscult.analyses.parts.answering import (
    NOTHING_TO_MEASURE,
    Gathered,
    JudgedBy,
    in_turn,
    page,
    untested,
)
from auscult.analyses.parts.dictionaries.chance_table import chance_table
from auscult.analyses.parts.reading import chosen_dictionary, drawn_moves, sample
from auscult.blocks import Axis, Block, Curve, Series, Table, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.concentration import Encoded, encoded
from auscult.measures.geometry import effective_dimension
from auscult.measures.matching import (
    chance_corrected,
    chance_cosine,
    matched_cosine,
    shaped_chance_cosine,
)
from auscult.measures.null_dictionaries import (
    SHAPED,
    SUBSPACE,
    atoms_of,
    gaussian_centres,
    random_dictionary,
)
from auscult.measures.usage import most_used

_RANK = "chance in the data's dimension (rank)"
_PARTICIPATION = "chance in the data's dimension (participation)"
_LEARNED = "directions learned from Gaussian vectors of the same covariance"
_STRICT = (SHAPED, _RANK, _LEARNED)
_PUBLISHED = "about 0.7 (P1 §1.5)"
_PAIRS = "pairs of seeds"
_FEWEST = 100
_LITTLE_ROOM = 0.05
"""Nothing is corrected for a chance that comes this near to 1."""


class StabilityParams(Config):
    """Settings of the analysis of agreement between seeds."""

    dictionary: str | None = None
    """Which dictionary, of either kind; none: the first of generators."""
    reading: JudgedBy = "sound"
    """``sound``: agreement must exceed chance, of the measured rank and of the data's covariance.
    ``published``: it must come within 0.05 of the published 0.7."""
    n_compared: int = Field(20, ge=1)
    """Most used directions that the headline compares; 10, 50 and all are shown beside."""
    margin: float = Field(0.03, ge=0)
    """By how much agreement must exceed chance."""
    most_vectors: int = Field(60_000, ge=100)
    """Vectors on which usage and fidelity are measured."""


@dataclass(frozen=True)
class _Fits:
    """The dictionaries of one tap, their atoms by usage.

    Attributes:
        seeds: One for each seed.
        atoms: Of each, those that are ever on, the most used first.
        encoded: What each makes of the test vectors.
        disjoint: The same of the one fitted to disjoint recordings; or None.
        train: Vectors of the training side.
        test: Vectors of the test side.
        learned: Two sets of directions learned from Gaussian vectors, the most used first.
    """

    seeds: list[Dictionary]
    atoms: list[Float[np.ndarray, "_ d"]]
    encoded: list[Encoded]
    disjoint: Float[np.ndarray, "_ d"] | None
    train: Float[np.ndarray, "_ d"]
    test: Float[np.ndarray, "_ d"]
    learned: tuple[Float[np.ndarray, "_ d"], Float[np.ndarray, "_ d"]]

    @property
    def signed(self) -> bool:
        """Whether a direction and its opposite are one."""
        return self.seeds[0].signed

    @property
    def n_used(self) -> int:
        """Atoms that every dictionary has in use; the others are where training began."""
        used = self.atoms if self.disjoint is None else [*self.atoms, self.disjoint]
        return min(len(atoms) for atoms in used)


@ANALYSES.register("stability")
class Stability(Analysis):
    """Agreement between the dictionaries of several seeds, and with one of disjoint recordings.

    The most used directions of each are matched one to one so that the sum of cosines is largest.
    Chance is high in few dimensions: it is shown for as many random directions in the measured
    effective dimension, and for random vectors of the data's covariance.
    """

    Params: ClassVar[type[Config]] = StabilityParams
    version: ClassVar[int] = 2
    title: ClassVar[str] = "Agreement between seeds"
    question: ClassVar[str] = "Do several seeds find the same directions, and more than by chance?"
    source: ClassVar[str] = "METHODS A-10 (Cosme-Clifford, Post 1, §1.5)"

    @classmethod
    def controls(cls, params: StabilityParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None to be recorded: chance is drawn, and recordings are split."""
        return ()

    def run(self, context: Context, params: StabilityParams) -> Result:
        """Match every pair of seeds at every tap."""
        name = _named(context, params.dictionary)
        gathered = Gathered()
        for tap in in_turn(context, context.taps):
            fits = _fits(context, params, name, tap)
            if isinstance(fits, str):
                gathered.judgements.append(_untested(params, tap, fits))
            else:
                sizes = _sizes(params, fits.n_used)
                found = {n: _agreement(context, params, tap, fits, n, sizes[-1]) for n in sizes}
                headline = found[min(params.n_compared, sizes[-1])]
                gathered.measurements += [one for numbers in found.values() for one in numbers]
                gathered.measurements.append(_fidelity(context, tap, fits))
                gathered.judgements.append(_judged(params, tap, headline[0], len(fits.seeds)))
                gathered.blocks += [_over_sizes(tap, found), _usage(tap, fits)]
                gathered.blocks.append(_seed_table(tap, fits))
        gathered.blocks.append(chance_table(context.seed))
        return gathered.result({"taps": list(context.taps), "dictionary": name})

    def view(self, result: Result) -> list[Block]:
        """Findings, agreement over the number compared, usage by seed, chance, all numbers."""
        return page(result, _HOW_TO_READ, result.blocks)


_HOW_TO_READ = (
    "Two dictionaries agree when each direction of the one has a partner in the other at a cosine "
    "near 1. Random directions agree as well where there are few dimensions: twenty against "
    "twenty reach 0.59 in seven. Chance-corrected agreement is 0 at chance and 1 for identity; "
    "where chance exceeds 0.95 there is no room to correct for it, and no such number.\n\n"
    "Four levels of chance are shown. The participation ratio of the data counts few dimensions "
    "where a few directions dominate and then sets a level that is too high; the rank counts every "
    "direction that moves; random vectors of the data's own covariance lie between. Directions "
    "learned from such vectors are evenly spread and agree better. The verdict takes the highest "
    "of the last three. Directions that are never on are left out: they stay where "
    "training began. A dictionary fitted to disjoint recordings under a seed of "
    "its own says how much of the agreement is owed to the same training sounds."
)


def _named(context: Context, asked: str | None) -> str:
    """The dictionary that was asked for, of either kind."""
    if asked is not None and asked in context.dictionary_names("responses"):
        return asked
    return chosen_dictionary(context, asked, "generators")


def _vectors(context: Context, tap: str, lag: int, most: int, split: Split) -> np.ndarray:
    if lag:
        return drawn_moves(context, tap, lag, most, BASE, split).values
    return sample(context.store(tap, BASE, split), most).values


def _fits(context: Context, params: StabilityParams, name: str, tap: str) -> _Fits | str:
    """The dictionaries of one tap, or why they say nothing."""
    lag = context.lag(name)
    try:
        train = _vectors(context, tap, lag, params.most_vectors, "train")
        test = _vectors(context, tap, lag, params.most_vectors, "test")
    except NOTHING_TO_MEASURE as error:
        return str(error)
    if min(len(train), len(test)) < _FEWEST or not np.ptp(train, axis=0).any():
        return f"only {min(len(train), len(test))} vectors that vary are stored"
    seeds = context.dictionaries(name, tap)
    if len(seeds) < 2:
        return "one seed was fitted; give two or more in train.seeds"
    # Once fitted to the test side, a dictionary must be ranked by what it was not fitted to.
    disjoint = context.dictionaries(name, tap, BASE, "test")
    codes = [encoded(one, test) for one in seeds]
    atoms = [_by_usage(one, code) for one, code in zip(seeds, codes, strict=True)]
    n_used = max(1, *(len(one) for one in atoms))
    rng = named_rng(context.seed, "stability", tap, "learned")
    fits = _Fits(
        seeds,
        atoms,
        codes,
        _by_usage(disjoint[0], encoded(disjoint[0], train)) if disjoint else None,
        train,
        test,
        (gaussian_centres(train, n_used, rng), gaussian_centres(train, n_used, rng)),
    )
    return fits if fits.n_used else "a dictionary has no direction that is ever on"


def _by_usage(dictionary: Dictionary, code: Encoded) -> Float[np.ndarray, "m d"]:
    order = most_used(code.usage.top, dictionary.n_features)
    ordered: np.ndarray = atoms_of(dictionary)[order[code.usage.energy[order] > 0]]
    return ordered


def _sizes(params: StabilityParams, n_used: int) -> list[int]:
    """How many of the most used directions are compared: METHODS A-10, and the headline."""
    return sorted({min(n, n_used) for n in (10, 20, 50, params.n_compared, n_used)})


def _agreement(
    context: Context, params: StabilityParams, tap: str, fits: _Fits, n: int, n_all: int
) -> list[Measurement]:
    """Mean matched cosine of the ``n`` most used, plainly, as |cosine|, and corrected."""
    which = f"all {n} in use" if n == n_all else f"the {n} most used"
    published = _PUBLISHED if n == min(params.n_compared, n_all) else ""
    numbers = []
    for signed in (True,) if fits.signed else (False, True):
        levels = _chance(context, tap, fits, n, signed)
        kind = "|cosine|" if signed else "cosine"
        pairs = [matched_cosine(a[:n], b[:n], signed) for a, b in combinations(fits.atoms, 2)]
        value, spread = float(np.mean(pairs)), Spread.over(pairs, _PAIRS)
        name = f"matched {kind} of {which}, between seeds"
        numbers.append(Measurement(name, value, "", levels, None, published, tap, spread))
        corrected = {
            label: chance_corrected(value, level, _LITTLE_ROOM) for label, level in levels.items()
        }
        strict = corrected[max(_STRICT, key=lambda label: levels[label])]
        plain = f"matched {kind} of {which}, between seeds, chance-corrected"
        numbers.append(Measurement(plain, strict, "", corrected, tap=tap))
        if fits.disjoint is not None:
            others = [matched_cosine(atoms[:n], fits.disjoint[:n], signed) for atoms in fits.atoms]
            name = f"matched {kind} of {which}, with a dictionary of disjoint recordings"
            spread, mean = Spread.over(others, "seeds"), float(np.mean(others))
            numbers.append(Measurement(name, mean, "", levels, tap=tap, spread=spread))
    return numbers


def _chance(context: Context, tap: str, fits: _Fits, n: int, signed: bool) -> dict[str, float]:
    """Levels of chance for so many directions against as many."""
    covariance = np.atleast_2d(np.cov(fits.train.T.astype(np.float64)))
    participation, rank = effective_dimension(covariance)
    rng = named_rng(context.seed, "stability", tap, n, int(signed))
    repeats = 20 if n <= 50 else 5
    levels = {
        label: chance_cosine(max(1.0, d), n, n, rng=rng, repeats=repeats, signed=signed)
        for label, d in ((_PARTICIPATION, participation), (_RANK, float(rank)))
    }
    levels[SHAPED] = shaped_chance_cosine(covariance, n, rng, signed, repeats)
    first, second = fits.learned
    levels[_LEARNED] = matched_cosine(first[:n], second[:n], signed)
    return levels


def _fidelity(context: Context, tap: str, fits: _Fits) -> Measurement:
    """Error of the reconstruction over seeds, against random directions as sparsely used."""
    errors = [code.fvu for code in fits.encoded]
    n, k = fits.seeds[0].n_features, max(1, round(fits.encoded[0].l0))
    rng = named_rng(context.seed, "stability", tap, "random directions")
    null = random_dictionary(fits.train, n, k, fits.signed, rng)
    controls = {SUBSPACE: encoded(null, fits.test).fvu}
    name = "fraction of variance unexplained, mean over seeds"
    mean, spread = float(np.mean(errors)), Spread.over(errors, "seeds")
    return Measurement(name, mean, "", controls, None, "consistent (P1)", tap, spread)


def _judged(params: StabilityParams, tap: str, one: Measurement, n_seeds: int) -> Judgement:
    """P1-05."""
    level = max(one.controls[label] for label in _STRICT)
    passes = one.value >= 0.65 if params.reading == "published" else one.value > level
    verdict: Verdict
    if not np.isfinite(one.value - level) or level > 1 - params.margin:
        verdict = "cannot be tested here"
    elif not passes:
        verdict = "does not hold"
    else:
        verdict = "holds" if one.value > level + params.margin else "explained by control"
    least = "it reaches 0.65 and" if params.reading == "published" else "it"
    beside = f"{chance_corrected(one.value, level):.2f} after correction for chance"
    if level > 1 - params.margin:
        beside = f"and chance alone gives {level:.2f}, which leaves no room to agree better"
    elif one.value < level:
        # How far below, in units of the room above, is a number of any size that means nothing.
        beside = f"no more than the {level:.2f} that chance gives"
    return Judgement(
        f"{tap}: {n_seeds} seeds agree to a mean cosine of {one.value:.2f} among the most used "
        f"directions, {beside}.",
        one,
        verdict,
        f"It holds when {least} exceeds chance at the data's rank, random vectors of its "
        f"covariance and directions learned from such by {params.margin:g}; where these come that "
        "near to 1 nothing can be tested.",
        "P1-05",
    )


def _untested(params: StabilityParams, tap: str, why: str) -> Judgement:
    name = f"matched cosine of the {params.n_compared} most used, between seeds"
    sentence = f"{tap}: whether seeds agree cannot be measured."
    return untested(sentence, f"{why}.", "P1-05", name, tap, [SHAPED], _PUBLISHED)


def _over_sizes(tap: str, found: Mapping[int, Sequence[Measurement]]) -> Curve:
    """Agreement over the number of directions compared."""
    sizes = np.array(list(found))
    firsts = [numbers[0] for numbers in found.values()]
    ends = np.array([(s.least, s.largest) for one in firsts if (s := one.spread) is not None])
    low, high = ends.T if len(ends) else (None, None)  # two seeds are one pair
    lines = [Series("between seeds", np.array([one.value for one in firsts]), None, low, high)]
    disjoint = [numbers[2] for numbers in found.values() if len(numbers) > 2]
    if len(disjoint) == len(sizes):
        lines.append(Series("with disjoint recordings", np.array([one.value for one in disjoint])))
    lines += [
        Series(label, np.array([one.controls[label] for one in firsts]), control=True)
        for label in firsts[0].controls
    ]
    return Curve(
        f"{tap}: agreement of the most used directions (P1 §1.5)",
        sizes,
        tuple(lines),
        Axis("directions compared, most used first"),
        Axis("mean cosine after matching"),
        "The band spans all pairs of seeds.",
    )


def _usage(tap: str, fits: _Fits) -> Curve:
    """Sorted usage of every seed's dictionary."""
    usages = [np.sort(code.usage.top)[::-1] for code in fits.encoded]
    ranks = np.arange(1, len(usages[0]) + 1)
    even = Series("all used alike", np.full(len(ranks), 1 / len(ranks)), control=True)
    lines = tuple(Series(f"seed {place}", usage) for place, usage in enumerate(usages, 1))
    return Curve(
        f"{tap}: usage by rank, for each seed (P1 §1.5: consistent)",
        ranks,
        (*lines, even),
        Axis("rank of the direction"),
        Axis("share of vectors with the direction on top"),
    )


def _seed_table(tap: str, fits: _Fits) -> Table:
    rows = tuple(
        (place, code.fvu, code.l0, int(np.sum(code.usage.top > 0)))
        for place, code in enumerate(fits.encoded, 1)
    )
    columns = ("seed", "fvu", "l0", "directions ever on top")
    return Table(f"{tap}: reconstruction by seed", columns, rows, ("", "share", "per vector", ""))
