"""The published experiment: dictionaries of several widths and penalties, read by probes."""

import json
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, ClassVar

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
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, Gathered, in_turn, page
from auscult.analyses.parts.concepts.claims import Read, aligned, pitch_first, untold
from auscult.analyses.parts.concepts.dictionary_pictures import pictures
from auscult.analyses.parts.concepts.labelling import (
    PUBLISHED,
    ConceptParams,
    Labelled,
    Labeller,
    concepts_of,
    features_of,
    reconstructed,
    untrained,
)
from auscult.analyses.parts.reading import chosen_dictionary
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.contributions import (
    class_contributions,
    classes_per_feature,
    importance,
    jaccard,
    jaccard_by_chance,
    top,
)
from auscult.measures.probe_families import LinearReadout
from auscult.measures.probes import MAJORITY, SHUFFLED, ProbeSettings, Reading, read

UNTRAINED = "untrained, its decoder fitted"
CLAIMS = ("PK-01", "PK-01b", "PK-02")


class ConceptDictionariesParams(ConceptParams):
    """Settings of the published experiment."""

    contributions_of: str | None = None
    """Dictionary whose contributions are shown; none: the first."""
    n_top: int = Field(10, ge=1)
    """Features that carry a concept, for the overlap between concepts and for pictures."""
    most_vectors: int = Field(3_000, ge=100)
    """Vectors to fit to, and as many to judge on."""
    steps: int = Field(60, ge=1)
    """Most steps of each fit: wide dictionaries are slow to read."""


