"""What does an intervention on one of two notes do to the sound that comes out?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

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
from auscult.analyses.reading import (
    NOTHING_TO_MEASURE,
    Gathered,
    page,
    untested,
    verdict_of,
)
from auscult.blocks import Axis, Block, ClipGrid, Curve, Series
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.interventions.patch import Patch, PatchParams
from auscult.interventions.resynthesis import Resynthesis
from auscult.interventions.steer import Steer, SteerParams
from auscult.measures.code_hearing import note_wave
from auscult.measures.partial_levels import level_db, own_partials_hz, path_roughness
from auscult.measures.statistics import bootstrap_interval
from auscult.models.base import AudioModel
from auscult.sounds.synthetic import hz_of
from auscult.taps.capture import run_capture

_RANDOM, _ANOTHER, _FLOOR, _CEILING = (
    "random direction, as long",
    "another note's direction",
    "round trip",
    "ceiling: frames of the other note alone",
)
_STRENGTHS = (0.0, 0.5, 1.0, 2.0)
_AT = 1.0
_STEPS = 5


class NoteInterventionsParams(Config):
    """Settings of the interventions."""

    n_pairs: int = Field(16, ge=4)
    """Pairs of notes; each pair is one trial."""
    n_companies: int = Field(4, ge=2)
    """Other notes in whose company a note's direction is measured."""
    seconds: float = Field(0.8, ge=0.3)
    """Length of each sound."""


