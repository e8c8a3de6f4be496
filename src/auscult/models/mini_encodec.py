"""The bundled miniature EnCodec.

The architecture of EnCodec at 24 kHz, trained on sound that the project makes.
"""

import json
from pathlib import Path
from typing import Any

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.core.config import Config
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Side, Tap, Weights
from auscult.models.hub import fresh, transformers_module
from auscult.models.seanet import Seanet
from auscult.models.weights import load_strict, read_checkpoint, shuffle_weights

_BUNDLED = Path(__file__).parent / "bundled"


@MODELS.register("mini-encodec")
class MiniEncodec(AudioModel):
    """EnCodec with few filters; the roles are those of ``encodec``."""

    class Params(Config):
        """How much of the quantiser."""

        bandwidth_kbps: float | None = Field(default=None, gt=0)
        """How many levels of the quantiser take part, as a bit rate; all of them when not given."""

    def __init__(self, seanet: Seanet, weights: Weights) -> None:
        self.seanet = seanet
        self.module = seanet.module
        self.name = "mini-encodec"
        self.weights = weights
        self.sample_rate = seanet.sample_rate
        self.n_channels = seanet.n_channels
        self.codec = seanet.codec()

    @classmethod
    def build(cls, params: "MiniEncodec.Params", weights: Weights, seed: int) -> "MiniEncodec":
        """Load the bundled weights, shuffle them, or draw others.

        Raises:
            MissingExtraError: transformers is not installed.
        """
        transformers = transformers_module("mini-encodec")
        settings = json.loads((_BUNDLED / "mini-encodec.json").read_text(encoding="utf-8"))
        config = transformers.EncodecConfig.from_dict(settings)
        module = fresh(transformers.EncodecModel, config, seed)
        if weights != "random":
            tensors = read_checkpoint(_BUNDLED / "mini-encodec.safetensors")
            load_strict(module, tensors, "mini-encodec.safetensors")
        if weights == "shuffled":
            shuffle_weights(module, seed)
        seanet = Seanet(module, params.bandwidth_kbps)
        if weights != "trained":
            seanet.fill(seed)
        return cls(seanet, weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode and quantise; returns the quantised latents."""
        return self.seanet.quantise(self.seanet.encode(waveform))

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        return self.seanet.taps()

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the layers."""
        return self.seanet.times.get((tap.path, side))
