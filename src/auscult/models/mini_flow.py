"""The bundled generator: asked for a note, it plays that note."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import ConfigError, UnknownNameError
from auscult.core.rng import seed_of
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Side, Tap, Weights
from auscult.models.generation import Generator, Prompt, Watch
from auscult.models.initial import redraw_weights
from auscult.models.mini_encodec import MiniEncodec
from auscult.models.networks.flow_transformer import FlowShape, FlowTransformer, Wishes
from auscult.models.rectified_flow import euler, noise_of
from auscult.models.transformer_roles import block_taps, find_blocks
from auscult.models.weights import load_strict, read_checkpoint, shuffle_weights

_BUNDLED = Path(__file__).parent / "bundled"
_CODEC, _FLOW = "codec", "flow"


@dataclass(frozen=True)
class Notes:
    """What can be wished for.

    Attributes:
        instruments: Names.
        pitches: MIDI numbers.
        levels_db: Lowest and highest level of training, root mean square re full scale.
    """

    instruments: tuple[str, ...]
    pitches: tuple[int, ...]
    levels_db: tuple[float, float]

    def wishes(self, prompts: Sequence[Prompt]) -> Wishes:
        """Prompts as the network takes them; what one does not name is left open.

        Raises:
            UnknownNameError: A wish for something else, or for an unknown instrument.
            ConfigError: A pitch or a level that it never heard.
        """
        return Wishes(
            torch.tensor([self._instrument(one) for one in prompts]),
            torch.tensor([self._pitch(one) for one in prompts]),
            torch.tensor([self._loudness(one) for one in prompts]),
        )

    def _instrument(self, prompt: Prompt) -> int:
        known = ("instrument", "pitch_midi", "loudness_db")
        for name in prompt.wishes:
            if name not in known:
                raise UnknownNameError("wish", name, known)
        asked = prompt.wishes.get("instrument")
        if asked is None:
            return -1
        if asked not in self.instruments:
            raise UnknownNameError("instrument", str(asked), self.instruments)
        return self.instruments.index(str(asked))

    def _pitch(self, prompt: Prompt) -> int:
        asked = prompt.wishes.get("pitch_midi")
        if asked is None:
            return -1
        if asked not in self.pitches:
            raise ConfigError(
                f"{prompt.name}: pitch_midi is a whole number from {self.pitches[0]} to "
                f"{self.pitches[-1]}, got {asked}"
            )
        return self.pitches.index(int(asked))

    def _loudness(self, prompt: Prompt) -> float:
        asked = prompt.wishes.get("loudness_db")
        if asked is None:
            return math.nan
        low, high = self.levels_db
        if not isinstance(asked, int | float) or not low <= asked <= high:
            raise ConfigError(
                f"{prompt.name}: loudness_db lies between {low:g} and {high:g}, got {asked}"
            )
        return (asked - (low + high) / 2) / ((high - low) / 2)


class MiniFlowNetwork(nn.Module):
    """A codec, and the flow over its latents.

    Attributes:
        mean: Of the codec's latents; with ``deviation`` it makes the flow's noise standard normal.
        deviation: Of the codec's latents.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, codec: nn.Module, shape: FlowShape) -> None:
        super().__init__()
        self.codec = codec
        self.flow = FlowTransformer(shape)
        self.register_buffer("mean", torch.zeros(shape.d_latent))
        self.register_buffer("deviation", torch.ones(shape.d_latent))


