"""How few archetypes carry the movement, how alike are they, and what would chance give?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    NOISE,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    JudgedBy,
    in_turn,
    page,
    untested,
)
from auscult.analyses.parts.reading import (
    FEWEST_MOVES,
    Moves,
    archetypes_by_lag,
    chosen_dictionary,
    drawn_moves,
    moves_or_reason,
)
from auscult.blocks import Axis, Bars, Block, Curve, Heatmap, Series, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.concentration import Encoded, encoded, resampled_n90
from auscult.measures.fragment_alignment import random_like
from auscult.measures.matching import cosine_matrix
from auscult.measures.null_dictionaries import SUBSPACE, atoms_of, unlearned
from auscult.measures.usage import (
    chance_redundancy,
    least_alike,
    most_used,
    redundancy,
    usage_summary,
)

_DEFINITIONS = {
    "top": "share of transitions with the archetype on top",
    "strong": "share of transitions of which it carries a quarter of the norm",
    "energy_share": "share of the energy of all contributions",
}
_SUMMARIES = {
    "n80": "N80",
    "n90": "N90",
    "n95": "N95",
    "gini": "Gini coefficient",
    "effective_number": "effective number",
}
_SEED = "another seed"
_CHANCE = "random directions in"


class UsageParams(Config):
    """Settings of the analysis of usage."""

    dictionary: str | None = None
    """Which dictionary of generators; none: the first of each lag."""
    reading: JudgedBy = "sound"
    """``sound``: N90 of the archetype on top, judged against every control; and low redundancy is
    no finding where noise or random weights give as little. ``published``: N90 of the highly active
    ones against 25 and the null of rank; redundancy against random directions alone."""
    strong_share: float = Field(0.25, gt=0, le=1)
    """An archetype is highly active where it carries this share of a generator's norm."""
    n_compared: int = Field(20, ge=2)
    """Most used archetypes whose likeness is measured."""
    most_used: int = Field(25, ge=1)
    """The published claim passes with at most so many archetypes for 90 % of the usage."""
    most_vectors: int = Field(60_000, ge=100)
    """Generators looked at under each condition."""


@dataclass(frozen=True)
class _Seen:
    """A dictionary with what it makes of generators."""

    dictionary: Dictionary
    encoded: Encoded

    def shares(self, definition: str) -> Float[np.ndarray, " m"]:
        """Usage of every atom."""
        found: np.ndarray = getattr(self.encoded.usage, definition)
        return found

    def leading(self, n: int) -> Float[np.ndarray, "k d"]:
        """The atoms most often on top, of those that ever are."""
        atoms: np.ndarray = atoms_of(self.dictionary)[self.order(n)]
        return atoms

    def order(self, n: int) -> Int[np.ndarray, " k"]:
        """Their numbers."""
        order: np.ndarray = most_used(self.shares("top"), n)
        used: np.ndarray = order[self.shares("top")[order] > 0]
        return used


