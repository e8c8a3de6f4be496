"""What does each level of a quantiser carry, and what is lost without it?"""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    ClipSound,
    Condition,
    Context,
    Judgement,
    MadeSound,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    page,
    untested,
    verdict_of,
)
from auscult.analyses.parts.codecs.code_reading import CodeParams, at_level, code_readers
from auscult.analyses.parts.reading import spread_over_recordings
from auscult.blocks import Axis, Block, ClipGrid, Curve, Series
from auscult.concepts.base import CONCEPTS
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.distances import log_mel_distance_db, si_sdr_db
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.code_hearing import CodeReader, steady_frames, steady_notes
from auscult.measures.probe_targets import Target
from auscult.measures.probes import MAJORITY, SHUFFLED, ProbeSettings, read
from auscult.measures.statistics import bootstrap_interval, split_by_recording
from auscult.sounds.notes import PITCH_CLASSES

_PARTS = ("the level's entries", "the levels up to it", "what it leaves over")
_DONE = {"without": "levels after this one left out", "exchanged": "this level exchanged"}
_SILENT = 1e-3  # a peak of -60 dB re full scale
_UNQUANTISED = "latents before the quantiser"


class CodeLevelsParams(CodeParams):
    """Settings of the reading of levels."""

    n_clips: int = Field(8, ge=2)
    """Recorded clips whose levels are left out and exchanged."""


@ANALYSES.register("code-levels")
class CodeLevels(Analysis):
    """Probes on every level, and sound decoded without it or with another sound's.

    A probe reads the pitch class of notes it never heard from a level's entries alone, from the
    sum up to it, and from what it leaves over. In recorded sound a level's codes are exchanged for
    those of another clip: what changes is what the level carried.
    """

    Params: ClassVar[type[Config]] = CodeLevelsParams
    title: ClassVar[str] = "Levels"
    question: ClassVar[str] = (
        "What does each level of a quantiser carry, and what is lost without it?"
    )
    source: ClassVar[str] = "METHODS B-9 (Cosme-Clifford, Post 0; Sadok et al. 2025)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: CodeLevelsParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Nothing to record: both weights hear notes and clips anew."""
        return ()

    def run(self, context: Context, params: CodeLevelsParams) -> Result:
        """Probe the levels under both weights, then exchange them in recorded sound."""
        found = Gathered()
        try:
            readers = code_readers(context)
            levels = _probe(context, params, readers, found)
            context.advance(0.6)
            sounds = _exchange(context, params, readers[OWN], found)
        except NOTHING_TO_MEASURE as error:
            sentence = "What each level carries cannot be told."
            nulls = (DRAWN, SHUFFLED)
            told = untested(sentence, str(error), "", "pitch class", context.taps[0], nulls)
            return Result((told.measurement,), facts={"levels": 0}, judgements=(told,))
        found.blocks.append(
            ClipGrid(
                "A clip with fewer levels, and with levels of another clip",
                tuple(one.clip() for one in sounds),
            )
        )
        return replace(found.result({"levels": levels}), sounds=sounds)

    def view(self, result: Result) -> list[Block]:
        """Findings, probes by level, what goes without a level, and how that sounds."""
        if not result.facts["levels"]:
            return page(result, _READING, [])
        pictures = [_probe_picture(result), *_exchange_pictures(result)]
        return page(result, _READING, [*pictures, *result.blocks])


_READING = (
    "A residual quantiser adds up: each level quantises what the levels before left over. A linear "
    "probe reads the pitch class of notes whose octave and timbre it never heard together with it; "
    "its controls are shuffled labels, the commonest class, and the same network with random "
    "weights.\n\nIn recorded sound each level is exchanged for that of another clip, the others "
    "stay. The change is told as the distance of log-mel spectra, and in loudness and brightness; "
    "its control is what the whole quantiser changes."
)


def _parts(
    reader: CodeReader, latents: Float[Tensor, "sound d frame"], n_levels: int
) -> tuple[int, dict[str, list[np.ndarray]]]:
    """Vectors ``[sound frame d]`` of each kind at every level."""
    codes = reader.codes(latents)
    levels = min(n_levels, codes.shape[1])
    sums = [torch.zeros_like(latents), *(reader.sums(codes, n + 1) for n in range(levels))]

    def rows(values: Tensor) -> np.ndarray:
        vectors: np.ndarray = values.transpose(1, 2).float().numpy()
        return vectors

    told = {
        _PARTS[0]: [rows(sums[n + 1] - sums[n]) for n in range(levels)],
        _PARTS[1]: [rows(sums[n + 1]) for n in range(levels)],
        _PARTS[2]: [rows(latents - sums[n + 1]) for n in range(levels)],
    }
    return levels, told


