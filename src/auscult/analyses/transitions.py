"""Which archetype follows which, and is there more order in it than shuffling leaves?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Int
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
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, OWN, Gathered, in_turn, page
from auscult.analyses.parts.reading import archetypes_by_lag
from auscult.blocks import Axis, Block, Graph, Heatmap, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.directions import direction_name, top_directions
from auscult.measures.dynamics import moving
from auscult.measures.transitions import Transitions, transitions_in
from auscult.store.source import VectorSource

SHUFFLED = "order shuffled within clips"
_NAN = float("nan")
_FEWEST = 200
"""Transitions that a statement needs."""


class TransitionParams(Config):
    """Settings of the analysis of transitions."""

    n_shown: int = Field(20, ge=2)
    """Most used directions in the pictures."""
    links_each: int = Field(3, ge=1)
    """Successors drawn for each node: the most frequent of those that chance does not explain."""
    margin: float = Field(0.05, gt=0)
    """By how much predictability must exceed every control, as a share of the entropy."""
    most_vectors: int = Field(60_000, ge=100)
    """Vectors looked at under each condition."""


@dataclass(frozen=True)
class _Kind:
    """What follows what: archetypes at one lag, or features.

    Attributes:
        name: Of the dictionary.
        word: What its directions are called.
        lag: Of the generators; 0 for response vectors.
        apart: Frames from one vector to its successor.
    """

    name: str
    word: str
    lag: int
    apart: int


@ANALYSES.register("transitions")
class TransitionsOfDirections(Analysis):
    """Which archetype, and which feature, follows which over unbroken stretches of frames.

    Archetypes are compared a lag apart, so that one step begins where the other ends; features as
    far apart. Labels are shuffled within each clip. Neighbouring frames share input samples and
    neighbouring generators a state, so that white noise through any layer has an order as well:
    its predictability is the control that counts.
    """

    Params: ClassVar[type[Config]] = TransitionParams
    title: ClassVar[str] = "What follows what"
    question: ClassVar[str] = (
        "Does one archetype lead to another more often than noise and chance would have it?"
    )
    source: ClassVar[str] = "METHODS A-9, A-21 (Cosme-Clifford, Post 1, §1.5)"

    @classmethod
    def controls(cls, params: TransitionParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """White noise, and random weights."""
        return NOISE, RANDOM

    def run(self, context: Context, params: TransitionParams) -> Result:
        """Count at every tap, for archetypes of every lag and for features."""
        kinds = _kinds(context)
        gathered = Gathered()
        steps = [(tap, kind) for tap in context.taps for kind in kinds]
        for tap, kind in in_turn(context, steps):
            with_conditions = kind.lag in (0, kinds[0].lag)
            found = _measured(context, params, tap, kind, with_conditions)
            judged = _judged(params, tap, kind, found)
            gathered.judgements.append(judged)
            if OWN in found:
                dictionary = context.dictionaries(kind.name, tap)[0]
                gathered.measurements.append(judged.measurement)
                gathered.blocks += _pictures(params, tap, kind, found[OWN], dictionary)
        facts = {"taps": list(context.taps), "dictionaries": [kind.name for kind in kinds]}
        return gathered.result(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, the matrix and the graph of each kind, and all numbers."""
        return page(result, _HOW_TO_READ, result.blocks)


_HOW_TO_READ = (
    "Predictability is the share of the next direction's entropy that the present one removes: 0 "
    "where the order does not matter, 1 where it decides. Counting alone gives a little, which is "
    "what the shuffled order shows.\n\n"
    "Most of it is mechanical. A step that led up is followed by one that leads down, because "
    "both share the state between them, and overlapping windows share samples. White noise shows "
    "how much of the order this makes. In the matrices, red is more and blue less frequent than "
    "in the shuffled order, in powers of two."
)


def _kinds(context: Context) -> list[_Kind]:
    lags = archetypes_by_lag(context)
    kinds = [_Kind(name, f"archetype, lag {lag}", lag, lag) for lag, name in lags.items()]
    apart = next(iter(lags))
    features = context.dictionary_names("responses")
    return kinds + [_Kind(name, "feature", 0, apart) for name in features[:1]]


