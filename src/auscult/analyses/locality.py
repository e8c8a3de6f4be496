"""Do the states from which an archetype leads on lie close together, beyond loudness?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
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
)
from auscult.analyses.parts.reading import Moves, archetypes_by_lag, chosen_dictionary, drawn_moves
from auscult.blocks import Axis, Block, Scatter, Table, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.directions import direction_name, ratio_interval, top_directions
from auscult.measures.geometry import Dispersion, dispersion
from auscult.measures.prediction import shuffled_successors
from auscult.measures.usage import most_used

_SHUFFLED = "shuffled successors"
_CASES = {OWN: BASE, str(NOISE): NOISE, str(RANDOM): RANDOM, _SHUFFLED: BASE}
_FEWEST = 10
_MARGIN = 0.02
_MATCHED = "radius relative to states of the same norms"
_PLAIN = "radius relative to random states"
_UNIT = "radius of unit vectors relative to random ones"
_NAN = float("nan")
_PUBLISHED = (
    ("archetype 0", 162_696, 3.2, 4.1),
    ("archetype 125", 143_724, 3.2, 4.1),
    ("archetype 23", 20_525, 1.6, 4.1),
    ("archetype 71", 23_165, 2.5, 4.1),
    ("archetype 104", 11_766, 0.6, 4.1),
)


class LocalityParams(Config):
    """Settings of the test of locality."""

    reading: JudgedBy = "sound"
    """Headline: ratios after norm matching and against the nulls, or plain ratios below 1."""
    dictionary: str | None = None
    """Which archetypes; none: the first fitted to generators of the shortest lag."""
    n_archetypes: int = Field(20, ge=1)
    """How many of the most used archetypes are measured."""
    most_vectors: int = Field(20_000, ge=200)
    """Generators drawn under each condition."""


@dataclass(frozen=True)
class _Spread:
    """Dispersion of the archetypes of one condition, most used first, or why there is none."""

    reason: str = ""
    names: tuple[str, ...] = ()
    usage: tuple[float, ...] = ()
    found: tuple[Dispersion, ...] = ()
    interval: tuple[float, float] | None = None
    ratios: Mapping[str, np.ndarray] = field(default_factory=dict)

    def median(self, kind: str) -> float:
        """Over archetypes; NaN without any."""
        return float(np.median(self.ratios[kind])) if self.found else _NAN

    def share_below(self, kind: str) -> float:
        """Share of archetypes whose ratio is below 1."""
        return float(np.mean(self.ratios[kind] < 1)) if self.found else _NAN


@ANALYSES.register("locality")
class Locality(Analysis):
    """Radius of the states from which each archetype leads on, against random states.

    The radius is the mean distance from the centroid of the states. Quiet states lie close
    together whatever follows them, so the radius is also compared with that of as many states of
    the same norms. As a generator contains the negative state, archetypes sort states even where
    any state may follow any other: shuffled successors, noise and random weights show how much.
    """

    Params: ClassVar[type[Config]] = LocalityParams
    title: ClassVar[str] = "Locality"
    question: ClassVar[str] = (
        "Do the states from which an archetype leads on lie close together, beyond loudness?"
    )
    source: ClassVar[str] = "METHODS A-18 (Cosme-Clifford, Post 1, the table of dispersion)"

    @classmethod
    def controls(cls, params: LocalityParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """White noise, and random weights."""
        return NOISE, RANDOM

    def run(self, context: Context, params: LocalityParams) -> Result:
        """Measure the spread of starts at every recorded tap under every condition."""
        lags = archetypes_by_lag(context)
        name = chosen_dictionary(context, params.dictionary or lags[min(lags)], "generators")
        found = Gathered()
        tables: dict[str, list[Any]] = {}
        for tap in in_turn(context, context.taps):
            spreads = {case: _spread(context, params, name, tap, case) for case in _CASES}
            numbers = _numbers(tap, spreads)
            found.measurements += numbers
            found.judgements.append(_judgement(params, tap, spreads, numbers))
            for case, spread in spreads.items():
                found.arrays[f"{tap}/{case}/usage"] = np.array(spread.usage)
                found.arrays[f"{tap}/{case}/ratio"] = spread.ratios.get(_MATCHED, np.zeros(0))
            tables[tap] = _rows(spreads[OWN])
        facts = {"taps": list(context.taps), "tables": tables, "lag": context.lag(name)}
        facts |= {"dictionary": name, "most_vectors": params.most_vectors}
        return found.result(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, ratio over usage, the published table redrawn."""
        how_to_read = (
            "An archetype is local when the states it leads on from lie closer together than "
            "states at large: its radius, relative to that of as many random states, is below "
            "1. Radii grow with the level of the sounds, so only ratios can be compared; and "
            "quiet states lie close together because they are quiet, so the ratio to states of "
            "the same norms counts. Noise through the same weights and the same sounds through "
            "random weights have archetypes of their own; shuffled successors put a random "
            "state after each state: what these reach follows from how generators are made.\n\n"
            f"Archetypes of {result.facts['dictionary']!r}, at lag {result.facts['lag']}; up "
            f"to {result.facts['most_vectors']:,} generators of each condition."
        )
        pictures: list[Block] = []
        for tap in result.facts["taps"]:
            pictures += [_scatter(result, tap), _table(result, tap)]
        return page(result, how_to_read, pictures)


