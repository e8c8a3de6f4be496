"""What cards show of any direction: fragments to see and to hear, and their spectrum."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from auscult.analyses.base import Context
from auscult.analyses.reading import Sample
from auscult.blocks import Axis, Clip, ClipGrid, Curve, Series, SmallMultiples
from auscult.core.timebase import TimeBase
from auscult.measures.fragment_spectra import mean_spectrum, ratio_spectrum, smoothed
from auscult.measures.windows import Waveform, cut

Rows = Int[np.ndarray, " k"]


@dataclass(frozen=True)
class Places:
    """Where vectors lie in sounds.

    Attributes:
        own: The vectors, with clip and frame.
        time: Time base of their tap.
        sound: Gives a clip's waveform.
        lag: Frames between the two ends of a generator; 0 for response vectors.
    """

    own: Sample
    time: TimeBase
    sound: Waveform
    lag: int = 0

    def windows(self, rows: Rows, context: int = 0, length: int | None = None) -> np.ndarray:
        """Waveforms around some vectors ``[n time]``, zeros where a clip has ended."""
        own = self.own
        return cut(
            self.sound, self.time, own.clip_ids[rows], own.frames[rows], self.lag, context, length
        ).samples


@dataclass(frozen=True)
class Corpus:
    """Mean power spectrum of randomly placed windows."""

    frequencies_hz: Float[np.ndarray, " f"]
    power: Float[np.ndarray, " f"]
    n_samples: int

    @classmethod
    def around(cls, places: Places, rows: Rows, n_samples: int) -> "Corpus":
        """From windows around some vectors."""
        windows = places.windows(rows, length=n_samples)
        return cls(*mean_spectrum(windows, places.time.sample_rate), n_samples)


def fragment_shapes(places: Places, strongest: Rows, random: Rows) -> SmallMultiples:
    """The waveforms that vectors heard, with as much again around them, scaled to one height."""
    around = max(4, min(int(places.time.span), 2048) // 2)
    curves = []
    for label, rows in (("strongest", strongest), ("random (control)", random)):
        windows = places.windows(rows, context=around)
        scaled = windows / np.maximum(np.abs(windows).max(1, initial=0.0, keepdims=True), 1e-9)
        step = max(1, scaled.shape[1] // 256)
        times_ms = 1000 * np.arange(scaled.shape[1])[::step] / places.time.sample_rate
        lines = tuple(
            Series(f"{i + 1}", row[::step], control=label != "strongest")
            for i, row in enumerate(scaled)
        )
        height = Axis("waveform, of its largest")
        curves.append(Curve(label, times_ms, lines, Axis("time", "ms"), height))
    return SmallMultiples("What the frames heard, with context", tuple(curves))


def fragment_clips(
    context: Context, places: Places, rows: Rows, title: str, context_s: float
) -> ClipGrid:
    """Fragments to hear, each with some sound around it and its own place marked."""
    clips = []
    rate = places.time.sample_rate
    for place, row in enumerate(rows.tolist(), 1):
        clip_id, frame = str(places.own.clip_ids[row]), int(places.own.frames[row])
        start = places.time.samples(frame).start / rate
        stop = places.time.samples(frame + places.lag).stop / rate
        label = f"{title.split()[0].lower()} {place}: {clip_id}"
        clip = context.clip(clip_id, start - context_s, stop + context_s, label)
        mark = (max(start, clip.start_s), min(stop, clip.stop_s))
        clips.append(Clip(clip.clip_id, clip.start_s, clip.stop_s, clip.label, mark))
    return ClipGrid(title, tuple(clips))


def fragment_spectrum(places: Places, rows: Rows, corpus: Corpus) -> tuple[Curve, float]:
    """Spectrum around the strongest fragments over the corpus'.

    And its peak in dB re that one's.
    """
    hz, power = corpus.frequencies_hz, corpus.power
    if len(rows):
        windows = places.windows(rows, length=corpus.n_samples)
        power = mean_spectrum(windows, places.time.sample_rate)[1]
    ratio = ratio_spectrum(smoothed(hz, power), smoothed(hz, corpus.power))
    shown = np.unique(np.geomspace(1, len(hz) - 1, 160).astype(np.int64))
    corpus_db = _decibels(smoothed(hz, corpus.power)[shown])
    curve = Curve(
        "Spectrum around the strongest fragments",
        hz[shown],
        (
            Series("over the corpus", _decibels(ratio[shown])),
            Series("corpus (control), re its peak", corpus_db - corpus_db.max(), control=True),
        ),
        Axis("frequency", "Hz", "log"),
        Axis("level", "dB"),
        f"Windows of {corpus.n_samples} samples, a twelfth of an octave.",
    )
    return curve, float(_decibels(power).max() - _decibels(corpus.power).max())


def _decibels(power: np.ndarray) -> np.ndarray:
    decibels: np.ndarray = 10 * np.log10(np.maximum(power, 1e-20))
    return decibels
