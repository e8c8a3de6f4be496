"""What dictionaries share that keep the strongest activations of a batch, and a threshold."""

from typing import final

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor

from auscult.dictionaries.base import Dictionary, DictionaryParams, SaeLensForm
from auscult.dictionaries.linear import LinearCoder, row_norms
from auscult.dictionaries.selection import RunningThreshold, auxiliary_term, expect_k


class ThresholdParams(DictionaryParams):
    """Settings of all of them."""

    k: PositiveInt = 8
    """Features that are on in a vector, on average over a batch."""
    aux_weight: NonNegativeFloat = 1 / 32
    """Weight of the auxiliary loss of dead features; 0 switches it off."""
    threshold_memory: float = Field(0.999, ge=0.0, lt=1.0)
    """Weight of the past in the running average of the threshold."""

    @model_validator(mode="after")
    def _keeps_no_more_than_there_are(self) -> "ThresholdParams":
        expect_k(self.k, self.n_features)
        return self


class ByThreshold(Dictionary):
    """Linear both ways; types say what they minimise.

    In training the k·N largest activations of a batch of N vectors are kept, afterwards what
    exceeds the running average of the smallest one kept. Rows of the decoder stay at unit length.
    """

    params: ThresholdParams

    def __init__(self, params: ThresholdParams, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features)
        self.running = RunningThreshold(params.threshold_memory)

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms, the encoder their copy."""
        self.linear.initialise(rng)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length."""
        return self.linear.decoder / row_norms(self.linear.decoder)

    @final
    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z`` by the threshold, so that no vector depends on others."""
        return self.running.above(self.linear.pre_activations(vectors))

    @final
    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return self.linear.reconstruct(acts)

    def auxiliary(
        self, vectors: Float[Tensor, "n d_in"], residual: Float[Tensor, "n d_in"]
    ) -> dict[str, Float[Tensor, ""]]:
        """``aux``, as soon as features are dead."""
        weight = self.params.aux_weight
        return auxiliary_term(self.linear, vectors, residual, self.dead, weight, width=self.d_in)

    @final
    def before_step(self) -> None:
        """Remove the gradient along the rows."""
        self.linear.remove_parallel_gradient()

    @final
    def after_step(self) -> None:
        """Keep the rows at unit length, and let the threshold follow."""
        self.linear.normalise_rows()
        self.running.follow()

    @final
    def saelens(self) -> SaeLensForm:
        """SAELens' ``jumprelu`` architecture with one threshold for all, as SAELens exports it."""
        threshold = self.running.threshold.expand(self.n_features)
        return self.linear.saelens("jumprelu", {}, threshold=threshold)
