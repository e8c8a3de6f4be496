"""Masked Modeling Duo (METHODS 2.7): the published checkpoints, read into our own ViT."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import CheckpointError, ConfigError
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Side, Tap, Weights
from auscult.models.networks.audio_vit import LOG_MEL_16K, AudioVit, VitShape
from auscult.models.patch_vit import check_length, redraw_vit, shuffle_vit, vit_taps, vit_times
from auscult.models.weights import (
    load_strict,
    read_checkpoint,
    read_foreign,
    refuse_keys,
)

_PREFIXES = ("module.ar.runtime.backbone.", "backbone.")
"""What evaluation scripts put before the network's own names."""

_TRAINING_ONLY = (
    "decoder_", "mask_token", "target_", "norm_pix_loss", "offline_predictor", "logit_scale",
    "audio_proj", "text_proj", "head.", "module.head", "to_spec",
)  # fmt: skip
"""Beginnings of names that training, or a task on top, needs and the encoder does not."""


@MODELS.register("m2d")
class M2D(AudioModel):
    """M2D's ViT (Niizumi et al. 2023, 2024), as in ``m2d_vit_base-80x608p16x16-221006-mr7``.

    Roles: ``conv.0`` (patches), ``block.N.attn.out``, ``block.N.mlp.act`` (AAPE's neurons),
    ``block.N.mlp.out``, ``block.N``, ``final`` (patches behind the last norm) and ``columns`` (the
    five patches of a column joined: 3,840 numbers, the feature of a moment). Patches come in the
    order of time, without the class token. Clips of up to 608 frames, 6.08 s; a published protocol
    that hears longer sounds in pieces is ``clip_seconds = 6.08`` here.
    """

    class Params(Config):
        """Which weights; sizes only where no checkpoint tells them."""

        checkpoint: str | None = None
        """The checkpoint: ``checkpoint-300.pth`` as published, or its tensors as safetensors.

        Needed unless the weights are random; its tensors tell the network's sizes.
        """
        n_frames: int = Field(default=608, ge=16)
        """Most frames (10 ms) that the network hears, without a checkpoint."""
        patch: tuple[int, int] = (16, 16)
        """Bands and frames of a patch, without a checkpoint."""
        d_model: int = Field(default=768, ge=64, multiple_of=64)
        """Width of the stream, without a checkpoint; a head has 64 of it."""
        n_blocks: int = Field(default=12, ge=1)
        """Number of blocks, without a checkpoint."""

    def __init__(self, module: AudioVit, name: str, weights: Weights) -> None:
        self.module = module
        self.vit = module
        self.name = name
        self.weights = weights
        self.sample_rate = LOG_MEL_16K.sample_rate
        self.probe_samples = module.longest_samples
        self._times = vit_times(module)

    @classmethod
    def build(cls, params: "M2D.Params", weights: Weights, seed: int) -> "M2D":
        """Make the network and fill it, every key and shape of it.

        Raises:
            ConfigError: Trained or shuffled weights are asked for and no checkpoint is given.
            CheckpointError: It cannot be read without executing something, or does not fit.
        """
        if weights != "random" and params.checkpoint is None:
            raise ConfigError(
                "model: m2d has no bundled weights; give checkpoint = the published .pth file (or "
                'its tensors as .safetensors), or weights = "random"'
            )
        if params.checkpoint is None:
            shape = _shape(params.patch, params.n_frames, params.d_model, params.n_blocks)
            module, name = AudioVit(shape, LOG_MEL_16K).eval(), "m2d"
        else:
            module, name = load_m2d(Path(params.checkpoint).expanduser()), "m2d (checkpoint)"
        if weights == "random":
            redraw_vit(module, seed)
        elif weights == "shuffled":
            shuffle_vit(module, seed)
        return cls(module, name, weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Tensor:
        """One vector a column of patches, ``[batch column d_in]``.

        Raises:
            AudioError: The clips are longer than the network's positions, or empty.
        """
        check_length(self.vit, waveform)
        features: Tensor = self.module(waveform)
        return features

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        return vit_taps(self.vit)

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition; behind attention every frame hears the whole clip."""
        return self._times.get((tap.path, side))


def load_m2d(path: Path) -> AudioVit:
    """A network of the sizes that a checkpoint's tensors have, filled with them, every key.

    Raises:
        CheckpointError: It cannot be read without executing something, or does not fit.
    """
    tensors = read_m2d(path)
    wanted = ("cls_token", "pos_embed", "patch_embed.proj.weight")
    refuse_keys(path.name, [key for key in wanted if key not in tensors], [])
    patch = tuple(int(size) for size in tensors["patch_embed.proj.weight"].shape[-2:])
    n_patches, d_model = tensors["pos_embed"].shape[-2] - 1, tensors["cls_token"].shape[-1]
    n_frames = n_patches * patch[0] * patch[1] // LOG_MEL_16K.n_mels
    n_blocks = len({key.split(".")[1] for key in tensors if key.startswith("blocks.")})
    module = AudioVit(_shape((patch[0], patch[1]), n_frames, d_model, n_blocks), LOG_MEL_16K)
    load_strict(module, tensors, path.name)
    return module.eval()


def read_m2d(path: Path) -> dict[str, Tensor]:
    """The encoder's tensors of a published checkpoint, under the network's own names.

    Prefixes of evaluation scripts are taken off; what only training needs is left out; the mean and
    deviation of 2022, which those checkpoints do not hold, are added. Everything else stays, so
    that a strict load names it.

    Raises:
        CheckpointError: It cannot be read, or holds no tensors.
    """
    is_safe = path.suffix == ".safetensors"
    held: dict[str, Any] = {**read_checkpoint(path)} if is_safe else read_foreign(path)
    inner = held.get("model", held)
    named = inner.items() if isinstance(inner, Mapping) else ()
    tensors = {_own_name(str(key)): value for key, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors, neither by itself nor under 'model'")
    kept = {k: v for k, v in tensors.items() if not k.startswith(_TRAINING_ONLY)}
    kept.setdefault("norm_stats", torch.tensor([-7.1, 4.2]))
    return kept


def _own_name(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _shape(patch: tuple[int, int], n_frames: int, d_model: int, n_blocks: int) -> VitShape:
    return VitShape(
        LOG_MEL_16K.n_mels, n_frames, patch, d_model, n_blocks, d_model // 64, 4 * d_model
    )
