"""The gradient of a rectified dictionary with a price on activations, some vectors at a time."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from auscult.dictionaries.linear import LinearCoder, gradient_of, pieces
from auscult.dictionaries.products import (
    affine_product,
    counted,
    switch_off,
    switch_type,
    switches,
)
from auscult.dictionaries.sparse_acts import SparseActs, entries_at, places_above

SPARSE_BELOW = 0.04
"""Share of activations that are on below which leaving out the others costs less than it saves."""


class DenseRelu:
    """One batch of ``z = relu(W_e (v - b_d) + b_e)``, ``v̂ = z D + b_d``.

    With ``r = v̂ - v`` and prices ``λ n_i`` the gradient of an activation is ``(2 r Dᵀ + λ n) / N``.
    It is computed in units of λ / N: a price of exactly 1 loses nothing as an operand in bfloat16,
    and the gradients get their unit back in float32.
    """

    def __init__(
        self,
        linear: LinearCoder,
        centred: Float[Tensor, "n d_in"],
        goal: Float[Tensor, "n d_in"],
        prices: Float[Tensor, " n_features"],
        unit: float,
    ) -> None:
        """Prepare operands.

        Args:
            linear: The weights.
            centred: ``v - b_d``.
            goal: What ``z D`` is to come to: what is to be reconstructed, less ``b_d``.
            prices: Of an activation, in the unit.
            unit: Of prices and of the gradient; 0 where nothing has a price.
        """
        self.linear, self.centred, self.goal = linear, centred, goal
        self.n, self.d_in = centred.shape
        self.n_features = len(linear.encoder_bias)
        self.unit = unit or 1.0 / self.n
        self.dtype = linear.operands(centred)
        self.x = linear.lowered("centred", centred, self.dtype)
        self.encoder = linear.lowered("encoder", linear.encoder.detach(), self.dtype)
        self.bias = linear.encoder_bias.detach().to(self.dtype)
        self.prices = prices.to(self.dtype)

    def _scratch(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return self.linear.scratch(name, self.centred, *shape, dtype=dtype or self.dtype)

    def _begin(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Activations of some vectors, and which are on."""
        acts = affine_product(self.x[start:stop], self.encoder, self.bias, rectified=True)
        return acts, switches(acts, self._scratch("on", *acts.shape, dtype=switch_type(self.dtype)))

    def look(self) -> float:
        """The share of activations that are on among the first vectors."""
        self.first = self._begin(*next(pieces(self.n, self.n_features)))
        self.fired = counted(self.first[1])
        return float(self.fired.sum()) / max(1, self.first[0].numel())

    def entries(self) -> SparseActs:
        """The activations that are on."""
        places, values = [], []
        for start, stop in pieces(self.n, self.n_features):
            acts, _ = self.first if start == 0 else self._begin(start, stop)
            found = places_above(acts, 0.0)
            places.append(found + start * self.n_features)
            values.append(acts.flatten()[found].to(self.centred.dtype))
        return entries_at(torch.cat(places), torch.cat(values), self.n, self.n_features)

    def differentiate(
        self,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " n_features"], Int64[Tensor, " n_features"]]:
        """Fill ``.grad`` of all parameters.

        Returns:
            The squared error, the sum of each feature's activations, and how often it was on.
        """
        linear, held = self.linear, self.linear.decoder.detach()
        decoder = linear.lowered("decoder", held, self.dtype)
        # Into an activation: the residual times this.
        scaled = self._scratch("decoder in units", *held.shape)
        torch.mul(held, 2.0 / (self.n * self.unit), out=scaled)
        residual = self._scratch("residual", self.n, self.d_in, dtype=self.centred.dtype)
        shape = (self.d_in, self.n_features)
        wide = self.centred.dtype
        into_encoder = self._scratch("into encoder", *shape, dtype=wide)
        into_decoder = self._scratch("into decoder", *shape, dtype=wide)
        into_bias, totals = (self.prices.new_zeros(self.n_features, dtype=wide) for _ in "bt")
        for start, stop in pieces(self.n, self.n_features):
            acts, on = self.first if start == 0 else self._begin(start, stop)
            if start:
                self.fired += counted(on)
            totals += acts.sum(0)
            estimate = self._scratch("estimate", stop - start, self.d_in)
            rows = residual[start:stop].copy_(torch.mm(acts, decoder, out=estimate))
            pull = rows.sub_(self.goal[start:stop])
            if self.dtype != wide:
                pull = estimate.copy_(pull)
            if linear.frozen != "decoder":
                self._accumulate(into_decoder, pull, acts, start)
            into_acts = affine_product(pull, scaled, self.prices)
            switch_off(into_acts, on)
            into_bias += into_acts.sum(0)
            if linear.frozen != "encoder":
                self._accumulate(into_encoder, self.x[start:stop], into_acts, start)
        self._hand_over(into_encoder, into_decoder, into_bias, residual)
        flat = residual.flatten()
        return torch.dot(flat, flat) / self.n, totals, self.fired

    def _accumulate(self, total: Tensor, left: Tensor, right: Tensor, start: int) -> None:
        """Add ``leftᵀ right``; the first one overwrites."""
        if self.dtype == total.dtype:
            total.addmm_(left.T, right, beta=1.0 if start else 0.0)
            return
        product = torch.mm(left.T, right, out=self._scratch("product", *total.shape))
        total.add_(product) if start else total.copy_(product)

    def _hand_over(
        self, into_encoder: Tensor, into_decoder: Tensor, into_bias: Tensor, residual: Tensor
    ) -> None:
        linear = self.linear
        if linear.frozen != "encoder":
            torch.mul(into_encoder.T, self.unit, out=gradient_of(linear.encoder))
        if linear.frozen != "decoder":
            torch.mul(into_decoder.T, 2.0 / self.n, out=gradient_of(linear.decoder))
        into_bias = torch.mul(into_bias, self.unit, out=gradient_of(linear.encoder_bias))
        bias = torch.sum(residual, 0, out=gradient_of(linear.decoder_bias)).mul_(2.0 / self.n)
        bias.sub_(into_bias @ linear.encoder.detach())
