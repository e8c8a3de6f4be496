"""Template: a dictionary. Copy to src/auscult/dictionaries/<type>.py and change what is marked."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams, Objective


@DICTIONARIES.register("example-dictionary")  # CHANGE: the name that users write
class ExampleDictionary(Dictionary):
    """One sentence, the paper, and the equations.

    ::

        z = relu(v Dᵀ + b)        v̂ = z D
        mse = E ‖v - v̂‖²          l1 = l1_weight · E Σ_i z_i
    """

    class Params(DictionaryParams):
        """Settings beside the number of features, one docstring each."""

        l1_weight: float = 0.03
        """Weight of the penalty."""

    params: Params

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.rows = nn.Parameter(torch.zeros(self.n_features, d_in))
        self.bias = nn.Parameter(torch.zeros(self.n_features))

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw starting values from the given random numbers and from nothing else."""
        drawn = torch.from_numpy(rng.standard_normal(self.rows.shape)).to(self.rows.dtype)
        with torch.no_grad():
            self.rows.copy_(drawn / drawn.norm(dim=1, keepdim=True))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Directions as rows of unit length."""
        return self.rows / self.rows.norm(dim=1, keepdim=True).clamp_min(1e-12)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """Encode vectors that are already centred and scaled."""
        return torch.addmm(self.bias, vectors, self.rows.T).relu()

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """Decode to centred and scaled vectors."""
        return acts @ self.rows

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """Every term by name, its weight inside; autograd does the rest."""
        acts = self.activate(vectors)
        terms = {
            "mse": (self.reconstruct(acts) - targets).square().sum(1).mean(),
            "l1": self.params.l1_weight * acts.sum(1).mean(),
        }
        return Objective(terms, (acts.detach() > 0).sum(0, dtype=vectors.dtype))

    def claims(self) -> Mapping[str, frozenset[str]]:
        """Which parameters each term trains; the contract suite tests it."""
        everything = frozenset({"rows", "bias"})
        return {"mse": everything, "l1": everything}

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the rows at unit length."""
        self.rows.div_(self.rows.norm(dim=1, keepdim=True).clamp_min(1e-12))
