"""Does the state foretell which archetype leads on, beyond what overlapping windows explain?"""

from collections.abc import Mapping
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
    untested,
)
from auscult.analyses.parts.dynamics.lag_pictures import (
    CHANCE,
    LINEAR,
    MAJORITY,
    SHUFFLED,
    by_archetype,
    lag_table,
    over_lags,
)
from auscult.analyses.parts.reading import archetypes_by_lag, n_recordings, sample_moves
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.directions import Foretold, foretell, gap_interval, recalls
from auscult.measures.prediction import shuffled_successors

_PERMUTED = "labels permuted in training"
_CASES = {OWN: BASE, str(NOISE): NOISE, str(RANDOM): RANDOM, SHUFFLED: BASE}
_MARGIN = 0.02
_SINGLE = "The test side has one recording: some that archetypes were fitted to are read as well."
_PUBLISHED = "about 0.85 against 0.05 (P1 §1.5.5)"


class StateDependenceParams(Config):
    """Settings of the test of state dependence."""

    reading: JudgedBy = "sound"
    """Headline: the excess over noise and random weights, or accuracy at lag 1 against chance."""
    n_archetypes: int = Field(20, ge=2)
    """How many of the most used archetypes are told apart."""
    most_vectors: int = Field(10_000, ge=200)
    """Generators drawn under each condition; 7 in 10 recordings are learned from."""


