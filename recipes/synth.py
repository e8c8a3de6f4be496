"""Scores and their rendering: random but musical phrases with exact labels.

A score is drawn from a random generator, its onsets are put on the sample grid, and it is rendered
with a General MIDI font through tinysoundfont. The renderer is asked for exactly the samples
between one event and the next, so an onset of the score is the sample at which the voice starts.
Rendering runs at twice the sample rate and is brought down by soxr, because the synthesiser
interpolates its samples linearly and would alias at the rate itself.

Needs the extra `synth` and FluidR3 (MIT licence; Debian package `fluid-soundfont-gm`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import soxr
import tinysoundfont
from jaxtyping import Float

Kind = Literal["phrase", "note", "onsets", "drums"]
Split = Literal["train", "phrases", "programs"]

FONT_PATHS = (
    "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "/usr/share/soundfonts/FluidR3_GM.sf2",
)
OVERSAMPLING = 2
MELODIC_CHANNEL = 0
DRUM_CHANNEL = 9
DRUM_BANK = 128

FAMILIES: dict[str, tuple[int, ...]] = {
    "piano": tuple(range(8)),
    "mallets": tuple(range(8, 16)),
    "organ": tuple(range(16, 24)),
    "guitar": tuple(range(24, 32)),
    "strings": (40, 41, 42, 43, 44, 48, 49, 50),
    "brass": tuple(range(56, 64)),
    "reed": tuple(range(64, 72)),
    "pipe": tuple(range(72, 80)),
}
"""Eight families of eight melodic programs (General MIDI numbers from 0).

