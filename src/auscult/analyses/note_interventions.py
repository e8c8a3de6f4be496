"""What does an intervention on one of two notes do to the sound that comes out?"""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    MadeSound,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    NOTHING_TO_MEASURE,
    Gathered,
    in_turn,
    page,
    untested,
    verdict_of,
)
from auscult.analyses.parts.codecs.note_edits import (
    ABLATE,
    ADD,
    ANOTHER,
    MEAN,
    NOISE,
    OWN,
    RANDOM,
    WALK,
    Way,
    ways_of,
)
from auscult.analyses.parts.codecs.note_pictures import note_pictures
from auscult.analyses.parts.codecs.note_trials import Heard, NoteTrials
from auscult.blocks import Block, ClipGrid
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.interventions.patch import Patch, PatchParams
from auscult.measures.partial_levels import level_db, path_roughness
from auscult.measures.statistics import bootstrap_interval

_FLOOR = "floor: the round trip moves partials by"
_CEILING = "ceiling: frames of the other note alone"
_REMOVED = "drop of the note's own partials beyond that of the other note's"
_BROUGHT = "rise of the note's own partials beyond that of the other note's"
_TAKEN_OUT = {ADD: "subtracted", ABLATE: "projected out", MEAN: "set to its mean"}
"""Ways that a note's direction is taken out, which the claim is judged by."""

Gaps = Float[np.ndarray, " pair"]


class NoteInterventionsParams(Config):
    """Settings of the interventions."""

    n_pairs: int = Field(16, ge=4)
    """Pairs of notes; each pair is one trial."""
    n_companies: int = Field(4, ge=2)
    """Other notes in whose company a note's direction is measured."""
    seconds: float = Field(0.8, ge=0.3)
    """Length of each sound."""
    start_s: float | None = Field(default=None, ge=0)
    """Start of the part that is edited and read; none: from the beginning."""
    stop_s: float | None = Field(default=None, gt=0)
    """End of that part; none: to the end."""

    @model_validator(mode="after")
    def _span_has_length(self) -> "NoteInterventionsParams":
        if self.stop_s is not None and self.stop_s <= (self.start_s or 0.0):
            raise ValueError(f"the span ends at {self.stop_s:g} s, before it starts")
        return self


@ANALYSES.register("note-interventions")
class NoteInterventions(Analysis):
    """Six interventions on one of two notes, at any tap and in any span, read on decoded sound.

    Its direction is subtracted, projected out, or set to its mean without the note; channels are
    patched from a sound without the note, or into one; two sounds are mixed on a walk. Each is told
    by dose, beside random directions and channels of the same size, and what the codec itself does.
    """

    Params: ClassVar[type[Config]] = NoteInterventionsParams
    title: ClassVar[str] = "Interventions on notes"
    question: ClassVar[str] = (
        "What does an intervention on one of two notes do to the sound that comes out?"
    )
    source: ClassVar[str] = "METHODS B-6.6, B-7 (Cosme-Clifford, Post 0; arXiv 2607.08545)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: NoteInterventionsParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Nothing to record: notes are made here."""
        return ()

    def run(self, context: Context, params: NoteInterventionsParams) -> Result:
        """Intervene at every recorded tap that lies on the way from sound to sound."""
        found = Gathered()
        sounds: list[MadeSound] = []
        done: list[str] = []
        rows: list[list[str | float | None]] = []
        for tap in in_turn(context, context.taps):
            try:
                trials = NoteTrials(
                    context,
                    tap,
                    params.n_pairs,
                    params.n_companies,
                    params.seconds,
                    (params.start_s, params.stop_s),
                )
                told = _all_ways(trials, tap, found)
                _patch(trials, tap, found)
                done.append(tap)
                rows += told[0]
                sounds = told[1]  # of the deepest tap
            except NOTHING_TO_MEASURE as error:
                found.add(
                    untested(
                        f"{tap}: whether a note can be taken out alone cannot be told.",
                        str(error),
                        "P0-01",
                        _REMOVED,
                        tap,
                        (RANDOM, ANOTHER),
                    )
                )
        if sounds:
            found.blocks.append(
                ClipGrid(
                    f"{done[-1]}: interventions on one of two notes",
                    tuple(one.clip() for one in sounds),
                    "An intervention that takes a note out leaves the other note alone.",
                )
            )
        facts = {"taps": done, "rows": rows, "ways": _ways(found)}
        return replace(found.result(facts), sounds=tuple(sounds))

    def view(self, result: Result) -> list[Block]:
        """Findings, every way at every tap, dose and response, and how that sounds."""
        pictures: list[Block] = []
        if result.facts["taps"]:
            pictures = note_pictures(result)
        return page(result, _READING, [*pictures, *result.blocks])


