"""What are archetypes: which sounds move along each, and do they look alike?"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
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
    Split,
)
from auscult.analyses.parts.answering import OWN, JudgedBy, in_turn, page, untested, verdict_of
from auscult.analyses.parts.cards import (
    MOVEMENT_NOTE,
    MOVEMENT_UNITS,
    Corpus,
    MovementCards,
    Places,
    Rows,
    follows_table,
)
from auscult.analyses.parts.reading import Moves, archetypes_by_lag, moves_or_reason
from auscult.blocks import Block, Gallery, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.concentration import encoded
from auscult.measures.directions import direction_name, top_directions
from auscult.measures.fragment_alignment import (
    Neighbourhood,
    compared_likeness,
    fragment_likeness,
    mean_likeness,
    random_like,
)
from auscult.measures.geometry import unit_rows
from auscult.measures.null_dictionaries import SUBSPACE, atoms_of, unlearned
from auscult.measures.statistics import bootstrap_interval
from auscult.measures.transitions import transitions_in

SHAPED = "random directions of the same covariance"
ANY = "random generators (mean |cosine|)"
_NAN = float("nan")


class ArchetypeParams(Config):
    """Settings of the analysis of archetypes."""

    reading: JudgedBy = "sound"
    """``sound``: the closest generators must reach the published cosine less 0.05, and beat every
    control. ``published``: they must lie within 0.05 of the published 0.90, random ones within
    0.05 of 0.20."""
    n_closest: int = Field(12, ge=3)
    """Generators closest to an archetype whose fragments are aligned."""
    n_averaged: int = Field(20, ge=1)
    """Most used archetypes over which numbers are averaged."""
    n_shown: int = Field(64, ge=0)
    """Archetypes in the gallery, the most used ones."""
    every_lag: bool = False
    """Show a gallery for each lag, not for the first alone."""
    n_fragments: int = Field(6, ge=2)
    """Fragments to hear for an archetype; and as many random ones."""
    context_s: float = Field(0.25, gt=0)
    """Sound kept on both sides of a fragment that is played."""
    spectrum_samples: int = Field(4096, ge=256)
    """Window of the spectra."""
    most_vectors: int = Field(60_000, ge=100)
    """Generators looked at under each condition."""


@dataclass(frozen=True)
class _Heard:
    """Generators of one tap, lag and condition, and the archetypes found in them.

    Attributes:
        moves: Of the test side.
        around: The same, to find those near a direction.
        dictionary: Of archetypes.
        directions: Its atoms; those of a signed dictionary and their opposites.
        usage: Share of generators with each direction on top.
        order: Directions in use, the most used first.
    """

    moves: Moves
    around: Neighbourhood
    dictionary: Dictionary
    directions: Float[np.ndarray, "m d"]
    usage: Float[np.ndarray, " m"]
    order: Int[np.ndarray, " k"]

    def leading(self, n: int) -> Float[np.ndarray, "k d"]:
        """The most used directions."""
        found: np.ndarray = self.directions[self.order[:n]]
        return found


@dataclass(frozen=True)
class _At:
    """Where one looks: a tap, a lag, and the dictionary fitted to that lag."""

    context: Context
    params: ArchetypeParams
    name: str
    tap: str
    lag: int

    def moves(self, condition: Condition = BASE, split: Split = "test") -> Moves | str:
        """Generators, or why there are too few."""
        most = self.params.most_vectors
        return moves_or_reason(self.context, self.tap, self.lag, most, condition, split)

    def measured(self, words: str, values: Mapping[str, float], published: str = "") -> Measurement:
        """A number with all others as its controls."""
        controls = {label: value for label, value in values.items() if label != OWN}
        name = f"lag {self.lag}: {words}"
        return Measurement(name, values[OWN], "", controls, None, published, self.tap)


@ANALYSES.register("archetypes")
class Archetypes(Analysis):
    """Archetypes of movement: how near generators come to them, and which sounds these heard.

    A browser shows each archetype with its fragments, aligned by their troughs beside random ones
    aligned by theirs, and with what follows it. An archetype of a signed dictionary that is used
    backwards counts as another one: it leads elsewhere.
    """

    Params: ClassVar[type[Config]] = ArchetypeParams
    title: ClassVar[str] = "Archetypes"
    question: ClassVar[str] = (
        "Do generators lie close to a few archetypes, and do the sounds behind one look alike?"
    )
    source: ClassVar[str] = "METHODS A-9, A-11 (Cosme-Clifford, Post 1, §1.5, Fig. 4)"

    @classmethod
    def controls(cls, params: ArchetypeParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """White noise, and random weights."""
        return NOISE, RANDOM

    def run(self, context: Context, params: ArchetypeParams) -> Result:
        """Measure at every tap and lag."""
        names = archetypes_by_lag(context)
        found: list[Result] = []
        steps = [(tap, lag) for tap in context.taps for lag in names]
        for tap, lag in in_turn(context, steps):
            at = _At(context, params, names[lag], tap, lag)
            found.append(_look(at, lag == next(iter(names))))
        return Result(
            tuple(number for one in found for number in one.measurements),
            {},
            {"taps": list(context.taps), "lags": list(names), "dictionaries": [*names.values()]},
            tuple(block for one in found for block in one.blocks),
            tuple(judgement for one in found for judgement in one.judgements),
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, the browsers, and all numbers."""
        return page(result, _HOW_TO_READ, result.blocks)


