"""How fast the sound that is on has risen."""

from typing import final

import numpy as np
from jaxtyping import Float

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.concepts.onset import onset_times
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase

_STEP_S = 0.002
_WINDOW_S = 0.01
_LOW, _HIGH = 0.1, 0.9
_SEARCH_S = 0.5
_GUARD_S = 0.025
"""Before the next onset, which may be called 20 ms late, and half a window of it is heard early."""


@final
@CONCEPTS.register("attack-time")
class AttackTime(Concept):
    """log10 of the seconds from 10 to 90 % of an event's greatest level, until the next event.

    The level is the root mean square of 10 ms, every 2 ms, so that nothing reads shorter than about
    8 ms (-2.1). An event begins at an onset (see ``onset``) and its attack is over within 0.5 s.
    Frames before the first onset have no value.
    """

    unit: str = "log10 of seconds"
    n_bins: int = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame."""
        edges = hops(audio, time)
        starts = onset_times(audio)
        envelope = _envelope(audio)
        stops = np.append(starts[1:], np.inf)[: len(starts)]
        attacks = [_attack(envelope, a, b) for a, b in zip(starts, stops, strict=True)]
        found = np.array([np.nan, *attacks])
        middles = (edges[:-1] + edges[1:]) / 2 / audio.sample_rate
        values = found[np.searchsorted(starts, middles, "right")]
        return Labels(values, np.isfinite(values).astype(np.float64))


def _envelope(audio: Audio) -> Float[np.ndarray, " step"]:
    """Root mean square of 10 ms around each multiple of 2 ms."""
    power = np.concatenate([[0.0], np.cumsum(np.square(audio.samples.mean(0), dtype=np.float64))])
    at = np.arange(0, audio.n_samples, _STEP_S * audio.sample_rate)
    reach = _WINDOW_S * audio.sample_rate / 2
    low = np.clip(np.round(at - reach), 0, audio.n_samples).astype(np.int64)
    high = np.clip(np.round(at + reach), 0, audio.n_samples).astype(np.int64)
    return np.asarray(np.sqrt((power[high] - power[low]) / np.maximum(high - low, 1)))


def _attack(envelope: Float[np.ndarray, " step"], start_s: float, stop_s: float) -> float:
    """log10 of the time from 10 to 90 % of the rise to the peak after an onset.

    The rise begins at the least level of the half second before the peak: an onset may be called
    while the sound is on its way already.
    """
    start = min(int(start_s / _STEP_S), len(envelope) - 1)
    stop = max(start + 1, int(min(stop_s - _GUARD_S, start_s + _SEARCH_S) / _STEP_S) + 1)
    peak = start + int(envelope[start:stop].argmax())
    first = max(0, peak - int(_SEARCH_S / _STEP_S))
    some = envelope[first : peak + 1]
    low = float(some.min())
    if some[-1] <= low:
        return float("nan")
    risen = (some - low) / (some[-1] - low)
    begin = int(np.flatnonzero(risen < _LOW)[-1])
    end = begin + int(np.argmax(risen[begin:] >= _HIGH))
    return float(np.log10(max(end - begin, 1) * _STEP_S))
