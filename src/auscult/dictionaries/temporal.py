"""Sparse autoencoder whose first features must say the same of neighbouring frames."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor
from torch.nn import functional

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
from auscult.dictionaries.selection import RunningThreshold, auxiliary_term


@DICTIONARIES.register("temporal")
class TemporalDictionary(Dictionary):
    """T-SAE (Bhalla et al. 2026, "Temporal Sparse Autoencoders"; METHODS 8.1).

    ::

        z, v̂ and θ as in the type ``batch-topk``; s = the first ``slow_share`` of the features
        v̂_s = b_d + Σ_{i in s} z_i D_i       mse_slow = E ‖v - v̂_s‖²,  mse = E ‖v - v̂‖²
        c_ij = cos(z_s[t_i], z_s[t_j + 1]) / temperature
        contrast = contrast_weight · (E_i [-log softmax_j c_ij] + E_j [-log softmax_i c_ij]) / 2
        aux as in the type ``topk``

    What a sound is changes more slowly than what it does: slow features have to tell a frame's
    neighbour from the frames of other moments, and to rebuild vectors as well as they can; the
    others take what is left over. In training, targets are the next frames of the same clips.

    Neighbouring frames of audio are alike by themselves, the more the more their spans overlap: a
    smooth slow feature is evidence only against the same features trained with
    ``contrast_weight = 0``, and on a tap whose frames overlap little. Nothing keeps a slow feature
    from being constant within a clip and different between clips: look for recording identity.
    Rows of D are kept at unit length.
    """

    reads = "neighbours"

    class Params(DictionaryParams):
        """Settings of a temporal dictionary."""

        k: PositiveInt = 8
        """Features that are on in a vector, on average over a batch."""
        slow_share: float = Field(0.2, gt=0.0, lt=1.0)
        """Share of the features that are slow, the first ones; at least one."""
        contrast_weight: NonNegativeFloat = 1.0
        """Weight of the contrastive term, which is in nats; published as 1."""
        temperature: PositiveFloat = 0.1
        """What cosines are divided by; at 1 the contrast hardly decides on planted features."""
        n_contrast: PositiveInt = 1024
        """Vectors of a batch that are told from one another; their square is computed."""
        aux_weight: NonNegativeFloat = 1 / 32
        """Weight of the auxiliary loss of dead features; 0 switches it off."""
        threshold_memory: float = Field(0.999, ge=0.0, lt=1.0)
        """Weight of the past in the running average of the threshold."""

        @model_validator(mode="after")
        def _fits(self) -> "TemporalDictionary.Params":
            if self.k > self.n_features:
                raise ValueError(f"k = {self.k} is more than n_features = {self.n_features}")
            return self

        @property
        def n_slow(self) -> int:
            """How many features are slow."""
            return max(1, round(self.slow_share * self.n_features))

    params: Params

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features)
        self.running = RunningThreshold(params.threshold_memory)

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms, the encoder their copy."""
        self.linear.initialise(rng)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length; the slow features first."""
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
        """``mse_slow``, ``mse``, ``contrast``, and ``aux`` as soon as features are dead."""
        linear, params, n = self.linear, self.params, len(vectors)
        slow = slice(0, params.n_slow)
        # The threshold follows the vectors, so these are looked at after their neighbours.
        some = min(n, params.n_contrast)
        after = self.running.keep(linear.pre_activations(targets[:some]), params.k * some)
        acts = self.running.keep(linear.pre_activations(vectors), params.k * n)
        by_slow = torch.addmm(linear.decoder_bias, acts[:, slow], linear.decoder[slow])
        estimate = self.reconstruct(acts)
        terms = {
            "mse_slow": squared_error(by_slow, vectors),
            "mse": squared_error(estimate, vectors),
        }
        if params.contrast_weight > 0:
            alike = contrast(acts[:some, slow], after[:, slow], params.temperature)
            terms["contrast"] = params.contrast_weight * alike
        residual = (vectors - estimate).detach()
        terms |= auxiliary_term(linear, vectors, residual, self.dead, params.aux_weight)
        fired = (acts.detach() > 0).sum(0, dtype=vectors.dtype)
        return Objective(terms, fired, self.running.notes)

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The contrast sees codes, hence no decoder; ``aux`` is formed while features are dead."""
        every = ENCODER | DECODER | BIAS
        terms = {"mse_slow": every, "mse": every}
        terms |= {"contrast": ENCODER | BIAS} if self.params.contrast_weight > 0 else {}
        return terms | ({"aux": every} if self.params.aux_weight > 0 else {})

    def before_step(self) -> None:
        """Remove the gradient along the rows."""
        self.linear.remove_parallel_gradient()

    def after_step(self) -> None:
        """Keep the rows at unit length, and let the threshold follow."""
        self.linear.normalise_rows()
        self.running.follow()

    def saelens(self) -> SaeLensForm:
        """SAELens' ``jumprelu`` architecture with one threshold for all."""
        threshold = self.running.threshold.expand(self.n_features)
        return self.linear.saelens("jumprelu", {}, threshold=threshold)


def contrast(
    now: Float[Tensor, "n d"], after: Float[Tensor, "n d"], temperature: float
) -> Float[Tensor, ""]:
    """How badly codes find their neighbours among those of others, in nats, both ways.

    InfoNCE over cosines (van den Oord et al. 2018, eq. 4; symmetric as Radford et al. 2021).
    Between 0 and about ``2 / temperature + log n``; ``log n`` where codes say nothing. Codes of
    zeros have cosine 0 with all.
    """
    cosines = functional.normalize(now, dim=1) @ functional.normalize(after, dim=1).T
    scores = cosines / temperature
    own = torch.arange(len(now), device=now.device)
    forth = functional.cross_entropy(scores, own)
    return 0.5 * (forth + functional.cross_entropy(scores.T, own))