_HOW_TO_READ = (
    "A generator is the step from one response vector to a later one; an archetype is a direction "
    "that many generators take. Any direction has some generators close to it, the more so in few "
    "dimensions: read their cosine against random directions of the same covariance.\n\n"
    "Fragments are what both ends of a generator heard, with 4 samples more on both sides. "
    "Aligning by the lowest sample makes a V out of anything, noise included; random fragments "
    "are therefore aligned in the same way, and so are fragments of the same energy."
)


def _hear(at: _At, moves: Moves, condition: Condition) -> _Heard:
    dictionary = at.context.dictionaries(at.name, at.tap, condition)[0]
    atoms = atoms_of(dictionary)
    directions = np.concatenate([atoms, -atoms]) if dictionary.signed else atoms
    labels = top_directions(dictionary, moves.values)
    counts = np.bincount(labels[labels >= 0], minlength=len(directions))
    order = np.argsort(-counts, kind="stable")
    time = at.context.time(at.tap)
    apart = float(time.span / time.hop) + at.lag
    around = Neighbourhood.of(moves.values, moves.clip_ids, moves.frames, apart)
    used = order[counts[order] > 0]
    return _Heard(moves, around, dictionary, directions, counts / len(labels), used)


def _look(at: _At, first: bool) -> Result:
    """Everything about one tap and lag; noise and random weights at the first lag only."""
    own, train = at.moves(), at.moves(split="train")
    if isinstance(own, str) or isinstance(train, str):
        return _untested(at, own if isinstance(own, str) else str(train))
    heard = _hear(at, own, BASE)
    if not len(heard.order):
        return _untested(at, "no archetype is ever on")
    others, still = {}, {OWN: own.still_share}
    for condition in (NOISE, RANDOM):
        moves = at.moves(condition)
        still[str(condition)] = _NAN if isinstance(moves, str) else moves.still_share
        if first and not isinstance(moves, str):
            others[str(condition)] = _hear(at, moves, condition)
    rng = named_rng(at.context.seed, "archetypes", at.tap, at.lag)
    sound = lru_cache(maxsize=2048)(lambda clip_id: at.context.sound(clip_id).waveform)
    places = Places(own, at.context.time(at.tap), sound, at.lag)
    drawn = np.sort(rng.choice(len(own.values), min(len(own.values), 1000), replace=False))
    nearness = _nearness(at, heard, others, train.values, rng)
    alike = _alike(at, heard, places, drawn, rng)
    numbers = (
        at.measured("standstill, share of generators left out (METHODS A-9)", still),
        *_reconstruction(at, heard, others, train.values, rng),
        nearness,
        *alike,
    )
    shown: tuple[Block, ...] = ()
    if (first or at.params.every_lag) and at.params.n_shown:
        shown = (_gallery(at, heard, places, drawn, rng),)
    return Result(numbers, {}, {}, shown, (_close(at, nearness), _look_alike(at, alike[-1])))


