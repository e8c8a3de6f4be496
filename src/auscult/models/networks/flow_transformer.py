"""A transformer that says where latents flow: from noise to what was wished for.

Rectified flow (Liu et al. 2022; Lipman et al. 2022): between noise ``x_0`` and clean latents
``x_1`` lies the straight line ``x_t = (1 - t) x_0 + t x_1``, and the network learns its velocity
``x_1 - x_0`` from ``x_t``, the time and the wishes. The wishes enter by adaptive layer norms that
begin as nothing (adaLN-zero, Peebles & Xie 2022, section 3.2).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from auscult.models.networks.audio_vit import Attention, Mlp


@dataclass(frozen=True)
class FlowShape:
    """Sizes of the network.

    Attributes:
        d_latent: Channels of a latent frame.
        n_frames: Latent frames of a sound.
        patch: Frames that share a token.
        d_model: Width of the stream.
        n_blocks: Number of blocks.
        n_heads: Attention heads in each.
        d_mlp: Neurons in each.
        n_instruments: Instruments to wish for.
        n_pitches: Pitches to wish for.
    """

    d_latent: int
    n_frames: int
    patch: int
    d_model: int
    n_blocks: int
    n_heads: int
    d_mlp: int
    n_instruments: int
    n_pitches: int

    @property
    def n_tokens(self) -> int:
        """Patches of a sound."""
        return self.n_frames // self.patch


@dataclass(frozen=True)
class Wishes:
    """What is wished for, row by row; each may be left open.

    Attributes:
        instrument: Index, or -1 for any.
        pitch: Index, or -1 for any.
        loudness: In standard units, NaN for any.
    """

    instrument: Int[Tensor, " row"]
    pitch: Int[Tensor, " row"]
    loudness: Float[Tensor, " row"]

    def __len__(self) -> int:
        return len(self.instrument)

    def open(self) -> "Wishes":
        """The same number of rows with nothing wished for."""
        none = torch.full_like(self.instrument, -1)
        return Wishes(none, none, torch.full_like(self.loudness, math.nan))

    def joined(self, other: "Wishes") -> "Wishes":
        """These rows and behind them others."""
        return Wishes(
            torch.cat([self.instrument, other.instrument]),
            torch.cat([self.pitch, other.pitch]),
            torch.cat([self.loudness, other.loudness]),
        )


class Conditioning(nn.Module):
    """Time and wishes to one vector; a wish left open has a vector of its own."""

    def __init__(self, shape: FlowShape) -> None:
        super().__init__()
        d_model = shape.d_model
        self.time = nn.Sequential(
            nn.Linear(d_model, d_model), nn.SiLU(), nn.Linear(d_model, d_model)
        )
        self.instrument = nn.Embedding(shape.n_instruments + 1, d_model)
        self.pitch = nn.Embedding(shape.n_pitches + 1, d_model)
        self.loudness = nn.Sequential(nn.Linear(1, d_model), nn.SiLU(), nn.Linear(d_model, d_model))
        self.any_loudness = nn.Parameter(torch.zeros(d_model))

    def forward(self, time: Float[Tensor, " row"], wishes: Wishes) -> Float[Tensor, "row d_model"]:
        """Their sum; index -1 stands for the last row of a table."""
        wave = sinusoids(1000 * time, self.any_loudness.shape[0])
        instrument = self.instrument(wishes.instrument % self.instrument.num_embeddings)
        pitch = self.pitch(wishes.pitch % self.pitch.num_embeddings)
        is_open = wishes.loudness.isnan()[:, None]
        said = self.loudness(wishes.loudness.nan_to_num()[:, None])
        loudness = torch.where(is_open, self.any_loudness, said)
        return self.time(wave) + instrument + pitch + loudness  # type: ignore[no-any-return]


class FlowBlock(nn.Module):
    """Attention and MLP, each scaled, shifted and gated by the wishes."""

    def __init__(self, shape: FlowShape) -> None:
        super().__init__()
        d_model = shape.d_model
        self.norm1 = nn.LayerNorm(d_model, elementwise_affine=False)
        self.attn = Attention(d_model, shape.n_heads)
        self.norm2 = nn.LayerNorm(d_model, elementwise_affine=False)
        self.mlp = Mlp(d_model, shape.d_mlp)
        self.modulation = nn.Linear(d_model, 6 * d_model)

    def forward(
        self, x: Float[Tensor, "row token d_model"], wished: Float[Tensor, "row d_model"]
    ) -> Float[Tensor, "row token d_model"]:
        """The stream behind the block."""
        parts = self.modulation(wished)[:, None].chunk(6, -1)
        x = x + parts[2] * self.attn(self.norm1(x) * (1 + parts[1]) + parts[0])
        return x + parts[5] * self.mlp(self.norm2(x) * (1 + parts[4]) + parts[3])  # type: ignore[no-any-return]


class FlowTransformer(nn.Module):
    """Velocities of standardised latents.

    Args:
        shape: Sizes.
    """

    def __init__(self, shape: FlowShape) -> None:
        super().__init__()
        self.shape = shape
        d_patch = shape.patch * shape.d_latent
        self.embed = nn.Linear(d_patch, shape.d_model)
        places = torch.arange(shape.n_tokens, dtype=torch.float32)
        self.positions = nn.Parameter(sinusoids(100 * places, shape.d_model))
        self.conditioning = Conditioning(shape)
        self.act = nn.SiLU()
        self.blocks = nn.ModuleList(FlowBlock(shape) for _ in range(shape.n_blocks))
        self.norm = nn.LayerNorm(shape.d_model, elementwise_affine=False)
        self.modulation = nn.Linear(shape.d_model, 2 * shape.d_model)
        self.velocity = nn.Linear(shape.d_model, d_patch)

    @torch.no_grad()
    def redraw_positions(self, seed: int) -> None:
        """Draw anew what no layer owns: the positions, and the vector of any loudness."""
        rng = torch.Generator().manual_seed(seed)
        for parameter in (self.positions, self.conditioning.any_loudness):
            parameter.copy_(torch.randn(parameter.shape, generator=rng))

    def forward(
        self, x: Float[Tensor, "row d_latent frame"], time: Float[Tensor, " row"], wishes: Wishes
    ) -> Float[Tensor, "row d_latent frame"]:
        """Where the latents flow at that time, in latents per unit of time."""
        shape = (len(x), self.shape.d_latent, self.shape.n_tokens, self.shape.patch)
        patches = x.reshape(shape).permute(0, 2, 3, 1)
        stream = self.embed(patches.flatten(2)) + self.positions
        wished = self.act(self.conditioning(time, wishes))
        for block in self.blocks:
            stream = block(stream, wished)
        shift, scale = self.modulation(wished)[:, None].chunk(2, -1)
        out = self.velocity(self.norm(stream) * (1 + scale) + shift)
        frames: Tensor = out.unflatten(2, (self.shape.patch, self.shape.d_latent))
        return frames.permute(0, 3, 1, 2).flatten(2)


def sinusoids(position: Float[Tensor, " n"], d_model: int) -> Float[Tensor, "n {d_model}"]:
    """Cosines and sines of a position at periods from 2π to 20,000π (Vaswani et al. 2017)."""
    steps = torch.arange(d_model // 2, dtype=torch.float32, device=position.device)
    angle = position[:, None] * torch.exp(-math.log(10_000.0) * steps / (d_model // 2))
    return torch.cat([angle.cos(), angle.sin()], 1)
