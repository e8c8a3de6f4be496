"""What do a quantiser's codes tell of the sound?"""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field

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
    DRAWN,
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    in_turn,
    missing_blocks,
    page,
    untested,
    verdict_of,
)
from auscult.analyses.parts.codecs.code_reading import CodeParams, at_level, code_readers
from auscult.analyses.parts.reading import spread_over_recordings
from auscult.blocks import Axis, Block, ClipGrid, Curve, Heatmap, Series
from auscult.concepts.base import CONCEPTS, bin_edges
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import ConfigError, NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.code_hearing import (
    CodeReader,
    Notes,
    frame_spectra_db,
    steady_codes,
    steady_notes,
)
from auscult.measures.codes import (
    CodeSpectra,
    code_spectra,
    code_usage,
    information,
    shuffled_by_recording,
)

_SHUFFLED, _NOISE = "labels of another recording", "white noise"
_OTHERS = "codes of another recording"
_CONCEPTS = ("loudness", "centroid")
_CODE_S = 0.5
_N_SHUFFLES = 5


class CodesParams(CodeParams):
    """Settings of the reading of codes."""

    n_clips: int = Field(48, ge=2)
    """Recorded clips that are read."""
    n_shown: int = Field(8, ge=1)
    """Codes of the first level whose sound can be heard."""


@ANALYSES.register("codes")
class Codes(Analysis):
    """Usage, spectra and information of every level's codes.

    Codes of recorded clips and of notes made for it, under trained and random weights.
    """

    Params: ClassVar[type[Config]] = CodesParams
    title: ClassVar[str] = "Codes"
    question: ClassVar[str] = "What do a quantiser's codes tell of the sound?"
    source: ClassVar[str] = "METHODS B-9 (Cosme-Clifford, Post 0, the discretised latent space)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: CodesParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Nothing to record: both weights hear the clips anew."""
        return ()

    def run(self, context: Context, params: CodesParams) -> Result:
        """Read every level under both weights."""
        found = Gathered()
        try:
            readers = code_readers(context)
            read = {name: _Read(context, params, one) for name, one in readers.items()}
        except NOTHING_TO_MEASURE as error:
            sentence = "What the codes stand for cannot be told."
            nulls = (DRAWN, _SHUFFLED)
            found.add(untested(sentence, str(error), "", "information", context.taps[0], nulls))
            return found.result({"levels": 0})
        found.missing += [
            (at_level(0), f"information on {name}", why) for name, why in read[OWN].unread.items()
        ]
        levels = min(params.n_levels, read[OWN].n_levels)
        for level in in_turn(context, range(levels)):
            _usage(read, level, found)
            _information(read, level, context.seed, found)
        sounds: tuple[MadeSound, ...] = ()
        try:
            told = _spectra(read, context.seed, found)
        except NOTHING_TO_MEASURE as error:
            found.missing.append((at_level(0), "spectra of codes", str(error)))
        else:
            sounds = _sounds_of_codes(readers[OWN], told, params.n_shown, read[OWN].centres_hz)
            found.blocks.append(
                ClipGrid(
                    "What single codes sound like",
                    tuple(one.clip() for one in sounds),
                    "One entry of the first level held for half a second and decoded by itself.",
                )
            )
        facts = {"levels": levels, "missing": found.missing}
        return replace(found.result(facts), sounds=sounds)

    def view(self, result: Result) -> list[Block]:
        """Findings, usage, spectra, information by level, sounds of codes."""
        if not result.facts["levels"]:
            return page(result, _READING, [])
        pictures: list[Block] = [_usage_picture(result)]
        if "spectra/means" in result.arrays:
            pictures.append(_spectra_picture(result))
        pictures.append(_information_picture(result))
        return page(result, _READING, [*pictures, *missing_blocks(result), *result.blocks])


_READING = (
    "Each frame of a codec is a list of codes, one a level; each level quantises what the levels "
    "before left over. Information is the adjusted mutual information of a level's codes with a "
    "label: 0 is chance, 1 says the same. Its control gives every recording the labels of another, "
    "since neighbouring frames are no independent witnesses. Pitch class, octave and timbre are "
    "those of notes made for it; loudness and centroid are binned over the recordings.\n\n"
    "Frames of one code have a mean spectrum. How much of all spectra these means explain, and how "
    "flat they are, says whether a code stands for a tone or for a texture; codes of another "
    "recording, put to the same frames, say what chance gives."
)


