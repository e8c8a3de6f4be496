"""Sparse autoencoder that decides apart whether a feature is on and how strongly."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from auscult.dictionaries.base import (
    DICTIONARIES,
    Dictionary,
    DictionaryParams,
    Objective,
    SaeLensForm,
)
from auscult.dictionaries.linear import (
    BIAS,
    DECODER,
    ENCODER,
    LinearCoder,
    row_norms,
    squared_error,
)


@DICTIONARIES.register("gated")
class GatedDictionary(Dictionary):
    """Gated (Rajamanoharan et al. 2024, "Improving Dictionary Learning with Gated SAEs", sec. 3).

    ::

        w = W_e (v - b_d)                    π = w + b_e
        z = relu(e^r w + b_m) where π > 0, else 0
        v̂ = z D + b_d                        mse = E ‖v - v̂‖²
        l1 = l1_weight · E Σ_i relu(π_i)     aux = E ‖v - relu(π) D' - b_d'‖²

    D' and b_d' are D and b_d, held fixed. The penalty shrinks ``relu(π)``, which only decides who
    is on; strengths are free of it. Gates have no slope and learn through ``l1`` and ``aux`` alone,
    so the encoder serves two ends: it is the direction that explains the vector best when
    *shrunk*. Rows of D are kept at unit length.
    """

    class Params(DictionaryParams):
        """Settings of a gated dictionary."""

        l1_weight: NonNegativeFloat = 0.03
        """Weight of the L1 penalty; with scaled vectors the error beside it is the FVU."""

    params: Params
    needs_own_loss = True
    rotates = True

    @classmethod
    def priced_by(cls, params: Any) -> bool:  # noqa: ARG003
        """Its L1 penalty has one."""
        return True

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features)
        self.magnitude_log_scale = nn.Parameter(torch.zeros(self.n_features))
        self.magnitude_bias = nn.Parameter(torch.zeros(self.n_features))

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms, the encoder their copy."""
        self.linear.initialise(rng)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length."""
        return self.linear.decoder / row_norms(self.linear.decoder)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        return self._strengths((vectors - self.linear.decoder_bias) @ self.linear.encoder.T)

    def _strengths(self, products: Float[Tensor, "n n_features"]) -> Float[Tensor, "n n_features"]:
        """``z`` from ``w``."""
        scale = self.magnitude_log_scale.exp()
        strengths = torch.addcmul(self.magnitude_bias, products, scale).relu()
        return strengths * (products + self.linear.encoder_bias > 0)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return self.linear.reconstruct(acts)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``, ``l1`` and ``aux``."""
        linear = self.linear
        products = (vectors - linear.decoder_bias) @ linear.encoder.T
        acts = self._strengths(products)
        opened = (products + linear.encoder_bias).relu()
        by_gates = torch.addmm(linear.decoder_bias.detach(), opened, linear.decoder.detach())
        terms = {
            "mse": squared_error(self.reconstruct(acts), targets),
            "l1": self.sparsity * self.params.l1_weight * opened.sum(1).mean(),
            "aux": squared_error(by_gates, targets),
        }
        return Objective(terms, (acts.detach() > 0).sum(0, dtype=vectors.dtype))

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The error does not reach the gates' bias; the other two nothing that sets strengths."""
        strengths = frozenset({"magnitude_log_scale", "magnitude_bias"})
        gates = ENCODER | BIAS
        everything = (ENCODER | DECODER | BIAS | strengths) - {"linear.encoder_bias"}
        return {"mse": everything, "l1": gates, "aux": gates}

    def before_step(self) -> None:
        """Remove the gradient along the rows."""
        self.linear.remove_parallel_gradient()

    def after_step(self) -> None:
        """Keep the rows at unit length."""
        self.linear.normalise_rows()

    def saelens(self) -> SaeLensForm:
        """SAELens' ``gated`` architecture."""
        form = self.linear.saelens(
            "gated",
            {},
            b_gate=self.linear.encoder_bias.detach(),
            b_mag=self.magnitude_bias.detach(),
            r_mag=self.magnitude_log_scale.detach(),
        )
        tensors = {name: tensor for name, tensor in form.tensors.items() if name != "b_enc"}
        return SaeLensForm(form.architecture, tensors, form.settings)
