"""Training of the residual quantiser of `transformers.EncodecModel`, which only knows inference.

Follows A. Defossez et al., "High Fidelity Neural Audio Compression", 2022, section 3.2: codebooks
start at k-means centres and follow exponential moving averages; a codeword that is hardly used is
replaced by a vector of the current batch; gradients pass straight through; a commitment loss
keeps the encoder near its codewords. Codebooks are written into the model's own buffers.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import EncodecModel

DECAY = 0.99
DEAD_SHARE = 0.1
KMEANS_ROUNDS = 10
SPLIT = 4096


def nearest(vectors: Float[Tensor, "n d_in"], codebook: Float[Tensor, "n_codes d_in"]) -> Tensor:
    """Index of the closest codeword of each vector."""
    halves = codebook.square().sum(dim=1) / 2
    parts = [(part @ codebook.T - halves).argmax(dim=1) for part in vectors.split(SPLIT)]
    return torch.cat(parts)


@torch.no_grad()
def kmeans(vectors: Float[Tensor, "n d_in"], n_codes: int, rng: torch.Generator) -> Tensor:
    """Lloyd's algorithm from random vectors; an empty cell restarts at a random vector."""
    centres = _draw(vectors, n_codes, rng)
    for _ in range(KMEANS_ROUNDS):
        cell = nearest(vectors, centres)
        counts = torch.bincount(cell, minlength=n_codes).to(vectors.dtype)
        sums = torch.zeros_like(centres).index_add_(0, cell, vectors)
        centres = sums / counts.clamp(min=1)[:, None]
        empty = counts == 0
        centres[empty] = _draw(vectors, int(empty.sum()), rng)
    return centres


def _draw(vectors: Float[Tensor, "n d_in"], n: int, rng: torch.Generator) -> Tensor:
    return vectors[torch.randint(len(vectors), (n,), generator=rng)].clone()


def codebooks(model: EncodecModel) -> list[nn.Module]:
    """The codebook modules in the order of the residual chain."""
    return [layer.codebook for layer in model.quantizer.layers]


@torch.no_grad()
def fill_codebooks(model: EncodecModel, latents: Sequence[Tensor], rng: torch.Generator) -> None:
    """Set every codebook to the k-means centres of what the ones before it leave over."""
    residual = torch.cat([z.transpose(1, 2).flatten(0, 1) for z in latents])
    for book in codebooks(model):
        centres = kmeans(residual, len(book.embed), rng)
        book.embed.copy_(centres)
        book.embed_avg.copy_(centres)
        book.cluster_size.fill_(1.0)
        residual = residual - centres[nearest(residual, centres)]


def quantise(
    model: EncodecModel,
    latents: Float[Tensor, "batch d_in frame"],
    n_codebooks: int,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Quantise with the first `n_codebooks`, update them, and let gradients through.

    Returns:
        The quantised latents (value: quantised; gradient: that of `latents`) and the commitment
        loss, the mean squared distance of each residual to its codeword over that of the latents.
    """
    vectors = latents.transpose(1, 2).flatten(0, 1)
    scale = vectors.detach().square().mean().clamp(min=1e-8)
    residual, total = vectors, torch.zeros_like(vectors)
    commitment = torch.zeros(())
    for book in codebooks(model)[:n_codebooks]:
        index = nearest(residual.detach(), book.embed)
        codeword = book.embed[index].clone()
        commitment = commitment + (residual - codeword).square().mean() / scale
        _follow(book, residual.detach(), index, rng)
        total = total + codeword
        residual = residual - codeword
    passed = vectors + (total - vectors).detach()
    shaped = passed.unflatten(0, (latents.shape[0], latents.shape[2])).transpose(1, 2)
    return shaped, commitment / n_codebooks


@torch.no_grad()
def _follow(
    book: nn.Module, vectors: Float[Tensor, "n d_in"], index: Tensor, rng: torch.Generator
) -> None:
    """One step of the moving averages, then the replacement of dead codewords.

    `embed_avg` is the running sum of the vectors of a cell and `cluster_size` their running number;
    the codeword is their ratio. Dead is a codeword below a tenth of the use it would have if all
    were used alike.
    """
    n_codes = len(book.embed)
    counts = torch.bincount(index, minlength=n_codes).to(vectors.dtype)
    sums = torch.zeros_like(book.embed).index_add_(0, index, vectors)
    book.cluster_size.mul_(DECAY).add_(counts, alpha=1 - DECAY)
    book.embed_avg.mul_(DECAY).add_(sums, alpha=1 - DECAY)
    even_use = len(vectors) / n_codes
    dead = book.cluster_size < DEAD_SHARE * even_use
    fresh = _draw(vectors, int(dead.sum()), rng)
    book.cluster_size[dead] = even_use
    book.embed_avg[dead] = fresh * even_use
    book.embed.copy_(book.embed_avg / book.cluster_size[:, None])
