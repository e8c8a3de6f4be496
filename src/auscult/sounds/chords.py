"""Chords: quality × inversion × root, in close position."""

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from auscult.core.audio import Audio
from auscult.core.errors import ConfigError
from auscult.core.rng import named_rng
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.notes import PITCH_CLASSES, Envelope, Timbre, harmonic_tone, note_envelope
from auscult.sounds.synthetic import (
    Labels,
    StimulusParams,
    as_list,
    below_nyquist,
    from_list,
    hz_of,
    levelled,
    listed,
    rendered,
)

Quality = Literal["major", "minor", "diminished", "augmented", "dominant7", "major7", "minor7"]

QUALITIES: Mapping[Quality, tuple[int, ...]] = {
    "major": (0, 4, 7),
    "minor": (0, 3, 7),
    "diminished": (0, 3, 6),
    "augmented": (0, 4, 8),
    "dominant7": (0, 4, 7, 10),
    "major7": (0, 4, 7, 11),
    "minor7": (0, 3, 7, 10),
}
"""Semitones above the root."""


def chord_pitches(quality: Quality, inversion: int, root_midi: int) -> tuple[int, ...]:
    """MIDI numbers from the bass up: an inversion puts so many of the lowest notes up an octave.

    >>> chord_pitches("minor", 1, 60)
    (63, 67, 72)
    """
    pitches = [root_midi + step for step in QUALITIES[quality]]
    return tuple(pitches[inversion:] + [pitch + 12 for pitch in pitches[:inversion]])


@SOUNDS.register("chords")
class Chords(SoundSource):
    """Chords whose notes have equal power; every combination comes once before any comes again.

    Labels: ``quality``, ``root`` (a pitch class), ``inversion``, ``root_midi``, ``bass_midi``,
    ``timbre``, ``envelope`` and the list ``pitches_midi``. An augmented chord's inversions are
    other augmented chords' root positions: for them only the pitches are a truth that can be heard.
    """

    class Params(StimulusParams):
        """Which chords."""

        qualities: tuple[Quality, ...] = Field(tuple(QUALITIES), min_length=1)
        """Kinds of chords."""
        inversions: tuple[int, ...] = Field((0, 1, 2, 3), min_length=1)
        """0 is root position; those that a chord of three notes lacks are passed over for it."""
        octave: int = Field(4, ge=0, le=8)
        """Octave of the roots; C4 is MIDI 60."""
        timbre: Timbre = "bright"
        """Spectrum of each note."""
        envelope: Envelope = "sustain"
        """Course of loudness."""

        @model_validator(mode="after")
        def _fits(self) -> "Chords.Params":
            below_nyquist((hz_of(12 * (self.octave + 1) + 11 + 23),), self.sample_rate)
            if not any(0 <= i < len(QUALITIES[q]) for q in self.qualities for i in self.inversions):
                raise ConfigError(f"none of the chords has an inversion {list(self.inversions)}")
            return self

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a chord."""
        return rendered(self, recording, sample_rate, self._render)

    @cached_property
    def _grid(self) -> list[tuple[Quality, int, int]]:
        grid = [
            (quality, inversion, root)
            for quality in self.params.qualities
            for inversion in self.params.inversions
            for root in range(12)
            if 0 <= inversion < len(QUALITIES[quality])
        ]
        order = named_rng(self.seed, "chords", "order").permutation(len(grid))
        return [grid[index] for index in order]

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:  # noqa: ARG002
        quality, inversion, root = self._grid[index % len(self._grid)]
        root_midi = 12 * (self.params.octave + 1) + root
        pitches = chord_pitches(quality, inversion, root_midi)
        return {
            "root": PITCH_CLASSES[root],
            "quality": quality,
            "inversion": float(inversion),
            "root_midi": float(root_midi),
            "bass_midi": float(pitches[0]),
            "pitches_midi": as_list(pitches),
            "timbre": self.params.timbre,
            "envelope": self.params.envelope,
        }

    def _render(
        self, labels: Mapping[str, str | float], rng: np.random.Generator
    ) -> Float[np.ndarray, " time"]:
        n_samples, sample_rate = self.params.n_samples, self.params.sample_rate
        chord = np.zeros(n_samples)
        for midi in from_list(labels["pitches_midi"]):
            timbre = str(labels["timbre"])
            chord += harmonic_tone(hz_of(float(midi)), timbre, n_samples, sample_rate, rng)
        chord *= note_envelope(str(labels["envelope"]), n_samples, sample_rate)
        return levelled(chord, self.params.level_db)
