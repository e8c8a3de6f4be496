"""How long features stay on, against the same frames in random order (PEERS §7.3, temporal)."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64


class Runs:
    """Runs of frames in which a feature is on, counted by clip.

    Frames come in order of clip and time. A run ends where the feature goes off, where a frame was
    not stored, and where the clip ends. Bias: runs that reach the end of a stored stretch are cut
    there, so that dwell times come out too short where they are not much shorter than the stretch.

    Args:
        n_clips: How many clips there are.
        n_features: How many features.
        step: Frames from one stored frame to the next.
    """

    def __init__(self, n_clips: int, n_features: int, step: int = 1) -> None:
        self.n = np.zeros(n_clips, np.int64)
        self.n_stretches = np.zeros(n_clips, np.int64)
        self.n_on = np.zeros((n_clips, n_features), np.int64)
        self.n_runs = np.zeros((n_clips, n_features), np.int64)
        self._step = step
        self._last: tuple[int, int, Any] = (-1, 0, None)

    def add(
        self,
        on: Bool[np.ndarray, "n n_features"],
        clips: Int64[np.ndarray, " n"],
        frames: Int64[np.ndarray, " n"],
    ) -> None:
        """Take in the next frames; a run may go on from one call to the next."""
        if not len(on):
            return
        clip, frame, was_on = self._last
        before = np.concatenate([[clip], clips[:-1]]), np.concatenate([[frame], frames[:-1]])
        begins = (clips != before[0]) | (frames != before[1] + self._step)
        starts = on.copy()
        starts[1:] &= ~(on[:-1] & ~begins[1:, None])
        if not begins[0]:
            starts[0] &= ~was_on
        np.add.at(self.n, clips, 1)
        np.add.at(self.n_stretches, clips, begins)
        places = np.flatnonzero(np.diff(clips, prepend=-1))
        for total, part in ((self.n_on, on), (self.n_runs, starts)):
            np.add.at(total, clips[places], np.add.reduceat(part, places, 0, np.int64))
        self._last = (int(clips[-1]), int(frames[-1]), on[-1].copy())

    @property
    def n_runs_shuffled(self) -> Float[np.ndarray, "n_clips n_features"]:
        """Runs to be expected if the frames of each clip stood in random order.

        A feature on in K of n frames is on in a given frame with probability K / n, and the frame
        before it is then off with (n - K) / (n - 1); at the beginning of a stretch there is none.
        """
        n, s = self.n[:, None].astype(np.float64), self.n_stretches[:, None]
        k = self.n_on
        after_off = np.divide(n - k, n - 1, np.zeros(k.shape), where=n > 1)
        share = np.divide(k, n, np.zeros(k.shape), where=n > 0)
        return np.asarray(share * (s + (n - s) * after_off))

    def dwell(
        self, weights: Float[np.ndarray, "b n_clips"] | None = None
    ) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
        """Mean length of a run in stored frames, and the same for frames in random order.

        All runs of all features count alike. From 1 up; neither high nor low is better: what lasts
        as long as in random order carries no time, what never ends carries no event. Bias: dense
        features have long runs by chance alone (the second answer shows it), and frames whose spans
        overlap are alike even to untrained weights. NaN where nothing is ever on.

        Args:
            weights: How often each clip counts; once each unless given.
        """
        w = np.ones((1, len(self.n))) if weights is None else weights
        n_on = w @ self.n_on.sum(1)
        runs = w @ self.n_runs.sum(1), w @ self.n_runs_shuffled.sum(1)
        found, shuffled = (
            np.divide(n_on, n, np.full(len(n_on), np.nan), where=n > 0) for n in runs
        )
        return found, shuffled

    def by_feature(self) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Mean length of the runs of each feature, and in random order; NaN for dead ones."""
        n_on = self.n_on.sum(0)
        runs = self.n_runs.sum(0), self.n_runs_shuffled.sum(0)
        found, shuffled = (
            np.divide(n_on, n, np.full(len(n_on), np.nan), where=n > 0) for n in runs
        )
        return found, shuffled

    @property
    def clip_usage(self) -> Float[np.ndarray, " m"]:
        """Share of clips in which each feature is ever on, in [0, 1]; grows with their length."""
        return np.asarray((self.n_on > 0).mean(0))
