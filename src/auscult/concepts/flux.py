"""How much a spectrum has just changed."""

from typing import ClassVar, final

import numpy as np

from auscult.concepts.base import CONCEPTS, Concept, Labels
from auscult.concepts.framing import WindowParams, grid, spectra, window_length
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase

_APART_S = 0.01


@final
@CONCEPTS.register("flux")
class Flux(Concept):
    """Rise of the log-magnitude spectrum within 10 ms, in dB, mean over frequency.

    Bins that fall count as 0, so that it tells beginnings from ends. Magnitudes more than 80 dB
    below the clip's greatest count as that.
    """

    Params: ClassVar[type[Config]] = WindowParams
    unit: str = "dB"
    n_bins: int = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; a silent clip has no flux."""
        points = grid(audio, time)
        n = window_length(self.params.window_s, audio.sample_rate)
        half = max(1, round(_APART_S * audio.sample_rate / 2))
        samples = audio.samples.mean(0)
        ends = [
            np.concatenate(list(spectra(samples, np.clip(at, 0, audio.n_samples - 1), n)))
            for at in (points.centres - half, points.centres + half)
        ]
        greatest = max(float(one.max()) for one in ends)
        if greatest <= 0:
            nothing = np.full(len(points.points), np.nan)
            return Labels(nothing, np.zeros(len(nothing)))
        before, after = (20 * np.log10(np.maximum(one / greatest, 1e-4)) for one in ends)
        values = points.per_frame(np.maximum(after - before, 0.0).mean(axis=1).astype(np.float64))
        return Labels(values, np.ones(len(values)))
