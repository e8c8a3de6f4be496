"""How narrow spectra are around the fragments that units like, beside random fragments (A-8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from auscult.analyses.base import Condition, Context, Measurement
from auscult.analyses.parts.cards import Places
from auscult.analyses.parts.reading import Sample, sample, sample_moves
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.fragment_spectra import Band, band_of, mean_spectrum, over_corpus
from auscult.measures.windows import cut, pick_top

DRAWN_FRAGMENTS = "random fragments of the same recordings"
NAMES = {
    "flatness": ("spectral flatness around their fragments", ""),
    "half_energy_hz": ("band that holds half the energy around their fragments", "Hz"),
    "width_octaves": ("width at -10 dB of their fragments' spectrum over the corpus'", "octaves"),
}
"""What is told of each unit, and its unit of measurement; in the order of :class:`Band`."""

_N_CORPUS = 400
_POOL = 3000
_SHOWN = 300


@dataclass(frozen=True)
class BandSettings:
    """How much is looked at.

    Attributes:
        n_units: Units of each kind, the most used ones.
        n_fragments: Of each unit, and as many random ones.
        n_samples: Of each window.
        most_vectors: Vectors that fragments are chosen from.
    """

    n_units: int
    n_fragments: int
    n_samples: int
    most_vectors: int


@dataclass(frozen=True)
class UnitBands:
    """Bands of the most used units of one kind under one condition.

    Attributes:
        own: Of each unit, around its strongest fragments, weighted by activation.
        drawn: Around random fragments, one of the same recording for each, weighted alike: what
            narrows a spectrum is often the recording.
        units: Their numbers.
        hz: Frequencies of the two spectra.
        narrowest: Spectrum over the corpus' of the unit whose lobe is narrowest.
        beside: The same of its random fragments.
    """

    own: tuple[Band, ...]
    drawn: tuple[Band, ...]
    units: Int[np.ndarray, " unit"]
    hz: Float[np.ndarray, " f"]
    narrowest: Float[np.ndarray, " f"]
    beside: Float[np.ndarray, " f"]

    def values(self, name: str, drawn: bool = False) -> Float[np.ndarray, " unit"]:
        """One of :data:`NAMES` of every unit."""
        return np.array([getattr(one, name) for one in (self.drawn if drawn else self.own)])


def unit_bands(
    context: Context,
    tap: str,
    condition: Condition,
    dictionary: Dictionary,
    lag: int,
    settings: BandSettings,
) -> UnitBands:
    """Choose the strongest fragments of every unit of a dictionary and measure their spectra.

    Windows that reach beyond their clip are left out where two others are left.

    Raises:
        NothingToMeasureError: There are too few vectors, or no unit is on twice.
    """
    store = context.store(tap, condition, "test")
    most = settings.most_vectors
    own: Sample = sample_moves(store, lag, most) if lag else sample(store, most)
    if len(own.values) < 4:
        raise NothingToMeasureError(f"{tap} has too few vectors on the test side for spectra")
    with torch.no_grad():
        acts = dictionary.encode(torch.from_numpy(own.values)).abs().numpy()
    sound = lru_cache(maxsize=256)(lambda clip_id: context.sound(clip_id, condition).waveform)
    places = Places(own, context.time(tap), sound, lag)
    rng = named_rng(context.seed, "fragment bands", tap, str(condition), lag)
    some = rng.permutation(len(own.values))[:_N_CORPUS]
    hz, corpus = _spectrum(places, some, np.ones(len(some)), settings.n_samples)
    used = np.argsort(-(acts > 0).mean(0), kind="stable")[: settings.n_units]
    spectra: list[tuple[np.ndarray, np.ndarray]] = []
    units: list[int] = []
    for unit in used.tolist():
        rows = _strongest(places, acts[:, unit], settings.n_fragments, rng)
        if len(rows) < 2:
            continue
        weights = acts[rows, unit].astype(np.float64)
        others = _of_the_same_recordings(own, rows, rng)
        own_power, drawn_power = (
            _spectrum(places, which, weights, settings.n_samples)[1] for which in (rows, others)
        )
        spectra.append((own_power, drawn_power))
        units.append(unit)
    if not units:
        raise NothingToMeasureError(f"no unit is on at two frames of {tap} that lie apart")
    bands = [tuple(band_of(hz, power, corpus) for power in pair) for pair in spectra]
    widths = np.array([pair[0].width_octaves for pair in bands])
    best = spectra[int(np.argmin(np.where(np.isfinite(widths), widths, np.inf)))]
    shown = np.unique(np.geomspace(1, len(hz) - 1, _SHOWN).astype(np.int64)) - 1
    lines = [over_corpus(hz[1:], power[1:], corpus[1:])[shown] for power in best]
    own_bands, drawn = zip(*bands, strict=True)
    return UnitBands(own_bands, drawn, np.array(units), hz[1:][shown], *lines)


def _strongest(
    places: Places, acts: Float[np.ndarray, " n"], n: int, rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """The strongest fragments, that share no samples; few of one recording, equals at random."""
    near = rng.permutation(np.flatnonzero(acts > 0))
    if len(near) > _POOL:
        near = near[np.argpartition(-acts[near], _POOL - 1)[:_POOL]]
    own, time = places.own, places.time
    most = max(2, -(-2 * n // max(len(np.unique(own.recording_ids)), 1)))
    apart = float(time.span / time.hop) + places.lag
    where = (own.clip_ids[near], own.recording_ids[near], own.frames[near])
    chosen: np.ndarray = near[pick_top(acts[near], *where, n, most, apart)]
    return chosen


def _of_the_same_recordings(
    own: Sample, rows: Int[np.ndarray, " k"], rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    members = {
        name: np.flatnonzero(own.recording_ids == name)
        for name in np.unique(own.recording_ids[rows])
    }
    return np.array([rng.choice(members[name]) for name in own.recording_ids[rows]], dtype=np.int64)


def _spectrum(
    places: Places, rows: Int[np.ndarray, " k"], weights: Float[np.ndarray, " k"], n_samples: int
) -> tuple[np.ndarray, np.ndarray]:
    own = places.own
    found = cut(
        places.sound, places.time, own.clip_ids[rows], own.frames[rows], places.lag, 0, n_samples
    )
    kept: Shaped[np.ndarray, " k"] = found.complete
    if kept.sum() < 2:
        kept = np.ones(len(rows), dtype=np.bool_)
    rate = places.time.sample_rate
    return mean_spectrum(found.samples[kept], rate, "hann", weights[kept])


def band_measurements(
    tap: str, kind: str, found: Mapping[str, UnitBands], limit_octaves: float
) -> list[Measurement]:
    """Median of every measure, and the share of narrow spectra; the null is random fragments.

    Args:
        tap: Where.
        kind: Of unit.
        found: By condition, ``own`` first.
        limit_octaves: A lobe is narrow below this.
    """
    own = found["own"]
    numbers = []
    for name, (words, unit) in NAMES.items():
        nulls = {DRAWN_FRAGMENTS: _median(own.values(name, drawn=True))}
        nulls |= {k: _median(one.values(name)) for k, one in found.items() if k != "own"}
        told = f"{kind}: median {words}"
        numbers.append(Measurement(told, _median(own.values(name)), unit, nulls, tap=tap))

    def narrow(values: np.ndarray) -> float:
        known = values[np.isfinite(values)]
        return float(np.mean(known < limit_octaves)) if len(known) else float("nan")

    name = "width_octaves"
    nulls = {DRAWN_FRAGMENTS: narrow(own.values(name, drawn=True))}
    nulls |= {k: narrow(one.values(name)) for k, one in found.items() if k != "own"}
    told = f"{kind}: share whose fragments' spectrum is narrower than {limit_octaves:.2g} octaves"
    value = narrow(own.values(name))
    published = "none (P1, Fig. 3)"
    return [*numbers, Measurement(told, value, "", nulls, published=published, tap=tap)]


def _median(values: Float[np.ndarray, " n"]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def band_arrays(tap: str, kind: str, found: Mapping[str, UnitBands]) -> dict[str, np.ndarray]:
    """What the page draws of it."""
    start, own = f"{tap}/{kind}/spectra", found["own"]
    arrays = {f"{start}/hz": own.hz, f"{start}/narrowest": own.narrowest}
    arrays[f"{start}/beside"] = own.beside
    for name in NAMES:
        arrays |= {f"{start}/{k}/{name}": one.values(name) for k, one in found.items()}
        arrays[f"{start}/{DRAWN_FRAGMENTS}/{name}"] = own.values(name, drawn=True)
    return arrays
