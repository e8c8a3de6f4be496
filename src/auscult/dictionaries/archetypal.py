"""Sparse autoencoder whose atoms stay near mixtures of data points."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor, nn

from auscult.dictionaries.base import (
    DICTIONARIES,
    Dictionary,
    DictionaryParams,
    Objective,
    SaeLensForm,
)
from auscult.dictionaries.linear import row_norms, squared_error
from auscult.dictionaries.sampling import centroids, sampled
from auscult.dictionaries.selection import expect_k, keep_top
from auscult.store.source import VectorSource


@DICTIONARIES.register("archetypal")
class ArchetypalDictionary(Dictionary):
    """Relaxed archetypal dictionary (Fel et al. 2025, "Archetypal SAE", section 4; METHODS 8.1).

    ::

        D = e^m (W C + Λ),   W ≥ 0,   Σ_j W_ij = 1,   ‖Λ_i‖ ≤ relaxation
        z = the k largest of relu(W_e (v - b_d) + b_e), else 0
        v̂ = z D + b_d        mse = E ‖v - v̂‖²

    C are candidates that stand for the training vectors, chosen once; each atom is a mixture of
    them, up to Λ and one scale for all. With ``relaxation = 0`` atoms lie in the (scaled) convex
    hull of the data: they are states that the layer could be in, and seeds agree more than those
    of free atoms do. The price is a higher error, and directions outside the hull, such as the
    negative of a direction, cannot be had. With preprocessed vectors, whose mean square length is
    1, a relaxation of 1 (the authors' default) is a loose bond. Centre the vectors: of an offset
    every atom would carry its share.

    Atoms are mixtures as they are, **not** of unit length. These are no "archetypes" in the sense
    of atoms learned on generators. Nothing revives dead features.
    """

    class Params(DictionaryParams):
        """Settings of a relaxed archetypal dictionary."""

        k: PositiveInt = 8
        """Features that may be on at once."""
        candidates: Literal["kmeans", "sample"] = "kmeans"
        """``kmeans``: centres of clusters of the vectors; ``sample``: some of the vectors."""
        n_candidates: PositiveInt = 256
        """Number of candidates."""
        relaxation: NonNegativeFloat = 1.0
        """How far an atom may lie from its mixture, before the common scale."""

        @model_validator(mode="after")
        def _fits(self) -> "ArchetypalDictionary.Params":
            expect_k(self.k, self.n_features)
            return self

    unit_atoms = False
    params: Params
    candidates: Tensor
    deviation: Tensor

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.ready = False
        self.encoder = nn.Parameter(torch.zeros(self.n_features, d_in))
        self.encoder_bias = nn.Parameter(torch.zeros(self.n_features))
        self.decoder_bias = nn.Parameter(torch.zeros(d_in))
        self.mixture = nn.Parameter(torch.zeros(self.n_features, params.n_candidates))
        self.log_scale = nn.Parameter(torch.zeros(()))
        deviation = torch.zeros(self.n_features, d_in)
        if params.relaxation > 0:
            self.register_parameter("deviation", nn.Parameter(deviation))
        else:
            self.register_buffer("deviation", deviation)
        self.register_buffer("candidates", torch.zeros(params.n_candidates, d_in))

    @torch.no_grad()
    def prepare(self, source: VectorSource, rng: np.random.Generator) -> None:
        """Choose the candidates; every atom starts as one of them, the encoder as its direction."""
        self._expect(source.d_in, "vectors")
        n = self.params.n_candidates
        if self.params.candidates == "kmeans":
            rows = centroids(source, self.preprocess, n, rng)
        else:
            found = sampled(source, self.preprocess, n, rng)
            rows = found[np.arange(n) % len(found)]
        self.candidates.copy_(torch.from_numpy(rows))
        chosen = np.resize(rng.permutation(n), self.n_features)
        self.mixture.zero_()[torch.arange(self.n_features), torch.from_numpy(chosen)] = 1.0
        self.encoder.copy_(self.atoms / row_norms(self.atoms))
        self.ready = True

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """``D``, of whatever length its rows have."""
        return self.log_scale.exp() * (self.mixture @ self.candidates + self.deviation)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        pre = torch.addmm(self.encoder_bias, vectors - self.decoder_bias, self.encoder.T)
        return keep_top(pre, self.params.k, signed=False)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return torch.addmm(self.decoder_bias, acts, self.atoms)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``."""
        acts = self.activate(vectors)
        fired = (acts.detach() > 0).sum(0, dtype=vectors.dtype)
        return Objective({"mse": squared_error(self.reconstruct(acts), targets)}, fired)

    def claims(self) -> Mapping[str, frozenset[str]]:
        """Everything but the candidates; without relaxation there is no deviation to learn."""
        return {"mse": frozenset(name for name, _ in self.named_parameters())}

    @torch.no_grad()
    def after_step(self) -> None:
        """Bring mixtures back to the simplex, and deviations back within the relaxation."""
        self.mixture.copy_(on_simplex(self.mixture))
        lengths = torch.linalg.vector_norm(self.deviation, dim=1, keepdim=True)
        self.deviation.mul_((self.params.relaxation / lengths.clamp_min(1e-30)).clamp_max(1.0))

    def saelens(self) -> SaeLensForm:
        """SAELens' ``topk`` architecture, with atoms that are not of unit length."""
        tensors = {
            "W_enc": self.encoder.detach().T,
            "b_enc": self.encoder_bias.detach(),
            "W_dec": self.atoms.detach(),
            "b_dec": self.decoder_bias.detach(),
        }
        settings = {"k": self.params.k, "rescale_acts_by_decoder_norm": False}
        return SaeLensForm("topk", tensors, settings)


def on_simplex(rows: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """The nearest rows that are not negative and sum to 1 (Duchi et al. 2008, figure 1)."""
    falling = rows.sort(1, descending=True).values
    excess = (falling.cumsum(1) - 1.0) / torch.arange(1, rows.shape[1] + 1, device=rows.device)
    n_positive = (falling > excess).sum(1, keepdim=True)
    return (rows - excess.gather(1, n_positive - 1)).relu()