@ANALYSES.register("note-interventions")
class NoteInterventions(Analysis):
    """Take a note out by its direction, patch another in for a while, walk from sound to sound.

    At each tap of a codec, read on the decoded sound: the partials of the note that is meant, those
    of the note that is not, the span that is meant, and the rest.
    """

    Params: ClassVar[type[Config]] = NoteInterventionsParams
    title: ClassVar[str] = "Interventions on notes"
    question: ClassVar[str] = (
        "What does an intervention on one of two notes do to the sound that comes out?"
    )
    source: ClassVar[str] = "METHODS B-6.6, B-7 (Cosme-Clifford, Post 0; arXiv 2607.08545)"

    @classmethod
    def controls(cls, params: NoteInterventionsParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Nothing to record: notes are made here."""
        return ()

    def run(self, context: Context, params: NoteInterventionsParams) -> Result:
        """Intervene at every recorded tap that lies on the way from sound to sound."""
        found = Gathered()
        sounds: list[MadeSound] = []
        done: list[str] = []
        for step, tap in enumerate(context.taps):
            try:
                trials = _Trials(context, params, tap)
                heard = _remove(trials, tap, found)
                _patch(trials, tap, found)
                _walk(trials, tap, found)
                done.append(tap)
                sounds = heard  # of the deepest tap
            except NOTHING_TO_MEASURE as error:
                found.add(
                    untested(
                        f"{tap}: whether a note can be taken out alone cannot be told.",
                        str(error),
                        "P0-01",
                        _REMOVED,
                        tap,
                        (_RANDOM, _ANOTHER),
                    )
                )
            context.advance((step + 1) / len(context.taps))
        if sounds:
            found.blocks.append(
                ClipGrid(
                    f"{done[-1]}: one of two notes taken out by its direction",
                    tuple(one.clip() for one in sounds),
                )
            )
        return replace(found.result({"taps": done}), sounds=tuple(sounds))

    def view(self, result: Result) -> list[Block]:
        """Findings, dose and response at every tap, and how that sounds."""
        pictures = [_dose(result, tap) for tap in result.facts["taps"]]
        return page(result, _READING, [*pictures, *result.blocks])


_REMOVED = "drop of the note's own partials beyond that of the other note's"
_READING = (
    "Two notes sound together. The direction of one is how far adding it moves the tap's mean "
    "vector in the company of other notes; it is subtracted while the two sound. If notes were "
    "separable directions, the partials of that note alone would fall, and those of the other "
    "would stay. A random direction of the same length and the direction of a note that does not "
    "sound are the controls; frames of the other note alone are the ceiling.\n\nIn a patch the "
    "tap's frames are replaced, for the middle third, by those of the other note alone; a tap with "
    "a short memory changes there only. On a walk the vectors of two sounds are mixed in steps; "
    "the decoded bands should go straight from one to the other."
)


@dataclass(frozen=True)
class _Pair:
    """Two notes that sound together."""

    first: int
    second: int
    waves: tuple[np.ndarray, np.ndarray]
    own_hz: np.ndarray
    other_hz: np.ndarray


class _Trials:
    """Pairs of notes at one tap, and the directions of their first notes."""

    def __init__(self, context: Context, params: NoteInterventionsParams, tap: str) -> None:
        self.model, self.tap = context.model(), tap
        if self.model.codec is None:
            raise NothingToMeasureError(f"{self.model.name} has no decoder to hear changes through")
        self.rate = self.model.sample_rate
        n_samples = self.model.probe_samples or round(params.seconds * self.rate)
        self.rng = named_rng(context.seed, "note interventions")
        self.pairs = _pairs(params.n_pairs, n_samples, self.rate, self.rng)
        both = np.stack([np.add(*pair.waves) for pair in self.pairs])
        self.both = Resynthesis(self.model, tap, _channels(both, self.model))
        self.second = np.stack([pair.waves[1] for pair in self.pairs])
        self.directions = self._directions(params.n_companies, n_samples)
        self.floor = self.sound(None)

    def sound(self, edit: object) -> Float[np.ndarray, "pair time"]:
        """Every pair decoded under one edit."""
        told: np.ndarray = self.both(edit).mean(1).numpy()  # type: ignore[arg-type]
        return told

    def responses(self, waves: np.ndarray) -> Float[Tensor, "sound frame d"]:
        """What the tap says to some sounds."""
        with torch.no_grad():
            heard = run_capture(self.model, _channels(waves, self.model), [self.tap])
        return heard[self.tap].values

    def _directions(self, n_companies: int, n_samples: int) -> Float[Tensor, "pair d"]:
        """Mean move that a pair's first note makes in the company of notes not in the pair."""
        told = []
        for pair in self.pairs:
            others = [m for m in range(48, 84) if m not in (pair.first, pair.second)]
            drawn = self.rng.choice(others, n_companies, replace=False)
            company = np.stack(
                [note_wave(int(m), "dull", n_samples, self.rate, self.rng) for m in drawn]
            )
            note = np.stack(
                [note_wave(pair.first, "bright", n_samples, self.rate, self.rng) for _ in drawn]
            )
            moves = self.responses(company + note).mean(1) - self.responses(company).mean(1)
            told.append(moves.mean(0))
        return torch.stack(told)

    def drops(self, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fall in dB of the meant note's partials and of the other's, against the round trip."""
        told = [
            [
                level_db(before, f_hz, self.rate) - level_db(after, f_hz, self.rate)
                for f_hz in (pair.own_hz, pair.other_hz)
            ]
            for pair, before, after in zip(self.pairs, self.floor, waves, strict=True)
        ]
        own, other = np.array(told).T
        return own, other


def _channels(waves: np.ndarray, model: AudioModel) -> Float[Tensor, "sound channel time"]:
    batch = torch.from_numpy(np.ascontiguousarray(waves, dtype=np.float32))
    return batch[:, None].expand(-1, model.n_channels, -1).contiguous()


def _pairs(n: int, n_samples: int, rate: int, rng: np.random.Generator) -> list[_Pair]:
    found: list[_Pair] = []
    for _ in range(20 * n):
        first, second = (int(m) for m in rng.choice(np.arange(48, 84), 2, replace=False))
        try:
            own = own_partials_hz(hz_of(first), hz_of(second), rate)
            other = own_partials_hz(hz_of(second), hz_of(first), rate)
        except NothingToMeasureError:
            continue
        waves = (
            note_wave(first, "bright", n_samples, rate, rng),
            note_wave(second, "bright", n_samples, rate, rng),
        )
        found.append(_Pair(first, second, waves, own, other))
        if len(found) == n:
            break
    return found


def _steered(directions: Float[Tensor, "pair d"], strength: float) -> object:
    """Subtract every pair's own direction."""
    edits = [
        Steer(SteerParams(direction=tuple(one.tolist()), strength=-strength)) for one in directions
    ]

    def edit(values: Tensor, time: object) -> Tensor:
        rows = [
            one(values[i : i + 1], time)  # type: ignore[arg-type]
            for i, one in enumerate(edits)
        ]
        return torch.cat(rows)

    return edit


def _remove(trials: _Trials, tap: str, found: Gathered) -> list[MadeSound]:
    """Dose and response of taking the first note out, beside its controls."""
    own = trials.directions
    drawn = torch.from_numpy(trials.rng.standard_normal(own.shape)).to(own)
    drawn *= own.norm(dim=1, keepdim=True) / drawn.norm(dim=1, keepdim=True)
    kinds: Mapping[str, Tensor] = {"own": own, _RANDOM: drawn, _ANOTHER: own.roll(1, dims=0)}
    gaps: dict[str, dict[float, np.ndarray]] = {kind: {} for kind in kinds}
    at_one = trials.floor
    for kind, directions in kinds.items():
        for strength in _STRENGTHS:
            waves = trials.sound(_steered(directions, strength))
            meant, other = trials.drops(waves)
            gaps[kind][strength] = meant - other
            if kind == "own":
                found.arrays[f"{tap}/meant/{strength}"] = meant
                found.arrays[f"{tap}/other/{strength}"] = other
                at_one = waves if strength == _AT else at_one
        found.arrays[f"{tap}/gap/{kind}"] = np.array([gaps[kind][s].mean() for s in _STRENGTHS])
    ids = np.arange(len(trials.pairs))
    interval = bootstrap_interval(gaps["own"][_AT], ids, trials.rng)
    nulls = {kind: float(gaps[kind][_AT].mean()) for kind in kinds if kind != "own"}
    alone = trials.responses(trials.second)
    meant, other = trials.drops(trials.sound(Patch(PatchParams(), alone)))
    controls = {**nulls, _CEILING: float((meant - other).mean())}
    one = Measurement(_REMOVED, float(gaps["own"][_AT].mean()), "dB", controls, interval, tap=tap)
    beats = verdict_of(interval[0], list(nulls.values()), "more", 1.0) == "holds"
    found.add(
        Judgement(
            f"{tap}: subtracting a note's direction lowers its partials {one.value:.1f} dB more "
            "than the other note's.",
            one,
            "does not hold" if beats and one.value > 6 else "holds",
            "The claim is that components are not separable. It fails where the note falls at "
            "least 6 dB more than the other, 1 dB beyond a random direction and another note's "
            "with its whole interval.",
            "P0-01",
        ),
        Measurement(
            "drop of the other note's partials",
            float(found.arrays[f"{tap}/other/{_AT}"].mean()),
            "dB",
            {_FLOOR: 0.0},
            tap=tap,
        ),
    )
    label = f"{trials.pairs[0].first} taken out of {trials.pairs[0].first} and "
    pair = f"{label}{trials.pairs[0].second} (MIDI)"
    return [
        MadeSound(np.add(*trials.pairs[0].waves), trials.rate, "both notes"),
        MadeSound(trials.floor[0], trials.rate, "both, round trip"),
        MadeSound(at_one[0], trials.rate, pair),
    ]


def _patch(trials: _Trials, tap: str, found: Gathered) -> None:
    """Frames of the second note alone in the middle third: how much of the change lies there."""
    n_samples = trials.second.shape[1]
    start, stop = n_samples / trials.rate / 3, 2 * n_samples / trials.rate / 3
    source = trials.responses(trials.second)
    patched = trials.sound(Patch(PatchParams(start_s=start, stop_s=stop), source))
    change = np.square(patched - trials.floor)
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


def _walk(trials: _Trials, tap: str, found: Gathered) -> None:
    """Vectors mixed in steps from both notes to the second alone."""
    source = trials.responses(trials.second)
    steps = [
        trials.sound(Patch(PatchParams(strength=share), source) if share else None)
        for share in np.linspace(0, 1, _STEPS).tolist()
    ]
    mixed = [(1 - share) * trials.floor + share * steps[-1] for share in np.linspace(0, 1, _STEPS)]

    def rough(path: list[np.ndarray]) -> float:
        told = []
        for i, pair in enumerate(trials.pairs):
            bands = [
                [level_db(waves[i], f_hz, trials.rate) for f_hz in (pair.own_hz, pair.other_hz)]
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


def _dose(result: Result, tap: str) -> Curve:
    x = np.array(_STRENGTHS)

    def mean(kind: str) -> np.ndarray:
        return np.array([result.arrays[f"{tap}/{kind}/{s}"].mean() for s in _STRENGTHS])

    series = (
        Series("the note that is meant", mean("meant")),
        Series("the other note", mean("other")),
        Series(f"gap, {_RANDOM}", result.arrays[f"{tap}/gap/{_RANDOM}"], control=True),
        Series(f"gap, {_ANOTHER}", result.arrays[f"{tap}/gap/{_ANOTHER}"], control=True),
    )
    axes = (Axis("strength"), Axis("drop of partials", "dB"))
    return Curve(f"{tap}: a note taken out by its direction", x, series, *axes)
