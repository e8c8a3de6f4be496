"""Do general features go silent where more specific ones speak?"""

from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import DRAWN, NOTHING_TO_MEASURE, Gathered, guided, untested
from auscult.analyses.parts.dictionaries.absorption_pictures import (
    Absorbed,
    GeneralClass,
    TapAbsorption,
    card,
    tables,
)
from auscult.analyses.parts.dictionaries.labelled import Labelled, acts_of, labelled_rows
from auscult.analyses.parts.dictionaries.lineup import (
    AT_L0,
    BASELINES,
    FROZEN,
    Entry,
    ResampledParams,
    tap_by_tap,
    untrained,
)
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.absorption import absorption, general_direction, specificity
from auscult.measures.null_dictionaries import written_by
from auscult.measures.quality import interval_of
from auscult.measures.statistics import recording_draws

_NAME = "share of recognised rows that are fully absorbed, mean over learned dictionaries"
_NAMES = {DRAWN: DRAWN}
_PUBLISHED = "in every dictionary tested (arXiv 2409.14507; language models)"


class DictionaryAbsorptionParams(ResampledParams):
    """Settings of the analysis of absorption."""

    hierarchies: tuple[tuple[str, str], ...] = ()
    """Pairs of labels, general and specific; none: every pair of labels of which one determines the
    other, as a note determines its pitch class."""
    level: Literal["frame", "clip"] = "frame"
    """Single frames, or means over the frames of a clip, for what no single frame tells."""
    n_classes: int = Field(4, ge=1)
    """Most classes of a general label that are looked at, those that a probe reads best."""
    untrained: bool = True
    """Whether absorption is measured in the network with random weights too."""


@ANALYSES.register("dictionary-absorption")
class DictionaryAbsorption(Analysis):
    """Absorption on the natural hierarchies of sounds: pitch class and note, family and instrument.

    A feature for a general class is absorbed where it stays silent and another one, that also
    points at the class, speaks in its place; with sub-classes one can ask whether that other one is
    a feature of the sub-class. Read against dictionaries whose decoder or encoder stayed random,
    and against those of the network with random weights.
    """

    Params: ClassVar[type[Config]] = DictionaryAbsorptionParams
    title: ClassVar[str] = "Absorption"
    question: ClassVar[str] = "Do general features go silent where more specific ones speak?"
    source: ClassVar[str] = "METHODS §8.2 (Chanin et al. 2024; SAEBench)"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: DictionaryAbsorptionParams) -> tuple[Condition, ...]:
        """Untrained weights; baselines need no recording."""
        return (RANDOM,) if params.untrained else ()

    def run(self, context: Context, params: DictionaryAbsorptionParams) -> Result:
        """Measure absorption in every dictionary of response vectors at every tap."""
        gathered = Gathered()
        for tap, entries in tap_by_tap(context, gathered):
            try:
                rows = labelled_rows(context, tap)
                classes = _classes(context, params, tap, rows)
            except NOTHING_TO_MEASURE as error:
                gathered.missing.append((tap, "absorption", f"{error}."))
                gathered.add(_untold(tap, f"{error}."))
                continue
            there = _measured(context, params, tap, rows, classes, entries)
            gathered.judgements.append(_judged(there))
            gathered.measurements += [one for it in there.learned for one in _numbers(there, it)]
            gathered.blocks += tables(there)
            gathered.cards |= {f"{tap} {one.name}": card(there, one) for one in entries}
        return gathered.result({"missing": gathered.missing})

    def view(self, result: Result) -> list[Block]:
        """Findings, how to read it, a table of dictionaries and one of classes."""
        return guided(result, _HOW_TO_READ)


_HOW_TO_READ = (
    "A linear probe of the tap says where a general class (a pitch class, say) points. The main "
    "features of a dictionary are those that tell the class best. A frame of the class that the "
    "probe recognises is fully absorbed when all main features are silent and one other feature "
    "carries at least 40 % of the probe's evidence. The absorption fraction is the share of the "
    "evidence that at most three other features carry.\n\n"
    "In a hierarchy the absorbing feature can be looked at: the lift says how much more of its "
    "activity within the class falls on the frame's own sub-class than by chance. Near 1 the "
    "feature knows nothing of sub-classes, and what looks like absorption is a class spread over "
    "several features. First seed."
)


