"""Sparse autoencoder with rectified activations and an L1 penalty."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from pydantic import NonNegativeFloat, model_validator
from torch import Tensor

from auscult.dictionaries.base import (
    DICTIONARIES,
    Dictionary,
    DictionaryParams,
    Objective,
    SaeLensForm,
)
from auscult.dictionaries.dense_relu import SPARSE_BELOW, DenseRelu
from auscult.dictionaries.linear import (
    BIAS,
    DECODER,
    ENCODER,
    Frozen,
    LinearCoder,
    gradient_of,
    row_norms,
    squared_error,
)
from auscult.dictionaries.selection import sparse_gradient
from auscult.dictionaries.stacked_relu import StackedRelu


@DICTIONARIES.register("relu")
class ReluDictionary(Dictionary):
    """ReLU with L1 (Bricken et al. 2023, "Towards Monosemanticity"; METHODS 8.1).

    ::

        z = relu(W_e (v - b_d) + b_e)        v̂ = z D + b_d
        mse = E ‖v - v̂‖²                     l1 = l1_weight · E Σ_i z_i n_i

    With ``norm = "unit"`` every ``n_i`` is 1: the rows of D are kept at unit length, and the part
    of their gradient along themselves is removed. With ``norm = "weighted"`` rows are free and
    ``n_i = ‖D_i‖`` (Conerly et al. 2024), so that the penalty cannot be had for less by longer
    rows; after training the lengths are folded into the activations, which leaves v̂ and the
    penalty as they were.

    Both make activations shrink towards zero: look at ``reconstruction_bias``.
    """

    class Params(DictionaryParams):
        """Settings of a ReLU dictionary."""

        l1_weight: NonNegativeFloat = 0.03
        """Weight of the L1 penalty; with scaled vectors the error beside it is the FVU."""
        norm: Literal["unit", "weighted"] = "unit"
        """``unit``: atoms of unit length; ``weighted``: free atoms, penalised by their length."""
        frozen: Frozen = "no"
        """What stays at its random start: a sanity baseline (Korznikov et al. 2026)."""

        @model_validator(mode="after")
        def _fits(self) -> "ReluDictionary.Params":
            if self.norm == "weighted" and "decoder" in self.frozen:
                raise ValueError(f"frozen = {self.frozen!r} keeps unit atoms: set norm = 'unit'")
            return self

    params: Params
    rotates = True
    stacked = StackedRelu

    @classmethod
    def priced_by(cls, params: Any) -> bool:  # noqa: ARG003
        """Its L1 penalty has one."""
        return True

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features, params.frozen)

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms; the encoder starts small, so that no feature explains too much."""
        self.linear.initialise(rng, encoder_scale=0.1)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length."""
        return self.linear.decoder / row_norms(self.linear.decoder)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        return self.linear.pre_activations(vectors, rectified=True)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return self.linear.reconstruct(acts)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse`` and ``l1``."""
        acts = self.activate(vectors)
        weighted = self.params.norm == "weighted"
        costs = acts * row_norms(self.linear.decoder).T if weighted else acts
        terms = {
            "mse": squared_error(self.reconstruct(acts), targets),
            "l1": self.sparsity * self.params.l1_weight * costs.sum(1).mean(),
        }
        return Objective(terms, (acts.detach() > 0).sum(0, dtype=vectors.dtype))

    @torch.no_grad()
    def differentiate(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """The gradient of :meth:`objective` by hand.

        With ``r = v̂ - v`` and ``λ n`` the price of each activation, ``∂/∂z = (2 r Dᵀ + λ n) / N``
        where z > 0, from which W_e and b_e follow as in any linear layer; b_d gets its share from
        both ends. Where few activations are on, the others are left out.
        """
        linear, n = self.linear, len(vectors)
        weighted, weight = self.params.norm == "weighted", self.sparsity * self.params.l1_weight / n
        centred, goal = linear.less_bias(vectors, targets)
        norms = row_norms(linear.decoder).squeeze(1) if weighted else None
        dense = DenseRelu(linear, centred, goal, norms, weight)
        density = dense.look()
        if vectors.device.type == "cpu" and density < SPARSE_BELOW:
            acts = dense.entries()
            prices = (
                torch.full_like(linear.encoder_bias, weight) if norms is None else norms * weight
            )
            mse = sparse_gradient(linear, acts, centred, goal, prices=prices).mse
            totals = acts.by_feature.totals(acts.by_feature.values)
            fired = acts.by_feature.count().to(vectors.dtype)
        else:
            mse, totals, fired = dense.differentiate(counting=self.counting)
        costs = totals
        if norms is not None:
            pull = (totals * weight / norms).unsqueeze(1)
            gradient_of(linear.decoder).addcmul_(pull, linear.decoder)
            costs = totals * norms
        terms = {"mse": mse, "l1": costs.sum() * weight}
        return Objective(terms, fired)

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The penalty does not see the decoder unless it is weighted by its rows."""
        decoder = DECODER if self.params.norm == "weighted" else frozenset[str]()
        terms = {"mse": ENCODER | DECODER | BIAS, "l1": ENCODER | BIAS | decoder}
        return {name: reached - self.linear.held for name, reached in terms.items()}

    def before_step(self) -> None:
        """Remove the gradient along the rows, where these are kept at unit length."""
        if self.params.norm == "unit":
            self.linear.remove_parallel_gradient()

    def after_step(self) -> None:
        """Keep the rows at unit length, where they are to be."""
        if self.params.norm == "unit":
            self.linear.normalise_rows()

    def after_training(self) -> None:
        """Fold the lengths of free rows into the activations."""
        if self.params.norm == "weighted":
            self.linear.fold_row_norms()

    def revive(
        self, dead: Int64[Tensor, " n_dead"], directions: Float[Tensor, "n_dead d_in"]
    ) -> Sequence[str]:
        """Give them these atoms, and encoders that are a fifth as long as the others' are."""
        return self.linear.revive(dead, directions)

    def saelens(self) -> SaeLensForm:
        """SAELens' ``standard`` architecture."""
        return self.linear.saelens("standard", {})
