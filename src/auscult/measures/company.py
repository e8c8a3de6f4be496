"""Sounds of which every component is known, alone and in company (METHODS B-6)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.core.rng import named_rng
from auscult.sounds.chords import QUALITIES, chord_pitches
from auscult.sounds.notes import harmonic_tone
from auscult.sounds.synthetic import HIGHEST, fade, hz_of

CONTEXTS = ("silence", "pink noise", "a chord", "onsets")
"""The company that a component joins."""

TIMBRES = ("sine", "dull", "bright", "odd", "formant")
POLYPHONIES = (2, 3, 4, 5, 6)

_AMPLITUDE = 0.05 * np.sqrt(2)  # of a component of unit power: -26 dB re full scale
_N_ITEMS = 12
_LOWEST_MIDI = 60
_NOTE_TIMBRES = ("dull", "bright", "odd")


@dataclass(frozen=True)
class InCompany:
    """Components that join other sounds: partials or notes.

    Numbers are rows of :attr:`Bench.waves`.

    Attributes:
        alone: Each component by itself, ``[item draw]``.
        without: The company alone, ``[context draw]``.
        joined: Company and component, ``[item context draw]``.
        pairs: Two components and their sum, ``[pair 3]``.
        mixed: Sums of several components.
        present: Which components each of ``mixed`` has.
    """

    alone: Int[np.ndarray, "item draw"]
    without: Int[np.ndarray, "context draw"]
    joined: Int[np.ndarray, "item context draw"]
    pairs: Int[np.ndarray, "pair 3"]
    mixed: Int[np.ndarray, " mixture"]
    present: Bool[np.ndarray, "mixture item"]


@dataclass(frozen=True)
class Chords:
    """Every quality on every root, and the notes they are made of.

    Attributes:
        rows: Numbers of the chords, ``[quality root]``.
        parts: Which notes each has, in the order of ``rows.ravel()``.
        alone: Each note by itself, ``[note draw]``.
    """

    rows: Int[np.ndarray, "quality root"]
    parts: Bool[np.ndarray, "chord note"]
    alone: Int[np.ndarray, "note draw"]


@dataclass
class Bench:
    """Sounds gathered for one hearing.

    Attributes:
        sample_rate: In Hz.
        n_samples: Length of each.
        seed: Of everything that is drawn.
        sounds: What was gathered.
    """

    sample_rate: int
    n_samples: int
    seed: int
    sounds: list[Float[np.ndarray, " time"]] = field(default_factory=list)

    @property
    def waves(self) -> Float[np.ndarray, "sound time"]:
        """All sounds; the first one is silence."""
        return np.stack(self.sounds).astype(np.float32)

    def add(self, wave: Float[np.ndarray, " time"]) -> int:
        """Gather a sound; returns its row."""
        self.sounds.append(wave * fade(self.n_samples, self.sample_rate))
        return len(self.sounds) - 1

    def tone(self, hz: float, timbre: str, rng: np.random.Generator) -> np.ndarray:
        """A component at -26 dB re full scale."""
        unit = harmonic_tone(hz, timbre, self.n_samples, self.sample_rate, rng)
        return np.asarray(_AMPLITUDE * unit)

    def rng(self, *names: str | int) -> np.random.Generator:
        """Randomness of one purpose."""
        return named_rng(self.seed, "company", *names)


def partials_hz(sample_rate: int) -> Float[np.ndarray, " item"]:
    """Frequencies of the partials: a third of an octave or more apart, no two harmonic."""
    return np.geomspace(220.0, min(4000.0, 0.9 * HIGHEST * sample_rate), _N_ITEMS)


def partials(bench: Bench, n_draws: int, n_mixtures: int) -> InCompany:
    """Sines in company."""
    f_hz = partials_hz(bench.sample_rate)

    def sine(item: int, rng: np.random.Generator) -> np.ndarray:
        return bench.tone(float(f_hz[item]), "sine", rng)

    return _in_company(bench, "partial", sine, n_draws, n_mixtures)


def pitches(bench: Bench, n_draws: int, n_mixtures: int) -> InCompany:
    """Harmonic notes from C4 to B4 in company, their timbre drawn each time."""

    def note(item: int, rng: np.random.Generator) -> np.ndarray:
        return bench.tone(hz_of(_LOWEST_MIDI + item), str(rng.choice(_NOTE_TIMBRES)), rng)

    return _in_company(bench, "pitch", note, n_draws, n_mixtures)


def timbres(bench: Bench) -> Int[np.ndarray, "timbre pitch"]:
    """Every timbre at every pitch from C4 to B4."""
    rows = [
        [
            bench.add(bench.tone(hz_of(_LOWEST_MIDI + p), timbre, bench.rng("timbre", timbre, p)))
            for p in range(_N_ITEMS)
        ]
        for timbre in TIMBRES
    ]
    return np.array(rows)


def chords(bench: Bench, n_draws: int) -> Chords:
    """Every quality on every root from C4 to B4, in close position and root position."""
    rows, parts = [], []
    for quality in QUALITIES:
        found = []
        for root in range(_N_ITEMS):
            notes = chord_pitches(quality, 0, _LOWEST_MIDI + root)
            rng = bench.rng("chord", quality, root)
            found.append(
                bench.add(np.sum([bench.tone(hz_of(n), "bright", rng) for n in notes], axis=0))
            )
            parts.append(np.isin(np.arange(_LOWEST_MIDI, _LOWEST_MIDI + 24), notes))
        rows.append(found)
    used = np.flatnonzero(np.any(parts, axis=0))
    alone = [
        [
            bench.add(bench.tone(hz_of(_LOWEST_MIDI + note), "bright", bench.rng("note", note, d)))
            for d in range(n_draws)
        ]
        for note in used.tolist()
    ]
    return Chords(np.array(rows), np.array(parts)[:, used], np.array(alone))


def _in_company(
    bench: Bench,
    name: str,
    component: Callable[[int, np.random.Generator], np.ndarray],
    n_draws: int,
    n_mixtures: int,
) -> InCompany:
    without = np.zeros((len(CONTEXTS), n_draws), dtype=np.int64)
    joined = np.zeros((_N_ITEMS, len(CONTEXTS), n_draws), dtype=np.int64)
    for c, context in enumerate(CONTEXTS):
        for draw in range(n_draws):
            company = _company(bench, context, bench.rng(name, context, draw))
            without[c, draw] = bench.add(company)
            for item in range(_N_ITEMS):
                rng = bench.rng(name, context, draw, item)
                joined[item, c, draw] = bench.add(company + component(item, rng))
    pairs = []
    every = list(combinations(range(_N_ITEMS), 2))
    chosen = bench.rng(name, "pairs").choice(len(every), min(32, len(every)), replace=False)
    for number in chosen:
        rng = bench.rng(name, "pair", int(number))
        first, second = (component(item, rng) for item in every[number])
        pairs.append([bench.add(first), bench.add(second), bench.add(first + second)])
    mixed, present = [], []
    for n in POLYPHONIES:
        for draw in range(n_mixtures):
            rng = bench.rng(name, "mixture", n, draw)
            items = rng.choice(_N_ITEMS, n, replace=False)
            mixed.append(bench.add(np.sum([component(int(item), rng) for item in items], axis=0)))
            present.append(np.isin(np.arange(_N_ITEMS), items))
    return InCompany(
        joined[:, 0], without, joined, np.array(pairs), np.array(mixed), np.array(present)
    )


def _company(bench: Bench, context: str, rng: np.random.Generator) -> np.ndarray:
    """What a component joins, at about its own level."""
    n, rate = bench.n_samples, bench.sample_rate
    if context == "pink noise":
        spectrum = np.fft.rfft(rng.standard_normal(n)) / np.sqrt(
            np.maximum(np.arange(n // 2 + 1), 1)
        )
        noise = np.fft.irfft(spectrum, n)
        return np.asarray(_AMPLITUDE / np.sqrt(2) * noise / noise.std())
    if context == "a chord":
        root = _LOWEST_MIDI - 12 + int(rng.integers(12))
        notes = chord_pitches("major", 0, root)
        return np.asarray(sum(bench.tone(hz_of(note), "dull", rng) for note in notes) / 2)
    if context == "onsets":
        wave = np.zeros(n)
        for start in rng.integers(0, n, max(2, round(8 * n / rate))):
            length = min(n - start, round(0.05 * rate))
            decay = np.exp(-np.arange(length) / (0.01 * rate))
            wave[start : start + length] += 4 * _AMPLITUDE * decay * rng.standard_normal(length)
        return wave
    return np.zeros(n)
