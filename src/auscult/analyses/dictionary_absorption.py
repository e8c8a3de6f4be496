"""Do general features go silent where more specific ones speak?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
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
from auscult.analyses.labelled import Labelled, acts_of, labelled_rows
from auscult.analyses.lineup import FROZEN, LEARNED, Entry, beside, lacking, line_up, warning
from auscult.analyses.reading import NOTHING_TO_MEASURE, Gathered, missing_blocks, untested
from auscult.analyses.standing import card_config
from auscult.blocks import Block, Table, Text, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.absorption import (
    GeneralDirection,
    absorption,
    general_direction,
    specificity,
)
from auscult.measures.null_dictionaries import atoms_of
from auscult.measures.quality import interval_of
from auscult.measures.scorecards import Scorecard

_AT_L0 = "{} at the same l0"
_NAME = "share of recognised rows that are fully absorbed, mean over learned dictionaries"
_PUBLISHED = "in every dictionary tested (arXiv 2409.14507; language models)"


class DictionaryAbsorptionParams(Config):
    """Settings of the analysis of absorption."""

    hierarchies: tuple[tuple[str, str], ...] = ()
    """Pairs of labels, general and specific; none: every pair of labels of which one determines the
    other, as a note determines its pitch class."""
    level: Literal["frame", "clip"] = "frame"
    """Single frames, or means over the frames of a clip, for what no single frame tells."""
    n_classes: int = Field(4, ge=1)
    """Most classes of a general label that are looked at, those that a probe reads best."""
    n_resamples: int = Field(1000, ge=100)
    """Draws of the recordings behind each interval."""


@dataclass(frozen=True)
class _Class:
    """One general class of the sounds.

    Attributes:
        general: Its label, with its specific one.
        name: Of the class.
        positive: Which frames are of it.
        specific: Sub-class of each frame, as a number.
        direction: As a probe of the tap has it.
    """

    general: tuple[str, str]
    name: str
    positive: Bool[np.ndarray, " n"]
    specific: Int[np.ndarray, " n"]
    direction: GeneralDirection


@dataclass(frozen=True)
class _Absorbed:
    """What one dictionary absorbs, over all classes.

    Attributes:
        full: Whether each recognised frame is fully absorbed.
        fraction: Share of the evidence that absorbers carry, of each.
        recordings: Test recording of each.
        lift: How specific absorbing features are; 1 where they are not.
        by_class: Class, number of frames, full rate, mean fraction, main features.
        l0: Features on at once.
    """

    full: Bool[np.ndarray, " n"]
    fraction: Float[np.ndarray, " n"]
    recordings: Int[np.ndarray, " n"]
    lift: float
    by_class: Sequence[tuple[str, int, float, float, int]]
    l0: float

    @property
    def rate(self) -> float:
        """Share of frames fully absorbed."""
        return float(self.full.mean())

    @property
    def mean_fraction(self) -> float:
        """Mean share of the evidence that absorbers carry."""
        return float(np.nanmean(self.fraction)) if np.isfinite(self.fraction).any() else np.nan

    def resampled(self, draws: Float[np.ndarray, "b r"]) -> Float[np.ndarray, " b"]:
        """The rate over draws of the test recordings."""
        size = draws.shape[1]
        hits = np.bincount(self.recordings, self.full.astype(float), size)
        rows = np.bincount(self.recordings, minlength=size).astype(float)
        return np.asarray((draws @ hits) / np.maximum(draws @ rows, 1e-9))


@ANALYSES.register("dictionary-absorption")
class DictionaryAbsorption(Analysis):
    """Absorption on the natural hierarchies of sounds: pitch class and note, family and instrument.

    A feature for a general class is absorbed where it stays silent and another one, that also
    points at the class, speaks in its place; with sub-classes one can ask whether that other one is
    a feature of the sub-class. Read against dictionaries whose decoder or encoder stayed random.
    """

    Params: ClassVar[type[Config]] = DictionaryAbsorptionParams
    title: ClassVar[str] = "Absorption"
    question: ClassVar[str] = "Do general features go silent where more specific ones speak?"
    source: ClassVar[str] = "METHODS §8.2 (Chanin et al. 2024; SAEBench)"

    @classmethod
    def controls(cls, params: DictionaryAbsorptionParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None to be recorded: baselines are the controls."""
        return ()

    def run(self, context: Context, params: DictionaryAbsorptionParams) -> Result:
        """Measure absorption in every dictionary of response vectors at every tap."""
        gathered = Gathered()
        cards: dict[str, Scorecard] = {}
        lacked: dict[str, None] = {}
        for step, tap in enumerate(context.taps):
            entries = [one for one in line_up(context, tap) if one.of == "responses"]
            lacked |= dict.fromkeys(lacking(entries))
            try:
                rows = labelled_rows(context, tap)
                classes = _classes(context, params, tap, rows)
            except NOTHING_TO_MEASURE as error:
                gathered.missing.append((tap, "absorption", f"{error}."))
                gathered.add(_untold(tap, f"{error}."))
                continue
            found = {one.name: _absorbed(one, rows, classes, params.level) for one in entries}
            n = len(np.unique(rows.recording_ids[rows.test]))
            rng = named_rng(context.seed, "dictionary-absorption", tap, "draws")
            draws = rng.multinomial(n, np.full(n, 1 / n), params.n_resamples).astype(np.float64)
            learned = [one for one in entries if one.role == LEARNED]
            gathered.judgements.append(_judged(tap, learned, entries, found, draws, classes))
            gathered.measurements += [
                one for entry in learned for one in _numbers(tap, entry, entries, found, draws)
            ]
            gathered.blocks += _tables(tap, entries, found, classes)
            cards |= {f"{tap} {one.name}": _card(tap, one, found[one.name]) for one in entries}
            context.advance((step + 1) / len(context.taps))
        told = warning(list(lacked))
        gathered.blocks[:0] = [told] if told else []
        facts = {"lacking": list(lacked), "missing": gathered.missing}
        return replace(gathered.result(facts), scorecards=cards)

    def view(self, result: Result) -> list[Block]:
        """Findings, how to read it, a table of dictionaries and one of classes."""
        findings = [one.finding() for one in result.judgements]
        guide = Text(_HOW_TO_READ, "How to read this page")
        return [*findings, guide, *missing_blocks(result), *result.blocks]


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


