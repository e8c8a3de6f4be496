"""Encoders of random strides: architectures that a prediction has never seen (METHODS B-5)."""

import copy
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
_ACTIVATIONS: tuple[type[nn.Module], ...] = (nn.ELU, nn.LeakyReLU, nn.ReLU)


class Residual(nn.Module):
    """Activation, dilated convolution, activation, convolution of one sample; and a shortcut."""

    def __init__(self, width: int, kernel: int, dilation: int, activation: type[nn.Module]) -> None:
        super().__init__()
        hidden = max(2, width // 2)
        self.first = activation()
        self.conv = nn.Conv1d(width, hidden, kernel, dilation=dilation)
        self.second = activation()
        self.out = nn.Conv1d(hidden, width, 1)
        self._cut = dilation * (kernel - 1) // 2

    def forward(self, x: Float[Tensor, "batch width frame"]) -> Float[Tensor, "batch width inner"]:
        """Without padding: the shortcut is cut to what the branch leaves."""
        branch = self.out(self.second(self.conv(self.first(x))))
        inner: Tensor = x[..., self._cut : self._cut + branch.shape[-1]] + branch
        return inner


class RandomStack(AudioModel):
    """A small encoder in the manner of SEANet: residual units, convolutions twice their strides.

    Strides, widths, number and dilation of residual units, activations and weights are drawn: among
    them are stacks of strides alone, and ones with the dilated units of SEANet, DAC and Lyra. Its
    one stage is its last convolution.
    """

    def __init__(self, sample_rate: int, rng: np.random.Generator) -> None:
        strides = _draw_strides(rng)
        widths = [int(rng.integers(6, 13)), *(int(rng.integers(8, 25)) for _ in strides)]
        n_units = int(rng.integers(0, 3))
        kernel = 3 if n_units > 1 else int(rng.choice((3, 7)))
        activation = _ACTIVATIONS[int(rng.integers(len(_ACTIVATIONS)))]
        layers: list[nn.Module] = [nn.Conv1d(1, widths[0], 7)]
        time = TimeBase(sample_rate).after_conv(7)
        for stride, before, after in zip(strides, widths, widths[1:], strict=False):
            for dilation in (3**i for i in range(n_units)):
                layers.append(Residual(before, kernel, dilation, activation))
                time = time.after_conv(kernel, dilation=dilation)
            layers += [activation(), nn.Conv1d(before, after, 2 * stride, stride)]
            time = time.after_conv(2 * stride, stride)
        layers += [activation(), nn.Conv1d(widths[-1], widths[-1], 3)]
        self._time = time.after_conv(3)
        self._last = str(len(layers) - 1)
        self.module = nn.Sequential(*layers).eval()
        self.name = (
            f"strides {' '.join(str(stride) for stride in strides)}, {n_units} residual units, "
            f"{activation.__name__}"
        )
        self.sample_rate = sample_rate
        self.weights = "random"
        self.n_last = widths[-1]
        self._draw(int(rng.integers(1 << 31)))

    def _draw(self, seed: int) -> None:
        redraw_weights(self.module, seed)
        sound = harmonic_noise(self.sample_rate, 1, self.sample_rate)
        level_convolutions(self.module, lambda: self.module(sound))

    def redrawn(self, seed: int) -> "RandomStack":
        """The same architecture under other weights."""
        other = copy.copy(self)
        other.module = copy.deepcopy(self.module)
        other._draw(seed)
        return other

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
