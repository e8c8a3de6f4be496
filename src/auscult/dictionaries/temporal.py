"""Sparse autoencoder whose first features must say the same of neighbouring frames."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional

from auscult.dictionaries.base import DICTIONARIES, Objective
from auscult.dictionaries.by_threshold import ByThreshold, ThresholdParams
from auscult.dictionaries.linear import BIAS, DECODER, ENCODER, squared_error


@DICTIONARIES.register("temporal")
class TemporalDictionary(ByThreshold):
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

    class Params(ThresholdParams):
        """Settings of a temporal dictionary."""

        slow_share: float = Field(0.2, gt=0.0, lt=1.0)
        """Share of the features that are slow, the first ones; at least one."""
        contrast_weight: NonNegativeFloat = 1.0
        """Weight of the contrastive term, which is in nats; published as 1."""
        temperature: PositiveFloat = 0.1
        """What cosines are divided by; at 1 the contrast hardly decides on planted features."""
        n_contrast: PositiveInt = 1024
        """Vectors of a batch that are told from one another; their square is computed."""

        @property
        def n_slow(self) -> int:
            """How many features are slow."""
            return max(1, round(self.slow_share * self.n_features))

    params: Params

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
        terms |= self.auxiliary(vectors, residual)
        fired = (acts.detach() > 0).sum(0, dtype=vectors.dtype)
        return Objective(terms, fired, self.running.notes)

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The contrast sees no decoder; ``aux`` is formed while features are dead."""
        every = ENCODER | DECODER | BIAS
        terms = {"mse_slow": every, "mse": every}
        terms |= {"contrast": ENCODER | BIAS} if self.params.contrast_weight > 0 else {}
        return terms | ({"aux": every} if self.params.aux_weight > 0 else {})


def contrast(
    now: Float[Tensor, "n d"], after: Float[Tensor, "n d"], temperature: float
) -> Float[Tensor, ""]:
    """How badly activations find their neighbours among those of others, in nats, both ways.

    InfoNCE over cosines (van den Oord et al. 2018, eq. 4; symmetric as Radford et al. 2021).
    Between 0 and about ``2 / temperature + log n``; ``log n`` where activations say nothing.
    Where none is on, the cosine with all is 0.
    """
    cosines = functional.normalize(now, dim=1) @ functional.normalize(after, dim=1).T
    scores = cosines / temperature
    own = torch.arange(len(now), device=now.device)
    forth = functional.cross_entropy(scores, own)
    return 0.5 * (forth + functional.cross_entropy(scores.T, own))