def _spread(context: Context, params: LocalityParams, name: str, tap: str, case: str) -> _Spread:
    """Dispersion of the starts of the most used archetypes; whatever fails says why."""
    condition = _CASES[case]
    rng = named_rng(context.seed, "locality", tap, case)
    try:
        moves = drawn_moves(context, tap, context.lag(name), params.most_vectors, condition)
        dictionary = context.dictionaries(name, tap, condition)[0]
        shuffled = case == _SHUFFLED
        generators = shuffled_successors(moves.states, rng) if shuffled else moves.values
        tops = top_directions(dictionary, generators)
        counts = np.bincount(tops[tops >= 0], minlength=1)
        chosen = most_used(counts.astype(np.float64), params.n_archetypes)
        chosen = chosen[counts[chosen] >= _FEWEST]
        if not len(chosen):
            raise NothingToMeasureError(
                f"no archetype leads on from {_FEWEST} of {len(tops)} states"
            )
    except NOTHING_TO_MEASURE as error:
        return _Spread(str(error))
    found = tuple(dispersion(moves.states, tops == which, rng) for which in chosen)
    matched = np.array([one.norm_matched_radius for one in found])
    return _Spread(
        "",
        tuple(direction_name(int(which), dictionary.n_features) for which in chosen),
        tuple(float(counts[which]) / len(tops) for which in chosen),
        found,
        _interval(moves, tops, chosen, matched, rng),
        _ratios(found),
    )


def _interval(
    moves: Moves,
    tops: np.ndarray,
    chosen: np.ndarray,
    matched: np.ndarray,
    rng: np.random.Generator,
) -> tuple[float, float] | None:
    """Of the median ratio; none over a single recording, which would be a point."""
    ids = moves.recording_ids
    if len(np.unique(ids)) < 2:
        return None
    return ratio_interval(moves.states, tops, chosen, matched, ids, rng)


def _ratios(found: tuple[Dispersion, ...]) -> dict[str, np.ndarray]:
    """Radius over what it is compared with; 1 where both are 0 (all states alike)."""

    def ratio(radii: list[tuple[float, float]]) -> np.ndarray:
        own, other = np.array(radii).T
        return np.asarray(np.divide(own, other, out=np.ones_like(own), where=other > 0))

    return {
        _MATCHED: ratio([(one.radius, one.norm_matched_radius) for one in found]),
        _PLAIN: ratio([(one.radius, one.random_radius) for one in found]),
        _UNIT: ratio([(one.unit_radius, one.unit_random_radius) for one in found]),
    }


def _numbers(tap: str, spreads: Mapping[str, _Spread]) -> list[Measurement]:
    """Medians and shares below 1; the nulls are the other conditions."""
    own = spreads[OWN]
    others = {name: one for name, one in spreads.items() if name != OWN}
    published = "0.15 to 0.78, median 0.61 (P1, table)"
    numbers = []
    for kind in (_MATCHED, _PLAIN, _UNIT):
        medians = {name: one.median(kind) for name, one in others.items()}
        shares = {name: one.share_below(kind) for name, one in others.items()}
        told = published if kind == _PLAIN else ""
        interval = own.interval if kind == _MATCHED else None
        numbers += [
            Measurement(f"median {kind}", own.median(kind), "", medians, interval, told, tap),
            Measurement(
                f"share of archetypes below 1: {kind}",
                own.share_below(kind),
                "",
                shares,
                published="5 of the 5 listed (P1, table)" if kind == _PLAIN else "",
                tap=tap,
            ),
        ]
    return numbers


