"""Do real sounds lead to the same archetypes again, and noise to others?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

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
)
from auscult.analyses.parts.answering import (
    NOTHING_TO_MEASURE,
    Gathered,
    JudgedBy,
    in_turn,
    missing_blocks,
    page,
    untested,
)
from auscult.analyses.parts.reading import chosen_dictionary, drawn_moves
from auscult.blocks import Axis, Bars, Block, Curve, Series, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.alignment import Alignment, align, corrected_difference, shaped_directions
from auscult.measures.concentration import encoded
from auscult.measures.geometry import effective_dimension
from auscult.measures.matching import random_directions
from auscult.measures.usage import most_used

DISJOINT, SEED, OF_NOISE = "real, disjoint recordings", "real, another seed", "noise"
_SOUNDS = ("noise", "sine", "phase-randomised", "time-shuffled")
_KINDS = {
    "all": "nearest among all, of the {u} most used",
    "top": "nearest among the {u} most used, of as many",
    "matched": "one to one, {u} most used",
}
_FEWEST = 30
_CROWDED = 0.95
"""Where chance is above this cosine, what it leaves is too little to be divided by."""
_PUBLISHED = "0.88 − 0.71 = 0.17, not corrected (P1 §1.5.4)"


class AlignmentParams(Config):
    """Settings of the analysis of alignment."""

    dictionary: str | None = None
    """Which archetypes; none: the first dictionary fitted to generators."""
    reading: JudgedBy = "sound"
    """Correct each cosine for the chance of vectors of the inputs' own covariances; or, as
    published, compare the cosines as they are."""
    n_used: int = Field(20, ge=1)
    """Most used archetypes of each input that are compared."""
    repeats: int = Field(20, ge=1)
    """Draws of random directions for each level of chance."""
    most_vectors: int = Field(20_000, ge=100)
    """Generators looked at for usage and covariance."""


@ANALYSES.register("alignment")
class AlignmentAcrossInputs(Analysis):
    """Archetypes fitted to each input against those of the real sounds.

    The baseline are the archetypes of the training recordings, under each of their seeds. What is
    compared with them was fitted to disjoint recordings, to other inputs, or, as a ceiling, to the
    same recordings under another seed.
    """

    Params: ClassVar[type[Config]] = AlignmentParams
    title: ClassVar[str] = "Alignment of archetypes across inputs"
    question: ClassVar[str] = (
        "Do real sounds lead to the same archetypes again, and noise to others?"
    )
    source: ClassVar[str] = "METHODS A-16, A-10 (Cosme-Clifford, Post 1, §1.5.4)"

    @classmethod
    def controls(cls, params: AlignmentParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Other inputs to the same weights; not constants, which move nothing."""
        return tuple(Condition(sounds=sounds) for sounds in _SOUNDS)

    def run(self, context: Context, params: AlignmentParams) -> Result:
        """Compare dictionaries at every recorded tap."""
        name = chosen_dictionary(context, params.dictionary, "generators")
        found = Gathered()
        for tap in in_turn(context, context.taps):
            study = _study(context, params, name, tap)
            found.judgements.append(_judged(context, params, study))
            found.measurements += _figures(study)
            found.missing += [(tap, what, why) for what, why in study.reasons.items()]
            for label, one in study.found.items():
                found.arrays[f"{tap}/nearest/{label}"] = np.sort(one.nearest.mean(axis=0))[::-1]
        facts = {"taps": list(context.taps), "dictionary": name, "missing": found.missing}
        return found.judged_first(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, the cosine of every archetype, levels of chance."""
        pictures = [one for tap in result.facts["taps"] for one in _pictures(result, tap)]
        return page(result, _HOW_TO_READ, [*pictures, *missing_blocks(result)])


_HOW_TO_READ = (
    "Which baseline the published 0.88 and 0.71 refer to, how many archetypes were compared and "
    "whether one to one is not stated, so three ways are shown: the nearest among all archetypes "
    "of the baseline, the nearest among its most used, and one to one. Archetypes that may be used "
    "backwards count with either sign. Archetypes that are never on are left out, and those never "
    "on top are compared with, but not compared: there may be fewer than asked for.\n\n"
    "In few dimensions any directions lie near one another. The floors say how near: directions "
    "spread evenly over the effective dimension of real generators, and random vectors with the "
    "covariances of the two inputs that are compared. A corrected cosine is 0 at the latter floor "
    "and 1 for identity. The ceiling is another seed on the same recordings, and disjoint "
    "recordings.\n\n"
    "Noise and real sounds have generators of different covariance. What is left of their "
    "difference after the correction is not a matter of covariance."
)


@dataclass(frozen=True)
class _Fitted:
    """Archetypes that are ever on, the most used first, and the covariance of their generators.

    Dead ones point where they were drawn, which says nothing about any input.
    """

    atoms: Float[np.ndarray, "m d"]
    n_on_top: int
    covariance: Float[np.ndarray, "d d"]
    signed: bool


@dataclass(frozen=True)
class _Study:
    """Alignments at one tap by input, with their floors; and why some are missing."""

    tap: str
    found: dict[str, Alignment] = field(default_factory=dict)
    floors: dict[str, Alignment] = field(default_factory=dict)
    isotropic: dict[str, Alignment] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def _study(context: Context, params: AlignmentParams, name: str, tap: str) -> _Study:
    study = _Study(tap)
    try:
        dictionaries = context.dictionaries(name, tap)
        seeds = [_fitted(context, params, name, tap, BASE, one) for one in dictionaries]
    except NOTHING_TO_MEASURE as error:
        study.reasons["real"] = str(error)
        return study
    others: dict[str, _Fitted] = {}
    wanted = {DISJOINT: BASE, **{one.sounds: one for one in AlignmentAcrossInputs.controls(params)}}
    for label, condition in wanted.items():
        try:
            side: Literal["train", "test"] = "test" if label == DISJOINT else "train"
            dictionary = context.dictionaries(name, tap, condition, side)[0]
            others[label] = _fitted(context, params, name, tap, condition, dictionary)
        except NOTHING_TO_MEASURE as error:
            study.reasons[label] = str(error)
    rng = named_rng(context.seed, "alignment", tap)
    for label, other in others.items():
        _compare(study, params, label, [other], seeds, rng)
    if len(seeds) > 1:
        _compare(study, params, SEED, seeds[1:], seeds[:1], rng)
    return study


def _fitted(
    context: Context,
    params: AlignmentParams,
    name: str,
    tap: str,
    condition: Condition,
    dictionary: Dictionary,
) -> _Fitted:
    """Atoms by usage on test generators of the condition, and the covariance of these."""
    lag, told = context.lag(name), f"of the drawn generators of {condition}"
    most, fewest = params.most_vectors, _FEWEST
    values = drawn_moves(context, tap, lag, most, condition, fewest=fewest, told=told).values
    usage = encoded(dictionary, values).usage
    n_on_top, n_on = int(np.sum(usage.n_top > 0)), int(np.sum(usage.energy > 0))
    if not n_on_top:
        raise NothingToMeasureError(f"no archetype of {condition} is ever on")
    atoms = dictionary.atoms.detach().double().numpy()
    # Equals of the first count: those that are on but never on top come before the dead.
    order = most_used(usage.top + 1e-9 * usage.energy_share, n_on)
    covariance = np.atleast_2d(np.cov(values.T.astype(np.float64)))
    return _Fitted(atoms[order], n_on_top, covariance, dictionary.signed)


def _compare(
    study: _Study,
    params: AlignmentParams,
    label: str,
    ours: list[_Fitted],
    baselines: list[_Fitted],
    rng: np.random.Generator,
) -> None:
    """Align with every baseline, and put both levels of chance beside it."""
    pairs = [(one.atoms, base.atoms) for one in ours for base in baselines]
    signed = baselines[0].signed
    u = min(params.n_used, *(one.n_on_top for one in (*ours, *baselines)))
    study.found[label] = align(pairs, u, signed)
    a, b = ours[0], baselines[0]
    n, m = len(a.atoms), len(b.atoms)
    drawn = [
        (shaped_directions(a.covariance, n, rng), shaped_directions(b.covariance, m, rng))
        for _ in range(params.repeats)
    ]
    study.floors[label] = align(drawn, u, signed)
    d = max(1, round(effective_dimension(b.covariance)[0]))
    even = [
        (random_directions(n, d, rng), random_directions(m, d, rng)) for _ in range(params.repeats)
    ]
    study.isotropic[label] = align(even, u, signed)


def _judged(context: Context, params: AlignmentParams, study: _Study) -> Judgement:
    """Real sounds align better than noise, above chance (P1-13)."""
    if DISJOINT not in study.found or OF_NOISE not in study.found:
        return _untested(study)
    rng = named_rng(context.seed, "alignment", study.tap, "bootstrap")
    real, noise = study.found[DISJOINT], study.found[OF_NOISE]
    floors = (study.floors[DISJOINT].mean("all"), study.floors[OF_NOISE].mean("all"))
    level = study.isotropic[DISJOINT].mean("all")
    even = corrected_difference(real, noise, (level, level), rng)[0]
    corrected, within = corrected_difference(real, noise, floors, rng)
    raw, raw_within = corrected_difference(real, noise, (0.0, 0.0), rng)
    sound = params.reading == "sound"
    value, interval = (corrected, within) if sound else (raw, raw_within)
    verdict: Verdict = "holds" if interval[0] > 0 else "does not hold"
    crowded = sound and max(floors) > _CROWDED
    if crowded or not np.isfinite(value):
        verdict = "cannot be tested here"
    elif sound and verdict != "holds" and raw_within[0] > 0:
        verdict = "explained by control"
    controls = {
        "cosines as they are" if sound else "corrected for chance": raw if sound else corrected,
        "corrected for the effective dimension alone": even,
        "difference of the floors, which covariance alone gives": floors[0] - floors[1],
    }
    if SEED in study.found:
        ceiling = study.found[SEED].mean("all") - real.mean("all")
        controls["another seed − disjoint recordings"] = ceiling
    return Judgement(
        f"{study.tap}: the nearest archetype of the baseline has a mean cosine of "
        f"{real.mean('all'):.2f} for real sounds (chance {floors[0]:.2f}), "
        f"{noise.mean('all'):.2f} for noise (chance {floors[1]:.2f}).",
        Measurement(
            "alignment of real sounds − of noise"
            + (", of what chance leaves" if sound else ", cosine")
            + " (interval: over seeds and archetypes)",
            value,
            "",
            controls,
            interval,
            _PUBLISHED,
            study.tap,
        ),
        verdict,
        f"Chance gives a cosine above {_CROWDED:g}: in so few dimensions any directions agree."
        if crowded
        else "It holds when the difference is above 0 in 95 % of resamples of seeds and archetypes"
        + (
            ", each cosine corrected for random vectors of its inputs' covariances; chance "
            "explains it when only the cosines as they are differ."
            if sound
            else "."
        ),
        "P1-13",
    )


def _untested(study: _Study) -> Judgement:
    reasons = "; ".join(f"{what}: {why}" for what, why in study.reasons.items())
    return untested(
        f"{study.tap}: how archetypes of real sounds and of noise align cannot be told.",
        reasons or "There are no archetypes of both.",
        "P1-13",
        "alignment of real sounds − of noise, of what chance leaves",
        study.tap,
        ["cosines as they are"],
        _PUBLISHED,
    )


def _figures(study: _Study) -> list[Measurement]:
    """Every alignment with its two floors, its ceiling, and its place between."""
    published = {DISJOINT: "0.88 (P1 §1.5.4)", OF_NOISE: "0.71 (P1 §1.5.4)"}
    found = []
    for label, one in study.found.items():
        for kind, told in _KINDS.items():
            floor, even = study.floors[label].mean(kind), study.isotropic[label].mean(kind)
            controls = {"random, same covariances": floor, "random, effective dimension": even}
            if SEED in study.found and label != SEED:
                controls[SEED] = study.found[SEED].mean(kind)
            if DISJOINT in study.found and label != DISJOINT:
                controls[DISJOINT] = study.found[DISJOINT].mean(kind)
            found.append(
                Measurement(
                    f"{label}: {told.format(u=one.n_used)}",
                    one.mean(kind),
                    "",
                    controls,
                    published=published.get(label, "") if kind == "all" else "",
                    tap=study.tap,
                )
            )
    return found


def _pictures(result: Result, tap: str) -> list[Block]:
    start = f"{tap}/nearest/"
    known: Mapping[str, np.ndarray] = {
        k.removeprefix(start): v for k, v in result.arrays.items() if k.startswith(start)
    }
    if not known:
        return []
    named = [one for one in result.measurements if one.tap == tap and "among all" in one.name]
    bars: dict[str, float] = {}
    for one in named:
        label = one.name.split(": ")[0]
        bars[label] = one.value
        bars[f"{label}: chance"] = one.controls["random, same covariances"]
    most = max(len(values) for values in known.values())
    return [
        Bars(
            f"{tap}: mean cosine with the nearest archetype of the baseline (P1 §1.5.4)",
            tuple(bars),
            np.array(list(bars.values())),
            Axis("input"),
            Axis("mean cosine"),
            note="Chance: random vectors with the covariances of the input and of the baseline.",
        ),
        Curve(
            f"{tap}: each of the most used archetypes and the nearest of the baseline",
            np.arange(1, most + 1),
            tuple(
                Series(label, y, np.arange(1, len(y) + 1), control=label != DISJOINT)
                for label, y in known.items()
            ),
            Axis("archetypes, best aligned first"),
            Axis("cosine, mean over seeds"),
        ),
    ]