@ANALYSES.register("state-dependence")
class StateDependence(Analysis):
    """Multinomial logistic regression from a response vector to the archetype that leads on.

    The archetype is the one with the greatest activation in the generator that leaves the state,
    among the 20 most used; an atom of a signed dictionary counts as two, one for each direction.
    Learned and tested on different recordings, none of which archetypes were fitted to as long as
    the test side has two. At a lag
    shorter than the receptive field the state already holds part of what the successor will hear,
    and at any lag the generator contains the negative state: white noise and random weights, each
    with archetypes of their own, show how much that explains (the overlap null).
    """

    Params: ClassVar[type[Config]] = StateDependenceParams
    title: ClassVar[str] = "State dependence"
    question: ClassVar[str] = (
        "Does the state foretell which archetype leads on, beyond what overlapping windows explain?"
    )
    source: ClassVar[str] = "METHODS A-17 (Cosme-Clifford, Post 1, §1.5.5)"

    @classmethod
    def controls(cls, params: StateDependenceParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """White noise, and random weights."""
        return NOISE, RANDOM

    def run(self, context: Context, params: StateDependenceParams) -> Result:
        """Predict archetypes at every tap and every lag that the spec has archetypes of."""
        lags = dict(sorted(archetypes_by_lag(context).items()))
        gathered = Gathered()
        rows: list[tuple[Any, ...]] = []
        steps = [(tap, lag, name) for tap in context.taps for lag, name in lags.items()]
        answers: dict[str, dict[int, dict[str, Foretold]]] = {}
        for tap, lag, name in in_turn(context, steps):
            found = {case: _case(context, params, tap, lag, name, case) for case in _CASES}
            answers.setdefault(tap, {})[lag] = found
            one = _numbers(context, tap, lag, found)
            gathered.measurements += one
            single = n_recordings(context.store(tap, BASE, "test")) < 2
            gathered.judgements += _judgements(params, tap, lag, found, one, single)
            rows.append(_row(context, tap, lag, found))
        for tap, by_lag in answers.items():
            if params.reading == "published" and 1 not in lags:
                gathered.judgements.append(_untested(tap, "the spec has no archetypes of lag 1"))
            gathered.arrays |= _arrays(tap, by_lag)
        gathered.judgements.sort(key=lambda judgement: judgement.claim == "")
        facts = {"taps": list(context.taps), "lags": list(lags), "rows": rows}
        facts |= {"reading": params.reading, "most_vectors": params.most_vectors}
        return gathered.result(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, accuracy over the lag with every null, and which archetypes are confused."""
        pictures: list[Block] = []
        for tap in result.facts["taps"]:
            pictures += [over_lags(result, tap, "accuracy"), over_lags(result, tap, "balanced")]
            pictures += by_archetype(result, tap)
        return page(result, _how_to_read(result), [*pictures, lag_table(result)])


def _case(
    context: Context, params: StateDependenceParams, tap: str, lag: int, name: str, case: str
) -> Foretold:
    """One condition at one lag; whatever fails says why."""
    condition = _CASES[case]
    rng = named_rng(context.seed, "state-dependence", tap, lag, case)
    try:
        store = context.store(tap, condition, "test")
        if n_recordings(store) < 2:
            # A single recording cannot be split; what archetypes were fitted to has to serve.
            store = context.store(tap, condition)
        moves = sample_moves(store, lag, params.most_vectors)
        # Were any state to follow any other, −r[t] would still regress to the mean.
        shuffled = case == SHUFFLED
        generators = shuffled_successors(moves.states, rng) if shuffled else moves.values
        return foretell(
            context.dictionaries(name, tap, condition)[0],
            *(moves.states, generators, moves.recording_ids),
            n_directions=params.n_archetypes,
            n_most=params.most_vectors,
            rng=rng,
            permuted=case == OWN,
        )
    except NOTHING_TO_MEASURE as error:
        return Foretold(str(error))


def _overlap(found: Mapping[str, Foretold]) -> str:
    """The stronger of the two nulls: noise through the same weights, or random weights."""
    accuracies = {name: found[str(name)].accuracy for name in (NOISE, RANDOM)}
    if not all(np.isfinite(value) for value in accuracies.values()):
        return ""
    return str(max(accuracies, key=lambda name: accuracies[name]))


def _numbers(
    context: Context, tap: str, lag: int, found: Mapping[str, Foretold]
) -> list[Measurement]:
    """Accuracy, its excess, balanced accuracy, linear R²: each with the nulls that it can have."""
    own, at = found[OWN], f"at lag {lag}"
    others = {name: one for name, one in found.items() if name != OWN}
    chance = {CHANCE: 1 / own.n_labels if own.n_labels else float("nan")}
    accuracy = {MAJORITY: own.majority, **chance, _PERMUTED: own.permuted}
    accuracy |= {LINEAR: own.linear_accuracy, **{n: one.accuracy for n, one in others.items()}}
    balanced = {**chance, LINEAR: own.linear_balanced}
    balanced |= {name: one.balanced for name, one in others.items()}
    linear = {name: one.r_squared for name, one in others.items()}
    skill = {name: one.skill for name, one in others.items()}
    published = _PUBLISHED if lag == 1 else ""
    null = found.get(_overlap(found), Foretold())
    interval = None
    if len(own.truth) and len(null.truth):
        rng = named_rng(context.seed, "state-dependence", tap, lag, "gap")
        interval = gap_interval(own.right, own.recordings, null.right, null.recordings, rng)
    beyond = {name: value - null.accuracy for name, value in accuracy.items()}
    measured = own.interval if len(own.truth) else None
    return [
        Measurement(
            f"accuracy beyond the overlap null {at}",
            own.accuracy - null.accuracy,
            "",
            beyond,
            interval,
            published,
            tap,
        ),
        Measurement(
            f"accuracy {at}", own.accuracy, "", accuracy, measured, published=published, tap=tap
        ),
        Measurement(
            f"accuracy beyond a linear prediction {at}",
            own.accuracy - own.linear_accuracy,
            "",
            {name: one.accuracy - one.linear_accuracy for name, one in others.items()},
            tap=tap,
        ),
        Measurement(f"skill over the most frequent archetype {at}", own.skill, "", skill, tap=tap),
        Measurement(f"balanced accuracy {at}", own.balanced, "", balanced, tap=tap),
        Measurement(f"linear R² of the generator {at}", own.r_squared, "", linear, tap=tap),
    ]


def _judgements(
    params: StateDependenceParams,
    tap: str,
    lag: int,
    found: Mapping[str, Foretold],
    numbers: list[Measurement],
    single: bool = False,
) -> list[Judgement]:
    own, beyond, accuracy = found[OWN], numbers[0], numbers[1]
    sound = params.reading == "sound"
    judged: list[Judgement] = []
    if not sound and lag == 1:
        judged.append(_against_chance(tap, own, accuracy))
    missing = next((f"{name}: {one.reason}" for name, one in found.items() if one.reason), "")
    if missing:
        sentence = f"{tap}: state dependence cannot be judged at lag {lag}."
        reason = f"{missing}."
    else:
        side = "more" if beyond.value >= 0 else "fewer"
        sentence = (
            f"{tap}: at lag {lag} the state foretells which of {own.n_labels} archetypes leads on "
            f"in {own.accuracy:.0%} of cases, {abs(100 * beyond.value):.1f} points {side} than "
            "the overlap null."
        )
        reason = (
            "It holds when accuracy exceeds noise and random weights by 2 points and by more than "
            "the 95 % interval over recordings and answers, when balanced accuracy and the skill "
            "over the most frequent archetype exceed both, and when shuffled successors are "
            "foretold less well by 2 points; it does not hold when the most frequent "
            "archetype would do as well. Archetypes read off a linear prediction of the generator "
            f"are right in {own.linear_accuracy:.0%} of cases."
        )
        reason = f"{_SINGLE} {reason}" if single else reason
    verdict = _verdict(found, beyond)
    judged.append(Judgement(sentence, beyond, verdict, reason, "P1-14" if sound else ""))
    return judged


def _verdict(found: Mapping[str, Foretold], beyond: Measurement) -> Verdict:
    own, nulls = found[OWN], [found[str(NOISE)], found[str(RANDOM)]]
    if any(one.reason for one in found.values()) or beyond.interval is None:
        return "cannot be tested here"
    if own.interval[0] <= own.majority:
        return "does not hold"
    exceeds = (
        beyond.value > _MARGIN
        and beyond.interval[0] > 0
        and all(own.balanced > null.balanced and own.skill > null.skill for null in nulls)
        and own.accuracy > found[SHUFFLED].accuracy + _MARGIN
    )
    return "holds" if exceeds else "explained by control"


def _against_chance(tap: str, own: Foretold, accuracy: Measurement) -> Judgement:
    """As published: accuracy at lag 1 against one in as many."""
    if own.reason:
        return _untested(tap, own.reason)
    chance = 1 / own.n_labels
    return Judgement(
        f"{tap}: at lag 1 the state foretells the archetype in {own.accuracy:.0%} of cases, "
        f"against a chance of {chance:.0%}.",
        accuracy,
        "holds" if own.interval[0] > chance else "does not hold",
        "As published: accuracy against one in as many archetypes, whatever noise or random "
        "weights reach.",
        "P1-14",
    )


def _untested(tap: str, why: str) -> Judgement:
    sentence = f"{tap}: the published accuracy cannot be compared."
    return untested(sentence, f"{why}.", "P1-14", "accuracy at lag 1", tap, [CHANCE])


def _row(
    context: Context, tap: str, lag: int, found: Mapping[str, Foretold]
) -> tuple[str | int | float | None, ...]:
    time, own = context.time(tap), found[OWN]
    heard = None
    if not (time.unbounded_past or time.global_):
        heard = max(0.0, float(1 - lag * time.hop / time.span))
    null = found.get(_overlap(found), Foretold())
    n_recordings = len(np.unique(own.recordings))
    numbers = (own.accuracy, own.accuracy - null.accuracy, own.majority, own.balanced)
    counts = (own.kept_share, own.n_labels, len(own.truth), n_recordings)
    return (tap, lag, heard, *numbers, *counts, own.reason)


def _arrays(tap: str, by_lag: Mapping[int, Mapping[str, Foretold]]) -> dict[str, np.ndarray]:
    """Curves over the lag; confusion and recalls at the shortest lag."""
    owns = [found[OWN] for found in by_lag.values()]
    curves = {
        f"{name}/{kind}": [getattr(found[name], kind) for found in by_lag.values()]
        for name in next(iter(by_lag.values()))
        for kind in ("accuracy", "balanced")
    }
    curves |= {
        f"{LINEAR}/accuracy": [one.linear_accuracy for one in owns],
        f"{LINEAR}/balanced": [one.linear_balanced for one in owns],
        f"{MAJORITY}/accuracy": [one.majority for one in owns],
        f"{CHANCE}/accuracy": [1 / max(one.n_labels, 1) for one in owns],
        f"{CHANCE}/balanced": [1 / max(one.n_labels, 1) for one in owns],
        "low": [one.interval[0] for one in owns],
        "high": [one.interval[1] for one in owns],
    }
    arrays = {f"{tap}/{key}": np.array(values) for key, values in curves.items()}
    first = next(iter(by_lag.values()))
    for name, one in first.items():
        recall = np.full(one.n_labels, np.nan)
        if len(one.truth):
            known, shares = recalls(one.truth, one.given)
            recall[known] = shares
        arrays[f"{tap}/{name}/recall"] = recall
    own = first[OWN]
    counts = np.zeros((own.n_labels, own.n_labels))
    np.add.at(counts, (own.truth, own.given), 1)
    arrays[f"{tap}/confusion"] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return arrays


def _how_to_read(result: Result) -> str:
    return (
        "A logistic regression learns, on some recordings, to tell from a response vector which of "
        "the most used archetypes leads on from it, and is asked about other recordings. A right "
        "answer need not mean a law of motion: with a short lag the state has already heard part "
        "of what the next one will hear, and any generator r[t + lag] − r[t] contains −r[t]. "
        "Noise through the same weights, and the same sounds through random weights, have both "
        "properties and archetypes of their own: only what exceeds the better of the two is "
        "evidence. Shuffled successors keep the second property alone. The published 5 % is one "
        "archetype in twenty; always naming the most frequent one does better than that.\n\n"
        f"Up to {result.facts['most_vectors']:,} generators of each condition, evenly spread."
    )