def _measured(
    context: Context,
    params: DictionaryAbsorptionParams,
    tap: str,
    rows: Labelled,
    classes: Sequence[GeneralClass],
    entries: Sequence[Entry],
) -> TapAbsorption:
    """Absorption in every dictionary of a tap, and in learned ones of random weights."""
    found = {one.name: _absorbed(one, rows, classes, params.level) for one in entries}
    controls: dict[str, Absorbed] = {}
    if params.untrained:
        # Too few of its sounds, or no class that an untrained network tells: then no control.
        with suppress(*NOTHING_TO_MEASURE):
            own = labelled_rows(context, tap, RANDOM)
            heard = _classes(context, params, tap, own)
            controls = {
                one.name: _absorbed(one, own, heard, params.level)
                for one in untrained(context, tap, entries)
            }
    n = len(np.unique(rows.recording_ids[rows.test]))
    rng = named_rng(context.seed, "dictionary-absorption", tap, "draws")
    draws = recording_draws(n, params.n_resamples, rng)
    return TapAbsorption(tap, entries, found, controls, classes, draws)


def _classes(
    context: Context, params: DictionaryAbsorptionParams, tap: str, rows: Labelled
) -> list[GeneralClass]:
    """General classes that a probe can read.

    Raises:
        NothingToMeasureError: No label determines another, or no class can be read.
    """
    pairs = list(params.hierarchies) or rows.hierarchies()
    unknown = [name for pair in pairs for name in pair if name not in rows.labels]
    if unknown or not pairs:
        there = ", ".join(rows.labels) or "none"
        lack = f"no label {unknown[0]!r}" if unknown else "no label that determines another"
        raise NothingToMeasureError(f"the sounds have {lack}; labels: {there}")
    found: list[GeneralClass] = []
    for general, specific in pairs:
        target = rows.target(general)
        if target is None:
            continue
        x, clips = _rows(rows, rows.values, params.level)
        of_rows, test = target.labels[clips], rows.test[clips]
        sub = np.unique(rows.labels[specific], return_inverse=True)[1][clips]
        read = []
        for number, name in enumerate(target.names):
            rng = named_rng(context.seed, "dictionary-absorption", tap, general, name)
            positive = of_rows == number
            direction = general_direction(x, positive, rows.recording_ids[clips], test, rng)
            if direction.readable:
                read.append(GeneralClass((general, specific), name, positive, sub, direction))
        read.sort(key=lambda one: -one.direction.f1)
        found += read[: params.n_classes]
    if not found:
        told = ", ".join(f"{general} > {specific}" for general, specific in pairs)
        raise NothingToMeasureError(
            f"no class of {told} can be read at F1 0.6 from a {params.level}"
        )
    return found


def _rows(
    rows: Labelled, columns: Float[np.ndarray, "n m"], level: str
) -> tuple[Float[np.ndarray, "k m"], Int[np.ndarray, " k"]]:
    """What is looked at, and the clip of each row."""
    if level == "frame":
        return columns, rows.clips
    return rows.pooled(columns), np.arange(len(rows.test))