def _classes(
    context: Context, params: DictionaryAbsorptionParams, tap: str, rows: Labelled
) -> list[_Class]:
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
    found: list[_Class] = []
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
                read.append(_Class((general, specific), name, positive, sub, direction))
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


def _absorbed(entry: Entry, rows: Labelled, classes: Sequence[_Class], level: str) -> _Absorbed:
    dictionary = entry.seeds[0]
    of_frames, atoms = acts_of(dictionary, rows.values), atoms_of(dictionary)
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
    return _Absorbed(
        np.concatenate(full),
        np.concatenate(fraction),
        np.concatenate(recordings),
        float(np.mean(lifts)) if lifts else float("nan"),
        by_class,
        float((of_frames != 0).sum(1).mean()),
    )


Found = Mapping[str, _Absorbed]


def _lines(entry: Entry, entries: Sequence[Entry], found: Found) -> Any:
    return beside(entry, entries, lambda one: found[one.name].l0)


def _numbers(
    tap: str, entry: Entry, entries: Sequence[Entry], found: Found, draws: np.ndarray
) -> list[Measurement]:
    """Full rate and fraction of a learned dictionary, beside its baselines."""
    own, lines = found[entry.name], _lines(entry, entries, found)
    told = (
        ("share of recognised rows that are fully absorbed", "rate"),
        ("share of the evidence that absorbing features carry", "mean_fraction"),
    )
    numbers = []
    for words, figure in told:
        controls = {
            _AT_L0.format(role): float(sum(w * getattr(found[o.name], figure) for o, w in parts))
            for role, parts in lines.items()
        }
        controls = controls or {"no baseline at this l0": float("nan")}
        interval = interval_of(own.resampled(draws)) if figure == "rate" else None
        name = f"{entry.name}: {words}"
        numbers.append(Measurement(name, getattr(own, figure), "", controls, interval, tap=tap))
    return numbers


