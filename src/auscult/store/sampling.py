"""Which frames of a clip are stored: a pure function of the clip's id and a seed."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int64
from pydantic import Field, model_validator

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.rng import named_rng


class Sampling(Config):
    """Which frames are kept. A first layer at 24 kHz is 553 GB per 100 hours if kept whole."""

    policy: Literal["all", "stride", "runs", "energy"] = "all"
    """Every frame; every ``stride``-th; ``frames_per_clip`` in runs placed at random; the same, but
    runs are drawn with probability in proportion to their energy (silence is drawn last)."""
    frames_per_clip: int | None = Field(default=None, ge=1)
    """Frames kept of each clip under ``runs`` and ``energy``; shorter clips are kept whole."""
    run_frames: int = Field(default=8, ge=1)
    """Consecutive frames in a run: generators r[t + lag] - r[t] exist for lags below it."""
    stride: int = Field(default=1, ge=1)
    """Frames from one kept frame to the next under ``stride``."""

    @model_validator(mode="after")
    def _agree(self) -> "Sampling":
        drawn = self.policy in ("runs", "energy")
        if drawn and self.frames_per_clip is None:
            raise ValueError(f"policy {self.policy!r} needs frames_per_clip")
        if not drawn and self.frames_per_clip is not None:
            raise ValueError(
                f"frames_per_clip has no meaning under policy {self.policy!r}; use 'runs'"
            )
        if self.policy != "stride" and self.stride != 1:
            raise ValueError(f"stride has no meaning under policy {self.policy!r}; use 'stride'")
        if self.frames_per_clip is not None and self.frames_per_clip % self.run_frames:
            raise ValueError(
                f"frames_per_clip ({self.frames_per_clip}) must be a multiple of run_frames "
                f"({self.run_frames})"
            )
        return self

    @property
    def step(self) -> int:
        """Frames from one kept frame to the next within a run."""
        return self.stride


def chosen_frames(
    sampling: Sampling,
    n_frames: int,
    clip_id: str,
    seed: int,
    energy: Float[np.ndarray, " n_frames"] | None = None,
) -> Int64[np.ndarray, " n_chosen"]:
    """Choose the frames of a clip, sorted; the same clip id and seed always choose the same.

    ``runs`` draws uniformly from all ways to place the runs without overlap. ``energy`` cuts the
    clip into runs from a random phase on and draws among these without replacement, each draw in
    proportion to the energy of the runs that are left.

    Args:
        sampling: The policy.
        n_frames: Frames that the clip has, padding not counted.
        clip_id: Names the draw, together with ``seed``.
        seed: Of the run.
        energy: Of each frame, at least 0; needed by the policy ``energy`` only.

    Raises:
        ConfigError: The policy is ``energy`` and none was given.
    """
    if sampling.policy == "all" or n_frames == 0:
        return np.arange(n_frames, dtype=np.int64)
    rng = named_rng(seed, "sampling", clip_id)
    if sampling.policy == "stride":
        first = int(rng.integers(min(sampling.stride, n_frames)))
        return np.arange(first, n_frames, sampling.stride, dtype=np.int64)
    if sampling.frames_per_clip is None or n_frames <= sampling.frames_per_clip:
        return np.arange(n_frames, dtype=np.int64)
    length = sampling.run_frames
    n_runs = sampling.frames_per_clip // length
    if sampling.policy == "runs":
        # Placing runs of length L is choosing distinct points once each run is shrunk to one frame.
        points = rng.choice(n_frames - n_runs * (length - 1), size=n_runs, replace=False)
        starts = np.sort(points) + np.arange(n_runs) * (length - 1)
    elif energy is None:
        raise ConfigError("sampling policy 'energy' needs the energy of each frame")
    else:
        starts = _energetic(energy, n_runs, length, rng)
    frames = starts[:, None] + np.arange(length)
    return frames.reshape(-1).astype(np.int64)


def _energetic(
    energy: Float[np.ndarray, " n_frames"], n_runs: int, length: int, rng: np.random.Generator
) -> Int64[np.ndarray, " n_runs"]:
    """Draw starts of runs in proportion to their energy, without replacement.

    The smallest of independent exponential times with rates w is that of item i with probability
    w_i / sum(w), the next smallest likewise among the rest (Efraimidis and Spirakis 2006).
    """
    slack = len(energy) - n_runs * length
    first = int(rng.integers(min(slack, length - 1) + 1))
    n_candidates = (len(energy) - first) // length
    used = energy[first : first + n_candidates * length].astype(np.float64)
    weight = used.reshape(n_candidates, length).sum(1)
    times = rng.exponential(size=n_candidates)
    # Runs without energy come after all others, among themselves in random order.
    silent = weight <= 0
    times[~silent] /= weight[~silent]
    order = np.lexsort((times, silent))
    return np.sort(first + order[:n_runs].astype(np.int64) * length)
