"""How far the partials of a tone are stretched, as those of a stiff string are."""

from typing import ClassVar, final

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.concepts.framing import spectra, window_length
from auscult.concepts.pitch import Pitch, PitchParams
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

_FEWEST = 4
_PEAK_DB = -60.0


class InharmonicityParams(Config):
    """Settings of inharmonicity."""

    window_s: float = Field(0.2, gt=0)
    """Length of the Hann window around each frame: partials must stand apart in it."""
    n_partials: int = Field(12, ge=4)
    """How many partials are looked for."""
    most_per_second: int = Field(20, ge=1)
    """Frames that are measured each second; the others take the nearest one's value."""


@final
@CONCEPTS.register("inharmonicity")
class Inharmonicity(Concept):
    """log10 of B in f_h = h f_0 √(1 + B h²): near -3.5 in a piano's middle, below -5 for a voice.

    Partials are the highest peaks near where the pitch and the partials found so far foretell them;
    B is the slope over the intercept of (f_h / h)² over h². Values below -6 read -6. No value where
    there is no pitch or fewer than four partials within 60 dB of the highest.
    """

    Params: ClassVar[type[Config]] = InharmonicityParams
    unit: str = "log10 of B"
    n_bins: int = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame."""
        edges = hops(audio, time)
        middles = (edges[:-1] + edges[1:]) // 2
        n_points = max(
            1, int(np.ceil(audio.n_samples / audio.sample_rate * self.params.most_per_second))
        )
        at = np.linspace(0, audio.n_samples - 1, n_points + 2)[1:-1].astype(np.int64)
        pitch = Pitch(PitchParams()).label(audio, time).values
        own = np.searchsorted(edges, at, "right") - 1
        f0 = 440 * 2 ** ((pitch[np.clip(own, 0, len(pitch) - 1)] - 69) / 12)
        n = window_length(self.params.window_s, audio.sample_rate)
        magnitudes = np.concatenate(list(spectra(audio.samples.mean(0), at, n)))
        found = [
            _stretch(one, hz, audio.sample_rate / n, self.params.n_partials)
            for one, hz in zip(magnitudes, f0, strict=True)
        ]
        nearest = np.abs(middles[:, None] - at[None, :]).argmin(axis=1)
        values = np.array(found)[nearest]
        values = np.where(np.isfinite(pitch), values, np.nan)
        return Labels(values, np.isfinite(values).astype(np.float64))


def _stretch(
    magnitude: Float[np.ndarray, " bin"], f0_hz: float, bin_hz: float, n_partials: int
) -> float:
    """log10 of B of one spectrum; NaN where too few partials stand out."""
    if not np.isfinite(f0_hz):
        return float("nan")
    level = 20 * np.log10(np.maximum(magnitude, 1e-12) / max(float(magnitude.max()), 1e-12))
    stretch, base = 0.0, f0_hz
    numbers: list[int] = []
    squares: list[float] = []
    for h in range(1, n_partials + 1):
        wanted = h * base * np.sqrt(1 + stretch * h * h)
        reach = 0.25 * f0_hz
        low, high = int((wanted - reach) / bin_hz) + 1, int((wanted + reach) / bin_hz)
        if high + 1 >= len(level):
            break
        if low < 1 or high <= low:
            continue
        top = low + int(level[low : high + 1].argmax())
        if level[top] < _PEAK_DB or not level[top - 1] <= level[top] >= level[top + 1]:
            continue
        left, middle, right = level[top - 1 : top + 2]
        shift = 0.5 * (left - right) / min(left - 2 * middle + right, -1e-9)
        numbers.append(h)
        squares.append(((top + shift) * bin_hz / h) ** 2)
        if len(numbers) >= 3:
            slope, intercept = np.polyfit(np.square(numbers), squares, 1)
            stretch, base = max(float(slope / intercept), 0.0), float(np.sqrt(max(intercept, 1.0)))
    if len(numbers) < _FEWEST:
        return float("nan")
    slope, intercept = np.polyfit(np.square(numbers), squares, 1)
    return float(np.log10(max(slope / intercept, 1e-6)))
