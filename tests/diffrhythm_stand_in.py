"""A checkout with the shape of DiffRhythm's: names, signatures and imports; the network is our own."""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

SIZES = {
    "dim": 16,
    "depth": 2,
    "heads": 2,
    "ff_mult": 2,
    "text_dim": 8,
    "conv_layers": 0,
    "mel_dim": 4,
    "text_num_embeds": 50,
}

_INIT = """
raise ImportError("the trainer of this checkout needs packages that are not here")
"""

_MODULES = """
import torchaudio
from x_transformers.x_transformers import apply_rotary_pos_emb

from torch import nn


class TimestepEmbedding(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.time_mlp = nn.Linear(1, dim)

    def forward(self, timestep):
        return self.time_mlp(timestep[:, None])


def rotate(x):
    return apply_rotary_pos_emb(x)
"""

_DIT = """
from __future__ import annotations

import torch
from torch import nn

from model.modules import TimestepEmbedding, rotate


class InputEmbedding(nn.Module):
    def __init__(self, mel_dim, text_dim, out_dim, cond_dim):
        super().__init__()
        self.proj = nn.Linear(mel_dim * 2 + text_dim + cond_dim * 2, out_dim)

    def forward(self, x, cond, text_embed, style_emb, time_emb, drop_audio_cond=False):
        if drop_audio_cond:
            cond = torch.zeros_like(cond)
        each = [e.unsqueeze(1).expand(-1, x.shape[1], -1) for e in (style_emb, time_emb)]
        return self.proj(torch.cat((x, cond, text_embed, *each), dim=-1))


class Mlp(nn.Module):
    def __init__(self, dim, wide):
        super().__init__()
        self.up_proj, self.down_proj = nn.Linear(dim, wide), nn.Linear(wide, dim)

    def forward(self, x):
        return self.down_proj(torch.nn.functional.silu(self.up_proj(x)))


class Layer(nn.Module):
    \"\"\"Returns a tensor, as layers of transformers 5 do; older ones return a tuple.\"\"\"

    def __init__(self, dim, wide):
        super().__init__()
        self.self_attn, self.mlp = nn.Linear(dim, dim), Mlp(dim, wide)

    def forward(self, x, attention_mask=None, position_embeddings=None):
        x = x + self.self_attn(x + x.mean(1, keepdim=True))
        return x + self.mlp(x)


class DiT(nn.Module):
    def __init__(self, *, dim, depth=8, heads=8, dim_head=64, dropout=0.1, ff_mult=4, mel_dim=100,
                 text_num_embeds=256, text_dim=None, conv_layers=0, long_skip_connection=False,
                 max_frames=2048):
        super().__init__()
        self.max_frames, self.dim, self.depth = max_frames, dim, depth
        self.time_embed, self.start_time_embed = TimestepEmbedding(512), TimestepEmbedding(512)
        self.duration_time_embed = TimestepEmbedding(512) if max_frames == 6144 else None
        self.text_embed = nn.Embedding(text_num_embeds + 1, text_dim)
        self.input_embed = InputEmbedding(mel_dim, text_dim, dim, 512)
        self.transformer_blocks = nn.ModuleList([Layer(dim, dim * ff_mult) for _ in range(depth)])
        self.proj_out = nn.Linear(dim, mel_dim)

    def forward(self, x, cond, text, time, drop_audio_cond, drop_text, drop_prompt=False,
                style_prompt=None, start_time=None, duration=None):
        if time.ndim == 0:
            time = time.repeat(x.shape[0])
        c = self.time_embed(time) + self.start_time_embed(start_time)
        if self.max_frames == 6144:
            c = c + self.duration_time_embed(duration)
        if drop_text:
            text = torch.zeros_like(text)
        if drop_prompt:
            style_prompt = torch.zeros_like(style_prompt)
        text_embed = self.text_embed(text)
        x = self.input_embed(x, cond, text_embed, style_prompt, c, drop_audio_cond=drop_audio_cond)
        for block in self.transformer_blocks:
            x, *_ = block(x, attention_mask=None, position_embeddings=None)
        return self.proj_out(x)
"""

_PHONEMES = """
import json

with open("./g2p/g2p/vocab.json") as file:
    vocab = json.load(file)["vocab"]


def chn_eng_g2p(text):
    tokens = [vocab[letter] for letter in text if letter in vocab]
    return "|".join(text), tokens
"""


def write_checkout(folder: Path) -> Path:
    """Write it, with its sizes, phonemes and the style of its unconditional rows."""
    files = {
        "model/__init__.py": _INIT,
        "model/modules.py": _MODULES,
        "model/dit.py": _DIT,
        "g2p/g2p_generation.py": _PHONEMES,
        "g2p/g2p/vocab.json": json.dumps({"vocab": {"a": 10, "b": 11, "c": 12, ".": 1}}),
        "config/diffrhythm-1b.json": json.dumps({"model_type": "diffrhythm", "model": SIZES}),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    style = np.random.default_rng(0).normal(size=(1, 512)).astype(np.float32)
    (folder / "infer" / "example").mkdir(parents=True)
    np.save(folder / "infer" / "example" / "vocal.npy", style)
    return folder


def write_weights(network: torch.nn.Module, file: Path, **more: Any) -> Path:
    """A checkpoint as the trainer writes it: the transformer within the whole model."""
    tensors = {f"transformer.{name}": value for name, value in network.state_dict().items()}
    torch.save({"model_state_dict": {**tensors, **more}}, file)
    return file


def write_vae(folder: Path) -> Path:
    """A small Oobleck at 44.1 kHz, as diffusers saves it."""
    import warnings

    from diffusers import AutoencoderOobleck

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)
        vae = AutoencoderOobleck(
            encoder_hidden_size=8,
            downsampling_ratios=[2, 4],
            channel_multiples=[1, 2],
            decoder_channels=8,
            decoder_input_channels=4,
        )
    vae.save_pretrained(folder)
    return folder


@cache
def _root() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="diffrhythm-")


@cache
def once() -> tuple[str, str]:
    """A checkout and an autoencoder, written once in a process."""
    root = Path(_root().name)
    return str(write_checkout(root / "code")), str(write_vae(root / "vae"))
