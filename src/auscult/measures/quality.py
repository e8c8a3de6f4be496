"""One dictionary on one sample of clips: every figure, each with its resamplings of recordings."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped

from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.metrics import DictionaryMetrics, metrics_of
from auscult.dictionaries.sums import Sums
from auscult.measures.dwell import Runs
from auscult.measures.statistics import recording_draws

WITHOUT_INTERVAL = frozenset({"dead_fraction"})
"""Figures that a bootstrap has no interval of: recordings left out of a draw let further features
die and none come alive, so every draw lies at or above the value itself."""

_BATCH_ACTS = 1 << 22
"""Activations held at once: 16 MiB."""


@dataclass(frozen=True)
class Frames:
    """Vectors in order of clip and time, with the recordings that are drawn anew.

    Attributes:
        values: The vectors.
        clips: Clip of each, counted from 0.
        frames: Its frame within the clip.
        recordings: Recording of each *clip*, counted from 0.
        step: Frames from one stored frame to the next.
        frame_rate: Frames per second.
    """

    values: Float[np.ndarray, "n d"]
    clips: Int64[np.ndarray, " n"]
    frames: Int64[np.ndarray, " n"]
    recordings: Int64[np.ndarray, " c"]
    step: int = 1
    frame_rate: float = 1.0

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, "n d"],
        clip_ids: Shaped[np.ndarray, " n"],
        frames: Int64[np.ndarray, " n"],
        recording_ids: Shaped[np.ndarray, " n"],
        step: int = 1,
        frame_rate: float = 1.0,
    ) -> "Frames":
        """From names of clips and recordings, frame by frame."""
        _, first, clips = np.unique(clip_ids, return_index=True, return_inverse=True)
        recordings = np.unique(recording_ids[first], return_inverse=True)[1]
        return cls(
            values, clips.astype(np.int64), frames, recordings.astype(np.int64), step, frame_rate
        )

    def draws(self, rng: np.random.Generator, n_resamples: int = 1000) -> Float[np.ndarray, "b c"]:
        """How often each clip counts in each bootstrap over recordings; none where there is one.

        See :func:`auscult.measures.statistics.recording_draws`.
        """
        n = int(self.recordings.max()) + 1
        return recording_draws(n, n_resamples, rng)[:, self.recordings]


@dataclass(frozen=True)
class Quality:
    """What one dictionary makes of a sample.

    Attributes:
        metrics: The figures of the sample itself.
        resampled: The same figures, those that are one number, over draws of the recordings; with
            ``dwell_s`` and ``dwell_shuffled_s``, the mean length of a run of activation in seconds,
            as it is and for the frames of each clip in random order.
        dwell_s: See above.
        dwell_shuffled_s: See above.
        dwell_by_feature_s: Of each feature alone; NaN for dead ones.
        clip_usage: Share of clips in which each feature is ever on. In [0, 1]; it exceeds usage,
            and grows with the length of the clips.
        explained_low: Lower end of the 95 % interval of each dimension's explained variance; NaN
            where there is one recording.
        explained_high: Its upper end.
    """

    metrics: DictionaryMetrics
    resampled: dict[str, Float[np.ndarray, " b"]]
    dwell_s: float
    dwell_shuffled_s: float
    dwell_by_feature_s: Float[np.ndarray, " m"]
    clip_usage: Float[np.ndarray, " m"]
    explained_low: Float[np.ndarray, " d"]
    explained_high: Float[np.ndarray, " d"]

    def value(self, name: str) -> float:
        """A figure of the sample."""
        return float(
            getattr(self, name) if name.startswith("dwell") else getattr(self.metrics, name)
        )

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float] | None:
        """Percentile interval of a figure over draws of the recordings; None where undefined."""
        return None if name in WITHOUT_INTERVAL else interval_of(self.resampled[name], level)


def interval_of(
    resampled: Float[np.ndarray, " b"], level: float = 0.95
) -> tuple[float, float] | None:
    """Percentile interval; None where fewer than half of the draws say anything.

    Bias: with fewer than about ten recordings it is too narrow.
    """
    known = resampled[np.isfinite(resampled)]
    if len(known) < max(1, len(resampled) / 2):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@torch.no_grad()
def measure_quality(
    dictionary: Dictionary, sample: Frames, draws: Float[np.ndarray, "b c"]
) -> Quality:
    """Encode a sample once and take every figure of it.

    Args:
        dictionary: Fitted to vectors of this width, on the CPU.
        sample: At least one vector.
        draws: From :meth:`Frames.draws`.
    """
    n_clips = len(sample.recordings)
    sums = Sums(sample.values.mean(0, dtype=np.float64), dictionary.n_features, n_clips)
    runs = Runs(n_clips, dictionary.n_features, sample.step)
    size = max(64, _BATCH_ACTS // dictionary.n_features)
    for start in range(0, len(sample.values), size):
        part = slice(start, start + size)
        values = np.ascontiguousarray(sample.values[part])
        acts = dictionary.encode(torch.from_numpy(values))
        sums.add(values, acts, dictionary.decode(acts), sample.clips[part])
        runs.add((acts != 0).numpy(), sample.clips[part], sample.frames[part])
    resampled = sums.figures(draws)
    seconds = sample.step / sample.frame_rate
    for name, frames in zip(("dwell_s", "dwell_shuffled_s"), runs.dwell(draws), strict=True):
        resampled[name] = frames * seconds
    resampled["l0_per_second"] = resampled["l0"] * sample.frame_rate
    metrics = metrics_of(sums, dictionary)
    # The sample's own frame rate, as for the interval: a dictionary need not know of time.
    metrics = replace(metrics, l0_per_second=metrics.l0 * sample.frame_rate)
    dwell, shuffled = (float(frames[0]) * seconds for frames in runs.dwell())
    low, high = np.full((2, sums.mean.size), np.nan)
    if len(draws):
        low, high = np.quantile(sums.explained_variance(draws), [0.025, 0.975], axis=0)
    return Quality(
        metrics,
        resampled,
        dwell,
        shuffled,
        runs.by_feature()[0] * seconds,
        runs.clip_usage,
        low,
        high,
    )
