"""Pitch classes of what sounds, octaves folded."""

from typing import ClassVar, final

import numpy as np
from jaxtyping import Float

from auscult.concepts.base import CONCEPTS, Concept, Labels
from auscult.concepts.framing import WindowParams, grid, spectra, window_length
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 2000.0
_WIDTH = 0.35  # semitones: a bell around each pitch


class ChromaParams(WindowParams):
    """Settings of the strongest pitch class."""

    window_s: float = 0.2
    """Length of the Hann window around each point: semitones must stand apart in it."""


@final
@CONCEPTS.register("chroma")
class Chroma(Concept):
    """The strongest of twelve pitch classes; its share of the energy of all is the confidence.

    Bias: a fifth above a low note may win over it when its third partial is strong.
    """

    Params: ClassVar[type[Config]] = ChromaParams
    unit: str = ""
    n_bins: int = 12
    classes: tuple[str, ...] = PITCH_CLASSES

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; silence has no value."""
        energies = chroma(audio, time, self.params.window_s)
        total = energies.sum(axis=1)
        known = total > 0
        share = energies.max(axis=1) / np.where(known, total, 1.0)
        values = np.where(known, energies.argmax(axis=1).astype(np.float64), np.nan)
        return Labels(values, np.where(known, share, 0.0), self.classes)


def chroma(audio: Audio, time: TimeBase, window_s: float) -> Float[np.ndarray, "frame 12"]:
    """Energy of each pitch class around each frame, from 55 to 2,000 Hz.

    Magnitudes weighted by bells of ±0.35 semitones around every pitch, which leaves out what lies
    between semitones, and falling as 1 / f, which favours fundamentals over their partials.
    """
    points = grid(audio, time)
    n = window_length(window_s, audio.sample_rate)
    hz = np.fft.rfftfreq(n, 1 / audio.sample_rate)
    inside = (hz >= _LOWEST_HZ) & (hz <= min(_HIGHEST_HZ, audio.sample_rate / 2))
    midi = 69 + 12 * np.log2(np.where(inside, hz, 440.0) / 440)
    bell = np.exp(-0.5 * np.square((midi - np.round(midi)) / (_WIDTH / 2)))
    weights = np.zeros((len(hz), 12))
    weights[np.arange(len(hz)), np.round(midi).astype(np.int64) % 12] = np.where(
        inside, bell / np.maximum(hz, 1.0), 0.0
    )
    parts = [
        np.square(magnitudes, dtype=np.float64) @ weights
        for magnitudes in spectra(audio.samples.mean(0), points.centres, n)
    ]
    energies = np.concatenate(parts)
    return np.asarray(energies[points.points].mean(axis=1))