def _judged(
    tap: str,
    learned: Sequence[Entry],
    entries: Sequence[Entry],
    found: Found,
    draws: np.ndarray,
    classes: Sequence[_Class],
) -> Judgement:
    """CH-01."""
    if not learned:
        return _untold(tap, "no dictionary that learned is in the spec.")
    own = np.mean([found[one.name].resampled(draws) for one in learned], axis=0)
    value = float(np.mean([found[one.name].rate for one in learned]))
    controls = {}
    for role in FROZEN:
        lines = [_lines(one, entries, found).get(role) for one in learned]
        there = [sum(w * found[other.name].rate for other, w in parts) for parts in lines if parts]
        if there:
            controls[_AT_L0.format(role)] = float(np.mean(there))
    lifts = [found[one.name].lift for one in learned]
    lift = float(np.nanmean(lifts)) if np.isfinite(lifts).any() else float("nan")
    interval = interval_of(own)
    verdict: Verdict = "cannot be tested here"
    if interval is not None and controls:
        verdict = "does not hold" if value < 0.01 else "explained by control"
        if verdict != "does not hold" and interval[0] > max(controls.values()) and lift > 1.2:
            verdict = "holds"
    names = ", ".join(dict.fromkeys(" > ".join(one.general) for one in classes))
    told = f", by features {lift:.2g} times as specific as chance" if np.isfinite(lift) else ""
    return Judgement(
        f"{tap}: {value:.1%} of what is recognised ({names}) are fully absorbed{told}.",
        Measurement(
            _NAME, value, "", controls or {"frozen": float("nan")}, interval, _PUBLISHED, tap
        ),
        verdict,
        "It holds when at least 1 % are absorbed, more than in every frozen baseline at the same "
        "l0 with the whole interval, and absorbing features are at least 1.2 times as specific as "
        "chance.",
        "CH-01",
    )


def _untold(tap: str, why: str) -> Judgement:
    sentence = f"{tap}: whether features absorb one another cannot be told."
    nulls = [_AT_L0.format(role) for role in FROZEN]
    return untested(sentence, why, "CH-01", _NAME, tap, nulls, _PUBLISHED)


def _tables(
    tap: str, entries: Sequence[Entry], found: Found, classes: Sequence[_Class]
) -> list[Block]:
    rows = tuple(
        (
            one.name,
            one.role,
            found[one.name].l0,
            found[one.name].rate,
            found[one.name].mean_fraction,
            found[one.name].lift if np.isfinite(found[one.name].lift) else None,
        )
        for one in entries
    )
    columns = ("dictionary", "role", "l0", "fully absorbed", "fraction", "lift of absorbers")
    note = "Over all classes of the next table; baselines are what random directions give."
    every = Table(f"{tap}: absorption", columns, rows, ("", "", "per frame", "", "", ""), note)
    first = next((one for one in entries if one.role == LEARNED), entries[0])
    f1 = {f"{one.general[0]} {one.name}": one.direction.f1 for one in classes}
    told = tuple((one[0], f1[one[0]], *one[1:]) for one in found[first.name].by_class)
    heads = (
        "class",
        "F1 of the probe",
        "recognised",
        "fully absorbed",
        "fraction",
        "main features",
    )
    return [every, Table(f"{tap}: absorption by class, {first.name}", heads, told)]


def _card(tap: str, entry: Entry, own: _Absorbed) -> Scorecard:
    metrics = {
        "mean": {
            "mean_absorption_fraction_score": own.mean_fraction,
            "mean_full_absorption_score": own.rate,
            "mean_num_split_features": float(np.mean([one[4] for one in own.by_class])),
        },
        "audio": {"lift_of_absorbers": own.lift},
    }
    details = [
        {
            "class": name,
            "n": n,
            "full_absorption_rate": rate,
            "absorption_fraction": fraction,
            "num_split_features": k,
        }
        for name, n, rate, fraction, k in own.by_class
    ]
    return Scorecard("absorption", card_config(tap, entry), metrics, details)
