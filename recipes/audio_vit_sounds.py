"""Labelled sounds for the miniature audio ViT: notes, chords, phrases, strokes, noises.

Everything is drawn from a random generator, so that every label is exact. Notes, chords and phrases
are played by the programs of `synth.FAMILIES`; strokes by percussive programs and the drum kit;
noises are computed here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, sosfilt
from synth import (
    FAMILIES,
    WOOD_PROGRAMS,
    Note,
    Renderer,
    Score,
    at_level,
    draw_note,
    draw_onsets,
    draw_phrase,
    held_out_programs,
    training_programs,
)

SAMPLE_RATE = 16_000
SECONDS = 2.4
DRUMS = {
    "kick": 36, "snare": 38, "clap": 39, "closed hat": 42, "tom": 45, "open hat": 46,
    "crash": 49, "ride": 51, "cowbell": 56,
}  # fmt: skip
NOISES = ("white", "pink", "band", "burst", "rise", "fall", "clicks", "siren")
CHORDS = {"major": (0, 4, 7), "minor": (0, 3, 7), "seventh": (0, 4, 7, 10), "fourths": (0, 5, 10)}
KINDS = ("note", "chord", "phrase", "stroke", "noise")
LOWEST_MIDI, HIGHEST_MIDI = 36, 95
LEVELS_DB = (-34.0, -14.0)


@dataclass(frozen=True)
class Sound:
    """A recording and what is known of it.

    Attributes:
        samples: Waveform.
        kind: One of `KINDS`.
        source: What sounds: a program of a family, a percussive program, a drum, a noise.
        family: Of a melodic program, else "".
        program: General MIDI number, or -1.
        pitch_midi: Of a single note, else -1.
    """

    samples: Float[np.ndarray, " time"]
    kind: str
    source: str
    family: str = ""
    program: int = -1
    pitch_midi: int = -1


def render(renderer: Renderer, split: str, n_notes: int, seed: int) -> list[Sound]:
    """The sounds of a split: ``train``, or ``test`` by the programs that no training sees.

    Strokes and noises of the two splits differ in all that is drawn, not in what sounds.

    Args:
        renderer: At `SAMPLE_RATE`.
        split: Which programs and which random generators.
        n_notes: Notes of each program; chords and phrases are a third and a quarter as many.
        seed: Of everything that is drawn.
    """
    programs = training_programs() if split == "train" else held_out_programs()
    branch = 700 + (split != "train")
    sounds: list[Sound] = []
    for family, members in programs.items():
        for program in members:
            rng = np.random.default_rng(np.random.SeedSequence([seed, branch, program]))
            sounds += _melodic(renderer, rng, family, program, n_notes)
    rng = np.random.default_rng(np.random.SeedSequence([seed, branch, 1000]))
    sounds += _strokes(renderer, rng, n_notes)
    return sounds + list(_noises(rng, n_notes))


def _melodic(
    renderer: Renderer, rng: np.random.Generator, family: str, program: int, n_notes: int
) -> list[Sound]:
    named = f"program {program}"
    # Every pitch once before any comes twice, so that no octave is rare by chance.
    pitches = rng.permutation(np.arange(LOWEST_MIDI, HIGHEST_MIDI + 1))
    sounds = []
    for i in range(n_notes):
        pitch = int(pitches[i % len(pitches)])
        score = draw_note(rng, family, program, SECONDS, pitch)
        sounds.append(Sound(_played(renderer, score, rng), "note", named, family, program, pitch))
    for _ in range(n_notes // 3):
        score = _chord(rng, family, program)
        sounds.append(Sound(_played(renderer, score, rng), "chord", named, family, program))
    for _ in range(n_notes // 4):
        score = draw_phrase(rng, family, program, SECONDS)
        sounds.append(Sound(_played(renderer, score, rng), "phrase", named, family, program))
    return sounds


def _chord(rng: np.random.Generator, family: str, program: int) -> Score:
    """Three or four pitches at once, held until shortly before the end."""
    intervals = CHORDS[str(rng.choice(list(CHORDS)))]
    root, onset_s = int(rng.integers(43, 77)), float(rng.uniform(0.02, 0.08))
    loudness = int(rng.integers(70, 116))
    length_s = SECONDS - onset_s - 0.15
    notes = tuple(Note(onset_s, length_s, root + step, loudness) for step in intervals)
    return Score("note", family, program, SECONDS, notes)


def _strokes(renderer: Renderer, rng: np.random.Generator, n_each: int) -> list[Sound]:
    sounds = []
    for name in WOOD_PROGRAMS:
        for _ in range(n_each):
            score = draw_onsets(rng, name, SECONDS)
            sounds.append(Sound(_played(renderer, score, rng), "stroke", name))
    for name, key in DRUMS.items():
        played = (_played(renderer, _drum(rng, key), rng) for _ in range(n_each))
        sounds += [Sound(samples, "stroke", name) for samples in played]
    return sounds


def _drum(rng: np.random.Generator, key: int) -> Score:
    """Strokes on one part of the kit at irregular times."""
    now_s, notes = float(rng.uniform(0.02, 0.2)), []
    while now_s < SECONDS - 0.2:
        notes.append(Note(now_s, 0.1, key, int(rng.integers(60, 120))))
        now_s += float(rng.uniform(0.15, 0.9))
    return Score("drums", "drums", 0, SECONDS, tuple(notes))


def _played(
    renderer: Renderer, score: Score, rng: np.random.Generator
) -> Float[np.ndarray, " time"]:
    return at_level(renderer.render(score), float(rng.uniform(*LEVELS_DB))).samples


def _noises(rng: np.random.Generator, n_each: int) -> Iterator[Sound]:
    for name in NOISES:
        for _ in range(n_each):
            samples = _noise(rng, name)
            level = 10 ** (float(rng.uniform(*LEVELS_DB)) / 20)
            rms = float(np.sqrt(np.mean(np.square(samples)))) + 1e-9
            yield Sound(np.clip(samples * level / rms, -0.9, 0.9).astype(np.float32), "noise", name)


def _noise(rng: np.random.Generator, name: str) -> Float[np.ndarray, " time"]:
    """Noise of a colour, in a band or in bursts; sweeps up or down; clicks; a wavering tone."""
    n = round(SECONDS * SAMPLE_RATE)
    time_s = np.arange(n) / SAMPLE_RATE
    white = rng.standard_normal(n)
    if name == "white":
        return white
    if name == "pink":
        spectrum = np.fft.rfft(white)
        return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n)
    if name in ("band", "burst"):
        low_hz = float(np.exp(rng.uniform(np.log(100), np.log(4000))))
        edges = [low_hz, min(low_hz * float(rng.uniform(1.2, 2.0)), 7900.0)]
        band = sosfilt(butter(4, edges, "bandpass", fs=SAMPLE_RATE, output="sos"), white)
        rate_hz = float(rng.uniform(1.5, 8.0))
        return band * (np.sin(2 * np.pi * rate_hz * time_s) > 0) if name == "burst" else band
    if name == "clicks":
        return (rng.random(n) < rng.uniform(2, 40) / SAMPLE_RATE).astype(float)
    base_hz = float(np.exp(rng.uniform(np.log(150), np.log(1500))))
    octaves = float(rng.uniform(1.0, 2.4)) * time_s / SECONDS
    if name == "siren":
        rate_hz = float(rng.uniform(0.7, 4.0))
        octaves = 0.5 * np.sin(2 * np.pi * rate_hz * time_s)
    octaves = octaves.max() - octaves if name == "fall" else octaves
    return np.sin(2 * np.pi * np.cumsum(base_hz * 2.0**octaves) / SAMPLE_RATE)


def families() -> tuple[str, ...]:
    """The eight families, in order."""
    return tuple(FAMILIES)


def vocabulary() -> tuple[str, ...]:
    """What a tagger of these sounds may say: families, kinds and what sounds; never a pitch."""
    programs = [f"program {p}" for members in training_programs().values() for p in members]
    return (*FAMILIES, *KINDS, *programs, *WOOD_PROGRAMS, *DRUMS, *NOISES)


def tags(sound: Sound) -> set[str]:
    """The words of the vocabulary that are true of a sound."""
    return {sound.family, sound.kind, sound.source} & set(vocabulary())
