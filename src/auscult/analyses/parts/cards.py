"""What cards show of any direction: fragments to see and to hear, and their spectrum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from auscult.analyses.base import Context
from auscult.analyses.parts.reading import Sample
from auscult.blocks import (
    Axis,
    Bars,
    Block,
    Clip,
    ClipGrid,
    Curve,
    GalleryItem,
    Missing,
    Series,
    SmallMultiples,
    Table,
)
from auscult.core.timebase import TimeBase
from auscult.measures.fragment_alignment import LONGEST_SAMPLES, aligned, fragment_likeness
from auscult.measures.fragment_spectra import mean_spectrum, over_corpus, smoothed
from auscult.measures.transitions import Transitions
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

    def whole(self, rows: Rows, context: int = 4) -> Float[np.ndarray, "n time"]:
        """Waveforms around those vectors that lie wholly within their clip (METHODS A-11).

        Very long ones are cut to a stretch around their centre.
        """
        own, reach = self.own, self.time.span + self.lag * self.time.hop + 2 * context
        length = LONGEST_SAMPLES if reach > LONGEST_SAMPLES else None
        found = cut(
            self.sound, self.time, own.clip_ids[rows], own.frames[rows], self.lag, context, length
        )
        complete: np.ndarray = found.samples[found.complete]
        return complete


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

    And the height of its peak in dB re that one's, both of power 1: no level, but how concentrated.
    """
    hz, power = corpus.frequencies_hz, corpus.power
    if len(rows):
        windows = places.windows(rows, length=corpus.n_samples)
        power = mean_spectrum(windows, places.time.sample_rate)[1]
    ratio = over_corpus(hz, power, corpus.power)
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


def aligned_fragments(
    fragments: Float[np.ndarray, "n time"], random: Float[np.ndarray, "m time"], sample_rate: int
) -> SmallMultiples:
    """Fragments aligned by trough and by correlation, beside random ones treated alike."""
    curves = []
    for label, rows in (("closest", fragments), ("random (control)", random)):
        scaled = rows / np.maximum(np.abs(rows).max(1, initial=0.0, keepdims=True), 1e-9)
        for way, one in zip(("by trough", "by correlation"), aligned(scaled), strict=True):
            step = max(1, one.shape[1] // 256)
            times_ms = 1000 * np.arange(one.shape[1])[::step] / sample_rate
            lines = [
                Series(f"{place}", row[::step], control=label != "closest")
                for place, row in enumerate(one, 1)
            ]
            lines.append(Series("mean", one.mean(0)[::step], control=label != "closest"))
            height = Axis("waveform, of its largest")
            title = f"{label}, aligned {way}"
            curves.append(Curve(title, times_ms, tuple(lines), Axis("time", "ms"), height))
    return SmallMultiples("Aligned fragments (P1, Fig. 4)", tuple(curves))


MOVEMENT_UNITS = {
    "usage": "share of generators",
    "rank": "by usage",
    "cosine": "of the closest generators",
    "likeness": "correlation, aligned by trough",
    "peak": "dB re corpus peak",
}
MOVEMENT_NOTE = (
    "Usage is the share of generators with the archetype on top. Cosine is that of the closest "
    "generators that share no samples. Peak is the height of the fragments' spectrum re the "
    "corpus', both brought to one power. Clips play at equal loudness; the marked part is what "
    "both ends of the generator heard."
)


@dataclass(frozen=True)
class MovementCards:
    """Makes the cards of archetypes.

    Attributes:
        context: Gives clips.
        places: Of the generators.
        random: Generators to compare with.
        corpus: Spectrum of the tap's sounds.
        n_fragments: How many to hear.
        context_s: Sound kept on both sides of them.
    """

    context: Context
    places: Places
    random: Rows
    corpus: Corpus
    n_fragments: int
    context_s: float

    def item(
        self,
        name: str,
        measures: Mapping[str, float],
        direction: Float[np.ndarray, " d"],
        closest: Rows,
        follows: Table,
    ) -> GalleryItem:
        """One card: direction, aligned fragments, clips, spectrum, and what follows."""
        channels = tuple(str(channel) for channel in range(len(direction)))
        spectrum, peak_db = fragment_spectrum(self.places, closest, self.corpus)
        own, others = self.places.whole(closest), self.places.whole(self.random)
        shapes: Block = Missing("Aligned fragments", "they reach beyond the ends of their clips")
        if len(own) and len(others) and own.shape[1] > 2:
            shapes = aligned_fragments(own, others, self.places.time.sample_rate)
        more = {"likeness": fragment_likeness(own).by_trough, "peak": peak_db}
        blocks = (
            Bars("Direction", channels, direction, Axis("channel"), Axis("weight")),
            shapes,
            self._clips(closest, "Closest fragments"),
            self._clips(self.random, "Random fragments (control)"),
            spectrum,
            follows,
        )
        return GalleryItem(name, {**measures, **more}, blocks)

    def _clips(self, rows: Rows, title: str) -> ClipGrid:
        few = rows[: self.n_fragments]
        return fragment_clips(self.context, self.places, few, title, self.context_s)


def follows_table(follows: Transitions, number: int, names: Sequence[str]) -> Table:
    """The most frequent successors of a direction."""
    probability, chance = follows.probability[number], follows.shuffled[number]
    chance = chance / max(float(chance.sum()), 1e-300)
    rows = tuple(
        (names[after], float(probability[after]), float(chance[after]))
        for after in np.argsort(-probability, kind="stable")[:5].tolist()
        if probability[after] > 0
    )
    columns = ("followed by", "probability", "order shuffled (control)")
    return Table("What follows", columns, rows, ("", "", ""), "One lag later, in the same clip.")
