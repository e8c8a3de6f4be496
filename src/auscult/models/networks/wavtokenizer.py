"""WavTokenizer (Ji et al. 2024): EnCodec's encoder, one large codebook, a Vocos decoder."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from auscult.models.hub import transformers_module
from auscult.models.networks.vocos import SpectrumHead, VocosBackbone


@dataclass(frozen=True)
class WavTokenizerShape:
    """Sizes of the network; the defaults are those of the published 75 tokens a second.

    Attributes:
        ratios: Strides of the encoder, last first, as the published settings list them.
        n_filters: Channels behind the first convolution; each strided step doubles them.
        d_latent: Width of a latent and of an entry of the codebook.
        n_codes: Entries.
        d_model: Width of the decoder's stream.
        d_hidden: Neurons of a ConvNeXt block.
        n_blocks: ConvNeXt blocks.
        n_bandwidths: Bit rates that the decoder's norms know.
        n_fft: Length of a frame of the inverse transform; four hops when 0.
    """

    ratios: tuple[int, ...] = (8, 5, 4, 2)
    n_filters: int = 32
    d_latent: int = 512
    n_codes: int = 4096
    d_model: int = 768
    d_hidden: int = 2304
    n_blocks: int = 12
    n_bandwidths: int = 4
    n_fft: int = 0

    @property
    def hop(self) -> int:
        """Samples of a latent frame."""
        return prod(self.ratios)

    @property
    def frame(self) -> int:
        """Samples of a frame of the inverse transform."""
        return self.n_fft or 4 * self.hop


class Codebook(nn.Module):
    """The one level of the quantiser."""

    embed: Tensor

    def __init__(self, n_codes: int, d_latent: int) -> None:
        super().__init__()
        self.register_buffer("embed", torch.zeros(n_codes, d_latent))

    def encode(
        self, latents: Float[Tensor, "batch d_latent frame"]
    ) -> Int[Tensor, "batch 1 frame"]:
        """The entry nearest to each latent.

        By the expanded square, as in training: of two entries at almost equal distance the same
        one wins.
        """
        vectors = latents.transpose(1, 2)
        squares = vectors.square().sum(-1, keepdim=True) + self.embed.square().sum(-1)
        return (squares - 2 * vectors @ self.embed.T).argmin(-1)[:, None]

    def decode(self, codes: Int[Tensor, "batch 1 frame"]) -> Float[Tensor, "batch d_latent frame"]:
        """The entries that codes stand for."""
        return self.embed[codes[:, 0]].transpose(1, 2)

    def forward(
        self, latents: Float[Tensor, "batch d_latent frame"]
    ) -> tuple[Float[Tensor, "batch d_latent frame"], Int[Tensor, "batch 1 frame"]]:
        """The nearest entries, and their indices."""
        codes = self.encode(latents)
        return self.decode(codes), codes


class WavTokenizerNetwork(nn.Module):
    """The encoder through transformers, the rest ours."""

    def __init__(self, shape: WavTokenizerShape, sample_rate: int) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = _encoder(shape, sample_rate)
        self.quantizer = Codebook(shape.n_codes, shape.d_latent)
        self.backbone = VocosBackbone(
            shape.d_latent, shape.d_model, shape.d_hidden, shape.n_blocks, shape.n_bandwidths
        )
        self.head = SpectrumHead(shape.d_model, shape.frame, shape.hop)

    def decode(
        self, latents: Float[Tensor, "batch d_latent frame"], bandwidth: int
    ) -> Float[Tensor, "batch 1 time"]:
        """Latents to sound, whole frames."""
        number = torch.tensor(bandwidth, device=latents.device)
        sound: Tensor = self.head(self.backbone(latents, number))
        return sound


def _encoder(shape: WavTokenizerShape, sample_rate: int) -> Any:
    """EnCodec's, but that it looks ahead."""
    transformers = transformers_module("wavtokenizer")
    config = transformers.EncodecConfig(
        sampling_rate=sample_rate,
        num_filters=shape.n_filters,
        hidden_size=shape.d_latent,
        upsampling_ratios=list(shape.ratios),
        use_causal_conv=False,
    )
    from transformers.models.encodec.modeling_encodec import EncodecEncoder

    return EncodecEncoder(config)
