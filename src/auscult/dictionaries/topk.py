"""Sparse autoencoder that keeps the k strongest activations of every vector."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from pydantic import NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor

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
    Frozen,
    LinearCoder,
    row_norms,
    squared_error,
)
from auscult.dictionaries.selection import (
    ENCODER_START,
    auxiliary_term,
    expect_k,
    keep_top,
    sparse_gradient,
    top_acts,
)


@DICTIONARIES.register("topk")
class TopKDictionary(Dictionary):
    """TopK (Gao et al. 2024, "Scaling and evaluating sparse autoencoders", sections 2.3 and A.2).

    ::

        p = W_e (v - b_d) + b_e              z = the k largest of relu(p), else 0
        v̂ = z D + b_d                        mse = E ‖v - v̂‖²
        e = v - v̂ (held fixed)               aux = aux_weight · E ‖e - z_dead D‖² / E ‖e - E e‖²

    ``z_dead`` keeps the ``d_in / 2`` largest of the dead features alone, so that these learn to
    explain what is left over; the paper's weight is 1/32, and 0 switches the term off. Rows of D
    are kept at unit length. Where the paper starts ``b_d`` at the geometric median, vectors are
    centred here.

    With ``signed`` the k largest of ``|p|`` are kept with their sign, for vectors such as
    generators in which a direction and its opposite mean the same kind of motion (METHODS A-9).
    """

    class Params(DictionaryParams):
        """Settings of a TopK dictionary."""

        k: PositiveInt = 8
        """Features that may be on at once."""
        signed: bool = False
        """Keep the k largest by magnitude, with their sign."""
        aux_weight: NonNegativeFloat = 1 / 32
        """Weight of the auxiliary loss of dead features; 0 switches it off."""
        frozen: Frozen = "no"
        """What stays at its random start: a sanity baseline (Korznikov et al. 2026)."""

        @model_validator(mode="after")
        def _fits(self) -> "TopKDictionary.Params":
            expect_k(self.k, self.n_features)
            return self

    params: Params
    rotates = True

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features, params.frozen)

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms, the encoder a shorter copy; one that stays as it is, their copy."""
        frozen = self.params.frozen == "encoder"
        self.linear.initialise(rng, encoder_scale=1.0 if frozen else ENCODER_START)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length."""
        return self.linear.decoder / row_norms(self.linear.decoder)

    @property
    def signed(self) -> bool:
        """As set."""
        return self.params.signed

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        k, signed = self.params.k, self.params.signed
        weights = (vectors, *self.linear.parameters())
        if torch.is_grad_enabled() and any(each.requires_grad for each in weights):
            return keep_top(self.linear.pre_activations(vectors), k, signed)
        kept = top_acts(self.linear, vectors - self.linear.decoder_bias, k, signed)
        acts = vectors.new_zeros(len(vectors), self.n_features)
        return acts.scatter_(1, kept.features.view(-1, k), kept.values.view(-1, k))

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return self.linear.reconstruct(acts)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``, and ``aux`` as soon as features are dead."""
        acts = self.activate(vectors)
        estimate = self.reconstruct(acts)
        terms = {"mse": squared_error(estimate, targets)}
        terms |= self._auxiliary(vectors, (targets - estimate).detach())
        return Objective(terms, (acts.detach() != 0).sum(0, dtype=vectors.dtype))

    def differentiate(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """The gradient of :meth:`objective`: the main term by hand, the auxiliary by autograd."""
        if vectors.device.type != "cpu":
            return super().differentiate(vectors, targets)
        linear, dead = self.linear, self.dead
        centred, goal = linear.less_bias(vectors, targets)
        acts = top_acts(linear, centred, self.params.k, self.params.signed)
        main = sparse_gradient(linear, acts, centred, goal, keep_left_over=len(dead) > 0)
        terms = {"mse": main.mse}
        if main.left_over is not None:
            terms |= self._auxiliary(vectors, main.left_over)
        if "aux" in terms:
            terms["aux"].backward()  # type: ignore[no-untyped-call]
        return Objective(terms, acts.by_feature.count().to(vectors.dtype))

    def _auxiliary(
        self, vectors: Float[Tensor, "n d_in"], residual: Float[Tensor, "n d_in"]
    ) -> dict[str, Tensor]:
        params, dead = self.params, self.dead
        return auxiliary_term(
            self.linear, vectors, residual, dead, params.aux_weight,
            width=self.d_in, signed=params.signed,
        )  # fmt: skip

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The auxiliary term is formed only while features are dead."""
        every = (ENCODER | DECODER | BIAS) - self.linear.held
        return {"mse": every, "aux": every} if self.params.aux_weight > 0 else {"mse": every}

    def before_step(self) -> None:
        """Remove the gradient along the rows."""
        self.linear.remove_parallel_gradient()

    def after_step(self) -> None:
        """Keep the rows at unit length."""
        self.linear.normalise_rows()

    def revive(
        self, dead: Int64[Tensor, " n_dead"], directions: Float[Tensor, "n_dead d_in"]
    ) -> Sequence[str]:
        """Give them these atoms, and encoders that are a fifth as long as the others' are."""
        return self.linear.revive(dead, directions)

    def saelens(self) -> SaeLensForm:
        """SAELens' ``topk`` architecture, or ``abstopk`` where activations are signed."""
        architecture = "abstopk" if self.params.signed else "topk"
        settings = {"k": self.params.k, "rescale_acts_by_decoder_norm": False}
        return self.linear.saelens(architecture, settings)
