"""Equal loudness: how much to turn an excerpt up or down so that comparing by ear is fair.

Louder sounds better, so excerpts are brought to one integrated loudness (ITU-R BS.1770-5:
K-weighting, blocks of 400 ms, an absolute gate at -70 LUFS and a relative one 10 LU below the
mean). Shorter excerpts have no block and are brought to the same level by their root mean square.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float

TARGET_LUFS = -23.0
PEAK_DBFS = -1.0
_MOST_GAIN_DB = 40.0
_BLOCK_S = 0.4
_STEP_S = 0.1
_ABSOLUTE_GATE = -70.0
_OFFSET = -0.691
_SILENT_DB = -90.0


@dataclass(frozen=True)
class Gain:
    """What to apply to an excerpt.

    Attributes:
        db: Gain in dB.
        loudness: Before the gain, in LUFS or, below 400 ms, as RMS in dB re full scale.
        unit: Of ``loudness``.
        limited: Whether the peak limit, and not the loudness, set the gain.
    """

    db: float
    loudness: float
    unit: Literal["LUFS", "dBFS RMS"]
    limited: bool


class Loudness:
    """Loudness of any excerpt of one mono sound; the filter runs once."""

    def __init__(self, samples: Float[np.ndarray, " time"], sample_rate: int) -> None:
        self.samples = samples
        self.sample_rate = sample_rate

    @cached_property
    def _power(self) -> np.ndarray:
        """Running sum of the K-weighted power, one longer than the sound."""
        return _running(k_weighted(self.samples, self.sample_rate))

    @cached_property
    def _plain_power(self) -> np.ndarray:
        return _running(self.samples)

    def integrated(self, start: int = 0, stop: int | None = None) -> float:
        """Integrated loudness of samples [start, stop) in LUFS; -inf when no block passes."""
        stop = len(self.samples) if stop is None else stop
        block, step = round(_BLOCK_S * self.sample_rate), round(_STEP_S * self.sample_rate)
        begins = np.arange(start, stop - block + 1, step)
        if not len(begins):
            return -np.inf
        power = (self._power[begins + block] - self._power[begins]) / block
        power = power[power > _power_of(_ABSOLUTE_GATE)]
        if not len(power):
            return -np.inf
        # The relative gate lies 10 dB below the mean of what passed: a tenth of its power.
        power = power[power > power.mean() / 10]
        return _OFFSET + 10 * float(np.log10(power.mean()))

    def rms_db(self, start: int, stop: int) -> float:
        """Root mean square of samples [start, stop) in dB re full scale; -inf for silence."""
        mean = (self._plain_power[stop] - self._plain_power[start]) / max(stop - start, 1)
        return float(10 * np.log10(mean)) if mean > 0 else -np.inf

    def gain(self, start_s: float, stop_s: float) -> Gain:
        """The gain that brings an excerpt to -23 LUFS with its peak at most at -1 dBFS."""
        start = min(max(round(start_s * self.sample_rate), 0), len(self.samples))
        stop = min(max(round(stop_s * self.sample_rate), start), len(self.samples))
        unit: Literal["LUFS", "dBFS RMS"] = "LUFS"
        loudness = self.integrated(start, stop)
        if not np.isfinite(loudness):
            unit, loudness = "dBFS RMS", self.rms_db(start, stop)
        if loudness < _SILENT_DB:
            return Gain(0.0, loudness, unit, limited=False)
        peak = float(np.abs(self.samples[start:stop]).max())
        wanted = min(TARGET_LUFS - loudness, _MOST_GAIN_DB)
        allowed = PEAK_DBFS - 20 * float(np.log10(peak))
        return Gain(min(wanted, allowed), loudness, unit, limited=allowed < wanted)


def k_weighted(samples: Float[np.ndarray, " time"], sample_rate: int) -> Float[np.ndarray, " time"]:
    """Filter as BS.1770, annex 1: a shelf for the head, then a high-pass.

    The standard gives coefficients at 48 kHz only; these are its analogue prototypes (centre, gain
    and Q as in De Man 2014), bilinearly transformed at the sound's own rate.
    """
    from scipy.signal import sosfilt

    sections = np.array([_shelf(sample_rate), _high_pass(sample_rate)])
    filtered: np.ndarray = sosfilt(sections, samples.astype(np.float64))
    return filtered


def _shelf(sample_rate: int) -> list[float]:
    centre_hz, gain_db, q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = np.tan(np.pi * centre_hz / sample_rate)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    b = (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k)
    return [*(value / a0 for value in b), 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]


def _high_pass(sample_rate: int) -> list[float]:
    corner_hz, q = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * corner_hz / sample_rate)
    a0 = 1 + k / q + k * k
    return [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]


def _running(samples: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])


def _power_of(loudness: float) -> float:
    """Mean square of the filtered sound that has this loudness."""
    return float(10 ** ((loudness - _OFFSET) / 10))
