"""Mimi (Défossez et al. 2024), the codec of Moshi, through transformers."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.rng import seed_of
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Codec, Method, Side, Tap, Weights
from auscult.models.hub import transformers_codec
from auscult.models.initial import fill_codebooks
from auscult.models.seanet_stacks import Times, after_layer, stack_taps, walk_stack
from auscult.models.stimulus import harmonic_noise
from auscult.models.transformer_roles import Block, block_taps, find_blocks

_PUBLISHED: dict[str, dict[str, Any]] = {"kyutai/mimi": {}}
_SEMANTIC = "quantizer.semantic_residual_vector_quantizer"
_ACOUSTIC = "quantizer.acoustic_residual_vector_quantizer"
_LONG_S = 4.0
"""A window of attention at least this long has no beginning in any clip that is probed."""


@MODELS.register("mimi")
class Mimi(AudioModel):
    """Mimi: 12.5 frames a second, causal convolutions, attention and a split quantiser.

    Roles: ``conv.N``, ``res.N`` at up to 24 kHz; ``block.N.attn.out``, ``block.N.mlp.act``,
    ``block.N.mlp.out``, ``block.N`` at 25 Hz; ``latent`` (every second of these frames);
    ``rvq.0``, the semantic level, and ``rvq.1`` … the acoustic ones (``in`` what a level gets,
    ``codes`` its indices, ``out`` the entry); ``latent.q``; and ``decoder.up``,
    ``decoder.block.N…``, ``decoder.conv.N``, ``decoder.up.N``, ``decoder.res.N``, which fire in
    ``codec.decode``. Both quantisers hear the latents, each through a projection of its own:
    ``rvq.1:in`` is not what ``rvq.0`` left over. Attention looks back 250 frames, 10 s, in each of
    eight blocks: within a clip, frames hear all before them. Clips are filled up with silence to
    whole frames.
    """

    class Params(Config):
        """Which Mimi."""

        checkpoint: str = "kyutai/mimi"
        """A hub name, or a local folder with config.json and model.safetensors."""
        n_levels: int | None = Field(default=None, ge=1)
        """Levels of the quantiser that take part, the semantic one first; all when not given.

        Moshi speaks eight.
        """
        config: dict[str, Any] = Field(default_factory=dict)
        """Changes of the configuration (for instance num_filters = 8), for random weights only."""

    def __init__(self, module: Any, name: str, n_levels: int | None, weights: Weights) -> None:
        most, first = module.config.num_quantizers, module.config.num_semantic_quantizers
        if n_levels is not None and not first <= n_levels <= most:
            raise ConfigError(
                f"model.n_levels: {n_levels} of a quantiser with {first} semantic levels, which "
                f"always take part, and {most} in all"
            )
        self.module = module
        self.mimi = module
        self.parts = _Parts(module)
        self.name = name
        self.weights = weights
        self.sample_rate = int(module.config.sampling_rate)
        self.n_channels = int(module.config.audio_channels)
        self.hop = _hop(module.config)
        self.n_levels = n_levels or most
        self.codec = Codec(
            self._encode,
            self._decode,
            self._quantise,
            {f"rvq.{i}": level.codebook.embed for i, level in enumerate(self._levels())},
            self._codes_of,
            self._from_codes,
        )
        self._times = self._walk()

    @classmethod
    def build(cls, params: "Mimi.Params", weights: Weights, seed: int) -> "Mimi":
        """Load, shuffle or draw afresh.

        The tables of an untrained quantiser are fitted to its latents.

        Raises:
            MissingExtraError: transformers is not installed.
            CheckpointError: The checkpoint cannot be loaded or does not fit.
            ConfigError: Changes of the configuration that do not go with the weights, or are
                unknown.
        """
        asked = params.checkpoint, params.config
        module = transformers_codec("Mimi", *asked, _PUBLISHED, weights, seed)
        if weights != "trained":
            _fill(module, seed)
        return cls(module, params.checkpoint, params.n_levels, weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode and quantise; returns the quantised latents."""
        return self._quantise(self._encode(waveform))

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        parts = self.parts
        there, back = parts.seanets
        steps = [self._level(path, i) for i, path in enumerate(self._level_paths())]
        return [
            *stack_taps(parts.get(there), there, "", decodes=False),
            *block_taps(parts.blocks[0], lambda _: "btc"),
            Tap(parts.down, "latent", "bct"),
            *steps,
            Tap("quantizer", "latent.q", "bct", _quantiser_methods()),
            Tap(parts.up, "decoder.up", "bct", decodes=True),
            *(
                replace(tap, role=f"decoder.{tap.role}", decodes=True)
                for tap in block_taps(parts.blocks[1], lambda _: "btc")
            ),
            *stack_taps(parts.get(back), back, "decoder.", decodes=True),
        ]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the layers; those within residual blocks are measured."""
        return self._times.get((tap.path, side))

    def _encode(self, waveform: Tensor) -> Tensor:
        return _through_encoder(self.parts, waveform, self.hop)

    def _quantise(self, latents: Tensor) -> Tensor:
        return self._from_codes(self._codes_of(latents))

    def _codes_of(self, latents: Tensor) -> Tensor:
        codes: Tensor = self.mimi.quantizer.encode(latents, self.n_levels)
        return codes.transpose(0, 1)

    def _from_codes(self, codes: Tensor) -> Tensor:
        quantised: Tensor = self.mimi.quantizer.decode(codes)
        return quantised

    def _decode(self, latents: Tensor) -> Tensor:
        parts = self.parts
        frames = parts.get(parts.up)(latents).transpose(1, 2)
        stream = parts.get(parts.transformers[1])(frames)[0]
        waveform: Tensor = parts.get(parts.seanets[1])(stream.transpose(1, 2))
        return waveform

    def _level_paths(self) -> list[str]:
        n_semantic = int(self.mimi.config.num_semantic_quantizers)
        semantic = [f"{_SEMANTIC}.layers.{i}" for i in range(n_semantic)]
        acoustic = [f"{_ACOUSTIC}.layers.{i}" for i in range(self.n_levels - n_semantic)]
        return [*semantic, *acoustic]

    def _levels(self) -> list[Any]:
        return [self.module.get_submodule(path) for path in self._level_paths()]

    def _level(self, path: str, index: int) -> Tap:
        methods: dict[Side, Method] = {
            "in": Method("encode", "argument"),
            "codes": Method("encode"),
            "out": Method("decode", during="quantizer.decode"),
        }
        return Tap(path, f"rvq.{index}", "bct", methods)

    def _walk(self) -> Times:
        """Time bases on both sides of every tap."""
        times: Times = {}
        parts, config = self.parts, self.mimi.config
        there, back = parts.seanets
        now = walk_stack(times, parts.get(there), there, TimeBase(self.sample_rate))
        now = _through_blocks(times, parts.blocks[0], now, config.sliding_window)
        latent = _note(times, parts.down, now, after_layer(parts.get(parts.down), now))
        sides: tuple[Side, ...] = ("in", "codes", "out")
        for path in ("quantizer", *self._level_paths()):
            times |= {(path, side): latent for side in sides}
        now = _note(times, parts.up, latent, after_layer(parts.get(parts.up), latent))
        now = _through_blocks(times, parts.blocks[1], now, config.sliding_window)
        walk_stack(times, parts.get(back), back, now)
        return times


class _Parts:
    """Where the parts of a Mimi are, in the order encoder, decoder.

    transformers 5 keeps each half in a module of its own; 4.57 has all parts side by side.
    """

    def __init__(self, module: Any) -> None:
        self.get = module.get_submodule
        halves = ("encoder", "decoder")
        if hasattr(module.encoder, "encoder_seanet"):
            self.seanets = tuple(f"{half}.{half}_seanet" for half in halves)
            self.transformers = tuple(f"{half}.{half}_transformer" for half in halves)
            self.down, self.up = "encoder.downsample", "decoder.upsample"
        else:
            self.seanets = halves
            self.transformers = tuple(f"{half}_transformer" for half in halves)
            self.down, self.up = "downsample", "upsample"
        found = find_blocks(module)
        self.blocks = tuple(
            [block for block in found if block.path.startswith(f"{path}.")]
            for path in self.transformers
        )


def _through_encoder(parts: _Parts, waveform: Tensor, hop: int) -> Tensor:
    """Sound to latents, part by part.

    As in Moshi, the sound is filled up with silence to whole frames; transformers fills up every
    layer's input instead, which makes another last frame.
    """
    filled = F.pad(waveform, (0, -waveform.shape[-1] % hop))
    frames = parts.get(parts.seanets[0])(filled).transpose(1, 2)
    stream = parts.get(parts.transformers[0])(frames)[0]
    latents: Tensor = parts.get(parts.down)(stream.transpose(1, 2))
    return latents


def _hop(config: Any) -> int:
    """Samples of a latent frame."""
    hop: int = round(config.sampling_rate / config.frame_rate)
    return hop


@torch.no_grad()
def _fill(module: Any, seed: int) -> None:
    """Give every level entries that fit what its quantiser hears; transformers leaves zeros."""
    config = module.config
    rate, hop = int(config.sampling_rate), _hop(config)
    n_samples = min(2 * rate, 64 * hop)
    sound = harmonic_noise(rate, config.audio_channels, n_samples, 8, seed)
    latents = _through_encoder(_Parts(module), sound, hop)
    for name in (_SEMANTIC, _ACOUSTIC):
        quantiser = module.get_submodule(name)
        heard = latents if quantiser.input_proj is None else quantiser.input_proj(latents)
        books = [level.codebook for level in quantiser.layers]
        vectors = heard.transpose(1, 2).flatten(0, 1)
        fill_codebooks([book.embed_sum for book in books], vectors, seed_of(seed, name))
        for book in books:
            book.cluster_usage.fill_(1.0)


def _quantiser_methods() -> dict[Side, Method]:
    def levels_last(codes: Tensor) -> Tensor:
        return codes.transpose(0, 1)

    return {
        "in": Method("encode", "argument"),
        "codes": Method("encode", pick=levels_last),
        "out": Method("decode"),
    }


def _note(times: Times, path: str, now: TimeBase, after: TimeBase) -> TimeBase:
    times[path, "in"], times[path, "out"] = now, after
    return after


def _through_blocks(times: Times, blocks: list[Block], now: TimeBase, window: int) -> TimeBase:
    """Each block looks back over a window of frames, its own one included."""
    for block in blocks:
        before = now
        long = window * now.hop >= _LONG_S * now.sample_rate
        now = now.after_recurrence() if long else now.after_conv(window, 1, window - 1)
        _note(times, block.path, before, now)
        _note(times, block.attention, before, now)
        _note(times, block.down, now, now)
    return now
