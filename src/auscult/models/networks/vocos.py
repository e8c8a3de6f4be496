"""The decoder of WavTokenizer (Ji et al. 2024, section 3.3): a Vocos that attends.

A Vocos (Siuzdak 2023) never samples up: it works at the rate of the latents, says the spectrum of
each frame, and an inverse Fourier transform makes the sound. WavTokenizer puts residual blocks and
an attention in front of its ConvNeXt blocks, and tells a bit rate through its norms. Modules are
named as in the published checkpoints.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

_EPS = 1e-6


class AdaptiveNorm(nn.Module):
    """A layer norm whose gain and shift are looked up by the bit rate's number."""

    def __init__(self, n_bandwidths: int, d_model: int) -> None:
        super().__init__()
        self.scale = nn.Embedding(n_bandwidths, d_model)
        self.shift = nn.Embedding(n_bandwidths, d_model)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Neither scale nor shift, whatever the bit rate."""
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(
        self, x: Float[Tensor, "batch frame d_model"], bandwidth: Int[Tensor, ""]
    ) -> Float[Tensor, "batch frame d_model"]:
        """Normalise each frame."""
        normed = F.layer_norm(x, x.shape[-1:], eps=_EPS)
        scaled: Tensor = normed * self.scale(bandwidth) + self.shift(bandwidth)
        return scaled


class GroupedBlock(nn.Module):
    """Two convolutions, each behind a norm over time and groups of channels, beside a shortcut."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.norm1 = _group_norm(d_model)
        self.conv1 = nn.Conv1d(d_model, d_model, 3, padding=1)
        self.norm2 = _group_norm(d_model)
        self.conv2 = nn.Conv1d(d_model, d_model, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch d_model frame"]
    ) -> Float[Tensor, "batch d_model frame"]:
        """Add what the convolutions say."""
        inner = self.conv1(F.silu(self.norm1(x)))
        added: Tensor = x + self.conv2(F.silu(self.norm2(inner)))
        return added


class FrameAttention(nn.Module):
    """One head in which every frame attends to all."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.norm = _group_norm(d_model)
        self.q = nn.Conv1d(d_model, d_model, 1)
        self.k = nn.Conv1d(d_model, d_model, 1)
        self.v = nn.Conv1d(d_model, d_model, 1)
        self.proj_out = nn.Conv1d(d_model, d_model, 1)

    def forward(
        self, x: Float[Tensor, "batch d_model frame"]
    ) -> Float[Tensor, "batch d_model frame"]:
        """Add what the others say."""
        normed = self.norm(x)
        query, key, value = (said(normed).transpose(1, 2) for said in (self.q, self.k, self.v))
        heard = F.scaled_dot_product_attention(query, key, value)
        added: Tensor = x + self.proj_out(heard.transpose(1, 2))
        return added


class ConvNextBlock(nn.Module):
    """A convolution of each channel over seven frames, and a network at each frame."""

    def __init__(self, d_model: int, d_hidden: int, n_bandwidths: int, gain: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(d_model, d_model, 7, padding=3, groups=d_model)
        self.norm = AdaptiveNorm(n_bandwidths, d_model)
        self.pwconv1 = nn.Linear(d_model, d_hidden)
        self.pwconv2 = nn.Linear(d_hidden, d_model)
        self.gamma = nn.Parameter(torch.full((d_model,), gain))

    def forward(
        self, x: Float[Tensor, "batch d_model frame"], bandwidth: Int[Tensor, ""]
    ) -> Float[Tensor, "batch d_model frame"]:
        """Add what both say, each channel at its own gain."""
        heard = self.norm(self.dwconv(x).transpose(1, 2), bandwidth)
        said = self.gamma * self.pwconv2(F.gelu(self.pwconv1(heard)))
        added: Tensor = x + said.transpose(1, 2)
        return added


class VocosBackbone(nn.Module):
    """From latents to what the head reads, at the rate of the latents."""

    def __init__(
        self, d_latent: int, d_model: int, d_hidden: int, n_blocks: int, n_bandwidths: int
    ) -> None:
        super().__init__()
        self.embed = nn.Conv1d(d_latent, d_model, 7, padding=3)
        self.pos_net = nn.Sequential(
            GroupedBlock(d_model),
            GroupedBlock(d_model),
            FrameAttention(d_model),
            GroupedBlock(d_model),
            GroupedBlock(d_model),
            _group_norm(d_model),
        )
        self.norm = AdaptiveNorm(n_bandwidths, d_model)
        self.convnext = nn.ModuleList(
            ConvNextBlock(d_model, d_hidden, n_bandwidths, 1 / n_blocks) for _ in range(n_blocks)
        )
        self.final_layer_norm = nn.LayerNorm(d_model, eps=_EPS)

    def forward(
        self, latents: Float[Tensor, "batch d_latent frame"], bandwidth: Int[Tensor, ""]
    ) -> Float[Tensor, "batch frame d_model"]:
        """Through all of it."""
        placed = self.pos_net(self.embed(latents)).transpose(1, 2)
        stream = self.norm(placed, bandwidth).transpose(1, 2)
        for block in self.convnext:
            stream = block(stream, bandwidth)
        final: Tensor = self.final_layer_norm(stream.transpose(1, 2))
        return final


class InverseStft(nn.Module):
    """Overlapping frames of sound from spectra, trimmed to one hop a frame."""

    window: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft))

    def forward(self, spectra: Tensor) -> Float[Tensor, "batch time"]:
        """Complex spectra ``[batch bin frame]`` to sound.

        Frames are windowed again, added up, and divided by the sum of the squared windows. Half of
        what the first and the last frame reach beyond the clip is cut on either side.
        """
        frames = torch.fft.irfft(spectra, self.n_fft, dim=1) * self.window[None, :, None]
        weight = self.window.square()[None, :, None].expand(1, -1, spectra.shape[-1])
        return self._added(frames) / self._added(weight)

    def _added(self, frames: Float[Tensor, "batch n_fft frame"]) -> Float[Tensor, "batch time"]:
        n_samples = (frames.shape[-1] - 1) * self.hop + self.n_fft
        added = F.fold(frames, (1, n_samples), (1, self.n_fft), stride=(1, self.hop))
        cut = (self.n_fft - self.hop) // 2
        return added[:, 0, 0, cut : n_samples - cut]


class SpectrumHead(nn.Module):
    """From frames to log magnitudes and phases, and from those to sound."""

    def __init__(self, d_model: int, n_fft: int, hop: int) -> None:
        super().__init__()
        self.out = nn.Linear(d_model, n_fft + 2)
        self.istft = InverseStft(n_fft, hop)

    def forward(
        self, frames: Float[Tensor, "batch frame d_model"]
    ) -> Float[Tensor, "batch 1 time"]:
        """Magnitudes are at most 100."""
        log_magnitude, phase = self.out(frames).transpose(1, 2).chunk(2, 1)
        spectra = torch.polar(log_magnitude.exp().clamp(max=100.0), phase)
        sound: Tensor = self.istft(spectra)[:, None]
        return sound


def _group_norm(d_model: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, d_model, eps=_EPS)