class _Read:
    """Codes of clips and notes under one set of weights."""

    def __init__(self, context: Context, params: CodesParams, reader: CodeReader) -> None:
        self.reader, rate = reader, context.model().sample_rate
        ids = [*context.clip_ids("test"), *context.clip_ids("train")]
        clips = spread_over_recordings(ids, params.n_clips)
        codes, spectra, recordings = [], [], []
        values: dict[str, list[np.ndarray]] = {name: [] for name in _CONCEPTS}
        for clip_id in clips:
            sound = context.sound(clip_id)
            heard = reader.codes(reader.latents(sound.waveform[None]))[0].numpy()
            bands, self.centres_hz = frame_spectra_db(sound.waveform, reader.time, heard.shape[1])
            codes.append(heard)
            spectra.append(bands)
            recordings += [sound.recording_id] * heard.shape[1]
            audio = Audio(sound.waveform[None].astype(np.float32), rate)
            for name in _CONCEPTS:
                labels = CONCEPTS.get(name)().label(audio, reader.time).values
                values[name].append(_of_frames(labels, heard.shape[1]))
        self.codes = np.concatenate(codes, axis=1)
        self.spectra = np.concatenate(spectra)
        self.recordings = np.array(recordings)
        self.n_levels = len(self.codes)
        self.labels: dict[str, np.ndarray] = {}
        self.unread: dict[str, str] = {}
        for name, told in values.items():
            try:
                self.labels[name] = _binned(np.concatenate(told))
            except ConfigError as error:
                self.unread[name] = str(error)
        n_samples = context.model().probe_samples or round(params.note_seconds * rate)
        self.notes = steady_notes(rate, n_samples, context.seed)
        self.of_notes = steady_codes(reader, self.notes.waves)
        noise = named_rng(context.seed, "codes", "noise").standard_normal((4, n_samples))
        heard_noise = reader.codes(reader.latents(0.1 * noise))
        self.noise = heard_noise.transpose(0, 1).flatten(1).numpy()

    def note_labels(self) -> dict[str, np.ndarray]:
        """Pitch class, octave and timbre of every steady frame, in order."""
        n_frames = self.of_notes.shape[-1]
        told: Notes = self.notes
        named = {"pitch class": told.pitch_class, "octave": told.octave, "timbre": told.timbre}
        return {name: np.repeat(values, n_frames) for name, values in named.items()}


def _of_frames(labels: Float[np.ndarray, " hop"], n_frames: int) -> Float[np.ndarray, " frame"]:
    """Labels of a codec's frames; those it adds behind the clip's last hop have none."""
    told = np.full(n_frames, np.nan)
    told[: len(labels)] = labels[:n_frames]
    return told


def _binned(values: np.ndarray) -> np.ndarray:
    """Ten bins of a concept; -1 where it has no value."""
    known = np.isfinite(values)
    bins = np.full(len(values), -1)
    bins[known] = np.digitize(values[known], bin_edges(values, 10)[1:-1])
    return bins


def _usage(read: dict[str, _Read], level: int, found: Gathered) -> None:
    told = {}
    for name, one in read.items():
        n_codes = one.reader.n_codes(level, one.codes[level])
        told[name] = code_usage(one.codes[level], n_codes)
        if name == OWN:
            told[_NOISE] = code_usage(one.noise[level], n_codes)
            found.arrays[f"usage/{level}"] = told[OWN].shares[:256]
            found.arrays[f"usage/{level}/{_NOISE}"] = told[_NOISE].shares[:256]
    for label, of in (
        ("entropy of the codes", "entropy_bits"),
        ("perplexity over number of entries", "perplexity_share"),
        ("share of entries never used", "dead_share"),
        ("slope of log share over log rank", "zipf_slope"),
    ):
        numbers = {name: float(getattr(one, of)) for name, one in told.items()}
        unit = "bit" if "entropy" in label else ""
        value = numbers.pop(OWN)
        found.measurements.append(Measurement(label, value, unit, numbers, tap=at_level(level)))


def _spectra(read: dict[str, _Read], seed: int, found: Gathered) -> CodeSpectra:
    """Mean spectra of the first level's codes: what they explain, and how flat they are (B-9.2).

    Raises:
        NothingToMeasureError: Fewer than two codes have enough frames.
    """
    own, drawn = read[OWN], read[DRAWN]
    told = code_spectra(own.codes[0], own.spectra)
    rng = named_rng(seed, "codes", "spectra")
    others: dict[str, CodeSpectra | None] = {}
    for name, codes in ((_OTHERS, None), (DRAWN, drawn.codes[0])):
        try:
            if codes is None:
                codes = shuffled_by_recording(own.codes[0], own.recordings, rng)
            others[name] = code_spectra(codes, own.spectra)
        except NothingToMeasureError:
            others[name] = None
    for words, of in (
        ("share of the spectra's variance between codes", lambda one: one.explained),
        ("median flatness of the codes' mean spectra", lambda one: float(np.median(one.flatness))),
    ):
        nulls = {k: of(one) if one else float("nan") for k, one in others.items()}
        found.measurements.append(Measurement(words, of(told), "", nulls, tap=at_level(0)))
    found.arrays |= {
        "spectra/means": told.means[:64],
        "spectra/codes": told.codes[:64],
        "centres_hz": own.centres_hz,
    }
    return told


