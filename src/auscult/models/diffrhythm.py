"""DiffRhythm from a checkout of its code: whole songs by a straight flow over latents."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import CheckpointError, ConfigError
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Method, Side, Tap, Weights
from auscult.models.diffrhythm_checkout import load_network
from auscult.models.diffrhythm_prompts import Asked, Reader, unconditional_style
from auscult.models.generation import Generator, Prompt, Step, Watch
from auscult.models.nested import taps_below
from auscult.models.oobleck import Oobleck
from auscult.models.weights import shuffle_weights


class Parts(nn.Module):
    """The networks that make a song under one roof."""


@MODELS.register("diffrhythm")
class DiffRhythm(AudioModel):
    """DiffRhythm (Ning et al. 2025): a transformer that makes the latents of its own Oobleck.

    The flow is followed as the published code does: Euler's steps over evenly spaced times, 32
    states and 31 steps, guidance ``v + scale · (v - v₀)``. Both kinds of rows run in one batch, the
    conditional first; the unconditional hear no lyrics, and the published code's vocal style in
    place of the prompt's. A prompt of no words, no style and no lyrics is free of text. Styles in
    words need MuQ-MuLan; ``wishes`` take ``style`` (a ``.npy`` of 512 numbers) and ``lyrics`` (in
    the LRC format, read with the checkout's phonemes). Roles of its autoencoder are those of
    ``oobleck``; of the transformer ``embed``, ``block.N`` and its parts.
    """

    class Params(Config):
        """Where code and weights are, and how it is asked."""

        checkout: str
        """Folder of the published code (ASLP-lab/DiffRhythm), as it is cloned; it is executed."""
        checkpoint: str | None = None
        """``cfm_model.pt`` or safetensors; not needed for random weights."""
        vae: str
        """Its autoencoder: ``vae_model.pt``, a folder or a file as ``oobleck`` takes them."""
        trusted: bool = False
        """Whether a TorchScript autoencoder may run: it is a program, with your rights."""
        config: str | None = None
        """Sizes of the network, a ``.json``; the checkout's own when not given."""
        max_frames: Literal[2048, 6144] = 2048
        """Most latent frames: those of the short model (95 s) or of the long one (285 s)."""
        n_frames: int | None = Field(default=None, ge=1)
        """Latent frames to make; as many as there can be when not given."""
        n_states: int = Field(default=32, ge=2)
        """States on the way, noise and result included; one more than steps."""
        guidance: float = Field(default=4.0, ge=0)
        """Scale of classifier-free guidance; none at 0."""
        unconditional: str | None = None
        """Style of the unconditional rows, a ``.npy``.

        The checkout's when not given, none when "".
        """
        muq: str = "OpenMuQ/MuQ-MuLan-large"
        """Hub name or folder of the model that turns words into a style."""

    def __init__(
        self,
        network: nn.Module,
        d_latent: int,
        oobleck: Oobleck,
        params: "DiffRhythm.Params",
        weights: Weights,
    ) -> None:
        self.params = params
        self.name = "diffrhythm"
        self.weights = weights
        self.d_latent = d_latent
        self.oobleck = oobleck
        self.module = Parts()
        self.module.add_module("transformer", network)
        self.module.add_module("vae", oobleck.module)
        self.module.eval()
        self._network: Any = network
        self.sample_rate = oobleck.sample_rate
        self.n_channels = oobleck.n_channels
        self.codec = oobleck.codec
        self.n_frames = params.n_frames or params.max_frames
        if self.n_frames > params.max_frames:
            raise ConfigError(
                f"model.n_frames: {self.n_frames} are more than the {params.max_frames} that this "
                f"model makes"
            )
        self._reader = Reader(params.checkout, params.muq, self.n_frames, params.max_frames)
        self._nothing = unconditional_style(params.checkout, params.unconditional)
        self.generator = self._generator()

    @classmethod
    def build(cls, params: "DiffRhythm.Params", weights: Weights, seed: int) -> "DiffRhythm":
        """Load, shuffle or draw afresh.

        Raises:
            ConfigError: Something of the checkout is not there, or weights are lacking.
            UserError: Its code cannot be imported.
            CheckpointError: Weights that do not fit, or an export that nobody vouched for.
        """
        if weights != "random" and params.checkpoint is None:
            raise ConfigError('model.checkpoint: diffrhythm needs weights, or weights = "random"')
        network, d_latent = load_network(
            params.checkout,
            None if weights == "random" else params.checkpoint,
            params.config,
            params.max_frames,
            seed,
        )
        where = Oobleck.Params(checkpoint=params.vae, subfolder=None, trusted=params.trusted)
        oobleck = Oobleck.build(where, "random" if weights == "random" else "trained", seed)
        width = getattr(oobleck.module.config, "decoder_input_channels", d_latent)
        if width != d_latent:
            raise CheckpointError(
                f"the autoencoder {params.vae} has latents of {width} channels, the network makes "
                f"{d_latent}"
            )
        model = cls(network, d_latent, oobleck, params, weights)
        if weights == "shuffled":
            shuffle_weights(model.module, seed)
        return model

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode; returns the means."""
        return self.oobleck.forward(waveform)

    def taps(self) -> list[Tap]:
        """Of the autoencoder, in the order in which sound passes them."""
        return list(taps_below("vae", self.oobleck.taps()))

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the layers."""
        if not tap.path.startswith("vae."):
            return None
        return self.oobleck.time_base(Tap(tap.path.removeprefix("vae.")), side)

    def _generator(self) -> Generator:
        taps = _network_taps(self._network)
        latent = self.oobleck.time_base(Tap("bottleneck"))
        times = {} if latent is None else {tap.path: latent.after_global() for tap in taps}
        guided = self.params.guidance > 0
        return Generator(
            kind="flow",
            n_steps=self.params.n_states - 1,
            latent="latent",
            n_frames=self.n_frames,
            generate=self._generate,
            rows=("conditional", "unconditional") if guided else ("conditional",),
            taps=taps,
            times=times,
        )

    def _generate(self, prompts: Sequence[Prompt], watch: Watch | None) -> Tensor:
        device = next(self._network.parameters()).device
        asked = self._reader.read(prompts)
        noise = [
            torch.randn(
                self.n_frames, self.d_latent, generator=torch.Generator().manual_seed(prompt.seed)
            )
            for prompt in prompts
        ]
        with torch.no_grad():
            state = torch.stack(noise).to(device)
            return self._follow(state, self._given(asked, device), watch)

    def _given(self, asked: Asked, device: torch.device) -> dict[str, Tensor]:
        """What the network hears beside state and time, row by row."""
        style, lyrics = asked.style, asked.lyrics
        n_prompts = len(style)
        if self.params.guidance > 0:
            style = torch.cat([style, self._nothing.expand(n_prompts, -1)])
            lyrics = torch.cat([lyrics, torch.zeros_like(lyrics)])
        start = torch.zeros(len(style))
        share = torch.full((len(style),), self.n_frames / self.params.max_frames)
        given = {"style_prompt": style, "text": lyrics, "start_time": start, "duration": share}
        return {name: value.to(device) for name, value in given.items()}

    def _follow(
        self,
        state: Float[Tensor, "prompt frame d_latent"],
        given: dict[str, Tensor],
        watch: Watch | None,
    ) -> Float[Tensor, "prompt d_latent frame"]:
        """Euler's steps along the flow, each seen before and after the network."""
        n_steps = self.params.n_states - 1
        times = torch.linspace(0, 1, self.params.n_states, device=state.device)
        for index in range(n_steps + 1):
            now = float(times[index])
            if watch is not None:
                new = watch(Step(index, n_steps, now, state.transpose(1, 2).clone()))
                state = state if new is None else self._checked(new, state)
            if index == n_steps:
                break
            velocity = self._velocity(state, times[index], given)
            if watch is not None:
                clean = state + (1 - now) * velocity
                seen = state.transpose(1, 2).clone()
                watch(Step(index, n_steps, now, seen, clean.transpose(1, 2)))
            state = state + (times[index + 1] - times[index]) * velocity
        return state.transpose(1, 2).contiguous()

    def _velocity(self, state: Tensor, time: Tensor, given: dict[str, Tensor]) -> Tensor:
        guidance = self.params.guidance
        rows = torch.cat([state, state]) if guidance > 0 else state
        said: Tensor = self._network(
            x=rows,
            cond=torch.zeros_like(rows),
            time=time,
            drop_audio_cond=False,
            drop_text=False,
            drop_prompt=False,
            **given,
        )
        if not guidance:
            return said
        told, untold = said.chunk(2)
        return told + (told - untold) * guidance

    def _checked(self, new: Tensor, state: Tensor) -> Tensor:
        wanted = [state.shape[0], state.shape[2], state.shape[1]]
        if list(new.shape) != wanted:
            raise ConfigError(
                f"what takes the place of a state must have its shape {wanted}, this has "
                f"{list(new.shape)}"
            )
        return new.transpose(1, 2).to(state).contiguous()


def _network_taps(network: Any) -> tuple[Tap, ...]:
    """Places in the transformer, in the order in which it computes them."""
    heard = Method("forward", takes="argument")
    taps = [Tap("transformer.input_embed", "embed", "btc")]
    for index, block in enumerate(network.transformer_blocks):
        path, role = f"transformer.transformer_blocks.{index}", f"block.{index}"
        parts = dict(block.named_modules())
        if "self_attn" in parts:
            taps.append(Tap(f"{path}.self_attn", f"{role}.attn.out", "btc"))
        if "mlp.down_proj" in parts:
            taps.append(Tap(f"{path}.mlp.down_proj", f"{role}.mlp.act", "btc", {"out": heard}))
            taps.append(Tap(f"{path}.mlp", f"{role}.mlp.out", "btc"))
        taps.append(Tap(path, role, "btc"))
    return tuple(taps)