def _probe(
    context: Context, params: CodeLevelsParams, readers: dict[str, CodeReader], found: Gathered
) -> int:
    """Pitch class from every kind of vector at every level; returns the number of levels."""
    model = context.model()
    n_samples = model.probe_samples or round(params.note_seconds * model.sample_rate)
    notes = steady_notes(model.sample_rate, n_samples, context.seed)
    levels, scores = 0, {}
    names = np.array([f"{o} {t}" for o, t in zip(notes.octave, notes.timbre, strict=True)])
    test = split_by_recording(names, named_rng(context.seed, "levels", "split"))

    def score(vectors: np.ndarray, frames: slice, label: str) -> dict[str, float]:
        kept = vectors[:, frames]
        n_frames = kept.shape[1]
        target = Target(
            np.repeat(notes.pitch_class, n_frames),
            PITCH_CLASSES,
            np.full(len(kept) * n_frames, np.nan),
            np.full(len(PITCH_CLASSES), np.nan),
        )
        rng = named_rng(context.seed, "levels", label)
        ids = np.repeat(names, n_frames)
        flat = kept.reshape(-1, kept.shape[-1])
        one = read(flat, target, ids, np.repeat(test, n_frames), rng, ProbeSettings())
        return {
            "value": one.scores.values["accuracy"],
            "low": one.scores.intervals["accuracy"][0],
            "high": one.scores.intervals["accuracy"][1],
            SHUFFLED: one.controls[SHUFFLED]["accuracy"],
            MAJORITY: one.controls[MAJORITY]["accuracy"],
        }

    for name, reader in readers.items():
        latents = reader.latents(notes.waves)
        frames = steady_frames(reader.time, n_samples, latents.shape[-1])
        levels, told = _parts(reader, latents, params.n_levels)
        whole = latents.transpose(1, 2).float().numpy()
        scores[name, _UNQUANTISED, 0] = score(whole, frames, _UNQUANTISED)
        for part, vectors in told.items():
            for level, one in enumerate(vectors):
                scores[name, part, level] = score(one, frames, f"{part} {level}")
    _report(scores, found)
    return levels


def _report(scores: dict[tuple[str, str, int], dict[str, float]], found: Gathered) -> None:
    for (name, part, level), own in scores.items():
        if name != OWN:
            continue
        controls = {
            SHUFFLED: own[SHUFFLED],
            MAJORITY: own[MAJORITY],
            DRAWN: scores[DRAWN, part, level]["value"],
        }
        tap = at_level(level) if part != _UNQUANTISED else "latent"
        told = f"pitch class from {part}, linear probe, frame by frame: accuracy"
        one = Measurement(told, own["value"], "", controls, (own["low"], own["high"]), tap=tap)
        if part == _PARTS[0] and level == 0:
            found.add(
                Judgement(
                    f"The first level's entries alone tell pitch class in {one.value:.0%} of "
                    "frames of new notes.",
                    one,
                    verdict_of(one.value, list(controls.values()), "more", 0.05),
                    "A linear probe; it holds when it beats shuffled labels, the commonest class "
                    "and random weights by 5 points.",
                )
            )
        else:
            found.measurements.append(one)


def _exchange(
    context: Context, params: CodeLevelsParams, reader: CodeReader, found: Gathered
) -> tuple[MadeSound, ...]:
    """Leave levels out, exchange them with the next clip's; returns sounds of the first clip."""
    clips = _audible(context, params.n_clips)
    n = min(len(one.waveform) for one in clips)
    recordings = np.array([one.recording_id for one in clips])
    latents = reader.latents(np.stack([one.waveform[:n] for one in clips]))
    codes = reader.codes(latents)
    n_levels = codes.shape[1]
    shown = min(params.n_levels, n_levels)
    whole = reader.decode(reader.sums(codes, n_levels))
    straight = reader.decode(latents)
    rate = context.model().sample_rate
    floor = _changes(straight, whole, rate, reader)
    rows: dict[str, list[dict[str, np.ndarray]]] = {"without": [], "exchanged": []}
    sounds = [MadeSound(whole[0], rate, f"all {n_levels} levels")]
    for level in range(shown):
        fewer = reader.decode(reader.sums(codes, level + 1))
        swapped = codes.clone()
        swapped[:, level] = codes.roll(1, dims=0)[:, level]
        other = reader.decode(reader.sums(swapped, n_levels))
        if level + 1 < n_levels:  # behind the last level there is nothing to leave out
            rows["without"].append(_changes(whole, fewer, rate, reader))
        rows["exchanged"].append(_changes(whole, other, rate, reader))
        if level in (0, 1, 3):
            label = f"the first {level + 1} levels" if level else "the first level alone"
            sounds.append(MadeSound(fewer[0], rate, label))
        if level in (0, shown - 1):
            label = f"level {level + 1} of another clip"
            sounds.append(MadeSound(other[0], rate, label))
    rng = named_rng(context.seed, "levels", "interval")
    for kind, told in rows.items():
        for level, changes in enumerate(told):
            for what, values in changes.items():
                controls = {"the whole quantiser": float(floor[what].mean())}
                interval = bootstrap_interval(values, recordings, rng)
                one = Measurement(
                    f"{what}: {_DONE[kind]}",
                    float(values.mean()),
                    _UNITS[what],
                    controls,
                    interval,
                    tap=at_level(level),
                )
                found.measurements.append(one)
                curve = found.arrays.setdefault(f"{kind}/{what}", np.full(shown, np.nan))
                curve[level] = one.value
    return tuple(sounds)


