"""What a concept is: a labeler that speaks in the frames of a tap."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.registry import Registry
from auscult.core.timebase import TimeBase
from auscult.measures.probe_targets import Target, binned, categories

CONCEPTS: Registry["Concept"] = Registry("concept", "auscult.concepts")


@dataclass(frozen=True)
class Labels:
    """One value a frame.

    Attributes:
        values: In the concept's unit; NaN where it has no value (an unvoiced frame has no pitch).
        confidence: How sure the labeler is, in [0, 1].
        names: For classes without an order: what the values 0, 1, … stand for.
    """

    values: Float[np.ndarray, " frame"]
    confidence: Float[np.ndarray, " frame"]
    names: tuple[str, ...] = ()

    @property
    def known(self) -> Bool[np.ndarray, " frame"]:
        """Frames that have a value."""
        known: np.ndarray = np.isfinite(self.values)
        return known


class Concept(ABC):
    """A labeler of sounds, aligned to any tap's time base.

    Frame ``i`` is labelled by the samples of its own hop, [i · hop, (i + 1) · hop): its receptive
    field overlaps with its neighbours' and would smear the label (METHODS C-4).

    Attributes:
        unit: Of the values; "" for classes without an order.
        n_bins: Into how many bins a probe divides the values.
        classes: Names of classes without an order, where they are the same for all sounds.
        edges: Of the bins where they are the same for all sounds; empty: equal widths over the
            sounds at hand.
        absent: Name of the class of frames without a value; None: such frames are left out.
    """

    registered_name: ClassVar[str] = ""
    Params: ClassVar[type[Config]] = Config
    unit: str
    n_bins: int
    classes: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    absent: str | None = None

    def __init__(self, params: Any = None) -> None:
        self.params: Any = self.Params() if params is None else params

    @abstractmethod
    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """Label every frame of a sound that is at the rate of the time base."""

    def about(self, told: Mapping[str, str | float]) -> "Concept":  # noqa: ARG002
        """The concept for a clip of which something is known; most labelers only listen."""
        return self

    def target(self, labels: Sequence[Labels], fitted: Bool[np.ndarray, " n"]) -> Target:
        """What a probe is to read from frames of several clips.

        Args:
            labels: Of each clip, in order.
            fitted: Which of all their frames bins may be laid over: those of training.

        Raises:
            ConfigError: The values of training do not differ.
        """
        values = np.concatenate([one.values for one in labels])
        if any(one.names for one in labels):
            words = [
                one.names[int(value)] if np.isfinite(value) else None
                for one in labels
                for value in one.values
            ]
            return categories(words, self.classes or None)
        edges = np.array(self.edges) if self.edges else bin_edges(values[fitted], self.n_bins)
        return binned(values, edges, self.unit, self.absent)


def hops(audio: Audio, time: TimeBase) -> Int[np.ndarray, " edge"]:
    """Edges of the frames' hops in samples, one more than there are frames.

    Raises:
        ConfigError: The sound is at another rate than the time base.
    """
    if audio.sample_rate != time.sample_rate:
        raise ConfigError(
            f"{audio.source or 'the sound'} is at {audio.sample_rate} Hz, "
            f"the time base counts samples at {time.sample_rate} Hz"
        )
    frames = time.frames_of(0, audio.n_samples)
    edges = [math.ceil(i * time.hop) for i in range(frames.stop + 1)]
    return np.minimum(np.array(edges, dtype=np.int64), audio.n_samples)


def bin_edges(
    values: Float[np.ndarray, " n"], n_bins: int, tails: float = 0.005
) -> Float[np.ndarray, " edge"]:
    """Equal-width bins between the quantiles ``tails`` and ``1 - tails`` (METHODS C-4).

    Widths are equal, not counts: where many values are the same, other bins are empty, and the
    majority class that every score is read against is large. Where nearly all are the same there is
    no width left to divide.

    Raises:
        ConfigError: There are no two different values, or the quantiles are one and the same.
    """
    known = values[np.isfinite(values)]
    if len(known) < 2 or known.min() == known.max():
        raise ConfigError("bins need at least two different values")
    low, high = np.quantile(known, [tails, 1 - tails])
    if low == high:
        raise ConfigError(
            f"{float(np.mean(known == low)):.1%} of the values are {low:.4g}, so that bins between "
            f"the {100 * tails:g} and {100 * (1 - tails):g} % quantiles have no width: give sounds "
            "that differ more"
        )
    return np.linspace(low, high, n_bins + 1)