@MODELS.register("mini-flow")
class MiniFlow(AudioModel):
    """A rectified flow over the continuous latents of ``mini-encodec``.

    A transformer of 6 blocks of width 128, conditioned on instrument, pitch and loudness, each of
    which may be left open; with guidance by what it would do if nothing were wished for. 31 steps,
    32 states, 1.07 s of sound. It hears as its codec does; ``random`` and ``shuffled`` weights are
    the flow's, its codec stays.
    """

    class Params(Config):
        """How it is sampled."""

        steps: int = Field(31, ge=1, le=1000)
        """Steps from noise to latents; there is one state more."""
        guidance: float = Field(2.0, ge=0)
        """Weight of the wishes against none: 1 follows them as learned, more exaggerates them."""

    def __init__(
        self,
        module: MiniFlowNetwork,
        codec: MiniEncodec,
        notes: Notes,
        params: "MiniFlow.Params",
        weights: Weights,
    ) -> None:
        self.module = module
        self.network = module
        self.name = "mini-flow"
        self.weights = weights
        self.sample_rate = codec.sample_rate
        self.codec = codec.codec
        self.notes = notes
        self.guidance, self.n_steps = params.guidance, params.steps
        self._hearing = codec
        shape = module.flow.shape
        latent = next(tap for tap in codec.taps() if tap.role == "latent")
        time = codec.time_base(latent)
        token = None if time is None else time.after_pool(shape.patch).after_global()
        inner = _flow_taps(module.flow)
        self.generator = Generator(
            "flow",
            params.steps,
            "latent",
            shape.n_frames,
            self.generate,
            ("conditional", "unconditional"),
            {"instrument": notes.instruments, "pitch_midi": notes.pitches, "loudness_db": ()},
            inner,
            {} if token is None else {tap.path: token for tap in inner},
        )

    @classmethod
    def build(cls, params: "MiniFlow.Params", weights: Weights, seed: int) -> "MiniFlow":
        """Load the bundled weights, shuffle those of the flow, or draw others."""
        told = json.loads((_BUNDLED / "mini-flow.json").read_text(encoding="utf-8"))
        notes = Notes(
            tuple(told["instruments"]), tuple(told["pitches_midi"]), tuple(told["levels_db"])
        )
        codec = MiniEncodec.build(MiniEncodec.Params(), "trained", seed)
        module = MiniFlowNetwork(codec.module, FlowShape(**told["shape"])).eval()
        held = read_checkpoint(_BUNDLED / "mini-flow.safetensors")
        module.mean.copy_(held.pop("mean"))
        module.deviation.copy_(held.pop("deviation"))
        load_strict(module.flow, held, "mini-flow.safetensors")
        if weights == "random":
            redraw_weights(module.flow, seed)
            module.flow.redraw_positions(seed_of(seed, "positions"))
        elif weights == "shuffled":
            shuffle_weights(module.flow, seed)
        return cls(module, codec, notes, params, weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """What its codec hears; the flow hears no sound, see :attr:`generator`."""
        return self._hearing.forward(waveform)

    def taps(self) -> list[Tap]:
        """Those of the codec."""
        return [_moved(tap) for tap in self._hearing.taps()]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """Those of the codec."""
        path = tap.path.removeprefix(f"{_CODEC}.")
        return self._hearing.seanet.times.get((path, side))

    @torch.no_grad()
    def generate(
        self, prompts: Sequence[Prompt], watch: Watch | None = None
    ) -> Float[Tensor, "prompt d_latent frame"]:
        """Play notes: latents as the codec decodes them.

        Raises:
            ConfigError: A wish is out of reach.
        """
        net, wishes = self.network, self.notes.wishes(prompts)
        mean, deviation = net.mean[:, None], net.deviation[:, None]
        both, n = wishes.joined(wishes.open()), len(prompts)

        def velocity(latents: Tensor, time: float) -> Tensor:
            standard = (latents - mean) / deviation
            rows = torch.cat([standard, standard])
            wished, without = net.flow(rows, torch.full((2 * n,), time), both).split(n)
            return torch.lerp(without, wished, self.guidance) * deviation

        shape = net.flow.shape
        noise = noise_of([one.seed for one in prompts], shape.d_latent, shape.n_frames)
        return euler(velocity, noise * deviation + mean, self.n_steps, watch)


def _moved(tap: Tap) -> Tap:
    """A tap of the codec where the codec is a part."""
    methods = {
        side: replace(
            one,
            owner=f"{_CODEC}.{one.owner}" if one.owner else "",
            during=f"{_CODEC}.{one.during}" if one.during else "",
        )
        for side, one in tap.methods.items()
    }
    return replace(tap, path=f"{_CODEC}.{tap.path}", methods=methods)


def _flow_taps(flow: FlowTransformer) -> tuple[Tap, ...]:
    """``flow.embed``, ``block.0.attn.out`` … ``block.5``, ``velocity``."""
    blocks = block_taps(find_blocks(flow), lambda _: "btc")
    taps = [Tap("embed", "flow.embed", "btc"), *blocks, Tap("velocity", "flow.velocity", "btc")]
    return tuple(replace(tap, path=f"{_FLOW}.{tap.path}") for tap in taps)
