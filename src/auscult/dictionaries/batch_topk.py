"""Sparse autoencoder that keeps the strongest activations of a batch, and a threshold of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from auscult.dictionaries.base import DICTIONARIES, Objective
from auscult.dictionaries.by_threshold import ByThreshold, ThresholdParams
from auscult.dictionaries.linear import BIAS, DECODER, ENCODER, squared_error
from auscult.dictionaries.selection import ENCODER_START, sparse_gradient


@DICTIONARIES.register("batch-topk")
class BatchTopKDictionary(ByThreshold):
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

    class Params(ThresholdParams):
        """Settings of a BatchTopK dictionary."""

    params: Params
    rotates = True

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms, the encoder a shorter copy."""
        self.linear.initialise(rng, encoder_scale=ENCODER_START)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``, and ``aux`` as soon as features are dead."""
        pre = self.linear.pre_activations(vectors)
        acts = self.running.keep(pre, self.params.k * len(vectors))
        estimate = self.reconstruct(acts)
        terms = {"mse": squared_error(estimate, targets)}
        terms |= self.auxiliary(vectors, (targets - estimate).detach())
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
            terms |= self.auxiliary(vectors, main.left_over)
        if "aux" in terms:
            terms["aux"].backward()  # type: ignore[no-untyped-call]
        fired = acts.by_feature.count().to(vectors.dtype)
        return Objective(terms, fired, self.running.notes)

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The auxiliary term is formed only while features are dead."""
        every = ENCODER | DECODER | BIAS
        return {"mse": every, "aux": every} if self.params.aux_weight > 0 else {"mse": every}

    def revive(
        self, dead: Int64[Tensor, " n_dead"], directions: Float[Tensor, "n_dead d_in"]
    ) -> Sequence[str]:
        """Give them these atoms, and encoders that are a fifth as long as the others' are."""
        return self.linear.revive(dead, directions)