def _judgement(
    params: LocalityParams,
    tap: str,
    spreads: Mapping[str, _Spread],
    numbers: list[Measurement],
) -> Judgement:
    own, sound = spreads[OWN], params.reading == "sound"
    kind = _MATCHED if sound else _PLAIN
    median = next(one for one in numbers if one.name == f"median {kind}")
    missing = [(name, one.reason) for name, one in spreads.items() if one.reason]
    if own.reason or (sound and missing):
        name, why = missing[0]
        reason = f"{name}: {why}."
        sentence = f"{tap}: locality cannot be judged."
        return Judgement(sentence, median, "cannot be tested here", reason, "P1-15")
    n_below = int(np.sum(own.ratios[kind] < 1))
    sentence = (
        f"{tap}: {n_below} of the {len(own.found)} most used archetypes lead on from states that "
        f"lie closer together than {'states of the same norms' if sound else 'random states'}; "
        f"the median ratio is {median.value:.2f}."
    )
    reason = (
        "It holds when all ratios are below 1 after norm matching and their median, with its 95 % "
        "interval over recordings, lies below those of noise, of random weights and of shuffled "
        "successors by 0.02."
    )
    if sound and own.interval is None:
        reason = "There is one recording only, so chance cannot be judged. " + reason
    if not sound:
        reason = "As published: all ratios to random states below 1, whatever their norms."
    return Judgement(sentence, median, _verdict(sound, own, kind, median), reason, "P1-15")


def _verdict(sound: bool, own: _Spread, kind: str, median: Measurement) -> Verdict:
    if own.share_below(kind) < 1:
        return "does not hold"
    if not sound:
        return "holds"
    lowest = min(median.controls.values())
    if own.interval is None:
        return "cannot be tested here"
    beats = median.value < lowest - _MARGIN and own.interval[1] < lowest
    return "holds" if beats else "explained by control"


def _rows(own: _Spread) -> list[tuple[str | int | float | None, ...]]:
    rows: list[tuple[str | int | float | None, ...]] = []
    for place, (name, one) in enumerate(zip(own.names, own.found, strict=True)):
        plain, matched = (float(own.ratios[kind][place]) for kind in (_PLAIN, _MATCHED))
        radii = (one.radius, one.random_radius, plain, one.norm_matched_radius, matched)
        rows.append((name, one.n, *radii, one.unit_radius, one.unit_random_radius))
    return rows


def _scatter(result: Result, tap: str) -> Scatter:
    usage = {case: result.arrays[f"{tap}/{case}/usage"] for case in _CASES}
    names = [row[0] for row in result.facts["tables"][tap]]
    labels = names + [
        f"{case}, rank {rank + 1}"
        for case, values in usage.items()
        if case != OWN
        for rank in range(len(values))
    ]
    return Scatter(
        f"{tap}: how local archetypes are, over how much they are used",
        np.concatenate(list(usage.values())),
        np.concatenate([result.arrays[f"{tap}/{case}/ratio"] for case in _CASES]),
        Axis("share of generators", "", "log"),
        Axis(_MATCHED),
        tuple(labels),
        tuple(case for case, values in usage.items() for _ in values),
        "Below 1: closer together than states of the same norms. All but the first group are "
        "controls. P1 has a table of five archetypes and no figure.",
    )


def _table(result: Result, tap: str) -> Table:
    """Ours above, the published rows below: no two units are the same, but ratios compare."""
    published = tuple(
        (f"published: {name}", n, radius, other, radius / other, None, None, None, None)
        for name, n, radius, other in _PUBLISHED
    )
    return Table(
        f"{tap}: dispersion of the states from which each archetype leads on",
        (
            "archetype",
            "starts",
            "radius",
            "random radius",
            "ratio",
            "norm-matched radius",
            "ratio, norm-matched",
            "radius of unit vectors",
            "random radius of unit vectors",
        ),
        tuple(tuple(row) for row in result.facts["tables"][tap]) + published,
        note="P1, table of dispersion: its five rows stand last. Radii are in units of the "
        "response vectors, which differ between models and with level; ratios have none.",
    )
