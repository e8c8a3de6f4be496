"""Directions drawn at random: the control of every fitted dictionary."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams, SaeLensForm
from auscult.dictionaries.greedy import matching_pursuit
from auscult.dictionaries.linear import tied_form
from auscult.dictionaries.spectrum import covariance_of, principal_subspace, random_unit_rows
from auscult.store.source import VectorSource


@DICTIONARIES.register("random")
class RandomDictionary(Dictionary):
    """Random unit atoms, encoded by matching pursuit (METHODS 1.3).

    ``space = "ambient"`` draws them evenly from the sphere in all dimensions. ``space =
    "subspace"`` draws them evenly from the sphere within the principal subspace that holds 99.99 %
    of the training vectors' variance: a direction is then random but possible. In a layer of rank 7
    and width 32 the first is far too easy to beat; the second is the control to read a trained
    dictionary against.
    """

    class Params(DictionaryParams):
        """Settings of a random dictionary."""

        space: Literal["ambient", "subspace"] = "subspace"
        """Draw from all directions, or from those that the vectors take."""
        k: PositiveInt = 8
        """Picks of the pursuit, so at most so many features are on."""
        signed: bool = False
        """Allow negative activations."""

    trainable = False
    params: Params
    rows: Tensor

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.register_buffer("rows", torch.zeros(self.n_features, d_in))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """The directions."""
        return self.rows

    @property
    def signed(self) -> bool:
        """As set."""
        return self.params.signed

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """Matching pursuit with ``k`` picks."""
        return matching_pursuit(vectors, self.rows, self.params.k, self.params.signed)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂ = z D``."""
        return acts @ self.rows

    def fit_from(self, source: VectorSource, rng: np.random.Generator) -> None:
        """Draw the atoms; of the source only its principal subspace is looked at."""
        self._expect(source.d_in, "vectors")
        if self.params.space == "subspace":
            basis = principal_subspace(covariance_of(source))
            rows = random_unit_rows(rng, self.n_features, len(basis)) @ basis
        else:
            rows = random_unit_rows(rng, self.n_features, self.d_in)
        self.rows.copy_(torch.from_numpy(rows))
        self.ready = True

    @property
    def unshared(self) -> str:
        """Others know one pick."""
        return "with more than one pick it is a pursuit: train it with k = 1"

    def saelens(self) -> SaeLensForm | None:
        """With one pick it is SAELens' ``topk`` or ``abstopk``; with more SAELens has no equal."""
        return tied_form(self.rows, 1, self.params.signed) if self.params.k == 1 else None