def _measured(
    context: Context, params: TransitionParams, tap: str, kind: _Kind, with_conditions: bool
) -> dict[str, Transitions]:
    """Transitions under every condition that has enough of them.

    At later lags noise is read by the archetypes of the sounds, which costs no further fit.
    """
    found = {}
    for condition in (BASE, NOISE, RANDOM) if with_conditions else (BASE, NOISE):
        own_dictionary = with_conditions or condition == BASE
        label = str(condition) if own_dictionary else f"{condition}, the same directions"
        try:
            store = context.store(tap, condition, "test")
            source: VectorSource = store.generators(kind.lag) if kind.lag else store
        except NOTHING_TO_MEASURE:
            continue
        if source.n_vectors < _FEWEST or not moving(source.rows(_spread(source)))[0].any():
            continue
        fitted_to = condition if own_dictionary else BASE
        dictionary = context.dictionaries(kind.name, tap, fitted_to)[0]
        n = (2 if dictionary.signed else 1) * dictionary.n_features
        rng = named_rng(context.seed, "transitions", tap, kind.name, str(condition))
        labels: Callable[[np.ndarray], np.ndarray] = partial(top_directions, dictionary)
        counted = transitions_in(
            source, labels, n, kind.apart, rng, params.most_vectors, store.step
        )
        if counted.n >= _FEWEST:
            found[OWN if condition == BASE else label] = counted
    return found


def _spread(source: VectorSource) -> Int[np.ndarray, " k"]:
    count = min(source.n_vectors, 1000)
    return np.linspace(0, source.n_vectors - 1, count).astype(np.int64)


def _judged(
    params: TransitionParams, tap: str, kind: _Kind, found: Mapping[str, Transitions]
) -> Judgement:
    words = f"{kind.word}: share of the next one's entropy that the present one removes"
    where = f"{tap}, {kind.word}"
    own = found.get(OWN)
    value, shuffled = (own.predictability, own.shuffled_predictability) if own else (_NAN, _NAN)
    nulls = {SHUFFLED: shuffled}
    nulls |= {label: one.predictability for label, one in found.items() if label != OWN}
    one = Measurement(words, value, "", nulls, tap=tap)
    reason = (
        f"It holds when the share exceeds that of the shuffled order, of noise and of random "
        f"weights by {params.margin:g}."
    )
    verdict: Verdict
    if own is None or not np.isfinite(value - shuffled):
        verdict = "cannot be tested here"
        reason = f"Fewer than {_FEWEST} transitions, or one direction only."
    elif value <= shuffled + params.margin:
        verdict = "does not hold"
    else:
        others = [null for null in nulls.values() if np.isfinite(null)]
        beaten = value > max(others) + params.margin
        verdict = "holds" if beaten else "explained by control"
    sentence = (
        f"{where}: the present one removes {value:.0%} of the next one's entropy, "
        f"{shuffled:.0%} where the order is shuffled."
    )
    if own is None:
        sentence = f"{where}: what follows what cannot be measured."
    return Judgement(sentence, one, verdict, reason)


def _pictures(
    params: TransitionParams, tap: str, kind: _Kind, found: Transitions, dictionary: Dictionary
) -> list[Block]:
    """The matrix of the most used directions and the graph of the strongest transitions."""
    counts = found.counts.sum(axis=1)
    order = np.argsort(-counts, kind="stable")[: params.n_shown]
    order = order[counts[order] > 0]
    ranks = np.arange(1, len(order) + 1)
    log_ratio = found.log_ratio[np.ix_(order, order)]
    probability = found.probability[np.ix_(order, order)]
    names = [direction_name(int(i), dictionary.n_features) for i in order]
    names = [name.replace("archetype", kind.word.split(",")[0]) for name in names]
    heat = Heatmap(
        f"{tap}, {kind.word}: transitions between the most used",
        log_ratio,
        ranks,
        ranks,
        Axis("next, by rank of usage"),
        Axis("present, by rank of usage"),
        Axis("log2 of frequency over the shuffled order"),
        "diverging",
        "By rank: " + ", ".join(f"{rank} {name}" for rank, name in zip(ranks, names, strict=True)),
    )
    sources, targets = _links(probability, log_ratio, params.links_each)
    graph = Graph(
        f"{tap}, {kind.word}: what follows what",
        tuple(names),
        counts[order] / max(int(counts.sum()), 1),
        sources,
        targets,
        probability[sources, targets],
        Axis("probability of the transition"),
        f"For each, at most {params.links_each} successors that come at least half as often again "
        f"as in the shuffled order; {found.n:,} transitions, {kind.apart} frames apart.",
    )
    return [heat, graph]


def _links(
    probability: np.ndarray, log_ratio: np.ndarray, each: int
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """The most frequent successors of each node, of those that chance does not explain."""
    allowed = np.where(log_ratio >= np.log2(1.5), probability, 0)
    best = np.argsort(-allowed, axis=1, kind="stable")[:, :each]
    sources = np.repeat(np.arange(len(best)), best.shape[1])
    targets = best.ravel()
    kept = allowed[sources, targets] > 0
    return sources[kept], targets[kept]
