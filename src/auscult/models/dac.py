"""The Descript Audio Codec (METHODS 2.6) through transformers."""

from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Codec, Method, Side, Tap, Weights
from auscult.models.hub import transformers_codec
from auscult.models.initial import fill_codebooks
from auscult.models.residual_stacks import StackTimes, Times, level_stages, stage_taps
from auscult.models.stimulus import harmonic_noise

_PUBLISHED: dict[str, dict[str, Any]] = {
    "descript/dac_16khz": {
        "sampling_rate": 16_000, "downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 12,
    },
    "descript/dac_24khz": {
        "sampling_rate": 24_000, "downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 32,
    },
    "descript/dac_44khz": {
        "sampling_rate": 44_100, "downsampling_ratios": [2, 4, 8, 8], "n_codebooks": 9,
    },
}  # fmt: skip


@MODELS.register("dac")
class Dac(AudioModel):
    """DAC (Kumar et al. 2023).

    Centred convolutions with periodic activations and a factorised quantiser.

    Roles: ``conv.0``, ``res.B.U`` (unit U of block B), ``conv.1`` … (the strided ones, then the
    last), ``latent``, ``rvq.N`` (``in`` is what is left over, ``codes`` its indices, ``out`` the
    vector they stand for), ``latent.q``, and ``decoder.…``, which fire in ``codec.decode``. The
    convolutions use no padding that depends on the length, so decoding gives fewer samples than
    went in: 44,032 for 44,100 at 44.1 kHz; align at the start before comparing.
    """

    class Params(Config):
        """Which DAC."""

        checkpoint: str = "descript/dac_44khz"
        """A hub name, or a local folder with config.json and model.safetensors."""
        n_levels: int | None = Field(default=None, ge=1)
        """Levels of the quantiser that take part; all of them when not given."""
        config: dict[str, Any] = {}
        """Changes of the configuration (for instance encoder_hidden_size = 8).

        For random weights only.
        """

    def __init__(self, module: Any, name: str, n_levels: int | None, weights: Weights) -> None:
        most = len(module.quantizer.quantizers)
        if n_levels is not None and n_levels > most:
            raise ConfigError(f"model.n_levels: {n_levels} of a quantiser with {most} levels")
        self.module = module
        self._dac = module
        self.name = name
        self.weights = weights
        self.sample_rate = int(module.config.sampling_rate)
        self.n_channels = 1
        self.n_levels = n_levels or most
        self.codec = Codec(
            self._encode,
            self._decode,
            self._quantise,
            self._codebooks(),
            self._codes_of,
            self._from_codes,
        )
        self._times = _times(module, self.sample_rate)

    @classmethod
    def build(cls, params: "Dac.Params", weights: Weights, seed: int) -> "Dac":
        """Load, shuffle or draw afresh; an untrained quantiser gets entries that fit its inputs.

        Raises:
            MissingExtraError: transformers is not installed.
            CheckpointError: The checkpoint cannot be loaded or does not fit.
            ConfigError: Changes of the configuration that do not go with the weights, or are
                unknown.
        """
        asked = params.checkpoint, params.config
        module = transformers_codec("Dac", *asked, _PUBLISHED, weights, seed)
        if weights == "random":
            level_stages(module, 1, int(module.config.sampling_rate), seed)
        model = cls(module, params.checkpoint, params.n_levels, weights)
        if weights != "trained":
            model._enliven(seed)
        return model

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode and quantise; returns the quantised latents."""
        return self._quantise(self._encode(waveform))

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        return [
            *stage_taps(self.module.encoder, "encoder", "", "conv1", decodes=False),
            Tap("encoder", "latent", "bct"),
            *(self._level(i) for i in range(self.n_levels)),
            Tap("quantizer", "latent.q", "bct", {"codes": _codes(1)}),
            *stage_taps(self.module.decoder, "decoder", "decoder.", "conv_t1", decodes=True),
        ]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the layers."""
        return self._times.get((tap.path, side))

    def _encode(self, waveform: Tensor) -> Tensor:
        latents: Tensor = self._dac.encoder(waveform)
        return latents

    def _quantise(self, latents: Tensor) -> Tensor:
        quantised: Tensor = self._dac.quantizer(latents, self.n_levels)[0]
        return quantised

    def _codes_of(self, latents: Tensor) -> Tensor:
        codes: Tensor = self._dac.quantizer(latents, self.n_levels)[1]
        return codes

    def _from_codes(self, codes: Tensor) -> Tensor:
        latents: Tensor = self._dac.quantizer.from_codes(codes)[0]
        return latents

    def _decode(self, latents: Tensor) -> Tensor:
        waveform: Tensor = self._dac.decoder(latents)
        return waveform

    def _codebooks(self) -> dict[str, Tensor]:
        levels = self._dac.quantizer.quantizers[: self.n_levels]
        return {f"rvq.{i}": level.codebook.weight.detach() for i, level in enumerate(levels)}

    def _level(self, index: int) -> Tap:
        return Tap(f"quantizer.quantizers.{index}", f"rvq.{index}", "bct", {"codes": _codes(3)})

    @torch.no_grad()
    def _enliven(self, seed: int) -> None:
        """Fit each level's table to what the level projects.

        Fresh ones are far from every input.
        """
        sound = harmonic_noise(self.sample_rate, 1, self.sample_rate, 4, seed)
        residual = self._encode(sound)
        for index, level in enumerate(self._dac.quantizer.quantizers):
            projected = level.in_proj(residual).transpose(1, 2).flatten(0, 1)
            fill_codebooks([level.codebook.weight], projected, seed + index)
            residual = residual - level(residual)[0]


def _codes(position: int) -> Method:
    """The indices within the tuple that a quantiser's ``forward`` returns."""

    def pick(output: Any) -> Tensor:
        codes: Tensor = output[position]
        return codes

    return Method("forward", pick=pick)


def _times(module: Any, sample_rate: int) -> Times:
    """Time bases on both sides of every tap."""
    stack = StackTimes(module)
    latent = stack.stage("encoder", TimeBase(sample_rate), "conv1")
    n_levels = len(module.quantizer.quantizers)
    for path in ("quantizer", *(f"quantizer.quantizers.{i}" for i in range(n_levels))):
        stack.note(path, latent, latent)
        stack.times[path, "codes"] = latent
    stack.stage("decoder", latent, "conv_t1")
    return stack.times