"strings" takes the bowed solo and ensemble strings; pizzicato, harp and timpani are left out.
"""

HELD_OUT_PLACES = (2, 5)
"""The third and the sixth program of each family are held out: fixed before any training."""

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
}
WOOD_PROGRAMS = {"woodblock": 115, "taiko": 116, "melodic tom": 117, "steel drum": 114}
KICK, SNARE, CLOSED_HAT, OPEN_HAT, TOM = 36, 38, 42, 46, 45


def held_out_programs() -> dict[str, tuple[int, ...]]:
    """Programs of each family that no training sees."""
    return {f: tuple(p[i] for i in HELD_OUT_PLACES) for f, p in FAMILIES.items()}


def training_programs() -> dict[str, tuple[int, ...]]:
    """Programs of each family that training may see."""
    held = held_out_programs()
    return {f: tuple(p for p in ps if p not in held[f]) for f, ps in FAMILIES.items()}


@dataclass(frozen=True)
class Note:
    """One note of a score."""

    onset_s: float
    duration_s: float
    pitch_midi: int
    velocity: int


@dataclass(frozen=True)
class Score:
    """What one recording plays; every label of the recording is read from here."""

    kind: Kind
    family: str
    program: int
    seconds: float
    notes: tuple[Note, ...]

    @property
    def is_drums(self) -> bool:
        """Whether the notes address the drum kit instead of a melodic program."""
        return self.kind == "drums"


@dataclass(frozen=True)
class Recording:
    """A score and its sound."""

    score: Score
    samples: Float[np.ndarray, " time"]
    sample_rate: int


# ---------------------------------------------------------------------------------------- scores


def draw_phrase(rng: np.random.Generator, family: str, program: int, seconds: float) -> Score:
    """A melody, a broken chord or a run of chords in a random key, mode, register and tempo."""
    scale = SCALES[str(rng.choice(list(SCALES)))]
    tonic, low = int(rng.integers(12)), int(rng.integers(45, 67))
    pitches = [p for p in range(low, low + 20) if (p - tonic) % 12 in scale]
    beat_s = 60.0 / float(rng.uniform(70, 160))
    style = str(rng.choice(["melody", "melody", "arpeggio", "chords"]))
    notes: list[Note] = []
    now_s, place = float(rng.uniform(0.0, 0.1)), int(rng.integers(len(pitches)))
    while now_s < seconds - 0.1:
        beats, places = _draw_step(rng, style, place, len(pitches))
        duration_s = beats * beat_s * float(rng.uniform(0.6, 1.0))
        if rng.random() > 0.08:
            loudness = int(rng.integers(60, 116))
            notes += [Note(now_s, duration_s, pitches[i], loudness) for i in sorted(set(places))]
        now_s += beats * beat_s
        place = places[0]
    return Score("phrase", family, program, seconds, tuple(notes))


def _draw_step(
    rng: np.random.Generator, style: str, place: int, n_pitches: int
) -> tuple[float, list[int]]:
    """Length in beats of the next step and the scale places that sound in it."""
    if style == "melody":
        beats = float(rng.choice([0.25, 0.5, 0.5, 1.0, 1.0, 1.5]))
        places = [place + int(rng.integers(-3, 4))]
    elif style == "arpeggio":
        beats = float(rng.choice([0.25, 0.5]))
        places = [place + int(rng.choice([-4, -2, 2, 4, 7, -7]))]
    else:
        beats = float(rng.choice([1.0, 2.0]))
        root = place + int(rng.integers(-2, 3))
        places = [root + third for third in (0, 2, 4, 6)[: int(rng.integers(3, 5))]]
    last = n_pitches - 1
    folded = [abs(p) if p < 0 else p for p in places]
    return beats, [max(0, last - (p - last)) if p > last else p for p in folded]


def draw_note(
    rng: np.random.Generator, family: str, program: int, seconds: float, pitch_midi: int
) -> Score:
    """One note held until shortly before the end."""
    onset_s = float(rng.uniform(0.02, 0.08))
    note = Note(onset_s, seconds - onset_s - 0.15, pitch_midi, int(rng.integers(70, 116)))
    return Score("note", family, program, seconds, (note,))


def draw_onsets(rng: np.random.Generator, name: str, seconds: float) -> Score:
    """Single strokes of one percussive program at irregular times."""
    notes: list[Note] = []
    now_s = float(rng.uniform(0.05, 0.2))
    while now_s < seconds - 0.15:
        notes.append(Note(now_s, 0.1, int(rng.integers(55, 73)), int(rng.integers(60, 120))))
        now_s += float(rng.choice([0.125, 0.25, 0.25, 0.375, 0.5]) * rng.uniform(0.9, 1.1))
    return Score("onsets", name, WOOD_PROGRAMS[name], seconds, tuple(notes))


def draw_drums(rng: np.random.Generator, seconds: float) -> Score:
    """A bar of kick, snare and hi-hat in sixteenths, repeated with small changes."""
    step_s = 60.0 / float(rng.uniform(85, 130)) / 4.0
    kick = {0, *rng.choice([2, 3, 6, 7, 8, 10, 11, 14], size=3, replace=False).tolist()}
    notes: list[Note] = []
    for step in range(int((seconds - 0.15) / step_s)):
        struck = [KICK] if step % 16 in kick else []
        struck += [SNARE] if step % 16 in (4, 12) else []
        struck += [OPEN_HAT if rng.random() < 0.1 else CLOSED_HAT] if step % 2 == 0 else []
        struck += [TOM] if rng.random() < 0.06 else []
        onset_s = 0.05 + step * step_s
        notes += [Note(onset_s, 0.1, p, int(rng.integers(70, 118))) for p in struck]
    return Score("drums", "drums", 0, seconds, tuple(notes))


# ------------------------------------------------------------------------------------- rendering


def find_font(path: Path | None = None) -> Path:
    """The General MIDI font: `path`, else $AUSCULT_SOUNDFONT, else where packages put FluidR3."""
    named = path or os.environ.get("AUSCULT_SOUNDFONT")
    candidates = [Path(named)] if named else [Path(p) for p in FONT_PATHS]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"No General MIDI font at {', '.join(map(str, candidates))}. Install FluidR3 (Debian: "
        "fluid-soundfont-gm) or set AUSCULT_SOUNDFONT."
    )


class Renderer:
    """Renders scores at one sample rate with one font.

    Args:
        sample_rate: Rate of the recordings, in hertz.
        font: The General MIDI font; found by `find_font` if None.
    """

    def __init__(self, sample_rate: int, font: Path | None = None) -> None:
        self.sample_rate = sample_rate
        self._synth = tinysoundfont.Synth(samplerate=sample_rate * OVERSAMPLING)
        self._font_id = self._synth.sfload(str(find_font(font)))

    def render(self, score: Score) -> Recording:
        """Render a score to mono. Onsets fall on the sample grid of `sample_rate`."""
        channel = DRUM_CHANNEL if score.is_drums else MELODIC_CHANNEL
        bank = DRUM_BANK if score.is_drums else 0
        self._synth.sounds_off()
        self._generate(self.sample_rate * OVERSAMPLING // 10)
        self._synth.program_select(channel, self._font_id, bank, score.program, score.is_drums)
        on_grid = self._on_grid(score)
        n_samples = round(score.seconds * self.sample_rate)
        pieces, now = [], 0
        for sample, is_onset, note in self._events(on_grid):
            at = min(sample, n_samples)
            pieces.append(self._generate((at - now) * OVERSAMPLING))
            now = at
            if is_onset and sample < n_samples:
                self._synth.noteon(channel, note.pitch_midi, note.velocity)
            elif not is_onset:
                self._synth.noteoff(channel, note.pitch_midi)
        pieces.append(self._generate((n_samples - now) * OVERSAMPLING))
        fine = np.concatenate(pieces)
        samples = soxr.resample(fine, OVERSAMPLING, 1, quality="VHQ")[:n_samples]
        return Recording(on_grid, _fade_out(samples, self.sample_rate), self.sample_rate)

    def _generate(self, n_samples: int) -> Float[np.ndarray, " time"]:
        if n_samples <= 0:
            return np.zeros(0, np.float32)
        stereo = np.frombuffer(bytes(self._synth.generate(n_samples)), np.float32)
        return stereo.reshape(-1, 2).mean(axis=1, dtype=np.float32)

    def _on_grid(self, score: Score) -> Score:
        rate = self.sample_rate
        notes = [
            replace(n, onset_s=round(n.onset_s * rate) / rate, duration_s=n.duration_s)
            for n in score.notes
        ]
        return replace(score, notes=tuple(notes))

    def _events(self, score: Score) -> list[tuple[int, bool, Note]]:
        """All starts and ends in order of time; ends come first where both fall together."""
        rate = self.sample_rate
        events = [(round(n.onset_s * rate), True, n) for n in score.notes]
        events += [(round((n.onset_s + n.duration_s) * rate), False, n) for n in score.notes]
        return sorted(events, key=lambda event: (event[0], event[1], event[2].pitch_midi))


def _fade_out(samples: Float[np.ndarray, " time"], rate: int) -> Float[np.ndarray, " time"]:
    """Ten milliseconds of fade, so that a note cut by the end of the clip does not click."""
    n_fade = min(len(samples), rate // 100)
    faded = samples.astype(np.float32, copy=True)
    faded[len(faded) - n_fade :] *= np.linspace(1.0, 0.0, n_fade, dtype=np.float32)
    return faded


def at_level(recording: Recording, level_db: float, peak: float = 0.9) -> Recording:
    """Scale to `level_db` RMS re full scale, or to `peak` where that would pass it."""
    rms = float(np.sqrt(np.mean(np.square(recording.samples, dtype=np.float64))))
    highest = float(np.abs(recording.samples).max(initial=0.0))
    if rms == 0.0:
        return recording
    gain = min(10 ** (level_db / 20) / rms, peak / highest)
    return replace(recording, samples=recording.samples * np.float32(gain))


# ---------------------------------------------------------------------------------------- corpus


def corpus_scores(
    split: Split, *, n_per_program: int, seconds: float, seed: int
) -> Iterator[tuple[Score, np.random.Generator]]:
    """Phrases of a split, each with the random generator it was drawn from.

    "train" and "phrases" play the training programs (other phrases, by other seeds); "programs"
    plays those held out. A phrase depends on (seed, split, program, index) only.
    """
    programs = held_out_programs() if split == "programs" else training_programs()
    branch = ("train", "phrases", "programs").index(split)
    for family, members in programs.items():
        for program in members:
            for index in range(n_per_program):
                rng = np.random.default_rng(np.random.SeedSequence([seed, branch, program, index]))
                yield draw_phrase(rng, family, program, seconds), rng


def render_corpus(
    renderer: Renderer, split: Split, *, n_per_program: int, seconds: float, seed: int
) -> list[Recording]:
    """Render a split at random levels between -28 and -14 dB."""
    scores = corpus_scores(split, n_per_program=n_per_program, seconds=seconds, seed=seed)
    return [at_level(renderer.render(s), float(rng.uniform(-28.0, -14.0))) for s, rng in scores]
