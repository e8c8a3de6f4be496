"""Embeddings of sounds without a download: what distances between sets of sounds are taken in."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int

from auscult.core.audio import Audio
from auscult.core.distances import magnitudes, mel_filters
from auscult.core.errors import NothingToMeasureError
from auscult.models.base import AudioModel
from auscult.taps.capture import run_capture

_FLOOR_DB = -100.0
_AT_ONCE = 16


@dataclass(frozen=True)
class Embedded:
    """Vectors of a set of sounds, some for each.

    Attributes:
        values: One vector per stretch of sound.
        sounds: Which sound each is a stretch of.
    """

    values: Float[np.ndarray, "n d"]
    sounds: Int[np.ndarray, " n"]

    def of(self, sounds: Int[np.ndarray, " k"]) -> Float[np.ndarray, "m d"]:
        """The vectors of some sounds; a sound that is named twice brings its vectors twice."""
        rows = [np.flatnonzero(self.sounds == one) for one in sounds]
        return self.values[np.concatenate(rows)]


@runtime_checkable
class Embedder(Protocol):
    """Turns sounds into vectors."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    def embed(self, sounds: Sequence[Audio]) -> Embedded:
        """One vector for every stretch of every sound; sounds are mixed to one channel."""
        ...


@dataclass(frozen=True)
class LogMelStatistics:
    """Mean and standard deviation of the levels of mel bands, over stretches of a sound.

    No network: what it tells apart is spectral shape, level and how much both change.

    Attributes:
        stretch_s: Length of a stretch.
        n_mels: Bands; vectors are twice as wide.
        window_s: Length of the analysis window.
    """

    stretch_s: float = 0.5
    n_mels: int = 32
    window_s: float = 0.064

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"log-mel statistics, {self.n_mels} bands"

    def embed(self, sounds: Sequence[Audio]) -> Embedded:
        """Levels in dB, at least -100.

        Raises:
            NothingToMeasureError: No sound is as long as a stretch.
        """

        def vectors(samples: np.ndarray, sample_rate: int) -> np.ndarray:
            window = round(self.window_s * sample_rate)
            waveform = torch.from_numpy(samples).double()
            power = magnitudes(waveform, window).square() / window**2
            bands = mel_filters(sample_rate, window, self.n_mels) @ power
            levels = 10 * torch.log10(bands.clamp_min(10 ** (_FLOOR_DB / 10)))
            return torch.cat([levels.mean(-1), levels.std(-1)], dim=1).numpy()

        return _embedded(sounds, self.stretch_s, vectors)


@dataclass(frozen=True)
class TapEmbedder:
    """Mean over time of what a tap of a model says, over stretches of a sound.

    Attributes:
        model: Any model; sounds are converted to its rate.
        tap: Where it is listened to.
        stretch_s: Length of a stretch; 0 for the length that suits the model.
    """

    model: AudioModel
    tap: str
    stretch_s: float = 0.0

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"{self.model.name} {self.tap}"

    def embed(self, sounds: Sequence[Audio]) -> Embedded:
        """One vector per stretch.

        Raises:
            NothingToMeasureError: No sound is as long as a stretch.
        """
        model = self.model
        stretch = self.stretch_s or self._suits
        converted = [sound.resampled(model.sample_rate) for sound in sounds]

        def vectors(samples: np.ndarray, sample_rate: int) -> np.ndarray:
            del sample_rate
            parts = []
            for start in range(0, len(samples), _AT_ONCE):
                some = torch.from_numpy(samples[start : start + _AT_ONCE]).float()[:, None]
                some = some.expand(-1, model.n_channels, -1).contiguous()
                parts.append(run_capture(model, some, [self.tap])[self.tap].values.mean(1).numpy())
            return np.concatenate(parts)

        return _embedded(converted, stretch, vectors)

    @cached_property
    def _suits(self) -> float:
        return (self.model.probe_samples or self.model.sample_rate) / self.model.sample_rate


def usual_embedders() -> list[Embedder]:
    """Two that need no download: mel levels, and the last layer of the bundled toy network."""
    from auscult.models.samplecnn import ToyModel

    toy = ToyModel.build(ToyModel.Params(), "trained", 0)
    # The network was made for clips of half of what probes get.
    stretch_s = toy.probe_samples / 2 / toy.sample_rate
    return [LogMelStatistics(), TapEmbedder(toy, "act.8", stretch_s)]


def _embedded(sounds: Sequence[Audio], stretch_s: float, vectors: "_Vectors") -> Embedded:
    """Cut sounds into as many whole stretches as they hold; what is left lies at both ends."""
    values, which = [], []
    for number, sound in enumerate(sounds):
        size = round(stretch_s * sound.sample_rate)
        count = sound.n_samples // size
        if count:
            start = (sound.n_samples - count * size) // 2
            mono = sound.samples.mean(0)[start : start + count * size]
            values.append(
                vectors(np.ascontiguousarray(mono.reshape(count, size)), sound.sample_rate)
            )
            which += [number] * count
    if not values:
        raise NothingToMeasureError(f"no sound is as long as {stretch_s:g} s")
    return Embedded(np.concatenate(values), np.array(which))


@runtime_checkable
class _Vectors(Protocol):
    def __call__(self, samples: np.ndarray, sample_rate: int) -> np.ndarray: ...
