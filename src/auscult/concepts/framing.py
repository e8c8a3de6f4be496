"""Where labelers listen: points on a grid that fits the frames of a tap, and spectra there."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field

from auscult.concepts.base import Concept, Labels, hops
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

COARSEST_S = 0.02
FINEST_S = 0.005
SILENT = 1e-9  # sum of magnitudes over the window's length: far below one step of 24 bits
_BATCH = 2048


@dataclass(frozen=True)
class Grid:
    """Points at which a sound is measured, and which of them each frame is labelled by.

    A hop of more than 20 ms is measured at several points and labelled by their mean; hops shorter
    than 5 ms share points: nothing that a window of tens of milliseconds tells changes faster.

    Attributes:
        centres: Samples.
        points: Places in ``centres``, as many for every frame.
    """

    centres: Int[np.ndarray, " point"]
    points: Int[np.ndarray, "frame some"]

    def per_frame(self, values: Float[np.ndarray, " point"]) -> Float[np.ndarray, " frame"]:
        """Mean over a frame's points that have a value; NaN where none has."""
        known = np.isfinite(values)
        counts = known[self.points].sum(axis=1)
        sums = np.where(known, values, 0.0)[self.points].sum(axis=1)
        return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def grid(audio: Audio, time: TimeBase) -> Grid:
    """Lay points over the hops of a tap."""
    edges = hops(audio, time)
    n_frames = len(edges) - 1
    hop_s = float(time.hop) / time.sample_rate
    if hop_s >= FINEST_S:
        n_each = math.ceil(hop_s / COARSEST_S)
        share = (np.arange(n_each) + 0.5) / n_each
        centres = edges[:-1, None] + share * np.diff(edges)[:, None]
        return Grid(
            np.floor(centres).astype(np.int64).ravel(),
            np.arange(n_frames * n_each).reshape(n_frames, n_each),
        )
    step = FINEST_S * time.sample_rate
    n_points = max(1, math.ceil(audio.n_samples / step))
    centres = np.floor((np.arange(n_points) + 0.5) * step).astype(np.int64)
    middles = (edges[:-1] + edges[1:]) / 2
    nearest = np.clip(np.floor(middles / step), 0, n_points - 1).astype(np.int64)
    return Grid(np.minimum(centres, max(audio.n_samples - 1, 0)), nearest[:, None])


def windows(
    samples: Float[np.ndarray, " time"], centres: Int[np.ndarray, " point"], n: int
) -> Iterator[Float[np.ndarray, "batch n"]]:
    """Stretches of ``n`` samples centred at points, zeros beyond the ends, some at a time."""
    padded = np.pad(samples, (n // 2, n))
    view = np.lib.stride_tricks.sliding_window_view(padded, n)
    for start in range(0, len(centres), _BATCH):
        yield view[centres[start : start + _BATCH]]


def spectra(
    samples: Float[np.ndarray, " time"], centres: Int[np.ndarray, " point"], n: int
) -> Iterator[Float[np.ndarray, "batch bin"]]:
    """Magnitudes of Hann windows of ``n`` samples around points, some at a time."""
    from scipy.fft import rfft
    from scipy.signal import get_window

    window = get_window("hann", n).astype(np.float32)
    for some in windows(samples.astype(np.float32), centres, n):
        yield np.abs(rfft(some * window, axis=1))


def window_length(window_s: float, sample_rate: int) -> int:
    """Samples of a window, rounded up to what transforms fast."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(max(16, round(window_s * sample_rate)), real=True))


class WindowParams(Config):
    """Settings of what is measured in a window."""

    window_s: float = Field(0.046, gt=0)
    """Length of the Hann window around each point; 0.046 s is 2,048 samples at 44.1 kHz."""


class SpectralConcept(Concept):
    """A number per magnitude spectrum; silence has none."""

    Params: ClassVar[type[Config]] = WindowParams
    n_bins: int = 20

    @staticmethod
    @abstractmethod
    def measure(
        magnitudes: Float[np.ndarray, "batch bin"], hz: Float[np.ndarray, " bin"]
    ) -> Float[np.ndarray, " batch"]:
        """Measure spectra that are not silent."""

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; silence has no value."""
        points = grid(audio, time)
        params: Any = self.params
        n = window_length(params.window_s, audio.sample_rate)
        hz = np.fft.rfftfreq(n, 1 / audio.sample_rate)
        parts = []
        for magnitudes in spectra(audio.samples.mean(0), points.centres, n):
            heard = magnitudes.sum(axis=1) > SILENT * n
            values = np.full(len(magnitudes), np.nan)
            values[heard] = self.measure(magnitudes[heard], hz)
            parts.append(values)
        values = points.per_frame(np.concatenate(parts))
        return Labels(values, np.isfinite(values).astype(np.float64))


def loud(
    audio: Audio, points: Grid, window_s: float, level_db: float
) -> Bool[np.ndarray, " point"]:
    """Whether the root mean square around each point exceeds a level in dB re full scale."""
    power = np.concatenate([[0.0], np.cumsum(np.square(audio.samples.mean(0), dtype=np.float64))])
    reach = max(1, round(window_s * audio.sample_rate / 2))
    low = np.clip(points.centres - reach, 0, audio.n_samples)
    high = np.clip(points.centres + reach, 0, audio.n_samples)
    mean = (power[high] - power[low]) / np.maximum(high - low, 1)
    loud_enough: np.ndarray = mean > 10 ** (level_db / 10)
    return loud_enough
