"""The gradient of dictionaries of which many activations are on, some vectors at a time."""

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.dictionaries.linear import LinearCoder, gradient_of, pieces
from auscult.dictionaries.products import affine_product, laid_out, put_beside, width_beside


class DenseStep:
    """One batch of ``v̂ = z D + b_d`` and ``E ‖v - v̂‖²``, whatever rule makes z of p.

    With ``r = v̂ - v`` the gradient of an activation is ``2 r Dᵀ / N`` and what it costs. It is
    computed in a unit of the caller's: a price of exactly 1 loses nothing as an operand in
    bfloat16, and the gradients get their unit back in float32.

    Vectors and residuals have a column of ones behind them, weights their bias or price: a product
    then adds a bias, or sums over vectors, in the time that it takes anyway.

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
        prices: Float[Tensor, " n_features"] | None = None,
    ) -> None:
        """Prepare operands.

        Args:
            linear: The weights; their ``.grad`` is filled.
            centred: ``v - b_d``.
            goal: What ``z D`` is to come to: what is to be reconstructed, less ``b_d``.
            unit: Of the gradient of activations.
            prices: Of an activation, in the unit; None where none has one.
        """
        self.linear, self.goal, self.unit, self._prices = linear, goal, unit, prices
        self.n, self.d_in = centred.shape
        self.n_features = len(linear.encoder_bias)
        self.dtype = linear.operands(centred)
        self.pieces = list(pieces(self.n, self.n_features))
        self._whole = len(self.pieces) == 1
        self._x = self._beside("vectors", centred, 1.0)
        encoder = self._beside("encoder", linear.encoder, linear.encoder_bias)
        self._encoder = self._laid_out(encoder)
        self._decoder: Tensor | None = None
        self._into: dict[str, Tensor] = {}

    def _beside(self, name: str, values: Tensor, last: Tensor | float) -> Tensor:
        """Rows as operands of large products, with one number behind each."""
        rows = self.scratch(f"{name} beside", len(values), width_beside(self.d_in, values.device))
        put_beside(rows, last, self.d_in).copy_(values)
        return rows

    def _laid_out(self, weights: Tensor) -> Tensor:
        return weights if self._whole else laid_out(weights, self.pieces[0][1])

    def _part(self, values: Tensor, start: int, stop: int) -> Tensor:
        """Some rows; of a small dictionary's step a tenth would go into cutting all of them."""
        return values if self._whole else values[start:stop]

    def scratch(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """A tensor that is overwritten at the next step, or when asked for again."""
        return self.linear.scratch(name, self.goal, *shape, dtype=dtype or self.dtype)

    def encoded(
        self, start: int, stop: int, *, rectified: bool = False
    ) -> Float[Tensor, "m n_features"]:
        """``p`` of some vectors, or ``relu(p)``."""
        x = self._part(self._x, start, stop)
        return affine_product(x, self._encoder, None, rectified=rectified)

    def _begin(self) -> Tensor:
        """What is needed from the first decoding on."""
        held, width = self.linear.decoder, self._x.shape[1]
        # Into an activation: the residual times this.
        scaled = self.scratch("scaled beside", self.n_features, width)
        prices = 0.0 if self._prices is None else self._prices
        atoms = put_beside(scaled, prices, self.d_in)
        torch.mul(held, 2.0 / (self.n * self.unit), out=atoms)
        self._scaled = self._laid_out(scaled)
        self._residual = self.scratch("residual", self.n, self.d_in, dtype=self.goal.dtype)
        self._pull = self.scratch("residual beside", self.n, width)
        put_beside(self._pull, 1.0, self.d_in)
        return self.linear.lowered("decoder", held, self.dtype)

    def decoded(
        self, start: int, stop: int, acts: Float[Tensor, "m n_features"]
    ) -> Float[Tensor, "m n_features"]:
        """Learn D from some activations; give their gradient, with what they cost, in the unit.

        Pieces must come in order, from the first vector on.
        """
        if self._decoder is None:
            self._decoder = self._begin()
        estimate = self.scratch("estimate", stop - start, self.d_in)
        torch.mm(acts, self._decoder, out=estimate)
        residual = self._part(self._residual, start, stop).copy_(estimate)
        residual.sub_(self._part(self.goal, start, stop))
        pull = self._part(self._pull, start, stop)
        pull[:, : self.d_in].copy_(residual)
        if self.linear.frozen == "decoder":
            self._add("totals", acts)
        else:
            self._accumulate("decoder", pull, acts, start)
        return affine_product(pull, self._scaled, None)

    def learn(self, start: int, stop: int, into_acts: Float[Tensor, "m n_features"]) -> None:
        """Learn W_e and b_e from the gradient by ``p``."""
        if self.linear.frozen == "encoder":
            self._add("bias", into_acts)
        else:
            self._accumulate("encoder", self._part(self._x, start, stop), into_acts, start)

    def _add(self, name: str, values: Float[Tensor, "m n_features"]) -> None:
        """Add the sum of each column to those of the pieces before."""
        found, total = values.sum(0), self._into.get(name)
        self._into[name] = found.to(self.goal.dtype) if total is None else total.add_(found)

    def _accumulate(self, name: str, left: Tensor, right: Tensor, start: int) -> None:
        """Add ``leftᵀ right``; the first one overwrites."""
        shape, wide = (left.shape[1], self.n_features), self.goal.dtype
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

    def _summed(self, weights: str, name: str) -> Float[Tensor, " n_features"]:
        """Sums over vectors, which stand below a gradient unless these weights are frozen."""
        found = self._into[weights][self.d_in] if weights in self._into else self._into[name]
        return found.to(self.goal.dtype)

    @property
    def totals(self) -> Float[Tensor, " n_features"]:
        """The sum of each feature's activations, once all are decoded."""
        return self._summed("decoder", "totals")

    def finish(self) -> Float[Tensor, ""]:
        """Fill ``.grad`` of all parameters and give the squared error."""
        linear, share, d_in = self.linear, 2.0 / self.n, self.d_in
        # Torch turns in blocks when it copies, and entry by entry when it multiplies.
        if linear.frozen != "encoder":
            gradient_of(linear.encoder).copy_(self._into["encoder"][:d_in].T).mul_(self.unit)
        if linear.frozen != "decoder":
            gradient_of(linear.decoder).copy_(self._into["decoder"][:d_in].T).mul_(share)
        bias = torch.sum(self._residual, 0, out=gradient_of(linear.decoder_bias)).mul_(share)
        summed = self._summed("encoder", "bias")
        into_bias = torch.mul(summed, self.unit, out=gradient_of(linear.encoder_bias))
        # The decoder's bias acts at both ends: added to the estimate, subtracted from the input.
        bias.addmv_(linear.encoder.T, into_bias, alpha=-1.0)
        flat = self._residual.flatten()
        return torch.dot(flat, flat) / self.n
