"""Loudness as broadcasters measure it: momentary, K-weighted."""

from typing import final

import numpy as np

from auscult.concepts.base import CONCEPTS, Concept, Labels
from auscult.concepts.framing import grid
from auscult.core.audio import Audio
from auscult.core.loudness import OFFSET, k_weighted
from auscult.core.timebase import TimeBase

_BLOCK_S = 0.4
_FLOOR = 1e-10


@final
@CONCEPTS.register("lufs")
class Lufs(Concept):
    """Momentary loudness (EBU R 128, ITU-R BS.1770): K-weighted power of 400 ms around a frame.

    At the ends of a clip the block is as long as what is there of it. Channels are averaged to one,
    so that a stereo sound of equal channels reads 3 LU below the standard's sum.
    """

    unit: str = "LUFS"
    n_bins: int = 20

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame; silence is -100.7 LUFS."""
        points = grid(audio, time)
        filtered = k_weighted(audio.samples.mean(0), audio.sample_rate)
        sums = np.concatenate([[0.0], np.cumsum(np.square(filtered))])
        reach = round(_BLOCK_S * audio.sample_rate / 2)
        low = np.maximum(points.centres - reach, 0)
        high = np.minimum(points.centres + reach, audio.n_samples)
        power = np.maximum((sums[high] - sums[low]) / np.maximum(high - low, 1), _FLOOR)
        values = points.per_frame(OFFSET + 10 * np.log10(power))
        return Labels(values, np.ones(len(values)))
