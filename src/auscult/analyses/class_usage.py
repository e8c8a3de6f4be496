"""Do some classes of sound use some features, archetypes or codes more than others?"""

from typing import ClassVar

import numpy as np
from jaxtyping import Int
from pydantic import Field

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
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    guided,
    in_turn,
    untested,
)
from auscult.analyses.parts.classes.units import (
    Classes,
    Units,
    classes_of,
    of_codes,
    of_dictionary,
)
from auscult.analyses.parts.classes.usage_pictures import lift_pictures, to_hear
from auscult.analyses.parts.codecs.code_reading import code_readers
from auscult.analyses.parts.reading import KindsParams, named_by_kind
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.class_usage import ClassUsage, class_usage, usage_by_recording

_DEALT = "labels dealt out anew among recordings"


class ClassUsageParams(KindsParams):
    """Settings of the analysis of usage by class."""

    labels: tuple[str, ...] = ()
    """Labels of the sounds whose classes are compared; none: every one that tells classes."""
    n_units: int = Field(64, ge=2)
    """Units tested at each place, the most used ones."""
    n_deals: int = Field(10_000, ge=100)
    """How often the labels are dealt out anew."""
    n_resamples: int = Field(1000, ge=100)
    """Draws of the recordings for the intervals."""
    false_discovery_rate: float = Field(0.05, gt=0, lt=1)
    """At which cells are marked."""
    factor: float = Field(1.25, ge=1)
    """How many times as many pairs as under random weights must stand out."""
    most_vectors: int = Field(60_000, ge=100)
    """Vectors looked at, evenly spread over all recordings."""
    n_clips: int = Field(240, ge=4)
    """Clips whose codes are read, of a codec."""
    n_levels: int = Field(4, ge=1)
    """Levels of the codec, from the first on."""
    n_heard: int = Field(4, ge=0)
    """Units of which moments can be heard, at each place."""


