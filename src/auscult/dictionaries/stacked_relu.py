"""The gradients of several small ReLU dictionaries: products one by one, all else in one call."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auscult.dictionaries.base import Objective
from auscult.dictionaries.flat_adam import FlatAdam
from auscult.dictionaries.linear import NO_LENGTH, pieces
from auscult.dictionaries.products import affine_product, switch_off, switch_type, switches
from auscult.dictionaries.stack import StackedGradients

if TYPE_CHECKING:
    from auscult.dictionaries.relu import ReluDictionary

_MOST_WEIGHTS = 1 << 15
"""Entries of an encoder up to which calls are worth saving; beyond, products take the time."""


@dataclass(frozen=True)
class _Member:
    """What the products of one dictionary read and write: views of what all share."""

    x: Float[Tensor, "n d"]
    centred: Float[Tensor, "n d"]
    encoder: Float[Tensor, "m d"]
    encoder_bias: Float[Tensor, " m"]
    decoder: Float[Tensor, "m d"]
    scaled: Float[Tensor, "m d"]
    prices: Float[Tensor, " m"]
    residual: Float[Tensor, "n d"]
    fired: Int[Tensor, " m"]
    totals: Float[Tensor, " m"]
    into_bias: Float[Tensor, " m"]
    into_encoder: Float[Tensor, "d m"]
    into_decoder: Float[Tensor, "d m"]


class StackedRelu(StackedGradients):
    """One batch of ``z = relu(W_e (v - b_d) + b_e)``, ``v̂ = z D + b_d`` for each of some.

    It is what :class:`auscult.dictionaries.dense_relu.DenseRelu` computes, in the same units. A
    stack multiplies no faster than its members one by one (see the ADR "Fast paths of training"),
    so products stay apart, and what is large stays in the cache; a dozen calls for each are left of
    seventy.
    """

    @staticmethod
    def key(dictionary: "ReluDictionary", batch: int) -> Hashable | None:
        """Shape and norm, where it is small, of one piece, and free to learn."""
        linear = dictionary.linear
        one_piece = len(list(pieces(batch, dictionary.n_features))) == 1
        on_processor = linear.encoder.device.type == "cpu"
        if (
            not on_processor
            or linear.frozen != "no"
            or linear.encoder.numel() > _MOST_WEIGHTS
            or not one_piece
        ):
            return None
        return (*linear.encoder.shape, dictionary.d_in, dictionary.params.norm)

    def __init__(self, dictionaries: Sequence["ReluDictionary"], adam: FlatAdam) -> None:
        self._dictionaries, self._adam = dictionaries, adam
        self._encoder, self._decoder = (adam.stacked(f"linear.{side}") for side in _SIDES)
        self._decoder_bias = adam.stacked("linear.decoder_bias")
        self._weighted = dictionaries[0].params.norm == "weighted"
        like = dictionaries[0].linear
        self._dtype = like.operands(adam.values)
        self._n = 0

    def _make_room(self, n: int) -> None:
        """Memory for batches of so many vectors."""
        wide = self._adam.values
        s, m, d = self._encoder.shape
        low = self._low = wide if self._dtype == wide.dtype else wide.to(self._dtype)
        count = switch_type(self._dtype)

        def room(*shape: int, dtype: torch.dtype = self._dtype) -> Tensor:
            return wide.new_empty(shape, dtype=dtype)

        self._centred, self._residual = (room(s, n, d, dtype=wide.dtype) for _ in "cr")
        self._x = self._centred if self._dtype == wide.dtype else room(s, n, d)
        self._scaled, self._prices = room(s, m, d), room(s, m)
        self._estimate, self._on = room(n, d), room(n, m, dtype=count)
        self._fired, self._totals, self._into_bias = room(s, m, dtype=count), room(s, m), room(s, m)
        self._into_encoder, self._into_decoder = room(s, d, m), room(s, d, m)
        each = (
            self._x,
            self._centred,
            *(self._adam.stacked(f"linear.{name}", low) for name in _LOWERED),
            self._scaled,
            self._prices,
            self._residual,
            self._fired,
            self._totals,
            self._into_bias,
            self._into_encoder,
            self._into_decoder,
        )
        self._members = [_Member(*views) for views in zip(*each, strict=True)]
        self._n = n

    @torch.no_grad()
    def differentiate(self, vectors: Float[Tensor, "n d"]) -> Sequence[Objective]:
        """``mse`` and ``l1`` of each, and the gradients of all."""
        n = len(vectors)
        if n != self._n:
            self._make_room(n)
        weights = [each.sparsity * each.params.l1_weight / n for each in self._dictionaries]
        weight = vectors.new_tensor(weights)[:, None]
        unit = torch.where(weight > 0.0, weight, 1.0 / n)
        norms = self._lengths() if self._weighted else torch.ones_like(weight)
        self._prices.copy_(norms * (weight > 0.0))
        if self._low is not self._adam.values:
            self._low.copy_(self._adam.values)
        torch.sub(vectors, self._decoder_bias[:, None], out=self._centred)
        if self._x is not self._centred:
            self._x.copy_(self._centred)
        torch.mul(self._decoder, 2.0 / (n * unit[:, :, None]), out=self._scaled)
        for member in self._members:
            self._multiply(member)
        self._finish(unit)
        totals = self._totals.to(vectors.dtype)
        if self._weighted:
            pull = (totals * weight / norms)[:, :, None]
            self._adam.stacked_gradient("linear.decoder").addcmul_(pull, self._decoder)
        flat = self._residual.flatten(1)
        mse = torch.linalg.vecdot(flat, flat) / n
        l1 = (totals * norms).sum(1) * weight[:, 0]
        fired = self._fired.to(vectors.dtype)
        return [
            Objective({"mse": mse[i], "l1": l1[i]}, fired[i]) for i in range(len(self._members))
        ]

    def _multiply(self, at: _Member) -> None:
        """The five products, and what is done to activations between them."""
        acts = affine_product(at.x, at.encoder, at.encoder_bias, rectified=True)
        on, estimate = switches(acts, self._on), self._estimate
        torch.sum(on, 0, dtype=on.dtype, out=at.fired)
        torch.sum(acts, 0, out=at.totals)
        torch.mm(acts, at.decoder, out=estimate)
        pull = at.residual.copy_(estimate).sub_(at.centred)
        if estimate.dtype != pull.dtype:
            pull = estimate.copy_(pull)
        torch.mm(pull.T, acts, out=at.into_decoder)
        into_acts = affine_product(pull, at.scaled, at.prices)
        switch_off(into_acts, on)
        torch.sum(into_acts, 0, out=at.into_bias)
        torch.mm(at.x.T, into_acts, out=at.into_encoder)

    def _finish(self, unit: Float[Tensor, "s 1"]) -> None:
        """Give gradients their units back."""
        share = 2.0 / self._n
        encoder, decoder, encoder_bias, decoder_bias = (
            self._adam.stacked_gradient(f"linear.{name}")
            for name in (*_SIDES, "encoder_bias", "decoder_bias")
        )
        encoder.copy_(self._into_encoder.transpose(1, 2)).mul_(unit[:, :, None])
        decoder.copy_(self._into_decoder.transpose(1, 2)).mul_(share)
        encoder_bias.copy_(self._into_bias).mul_(unit)
        # The decoder's bias acts at both ends: added to the estimate, subtracted from the input.
        inner = torch.bmm(encoder_bias[:, None], self._encoder).squeeze(1)
        decoder_bias.copy_(self._residual.sum(1)).mul_(share).sub_(inner)

    def _lengths(self) -> Float[Tensor, "s m"]:
        lengths = torch.linalg.vector_norm(self._decoder, dim=2)
        return torch.where(lengths > 0, lengths, 1.0)

    @torch.no_grad()
    def before_step(self) -> None:
        """Remove the gradient along the rows, where these are kept at unit length."""
        if not self._weighted:
            gradient = self._adam.stacked_gradient("linear.decoder")
            along = (gradient * self._decoder).sum(2, keepdim=True)
            gradient.addcmul_(along, self._decoder, value=-1.0)

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the rows at unit length, where they are to be."""
        if not self._weighted:
            lengths = torch.linalg.vector_norm(self._decoder, dim=2, keepdim=True)
            self._decoder.div_(lengths.clamp_(min=NO_LENGTH))


_SIDES = ("encoder", "decoder")
_LOWERED = ("encoder", "encoder_bias", "decoder")
