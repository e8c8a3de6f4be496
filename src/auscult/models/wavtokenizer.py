"""WavTokenizer (METHODS 2.4): 40 or 75 tokens a second from one codebook."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.rng import seed_of
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Codec, Layout, Method, Side, Tap, Weights
from auscult.models.initial import fill_codebooks, redraw_weights
from auscult.models.networks.vocos import AdaptiveNorm
from auscult.models.networks.wavtokenizer import WavTokenizerNetwork, WavTokenizerShape
from auscult.models.seanet_stacks import Times, stack_taps, walk_stack
from auscult.models.stimulus import harmonic_noise
from auscult.models.wavtokenizer_files import check_settings, read_shape, read_tensors
from auscult.models.weights import load_strict, shuffle_weights

_SAMPLE_RATE = 24_000
_RATIOS = {40: (6, 5, 5, 4), 75: (8, 5, 4, 2)}


@MODELS.register("wavtokenizer")
class WavTokenizer(AudioModel):
    """WavTokenizer (Ji et al. 2024), small, medium and large.

    EnCodec's encoder, but that it looks ahead; one codebook; a Vocos decoder that never samples up.

    Roles: ``conv.N``, ``res.N``, ``lstm``, ``latent`` (before the quantiser), ``rvq.0`` (``in`` the
    latents, ``codes`` the indices, ``out`` the entries) and ``latent.q``, which is the same place;
    and, firing in ``codec.decode``: ``decoder.conv.0``, ``decoder.res.N``, ``decoder.attn``,
    ``decoder.block.N`` (ConvNeXt), ``decoder.block.N.mlp.act`` (its neurons), ``decoder.final``,
    ``decoder.spectrum`` (log magnitudes, then phases) and ``sound``. Norms over time and an
    attention stand behind the decoder's first convolution: every frame there hears the whole clip.
    """

    class Params(Config):
        """Which weights; sizes only where no checkpoint tells them."""

        checkpoint: str | None = None
        """The published ``.ckpt``, or its tensors as safetensors.

        Needed unless the weights are random; its tensors tell the network's sizes.
        """
        settings: str | None = None
        """The ``.yaml`` file published with it, to be checked against the tensors."""
        bandwidth_id: int = Field(default=0, ge=0)
        """Which of the bit rates known to the decoder's norms; published use is 0."""
        tokens_per_second: Literal[40, 75] = 75
        """How many, without a checkpoint."""
        config: dict[str, int] = Field(default_factory=dict)
        """Other sizes (for instance n_filters = 4), without a checkpoint."""

    def __init__(
        self, module: WavTokenizerNetwork, name: str, bandwidth_id: int, weights: Weights
    ) -> None:
        if bandwidth_id >= module.shape.n_bandwidths:
            raise ConfigError(
                f"model.bandwidth_id: the decoder knows {module.shape.n_bandwidths} bit rates, "
                f"counted from 0, and {bandwidth_id} is none of them"
            )
        self.module = module
        self.network = module
        self.name = name
        self.weights = weights
        self.sample_rate = _SAMPLE_RATE
        self.bandwidth_id = bandwidth_id
        self.codec = Codec(
            self._encode,
            self._decode,
            self._quantise,
            {"rvq.0": module.quantizer.embed},
            module.quantizer.encode,
            module.quantizer.decode,
        )
        self._times = _times(module)

    @classmethod
    def build(cls, params: "WavTokenizer.Params", weights: Weights, seed: int) -> "WavTokenizer":
        """Load, shuffle or draw afresh; an untrained codebook gets entries that fit its latents.

        Raises:
            MissingExtraError: transformers is not installed.
            ConfigError: Trained or shuffled weights without a checkpoint; sizes beside one.
            CheckpointError: It cannot be read without executing something, or does not fit.
        """
        module, name = _network(params, weights)
        if weights == "random":
            redraw_weights(module, seed)
            for layer in module.modules():
                # Drawn gains would be negative half of the time.
                if isinstance(layer, AdaptiveNorm):
                    layer.reset_parameters()
        elif weights == "shuffled":
            shuffle_weights(module, seed)
        model = cls(module, name, params.bandwidth_id, weights)
        if weights != "trained":
            model._fill(seed)
        return model

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode and quantise; returns the quantised latents."""
        return self._quantise(self._encode(waveform))

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        codes: dict[Side, Method] = {"codes": Method("forward", pick=_second)}
        return [
            *stack_taps(self.network.encoder, "encoder", "", decodes=False),
            Tap("encoder", "latent", "bct"),
            Tap("quantizer", "rvq.0", "bct", codes),
            Tap("quantizer", "latent.q", "bct", codes),
            *_decoder_taps(self.network),
        ]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the layers."""
        return self._times.get((tap.path, side))

    def _encode(self, waveform: Tensor) -> Tensor:
        latents: Tensor = self.network.encoder(waveform)
        return latents

    def _quantise(self, latents: Tensor) -> Tensor:
        quantised: Tensor = self.network.quantizer(latents)[0]
        return quantised

    def _decode(self, latents: Tensor) -> Tensor:
        return self.network.decode(latents, self.bandwidth_id)

    @torch.no_grad()
    def _fill(self, seed: int) -> None:
        sound = harmonic_noise(_SAMPLE_RATE, 1, _SAMPLE_RATE, 8, seed)
        latents = self._encode(sound).transpose(1, 2).flatten(0, 1)
        fill_codebooks([self.network.quantizer.embed], latents, seed_of(seed, "quantiser"))


