"""Taps and times of a ViT on patches, whichever weights it carries."""

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import AudioError
from auscult.core.rng import seed_of
from auscult.core.timebase import TimeBase
from auscult.models.base import Side, Tap, TokenGrid
from auscult.models.initial import redraw_weights
from auscult.models.networks.audio_vit import AudioVit
from auscult.models.transformer_roles import block_taps, find_blocks
from auscult.models.weights import shuffle_weights


def check_length(vit: AudioVit, waveform: Float[Tensor, "batch channel time"]) -> None:
    """Refuse what would be cut off.

    Raises:
        AudioError: The clips are longer than the positions that the network has, or too short for a
            spectrum.
    """
    n_samples, rate = waveform.shape[-1], vit.mel.settings.sample_rate
    if n_samples > vit.longest_samples:
        raise AudioError(
            f"the network hears at most {vit.longest_samples} samples at once, got {n_samples}: "
            f"set sounds.clip_seconds to {vit.longest_samples / rate:g} or less"
        )
    shortest = vit.mel.settings.n_fft // 2 + 1
    if n_samples < shortest:
        raise AudioError(f"the network hears at least {shortest} samples, got {n_samples}")


@torch.no_grad()
def redraw_vit(vit: AudioVit, seed: int) -> None:
    """Draw all that is learned anew; the mean and deviation of its spectra stay."""
    redraw_weights(vit, seed)
    rng = torch.Generator().manual_seed(seed_of(seed, "positions"))
    for parameter in (vit.pos_embed, vit.cls_token):
        parameter.copy_(0.02 * torch.randn(parameter.shape, generator=rng))


@torch.no_grad()
def shuffle_vit(vit: AudioVit, seed: int) -> None:
    """Permute all that is learned; the mean and deviation of its spectra stay, which never were."""
    heard = vit.norm_stats.clone()
    shuffle_weights(vit, seed)
    vit.norm_stats.copy_(heard)


def vit_taps(vit: AudioVit) -> list[Tap]:
    """``conv.0``, the blocks, ``final``, ``columns`` and, with a head, ``logits``."""
    grid = TokenGrid(vit.shape.n_rows, n_prefix=1)
    taps = [
        Tap("patch_embed.proj", "conv.0", grid),
        *block_taps(find_blocks(vit), lambda _: grid),
        Tap("norm", "final", grid),
        Tap("columns", "columns", "btc"),
    ]
    return taps if vit.head is None else [*taps, Tap("head", "logits", "bc")]


def vit_times(vit: AudioVit) -> dict[tuple[str, Side], TimeBase]:
    """Time bases of all taps; a patch is local until attention has mixed it."""
    width = vit.shape.patch[1]
    mel = vit.mel.settings.time
    column = mel.after_conv(width, width)
    patch = column.split_into(vit.shape.n_rows)
    times: dict[tuple[str, Side], TimeBase] = {
        ("patch_embed.proj", "in"): mel,
        ("patch_embed.proj", "out"): patch,
    }
    for index, block in enumerate(find_blocks(vit)):
        for path in (block.path, block.attention, block.down):
            times[path, "in"] = times[path, "out"] = patch.after_global()
        if index == 0:
            times[block.path, "in"] = times[block.attention, "in"] = patch
    times["norm", "in"] = times["norm", "out"] = times["columns", "in"] = patch.after_global()
    times["columns", "out"] = column.after_global()
    return times
