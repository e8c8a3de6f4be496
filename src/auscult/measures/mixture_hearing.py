"""Mixtures with known envelopes, and what units of any layer did while they sounded (A-20)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.measures.partials import Following, MixtureFit, fit_mixture, following, pool
from auscult.measures.tones import gammatone_bank
from auscult.sounds.mixtures import Mixtures, envelopes
from auscult.sounds.synthetic import HIGHEST, from_list

Layer = Callable[[np.ndarray], tuple[np.ndarray, TimeBase]]
"""Gives values ``[sound frame d]`` and their time base for sounds ``[sound time]``."""

Reader = Callable[[np.ndarray, np.ndarray], np.ndarray]
Readers = Mapping[str, Reader]
"""From values ``[frame d]`` and frame numbers to activations, by kind of unit."""

BANK_READERS: Readers = {"filters": lambda values, frames: np.abs(values[frames])}
"""Filters read by their rectified output."""

_BINS_PER_S = 40.0
_FRAMES_PER_BIN = 64
_BLOCK_S = 0.25
_LEAST_BINS = 4
_SLOWEST_HZ, _FASTEST_HZ = 1.0, 6.0


@dataclass(frozen=True)
class Material:
    """Mixtures with their envelopes, averaged over bins of time.

    Attributes:
        waves: Sounds.
        f_hz: Frequency of each partial of each mixture.
        envelopes: Of each mixture, ``[bin partial]``.
        edges_s: Edges of the bins.
    """

    waves: Float[np.ndarray, "mixture time"]
    f_hz: list[np.ndarray]
    envelopes: list[np.ndarray]
    edges_s: Float[np.ndarray, " edge"]


def bin_edges_s(seconds: float, frame_rate: float) -> Float[np.ndarray, " edge"]:
    """Bins of 25 ms, or of one frame where frames are longer."""
    return np.arange(0, seconds + 1e-9, 1 / min(_BINS_PER_S, frame_rate))


def binned_envelopes(
    labels: Mapping[str, str | float],
    n_samples: int,
    sample_rate: int,
    edges_s: Float[np.ndarray, " edge"],
) -> Float[np.ndarray, "bin partial"]:
    """Exact envelopes of a mixture's partials, averaged over bins; NaN beyond the sound."""
    exact = envelopes(labels, n_samples, sample_rate)
    return pool(exact.T, (np.arange(n_samples) + 0.5) / sample_rate, edges_s)[0]


def draw_mixtures(
    n: int,
    seconds: float,
    f_hz: tuple[float, float],
    sample_rate: int,
    frame_rate: float,
    seed: int,
) -> Material:
    """Draw mixtures of three to five partials a factor of 1.5 or more apart.

    Modulations are deep and of 1 to 6 Hz, or up to a quarter of the frame rate where this is lower.

    Raises:
        NothingToMeasureError: Frames are too slow to follow any modulation.
    """
    fastest_hz = min(_FASTEST_HZ, frame_rate / 4)
    if fastest_hz <= _SLOWEST_HZ:
        raise NothingToMeasureError(
            f"{frame_rate:.3g} frames a second are too few to follow modulations"
        )
    params = Mixtures.Params(
        n=n,
        seconds=seconds,
        sample_rate=sample_rate,
        n_tones=(3, 5),
        f_hz=(f_hz[0], min(f_hz[1], HIGHEST * sample_rate)),
        least_ratio=1.5,
        am_hz=(_SLOWEST_HZ, fastest_hz),
        am_depth=(0.8, 1.0),
    )
    source = Mixtures(params, seed)
    edges_s = bin_edges_s(seconds, frame_rate)
    waves, frequencies, moves = [], [], []
    for recording in source.recordings():
        waves.append(source.load(recording).samples[0])
        frequencies.append(from_list(recording.labels["f_hz"]))
        told = binned_envelopes(recording.labels, len(waves[-1]), sample_rate, edges_s)
        moves.append(told)
    return Material(np.stack(waves), frequencies, moves, edges_s)