_READING = (
    "Two notes sound together. The direction of one is how far adding it moves the tap's mean "
    "vector in the company of other notes. Were notes separable directions, taking it away would "
    "lower the partials that are this note's alone and leave those of the other: the gap between "
    "both drops says how far that goes, and isolation is the meant note's share of all change "
    "(0.5 where both move alike). Random directions of the same length, and directions of notes "
    "that do not sound, are the controls; frames of the other note alone are the ceiling; the "
    "codec's own round trip is the floor.\n\n"
    "Patching asks which channels hold the note. From the other note alone into both (denoising), "
    "a few of the channels that the note moves most should be enough to take it out; from both "
    "into the other note alone (noising), they should be enough to bring it in. As many channels "
    "at random are the control. On a walk the vectors of two sounds are mixed in steps: the "
    "decoded bands should go straight from one to the other.\n\n"
    "Another patch replaces all channels in the middle third only; a tap with a short memory "
    "changes there alone."
)


def _ways(found: Gathered) -> list[str]:
    """Names of the ways whose doses were heard, in order."""
    return list(dict.fromkeys(name.split("/")[1] for name in found.arrays))


def _all_ways(
    trials: NoteTrials, tap: str, found: Gathered
) -> tuple[list[list[str | float | None]], list[MadeSound]]:
    """Every way at every dose; rows of the table, and what the note taken out sounds like."""
    rows: list[list[str | float | None]] = []
    sounds = _unedited(trials)
    floor = trials.round_trip_db()
    taken: dict[str, dict[str, Gaps]] = {}
    for name, way in ways_of(trials).items():
        heard: dict[str, dict[float, Heard]] = {}
        for kind, edit in way.edits.items():
            heard[kind] = {}
            for dose in way.doses:
                waves = trials.sound(edit(dose), way.of)
                heard[kind][dose] = trials.heard(waves, way.of)
                if name != NOISE and kind == OWN and dose == way.at:
                    sounds.append(_edited(trials, name, way, waves))
                if name == WALK:
                    found.arrays[f"{tap}/{name}/waves/{dose}"] = waves
        _keep(tap, name, way, heard, found)
        rows.append(_row(tap, name, way, heard))
        if name in _TAKEN_OUT:
            taken[name] = {kind: by_dose[way.at].gap for kind, by_dose in heard.items()}
        if name == WALK:
            _walk(trials, tap, way, found)
        else:
            found.measurements.append(_measured(trials, tap, name, way, heard, floor))
    found.add(_judged(trials, tap, taken, floor))
    return rows, sounds


def _sign(name: str) -> float:
    """Drops count where a note is taken out, rises where one is brought in."""
    return -1.0 if name == NOISE else 1.0


def _keep(
    tap: str, name: str, way: Way, heard: dict[str, dict[float, Heard]], found: Gathered
) -> None:
    """Curves over dose, from 0, at which nothing changes."""
    start = f"{tap}/{name}"
    sign = _sign(name)
    found.facts.setdefault("doses", {})[name] = way.axis
    found.arrays[f"{start}/doses"] = np.array([0.0, *way.doses])
    for kind, by_dose in heard.items():
        gaps = [sign * by_dose[dose].gap.mean() for dose in way.doses]
        found.arrays[f"{start}/gap/{kind}"] = np.array([0.0, *gaps])
    for what in ("meant", "other", "loudness"):
        told = [getattr(heard[OWN][dose], what).mean() for dose in way.doses]
        found.arrays[f"{start}/{what}"] = np.array([0.0, *told])


def _row(
    tap: str, name: str, way: Way, heard: dict[str, dict[float, Heard]]
) -> list[str | float | None]:
    own = heard[OWN][way.at]
    nulls = [_sign(name) * h[way.at].gap.mean() for kind, h in heard.items() if kind != OWN]
    return [
        f"{tap}: {name}",
        f"{way.at:g} ({way.axis})",
        float(own.meant.mean()),
        float(own.other.mean()),
        float(own.loudness.mean()),
        own.isolation if np.isfinite(own.isolation) else None,
        float(_sign(name) * own.gap.mean()),
        float(max(nulls)) if nulls else None,
    ]


def _measured(
    trials: NoteTrials,
    tap: str,
    name: str,
    way: Way,
    heard: dict[str, dict[float, Heard]],
    floor: float,
) -> Measurement:
    sign = _sign(name)
    gap = sign * heard[OWN][way.at].gap
    nulls = {kind: float(sign * h[way.at].gap.mean()) for kind, h in heard.items() if kind != OWN}
    what = _BROUGHT if name == NOISE else _REMOVED
    return Measurement(
        f"{name}, {way.at:g} ({way.axis}): {what}",
        float(gap.mean()),
        "dB",
        {**nulls, _FLOOR: floor},
        bootstrap_interval(gap, np.arange(len(gap)), trials.rng),
        tap=tap,
    )


