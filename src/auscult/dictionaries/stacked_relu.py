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
from auscult.dictionaries.products import (
    affine_product,
    as_integers,
    switch_off,
    switch_type,
    switches,
)
from auscult.dictionaries.stack import StackedGradients

if TYPE_CHECKING:
    from auscult.dictionaries.relu import ReluDictionary

_MOST_WEIGHTS = 1 << 15
"""Entries of an encoder up to which calls are worth saving; beyond, products take the time."""


class _Beside:
    """Rows with one more number behind each, and views of both: to make these costs a call."""

    def __init__(self, whole: Float[Tensor, "*n w"]) -> None:
        self.whole, self.body, self.last = whole, whole[..., :-1], whole[..., -1]


@dataclass(frozen=True)
class _Member:
    """What the products of one dictionary read and write: views of what all share.

    ``w`` is one more than a width: behind a vector stands 1, behind rows of weights what is added
    to a product with them, below gradients the sum over vectors. ``total`` and ``length`` are of
    the residual.
    """

    x: Float[Tensor, "n w"]
    x_turned: Float[Tensor, "w n"]
    shift: Float[Tensor, " d"]
    encoder: Float[Tensor, "m w"]
    decoder: Float[Tensor, "m d"]
    scaled: Float[Tensor, "m w"]
    total: Float[Tensor, " d"]
    length: Float[Tensor, ""]
    fired: Int[Tensor, " m"]
    into_encoder: Float[Tensor, "w m"]
    into_decoder: Float[Tensor, "w m"]


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
        self._encoder_bias, self._decoder_bias = (
            adam.stacked(f"linear.{side}_bias") for side in _SIDES
        )
        self._gradients = {
            name: adam.stacked_gradient(f"linear.{name}")
            for side in _SIDES
            for name in (side, f"{side}_bias")
        }
        self._weighted = dictionaries[0].params.norm == "weighted"
        like = dictionaries[0].linear
        self._dtype = like.operands(adam.values)
        self._n = 0
        self._priced: tuple[Sequence[float], int] = ((), 0)

    def _make_room(self, n: int) -> None:
        """Memory for batches of so many vectors."""
        wide = self._adam.values
        s, m, d = self._encoder.shape
        count = switch_type(self._dtype)

        def room(*shape: int, dtype: torch.dtype = self._dtype) -> Tensor:
            return wide.new_empty(shape, dtype=dtype)

        self._residual = room(n, d, dtype=wide.dtype)
        self._errors = room(s, dtype=wide.dtype)
        self._x = _Beside(room(s, n, d + 1).fill_(1.0))
        self._pull = _Beside(room(n, d + 1).fill_(1.0))  # of one after the other
        self._pull_turned = self._pull.whole.T
        self._encoder_beside, self._scaled = (_Beside(room(s, m, d + 1)) for _ in _SIDES)
        self._low_decoder = self._decoder if self._dtype == wide.dtype else room(s, m, d)
        self._estimate, self._on = room(n, d), room(n, m, dtype=count)
        self._fired = room(s, m, dtype=count)
        into = [room(s, d + 1, m) for _ in _SIDES]
        self._into_encoder, self._into_decoder = (_Beside(each.transpose(1, 2)) for each in into)
        each = (
            self._x.whole,
            self._x.whole.transpose(1, 2),
            self._decoder_bias,
            self._encoder_beside.whole,
            self._low_decoder,
            self._scaled.whole,
            self._gradients["decoder_bias"],
            self._errors,
            self._fired,
            *into,
        )
        self._members = [_Member(*views) for views in zip(*each, strict=True)]
        self._n = n

    @torch.no_grad()
    def differentiate(self, vectors: Float[Tensor, "n d"]) -> Sequence[Objective]:
        """``mse`` and ``l1`` of each, and the gradients of all."""
        n = len(vectors)
        if n != self._n:
            self._make_room(n)
        self._price(n)
        if self._weighted:
            self._norms = self._lengths()
            torch.mul(self._norms, self._prices, out=self._scaled.last)
        self._encoder_beside.body.copy_(self._encoder)
        self._encoder_beside.last.copy_(self._encoder_bias)
        if self._low_decoder is not self._decoder:
            self._low_decoder.copy_(self._decoder)
        torch.sub(vectors, self._decoder_bias[:, None], out=self._x.body)
        torch.mul(self._decoder, self._scale, out=self._scaled.body)
        for member, dictionary in zip(self._members, self._dictionaries, strict=True):
            self._multiply(member, vectors, counting=dictionary.counting)
        return self._finish()

    def _price(self, n: int) -> None:
        """What sparsity weighs, which changes while it warms up; the units of gradients."""
        weights = [each.sparsity * each.params.l1_weight / n for each in self._dictionaries]
        if self._priced == (weights, n):
            return
        self._priced = weights, n
        self._weight = self._adam.values.new_tensor(weights)[:, None]
        priced = self._weight > 0.0
        self._unit = torch.where(priced, self._weight, 1.0 / n)
        self._unit_of_rows = self._unit[:, :, None]
        self._scale = 2.0 / (n * self._unit_of_rows)
        self._prices = priced.to(self._weight.dtype)
        self._scaled.last.copy_(self._prices)

    def _multiply(self, at: _Member, vectors: Tensor, *, counting: bool) -> None:
        """The five products, and what is done to activations between them."""
        pull = self._pull.whole
        acts = affine_product(at.x, at.encoder, None, rectified=True)
        if counting:
            on = switches(acts, self._on)
            torch.sum(on, 0, dtype=on.dtype, out=at.fired)
        torch.mm(acts, at.decoder, out=self._estimate)
        residual = self._residual.copy_(self._estimate).sub_(vectors).add_(at.shift)
        self._pull.body.copy_(residual)
        torch.sum(residual, 0, out=at.total)
        torch.linalg.vector_norm(residual, out=at.length)
        torch.mm(self._pull_turned, acts, out=at.into_decoder)
        into_acts = affine_product(pull, at.scaled, None)
        switch_off(into_acts, as_integers(acts))
        torch.mm(at.x_turned, into_acts, out=at.into_encoder)

    def _finish(self) -> Sequence[Objective]:
        """Give gradients their units back, and say what the batch costs each."""
        n, into = self._n, self._gradients
        into["encoder"].copy_(self._into_encoder.body).mul_(self._unit_of_rows)
        into["decoder"].copy_(self._into_decoder.body).mul_(2.0 / n)
        torch.mul(self._into_encoder.last, self._unit, out=into["encoder_bias"])
        # The decoder's bias acts at both ends: added to the estimate, subtracted from the input.
        inner = torch.bmm(into["encoder_bias"][:, None], self._encoder)[:, 0]
        into["decoder_bias"].mul_(2.0 / n).sub_(inner)
        totals = self._into_decoder.last.to(self._weight.dtype)
        costs = totals
        if self._weighted:
            pull = (totals * self._weight / self._norms)[:, :, None]
            into["decoder"].addcmul_(pull, self._decoder)
            costs = totals * self._norms
        mse = self._errors.square() / n
        l1 = costs.sum(1) * self._weight[:, 0]
        return [
            Objective(
                {"mse": mse[i], "l1": l1[i]},
                self._fired[i].to(totals.dtype) if each.counting else totals[i],
            )
            for i, each in enumerate(self._dictionaries)
        ]

    def _lengths(self) -> Float[Tensor, "s m"]:
        lengths = torch.linalg.vector_norm(self._decoder, dim=2)
        return torch.where(lengths > 0, lengths, 1.0)

    @torch.no_grad()
    def before_step(self) -> None:
        """Remove the gradient along the rows, where these are kept at unit length."""
        if not self._weighted:
            gradient = self._gradients["decoder"]
            along = (gradient * self._decoder).sum(2, keepdim=True)
            gradient.addcmul_(along, self._decoder, value=-1.0)

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the rows at unit length, where they are to be."""
        if not self._weighted:
            lengths = torch.linalg.vector_norm(self._decoder, dim=2, keepdim=True)
            self._decoder.div_(lengths.clamp_(min=NO_LENGTH))


_SIDES = ("encoder", "decoder")
