"""How few archetypes rebuild the generators, and would other directions need more?"""

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
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, Gathered, JudgedBy, in_turn, page
from auscult.analyses.parts.reading import Moves, chosen_dictionary, drawn_moves
from auscult.blocks import Axis, Block, Curve, Histogram, Missing, Series, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.numbers import number
from auscult.core.rng import named_rng
from auscult.measures.rebuilding import (
    AMBIENT,
    LEARNED,
    OWN,
    PCA,
    SUBSPACE,
    Rebuilding,
    Rebuilt,
    by_usage,
    rebuilding,
    rebuilt,
)
from auscult.measures.statistics import bootstrap_interval
from auscult.measures.sufficiency import SMALLEST, error_at, random_error

_CONTROLS = (RANDOM, NOISE)
_TOLD = {"sound": "every control", "published": AMBIENT}
_FEWEST = 30
_NAN = float("nan")


class SufficiencyParams(Config):
    """Settings of the analysis of sufficiency."""

    dictionary: str | None = None
    """Which archetypes; none: the first dictionary fitted to generators."""
    reading: JudgedBy = "sound"
    """Judge against every control; or, as published, against random directions alone."""
    n_top: int = Field(20, ge=1)
    """Archetypes that are said to suffice."""
    n_picks: int = Field(4, ge=1)
    """Archetypes that rebuild a single transition."""
    most_vectors: int = Field(4_000, ge=100)
    """Test generators for least squares; training generators to choose directions from."""
    most_pursued: int = Field(1_500, ge=100)
    """Test generators for matching pursuit; training generators for dictionary learning."""
    n_draws: int = Field(3, ge=1)
    """Sets of random directions whose errors are averaged."""


