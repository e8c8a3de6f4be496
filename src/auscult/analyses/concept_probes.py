"""Which acoustic concepts are linearly there, at which tap, and in which representation?"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, Gathered, in_turn, page
from auscult.analyses.parts.concepts.claims import (
    RANGES,
    UNTRAINED,
    Read,
    aligned,
    of_its_own,
    pitch_first,
    untold,
)
from auscult.analyses.parts.concepts.labelling import (
    PUBLISHED,
    ConceptParams,
    Labelled,
    Labeller,
    Pooling,
    concepts_of,
    features_of,
    reconstructed,
    untrained,
)
from auscult.analyses.parts.concepts.probe_pictures import RAW, pictures
from auscult.blocks import Block
from auscult.concepts.agreement import pitch_agreement
from auscult.concepts.base import Concept, Labels
from auscult.concepts.log_mel import mfcc
from auscult.concepts.pitch import Pitch
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.probes import MAJORITY, SHUFFLED, FamilyName, ProbeSettings, Reading, read

FEATURES = "dictionary features"
CLAIMS = ("PK-01", "PK-01b")
RECONSTRUCTION = "reconstruction"
PRINCIPAL = "principal components"
LOG_MEL = "log-mel spectrum, no network"
MFCC = "MFCC, no network"
RANDOM_WEIGHTS = "response vectors, random weights"


class ConceptProbesParams(ConceptParams):
    """Settings of the probes."""

    dictionary: str | None = None
    """Whose features are read; none: the first dictionary of response vectors, if there is one."""
    families: tuple[FamilyName, ...] = ("linear", "ridge", "sparse", "hidden", "neighbours")
    """Kinds of probe for the response vectors; everything else is read by the first of them.

    Ridge is left out for classes without an order.
    """
    sparse_k: tuple[int, ...] = (1, 2, 5, 10, 50)
    """Columns of the sparse probes."""
    pooling: Pooling = "frame"
    """One row a frame, or the mean over each clip."""
    n_components: int = Field(16, ge=1)
    """Principal components that are read."""
    most_vectors: int = Field(4_000, ge=100)
    """Vectors to fit to, and as many to judge on."""

    @field_validator("families")
    @classmethod
    def _first_reads_all(cls, value: tuple[FamilyName, ...]) -> tuple[FamilyName, ...]:
        if not value or value[0] == "ridge":
            raise ValueError("the first family must read classes too, as linear does")
        return value


@ANALYSES.register("concept-probes")
class ConceptProbes(Analysis):
    """Probes of every concept at every tap, from the response vectors and from what stands beside.

    Each is fitted on training recordings and judged on test recordings, beside the majority class,
    a probe of shuffled labels and a control task: every kind of sound (a cluster of log-mel
    spectra) has a class drawn at random, which only memory can give.
    """

    Params: ClassVar[type[Config]] = ConceptProbesParams
    title: ClassVar[str] = "Concepts, read by probes"
    question: ClassVar[str] = (
        "Which acoustic concepts are linearly there, at which tap, and in which representation?"
    )
    source: ClassVar[str] = "METHODS C-4, C-5 (arXiv 2510.23802)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: ConceptProbesParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights."""
        return (RANDOM,)

    def run(self, context: Context, params: ConceptProbesParams) -> Result:
        """Read every concept at every recorded tap."""
        concepts = concepts_of(params.concepts)
        labeller = Labeller(context, concepts)
        found = Gathered()
        rows: list[dict[str, Any]] = []
        for tap in in_turn(context, context.taps):
            try:
                labelled = labeller.frames(tap, params.most_vectors, BASE, params.pooling)
                dictionary = _dictionary(context, params, tap)
            except NOTHING_TO_MEASURE as error:
                found.missing.append((tap, "concepts", str(error)))
                found.judgements += [
                    untold(tap, claim, str(error)) for claim in ("PK-01", "PK-01b")
                ]
                continue
            found.missing += [(tap, name, why) for name, why in labelled.lacking.items()]
            readings = _readings(context, params, labeller, labelled, dictionary, tap)
            rows += [_row(tap, *key, one) for key, one in readings.items()]
            found.measurements += [
                _measurement(tap, key, one, params.pooling) for key, one in readings.items()
            ]
            found.measurements += _agreements(context, concepts, labeller, params, tap)
            rng = named_rng(context.seed, "concept-probes", tap, "readings")
            found.judgements += _judged(tap, readings, params, rng)
        if not any(one.claim == "PK-05" for one in found.judgements):
            why = "no latent of a codec was recorded, under random weights as well."
            found.judgements.append(untold(context.taps[0], "PK-05", why))
        facts = {
            "rows": rows,
            "taps": list(context.taps),
            "pooling": params.pooling,
            "units": {name: one.unit for name, one in concepts.items()},
            "missing": found.missing,
        }
        return found.judged_first(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, the map of concepts and taps, the sweep over taps."""
        return page(result, _HOW_TO_READ, pictures(result))


_HOW_TO_READ = (
    "A probe shows that a readout exists, not that the network uses it, and it cannot be better "
    "than its labels: two estimators' agreement on pitch, among the numbers, is the most that can "
    "be hoped for. An accuracy is a share of frames of recordings that the probe was not fitted "
    "to. Read it from the majority class upwards, and beside the log-mel spectrum, which no "
    "network made: what a spectrum gives away, a network need not have learned. Selectivity is "
    "the accuracy minus that of the control task."
)

Key = tuple[str, str, str]
"""Concept, representation, family."""


def _dictionary(context: Context, params: ConceptProbesParams, tap: str) -> Dictionary | None:
    names = context.dictionary_names("responses")
    if params.dictionary is None and not names:
        return None
    return context.dictionaries(params.dictionary or names[0], tap)[0]


def _readings(
    context: Context,
    params: ConceptProbesParams,
    labeller: Labeller,
    labelled: Labelled,
    dictionary: Dictionary | None,
    tap: str,
) -> dict[Key, Reading]:
    """Every probe of a tap."""
    seen = _representations(labelled, dictionary, params, context.seed)
    found: dict[Key, Reading] = {}
    for concept in labelled.targets:
        valued = np.isfinite(labelled.targets[concept].values).any()
        for family, settings in _settings(params):
            if settings.family == "ridge" and not valued:
                continue  # classes without an order have no value to regress on
            found[concept, RAW, family] = _read(context, labelled, concept, RAW, seen, settings)
        first = _settings(params)[0]
        for name in seen:
            if name != RAW:
                key = (concept, name, first[0])
                found[key] = _read(context, labelled, concept, name, seen, first[1])
    try:
        null = labeller.frames(tap, params.most_vectors, RANDOM, params.pooling)
    except NOTHING_TO_MEASURE:
        return found
    for concept in null.targets:
        family, settings = _settings(params)[0]
        x = {RANDOM_WEIGHTS: null.x}
        found[concept, RANDOM_WEIGHTS, family] = _read(
            context, null, concept, RANDOM_WEIGHTS, x, settings
        )
    return found


def _settings(params: ConceptProbesParams) -> list[tuple[str, ProbeSettings]]:
    """Families by their printed name, in order."""
    found = []
    for family in params.families:
        for k in params.sparse_k if family == "sparse" else (1,):
            settings = ProbeSettings(
                family=family, k=k, n_most=params.most_vectors, n_most_chosen_on=4_000
            )
            found.append((settings.readout().name, settings))
    return found


def _representations(
    labelled: Labelled, dictionary: Dictionary | None, params: ConceptProbesParams, seed: int
) -> dict[str, np.ndarray]:
    """What is read: the tap itself, what a dictionary makes of it, and what needs no network."""
    x, train = labelled.x, ~labelled.test
    mean = x[train].mean(axis=0)
    _, _, directions = np.linalg.svd(x[train] - mean, full_matrices=False)
    seen = {RAW: x, PRINCIPAL: (x - mean) @ directions[: params.n_components].T}
    if dictionary is not None:
        twin = untrained(dictionary, labelled.training, seed)
        seen[FEATURES] = labelled.through(partial(features_of, dictionary))
        seen[UNTRAINED] = labelled.through(partial(features_of, twin))
        seen[RECONSTRUCTION] = labelled.through(partial(reconstructed, dictionary))
    mels = labelled.log_mels
    return {**seen, LOG_MEL: mels, MFCC: mfcc(mels).astype(np.float32)}


def _read(
    context: Context,
    labelled: Labelled,
    concept: str,
    name: str,
    seen: Mapping[str, np.ndarray],
    settings: ProbeSettings,
) -> Reading:
    rng = named_rng(context.seed, "concept-probes", concept, settings.family, settings.k)
    return read(
        seen[name],
        labelled.targets[concept],
        labelled.recording_ids,
        labelled.test,
        rng,
        settings,
        labelled.types if name == RAW else None,
    )


def _row(tap: str, concept: str, seen: str, family: str, reading: Reading) -> dict[str, Any]:
    """One line of the table: every score, with what it is read against."""
    scores = reading.scores
    return {
        "tap": tap,
        "concept": concept,
        "representation": seen,
        "family": family,
        **scores.values,
        "low": scores.intervals["accuracy"][0],
        "high": scores.intervals["accuracy"][1],
        "majority": reading.controls[MAJORITY]["accuracy"],
        "shuffled": reading.controls[SHUFFLED]["accuracy"],
        "selectivity": reading.selectivity,
        "strength": reading.probe.strength,
        "fitted to": reading.probe.n_rows,
        "recordings": scores.n_recordings,
    }


def _measurement(tap: str, key: Key, reading: Reading, pooling: str) -> Measurement:
    concept, seen, family = key
    nulls = {name: scores["accuracy"] for name, scores in reading.controls.items()}
    published = RANGES.get(concept, "") if seen == FEATURES else ""
    return Measurement(
        f"{concept} from {seen}: accuracy of the {family} probe, one {pooling}",
        reading.scores.values["accuracy"],
        "",
        nulls,
        reading.scores.intervals["accuracy"],
        f"{published} (arXiv 2510.23802)" if published else "",
        tap,
    )


def _agreements(
    context: Context,
    concepts: Mapping[str, Concept],
    labeller: Labeller,
    params: ConceptProbesParams,
    tap: str,
) -> list[Measurement]:
    """How far a second estimator agrees on pitch: no probe of the first can hope for more."""
    found = []
    for name, concept in concepts.items():
        if not isinstance(concept, Pitch) or concept.params.estimator == "yin":
            continue
        second = {name: Pitch(concept.params.model_copy(update={"estimator": "yin"}))}
        n_most = min(params.most_vectors, 2_000)
        first = labeller.frames(tap, n_most)
        other = Labeller(context, second).frames(tap, n_most)
        rng = named_rng(context.seed, "pitch agreement", tap)
        both = pitch_agreement(first.labels[name], other.labels[name], first.recording_ids, rng)
        shuffled = rng.permutation(len(first.x))
        said = other.labels[name]
        mixed = Labels(said.values[shuffled], said.confidence[shuffled])
        by_chance = pitch_agreement(first.labels[name], mixed, first.recording_ids, rng)
        found.append(
            Measurement(
                f"{name}: frames on which {concept.params.estimator} and yin give one class",
                both.same_class,
                "",
                {"frames shuffled": by_chance.same_class},
                both.interval,
                tap=tap,
            )
        )
    return found


def _judged(
    tap: str,
    readings: Mapping[Key, Reading],
    params: ConceptProbesParams,
    rng: np.random.Generator,
) -> list[Judgement]:
    """PK-01 and PK-01b, from features where there are any, else from vectors; PK-05 of latents."""
    family = _settings(params)[0][0]
    seen = FEATURES if any(name == FEATURES for _, name, _ in readings) else RAW
    scores = {
        concept: _as_read(readings, concept, seen, family)
        for (concept, name, kind) in readings
        if name == seen and kind == family and concept in PUBLISHED
    }
    compared = [(FEATURES, concept, one) for concept, one in scores.items() if seen == FEATURES]
    found = [pitch_first(tap, seen, scores), aligned(tap, compared, rng)]
    pair = [("loudness", name, family) for name in (RAW, RANDOM_WEIGHTS)]
    if tap.startswith("latent") and all(key in readings for key in pair):
        own, twin = (_as_read(readings, *key) for key in pair)
        found.append(of_its_own(tap, own, twin))
    return found


def _as_read(readings: Mapping[Key, Reading], concept: str, seen: str, family: str) -> Read:
    """One reading as claims are judged by it."""
    one = readings[concept, seen, family]
    null = readings.get((concept, UNTRAINED, family)) if seen == FEATURES else None
    return Read(
        one.scores.values["accuracy"],
        one.controls[MAJORITY]["accuracy"],
        one.controls[SHUFFLED]["accuracy"],
        null.scores.values["accuracy"] if null else float("nan"),
        one.scores.intervals["accuracy"],
        one.scores.tallies,
    )
