"""Can a concept be moved, alone, and at what price?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, page, untested
from auscult.analyses.parts.reading import chosen_tap
from auscult.analyses.parts.steering.audit import Answer, Audit, bands_of
from auscult.analyses.parts.steering.material import material_of
from auscult.analyses.parts.steering.page import blocks_of
from auscult.analyses.parts.steering.quality import Quality
from auscult.analyses.parts.steering.shown import Shown
from auscult.analyses.parts.steering.trials import Bench, estimators, pieces
from auscult.blocks import Block
from auscult.concepts.base import CONCEPTS
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError, UnknownNameError
from auscult.core.rng import named_rng
from auscult.interventions.control import ControlProvenance, ControlVector, dictionary_digest
from auscult.interventions.resynthesis import codec_of
from auscult.interventions.ways import OF_FEATURES, WAYS, WORDS, Maker, Sign, WayName
from auscult.measures.concept_directions import shuffled_by_recording
from auscult.measures.draws import edge_words
from auscult.measures.embedding import usual_embedders
from auscult.models.weights import weights_digest

SIGNS: tuple[Sign, ...] = ("more", "less")
_CLAIM = "PK-03"
_RULE = (
    "It holds when the whole interval lies above what 95 % of random directions of the same "
    "length do (19 or more of each kind, by rank), isolation is at least 0.7, and the kernel "
    "distance from the corpus stays within what halves of the untouched round trip reach by chance "
    "(97.5 %) in every embedding."
)


class SteeringParams(Config):
    """Settings of the steering audit."""

    tap: str | None = None
    """Where vectors act; none: the first recorded tap."""
    dictionary: str | None = None
    """Whose features the published ways speak in; none: the first of response vectors."""
    concepts: tuple[str, ...] = ("pitch", "loudness", "centroid")
    """What is moved, and what must stay."""
    measured_by: dict[str, dict[str, Any]] = {}
    """Estimator that measures a concept, as ``{ pitch = { type = "pitch", estimator = "yin" } }``.

    Beside the usual ones, which are not those whose labels vectors are made from.
    """
    ways: tuple[WayName, ...] = WAYS
    """How vectors are made."""
    published_strengths: tuple[float, ...] = (1.0, 10.0, 20.0, 30.0)
    """Strengths α of the published ways."""
    feature_strengths: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """What a feature is set to, in units of the most that it was seen at."""
    strengths: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    """How far response vectors are moved, in units of their spread."""
    variant: Literal["unit", "raw", "difference"] = "unit"
    """The published direction: w_k at unit length, as it is, or minus w_k of the other end."""
    clamp: Literal["none", "relu"] = "none"
    """Whether published ways clamp negative features."""
    n_clips: int = Field(12, ge=4)
    """Test clips."""
    n_calibration: int = Field(10, ge=4)
    """Training clips that strengths are chosen on."""
    n_corpus: int = Field(32, ge=8)
    """Further training clips that distances are measured from."""
    n_random: int = Field(19, ge=4)
    """Random directions of each kind; with fewer than 19 nothing can pass."""
    n_heard: int = Field(2, ge=1)
    """Clips on the desk."""
    span_s: float = Field(0.5, gt=0)
    """Length of the span of local steering, in the middle of each clip."""
    fade_s: float = Field(0.05, ge=0)
    """Length of its crossfades."""
    most_vectors: int = Field(20_000, ge=200)
    """Training vectors that directions are made from."""


@ANALYSES.register("steering")
class Steering(Analysis):
    """Moves concepts by control vectors and audits what moved, and at what price (METHODS 8.4).

    Vectors are made from training recordings in several ways, at a strength chosen on others of
    them; held-out clips are decoded, and their concepts measured again by estimators that had no
    part in the making. Each effect stands beside random directions of the same length and rule, a
    vector of shuffled labels, and the change that strength 0 brings.
    """

    Params: ClassVar[type[Config]] = SteeringParams
    title: ClassVar[str] = "Steering"
    question: ClassVar[str] = "Can a concept be moved, alone, and at what price?"
    source: ClassVar[str] = "METHODS C-7, 8.4 (arXiv 2510.23802)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: SteeringParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None are recorded: random and shuffled directions are made on the way."""
        return ()

    def run(self, context: Context, params: SteeringParams) -> Result:
        """Make vectors, steer, measure, judge."""
        tap = chosen_tap(context, params.tap)
        try:
            audit = _audit(context, params, tap)
            answers = _answers(context, params, audit)
        except NOTHING_TO_MEASURE as error:
            told = untested(
                f"{tap}: whether concepts can be steered cannot be told.",
                str(error),
                _CLAIM,
                "effect",
                tap,
                ["random directions"],
                "qualitative (arXiv 2510.23802)",
            )
            return Result((told.measurement,), judgements=(told,))
        shown = Shown(tap, params.concepts, audit, answers, params.span_s, params.fade_s)
        made = blocks_of(shown, params.n_heard, context.advance)
        published = [one for one in answers if one.way == "published"]
        best = [one for one in shown.best if one.way != "published"]
        judged = [_judged(tap, one) for one in (*best, *published)] + list(made.judgements)
        vectors = {
            f"vectors/{params.concepts[one.which]}-{one.sign}-{one.way}": _told(one, params, audit)
            for one in (*best, *published)
        }
        return Result(
            tuple(_measured(tap, one) for one in answers),
            {**made.arrays, **_arrays(answers, params.concepts)},
            {"tap": tap, "concepts": list(params.concepts), "answers": _facts(answers, params)},
            tuple(made.blocks),
            tuple(judged),
            tuple(made.sounds),
            vectors,
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, the desk, what passes and why not, leakage, doses, quality."""
        return page(result, _HOW_TO_READ, result.blocks)


_HOW_TO_READ = (
    "Effects are mean changes against strength 0 over frames within 40 dB of each clip's loudest, "
    "in standard deviations of the concept over the corpus. Concepts are measured on decoded sound "
    "by other estimators than those whose labels the vectors were made from: loudness in LUFS, "
    "brightness as spectral roll-off, pitch by YIN. Isolation is the share of what moved that "
    "should have: |E| of the concept over itself plus the mean |E| of the others.\n\n"
    "Random directions have the same length and go the same way through the dictionary; half of "
    "them are drawn from the data's own directions, which move sound much further. The edge of "
    "what they do is a rank among the draws of the kind that moves a concept furthest: beyond 95 % "
    "of them lies what exceeds the largest of 19, and with fewer draws nothing passes. Strength "
    "and way were chosen on training clips, the strength as the one with the largest effect within "
    "the bounds of quality; every number here is of test clips, so that no best of many is judged. "
    "Each control is judged by itself: of twenty that only chance moved, one would exceed the "
    "edge. Quality is the kernel distance of steered sounds from other recordings at equal level; "
    "its bound is what halves of the untouched round trip reach. A deterministic codec has no "
    "other seed: other recordings take its place. Ways that go through a dictionary go through "
    "that of the first seed; what training it anew would give is in no interval.\n\n"
    "On the desk, sounds play at equal loudness: what only gets louder does not sound better."
)


def _audit(context: Context, params: SteeringParams, tap: str) -> Audit:
    """Everything that trials need."""
    model = context.model()
    codec_of(model)
    unknown = [name for name in params.concepts if name not in CONCEPTS.names()]
    if unknown:
        raise UnknownNameError("concept", unknown[0], CONCEPTS.names())
    if len(params.concepts) < 2:
        raise NothingToMeasureError("isolation needs at least two concepts")
    measuring = estimators(params.concepts, params.measured_by)
    calibration = pieces(context, "train", params.n_calibration)
    corpus = pieces(context, "train", params.n_corpus, skip=len(calibration))
    whole = Bench(context, tap, [*calibration, *corpus], measuring)
    quality = Quality(usual_embedders(), model.sample_rate, corpus)
    speaks = any(way in OF_FEATURES for way in params.ways)
    material = material_of(context, tap, params.concepts, params.most_vectors, params.dictionary)
    material = material if speaks else replace(material, dictionary=None)
    told = ControlProvenance(
        model=model.name,
        weights=weights_digest(model.module),
        tap=tap,
        time=context.time(tap),
        concept="",
        towards="",
        made="",
        dictionary=dictionary_digest(material.dictionary) if material.dictionary else "",
        recordings=tuple(np.unique(material.recordings).tolist()),
    )

    def rng(*names: str | int) -> np.random.Generator:
        return named_rng(context.seed, "steering", tap, *names)

    concepts = shuffled_by_recording(material.concepts, material.recordings, rng("shuffled"))
    shuffled = replace(material, concepts=concepts)
    return Audit(
        maker=Maker(material, told, lambda: rng("probe"), params.variant, params.clamp),
        shuffled=Maker(shuffled, told, lambda: rng("probe"), params.variant, params.clamp),
        test=Bench(context, tap, pieces(context, "test", params.n_clips), measuring, whole.spread),
        calibration=Bench(context, tap, calibration, measuring, whole.spread),
        quality=quality,
        doses=_doses(params),
        n_random=params.n_random,
        quarters=whole.quarters,
        rng=rng,
    )


def _doses(params: SteeringParams) -> dict[WayName, tuple[float, ...]]:
    doses: dict[WayName, tuple[float, ...]] = dict.fromkeys(WAYS, params.strengths)
    doses["published"] = doses["published-kept"] = params.published_strengths
    doses["feature"] = params.feature_strengths
    return doses


def _answers(context: Context, params: SteeringParams, audit: Audit) -> list[Answer]:
    """Every way, concept and side that can be made."""
    has_features = audit.maker.material.dictionary is not None
    ways = [way for way in params.ways if has_features or way not in OF_FEATURES]
    n_steps = len(ways) + len(ways) * len(params.concepts)
    done = [0]

    def step() -> None:
        done[0] += 1
        context.advance(0.9 * min(1.0, done[0] / n_steps))

    bands = bands_of(audit, ways, step)
    answers: list[Answer] = []
    for way in ways:
        for which in range(len(params.concepts)):
            for sign in SIGNS:
                try:
                    answers.append(audit.answer(way, which, sign, bands[way]))
                except NothingToMeasureError:
                    continue
            step()
    if not answers:
        raise NothingToMeasureError("no concept has a direction among these vectors")
    return answers


def _judged(tap: str, answer: Answer) -> Judgement:
    """One control against the rule of METHODS 8.4."""
    trial = answer.trial
    verdict, why = trial.judged()
    controls = {
        edge_words(trial.n_draws): trial.band,
        "shuffled labels": answer.shuffled,
        "α = 0 against the original": float(answer.side * answer.floor[answer.which]),
    }
    published = answer.way == "published"
    measured = Measurement(
        f"effect on {answer.vector.provenance.concept}, towards {answer.sign}",
        trial.effect,
        "s.d.",
        controls,
        trial.interval,
        "isolated, qualitative (arXiv 2510.23802)" if published else "",
        tap,
    )
    sentence = (
        f"{tap}: {answer.vector.name} at strength {answer.dose:g} moves it by "
        f"{trial.effect:.2f} s.d., isolation {trial.isolation:.2f} ({trial.isolated[0]:.2f} to "
        f"{trial.isolated[1]:.2f}). {why}"
    )
    return Judgement(sentence, measured, verdict, _RULE, _CLAIM if published else "")


def _measured(tap: str, answer: Answer) -> Measurement:
    """Isolation of one control."""
    return Measurement(
        f"isolation: {answer.vector.name}",
        answer.trial.isolation,
        "",
        {"equal parts of everything": 0.5, "on calibration clips": answer.calibrated[1]},
        answer.trial.isolated,
        tap=tap,
    )


def _told(answer: Answer, params: SteeringParams, audit: Audit) -> ControlVector:
    """The vector with what was measured of it, to be saved."""
    spreads = zip(params.concepts, audit.test.spread, strict=True)
    figures = {
        "strength": answer.dose,
        "effect_sd": answer.trial.effect,
        "random_band_sd": answer.trial.band,
        "isolation": answer.trial.isolation,
        **{f"spread of {concept}": float(spread) for concept, spread in spreads},
    }
    told = replace(answer.vector.provenance, figures=figures)
    return replace(answer.vector, provenance=told)


def _arrays(answers: Sequence[Answer], concepts: Sequence[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for one in answers:
        key = f"{concepts[one.which]}/{one.sign}/{one.way}"
        found[f"moved/{key}"] = one.moved
        found[f"displacement/{key}"] = one.displacement
    return found


def _facts(answers: Sequence[Answer], params: SteeringParams) -> list[Mapping[str, Any]]:
    return [
        {
            "concept": params.concepts[one.which],
            "way": one.way,
            "made": WORDS[one.way],
            "sign": one.sign,
            "strength": one.dose,
            "verdict": one.trial.judged()[0],
            "reason": one.trial.judged()[1],
            **asdict(one.trial),
            "shuffled": one.shuffled,
            "requantised": one.requantised,
            "hits": list(one.hits),
            "figures": dict(one.figures),
            "distances": [dict(each) for each in one.distances],
        }
        for one in answers
    ]