def _network(params: WavTokenizer.Params, weights: Weights) -> tuple[WavTokenizerNetwork, str]:
    """The network, filled where there is a checkpoint, and its name."""
    if params.checkpoint is None:
        if weights != "random":
            raise ConfigError(
                "model: wavtokenizer has no bundled weights; give checkpoint = the published .ckpt "
                'file (or its tensors as .safetensors), or weights = "random"'
            )
        shape = _changed(params.config, _RATIOS[params.tokens_per_second])
        return WavTokenizerNetwork(shape, _SAMPLE_RATE).eval(), "wavtokenizer"
    if params.config:
        raise ConfigError("model.config: the checkpoint's tensors tell all sizes, leave it out")
    path = Path(params.checkpoint).expanduser()
    tensors = read_tensors(path)
    shape = read_shape(tensors, path.name)
    if params.settings is not None:
        check_settings(Path(params.settings).expanduser(), shape)
    module = WavTokenizerNetwork(shape, _SAMPLE_RATE).eval()
    load_strict(module, tensors, path.name)
    return module, f"wavtokenizer ({path.name})"


def _changed(config: Mapping[str, int], ratios: tuple[int, ...]) -> WavTokenizerShape:
    known = {one.name for one in fields(WavTokenizerShape)} - {"ratios"}
    unknown = sorted(set(config) - known)
    if unknown:
        raise ConfigError(
            f"model.config: wavtokenizer has no {', '.join(unknown)}; it has "
            f"{', '.join(sorted(known))}"
        )
    shape = replace(WavTokenizerShape(ratios), **config)  # type: ignore[arg-type]
    if min(config.values(), default=1) < 1 or shape.d_model % 32:
        raise ConfigError(
            "model.config: sizes are at least 1, and d_model is a multiple of 32, the number of "
            "groups of its norms"
        )
    return shape


def _second(output: Any) -> Tensor:
    codes: Tensor = output[1]
    return codes


def _decoder_taps(module: WavTokenizerNetwork) -> list[Tap]:
    def tap(path: str, role: str, methods: dict[Side, Method] | None = None) -> Tap:
        layout: Layout = "btc" if role.endswith((".act", ".final", ".spectrum")) else "bct"
        return Tap(path, role, layout, methods or {}, decodes=True)

    heard: dict[Side, Method] = {"out": Method("forward", takes="argument")}
    blocks = [
        one
        for i in range(len(module.backbone.convnext))
        for one in (
            tap(f"backbone.convnext.{i}.pwconv2", f"decoder.block.{i}.mlp.act", heard),
            tap(f"backbone.convnext.{i}", f"decoder.block.{i}"),
        )
    ]
    placed = enumerate(("res.0", "res.1", "attn", "res.2", "res.3"))
    return [
        tap("backbone.embed", "decoder.conv.0"),
        *(tap(f"backbone.pos_net.{i}", f"decoder.{role}") for i, role in placed),
        *blocks,
        tap("backbone.final_layer_norm", "decoder.final"),
        tap("head.out", "decoder.spectrum"),
        tap("head", "sound"),
    ]


def _times(module: WavTokenizerNetwork) -> Times:
    """Time bases on both sides of every tap."""
    times: Times = {}

    def note(path: str, now: TimeBase, after: TimeBase) -> TimeBase:
        times[path, "in"], times[path, "out"] = now, after
        return after

    sound = TimeBase(_SAMPLE_RATE)
    latent = note("encoder", sound, walk_stack(times, module.encoder, "encoder", sound))
    note("quantizer", latent, latent)
    times["quantizer", "codes"] = latent
    now = note("backbone.embed", latent, latent.after_conv(7, 1, 3))
    for i in range(5):
        wider = now if i == 2 else now.after_conv(3, 1, 1).after_conv(3, 1, 1)
        now = note(f"backbone.pos_net.{i}", now, wider.after_global())
    for i in range(len(module.backbone.convnext)):
        before, now = now, now.after_conv(7, 1, 3)
        note(f"backbone.convnext.{i}.pwconv2", now, now)
        note(f"backbone.convnext.{i}", before, now)
    note("backbone.final_layer_norm", now, now)
    note("head.out", now, now)
    frame, hop = module.shape.frame, module.shape.hop
    note("head", now, now.after_transposed_conv(frame, hop, (frame - hop) // 2))
    return times
