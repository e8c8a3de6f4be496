"""Sparse autoencoder with a learned threshold for every feature and a penalty on their number."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from auscult.dictionaries.base import (
    DICTIONARIES,
    Dictionary,
    DictionaryParams,
    Objective,
    SaeLensForm,
)
from auscult.dictionaries.dense_step import DenseStep
from auscult.dictionaries.linear import (
    BIAS,
    DECODER,
    ENCODER,
    LinearCoder,
    gradient_of,
    row_norms,
    squared_error,
)
from auscult.dictionaries.products import as_integers, counted, switch_off, switch_type


@DICTIONARIES.register("jump-relu")
class JumpReluDictionary(Dictionary):
    """JumpReLU (Rajamanoharan et al. 2024, "Jumping Ahead", sections 3 and 4; METHODS 8.1).

    ::

        p = W_e (v - b_d) + b_e              z = p where p > θ, else 0
        v̂ = z D + b_d                        mse = E ‖v - v̂‖²
        L0 = E Σ_i 1[p_i > θ_i]              l0 = l0_weight · L0
                                         or  l0 = l0_weight · (L0 / target_l0 - 1)²

    Steps have no slope, so θ learns from pseudo-derivatives, with K(u) = 1 where |u| < 1/2 and ε
    the bandwidth::

        ∂z/∂θ = -(θ/ε) K((p - θ)/ε)          ∂1[p > θ]/∂θ = -(1/ε) K((p - θ)/ε)

    They are the slopes of the loss averaged over θ ± ε/2. The penalty reaches the thresholds alone.
    θ is kept positive as exp of a parameter. Nothing shrinks what is on; but nothing revives a
    feature whose vectors all lie further than ε/2 below its threshold, so look at
    ``dead_fraction``. ε trades noise (too small: the thresholds hardly learn) for bias; the paper's
    0.001 was for billions of vectors. Rows of D are kept at unit length.
    """

    class Params(DictionaryParams):
        """Settings of a JumpReLU dictionary."""

        l0_weight: NonNegativeFloat = 0.01
        """Weight of the number of active features; with scaled vectors the error is the FVU."""
        target_l0: PositiveFloat | None = None
        """Penalise the squared relative distance from this L0; absent: penalise L0 itself."""
        bandwidth: PositiveFloat = 0.05
        """Width ε of the kernel, in the units of preprocessed vectors."""
        start_threshold: PositiveFloat = 0.05
        """All thresholds at the start, in the same units."""

    params: Params
    rotates = True

    @classmethod
    def priced_by(cls, params: Any) -> bool:
        """Not with a target of its own: the weight says how hard it is held to it, not where."""
        return bool(params.target_l0 is None)

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features)
        start = math.log(params.start_threshold)
        self.log_threshold = nn.Parameter(torch.full((self.n_features,), start))

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms, the encoder their copy."""
        self.linear.initialise(rng)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length."""
        return self.linear.decoder / row_norms(self.linear.decoder)

    @property
    def thresholds(self) -> Float[Tensor, " n_features"]:
        """θ."""
        return self.log_threshold.exp()

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``; where something is learned from it, with its pseudo-derivative."""
        pre = self.linear.pre_activations(vectors)
        if torch.is_grad_enabled() and self.log_threshold.requires_grad:
            return self._stepped(pre)[0]
        return pre * (pre > self.thresholds)

    def _stepped(
        self, pre: Float[Tensor, "n n_features"]
    ) -> tuple[Float[Tensor, "n n_features"], Float[Tensor, "n n_features"]]:
        """``z``, and which features are on, with pseudo-derivatives by the thresholds."""
        thresholds = self.thresholds
        on = (pre > thresholds).to(pre.dtype)
        near = self._kernel(pre, thresholds).detach() / self.params.bandwidth
        # No more than 0 in value, and in slope what the kernel says.
        step = near * (thresholds - thresholds.detach())
        return pre * on - thresholds.detach() * step, on - step

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return self.linear.reconstruct(acts)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse`` and ``l0``."""
        acts, on = self._stepped(self.linear.pre_activations(vectors))
        price = self._price(on.sum(1).mean())
        terms = {"mse": squared_error(self.reconstruct(acts), targets), "l0": price}
        return Objective(terms, on.detach().sum(0))

    def _kernel(
        self, pre: Float[Tensor, "n n_features"], thresholds: Float[Tensor, " n_features"]
    ) -> Float[Tensor, "n n_features"]:
        return ((pre - thresholds).abs() < self.params.bandwidth / 2).to(pre.dtype)

    def _price(self, l0: Float[Tensor, ""]) -> Float[Tensor, ""]:
        weight, target = self.sparsity * self.params.l0_weight, self.params.target_l0
        return weight * l0 if target is None else weight * (l0 / target - 1.0).square()

    def _slope_of_price(self, l0: Float[Tensor, ""]) -> Float[Tensor, ""]:
        weight, target = self.sparsity * self.params.l0_weight, self.params.target_l0
        if target is None:
            return torch.full_like(l0, weight)
        return (2.0 * weight / target) * (l0 / target - 1.0)

    @torch.no_grad()
    def differentiate(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """The gradient of :meth:`objective` by hand.

        With ``g = ∂mse/∂z = 2 (v̂ - v) Dᵀ / N`` and ``c = ∂l0/∂L0 / N``, ``∂/∂θ = -(1/ε) Σ_n K
        (θ g + c)``, and ``∂/∂log θ = θ ∂/∂θ``; the rest is as in any linear layer.
        """
        n, half = len(vectors), self.params.bandwidth / 2
        thresholds = self.thresholds
        # In units of 2 / N a gradient is the residual times an atom.
        step = DenseStep(self.linear, *self.linear.less_bias(vectors, targets), 2.0 / n)
        lowered = thresholds.to(step.dtype)
        fired, counts = (torch.zeros(self.n_features, dtype=torch.int64) for _ in "fc")
        fired, counts = fired.to(vectors.device), counts.to(vectors.device)
        pull = torch.zeros_like(thresholds)
        for start, stop in step.pieces:
            pre = step.encoded(start, stop)
            on, near = (
                step.scratch(name, *pre.shape, dtype=switch_type(step.dtype))
                for name in ("on", "near")
            )
            torch.gt(as_integers(pre), as_integers(lowered), out=on)
            acts = step.scratch("acts", *pre.shape).copy_(pre)
            switch_off(acts, on)
            torch.lt(pre.sub_(lowered).abs_(), half, out=near)
            into_acts = step.decoded(start, stop, acts)
            into_near = acts.copy_(into_acts)
            switch_off(into_near, near)
            pull += into_near.sum(0)
            switch_off(into_acts, on)
            step.learn(start, stop, into_acts)
            fired += counted(on)
            counts += counted(near)
            del pre, into_acts  # the next piece gets their memory, which is near the processor
        l0 = fired.sum().to(vectors.dtype) / n
        terms = {"mse": step.finish(), "l0": self._price(l0)}
        slopes = thresholds * pull * step.unit + counts * (self._slope_of_price(l0) / n)
        gradient_of(self.log_threshold).copy_(slopes * thresholds / -self.params.bandwidth)
        return Objective(terms, fired.to(vectors.dtype))

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The penalty reaches thresholds only."""
        thresholds = frozenset({"log_threshold"})
        return {"mse": ENCODER | DECODER | BIAS | thresholds, "l0": thresholds}

    def before_step(self) -> None:
        """Remove the gradient along the rows."""
        self.linear.remove_parallel_gradient()

    def after_step(self) -> None:
        """Keep the rows at unit length."""
        self.linear.normalise_rows()

    def saelens(self) -> SaeLensForm:
        """SAELens' ``jumprelu`` architecture."""
        return self.linear.saelens("jumprelu", {}, threshold=self.thresholds.detach())
