"""How much of a sound repeats itself, and how much is noise."""

from typing import ClassVar, final

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.concepts.base import CONCEPTS, Concept, Labels
from auscult.concepts.framing import grid, loud, window_length, windows
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

_MOST = 1 - 1e-6


class HarmonicToNoiseParams(Config):
    """Settings of the harmonic-to-noise ratio."""

    window_s: float = Field(0.06, gt=0)
    """Length of the Hann window around each point: at least three periods of the lowest pitch."""
    lowest_hz: float = Field(60.0, gt=0)
    """Lowest pitch."""
    highest_hz: float = Field(1000.0, gt=0)
    """Highest pitch."""


@final
@CONCEPTS.register("harmonic-to-noise")
class HarmonicToNoise(Concept):
    """Power of what repeats over power of what does not, in dB (Boersma 1993).

    r / (1 - r) of the highest normalised autocorrelation r at the lags of possible pitches, the
    window's own autocorrelation divided out. Bias: noise has a highest r above 0 too, near -3 dB
    for these settings; above 40 dB rounding of the lag decides.
    """

    Params: ClassVar[type[Config]] = HarmonicToNoiseParams
    unit: str = "dB"
    n_bins: int = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; what is below -80 dB has no value."""
        points = grid(audio, time)
        params = self.params
        n = window_length(params.window_s, audio.sample_rate)
        lags = (
            max(2, int(audio.sample_rate / params.highest_hz)),
            min(n // 2, int(np.ceil(audio.sample_rate / params.lowest_hz))),
        )
        samples = audio.samples.mean(0).astype(np.float64)
        found = [_ratio(some, lags) for some in windows(samples, points.centres, n)]
        heard = loud(audio, points, params.window_s, -80.0)
        values = points.per_frame(np.where(heard, np.concatenate(found), np.nan))
        return Labels(values, np.isfinite(values).astype(np.float64))


def _ratio(
    pieces: Float[np.ndarray, "batch n"], lags: tuple[int, int]
) -> Float[np.ndarray, " batch"]:
    """Highest r / (1 - r) of some windows in dB, between samples by a parabola."""
    from scipy.fft import irfft, rfft

    n = pieces.shape[1]
    window = np.hanning(n + 2)[1:-1]

    def autocorrelation(x: np.ndarray) -> np.ndarray:
        return np.asarray(irfft(np.square(np.abs(rfft(x, 2 * n))), 2 * n)[..., : lags[1] + 2])

    of_window = autocorrelation(window)
    mean = pieces.mean(axis=1, keepdims=True)
    r = autocorrelation((pieces - mean) * window)
    r = r / np.maximum(r[:, :1], 1e-20) / (of_window / of_window[0])
    inside = r[:, lags[0] : lags[1] + 1]
    best = lags[0] + inside.argmax(axis=1)
    rows = np.arange(len(r))
    left, middle, right = (r[rows, best + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    peak = np.where(
        bend < 0, middle - np.square(right - left) / (8 * np.minimum(bend, -1e-12)), middle
    )
    peak = np.clip(np.where(peak > middle + 0.1, middle, peak), 1e-3, _MOST)
    return np.asarray(10 * np.log10(peak / (1 - peak)))
