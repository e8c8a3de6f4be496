"""The course of a generation: what is read of its states, its clean estimates, and their sound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from auscult.measures.familiarity import Familiarity
from auscult.measures.probe_targets import UNKNOWN, Target
from auscult.measures.probes import Probe

Frames = Float[np.ndarray, "prompt frame d"]
ByConcept = dict[str, np.ndarray]


def spread_over_classes(
    values: Float[np.ndarray, " frame"], target: Target
) -> Float[np.ndarray, " n_classes"]:
    """Shares of a sound's frames in the classes that a probe reads; NaN where no frame has one.

    A value falls in the class whose middle is nearest, as bins of equal width do; a frame without a
    value in the class that is off the scale, or nowhere where there is none.
    """
    on_scale = np.flatnonzero(np.isfinite(target.centres))
    off_scale = np.flatnonzero(~np.isfinite(target.centres))
    known = np.isfinite(values)
    nearest = np.abs(values[known, None] - target.centres[on_scale]).argmin(1)
    labels = np.full(len(values), off_scale[0] if len(off_scale) == 1 else UNKNOWN)
    labels[known] = on_scale[nearest]
    counts = np.bincount(labels[labels >= 0], minlength=target.n_classes)
    return np.asarray(counts / counts.sum() if counts.sum() else np.full(len(counts), np.nan))


def expected(p: Float[np.ndarray, "*at n_classes"], target: Target) -> Float[np.ndarray, "*at"]:
    """Mean over the classes that stand on the scale, in the target's unit.

    NaN where less than a hundredth of the mass stands on it.
    """
    on_scale = np.isfinite(target.centres)
    mass = p[..., on_scale].sum(-1)
    mean = p[..., on_scale] @ target.centres[on_scale] / np.maximum(mass, 1e-12)
    return np.asarray(np.where(mass > 0.01, mean, np.nan))


@final
@dataclass(frozen=True)
class Reader:
    """Probes of some concepts, trained on clean latents.

    Attributes:
        probes: By concept.
        targets: What each reads.
        familiarity: With the latents that they were trained on.
    """

    probes: Mapping[str, Probe]
    targets: Mapping[str, Target]
    familiarity: Familiarity

    def read(self, frames: Frames) -> ByConcept:
        """Distribution over each concept's classes, mean over frames: ``[prompt n_classes]``."""
        flat = frames.reshape(-1, frames.shape[-1]).astype(np.float32)
        found = {}
        for concept, probe in self.probes.items():
            p = np.exp(probe.answers(flat).log_probabilities)
            found[concept] = p.reshape(*frames.shape[:2], -1).mean(1)
        return found

    def strangeness(self, frames: Frames) -> Float[np.ndarray, " prompt"]:
        """Ratio of distances from training, median over ten frames of each prompt."""
        some = frames[:, :: max(1, frames.shape[1] // 10)]
        apart = self.familiarity.ratio(some.reshape(-1, some.shape[-1]))
        return np.asarray(np.median(apart.reshape(some.shape[:2]), axis=1))

    def straight(
        self, first: Frames, last: Frames, progress: Float[np.ndarray, " step"]
    ) -> ByConcept:
        """The null: what is read on the line between noise and result, ``[prompt step class]``.

        Nothing settles on it but by the geometry of the probes (METHODS C-8).
        """
        by_step = [self.read((1 - share) * first + share * last) for share in progress]
        return {name: np.stack([one[name] for one in by_step], 1) for name in self.probes}


@final
class Log:
    """Distributions at every step, filled in as batches come.

    Attributes:
        p: ``[prompt step n_classes]`` by concept; NaN where nothing was read.
    """

    def __init__(self, targets: Mapping[str, Target], n_prompts: int, n_steps: int) -> None:
        self.p: ByConcept = {
            name: np.full((n_prompts, n_steps, target.n_classes), np.nan)
            for name, target in targets.items()
        }

    def put(self, rows: slice | int, step: int | slice, read: Mapping[str, np.ndarray]) -> None:
        """Keep what was read of some prompts at a step, or at all of them."""
        for name, p in read.items():
            self.p[name][rows, step] = p
