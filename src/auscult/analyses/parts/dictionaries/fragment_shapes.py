"""Whether a feature's strongest fragments have shapes of their own (METHODS A-6)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from auscult.analyses.base import Measurement
from auscult.analyses.parts.cards import Places
from auscult.measures.fragment_alignment import LONGEST_SAMPLES
from auscult.measures.statistics import auc, resampled_auc
from auscult.measures.windows import FragmentMeasures, cut, fragment_measures

SHAPES = ("slope", "curvature", "crest_factor", "energy_change_db")
RANDOM_FRAGMENTS = "random fragments of the same recordings"
_N_RESAMPLES = 200
_NAN = float("nan")
_NAME = (
    "how far a feature's strongest fragments differ in shape from random ones (median of max "
    "|AUC - 0.5|)"
)


@dataclass(frozen=True)
class Shaped:
    """The shapes of some fragments that lie within their clips, and the recording of each."""

    measures: FragmentMeasures
    recordings: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Compared:
    """How some fragments compare with the reference.

    Attributes:
        areas: Area under the ROC curve of each of :data:`SHAPES`; NaN where it has no value.
        extreme: Largest |AUC - 0.5| of them.
        resampled: The same over resamplings of the recordings.
    """

    areas: dict[str, float]
    extreme: float = _NAN
    resampled: Float[np.ndarray, " resample"] = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class ShapeBench:
    """Compares fragments with random windows of all recordings.

    Attributes:
        places: Where vectors lie in sounds.
        numbers: Recording of each vector, as a number.
        reference: Shapes of random fragments.
        times: How often each recording is drawn, resample by resample.
    """

    places: Places
    numbers: Int[np.ndarray, " n"]
    reference: Shaped
    times: Int[np.ndarray, "resample recording"]

    @classmethod
    def of(
        cls, places: Places, rows: Int[np.ndarray, " k"], rng: np.random.Generator
    ) -> "ShapeBench":
        """From random rows."""
        numbers = np.unique(places.own.recording_ids, return_inverse=True)[1].astype(np.int64)
        n = int(numbers.max(initial=0)) + 1
        times = rng.multinomial(n, np.full(n, 1 / n), _N_RESAMPLES)
        return cls(places, numbers, _shaped(places, numbers, rows), times)

    def compare(self, rows: Int[np.ndarray, " k"], resampled: bool = True) -> Compared:
        """Areas under the curve of fragments against the reference; a null needs no resamples."""
        nothing = Compared(dict.fromkeys(SHAPES, _NAN))
        if not len(rows):
            return nothing
        own = _shaped(self.places, self.numbers, rows)
        areas, drawn = {}, []
        for name in SHAPES:
            (a, of_a), (b, of_b) = (_known(one, name) for one in (own, self.reference))
            areas[name] = auc(a, b) if len(a) > 1 else _NAN
            if resampled and np.isfinite(areas[name]):
                drawn.append(resampled_auc(a, b, self.times[:, of_a].T, self.times[:, of_b].T))
        known = [area for area in areas.values() if np.isfinite(area)]
        if not known:
            return nothing
        far = float(np.abs(np.array(known) - 0.5).max())
        return Compared(areas, far, np.abs(np.stack(drawn) - 0.5).max(0) if drawn else np.zeros(0))

    def matched(
        self, rows: Int[np.ndarray, " k"], rng: np.random.Generator
    ) -> Int[np.ndarray, " k"]:
        """For each row a random one of the same recording: shapes differ between recordings."""
        members = {n: np.flatnonzero(self.numbers == n) for n in np.unique(self.numbers[rows])}
        return np.array([rng.choice(members[n]) for n in self.numbers[rows]], dtype=np.int64)


def _known(one: Shaped, name: str) -> tuple[np.ndarray, np.ndarray]:
    values = getattr(one.measures, name)
    known = np.isfinite(values)
    return values[known], one.recordings[known]


def _shaped(places: Places, numbers: np.ndarray, rows: np.ndarray) -> Shaped:
    """Two samples of context where a frame hears fewer than three; the middle of long ones."""
    own, span = places.own, places.time.span
    context = 0 if span >= 3 else 2
    length = LONGEST_SAMPLES if span > LONGEST_SAMPLES else None
    found = cut(places.sound, places.time, own.clip_ids[rows], own.frames[rows], 0, context, length)
    # Zeros beyond the ends of a clip are no shape of the sound.
    whole = found.complete
    return Shaped(fragment_measures(found.samples[whole]), numbers[rows][whole])


def selective(tap: str, own: Sequence[Compared], null: Sequence[Compared]) -> Measurement:
    """Median over features of the largest |AUC - 0.5|, beside that of random fragments.

    Over the features that are on often enough to be compared; unknown without any. The interval is
    over recordings; a feature that speaks in none of those drawn is left out of that draw.
    """
    pairs = [
        (a, b) for a, b in zip(own, null, strict=True) if np.isfinite([a.extreme, b.extreme]).all()
    ]
    if not pairs:
        return Measurement(_NAME, _NAN, "", {RANDOM_FRAGMENTS: _NAN}, tap=tap)
    drawn = np.stack([a.resampled for a, _ in pairs])
    drawn = np.nanmedian(drawn[:, np.isfinite(drawn).any(0)], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (_NAN, _NAN)
    return Measurement(
        _NAME,
        float(np.median([a.extreme for a, _ in pairs])),
        "",
        {RANDOM_FRAGMENTS: float(np.median([b.extreme for _, b in pairs]))},
        (float(low), float(high)),
        "Feature 0: sharp rises; Feature 1: falls (P1 §1.3)",
        tap,
    )