def _reconstruction(
    at: _At,
    heard: _Heard,
    others: Mapping[str, _Heard],
    train: Float[np.ndarray, "n d"],
    rng: np.random.Generator,
) -> list[Measurement]:
    """Error and number of archetypes that are on; every control as sparse (METHODS A-9)."""
    own, values = heard.dictionary, heard.moves.values
    found = {OWN: encoded(own, values)}
    for label, one in others.items():
        found[label] = encoded(one.dictionary, one.moves.values)
    k = max(1, round(found[OWN].l0))
    for label, null in unlearned(train, own.n_features, k, own.signed, rng).items():
        found[label] = encoded(null, values)
    errors = {label: one.fvu for label, one in found.items()}
    words = "fraction of variance unexplained by archetypes"
    return [
        at.measured(words, errors, "very good under sparsity (P1 §1.5)"),
        at.measured("l0 of the archetypes", {label: one.l0 for label, one in found.items()}),
    ]


def _nearness(
    at: _At,
    heard: _Heard,
    others: Mapping[str, _Heard],
    train: Float[np.ndarray, "n d"],
    rng: np.random.Generator,
) -> Measurement:
    """Mean cosine of the closest generators, over the most used archetypes (METHODS A-11)."""
    n, n_top, around = at.params.n_closest, at.params.n_averaged, heard.around
    top = heard.leading(n_top)
    found = [around.closest(direction, n) for direction in top]
    cosines = np.concatenate([near for _, near in found]).astype(np.float64)
    recordings = heard.moves.recording_ids[np.concatenate([rows for rows, _ in found])]
    everywhere = around.unit @ unit_rows(top).T.astype(around.unit.dtype)
    shaped, within = random_like(train, len(top), rng)
    controls = {
        ANY: float(np.abs(everywhere).mean()),
        "random generators (mean cosine)": float(everywhere.mean()),
        SHAPED: around.nearness(shaped, n),
        SUBSPACE: around.nearness(within, n),
    }
    for label, one in others.items():
        controls[label] = one.around.nearness(one.leading(n_top), n)
    return Measurement(
        f"lag {at.lag}: mean cosine of the {n} closest generators to an archetype",
        float(np.mean([near.mean() for _, near in found])),
        "",
        controls,
        bootstrap_interval(cosines, recordings, rng),
        "0.90, random generators 0.20 (P1, Fig. 4)",
        at.tap,
    )


def _close(at: _At, one: Measurement) -> Judgement:
    """P1-06."""
    nulls = {
        name: value
        for name, value in one.controls.items()
        if not name.startswith("random generators") and np.isfinite(value)
    }
    near, far = one.value >= 0.85, one.controls[ANY] <= 0.25
    rule = "the mean is at least 0.85 and random generators are at most at 0.25"
    if at.params.reading == "published":
        near, far = abs(one.value - 0.9) <= 0.05, abs(one.controls[ANY] - 0.2) <= 0.05
        rule = "the mean lies within 0.05 of 0.90 and random generators within 0.05 of 0.20"
    verdict: Verdict = "holds" if near and far else "does not hold"
    if not np.isfinite(one.value):
        verdict = "cannot be tested here"
    elif near and any(one.value <= null + 0.02 for null in nulls.values()):
        verdict = "explained by control"
    return Judgement(
        f"{at.tap}, lag {at.lag}: the closest generators have a cosine of {one.value:.2f} with "
        f"their archetype, random ones {one.controls[ANY]:.2f}.",
        one,
        verdict,
        f"It holds when {rule}, and the mean exceeds by 0.02 that of: {', '.join(nulls)}.",
        "P1-06",
    )


