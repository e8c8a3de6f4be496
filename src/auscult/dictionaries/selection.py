"""What dictionaries share that select some of their activations: how to, and their gradient."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from auscult.dictionaries.linear import LinearCoder, gradient_of, squared_error
from auscult.dictionaries.sparse_acts import (
    BLOCK_FLOATS,
    SparseActs,
    entries_at,
    largest_entries,
    places_above,
)

ENCODER_START = 3**-0.5
"""Length of an encoder's rows at the start, beside unit atoms, as in sparsify.

Atoms that are on together overlap: with rows of unit length they rebuild too much at first, and
after 40 steps of the workload q3 the FVU was 0.526, not 0.495."""


def expect_k(k: int, n_features: int) -> None:
    """Refuse to keep more features than there are; for the settings of types that select.

    Raises:
        ValueError: ``k`` is above ``n_features``.
    """
    if k > n_features:
        raise ValueError(f"k = {k} is more than n_features = {n_features}")


@dataclass(frozen=True)
class SparseGradient:
    """What :func:`sparse_gradient` computed beside the gradient.

    Attributes:
        mse: The squared error.
        left_over: ``v - v̂``, if it was asked for.
    """

    mse: Float[Tensor, ""]
    left_over: Float[Tensor, "n d_in"] | None


@torch.no_grad()
def sparse_gradient(
    linear: LinearCoder,
    acts: SparseActs,
    centred: Float[Tensor, "n d_in"],
    goal: Float[Tensor, "n d_in"],
    *,
    prices: Float[Tensor, " n_features"] | None = None,
    keep_left_over: bool = False,
) -> SparseGradient:
    """The gradient of ``E ‖v - v̂‖² + Σ_n Σ_i price_i z_ni`` by hand, of the entries alone.

    Both ``centred``, what is encoded, and ``goal``, what is to be rebuilt, are less ``b_d``.

    With ``r = v̂ - v``, ``∂/∂z = 2 r Dᵀ / N + price`` where z ≠ 0: which entries there are is
    constant almost everywhere. W_e and b_e follow as in any linear layer; b_d gets its share from
    both ends.
    """
    n, d_in = centred.shape
    decoder, dtype = linear.decoder.detach(), linear.operands(centred)
    residual = linear.scratch("residual", centred, n, d_in)
    atoms = linear.lowered("decoder", decoder, dtype)
    rows = max(1, BLOCK_FLOATS // d_in)
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        out = residual[start:stop].copy_(acts.decode(atoms, start, stop))
        out.sub_(goal[start:stop])
    flat = residual.flatten()
    mse = torch.dot(flat, flat) / n

    entries = acts.by_feature
    into_acts = entries.products(residual, decoder).mul_(2.0 / n)
    if prices is not None:
        into_acts += torch.repeat_interleave(prices, entries.lengths)
    into_acts *= entries.values != 0
    if linear.frozen != "decoder":
        pull = linear.lowered("residual", residual, dtype)
        entries.pulled(entries.values * (2.0 / n), pull, gradient_of(linear.decoder))
    if linear.frozen != "encoder":
        x = linear.lowered("centred", centred, dtype)
        entries.pulled(into_acts, x, gradient_of(linear.encoder))
    into_bias = gradient_of(linear.encoder_bias).copy_(entries.totals(into_acts))
    bias = torch.sum(residual, 0, out=gradient_of(linear.decoder_bias)).mul_(2.0 / n)
    bias.sub_(into_bias @ linear.encoder)
    return SparseGradient(mse, residual.neg() if keep_left_over else None)


def auxiliary_term(
    linear: LinearCoder,
    vectors: Float[Tensor, "n d_in"],
    residual: Float[Tensor, "n d_in"],
    dead: Int64[Tensor, " n_dead"],
    weight: float,
    *,
    width: int,
    signed: bool = False,
) -> dict[str, Float[Tensor, ""]]:
    """The loss of the dead features, which have to explain the residual (Gao et al. 2024, A.2).

    ::

        aux = weight · E ‖e - z_dead D‖² / E ‖e - E e‖²

    ``z_dead`` keeps the ``width / 2`` largest of the dead features. The width is that of the tap,
    though vectors may come in the fewer coordinates of a subspace. Without dead features, or where
    nothing is left to explain, there is no term.
    """
    if len(dead) == 0 or weight == 0.0:
        return {}
    pre = (vectors - linear.decoder_bias) @ linear.encoder[dead].T + linear.encoder_bias[dead]
    return auxiliary_loss(pre, linear.decoder[dead], residual, weight, width=width, signed=signed)


def auxiliary_loss(
    pre: Float[Tensor, "n n_dead"],
    decoder: Float[Tensor, "n_dead d_out"],
    residual: Float[Tensor, "n d_out"],
    weight: float,
    *,
    width: int,
    signed: bool = False,
) -> dict[str, Float[Tensor, ""]]:
    """The same from what the dead features would say, and their atoms."""
    variance = (residual - residual.mean(0)).square().sum(1).mean()
    if float(variance) == 0.0:
        return {}
    acts = keep_top(pre, min(max(1, width // 2), len(decoder)), signed)
    return {"aux": weight * squared_error(acts @ decoder, residual) / variance}


def keep_top(
    pre: Float[Tensor, "n n_features"], k: int, signed: bool
) -> Float[Tensor, "n n_features"]:
    """Keep the k largest positive entries of each row, or with ``signed`` by magnitude."""
    ranked = pre.abs() if signed else pre.relu()
    chosen = ranked.topk(k, dim=1, sorted=False).indices
    kept = pre if signed else ranked
    return torch.zeros_like(pre).scatter(1, chosen, kept.gather(1, chosen))


@torch.no_grad()
def top_acts(
    linear: LinearCoder, centred: Float[Tensor, "n d_in"], k: int, signed: bool
) -> SparseActs:
    """The entries that :func:`keep_top` keeps of ``p``, with zeros where fewer are positive."""
    features, values = [], []
    for _, pre in linear.pre_in_pieces(centred):
        chosen = largest_entries(pre.abs() if signed else pre, k)
        features.append(chosen.flatten())
        values.append(pre.gather(1, chosen).flatten().to(centred.dtype))
        del pre  # the next piece gets its memory, which is near the processor
    kept = torch.cat(values)
    ends = torch.arange(0, k * len(centred) + 1, k, device=centred.device)
    entries = kept if signed else kept.relu_()
    return SparseActs(torch.cat(features), entries, ends, len(linear.decoder))


class RunningThreshold(nn.Module):
    """Keep the largest of a batch while training, and remember how large they had to be.

    Attributes:
        threshold: Running average of the smallest activation that a batch kept; 0 before training.
        n_batches: How many batches it has seen.
        smallest: The smallest activation that the last batch kept; NaN where it kept none.
    """

    threshold: Tensor
    n_batches: Tensor

    def __init__(self, memory: float) -> None:
        super().__init__()
        self.memory = memory
        self.smallest = float("nan")
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.int64))

    @property
    def notes(self) -> Mapping[str, float]:
        """For the log of training: the threshold before this batch."""
        return {"threshold": float(self.threshold)}

    def above(self, pre: Float[Tensor, "n n_features"]) -> Float[Tensor, "n n_features"]:
        """Keep what lies above the threshold; this is the encoding rule after training."""
        return pre * (pre > self.threshold)

    def keep(
        self, pre: Float[Tensor, "n n_features"], n_kept: int
    ) -> Float[Tensor, "n n_features"]:
        """Keep the ``n_kept`` largest positive entries of the whole batch."""
        flat = pre.relu().flatten()
        values, chosen = flat.topk(n_kept, sorted=False)
        self._note(values.detach())
        return torch.zeros_like(flat).scatter(0, chosen, values).reshape(pre.shape)

    @torch.no_grad()
    def keep_entries(
        self, linear: LinearCoder, centred: Float[Tensor, "n d_in"], n_kept: int
    ) -> SparseActs:
        """The entries that :meth:`keep` keeps of ``p``; ties at the end go to the first ones.

        Only what exceeds four fifths of the threshold is ranked, unless that is too little.
        """
        floor = 0.8 * float(self.threshold)
        if floor == 0.0:
            _, pre = next(linear.pre_in_pieces(centred))
            share = min(1.0, 2.0 * n_kept / (len(centred) * len(linear.decoder)))
            floor = max(0.0, float(pre.flatten().float().topk(int(share * pre.numel())).values[-1]))
        places, values = _entries_above(linear, centred, floor)
        if len(values) < n_kept and floor > 0.0:
            places, values = _entries_above(linear, centred, 0.0)
        self.smallest = float("nan")
        if len(values) > n_kept:
            ranked = values.numpy()
            smallest = np.partition(ranked, len(ranked) - n_kept)[len(ranked) - n_kept]
            kept = ranked >= smallest
            kept[np.flatnonzero(ranked == smallest)[::-1][: int(kept.sum()) - n_kept]] = False
            chosen = torch.from_numpy(np.flatnonzero(kept))
            places, values = places[chosen], values[chosen]
        if len(values):
            self.smallest = float(values.min())
        return entries_at(places, values.to(centred.dtype), len(centred), len(linear.decoder))

    def _note(self, kept: Float[Tensor, " n_kept"]) -> None:
        positive = kept[kept > 0]
        self.smallest = float(positive.min()) if len(positive) else float("nan")

    @torch.no_grad()
    def follow(self) -> None:
        """Let the threshold follow the last batch.

        After t batches the past weighs ``(1 + t) / (10 + t)``, at most ``memory``: the average
        reaches over the last tenth of a short training, not over all of it.
        """
        if self.smallest != self.smallest:
            return
        t = int(self.n_batches)
        past = min(self.memory, (1 + t) / (10 + t)) if t else 0.0
        self.threshold.mul_(past).add_((1.0 - past) * self.smallest)
        self.n_batches += 1


def _entries_above(
    linear: LinearCoder, centred: Float[Tensor, "n d_in"], floor: float
) -> tuple[Int64[Tensor, " n_entries"], Float[Tensor, " n_entries"]]:
    """Where in the flattened ``p`` what exceeds a floor lies, in order, and how large it is."""
    places, values = [], []
    for start, pre in linear.pre_in_pieces(centred):
        above = places_above(pre, floor)
        places.append(above + start * pre.shape[1])
        found = pre.flatten()[above]
        values.append(found.float() if found.dtype == torch.bfloat16 else found)
        del pre  # the next piece gets its memory, which is near the processor
    return torch.cat(places), torch.cat(values)
