"""A vision transformer on patches of a log-mel spectrum, in the layout of M2D's checkpoints.

Masked Modeling Duo (Niizumi et al. 2023, 2024) encodes sound by a plain ViT (Dosovitskiy et al.
2021): patches of 16 bands by 16 frames, a class token, learned positions, blocks that normalise
before they act. Its checkpoints name their tensors as timm does, and so does this module.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.models.log_mel import MelPower, MelSettings

_EPS = float(torch.finfo(torch.float32).eps)

LOG_MEL_16K = MelSettings(16_000, 80, 400, 400, 160, 50.0, 8_000.0)
"""M2D's spectrum at 16 kHz: 25-ms windows every 10 ms, 80 bands from 50 Hz."""


@dataclass(frozen=True)
class VitShape:
    """Sizes of the network.

    Attributes:
        n_mels: Bands of the spectrum.
        n_frames: Most frames that it hears at once.
        patch: Bands and frames of a patch.
        d_model: Width of the stream.
        n_blocks: Number of blocks.
        n_heads: Attention heads in each.
        d_mlp: Neurons in each.
    """

    n_mels: int
    n_frames: int
    patch: tuple[int, int]
    d_model: int
    n_blocks: int
    n_heads: int
    d_mlp: int

    @property
    def n_rows(self) -> int:
        """Patches in a column."""
        return self.n_mels // self.patch[0]

    @property
    def n_columns(self) -> int:
        """Columns of the longest clip."""
        return self.n_frames // self.patch[1]


class Attention(nn.Module):
    """Scaled dot-product attention of several heads."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.proj = nn.Linear(d_model, d_model)

    def forward(
        self, x: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch token d_model"]:
        """What attention adds to the stream."""
        heads = self.qkv(x).unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Up, GELU, and down again."""

    def __init__(self, d_model: int, d_mlp: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, d_mlp)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(d_mlp, d_model)

    def forward(
        self, x: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch token d_model"]:
        """What the neurons add to the stream."""
        return self.fc2(self.act(self.fc1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and MLP, each behind a norm and beside the stream."""

    def __init__(self, d_model: int, n_heads: int, d_mlp: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(d_model, eps=1e-6)
        self.attn = Attention(d_model, n_heads)
        self.norm2 = nn.LayerNorm(d_model, eps=1e-6)
        self.mlp = Mlp(d_model, d_mlp)

    def forward(
        self, x: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch token d_model"]:
        """The stream behind the block."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class PatchEmbed(nn.Module):
    """Cuts a spectrum into patches; a row of patches (one band over the clip) after the other."""

    def __init__(self, patch: tuple[int, int], d_model: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, d_model, patch, patch)

    def forward(
        self, x: Float[Tensor, "batch 1 mel frame"]
    ) -> Float[Tensor, "batch token d_model"]:
        """One vector a patch."""
        return self.proj(x).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class Columns(nn.Module):
    """Joins the patches of a column, lowest band first; the class token is left out.

    That is M2D's feature of a moment (Niizumi et al. 2023, section III-B), and EVAR's.
    """

    def __init__(self, n_rows: int) -> None:
        super().__init__()
        self.n_rows = n_rows

    def forward(
        self, x: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch column d_in"]:
        """One vector a column."""
        n_clips, n_tokens, d_model = x.shape
        rows = x[:, 1:].reshape(n_clips, self.n_rows, n_tokens // self.n_rows, d_model)
        return rows.transpose(1, 2).flatten(2)


class AudioVit(nn.Module):
    """From a waveform to one vector a column of patches.

    Args:
        shape: Sizes.
        mel: Of its spectrum.
        n_classes: Outputs of a linear head on the mean over patches; without, there is no head.
    """

    def __init__(self, shape: VitShape, mel: MelSettings, n_classes: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.mel = MelPower(mel)
        # Mean and deviation of its training spectra, under the name that M2D's checkpoints have.
        self.norm_stats = nn.Parameter(torch.tensor([-7.1, 4.2]), requires_grad=False)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.d_model))
        n_tokens = 1 + shape.n_rows * shape.n_columns
        self.pos_embed = nn.Parameter(torch.zeros(1, n_tokens, shape.d_model))
        self.patch_embed = PatchEmbed(shape.patch, shape.d_model)
        self.blocks = nn.ModuleList(
            Block(shape.d_model, shape.n_heads, shape.d_mlp) for _ in range(shape.n_blocks)
        )
        self.norm = nn.LayerNorm(shape.d_model, eps=1e-6)
        self.columns = Columns(shape.n_rows)
        self.head = nn.Linear(shape.d_model, n_classes) if n_classes else None

    @property
    def longest_samples(self) -> int:
        """The longest clip; a frame that is centred behind its last sample is left out."""
        return self.shape.n_frames * self.mel.settings.hop

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Tensor:
        """Logits ``[batch class]`` with a head, else features ``[batch column d_in]``."""
        tokens = self.norm(self.stream(self.spectrum(waveform)))
        features: Tensor = self.columns(tokens)
        return features if self.head is None else self.head(tokens[:, 1:].mean(1))

    def spectrum(
        self, waveform: Float[Tensor, "batch channel time"]
    ) -> Float[Tensor, "batch 1 mel frame"]:
        """The log-mel at the mean and deviation of the training sounds, filled up to whole patches.

        Zeros behind the sound are the training sounds' mean.
        """
        power = self.mel(waveform.mean(1))
        power = power[..., : min(self.shape.n_frames, power.shape[-1])]
        log = ((power + _EPS).log() - self.norm_stats[0]) / self.norm_stats[1]
        lacking = -log.shape[-1] % self.shape.patch[1]
        return F.pad(log, (0, lacking))[:, None]

    def stream(
        self,
        spectrum: Float[Tensor, "batch 1 mel frame"],
        kept: Int[Tensor, "batch kept"] | None = None,
    ) -> Float[Tensor, "batch token d_model"]:
        """The stream behind the last block; of some patches only while it is trained to fill gaps.

        A short clip takes the first columns of the positions.
        """
        x: Tensor = self.patch_embed(spectrum)
        rows = self.pos_embed[0, 1:].reshape(self.shape.n_rows, self.shape.n_columns, -1)
        x = x + rows[:, : x.shape[1] // self.shape.n_rows].flatten(0, 1)
        if kept is not None:
            x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[2]))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([first, x], 1)
        for block in self.blocks:
            x = block(x)
        return x