def _judged(
    trials: NoteTrials, tap: str, taken: dict[str, dict[str, Gaps]], floor: float
) -> Judgement:
    """The claim is that components are not separable: it must outlive the best of three ways.

    At a tap of filters the mean move of a note is next to nothing, and taking it away does nothing:
    a claim that holds for want of an intervention would say little. Projecting out has no length.
    """
    best_way = max(taken, key=lambda name: float(taken[name][OWN].mean()))
    gap = taken[best_way][OWN]
    interval = bootstrap_interval(gap, np.arange(len(gap)), trials.rng)
    nulls = {
        kind: max(float(gaps[kind].mean()) for gaps in taken.values()) for kind in (RANDOM, ANOTHER)
    }
    best = trials.heard(trials.sound(Patch(PatchParams(), trials.values["second"]))).gap
    controls = {**nulls, _CEILING: float(best.mean()), _FLOOR: floor}
    one = Measurement(_REMOVED, float(gap.mean()), "dB", controls, interval, tap=tap)
    beats = verdict_of(interval[0], list(nulls.values()), "more", 1.0) == "holds"
    return Judgement(
        f"{tap}: a note's direction, taken out the best of three ways ({_TAKEN_OUT[best_way]}), "
        f"lowers its partials {one.value:z.1f} dB more than the other note's.",
        one,
        "does not hold" if beats and one.value > 6 else "holds",
        "The claim is that components are not separable. It fails where the note falls at "
        "least 6 dB more than the other, 1 dB beyond a random direction and another note's "
        "with its whole interval; of these, too, the best of three ways counts.",
        "P0-01",
    )


def _unedited(trials: NoteTrials) -> list[MadeSound]:
    """The first pair before any intervention, and what is left where one takes all of it out."""
    pair = trials.pairs[0]
    both = f"notes {pair.first} and {pair.second} (MIDI)"
    return [
        MadeSound(trials.waves["both"][0], trials.rate, both),
        MadeSound(trials.floor["both"][0], trials.rate, f"{both}, round trip"),
        MadeSound(trials.floor["second"][0], trials.rate, f"{pair.second} alone, round trip"),
    ]


def _edited(trials: NoteTrials, name: str, way: Way, waves: np.ndarray) -> MadeSound:
    """The first pair under an intervention on its first note."""
    told = f"{trials.pairs[0].first}: {name}"
    if way.at != 1.0:
        told += f", {way.at:.0%} of the channels"
    return MadeSound(waves[0], trials.rate, told)


def _patch(trials: NoteTrials, tap: str, found: Gathered) -> None:
    """Frames of the second note alone in the middle third: how much of the change lies there."""
    floor = trials.floor["both"]
    n_samples = floor.shape[1]
    start, stop = n_samples / trials.rate / 3, 2 * n_samples / trials.rate / 3
    source = trials.values["second"]
    patched = trials.sound(Patch(PatchParams(start_s=start, stop_s=stop), source))
    change = np.square(patched - floor)
    inside = slice(round(start * trials.rate), round(stop * trials.rate))
    total = change.sum(1)
    shares = np.divide(
        change[:, inside].sum(1), total, out=np.full(len(total), np.nan), where=total > 0
    )
    known = np.isfinite(shares)
    if not known.any():
        raise NothingToMeasureError(f"a patch at {tap} changes nothing in the sound")
    ids = np.arange(len(shares))[known]
    interval = bootstrap_interval(shares[known], ids, trials.rng)
    found.measurements.append(
        Measurement(
            "patch: share of the change inside the span that was patched",
            float(shares[known].mean()),
            "",
            {"the span's share of the sound": 1 / 3},
            interval,
            tap=tap,
        )
    )


def _walk(trials: NoteTrials, tap: str, way: Way, found: Gathered) -> None:
    """How far the decoded partials stray from a straight path between both sounds."""
    floor = trials.floor["both"]
    steps = [floor, *(found.arrays.pop(f"{tap}/{WALK}/waves/{dose}") for dose in way.doses)]
    shares = np.linspace(0, 1, len(steps))
    mixed = [(1 - share) * floor + share * steps[-1] for share in shares]

    def rough(path: list[np.ndarray]) -> float:
        told = []
        for i, pair in enumerate(trials.pairs):
            bands = [
                [
                    level_db(waves[i][trials.inside], f_hz, trials.rate)
                    for f_hz in (pair.own_hz, pair.other_hz)
                ]
                for waves in path
            ]
            told.append(path_roughness(np.array(bands)))
        return float(np.mean(told))

    found.measurements.append(
        Measurement(
            "walk: how far decoded partials stray from a straight path",
            rough(steps),
            "dB",
            {"waveforms mixed in as many steps": rough(mixed)},
            published="s.d. 0.240 to 0.270 in raw latents, other units (arXiv 2607.08545, digest)",
            tap=tap,
        )
    )