def dictionary_reader(dictionary: Dictionary, lag: int) -> Reader:
    """Read the size of activations, on generators where there is a lag."""

    def read(values: np.ndarray, frames: np.ndarray) -> np.ndarray:
        # The last frames have no successor; they read as standstill.
        ahead = np.minimum(frames + lag, len(values) - 1)
        vectors = values[ahead] - values[frames] if lag else values[frames]
        with torch.no_grad():
            acts: np.ndarray = dictionary.encode(torch.from_numpy(vectors)).abs().numpy()
        return acts

    return read


def gammatone_layer(centres_hz: Float[np.ndarray, " unit"], sample_rate: int) -> Layer:
    """Gammatone filters as a layer with a frame for each sample."""
    return lambda waves: (gammatone_bank(waves, centres_hz, sample_rate), TimeBase(sample_rate))


def activations(
    values: Float[np.ndarray, "frame d"],
    time: TimeBase,
    n_samples: int,
    readers: Readers,
    edges_s: Float[np.ndarray, " edge"],
    rng: np.random.Generator,
) -> Iterator[tuple[str, Float[np.ndarray, "bin unit"], Int[np.ndarray, " bin"]]]:
    """Average activations over bins, and count the frames in each, by kind of unit.

    Of more than 64 frames in a bin as many are drawn: evenly spaced ones would beat with the tone.
    """
    inside = time.frames_within(0, n_samples)
    frames = np.arange(max(inside.start, 0), min(inside.stop, len(values)))
    if not len(frames):
        frames = np.arange(len(values))
    most = _FRAMES_PER_BIN * (len(edges_s) - 1)
    if len(frames) > most:
        frames = np.sort(rng.choice(frames, most, replace=False))
    times_s = time.seconds(0) + float(time.hop / time.sample_rate) * frames
    for kind, read in readers.items():
        means, counts = pool(read(values, frames), times_s, edges_s)
        yield kind, means, counts


@dataclass(frozen=True)
class Heard:
    """What one kind of unit did.

    Attributes:
        own: Read with the envelopes of the mixture that sounded.
        shuffled: Read with those of another mixture.
        fits: Of each mixture.
    """

    own: Following
    shuffled: Following
    fits: list[MixtureFit]


def hear_mixtures(
    layer: Layer, readers: Readers, material: Material, share: float, selective: float, seed: int
) -> dict[str, Heard]:
    """Play every mixture to a layer and find what its units follow, by kind of unit.

    Lines are fitted to every other quarter of a second, and judged on the others.

    Args:
        layer: Of a model, or of filters.
        readers: How its units are read.
        material: The mixtures.
        share: See :func:`auscult.measures.partials.following`.
        selective: The same.
        seed: Draws frames.

    Raises:
        NothingToMeasureError: There are too few frames in a mixture.
    """
    fits: dict[str, list[MixtureFit]] = {kind: [] for kind in readers}
    crossed: dict[str, list[MixtureFit]] = {kind: [] for kind in readers}
    n, n_samples = material.waves.shape
    held_out = np.floor(material.edges_s[:-1] / _BLOCK_S + 1e-9).astype(np.int64) % 2 == 1
    for i in range(n):
        values, time = layer(material.waves[i : i + 1])
        rng = named_rng(seed, "mixtures", "frames", i)
        heard = activations(values[0], time, n_samples, readers, material.edges_s, rng)
        for kind, acts, counts in heard:
            known = counts > 0
            if min(known[held_out].sum(), known[~held_out].sum()) < _LEAST_BINS:
                raise NothingToMeasureError(
                    "a mixture gives too few frames to regress on: make it longer"
                )
            for place, into in ((i, fits), ((i + 1) % n, crossed)):
                told, hz = material.envelopes[place][known], material.f_hz[place]
                into[kind].append(fit_mixture(acts[known], told, hz, held_out[known]))
    rule = (share, selective)
    return {
        kind: Heard(following(fits[kind], *rule), following(crossed[kind], *rule), fits[kind])
        for kind in readers
    }
