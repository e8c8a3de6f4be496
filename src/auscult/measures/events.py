"""Events in time: onsets of a sound, peaks of an activation, and how they meet (METHODS A-7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from auscult.core.errors import ConfigError
from auscult.measures.statistics import bootstrap_interval

_WINDOW_S = 0.02
_HOP_S = 0.0025
_SMALLEST_GAP_S = 0.03
_CHUNK_FRAMES = 4096


def peak_times(
    activation: Float[np.ndarray, " frame"],
    times_s: Float[np.ndarray, " frame"],
    min_gap_s: float,
    height: float,
) -> Float[np.ndarray, " peak"]:
    """Find where an activation is locally highest (METHODS A-7).

    Args:
        activation: Over the frames of one clip.
        times_s: Centre of each frame in seconds, evenly spaced and ascending.
        min_gap_s: Of two peaks closer than this the higher one stays.
        height: Lower values are no peaks.

    Returns:
        Times in seconds, ascending. The first and last frame can be peaks; a plateau counts once,
        at its middle.
    """
    from scipy.signal import find_peaks

    if not len(activation):
        return np.zeros(0)
    step_s = float(times_s[-1] - times_s[0]) / max(len(times_s) - 1, 1)
    distance = max(1, int(np.ceil(min_gap_s / step_s - 1e-9))) if step_s > 0 else 1
    # A peak needs lower neighbours, which the ends lack.
    padded = np.pad(activation.astype(np.float64), 1, constant_values=-np.inf)
    found, _ = find_peaks(padded, height=height, distance=distance)
    return np.asarray(times_s[found - 1].astype(np.float64))


def match_events(
    estimated_s: Float[np.ndarray, " n"],
    reference_s: Float[np.ndarray, " m"],
    tolerance_s: float = 0.02,
) -> tuple[float, float, float]:
    """Compare two sets of times, each time matched at most once (METHODS A-7).

    Pairing in order of time gives the largest number of pairs, since all tolerances are equal.

    Returns:
        Precision, recall and F measure, 0 to 1; all 0 when a side is empty, as in mir_eval.
    """
    if not len(estimated_s) or not len(reference_s):
        return 0.0, 0.0, 0.0
    estimated, reference = np.sort(estimated_s), np.sort(reference_s)
    n_pairs = i = j = 0
    while i < len(estimated) and j < len(reference):
        if reference[j] < estimated[i] - tolerance_s:
            j += 1
        elif reference[j] > estimated[i] + tolerance_s:
            i += 1
        else:
            n_pairs, i, j = n_pairs + 1, i + 1, j + 1
    precision, recall = n_pairs / len(estimated), n_pairs / len(reference)
    return precision, recall, 2 * n_pairs / (len(estimated) + len(reference))


@dataclass(frozen=True)
class Lift:
    """How much more often events lie near reference times than random times do (METHODS A-7).

    Attributes:
        value: ``hit_rate / random_hit_rate``; 1 without association, NaN without events.
        interval: Bootstrap interval of the value over recordings.
        hit_rate: Share of events within the tolerance of a reference time.
        random_hit_rate: The same share for as many random times in each clip.
        n_events: Number of events.
    """

    value: float
    interval: tuple[float, float]
    hit_rate: float
    random_hit_rate: float
    n_events: int


def lift_over_random(
    estimated_s: Sequence[Float[np.ndarray, " _"]],
    reference_s: Sequence[Float[np.ndarray, " _"]],
    durations_s: Sequence[float],
    recording_ids: Shaped[np.ndarray, " clip"],
    rng: np.random.Generator,
    tolerance_s: float = 0.02,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Lift:
    """Compare events with rate-matched random times (METHODS A-7).

    A uniformly random time hits with a probability equal to the share of the clip that lies within
    the tolerance of a reference time, so the random rate is computed and not drawn. Hits are not
    one-to-one: random times may crowd, events with a smallest gap may not.

    Args:
        estimated_s: Times of the events, one array per clip.
        reference_s: Times of the references, one array per clip.
        durations_s: Length of each clip.
        recording_ids: Recording of each clip.
        rng: Resamples recordings.
        tolerance_s: Largest distance of a hit.
        n_resamples: Number of resamples.
        level: Of the interval.
    """
    rows = zip(estimated_s, reference_s, durations_s, strict=True)
    counts = np.array([_hits(e, r, duration, tolerance_s) for e, r, duration in rows])
    if counts.size == 0:
        raise ConfigError("the lift of events needs at least one clip")

    def lift(clips: np.ndarray) -> float:
        _, hits, expected = counts[clips].sum(axis=0)
        return float(hits / expected) if expected > 0 else float("nan")

    n_events, hits, expected = counts.sum(axis=0)
    value = lift(np.arange(len(counts)))
    nan = float("nan")
    interval = (nan, nan)
    if not np.isnan(value):
        interval = bootstrap_interval(lift, recording_ids, rng, n_resamples, level)
    share = 1 / n_events if n_events else nan
    return Lift(value, interval, float(hits * share), float(expected * share), int(n_events))


def _hits(
    estimated: np.ndarray, reference: np.ndarray, duration_s: float, tolerance_s: float
) -> tuple[float, float, float]:
    """Number of events, of hits, and of hits expected from as many random times."""
    n = float(len(estimated))
    if not n or not len(reference):
        return n, 0.0, 0.0
    times = np.sort(reference)
    right = np.searchsorted(times, estimated).clip(0, len(times) - 1)
    left = np.maximum(right - 1, 0)
    distance = np.minimum(np.abs(times[left] - estimated), np.abs(times[right] - estimated))
    starts = np.clip(times - tolerance_s, 0, duration_s)
    ends = np.clip(times + tolerance_s, 0, duration_s)
    covered = (ends - np.maximum(starts, np.concatenate([[0.0], ends[:-1]]))).clip(0).sum()
    return n, float(np.sum(distance <= tolerance_s)), n * float(covered) / duration_s


def onset_times_s(
    waveform: Float[np.ndarray, " time"],
    sample_rate: int,
    threshold: float = 0.1,
) -> Float[np.ndarray, " onset"]:
    """Detect onsets by spectral flux and peak picking (METHODS A-7; Böck, Krebs & Schedl 2012).

    Flux is the sum over frequency of the increase of log magnitude within one window (20 ms),
    divided by its greatest value; an onset is a peak that stands above its surroundings. Isolated
    attacks are found within 10 ms, mostly a few milliseconds early. Bias: gradual attacks are
    missed or come late, and a sound without any attack can still have onsets, because flux is
    relative to its greatest value.

    Args:
        waveform: Mono.
        sample_rate: In Hz.
        threshold: How far a peak stands above the mean of its surroundings (±100 ms), 0 to 1.

    Returns:
        Times in seconds, ascending.
    """
    from scipy.ndimage import maximum_filter1d, uniform_filter1d
    from scipy.signal import find_peaks

    flux, times_s = _spectral_flux(waveform, sample_rate)
    if not flux.max(initial=0.0) > 0:
        return np.zeros(0)
    flux = flux / flux.max()
    around = uniform_filter1d(flux, 2 * round(0.1 / _HOP_S) + 1, mode="nearest")
    highest = maximum_filter1d(flux, 2 * round(_SMALLEST_GAP_S / _HOP_S) + 1, mode="nearest")
    found, _ = find_peaks(np.pad(flux, 1), distance=round(_SMALLEST_GAP_S / _HOP_S))
    found = found - 1
    keep = (flux[found] >= around[found] + threshold) & (flux[found] == highest[found])
    return np.asarray(times_s[found[keep]])


def _spectral_flux(waveform: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Increase of log magnitude around each time, and the times in seconds."""
    window, hop = round(_WINDOW_S * sample_rate), max(1, round(_HOP_S * sample_rate))
    peak = float(np.abs(waveform).max(initial=0.0))
    if peak == 0:
        return np.zeros(0), np.zeros(0)
    padded = np.pad(waveform / peak, (window, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    lag = max(1, round(window / hop / 2))
    rise = np.concatenate(
        [
            _rise(frames[start : start + _CHUNK_FRAMES + lag], lag)
            for start in range(0, len(frames) - lag, _CHUNK_FRAMES)
        ]
    )
    # Frame i starts at sample i * hop - window; the middle between both windows' centres is meant.
    centres = np.arange(len(rise)) * hop - window + (window + lag * hop) / 2
    inside = (centres >= 0) & (centres < len(waveform))
    return rise[inside], centres[inside] / sample_rate


def _rise(frames: np.ndarray, lag: int) -> np.ndarray:
    """Sum over frequency of the increase of compressed magnitude from each frame to a later one."""
    window = frames.shape[1]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) / window
    compressed = np.log1p(1000 * magnitude)
    return np.asarray(np.maximum(compressed[lag:] - compressed[:-lag], 0).sum(axis=1))
