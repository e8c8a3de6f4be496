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

from auscult.core.loudness import OFFSET, k_weighted

TARGET_LUFS = -23.0
PEAK_DBFS = -1.0
_MOST_GAIN_DB = 40.0
_BLOCK_S = 0.4
_STEP_S = 0.1
_ABSOLUTE_GATE = -70.0
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
        return OFFSET + 10 * float(np.log10(power.mean()))

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


def _running(samples: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])


def _power_of(loudness: float) -> float:
    """Mean square of the filtered sound that has this loudness."""
    return float(10 ** ((loudness - OFFSET) / 10))
