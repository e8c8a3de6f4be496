"""Sparse autoencoder that keeps the strongest activations of a batch, and a threshold of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator
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
    LinearCoder,
    row_norms,
    squared_error,
)
from auscult.dictionaries.selection import (
    ENCODER_START,
    RunningThreshold,
    auxiliary_term,
    sparse_gradient,
)


@DICTIONARIES.register("batch-topk")
class BatchTopKDictionary(Dictionary):
    """BatchTopK (Bussmann, Leask and Nanda 2024, "BatchTopK Sparse Autoencoders"; METHODS 8.1).

    ::

        p = W_e (v - b_d) + b_e              v̂ = z D + b_d
        in training: z = the k·N largest of relu(p) among all features of all N vectors, else 0
        afterwards:  z = p where p > θ, else 0
        mse = E ‖v - v̂‖²                     aux as in the type ``topk``

    A vector has k features on average, and as many as it needs. θ is the running average of the
    smallest activation that a batch kept, with the weight 0.999 for the past; in the first 9,000
    steps the past weighs less, so that short trainings do not remember their start.

    On other vectors than those of training l0 need not be k: loud ones get more features, quiet
    ones none at all, and l0 differs in time as loudness does. Look at l0 before comparing. Rows of
    D are kept at unit length.
    """

    class Params(DictionaryParams):
        """Settings of a BatchTopK dictionary."""

        k: PositiveInt = 8
        """Features that are on in a vector, on average over a batch."""
        aux_weight: NonNegativeFloat = 1 / 32
        """Weight of the auxiliary loss of dead features; 0 switches it off."""
        threshold_memory: float = Field(0.999, ge=0.0, lt=1.0)
        """Weight of the past in the running average of the threshold."""

        @model_validator(mode="after")
        def _fits(self) -> "BatchTopKDictionary.Params":
            if self.k > self.n_features:
                raise ValueError(f"k = {self.k} is more than n_features = {self.n_features}")
            return self

    params: Params
    rotates = True

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features)
        self.running = RunningThreshold(params.threshold_memory)

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms, the encoder a shorter copy."""
        self.linear.initialise(rng, encoder_scale=ENCODER_START)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length."""
        return self.linear.decoder / row_norms(self.linear.decoder)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z`` by the threshold, so that no vector depends on others."""
        return self.running.above(self.linear.pre_activations(vectors))

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return self.linear.reconstruct(acts)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``, and ``aux`` as soon as features are dead."""
        pre = self.linear.pre_activations(vectors)
        acts = self.running.keep(pre, self.params.k * len(vectors))
        estimate = self.reconstruct(acts)
        terms = {"mse": squared_error(estimate, targets)}
        terms |= self._auxiliary(vectors, (targets - estimate).detach())
        fired = (acts.detach() > 0).sum(0, dtype=vectors.dtype)
        return Objective(terms, fired, self.running.notes)

    def differentiate(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """The gradient of :meth:`objective`: the main term by hand, the auxiliary by autograd."""
        if vectors.device.type != "cpu":
            return super().differentiate(vectors, targets)
        linear, dead = self.linear, self.dead
        centred, goal = linear.less_bias(vectors, targets)
        acts = self.running.keep_entries(linear, centred, self.params.k * len(vectors))
        main = sparse_gradient(linear, acts, centred, goal, keep_left_over=len(dead) > 0)
        terms = {"mse": main.mse}
        if main.left_over is not None:
            terms |= self._auxiliary(vectors, main.left_over)
        if "aux" in terms:
            terms["aux"].backward()  # type: ignore[no-untyped-call]
        fired = acts.by_feature.count().to(vectors.dtype)
        return Objective(terms, fired, self.running.notes)

    def _auxiliary(
        self, vectors: Float[Tensor, "n d_in"], residual: Float[Tensor, "n d_in"]
    ) -> dict[str, Tensor]:
        return auxiliary_term(self.linear, vectors, residual, self.dead, self.params.aux_weight)

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The auxiliary term is formed only while features are dead."""
        every = ENCODER | DECODER | BIAS
        return {"mse": every, "aux": every} if self.params.aux_weight > 0 else {"mse": every}

    def before_step(self) -> None:
        """Remove the gradient along the rows."""
        self.linear.remove_parallel_gradient()

    def after_step(self) -> None:
        """Keep the rows at unit length, and let the threshold follow."""
        self.linear.normalise_rows()
        self.running.follow()

    def revive(
        self, dead: Int64[Tensor, " n_dead"], directions: Float[Tensor, "n_dead d_in"]
    ) -> Sequence[str]:
        """Give them these atoms, and encoders that are a fifth as long as the others' are."""
        return self.linear.revive(dead, directions)

    def saelens(self) -> SaeLensForm:
        """SAELens' ``jumprelu`` architecture with one threshold for all, as SAELens exports it."""
        threshold = self.running.threshold.expand(self.n_features)
        return self.linear.saelens("jumprelu", {}, threshold=threshold)
