"""The gradient of a rectified dictionary with a price on activations, some vectors at a time."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from auscult.dictionaries.linear import LinearCoder, gradient_of, pieces
from auscult.dictionaries.products import counted, rectified_product
from auscult.dictionaries.sparse_acts import SparseActs, entries_at

SPARSE_BELOW = 0.04
"""Share of activations that are on below which leaving out the others costs less than it saves."""


class DenseRelu:
    """One batch of ``z = relu(W_e (v - b_d) + b_e)``, ``v̂ = z D + b_d``.

    All is computed in units of the price of an activation: a price of exactly 1 loses nothing as an
    operand in bfloat16, and the gradients get their unit back in float32.
    """

    def __init__(
        self,
        linear: LinearCoder,
        centred: Float[Tensor, "n d_in"],
        targets: Float[Tensor, "n d_in"],
        prices: Float[Tensor, " n_features"],
        unit: float,
    ) -> None:
        """Prepare operands.

        Args:
            linear: The weights.
            centred: ``v - b_d``.
            targets: What is to be reconstructed.
            prices: Of an activation, in the unit.
            unit: Of prices and of the gradient; 0 where nothing has a price.
        """
        self.linear, self.centred, self.targets = linear, centred, targets
        self.n, self.d_in = centred.shape
        self.n_features = len(linear.encoder_bias)
        self.unit = unit or 1.0 / self.n
        self.dtype = linear.operands(centred)
        self.x = linear.lowered("centred", centred, self.dtype)
        self.encoder = linear.lowered("encoder", linear.encoder.detach(), self.dtype)
        self.decoder = linear.lowered("decoder", linear.decoder.detach(), self.dtype)
        self.bias = linear.encoder_bias.detach().to(self.dtype)
        self.prices = prices.to(self.dtype)
        self.first: Tensor | None = None

    def _wide(self, name: str, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        scratch, shape = self.linear.scratch, (stop - start, self.n_features)
        return scratch(name, self.centred, *shape, dtype=dtype)

    def _acts(self, start: int, stop: int) -> Float[Tensor, "m n_features"]:
        out = self._wide("acts", start, stop, self.dtype)
        return rectified_product(self.x[start:stop], self.encoder, self.bias, out)

    def look(self) -> float:
        """The share of activations that are on among the first vectors."""
        start, stop = next(pieces(self.n, self.n_features))
        self.first = self._acts(start, stop)
        on = self._wide("on", start, stop, torch.bool)
        self.first_counts = counted(self.first, on)
        return float(self.first_counts.sum()) / max(1, self.first.numel())

    def entries(self) -> SparseActs:
        """The activations that are on."""
        places, values = [], []
        for start, stop in pieces(self.n, self.n_features):
            acts = self.first if start == 0 and self.first is not None else self._acts(start, stop)
            on = self._wide("on", start, stop, torch.bool)
            if start:
                counted(acts, on)
            found = torch.from_numpy(np.flatnonzero(on.numpy()))
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
        linear, scratch, like = self.linear, self.linear.scratch, self.centred
        residual = scratch("residual", like, self.n, self.d_in)
        # The last row is ones: sums over vectors come out of the same products.
        tall = (self.d_in + 1, self.n)
        x_rows = scratch("x rows", like, *tall, dtype=self.dtype)
        x_rows[:-1].copy_(self.x.T)
        x_rows[-1] = 1.0
        into_encoder = scratch("into encoder", like, self.d_in + 1, self.n_features).zero_()
        into_decoder = scratch("into decoder", like, self.d_in + 1, self.n_features).zero_()
        fired = self.first_counts
        for start, stop in pieces(self.n, self.n_features):
            acts = self.first if start == 0 and self.first is not None else self._acts(start, stop)
            if start:
                fired = fired + counted(acts, self._wide("on", start, stop, torch.bool))
            rows = residual[start:stop]
            estimate = torch.mm(acts, self.decoder)
            torch.add(estimate, linear.decoder_bias.detach(), out=rows).sub_(
                self.targets[start:stop]
            )
            pull = (rows * (2.0 / (self.n * self.unit))).to(self.dtype)
            into_acts = self._wide("into acts", start, stop, self.dtype)
            torch.addmm(self.prices, pull, self.decoder.T, out=into_acts)
            torch.ops.aten.threshold_backward.grad_input(into_acts, acts, 0.0, grad_input=into_acts)
            self._accumulate(into_encoder, x_rows[:, start:stop], into_acts)
            pull_rows = scratch("pull rows", like, self.d_in + 1, stop - start, dtype=self.dtype)
            pull_rows[:-1].copy_(pull.T)
            pull_rows[-1] = 1.0
            self._accumulate(into_decoder, pull_rows, acts)
        self._hand_over(into_encoder, into_decoder, residual)
        return residual.square().sum() / self.n, into_decoder[-1], fired

    def _accumulate(self, total: Tensor, left: Tensor, right: Tensor) -> None:
        if self.dtype == total.dtype:
            total.addmm_(left, right)
        else:
            product = self.linear.scratch("product", total, *total.shape, dtype=self.dtype)
            total.add_(torch.mm(left, right, out=product))

    def _hand_over(self, into_encoder: Tensor, into_decoder: Tensor, residual: Tensor) -> None:
        linear = self.linear
        if linear.frozen != "encoder":
            torch.mul(into_encoder[:-1].T, self.unit, out=gradient_of(linear.encoder))
        if linear.frozen != "decoder":
            torch.mul(into_decoder[:-1].T, self.unit, out=gradient_of(linear.decoder))
        into_bias = torch.mul(into_encoder[-1], self.unit, out=gradient_of(linear.encoder_bias))
        bias = torch.sum(residual, 0, out=gradient_of(linear.decoder_bias)).mul_(2.0 / self.n)
        bias.sub_(into_bias @ linear.encoder.detach())