@ANALYSES.register("usage")
class UsageOfArchetypes(Analysis):
    """Usage of archetypes by three definitions, and their redundancy.

    Every control has a dictionary of its own: learned from noise, learned from random weights, as
    many random directions within the data's own principal subspace (the null of rank), as many
    anywhere, and the principal directions.
    """

    Params: ClassVar[type[Config]] = UsageParams
    title: ClassVar[str] = "Usage of archetypes"
    question: ClassVar[str] = (
        "Do a few archetypes carry most of the movement, and are they unlike one another?"
    )
    source: ClassVar[str] = "METHODS A-12 (Cosme-Clifford, Post 1, §1.5, Fig. 5 and 6)"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: UsageParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """White noise, and random weights."""
        return NOISE, RANDOM

    def run(self, context: Context, params: UsageParams) -> Result:
        """Count and compare at every tap and lag."""
        names = archetypes_by_lag(context)
        if params.dictionary is not None:
            name = chosen_dictionary(context, params.dictionary, "generators")
            names = {context.lag(name): name}
        found = Gathered()
        steps = [(tap, lag) for tap in context.taps for lag in names]
        for tap, lag in in_turn(context, steps):
            with_conditions = lag == next(iter(names))
            try:
                _look(context, params, names[lag], tap, lag, with_conditions, found)
            except NOTHING_TO_MEASURE as error:
                found.judgements += _untested(tap, lag, str(error))
        facts = {"taps": list(context.taps), "lags": list(names), "dictionaries": [*names.values()]}
        return found.result(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, sorted usage, likeness, the two least alike, and all numbers."""
        return page(result, _HOW_TO_READ, result.blocks)


_HOW_TO_READ = (
    "Usage can mean three things: how often an archetype is on top, how often it carries a good "
    "part of the transition, and how much of the energy it takes. Each is summed up by the "
    "smallest number of archetypes that cover 90 % of it (N90).\n\n"
    "A steep curve alone says little. Where generators fill few dimensions, any set of directions "
    "is used unevenly: the null of rank draws as many directions at random from the very subspace "
    "that the generators take. Principal directions are fewer than the archetypes and are shown "
    "for their shape, not judged against."
)


def _look(
    context: Context,
    params: UsageParams,
    name: str,
    tap: str,
    lag: int,
    with_conditions: bool,
    found: Gathered,
) -> None:
    """Everything about one tap and lag."""
    own = drawn_moves(context, tap, lag, params.most_vectors, fewest=FEWEST_MOVES)
    train = drawn_moves(context, tap, lag, params.most_vectors, BASE, "train", FEWEST_MOVES)
    seeds = context.dictionaries(name, tap)
    seen = {OWN: _see(params, seeds[0], own.values)}
    if with_conditions:
        for condition in (NOISE, RANDOM):
            heard = moves_or_reason(context, tap, lag, params.most_vectors, condition)
            if not isinstance(heard, str):
                theirs = context.dictionaries(name, tap, condition)[0]
                seen[str(condition)] = _see(params, theirs, heard.values)
    n, k = seeds[0].n_features, max(1, round(seen[OWN].encoded.l0))
    rng = named_rng(context.seed, "usage", tap, lag, "random directions")
    for label, null in unlearned(train.values, n, k, seeds[0].signed, rng).items():
        seen[label] = _see(params, null, own.values)
    for number, other in enumerate(seeds[1:], 1):
        seen[f"{_SEED} ({number})"] = _see(params, other, own.values)
    numbers = _numbers(context, tap, lag, seen, own)
    likeness = _likeness(context, params.n_compared, tap, lag, seen, train)
    where = f"{tap}, lag {lag}"
    found.judgements += [_few(params, where, seen, numbers), _unlike(params, where, likeness[0])]
    found.measurements += [*numbers, *likeness]
    beside = random_like(train.values, params.n_compared, rng)[0]
    found.blocks += [*_curves(where, seen), *_pictures(params, where, seen, beside)]


def _see(params: UsageParams, dictionary: Dictionary, values: np.ndarray) -> _Seen:
    return _Seen(dictionary, encoded(dictionary, values, params.strong_share))


def _numbers(
    context: Context, tap: str, lag: int, seen: Mapping[str, _Seen], own: Moves
) -> list[Measurement]:
    """Every summary of every definition of usage, with all controls."""
    numbers = []
    for definition, words in _DEFINITIONS.items():
        summaries = {label: usage_summary(one.shares(definition)) for label, one in seen.items()}
        for summary, shown in _SUMMARIES.items():
            values = {label: float(getattr(one, summary)) for label, one in summaries.items()}
            interval = None
            if (definition, summary) == ("top", "n90"):
                rng = named_rng(context.seed, "usage", tap, lag, "bootstrap")
                top, n = seen[OWN].encoded.top, seen[OWN].dictionary.n_features
                drawn = resampled_n90(top, own.recording_ids, n, rng)
                low, high = np.quantile(drawn, (0.025, 0.975))
                interval = (float(low), float(high))
            published = "about 20 of 128 (P1, Fig. 5a)" if summary == "n90" else ""
            controls = {label: value for label, value in values.items() if label != OWN}
            name = f"lag {lag}: {shown}, {words}"
            numbers.append(Measurement(name, values[OWN], "", controls, interval, published, tap))
    return numbers


def _few(
    params: UsageParams, where: str, seen: Mapping[str, _Seen], numbers: list[Measurement]
) -> Judgement:
    """P1-07."""
    definition = "top" if params.reading == "sound" else "strong"
    words = f"{_SUMMARIES['n90']}, {_DEFINITIONS[definition]}"
    one = next(number for number in numbers if number.name.endswith(words))
    judging = [SUBSPACE] if params.reading == "published" else [SUBSPACE, str(NOISE), str(RANDOM)]
    judging = [label for label in judging if label in one.controls]
    nulls = [one.controls[label] for label in judging]
    n = seen[OWN].dictionary.n_features
    verdict: Verdict
    if one.value < 1 or n * 0.9 <= params.most_used:
        verdict = "cannot be tested here"
    elif one.value > params.most_used:
        verdict = "does not hold"
    else:
        beaten = all(one.value <= 0.9 * null for null in nulls)
        verdict = "holds" if beaten else "explained by control"
    return Judgement(
        f"{where}: {one.value:.0f} of {n} archetypes carry 90 % of the usage.",
        one,
        verdict,
        f"It holds when at most {params.most_used} archetypes cover 90 % of the "
        f"{_DEFINITIONS[definition]}, at least a tenth fewer than with {' and '.join(judging)}; "
        f"a dictionary of {params.most_used / 0.9:.0f} or fewer cannot be tested.",
        "P1-07",
    )


def _likeness(
    context: Context, n_most: int, tap: str, lag: int, seen: Mapping[str, _Seen], train: Moves
) -> list[Measurement]:
    """Mean and highest cosine between different archetypes among the most used (METHODS A-12)."""
    leading, signed = seen[OWN].leading(n_most), seen[OWN].dictionary.signed
    rng = named_rng(context.seed, "usage", tap, lag, "likeness")
    found = {OWN: redundancy(leading, signed)}
    found |= chance_redundancy(train.values, max(len(leading), 2), rng, signed)
    for condition in (str(NOISE), str(RANDOM)):
        if condition in seen:
            found[condition] = redundancy(seen[condition].leading(n_most), signed)
    kind = "|cosine|" if signed else "cosine"
    numbers = []
    for place, word in enumerate(("mean", "highest")):
        values = {label: pair[place] for label, pair in found.items()}
        name = f"lag {lag}: {word} {kind} between the {n_most} most used archetypes"
        published = "most low, a few similar pairs (P1, Fig. 5b)"
        value = values.pop(OWN)
        numbers.append(Measurement(name, value, "", values, published=published, tap=tap))
    return numbers


def _unlike(params: UsageParams, where: str, one: Measurement) -> Judgement:
    """P1-08."""
    chance = max(value for name, value in one.controls.items() if name.startswith(_CHANCE))
    learned = [one.controls[name] for name in (str(NOISE), str(RANDOM)) if name in one.controls]
    verdict: Verdict
    if not np.isfinite(one.value - chance):
        verdict = "cannot be tested here"
    elif one.value >= chance + 0.1:
        verdict = "does not hold"
    elif params.reading == "sound" and any(other <= one.value + 0.02 for other in learned):
        verdict = "explained by control"
    else:
        verdict = "holds"
    reason = (
        "It holds when the mean lies less than 0.1 above that of as many random directions of the "
        "effective dimension"
    )
    if params.reading == "sound":
        reason += "; archetypes of noise or random weights that are as unlike explain it"
        reason += "" if learned else " (they are fitted at the first lag alone)"
    return Judgement(
        f"{where}: the most used archetypes have a mean cosine of {one.value:.2f}, "
        f"random directions {chance:.2f}.",
        one,
        verdict,
        f"{reason}.",
        "P1-08",
    )


def _untested(tap: str, lag: int, why: str) -> list[Judgement]:
    """Both claims, where there is nothing to judge them by."""
    sentence = f"{tap}, lag {lag}: the usage of archetypes cannot be measured."
    told = (("P1-07", _SUMMARIES["n90"]), ("P1-08", "mean cosine"))
    return [
        untested(sentence, f"{why}.", claim, f"lag {lag}: {name}", tap, [SUBSPACE])
        for claim, name in told
    ]


def _curves(where: str, seen: Mapping[str, _Seen]) -> list[Block]:
    """Usage by rank under all three definitions."""
    shown: list[Block] = []
    for definition, words in _DEFINITIONS.items():
        ordered = {label: np.sort(one.shares(definition))[::-1] for label, one in seen.items()}
        lines = tuple(
            Series(label, values, np.arange(1, len(values) + 1), control=label != OWN)
            for label, values in ordered.items()
        )
        shown.append(
            Curve(
                f"{where}: usage of archetypes, sorted (P1, Fig. 5a)",
                np.arange(1, len(ordered[OWN]) + 1),
                lines,
                Axis("rank of the archetype"),
                Axis(words),
                "Steep is concentrated. Read the curve against those of the controls.",
            )
        )
    return shown


def _pictures(
    params: UsageParams,
    where: str,
    seen: Mapping[str, _Seen],
    beside: Float[np.ndarray, "n d"],
) -> list[Block]:
    """The matrix of cosines, that of random vectors, and the two archetypes least alike."""
    own = seen[OWN]
    order, atoms = own.order(params.n_compared), own.leading(params.n_compared)
    ranks = np.arange(1, len(atoms) + 1)
    random = beside[: len(atoms)]
    told = (
        ("the most used archetypes (P1, Fig. 5b)", atoms, "archetype, by rank of usage"),
        ("as many random vectors of the same covariance (control)", random, "random vector"),
    )
    shown: list[Block] = [
        Heatmap(
            f"{where}: cosines between {what}",
            cosine_matrix(rows, rows),
            ranks,
            ranks,
            Axis(axis),
            Axis(axis),
            Axis("cosine"),
            "diverging",
        )
        for what, rows, axis in told
    ]
    pair = least_alike(atoms, own.dictionary.signed) if len(atoms) > 1 else ()
    shown.extend(
        Bars(
            f"{where}: archetype {order[place]}, one of the two least alike (P1, Fig. 6)",
            tuple(str(channel) for channel in range(atoms.shape[1])),
            atoms[place],
            Axis("channel"),
            Axis("weight"),
            note=f"Number {place + 1} by usage.",
        )
        for place in pair
    )
    return shown