def _absorbed(
    entry: Entry, rows: Labelled, classes: Sequence[GeneralClass], level: str
) -> Absorbed:
    dictionary = entry.seeds[0]
    of_frames, atoms = acts_of(dictionary, rows.values), written_by(dictionary)
    acts, clips = _rows(rows, of_frames, level)
    x, _ = _rows(rows, rows.values, level)
    scale = 1.0 / float(dictionary.preprocess.scale)
    test = rows.test[clips]
    place = np.full(len(rows.test), -1)
    place[rows.test] = np.unique(rows.recording_ids[rows.test], return_inverse=True)[1]
    full, fraction, recordings, lifts, by_class = [], [], [], [], []
    for one in classes:
        found = absorption(one.direction, x, acts, atoms, one.positive, test, scale)
        own = np.flatnonzero(one.direction.found)
        full.append(found.full)
        fraction.append(found.fraction)
        recordings.append(place[clips[own]])
        lift = specificity(
            acts[one.positive], found.absorbers, one.specific[one.positive], one.specific[own]
        )
        lifts += [lift] if np.isfinite(lift) else []
        name = f"{one.general[0]} {one.name}"
        by_class.append((name, len(own), found.full_rate, found.mean_fraction, len(found.main)))
    return Absorbed(
        np.concatenate(full),
        np.concatenate(fraction),
        np.concatenate(recordings),
        float(np.mean(lifts)) if lifts else float("nan"),
        by_class,
        float((of_frames != 0).sum(1).mean()),
    )


def _numbers(there: TapAbsorption, entry: Entry) -> list[Measurement]:
    """Full rate and fraction of a learned dictionary, beside those of its controls."""
    own = there.found[entry.name]
    told = (
        ("share of recognised rows that are fully absorbed", "rate"),
        ("share of the evidence that absorbing features carry", "mean_fraction"),
    )
    numbers = []
    for words, figure in told:
        controls = {
            _NAMES.get(role, AT_L0.format(role)): value
            for role in (*BASELINES, DRAWN)
            if (value := there.control(entry, role, figure)) is not None
        }
        controls = controls or {"no baseline at this l0": float("nan")}
        interval = interval_of(own.resampled(there.draws)) if figure == "rate" else None
        name = f"{entry.name}: {words}"
        value = getattr(own, figure)
        numbers.append(Measurement(name, value, "", controls, interval, tap=there.tap))
    return numbers


def _judged(there: TapAbsorption) -> Judgement:
    """CH-01."""
    learned, tap = there.learned, there.tap
    if not learned:
        return _untold(tap, "no dictionary that learned is in the spec.")
    own = np.mean([there.found[one.name].resampled(there.draws) for one in learned], axis=0)
    value = float(np.mean([there.found[one.name].rate for one in learned]))
    controls = {}
    for role in (*FROZEN, DRAWN):
        every = [there.control(one, role, "rate") for one in learned]
        known = [rate for rate in every if rate is not None]
        if known:
            controls[_NAMES.get(role, AT_L0.format(role))] = float(np.mean(known))
    frozen = [controls[name] for name in map(AT_L0.format, FROZEN) if name in controls]
    lifts = [there.found[one.name].lift for one in learned]
    lift = float(np.nanmean(lifts)) if np.isfinite(lifts).any() else float("nan")
    interval = interval_of(own)
    verdict: Verdict = "cannot be tested here"
    if interval is not None and frozen:
        verdict = "does not hold" if value < 0.01 else "explained by control"
        if verdict != "does not hold" and interval[0] > max(frozen) and lift > 1.2:
            verdict = "holds"
    names = ", ".join(dict.fromkeys(" > ".join(one.general) for one in there.classes))
    told = f", by features {lift:.2g} times as specific as chance" if np.isfinite(lift) else ""
    return Judgement(
        f"{tap}: {value:.1%} of what is recognised ({names}) are fully absorbed{told}.",
        Measurement(
            _NAME, value, "", controls or {"frozen": float("nan")}, interval, _PUBLISHED, tap
        ),
        verdict,
        "It holds when at least 1 % are absorbed, more than in every frozen baseline at the same "
        "l0 with the whole interval, and absorbing features are at least 1.2 times as specific as "
        "chance. Random weights show how much the architecture alone absorbs; the claim is not "
        "about that.",
        "CH-01",
    )


def _untold(tap: str, why: str) -> Judgement:
    sentence = f"{tap}: whether features absorb one another cannot be told."
    nulls = [AT_L0.format(role) for role in FROZEN]
    return untested(sentence, why, "CH-01", _NAME, tap, nulls, _PUBLISHED)
