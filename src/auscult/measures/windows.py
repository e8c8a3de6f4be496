"""Stretches of waveform that frames heard: choose, cut, align, describe (METHODS A-6, A-11)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase

Waveform = Callable[[str], Float[np.ndarray, " time"]]
"""Gives the mono waveform of a clip by its id, at the sample rate of the time base."""


def pick_top(
    scores: Float[np.ndarray, " n"],
    clip_ids: Shaped[np.ndarray, " n"],
    recording_ids: Shaped[np.ndarray, " n"],
    positions: Float[np.ndarray, " n"] | Int[np.ndarray, " n"],
    n: int,
    per_recording: int = 1,
    min_distance: int | float = 0.0,
) -> Int[np.ndarray, " k"]:
    """Choose the rows with the highest scores, few per recording and not overlapping (METHODS A-6).

    With random numbers as scores it picks the matching random rows, under the same rules.

    Args:
        scores: One per row; NaN is never chosen.
        clip_ids: The clip of each row.
        recording_ids: The recording of each row.
        positions: Place within the clip, in frames or in samples.
        n: How many to choose.
        per_recording: At most so many of one recording.
        min_distance: Rows of one clip lie at least so far apart, in the unit of ``positions``.

    Returns:
        Row numbers, best first; fewer than ``n`` when the rules leave fewer.
    """
    left = np.where(np.isnan(scores), -np.inf, scores).astype(np.float64)
    _, recordings = np.unique(recording_ids, return_inverse=True)
    _, clips = np.unique(clip_ids, return_inverse=True)
    taken = np.zeros(int(recordings.max(initial=0)) + 1, dtype=np.int64)
    chosen: list[int] = []
    while len(chosen) < n and len(left):
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        chosen.append(best)
        taken[recordings[best]] += 1
        if taken[recordings[best]] >= per_recording:
            left[recordings == recordings[best]] = -np.inf
        near = np.abs(positions - positions[best]) < min_distance
        left[near & (clips == clips[best])] = -np.inf
        left[best] = -np.inf
    return np.array(chosen, dtype=np.int64)


@dataclass(frozen=True)
class Fragments:
    """Stretches of equal length.

    Attributes:
        samples: One fragment per row; zeros where it reaches beyond its clip.
        start_samples: Where each starts in its clip; may be negative.
        complete: Whether it lies within its clip; leave the others out of any measure.
    """

    samples: Float[np.ndarray, "n time"]
    start_samples: Int[np.ndarray, " n"]
    complete: Bool[np.ndarray, " n"]


def cut(
    waveform: Waveform,
    time: TimeBase,
    clip_ids: Shaped[np.ndarray, " n"],
    frames: Int[np.ndarray, " n"],
    lag: int = 0,
    context: int = 0,
    length: int | None = None,
) -> Fragments:
    """Cut what frames heard out of the waveforms (METHODS A-6, A-8, A-11).

    Args:
        waveform: Gives a clip's waveform by id; asked once per clip.
        time: Of the tap.
        clip_ids: The clip of each frame.
        frames: Frame numbers within the clip.
        lag: Of generators r[t + lag] - r[t], whose fragment is the union of both frames' samples.
        context: Samples to add on both sides.
        length: Cut so many samples around the centre instead (METHODS A-8: 4096).
    """
    reach = math.ceil(time.span + lag * time.hop) + 2 * context
    n_samples = reach if length is None else length
    starts = np.array(
        [_start(time, int(frame), lag, context, length) for frame in frames], dtype=np.int64
    )
    samples = np.zeros((len(frames), n_samples), dtype=np.float32)
    complete = np.zeros(len(frames), dtype=np.bool_)
    for clip_id in dict.fromkeys(clip_ids.tolist()):
        sound = waveform(clip_id)
        for row in np.flatnonzero(clip_ids == clip_id):
            start, stop = int(starts[row]), int(starts[row]) + n_samples
            first, last = max(start, 0), min(stop, len(sound))
            if first < last:
                samples[row, first - start : last - start] = sound[first:last]
            complete[row] = first == start and last == stop
    return Fragments(samples, starts, complete)


def _start(time: TimeBase, frame: int, lag: int, context: int, length: int | None) -> int:
    if length is None:
        return time.samples(frame).start - context
    centre = (time.centre(frame) + time.centre(frame + lag)) / 2
    return math.ceil(centre - (length - 1) / 2)


@dataclass(frozen=True)
class FragmentMeasures:
    """Shape of fragments (METHODS A-6). The first two are in full scale per sample (squared).

    Attributes:
        slope: Of the best straight line; positive where the waveform rises.
        curvature: Second derivative of the best parabola; positive for valleys.
        crest_factor: Peak over root mean square, from 1 to √time; NaN for silence.
        energy_change_db: Energy of the second half re the first, in dB, held within ±120; a middle
            sample belongs to neither half. 0 for silence.
    """

    slope: Float[np.ndarray, " n"]
    curvature: Float[np.ndarray, " n"]
    crest_factor: Float[np.ndarray, " n"]
    energy_change_db: Float[np.ndarray, " n"]


def fragment_measures(fragments: Float[np.ndarray, "n time"]) -> FragmentMeasures:
    """Describe the shape of fragments; compare with random ones by ``auc`` (METHODS A-6).

    Raises:
        ConfigError: Fragments of fewer than three samples have no curvature.
    """
    n = fragments.shape[1]
    if n < 3:
        raise ConfigError(f"fragments of {n} samples have no shape; add context")
    x = fragments.astype(np.float64)
    t = np.arange(n) - (n - 1) / 2
    bend = t**2 - np.mean(t**2)
    power = np.square(x)
    rms = np.sqrt(power.mean(axis=1))
    before, after = power[:, : n // 2].sum(axis=1), power[:, (n + 1) // 2 :].sum(axis=1)
    floor = 1e-12 * (before + after) + 1e-300
    return FragmentMeasures(
        slope=x @ t / (t @ t),
        curvature=2 * (x @ bend) / (bend @ bend),
        crest_factor=np.divide(
            np.abs(x).max(axis=1), rms, out=np.full_like(rms, np.nan), where=rms > 0
        ),
        energy_change_db=10 * np.log10((after + floor) / (before + floor)),
    )


def align_by_trough(
    fragments: Float[np.ndarray, "n time"], margin: int | None = None
) -> tuple[Float[np.ndarray, "n support"], Int[np.ndarray, " n"]]:
    """Shift fragments so that their lowest samples coincide; keep what all have (METHODS A-11).

    Bias: this alone turns noise into a V. Align the control fragments in the same way.

    Args:
        fragments: One per row.
        margin: The trough is sought so many samples away from both ends, which leaves a support of
            at least ``2 * margin + 1``; a quarter of the length when None.

    Returns:
        Aligned fragments, and where each one's trough was.
    """
    n = fragments.shape[1]
    margin = n // 4 if margin is None else margin
    if not 0 <= 2 * margin < n:
        raise ConfigError(f"a margin of {margin} on both sides leaves nothing of {n} samples")
    troughs = fragments[:, margin : n - margin].argmin(axis=1).astype(np.int64) + margin
    if not len(troughs):
        return fragments, troughs
    before, after = int(troughs.min()), int(n - 1 - troughs.max())
    return _windows(fragments, troughs - before, before + after + 1), troughs


def align_by_correlation(
    fragments: Float[np.ndarray, "n time"], max_shift: int, n_rounds: int = 5
) -> tuple[Float[np.ndarray, "n support"], Int[np.ndarray, " n"]]:
    """Shift fragments to agree best with their mean; keep the common support (METHODS A-11).

    Starts from the fragment that correlates best with all others, then repeats with the mean. Bias:
    agreement grows by the search alone. Align the control fragments in the same way.

    Args:
        fragments: One per row.
        max_shift: Largest shift in samples, to either side.
        n_rounds: How often the mean is renewed, at most.

    Returns:
        Aligned fragments of ``time - 2 * max_shift`` samples, and each one's shift in samples.
    """
    support = fragments.shape[1] - 2 * max_shift
    if max_shift < 0 or support < 2:
        raise ConfigError(f"shifts of {max_shift} leave nothing of {fragments.shape[1]} samples")
    shifts = np.full(len(fragments), max_shift, dtype=np.int64)
    if not len(fragments):
        return fragments[:, :support], shifts
    options = _unit(np.lib.stride_tricks.sliding_window_view(fragments, support, axis=1))
    middle = options[:, max_shift]
    template = middle[int((middle @ middle.sum(axis=0)).argmax())]
    for _ in range(n_rounds):
        found = (options @ template).argmax(axis=1)
        template = options[np.arange(len(found)), found].mean(axis=0)
        if np.array_equal(found, shifts):
            break
        shifts = found.astype(np.int64)
    return _windows(fragments, shifts, support), shifts - max_shift


def _windows(x: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    return np.take_along_axis(x, starts[:, None] + np.arange(length), axis=1)


def _unit(x: np.ndarray) -> np.ndarray:
    """Remove the mean along the last axis and divide by the norm; constants become zeros."""
    centred = x - x.mean(axis=-1, keepdims=True, dtype=np.float64)
    norms = np.linalg.norm(centred, axis=-1, keepdims=True)
    tiny = 1e-9 * (1e-30 + np.abs(x).max(axis=-1, initial=0.0, keepdims=True))
    return np.asarray(np.divide(centred, norms, out=np.zeros_like(centred), where=norms > tiny))


def mean_pairwise_correlation(fragments: Float[np.ndarray, "n time"]) -> float:
    """Mean Pearson correlation over all pairs of different fragments, -1 to 1 (METHODS A-11).

    Constant fragments are left out; NaN with fewer than two others.
    """
    unit = _unit(fragments)
    unit = unit[np.any(unit != 0, axis=1)]
    n = len(unit)
    if n < 2:
        return float("nan")
    return float((np.square(unit.sum(axis=0)).sum() - n) / (n * (n - 1)))
