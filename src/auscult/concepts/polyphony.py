"""How many notes sound at once."""

from typing import ClassVar, final

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from auscult.concepts.base import CONCEPTS, Concept, Labels
from auscult.concepts.framing import SILENT, WindowParams, grid, spectra, window_length
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

MOST_NOTES = 6
_LOWEST_HZ, _HIGHEST_HZ = 65.0, 1100.0
_STEP_CENTS = 20.0
_N_PARTIALS = 10
_LOBE = 3  # bins to each side that a partial takes with it: a Hann window's main lobe and a half
_COMPRESSED = 0.33  # exponent of magnitudes: partials of quiet notes still count
_TAKEN = 2.0  # of a partial's weight: the part of it that leaves with its note, at most all
_BATCH = 256


class PolyphonyParams(WindowParams):
    """Settings of the number of notes."""

    window_s: float = Field(0.2, gt=0)
    """Length of the Hann window around each point: semitones must stand apart in it."""
    growth: float = Field(0.6, gt=0, lt=1)
    """Notes are added while the sum of their saliences over their number to this power grows."""


@final
@CONCEPTS.register("polyphony")
class Polyphony(Concept):
    """Number of simultaneous notes, from 1 to 6; silence has no value.

    The note with the greatest weighted sum of partials is taken out of the spectrum, then the next;
    of six, as many are counted as make the sum of their saliences over P ** 0.6 greatest. Weights,
    cancellation and rule are after Klapuri (ISMIR 2006), with plain compression in place of his
    whitening and an exponent set on synthetic notes. Confidence is the share of
    energy that lies near partials of the notes.

    Bias: a note an octave or a twelfth above another hides among its partials, so chords of many
    notes are counted low; what has no pitch is counted as many notes all the same, with little
    confidence.
    """

    Params: ClassVar[type[Config]] = PolyphonyParams
    unit: str = "notes"
    n_bins: int = MOST_NOTES
    edges: tuple[float, ...] = tuple(n + 0.5 for n in range(MOST_NOTES + 1))

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; silence has no value."""
        points = grid(audio, time)
        n = window_length(self.params.window_s, audio.sample_rate)
        counts, shares = [], []
        for magnitudes in spectra(audio.samples.mean(0), points.centres, n):
            for start in range(0, len(magnitudes), _BATCH):
                some = magnitudes[start : start + _BATCH].astype(np.float64)
                found, share = count(some, audio.sample_rate / n, self.params.growth)
                counts.append(found)
                shares.append(share)
        values = np.rint(points.per_frame(np.concatenate(counts)))
        confidence = points.per_frame(np.concatenate(shares))
        return Labels(values, np.where(np.isfinite(values), confidence, 0.0))


def count(
    magnitudes: Float[np.ndarray, "frame bin"], bin_hz: float, growth: float
) -> tuple[Float[np.ndarray, " frame"], Float[np.ndarray, " frame"]]:
    """Number of notes in each spectrum, and their partials' share of its energy; NaN in silence."""
    left = magnitudes**_COMPRESSED
    energy = np.square(magnitudes)
    total = energy.sum(axis=1)
    free = np.ones(left.shape, dtype=bool)
    heard = magnitudes.sum(axis=1) > SILENT * 2 * (magnitudes.shape[1] - 1)
    places, weights = _partials(magnitudes.shape[1], bin_hz)
    rows = np.arange(len(left))
    saliences, after = np.zeros((2, len(left), MOST_NOTES))
    for i in range(MOST_NOTES):
        near = np.maximum(left, np.maximum(np.roll(left, 1, axis=1), np.roll(left, -1, axis=1)))
        sums = np.einsum("fch,ch->fc", near[:, places], weights)
        best = sums.argmax(axis=1)
        saliences[:, i] = sums[rows, best]
        kept = np.maximum(1 - _TAKEN * weights[best], 0.0)
        for shift in range(-_LOBE, _LOBE + 1):
            at = np.clip(places[best] + shift, 0, left.shape[1] - 1)
            left[rows[:, None], at] *= kept
            free[rows[:, None], at] &= weights[best] == 0
        after[:, i] = np.where(free, energy, 0.0).sum(axis=1)
    scores = saliences.cumsum(axis=1) / np.arange(1, MOST_NOTES + 1) ** growth
    number = scores.argmax(axis=1)
    share = 1 - after[rows, number] / np.where(total > 0, total, 1.0)
    return np.where(heard, number + 1.0, np.nan), np.where(heard, share, np.nan)


def _partials(
    n_bins: int, bin_hz: float
) -> tuple[Int[np.ndarray, "pitch partial"], Float[np.ndarray, "pitch partial"]]:
    """Bins of every candidate's partials, and their weights; none beyond the spectrum."""
    octaves = np.log2(_HIGHEST_HZ / _LOWEST_HZ)
    f0 = _LOWEST_HZ * 2 ** (np.arange(0, 1200 * octaves, _STEP_CENTS) / 1200)
    hz = f0[:, None] * np.arange(1, _N_PARTIALS + 1)
    places = np.rint(hz / bin_hz).astype(np.int64)
    inside = places < n_bins
    weights = (f0[:, None] + 27.0) / (hz + 320.0)
    return np.where(inside, places, 0), np.where(inside, weights, 0.0)
