"""Encoders of random strides: architectures that a prediction has never seen (METHODS B-5)."""

from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.timebase import TimeBase
from auscult.measures.stages import Stage
from auscult.models.base import AudioModel, Side, Tap
from auscult.models.initial import level_convolutions, redraw_weights
from auscult.models.stimulus import harmonic_noise

_STRIDES = (2, 3, 4, 5, 6, 8)
_LONGEST_HOP = 256


class RandomStack(AudioModel):
    """A small encoder in the manner of SEANet: convolutions twice as long as their strides, ELU.

    Strides, widths and weights are drawn. Its one stage is its last convolution.
    """

    def __init__(self, sample_rate: int, rng: np.random.Generator) -> None:
        strides = _draw_strides(rng)
        widths = [int(rng.integers(6, 13)), *(int(rng.integers(8, 25)) for _ in strides)]
        layers: list[nn.Module] = [nn.Conv1d(1, widths[0], 7)]
        time = TimeBase(sample_rate).after_conv(7)
        for stride, before, after in zip(strides, widths, widths[1:], strict=False):
            layers += [nn.ELU(), nn.Conv1d(before, after, 2 * stride, stride)]
            time = time.after_conv(2 * stride, stride)
        layers += [nn.ELU(), nn.Conv1d(widths[-1], widths[-1], 3)]
        self._time = time.after_conv(3)
        self._last = str(len(layers) - 1)
        self.module = nn.Sequential(*layers).eval()
        self.name = "strides " + " ".join(str(stride) for stride in strides)
        self.sample_rate = sample_rate
        self.weights = "random"
        self.n_last = widths[-1]
        redraw_weights(self.module, int(rng.integers(1 << 31)))
        sound = harmonic_noise(sample_rate, 1, sample_rate)
        level_convolutions(self.module, lambda: self.module(sound))

    @classmethod
    def build(cls, params: Any, weights: Any, seed: int) -> "RandomStack":  # noqa: ARG003
        """At 16 kHz, from a seed."""
        return cls(16_000, np.random.default_rng(seed))

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Run it."""
        return self.module(waveform)

    def taps(self) -> list[Tap]:
        """Its last convolution."""
        return [Tap(self._last, "latent", "bct")]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition."""
        return self._time if tap.path == self._last and side == "out" else None

    @property
    def stage(self) -> Stage:
        """Its last convolution."""
        return Stage("latent", "Conv1d", self._time, self.n_last)


def _draw_strides(rng: np.random.Generator) -> list[int]:
    """Two to four strides whose product is between 16 and 256."""
    while True:
        strides = rng.choice(_STRIDES, int(rng.integers(2, 5))).tolist()
        if 16 <= int(np.prod(strides)) <= _LONGEST_HOP:
            return [int(stride) for stride in strides]