def _audible(context: Context, n_clips: int) -> list[ClipSound]:
    """Clips that sound, of as many recordings as there are, those of the test side first.

    All are cut to the shortest: what is left of a recording behind its last whole clip, where it is
    less than half as long as the longest, is passed over.

    Raises:
        NothingToMeasureError: There are fewer than two.
    """
    ids = spread_over_recordings([*context.clip_ids("test"), *context.clip_ids("train")], 1 << 30)
    sounding: list[ClipSound] = []
    longest = 0
    for clip_id in ids:
        one = context.sound(clip_id)
        longest = max(longest, len(one.waveform))
        if len(one.waveform) and np.abs(one.waveform).max() > _SILENT:
            sounding.append(one)
        sounding = [kept for kept in sounding if 2 * len(kept.waveform) >= longest]
        if len(sounding) == n_clips:
            break
    if len(sounding) < 2:
        raise NothingToMeasureError("levels are exchanged between clips: two that sound are needed")
    return sounding


_UNITS = {"log-mel distance": "dB", "loudness": "dB", "centroid": "Hz", "SI-SDR": "dB"}
_HEARD = {
    "log-mel distance": "log-mel distance from all levels",
    "loudness": "mean change of loudness, either way",
    "centroid": "mean change of the centroid, either way",
    "SI-SDR": "SI-SDR to the sound of all levels; more is nearer",
}
"""What each is of, as axes say it."""


def _changes(
    reference: Float[np.ndarray, "clip time"],
    estimate: Float[np.ndarray, "clip time"],
    rate: int,
    reader: CodeReader,
) -> dict[str, Float[np.ndarray, " clip"]]:
    """Of each clip: distances, and mean absolute changes of loudness and brightness."""
    pair = torch.from_numpy(reference), torch.from_numpy(estimate)
    told = {
        "log-mel distance": log_mel_distance_db(*pair, rate).numpy(),
        "SI-SDR": si_sdr_db(*pair).numpy(),
    }
    for name in ("loudness", "centroid"):
        concept = CONCEPTS.get(name)()
        both = [
            [concept.label(Audio(wave[None], rate), reader.time).values for wave in side]
            for side in (reference, estimate)
        ]
        gaps = [np.nanmean(np.abs(a - b)) for a, b in zip(*both, strict=True)]
        told[name] = np.array(gaps)
    return {name: np.asarray(values, dtype=np.float64) for name, values in told.items()}


def _probe_picture(result: Result) -> Curve:
    levels = result.facts["levels"]
    by = {(one.name, one.tap): one for one in result.measurements}
    x = np.arange(1, levels + 1, dtype=np.float64)

    def column(part: str, of: Callable[[Measurement], float]) -> np.ndarray:
        name = f"pitch class from {part}, linear probe, frame by frame: accuracy"
        return np.array([of(by[name, at_level(level)]) for level in range(levels)])

    series = [Series(part, column(part, lambda one: one.value)) for part in _PARTS]
    series += [
        Series(
            f"{_PARTS[1]}, {DRAWN}",
            column(_PARTS[1], lambda one: one.controls[DRAWN]),
            control=True,
        ),
        Series(SHUFFLED, column(_PARTS[1], lambda one: one.controls[SHUFFLED]), control=True),
    ]
    axes = (Axis("level"), Axis("accuracy, 12 classes"))
    return Curve("Pitch class read from each level", x, tuple(series), *axes)


def _exchange_pictures(result: Result) -> list[Curve]:
    levels = result.facts["levels"]
    x = np.arange(1, levels + 1, dtype=np.float64)
    nothing = np.full(levels, np.nan)
    by = {(one.name, one.tap): one for one in result.measurements}
    curves = []
    for what, unit in _UNITS.items():
        named = f"{what}: this level exchanged"
        floor = [by[named, at_level(i)].controls["the whole quantiser"] for i in range(levels)]
        series = (
            Series("this level exchanged", result.arrays[f"exchanged/{what}"]),
            Series("levels after it left out", result.arrays.get(f"without/{what}", nothing)),
            Series("the whole quantiser", np.array(floor), control=True),
        )
        title = f"What a level carries: {what}"
        curves.append(Curve(title, x, series, Axis("level"), Axis(_HEARD[what], unit)))
    return curves
