"""Template: a model family. Copy to src/auscult/models/<family>.py and change what is marked."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.rng import seed_of
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Side, Tap, Weights


class ExampleParams(Config):
    """Settings of the family, one docstring each: they become the documentation."""

    n_channels: int = 8
    """Channels of the convolution."""


@MODELS.register("example-model")  # CHANGE: the name that users write
class ExampleModel(AudioModel):
    """One sentence: what it hears, what it was trained for, and the paper."""

    Params = ExampleParams

    def __init__(self, module: nn.Module, weights: Weights) -> None:
        self.module = module.eval()
        self.name = "example-model"
        self.sample_rate = 8_000  # CHANGE
        self.weights = weights

    @classmethod
    def build(cls, params: Any, weights: Weights, seed: int) -> "ExampleModel":
        """Make it; CHANGE: load trained weights with ``auscult.models.weights``."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "example-model", weights))
            module = nn.Sequential(nn.Conv1d(1, params.n_channels, 9, stride=4), nn.ReLU())
        return cls(module, weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Run all of it."""
        return self.module(waveform)

    def taps(self) -> list[Tap]:
        """Name what matters by role; every other module is reachable by its path."""
        return [Tap("0", role="conv.0", layout="bct"), Tap("1", role="act.0", layout="bct")]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """Say where frames lie; the contract suite proves it against the gradient."""
        del tap, side
        return TimeBase(self.sample_rate).after_conv(9, stride=4)
