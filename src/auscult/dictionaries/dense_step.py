"""The gradient of dictionaries of which many activations are on, some vectors at a time."""

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.dictionaries.linear import LinearCoder, gradient_of, pieces
from auscult.dictionaries.products import affine_product, laid_out


class DenseStep:
    """One batch of ``v̂ = z D + b_d`` and ``E ‖v - v̂‖²``, whatever rule makes z of p.

    With ``r = v̂ - v`` the gradient of an activation is ``2 r Dᵀ / N`` and what it costs. It is
    computed in a unit of the caller's: a price of exactly 1 loses nothing as an operand in
    bfloat16, and the gradients get their unit back in float32.

    Attributes:
        dtype: Of the operands of large products, and of what they give.
        pieces: First and last of the vectors that are to be taken at a time, in order.
    """

    def __init__(
        self,
        linear: LinearCoder,
        centred: Float[Tensor, "n d_in"],
        goal: Float[Tensor, "n d_in"],
        unit: float,
    ) -> None:
        """Prepare operands.

        Args:
            linear: The weights; their ``.grad`` is filled.
            centred: ``v - b_d``.
            goal: What ``z D`` is to come to: what is to be reconstructed, less ``b_d``.
            unit: Of the gradient of activations.
        """
        self.linear, self.centred, self.goal, self.unit = linear, centred, goal, unit
        self.n, self.d_in = centred.shape
        self.n_features = len(linear.encoder_bias)
        self.dtype = linear.operands(centred)
        self._x = linear.lowered("centred", centred, self.dtype)
        self.pieces = list(pieces(self.n, self.n_features))
        encoder = linear.lowered("encoder", linear.encoder.detach(), self.dtype)
        self._encoder = self._laid_out(encoder)
        self._encoder_bias = linear.encoder_bias.detach().to(self.dtype)
        self._decoder: Tensor | None = None

    def _laid_out(self, weights: Tensor) -> Tensor:
        return laid_out(weights, self.pieces[0][1]) if len(self.pieces) > 1 else weights

    def scratch(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """A tensor that is overwritten at the next step, or when asked for again."""
        return self.linear.scratch(name, self.centred, *shape, dtype=dtype or self.dtype)

    def encoded(
        self, start: int, stop: int, *, rectified: bool = False
    ) -> Float[Tensor, "m n_features"]:
        """``p`` of some vectors, or ``relu(p)``."""
        x = self._x[start:stop]
        return affine_product(x, self._encoder, self._encoder_bias, rectified=rectified)

    def _begin(self) -> Tensor:
        """What is needed from the first decoding on."""
        held, wide = self.linear.decoder.detach(), self.centred.dtype
        # Into an activation: the residual times this.
        scaled = self.scratch("decoder in units", *held.shape)
        self._scaled = self._laid_out(torch.mul(held, 2.0 / (self.n * self.unit), out=scaled))
        self._residual = self.scratch("residual", self.n, self.d_in, dtype=wide)
        shape = (self.d_in, self.n_features)
        self._into_encoder = self.scratch("into encoder", *shape, dtype=wide)
        self._into_decoder = self.scratch("into decoder", *shape, dtype=wide)
        self._into_bias = self.scratch("into bias", self.n_features, dtype=wide).zero_()
        return self.linear.lowered("decoder", held, self.dtype)

    def decoded(
        self,
        start: int,
        stop: int,
        acts: Float[Tensor, "m n_features"],
        prices: Float[Tensor, " n_features"],
    ) -> Float[Tensor, "m n_features"]:
        """Learn D from some activations; give their gradient, with a price for each, in the unit.

        Pieces must come in order, from the first vector on.
        """
        if self._decoder is None:
            self._decoder = self._begin()
        estimate = self.scratch("estimate", stop - start, self.d_in)
        rows = self._residual[start:stop].copy_(torch.mm(acts, self._decoder, out=estimate))
        pull = rows.sub_(self.goal[start:stop])
        if self.dtype != pull.dtype:
            pull = estimate.copy_(pull)
        if self.linear.frozen != "decoder":
            self._accumulate(self._into_decoder, pull, acts, start)
        return affine_product(pull, self._scaled, prices)

    def learn(self, start: int, stop: int, into_acts: Float[Tensor, "m n_features"]) -> None:
        """Learn W_e and b_e from the gradient by ``p``."""
        self._into_bias += into_acts.sum(0)
        if self.linear.frozen != "encoder":
            self._accumulate(self._into_encoder, self._x[start:stop], into_acts, start)

    def _accumulate(self, total: Tensor, left: Tensor, right: Tensor, start: int) -> None:
        """Add ``leftᵀ right``; the first one overwrites."""
        if self.dtype == total.dtype:
            total.addmm_(left.T, right, beta=1.0 if start else 0.0)
            return
        product = torch.mm(left.T, right, out=self.scratch("product", *total.shape))
        if start:
            total.add_(product)
        else:
            total.copy_(product)

    def finish(self) -> Float[Tensor, ""]:
        """Fill ``.grad`` of all parameters and give the squared error."""
        linear, share = self.linear, 2.0 / self.n
        # Torch turns in blocks when it copies, and entry by entry when it multiplies.
        if linear.frozen != "encoder":
            gradient_of(linear.encoder).copy_(self._into_encoder.T).mul_(self.unit)
        if linear.frozen != "decoder":
            gradient_of(linear.decoder).copy_(self._into_decoder.T).mul_(share)
        bias = torch.sum(self._residual, 0, out=gradient_of(linear.decoder_bias)).mul_(share)
        into_bias = torch.mul(self._into_bias, self.unit, out=gradient_of(linear.encoder_bias))
        # The decoder's bias acts at both ends: added to the estimate, subtracted from the input.
        bias.sub_(into_bias @ linear.encoder.detach())
        flat = self._residual.flatten()
        return torch.dot(flat, flat) / self.n
