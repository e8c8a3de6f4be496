"""Synthetic sound for probing, calibrating and surveying a network.

No files, seeded, never silent.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.rng import seed_of


def harmonic_noise(
    sample_rate: int, n_channels: int, n_samples: int, n_clips: int = 1, seed: int = 0
) -> Float[Tensor, "{n_clips} {n_channels} {n_samples}"]:
    """Harmonic tones that swell and fade over noise, within [-0.5, 0.5].

    Channels slightly different.

    Tones have fundamentals from 110 to 880 Hz and partials that fall off as 1/k; noise is a fifth
    of them, so that every band of a network hears something.
    """
    rng = torch.Generator().manual_seed(seed_of(seed, "harmonic noise"))
    time = torch.arange(n_samples) / sample_rate
    pitch = 110 * 2 ** (3 * torch.rand(n_clips, 1, 1, generator=rng))
    rate = 1 + 4 * torch.rand(n_clips, 1, 1, generator=rng)
    sound = torch.zeros(n_clips, 1, n_samples)
    for k in range(1, 13):
        partial = torch.sin(2 * math.pi * k * pitch * time) / k
        sound = sound + partial * (k * pitch < sample_rate / 2)
    sound = sound * (1.2 + torch.sin(2 * math.pi * rate * time))
    sound = sound + 0.4 * torch.randn(n_clips, n_channels, n_samples, generator=rng)
    return 0.5 * sound / sound.abs().amax((1, 2), keepdim=True)