@ANALYSES.register("concept-dictionaries")
class ConceptDictionaries(Analysis):
    """Probe accuracy over the sparsity of every dictionary of response vectors, as published.

    For each: share of zeros, features on at once, features alive, variance unexplained, and the
    accuracy of a linear probe of each concept beside the majority class and shuffled labels. Of
    one of them, which features carry which class, and how far concepts share them.
    """

    Params: ClassVar[type[Config]] = ConceptDictionariesParams
    title: ClassVar[str] = "Concepts in dictionaries"
    question: ClassVar[str] = (
        "How accurately are concepts read from dictionaries of every width and sparsity, and which "
        "features carry them?"
    )
    source: ClassVar[str] = "METHODS C-2, C-3, C-5, C-6 (arXiv 2510.23802)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: ConceptDictionariesParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None to record: the nulls are untrained dictionaries and other labels."""
        return ()

    def run(self, context: Context, params: ConceptDictionariesParams) -> Result:
        """Read every dictionary at every recorded tap."""
        concepts = concepts_of(params.concepts)
        labeller = Labeller(context, concepts)
        found = Gathered()
        facts: dict[str, Any] = {"taps": {}, "n_top": params.n_top, "missing": found.missing}
        for tap in in_turn(context, context.taps):
            try:
                labelled = labeller.frames(tap, params.most_vectors)
                shown = chosen_dictionary(context, params.contributions_of)
            except NOTHING_TO_MEASURE as error:
                found.missing.append((tap, "concepts in dictionaries", str(error)))
                found.judgements += [untold(tap, claim, str(error)) for claim in CLAIMS]
                continue
            found.missing += [(tap, name, why) for name, why in labelled.lacking.items()]
            entries = [
                _entry(context, params, labelled, name, tap)
                for name in context.dictionary_names("responses")
            ]
            known = _carriers(context, params, labelled, shown, tap, found)
            facts["taps"][tap] = {"entries": [one.row for one in entries], **known}
            found.measurements += [one for entry in entries for one in entry.measurements(tap)]
            found.judgements += _judged(context, tap, entries)
        return found.judged_first(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, accuracy over sparsity, the published table, and what carries each concept."""
        return page(result, _HOW_TO_READ, pictures(result))


_HOW_TO_READ = (
    "Accuracies are shares of frames of test recordings. The published lower end of 0.17 is the "
    "same for amplitude and timbre in three encoders, which is what a majority class looks like: "
    "read every accuracy beside it. The published dictionary is type rms-norm with its penalty "
    "before the norm; that loss has no sparse optimum, so the same penalty means another sparsity "
    "in another implementation. Sparsity says nothing without liveness: a dictionary is also "
    "sparse when most of it never speaks. Of each dictionary the one of the first seed is read: "
    "intervals are over recordings, and what training anew would give is in none of them."
)


@dataclass(frozen=True)
class _Entry:
    """One dictionary at one tap."""

    name: str
    row: dict[str, Any]
    readings: dict[str, Reading]
    nulls: dict[str, float]
    group: str

    def measurements(self, tap: str) -> list[Measurement]:
        """Variance unexplained, and each accuracy."""
        nulls = {UNTRAINED: self.row["fvu untrained"]}
        found = [
            Measurement(f"{self.name}: variance unexplained", self.row["fvu"], "", nulls, tap=tap)
        ]
        for concept, one in self.readings.items():
            controls = {name: scores["accuracy"] for name, scores in one.controls.items()}
            controls |= {"untrained dictionary": self.nulls[concept]}
            found.append(
                Measurement(
                    f"{concept} from {self.name}: accuracy, linear probe, one frame",
                    one.scores.values["accuracy"],
                    "",
                    controls,
                    one.scores.intervals["accuracy"],
                    tap=tap,
                )
            )
        return found


def _entry(
    context: Context, params: ConceptDictionariesParams, labelled: Labelled, name: str, tap: str
) -> _Entry:
    dictionary = context.dictionaries(name, tap)[0]
    null = untrained(dictionary, labelled.x[~labelled.test], context.seed)
    acts, null_acts = features_of(dictionary, labelled.x), features_of(null, labelled.x)
    readings, nulls = {}, {}
    for concept in labelled.targets:
        readings[concept] = _read(context, params, labelled, concept, acts)
        nulls[concept] = _read(context, params, labelled, concept, null_acts).scores.values[
            "accuracy"
        ]
    on = acts[labelled.test] != 0
    rate = float(context.time(tap).frame_rate)
    settings = dictionary.params.model_dump(mode="json")
    row = {
        "dictionary": name,
        "type": dictionary.registered_name,
        "n_features": dictionary.n_features,
        "times wider": dictionary.n_features / dictionary.d_in,
        "zeros": float(1 - on.mean()),
        "l0": float(on.sum(axis=1).mean()),
        "l0 per second": float(on.sum(axis=1).mean()) * rate,
        "alive": float(on.any(axis=0).mean()),
        "fvu": _fvu(labelled, reconstructed(dictionary, labelled.x)),
        "fvu untrained": _fitted_fvu(labelled, null_acts),
        "accuracy": {k: one.scores.values["accuracy"] for k, one in readings.items()},
        "majority": {k: one.controls[MAJORITY]["accuracy"] for k, one in readings.items()},
        "shuffled": {k: one.controls[SHUFFLED]["accuracy"] for k, one in readings.items()},
        "untrained": nulls,
    }
    rest = {key: value for key, value in settings.items() if key != "n_features"}
    group = json.dumps([dictionary.registered_name, rest], sort_keys=True)
    return _Entry(name, row, readings, nulls, group)


def _read(
    context: Context,
    params: ConceptDictionariesParams,
    labelled: Labelled,
    concept: str,
    acts: np.ndarray,
) -> Reading:
    settings = ProbeSettings(
        n_most=params.most_vectors, n_most_chosen_on=min(1_500, params.most_vectors),
        steps=params.steps,
    )  # fmt: skip
    rng = named_rng(context.seed, "concept-dictionaries", concept)
    target, recordings = labelled.targets[concept], labelled.recording_ids
    return read(acts, target, recordings, labelled.test, rng, settings)


def _fvu(labelled: Labelled, rebuilt: np.ndarray) -> float:
    """Variance of the test vectors that is left, over all of it."""
    x = labelled.x[labelled.test].astype(np.float64)
    left = np.square(x - rebuilt[labelled.test]).sum()
    return float(left / max(np.square(x - x.mean(axis=0)).sum(), 1e-30))


def _fitted_fvu(labelled: Labelled, acts: np.ndarray) -> float:
    """The same for the best linear decoder of an untrained dictionary's features."""
    train = ~labelled.test
    scale = np.maximum(acts[train].std(axis=0), 1e-6)
    z = np.concatenate([acts / scale, np.ones((len(acts), 1))], axis=1).astype(np.float64)
    rows, wanted = z[train], labelled.x[train].astype(np.float64)
    ridge = 1e-3 * len(rows)
    if len(rows) < rows.shape[1]:  # the same solution, with the smaller of both matrices
        weights = np.linalg.solve(rows @ rows.T + ridge * np.eye(len(rows)), wanted)
        return _fvu(labelled, z @ (rows.T @ weights))
    gram = rows.T @ rows + ridge * np.eye(rows.shape[1])
    return _fvu(labelled, z @ np.linalg.solve(gram, rows.T @ wanted))


def _carriers(
    context: Context,
    params: ConceptDictionariesParams,
    labelled: Labelled,
    name: str,
    tap: str,
    found: Gathered,
) -> dict[str, Any]:
    """Contributions of one dictionary's features, and how far concepts share them."""
    dictionary: Dictionary = context.dictionaries(name, tap)[0]
    acts = features_of(dictionary, labelled.x)
    alive = int((acts[labelled.test] != 0).any(axis=0).sum())
    carried: dict[str, np.ndarray] = {}
    shown = {}
    for concept, target in labelled.targets.items():
        readout = _read(context, params, labelled, concept, acts).probe.readout
        if not isinstance(readout, LinearReadout):
            continue
        labels = target.labels[labelled.test]
        contributions = class_contributions(readout.weights, acts[labelled.test], labels)
        carried[concept] = top(importance(contributions, labels), params.n_top)
        found.arrays[f"{tap}/contributions/{concept}"] = contributions[:, carried[concept]]
        shown[concept] = {
            "features": carried[concept].tolist(),
            "classes": classes_per_feature(contributions)[carried[concept]].tolist(),
            "names": list(target.names),
        }
    found.measurements += [
        _overlap(tap, name, alive, params.n_top, carried, first, second)
        for first, second in combinations(carried, 2)
    ]
    return {"shown": name, "carriers": shown}


def _overlap(
    tap: str,
    name: str,
    alive: int,
    n_top: int,
    carried: dict[str, np.ndarray],
    first: str,
    second: str,
) -> Measurement:
    n = min(n_top, max(alive, 1))
    return Measurement(
        f"{first} and {second}: overlap of the {n_top} features of {name} that carry them most",
        jaccard(carried[first], carried[second]),
        "",
        {"sets drawn from the features alive": jaccard_by_chance(max(alive, 1), n, n)},
        tap=tap,
    )


def _judged(context: Context, tap: str, entries: list[_Entry]) -> list[Judgement]:
    """PK-01 of the means over dictionaries, PK-01b of the best one, PK-02."""
    reads = [
        (one.name, c, _as_read(one, c)) for one in entries for c in PUBLISHED if c in one.readings
    ]
    means = {}
    for concept in PUBLISHED:
        some = [one for _, name, one in reads if name == concept]
        if some:
            parts = np.array([(r.accuracy, r.majority, r.shuffled, r.untrained) for r in some])
            accuracy, majority, shuffled, null = parts.mean(axis=0).tolist()
            means[concept] = Read(accuracy, majority, shuffled, null)
    seen = f"{len(entries)} dictionaries, on average"
    rng = named_rng(context.seed, "concept-dictionaries", tap, "readings")
    return [pitch_first(tap, seen, means), aligned(tap, reads, rng), _wider(tap, entries)]


def _as_read(entry: _Entry, concept: str) -> Read:
    reading = entry.readings[concept]
    return Read(
        reading.scores.values["accuracy"],
        reading.controls[MAJORITY]["accuracy"],
        reading.controls[SHUFFLED]["accuracy"],
        entry.nulls[concept],
        reading.scores.intervals["accuracy"],
        reading.scores.tallies,
    )


def _wider(tap: str, entries: list[_Entry]) -> Judgement:
    """PK-02: does variance unexplained fall with every step of width?"""
    groups: dict[str, list[_Entry]] = {}
    for one in entries:
        groups.setdefault(one.group, []).append(one)
    chains = [sorted(some, key=lambda e: e.row["n_features"]) for some in groups.values()]
    chains = [some for some in chains if len({e.row["n_features"] for e in some}) > 1]
    if not chains:
        return untold(tap, "PK-02", "no two dictionaries differ in width alone")
    falls = [
        (a.row["fvu"] - b.row["fvu"], a.row["fvu untrained"] - b.row["fvu untrained"])
        for some in chains
        for a, b in pairwise(some)
    ]
    own, null = (float(np.mean([pair[i] for pair in falls])) for i in (0, 1))
    falling = all(fall > 0 for fall, _ in falls)
    verdict: Verdict = "does not hold"
    if falling:
        verdict = "holds" if own > null else "explained by control"
    measured = Measurement(
        "variance unexplained: mean fall per step of width",
        own,
        "",
        {UNTRAINED: null},
        published="falls consistently (arXiv 2510.23802)",
        tap=tap,
    )
    n = sum(fall > 0 for fall, _ in falls)
    return Judgement(
        f"{tap}: in {n} of {len(falls)} steps of width the variance unexplained falls.",
        measured,
        verdict,
        "It must fall at every step, and on average more than for untrained dictionaries whose "
        "decoders are fitted.",
        "PK-02",
    )