def _information(read: dict[str, _Read], level: int, seed: int, found: Gathered) -> None:
    """What a level's codes tell of notes and of recorded sound."""
    own, drawn = read[OWN], read[DRAWN]
    sides: list[tuple[str, Any, Any, Any, Any]] = []
    n_frames = own.of_notes.shape[-1]
    note_ids = np.repeat(np.arange(len(own.notes.waves)), n_frames)
    flat = {name: one.of_notes[:, level].ravel() for name, one in read.items()}
    for label, values in own.note_labels().items():
        sides.append((label, flat[OWN], flat[DRAWN], values, note_ids))
    for label in own.labels:
        known = (own.labels[label] >= 0) & (drawn.labels[label] >= 0)
        sides.append(
            (
                label,
                own.codes[level][known],
                drawn.codes[level][known],
                own.labels[label][known],
                own.recordings[known],
            )
        )
    for label, codes, random_codes, values, recordings in sides:
        rng = named_rng(seed, "codes", "shuffled", level, label)
        null = float("nan")
        if len(np.unique(recordings)) > 1:
            shuffles = [shuffled_by_recording(values, recordings, rng) for _ in range(_N_SHUFFLES)]
            null = float(np.mean([information(codes, one) for one in shuffles]))
        controls = {_SHUFFLED: null, DRAWN: information(random_codes, values)}
        one = Measurement(
            f"information on {label}", information(codes, values), "", controls, tap=at_level(level)
        )
        if level:
            found.measurements.append(one)
            continue
        verdict = verdict_of(one.value, list(controls.values()), "more", 0.02)
        sentence = f"The first level's codes tell {label}: {one.value:.2f} of 1."
        rule = (
            "Adjusted mutual information; it holds when it exceeds labels of another recording "
            "and random weights by 0.02."
        )
        if verdict == "cannot be tested here":
            sentence = f"Whether the first level's codes tell {label} cannot be told."
            rule = "It takes two recordings, and labels that differ."
        found.add(Judgement(sentence, one, verdict, rule))


def _sounds_of_codes(
    reader: CodeReader, told: CodeSpectra, n_shown: int, centres_hz: np.ndarray
) -> tuple[MadeSound, ...]:
    """Single entries of the first level, held and decoded."""
    n_frames = max(8, round(_CODE_S * float(reader.time.frame_rate)))
    sounds = []
    for code, mean, count in list(zip(told.codes, told.means, told.counts, strict=True))[:n_shown]:
        held = torch.full((1, 1, n_frames), int(code))
        wave = reader.decode(reader.sums(held, 1))[0]
        peak = f"{count} frames, strongest near {centres_hz[int(mean.argmax())]:.0f} Hz"
        sounds.append(MadeSound(wave, reader.model.sample_rate, f"code {code}: {peak}"))
    return tuple(sounds)


def _usage_picture(result: Result) -> Curve:
    levels = result.facts["levels"]
    own = [result.arrays[f"usage/{level}"] for level in range(levels)]
    noise = result.arrays[f"usage/0/{_NOISE}"]
    longest = max(map(len, [*own, noise]))

    def padded(shares: np.ndarray) -> np.ndarray:
        shown = np.full(longest, np.nan)
        shown[: len(shares)] = np.where(shares > 0, shares, np.nan)
        return shown

    series = [Series(at_level(level), padded(shares)) for level, shares in enumerate(own)]
    series.append(Series(f"level 1, {_NOISE}", padded(noise), control=True))
    ranks = np.arange(1, longest + 1, dtype=np.float64)
    axes = (Axis("rank of the code", "", "log"), Axis("share of frames", "", "log"))
    return Curve("How evenly the entries of each level are used", ranks, tuple(series), *axes)


def _spectra_picture(result: Result) -> Heatmap:
    means = result.arrays["spectra/means"]
    order = np.argsort(means.argmax(1), kind="stable")
    return Heatmap(
        "What frames of each code of the first level sound like",
        means[order],
        result.arrays["centres_hz"],
        np.arange(len(means)),
        Axis("frequency", "Hz", "log"),
        Axis("code, by strongest band"),
        Axis("mean level", "dB re full scale"),
        note="The 64 commonest codes. A code that stood for one pitch would be one bright cell.",
    )


def _information_picture(result: Result) -> Curve:
    levels = result.facts["levels"]
    by = {(one.name, one.tap): one for one in result.measurements}
    labels = sorted({name for name, _ in by if name.startswith("information on")})
    series = []
    for label in labels:
        rows = [by[label, at_level(level)] for level in range(levels)]
        name = label.removeprefix("information on ")
        series.append(Series(name, np.array([one.value for one in rows])))
        null = np.array([one.controls[_SHUFFLED] for one in rows])
        series.append(Series(f"{name}, {_SHUFFLED}", null, control=True))
    x = np.arange(1, levels + 1, dtype=np.float64)
    axes = (Axis("level"), Axis("adjusted mutual information"))
    return Curve("What the codes of each level tell", x, tuple(series), *axes)