def _alike(
    at: _At, heard: _Heard, places: Places, drawn: Rows, rng: np.random.Generator
) -> list[Measurement]:
    """Correlation between the fragments of an archetype, in three alignments (METHODS A-11)."""

    def groups(directions: np.ndarray) -> list[np.ndarray]:
        found = (heard.around.closest(one, at.params.n_closest)[0] for one in directions)
        return [places.whole(rows) for rows in found]

    leading = heard.leading(at.params.n_averaged)
    means = compared_likeness(groups(leading), places.whole(drawn), rng)
    means[OWN] = means.pop("own")
    any_direction = random_like(heard.moves.values, len(leading), rng)[0]
    means["fragments closest to " + SHAPED] = mean_likeness(
        [fragment_likeness(group) for group in groups(any_direction)]
    )
    words = "mean correlation of an archetype's fragments"
    ways = {
        "before alignment": {label: one.as_cut for label, one in means.items()},
        "aligned by correlation": {label: one.by_correlation for label, one in means.items()},
        "aligned by trough": {label: one.by_trough for label, one in means.items()},
    }
    return [at.measured(f"{words}, {way}", values) for way, values in ways.items()]


def _look_alike(at: _At, one: Measurement) -> Judgement:
    """Figure 4."""
    return Judgement(
        f"{at.tap}, lag {at.lag}: aligned by their troughs, the fragments of an archetype "
        f"correlate at {one.value:.2f}.",
        one,
        verdict_of(one.value, list(one.controls.values()), "more", 0.05),
        "It holds when the mean correlation exceeds by 0.05 that of random fragments, of others "
        "of the same energy and of those close to any direction, aligned by their own troughs.",
    )


def _untested(at: _At, why: str) -> Result:
    sentence = f"{at.tap}, lag {at.lag}: archetypes cannot be looked at."
    name = f"lag {at.lag}: mean cosine of the closest generators"
    judged = untested(sentence, f"{why}.", "P1-06", name, at.tap, [SHAPED])
    return Result((), judgements=(judged,))


def _gallery(
    at: _At, heard: _Heard, places: Places, drawn: Rows, rng: np.random.Generator
) -> Gallery:
    """The most used archetypes, a card each."""
    context, params, dictionary = at.context, at.params, heard.dictionary
    store, n = context.store(at.tap, BASE, "test"), len(heard.directions)
    view, most = store.generators(at.lag), params.most_vectors
    label = partial(top_directions, dictionary)
    follows = transitions_in(view, label, n, at.lag, rng, most, store.step)
    names = [direction_name(number, dictionary.n_features) for number in range(n)]
    cards = MovementCards(
        context,
        places,
        drawn[:: max(1, len(drawn) // params.n_closest)][: params.n_closest],
        Corpus.around(places, drawn, params.spectrum_samples),
        params.n_fragments,
        params.context_s,
    )
    items = []
    for place, number in enumerate(heard.order[: params.n_shown].tolist(), 1):
        direction = heard.directions[number]
        rows, cosines = heard.around.closest(direction, params.n_closest)
        usage, cosine = float(heard.usage[number]), float(cosines.mean())
        measures = {"usage": usage, "rank": float(place), "cosine": cosine}
        after = follows_table(follows, number, names)
        items.append(cards.item(names[number], measures, direction, rows, after))
    title = f"Archetypes of {at.tap}, lag {places.lag} (P1, Fig. 4)"
    return Gallery(title, tuple(items), MOVEMENT_UNITS, "usage", MOVEMENT_NOTE)