@ANALYSES.register("sufficiency")
class Sufficiency(Analysis):
    """Reconstruction error of generators over the number of archetypes, by four solvers.

    The error is Σ‖g − ĝ‖² / Σ‖g‖² over test generators: least squares on the most used, matching
    pursuit, non-negative least squares, and the dictionary's own encoder. The same for principal
    components, scikit-learn's dictionary learning, random directions anywhere and where generators
    lie, and generators themselves; and for archetypes of noise and of random weights.
    """

    Params: ClassVar[type[Config]] = SufficiencyParams
    title: ClassVar[str] = "Sufficiency"
    question: ClassVar[str] = (
        "How few archetypes rebuild the generators, and would other directions need more?"
    )
    source: ClassVar[str] = "METHODS A-13 (Cosme-Clifford, Post 1, §1.5, Fig. 7)"

    @classmethod
    def controls(cls, params: SufficiencyParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights, and white noise."""
        return _CONTROLS

    def run(self, context: Context, params: SufficiencyParams) -> Result:
        """Rebuild test generators at every recorded tap."""
        name = chosen_dictionary(context, params.dictionary, "generators")
        found = Gathered()
        taps: dict[str, Any] = {}
        for tap in in_turn(context, context.taps):
            study = _study(context, params, name, tap)
            found.judgements += [*_errors_judged(study, params), _shape_judged(study, params)]
            found.measurements += _others(study)
            found.arrays |= {f"{tap}/{key}": values for key, values in study.arrays.items()}
            taps[tap] = {"reason": study.reason, **study.facts}
        facts = {"dictionary": name, "lag": context.lag(name), "taps": taps}
        return found.judged_first(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, errors over the number of atoms, one transition."""
        pictures: list[Block] = []
        for tap, known in result.facts["taps"].items():
            missing = Missing(f"{tap}: sufficiency", known["reason"])
            pictures += [missing] if known["reason"] else _pictures(result, tap, known)
        return page(result, _HOW_TO_READ, pictures)


_HOW_TO_READ = (
    "The error is the share of the test generators' energy that is left. Any independent "
    "directions that lie where generators lie rebuild them without error as soon as there are as "
    "many as dimensions: an error at the floor tells how many dimensions there are, and nothing "
    "about which archetypes were found. About 1e-14 is the square of what float32 rounds off; in "
    "float64 the floor is about 1e-31, or what rounding left in the generators themselves. So "
    "read archetypes against as many principal components, random directions within the variance, "
    "and generators drawn at random. Random directions anywhere leave 1 − m / d of the energy in "
    "d dimensions, whatever the network and the sounds."
)


@dataclass(frozen=True)
class _Study:
    """Everything measured at one tap; where that is impossible, only the reason."""

    tap: str
    reason: str = ""
    own: Rebuilding | None = None
    every: Mapping[str, Rebuilt] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def _study(context: Context, params: SufficiencyParams, name: str, tap: str) -> _Study:
    try:
        train, test = _moves(context, params, name, tap, BASE)
        found = context.dictionaries(name, tap)[0]
    except NOTHING_TO_MEASURE as error:
        return _Study(tap, str(error))
    rng = named_rng(context.seed, "sufficiency", tap)
    sizes = (params.n_top, params.n_picks, params.n_draws, params.most_pursued)
    own = rebuilding(found, train.values, train.states, test.values, rng, *sizes)
    controls = _elsewhere(context, params, name, tap)
    cosines = own.sets[OWN].cosine
    interval = bootstrap_interval(
        lambda rows: float(np.median(cosines[rows])), test.recording_ids[own.some], rng, 300
    )
    row = own.some[own.typical]
    facts = {
        "counts": list(own.counts),
        "d": found.d_in,
        "rank": own.directions.rank,
        "span": own.directions.span,
        "n_picks": own.n_picks,
        "l0": own.coded.l0,
        "encoder": own.coded.error,
        "transition": f"{test.clip_ids[row]}, frame {test.frames[row]}",
        "told": f"{len(test.values)} test generators, of which {len(own.some)} for pursuit; "
        f"{test.still_share:.1%} do not move and are left out",
    }
    arrays = own.arrays(controls) | {"transition/generator": test.values[row]}
    return _Study(tap, "", own, {**own.sets, **controls}, interval, facts, arrays)


def _elsewhere(
    context: Context, params: SufficiencyParams, name: str, tap: str
) -> dict[str, Rebuilt]:
    """Archetypes and generators of the control conditions, where there are enough."""
    found = {}
    for condition in _CONTROLS:
        try:
            train, test = _moves(context, params, name, tap, condition)
            dictionary = context.dictionaries(name, tap, condition)[0]
        except NOTHING_TO_MEASURE:
            continue
        atoms = by_usage(dictionary, train.values)
        some = test.values[:: max(1, -(-len(test.values) // params.most_pursued))]
        picks = min(params.n_picks, len(atoms))
        found[str(condition)] = rebuilt([atoms], test.values, some, picks)
    return found


def _moves(
    context: Context, params: SufficiencyParams, name: str, tap: str, condition: Condition
) -> tuple[Moves, Moves]:
    lag, most = context.lag(name), params.most_vectors
    train = drawn_moves(context, tap, lag, most, condition, "train")
    test = drawn_moves(context, tap, lag, most, condition, "test")
    if min(len(train.values), len(test.values)) < _FEWEST:
        raise NothingToMeasureError(
            f"only {len(train.values)} training and {len(test.values)} test generators move; "
            f"record at least {_FEWEST} of each"
        )
    return train, test


def _errors_judged(study: _Study, params: SufficiencyParams) -> list[Judgement]:
    """The four published errors (P1-09)."""
    own = study.own
    n_all, n_top = (own.counts[-1], own.n_top) if own else (0, params.n_top)
    every = f"all {n_all} archetypes" if own else "all archetypes"
    return [
        _low(study, params, OWN, n_all, 1e-14, every, single=True),
        _low(study, params, OWN, n_top, 1e-6, f"the {n_top} most used archetypes"),
        _low(study, params, LEARNED, n_top, 1e-6, f"{n_top} atoms of sparse dictionary learning"),
        _random(study, params, n_top),
    ]


def _low(
    study: _Study,
    params: SufficiencyParams,
    label: str,
    n: int,
    published: float,
    what: str,
    single: bool = False,
) -> Judgement:
    """An error that is said to be low: within an order of magnitude, and lower than the nulls'."""

    def error(one: Rebuilt) -> float:
        return error_at(one.single if single else one.wide, n)

    others = {k: error(one) for k, one in study.every.items()}
    value = others.pop(label, _NAN)
    nulls = _nulls(params, others)
    precision = "float32" if single else "float64"
    measured = Measurement(
        f"error of {what} ({precision})",
        value,
        "",
        others or {PCA: _NAN},
        published=f"{number(published, 1)} (P1, Fig. 7a)",
        tap=study.tap,
    )
    return _judged(
        study,
        measured,
        f"{what} leave {number(value, 2)} of the generators' energy",
        value <= 10 * published,
        all(null > 10 * value for null in nulls.values()),
        "the error is at most ten times the published one, and a tenth of that of "
        + _TOLD[params.reading],
        "P1-09",
    )


def _random(study: _Study, params: SufficiencyParams, n: int) -> Judgement:
    """The error of random directions, which arithmetic foretells."""
    foretold, deviation = random_error(n, study.facts.get("d", n), params.n_draws)
    value, others = _NAN, {"1 − m / d, whatever the network": foretold}
    if study.own is not None:
        errors = {k: error_at(one.wide, n) for k, one in study.own.sets.items()}
        value = errors.pop(AMBIENT)
        others |= errors
    published = params.reading == "published"
    name, told = f"error of {n} random directions", "0.43 (P1, Fig. 7a)"
    measured = Measurement(name, value, "", others, None, told, study.tap)
    return _judged(
        study,
        measured,
        f"{n} random directions leave {value:.2g} of the generators' energy",
        0.043 <= value <= 4.3,
        value > 10 * others.get(OWN, _NAN) if published else abs(value - foretold) > 3 * deviation,
        "the error is of the published order of magnitude and "
        + ("ten times that of as many archetypes" if published else "not foretold by 1 − m / d"),
        "P1-09",
    )


def _shape_judged(study: _Study, params: SufficiencyParams) -> Judgement:
    """Whether a few archetypes keep a transition's shape (P1-10)."""
    cosines = {k: one.median_cosine for k, one in study.every.items()}
    value = cosines.pop(OWN, _NAN)
    n = study.facts.get("n_picks", params.n_picks)
    measured = Measurement(
        f"cosine of a transition with {n} archetypes, median",
        value,
        "",
        cosines or {AMBIENT: _NAN},
        study.interval,
        "shape kept (P1, Fig. 7b)",
        study.tap,
    )
    return _judged(
        study,
        measured,
        f"{n} archetypes rebuild a transition to a median cosine of {value:.2f}",
        value > 0.9,
        all(value > null + 0.02 for null in _nulls(params, cosines).values()),
        "the median cosine is above 0.9, and 0.02 above that of " + _TOLD[params.reading],
        "P1-10",
    )


def _nulls(params: SufficiencyParams, others: Mapping[str, float]) -> dict[str, float]:
    """What a value must beat: neither archetypes nor another way of learning is a null."""
    if params.reading == "published":
        return {k: value for k, value in others.items() if k == AMBIENT}
    return {k: value for k, value in others.items() if k not in (OWN, LEARNED)}


def _judged(
    study: _Study,
    measured: Measurement,
    sentence: str,
    passes: bool,
    beats: bool,
    rule: str,
    claim: str,
) -> Judgement:
    verdict: Verdict = "holds" if beats else "explained by control"
    if study.reason:
        sentence, verdict = f"the {measured.name} cannot be told", "cannot be tested here"
    elif not passes:
        verdict = "does not hold"
    reason = study.reason or f"It holds when {rule}."
    return Judgement(f"{study.tap}: {sentence}.", measured, verdict, reason, claim)


def _others(study: _Study) -> list[Measurement]:
    """What no claim is about."""
    found = []
    for name, values in (study.own.figures(study.every) if study.own else {}).items():
        (_, value), *controls = values.items()
        published = "20 (P1, Fig. 7a)" if "1e-6" in name else ""
        found.append(
            Measurement(name, value, "", dict(controls), published=published, tap=study.tap)
        )
    return found


def _pictures(result: Result, tap: str, known: Mapping[str, Any]) -> list[Block]:
    start = f"{tap}/"
    arrays = {k.removeprefix(start): v for k, v in result.arrays.items() if k.startswith(start)}

    def lines(kind: str, told: str = "") -> list[Series]:
        found = {k.split("/", 1)[1]: y for k, y in arrays.items() if k.startswith(f"{kind}/")}
        return [
            Series(f"{label}{told}", np.maximum(y, SMALLEST), control=label != OWN)
            for label, y in found.items()
        ]

    n, error = np.array(known["counts"]), Axis("error, share of the energy", "", "log")
    x = Axis("directions", "", "log")
    single = lines("float32", ", float32")[:1]
    encoder = Series("its own encoder", np.array([known["encoder"]]), np.array([known["l0"]]))
    picked = f"{known['n_picks']} of all"
    return [
        Curve(
            f"{tap}: least squares on the most used (P1, Fig. 7a)",
            n,
            (*single, *lines("float64", ", float64")),
            x,
            error,
            f"{known['told']}. {known['rank']} of {known['d']} dimensions hold 99.99 % of their "
            f"energy, {known['span']} all but rounding.",
        ),
        Curve(
            f"{tap}: directions chosen for each generator (P1, Fig. 7a)",
            n,
            (encoder, *lines("pursuit"), *lines("non-negative", ", non-negative")),
            x,
            error,
            "Orthogonal matching pursuit among all; non-negative least squares on the most used.",
        ),
        Curve(
            f"{tap}: one transition from {known['n_picks']} archetypes (P1, Fig. 7b)",
            np.arange(known["d"]),
            (
                Series("the generator", arrays["transition/generator"]),
                Series(f"{picked} {OWN}", arrays[f"transition/{OWN}"]),
                Series(f"{picked} {AMBIENT}", arrays[f"transition/{AMBIENT}"], control=True),
                Series(f"{picked} {SUBSPACE}", arrays[f"transition/{SUBSPACE}"], control=True),
            ),
            Axis("channel"),
            Axis("change of response"),
            f"The generator of median likeness: {known['transition']}.",
        ),
        Histogram.of(
            f"{tap}: likeness of transitions rebuilt from {known['n_picks']} (P1, Fig. 7b)",
            {k.split("/", 1)[1]: v for k, v in arrays.items() if k.startswith("cosine/")},
            np.linspace(0, 1, 41),
            Axis("cosine"),
            Axis("share of transitions"),
        ),
    ]
