"""Codecs of which it is known what their codes stand for."""

import math

import torch
from torch import nn

RATE, HOP, N_BANDS = 8000, 80, 24


class BandCodec(nn.Module):
    """One level; the code is the loudest band of a frame, wherever the frame's period begins."""

    sample_rate = RATE

    def __init__(self, by_phase=False):
        super().__init__()
        self.by_phase = by_phase
        hz = torch.logspace(math.log10(100), math.log10(3500), N_BANDS)
        t = torch.arange(4 * HOP) / RATE
        window = torch.hann_window(4 * HOP)
        kernels = torch.cat(
            [
                window * torch.cos(2 * math.pi * hz[:, None] * t),
                window * torch.sin(2 * math.pi * hz[:, None] * t),
            ]
        )
        self.register_buffer("kernels", kernels[:, None])
        self.blend = nn.Parameter(torch.eye(N_BANDS))

    def encode(self, x):
        padded = nn.functional.pad(x, (3 * HOP, 0))
        real, imaginary = nn.functional.conv1d(padded, self.kernels, stride=HOP).chunk(2, 1)
        heard = real if self.by_phase else torch.sqrt(real**2 + imaginary**2 + 1e-12)
        return torch.einsum("ij,bjt->bit", self.blend, heard)

    def quantize(self, z):
        return z.argmax(1, keepdim=True)

    def dequantize(self, codes):
        return nn.functional.one_hot(codes[:, 0], N_BANDS).transpose(1, 2).float()

    def decode(self, z):
        kernels = self.kernels[:N_BANDS]
        return nn.functional.conv_transpose1d(z, kernels, stride=HOP)[..., : z.shape[-1] * HOP]

    def forward(self, x):
        return self.dequantize(self.quantize(self.encode(x)))


def bands():
    return BandCodec()


def phases():
    return BandCodec(by_phase=True)


class FrameCodec(nn.Module):
    """Linear and exact: a frame is its own samples, so a change of frames changes their sound."""

    sample_rate = RATE

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(HOP, 1))

    def encode(self, x):
        return self.gain * x[:, 0].unfold(-1, HOP, HOP).transpose(1, 2)

    def decode(self, z):
        return (z / self.gain).transpose(1, 2).flatten(1)[:, None]

    def forward(self, x):
        return self.encode(x)


def frames():
    return FrameCodec()


class ScalarCodec(BandCodec):
    """A code for every band: the first of them is no level."""

    def quantize(self, z):
        return torch.round(8 * z).long()

    def dequantize(self, codes):
        return codes / 8


def scalars():
    return ScalarCodec()


class StepCodec(nn.Module):
    """The code is a frame's first sample in fifths; at random weights a figure far behind its point.

    White noise has no order in it.
    """

    sample_rate = RATE

    def __init__(self, random=False):
        super().__init__()
        self.random = random
        self.gain = nn.Parameter(torch.ones(1))

    def encode(self, x):
        z = self.gain * x[..., ::HOP]
        return torch.sin(30_000 * z) if self.random else z

    def quantize(self, z):
        return torch.clamp((z + 1) * 2.5, 0, 4).floor().long()

    def dequantize(self, codes):
        return (codes + 0.5) / 2.5 - 1

    def decode(self, z):
        return z.repeat_interleave(HOP, dim=-1)

    def forward(self, x):
        return self.dequantize(self.quantize(self.encode(x)))


def steps(random=False):
    return StepCodec(random)
