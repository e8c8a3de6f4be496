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
        self._whole = len(self.pieces) == 1
        encoder = linear.lowered("encoder", linear.encoder, self.dtype)
        self._encoder = self._laid_out(encoder)
        self._encoder_bias = linear.encoder_bias.to(self.dtype)
        self._decoder: Tensor | None = None
        self._into: dict[str, Tensor] = {}

    def _laid_out(self, weights: Tensor) -> Tensor:
        return weights if self._whole else laid_out(weights, self.pieces[0][1])

    def _part(self, values: Tensor, start: int, stop: int) -> Tensor:
        """Some rows; of a small dictionary's step a tenth would go into cutting all of them."""
        return values if self._whole else values[start:stop]

    def scratch(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """A tensor that is overwritten at the next step, or when asked for again."""
        return self.linear.scratch(name, self.centred, *shape, dtype=dtype or self.dtype)

    def encoded(
        self, start: int, stop: int, *, rectified: bool = False
    ) -> Float[Tensor, "m n_features"]:
        """``p`` of some vectors, or ``relu(p)``."""
        x = self._part(self._x, start, stop)
        return affine_product(x, self._encoder, self._encoder_bias, rectified=rectified)

    def _begin(self) -> Tensor:
        """What is needed from the first decoding on."""
        held = self.linear.decoder
        # Into an activation: the residual times this.
        scaled = self.scratch("decoder in units", *held.shape)
        self._scaled = self._laid_out(torch.mul(held, 2.0 / (self.n * self.unit), out=scaled))
        self._residual = self.scratch("residual", self.n, self.d_in, dtype=self.centred.dtype)
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
        torch.mm(acts, self._decoder, out=estimate)
        pull = self._part(self._residual, start, stop).copy_(estimate)
        pull.sub_(self._part(self.goal, start, stop))
        if self.dtype != pull.dtype:
            pull = estimate.copy_(pull)
        if self.linear.frozen != "decoder":
            self._accumulate("decoder", pull, acts, start)
        return affine_product(pull, self._scaled, prices)

    def learn(self, start: int, stop: int, into_acts: Float[Tensor, "m n_features"]) -> None:
        """Learn W_e and b_e from the gradient by ``p``."""
        self._into["bias"] = self.added(self._into.get("bias"), into_acts)
        if self.linear.frozen != "encoder":
            self._accumulate("encoder", self._part(self._x, start, stop), into_acts, start)

    def added(
        self, total: Float[Tensor, " n_features"] | None, values: Float[Tensor, "m n_features"]
    ) -> Float[Tensor, " n_features"]:
        """The sum of each column and of those of the pieces before."""
        found = values.sum(0)
        return found.to(self.centred.dtype) if total is None else total.add_(found)

    def _accumulate(self, name: str, left: Tensor, right: Tensor, start: int) -> None:
        """Add ``leftᵀ right``; the first one overwrites."""
        shape, wide = (self.d_in, self.n_features), self.centred.dtype
        if self._whole:
            self._into[name] = torch.mm(left.T, right, out=self.scratch(f"into {name}", *shape))
            return
        total = self._into[name] = self.scratch(f"into {name}", *shape, dtype=wide)
        if self.dtype == wide:
            total.addmm_(left.T, right, beta=1.0 if start else 0.0)
            return
        product = torch.mm(left.T, right, out=self.scratch("product", *shape))
        if start:
            total.add_(product)
        else:
            total.copy_(product)

    def finish(self) -> Float[Tensor, ""]:
        """Fill ``.grad`` of all parameters and give the squared error."""
        linear, share = self.linear, 2.0 / self.n
        # Torch turns in blocks when it copies, and entry by entry when it multiplies.
        if linear.frozen != "encoder":
            gradient_of(linear.encoder).copy_(self._into["encoder"].T).mul_(self.unit)
        if linear.frozen != "decoder":
            gradient_of(linear.decoder).copy_(self._into["decoder"].T).mul_(share)
        bias = torch.sum(self._residual, 0, out=gradient_of(linear.decoder_bias)).mul_(share)
        into_bias = torch.mul(self._into["bias"], self.unit, out=gradient_of(linear.encoder_bias))
        # The decoder's bias acts at both ends: added to the estimate, subtracted from the input.
        bias.addmv_(linear.encoder.T, into_bias, alpha=-1.0)
        flat = self._residual.flatten()
        return torch.dot(flat, flat) / self.n
