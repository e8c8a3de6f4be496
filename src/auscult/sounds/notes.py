"""Notes: every pitch class in several octaves, timbres and envelopes."""

from collections.abc import Mapping
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from auscult.core.audio import Audio
from auscult.core.rng import named_rng
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.synthetic import (
    HIGHEST,
    Labels,
    StimulusParams,
    below_nyquist,
    fade,
    hz_of,
    levelled,
    listed,
    rendered,
    times,
)

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

Timbre = Literal["sine", "dull", "bright", "odd", "formant"]
Envelope = Literal["pluck", "sustain", "swell"]

_FORMANTS_HZ = ((700.0, 150.0), (1_800.0, 250.0))


def harmonic_amplitudes(
    timbre: str, f_hz: Float[np.ndarray, " partial"]
) -> Float[np.ndarray, " partial"]:
    """Amplitudes of the harmonics of a timbre.

    ``dull`` falls as 1 / h², ``bright`` as 1 / h, ``odd`` too but without even harmonics;
    ``formant`` is ``bright`` through two fixed resonances, whatever the pitch.
    """
    number = np.arange(1, len(f_hz) + 1)
    if timbre == "sine":
        return np.asarray(number == 1, dtype=np.float64)
    if timbre == "dull":
        return np.asarray(1.0 / number**2)
    if timbre == "odd":
        return np.asarray((number % 2) / number)
    if timbre == "formant":
        resonance = sum(1 / (1 + ((f_hz - f) / width) ** 2) for f, width in _FORMANTS_HZ)
        return np.asarray((0.05 + resonance) / number)
    return np.asarray(1.0 / number)


def harmonic_tone(
    f0_hz: float, timbre: str, n_samples: int, sample_rate: int, rng: np.random.Generator
) -> Float[np.ndarray, " time"]:
    """A steady tone of unit power: at most 40 harmonics below 0.45 of the sample rate.

    Their phases are drawn. The harmonics are the powers of one turning number, summed by Horner's
    rule: a complex product a harmonic costs an eighth of a sine.
    """
    n = max(1, min(40, int(HIGHEST * sample_rate / f0_hz)))
    f_hz = f0_hz * np.arange(1, n + 1)
    amplitudes = harmonic_amplitudes(timbre, f_hz)
    amplitudes /= np.sqrt(np.sum(amplitudes**2) / 2)
    phases = rng.uniform(0, 2 * np.pi, n)
    turning = np.exp(2j * np.pi * f0_hz * times(n_samples, sample_rate))
    coefficients = amplitudes * np.exp(1j * phases)
    wave = np.full(n_samples, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        wave *= turning
        wave += coefficient
    return np.ascontiguousarray((wave * turning).imag)


def note_envelope(envelope: str, n_samples: int, sample_rate: int) -> Float[np.ndarray, " time"]:
    """Gain of a note over time, between 0 and 1, its fades included.

    ``pluck`` decays by 1 / e every fifth of the note; ``swell`` rises as a raised cosine over the
    first half; ``sustain`` stays.
    """
    share = np.arange(n_samples) / n_samples
    shape = np.ones(n_samples)
    if envelope == "pluck":
        shape = np.exp(-5 * share)
    elif envelope == "swell":
        shape = np.where(share < 0.5, 0.5 - 0.5 * np.cos(2 * np.pi * share), 1.0)
    return np.asarray(shape * fade(n_samples, sample_rate))


@SOUNDS.register("notes")
class Notes(SoundSource):
    """Notes of equal temperament (A4 = 440 Hz): 12 pitch classes × octaves × timbres × envelopes.

    All combinations come once, in a drawn order, before any comes again with other phases. Labels:
    ``pitch_midi``, ``pitch_class``, ``octave`` (C4 is MIDI 60), ``f0_hz``, ``timbre``,
    ``envelope``.
    """

    class Params(StimulusParams):
        """Which notes."""

        octaves: tuple[int, ...] = Field((2, 3, 4, 5, 6), min_length=1)
        """From 0 (the piano's lowest) to 9."""
        timbres: tuple[Timbre, ...] = Field(
            ("sine", "dull", "bright", "odd", "formant"), min_length=1
        )
        """Spectra."""
        envelopes: tuple[Envelope, ...] = Field(("pluck", "sustain", "swell"), min_length=1)
        """Courses of loudness."""

        @model_validator(mode="after")
        def _octaves_fit(self) -> "Notes.Params":
            below_nyquist((hz_of(12 * (max(self.octaves) + 1) + 11),), self.sample_rate)
            return self

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a note."""
        return rendered(self, recording, sample_rate, self._render)

    @cached_property
    def _grid(self) -> list[tuple[int, int, str, str]]:
        params = self.params
        grid = list(product(range(12), params.octaves, params.timbres, params.envelopes))
        order = named_rng(self.seed, "notes", "order").permutation(len(grid))
        return [grid[index] for index in order]

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:  # noqa: ARG002
        pitch_class, octave, timbre, envelope = self._grid[index % len(self._grid)]
        midi = 12 * (octave + 1) + pitch_class
        return {
            "pitch_midi": float(midi),
            "timbre": timbre,
            "envelope": envelope,
            "pitch_class": PITCH_CLASSES[pitch_class],
            "octave": float(octave),
            "f0_hz": hz_of(midi),
        }

    def _render(
        self, labels: Mapping[str, str | float], rng: np.random.Generator
    ) -> Float[np.ndarray, " time"]:
        n_samples, sample_rate = self.params.n_samples, self.params.sample_rate
        timbre = str(labels["timbre"])
        tone = harmonic_tone(float(labels["f0_hz"]), timbre, n_samples, sample_rate, rng)
        envelope = note_envelope(str(labels["envelope"]), n_samples, sample_rate)
        return levelled(tone * envelope, self.params.level_db)