@ANALYSES.register("class-usage")
class UsageByClass(Analysis):
    """Lift of features, archetypes and codes in every class of the sounds' labels.

    Read against labels dealt out anew among recordings, never among frames, corrected for the
    number of cells; and against the same under random weights.
    """

    Params: ClassVar[type[Config]] = ClassUsageParams
    title: ClassVar[str] = "Usage by class"
    question: ClassVar[str] = (
        "Do some classes of sound use some features, archetypes or codes more than others?"
    )
    version: ClassVar[int] = 2
    source: ClassVar[str] = "METHODS A-7, B-9.1 (Cosme-Clifford, Post 0 and Post 1, §1.3)"

    @classmethod
    def controls(cls, params: ClassUsageParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights; labels dealt out anew need no recording."""
        return (RANDOM,)

    def run(self, context: Context, params: ClassUsageParams) -> Result:
        """Compare classes at every tap, for features and archetypes, and at every level."""
        found = Gathered()
        for tap, kind, name in in_turn(context, _places(context, params)):
            try:
                pair = [
                    of_dictionary(context, tap, name, params.most_vectors, condition)
                    for condition in (BASE, RANDOM)
                ]
                _compare(context, params, pair[0], pair[1], found)
            except NOTHING_TO_MEASURE as error:
                found.add(_untold(tap, kind, str(error)))
        try:
            _codes(context, params, found)
        except NOTHING_TO_MEASURE as error:
            # A model without codes is no codec: that is worth a word only where nothing else is.
            if not found.judgements:
                found.add(_untold(context.taps[0], "units", str(error)))
        return found.result({"missing": found.missing})

    def view(self, result: Result) -> list[Block]:
        """Findings, how to read it, then lifts, tables and sounds, place by place."""
        return guided(result, _HOW_TO_READ)


_HOW_TO_READ = (
    "A unit is what a frame is given: the feature (or archetype) on top, the code of a level of "
    "the quantiser. Lift is the mean share of a class' recordings over that of all recordings: 2 "
    "is twice as often, 1 no difference, 0 never. Recordings count alike, however long.\n\n"
    "Any labels give lifts: a few recordings of one kind differ by themselves. So labels are dealt "
    "out anew among whole recordings, thousands of times, and a cell is marked only where hardly "
    "any deal gives a share as high, or as low, after correction for the number of cells. Frames "
    "of one recording are no independent witnesses, and are never dealt out. A network with random "
    "weights hears classes too: what it marks as well owes nothing to training."
)


def _places(context: Context, params: ClassUsageParams) -> list[tuple[str, str, str]]:
    names = named_by_kind(context, params)
    return [(tap, kind, name) for tap in context.taps for kind, name in names.items()]


def _codes(context: Context, params: ClassUsageParams, found: Gathered) -> None:
    """Every level under both weights.

    Raises:
        NothingToMeasureError: The model tells no codes.
    """
    read = {
        name: of_codes(context, reader, params.n_clips, params.n_levels)
        for name, reader in code_readers(context).items()
    }
    for own, drawn in zip(read[OWN], read[DRAWN], strict=True):
        try:
            _compare(context, params, own, drawn, found)
        except NOTHING_TO_MEASURE as error:
            found.add(_untold(own.tap, "codes", str(error)))


def _compare(
    context: Context, params: ClassUsageParams, own: Units, drawn: Units, found: Gathered
) -> None:
    """One place, label by label."""
    heard = np.unique(own.recording_ids).tolist()
    both = np.intersect1d(own.recording_ids, drawn.recording_ids)
    for told in classes_of(own.labels, heard, params.labels):
        kept, usage = _measured(context, params, own, told, OWN)
        fewer = len(both) < len(heard)
        shared = _share(context, params, own.only(both), told, OWN) if fewer else usage.share
        random = _share(context, params, drawn.only(both), told, DRAWN)
        told_apart = usage.marked.any() or usage.resolves
        found.add(
            _judged(own, told, usage, (shared, random), params.factor)
            if told_apart
            else _too_few(own, told, usage)
        )
        found.blocks += lift_pictures(own, told, kept, usage)
        found.blocks += to_hear(context, own, told, kept, usage, params.n_heard)
        place = f"{own.tap}/{own.word}/{told.label}"
        found.arrays |= {f"{place}/lift": usage.lift, f"{place}/q": usage.q_values}
        found.arrays[f"{place}/units"] = kept


def _measured(
    context: Context, params: ClassUsageParams, units: Units, told: Classes, weights: str
) -> tuple[Int[np.ndarray, " k"], ClassUsage]:
    """The most used units by number, and their usage by class."""
    mine = units.only(told.recordings)
    shares, recordings = usage_by_recording(mine.units, mine.recording_ids, units.n_units)
    kept = np.argsort(-shares.mean(axis=0), kind="stable")[: params.n_units]
    kept = kept[shares.mean(axis=0)[kept] > 0]
    class_by_recording = dict(zip(told.recordings.tolist(), told.classes.tolist(), strict=True))
    words = np.array([class_by_recording[one] for one in recordings.tolist()])
    classes = np.unique(words, return_inverse=True)[1]
    rng = named_rng(context.seed, "class-usage", units.tap, units.word, told.label, weights)
    return kept, class_usage(
        shares[:, kept],
        classes,
        rng,
        params.n_deals,
        params.n_resamples,
        params.false_discovery_rate,
    )


def _share(
    context: Context, params: ClassUsageParams, units: Units, told: Classes, weights: str
) -> float:
    """Share of cells that are marked; NaN where the recordings left are of one class."""
    try:
        return _measured(context, params, units, told, f"{weights}, shared")[1].share
    except NOTHING_TO_MEASURE:
        return float("nan")


def _judged(
    units: Units, told: Classes, usage: ClassUsage, shares: tuple[float, float], factor: float
) -> Judgement:
    """Whether more cells are marked than labels dealt out, and random weights, have.

    Args:
        units: What was counted.
        told: The classes.
        usage: Of all recordings.
        shares: Of the recordings that random weights heard too: under both weights.
        factor: How many times the share under random weights is asked for.
    """
    shared, random = shares
    n_marked, n_cells = int(usage.marked.sum()), usage.lift.size
    verdict: Verdict = "holds"
    if usage.share <= max(usage.dealt, 0.0) or not n_marked:
        verdict = "does not hold"
    elif np.isfinite(random) and shared <= factor * random:
        verdict = "explained by control"
    beside = "" if shared == usage.share else f" ({shared:.1%} on the recordings both heard)"
    return Judgement(
        f"{units.tap}: {n_marked} of {n_cells} pairs of a class of {told.label} and one of the "
        f"most used {units.word}s stand out, {usage.share:.1%}{beside}; under random weights "
        f"{random:.1%} do.",
        Measurement(
            _name(told.label, f"{units.word}s"),
            usage.share,
            "",
            {_DEALT: usage.dealt, DRAWN: random},
            tap=units.tap,
        ),
        verdict,
        f"It holds when more pairs are marked, at a false-discovery rate of {usage.alpha:.0%}, "
        "than where labels are dealt out anew among recordings, and more than "
        f"{factor:g} times as many as under random weights on the same recordings.",
    )


def _too_few(units: Units, told: Classes, usage: ClassUsage) -> Judgement:
    """Nothing is marked, and nothing could have been."""
    each = ", ".join(f"{n}" for n in usage.n_recordings)
    why = (
        f"with {each} recordings a class no p is below {usage.smallest:.2g}, too much for "
        f"{usage.lift.shape[1]} units: hear more recordings, or ask for fewer units (n_units)"
    )
    name, words = _name(told.label, f"{units.word}s"), f"{units.word}s differently"
    sentence = f"{units.tap}: whether classes of {told.label} use {words} cannot be told."
    return untested(sentence, why, "", name, units.tap, [_DEALT, DRAWN])


def _name(label: str, words: str) -> str:
    return f"share of pairs of a class of {label} and one of the {words} whose lift is significant"


def _untold(tap: str, kind: str, why: str) -> Judgement:
    sentence = f"{tap}: whether classes use {kind} differently cannot be told."
    return untested(sentence, why, "", _name("a label", kind), tap, [_DEALT, DRAWN])
