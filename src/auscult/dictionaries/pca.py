"""Principal components: the best linear dictionary, and a dense one."""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams, SaeLensForm
from auscult.dictionaries.linear import tied_form
from auscult.dictionaries.selection import keep_top
from auscult.dictionaries.spectrum import covariance_of, principal_directions
from auscult.store.source import VectorSource


@DICTIONARIES.register("pca")
class PcaDictionary(Dictionary):
    """Principal components (Pearson 1901): ``z = U v``, ``v̂ = Uᵀ z``, U the leading eigenvectors.

    Activations are signed and, unless ``k`` is set, all of them are on. Among all dictionaries of
    so many atoms and a linear encoder none has a lower squared error: what a sparse dictionary must
    be read against.
    """

    class Params(DictionaryParams):
        """Settings of principal components."""

        k: PositiveInt | None = None
        """Keep only the k activations of largest magnitude for each vector; all when absent."""

    trainable = False
    params: Params
    components: Tensor

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        if self.n_features > d_in:
            raise ConfigError(
                f"vectors of width {d_in} have at most {d_in} principal components: "
                f"set n_features to at most that, not {self.n_features}"
            )
        self.register_buffer("components", torch.zeros(self.n_features, d_in))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Components, orthonormal, largest variance first, largest entry positive."""
        return self.components

    @property
    def signed(self) -> bool:
        """Always."""
        return True

    @property
    def _n_kept(self) -> int:
        return min(self.params.k or self.n_features, self.n_features)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        acts = vectors @ self.components.T
        return (
            acts if self._n_kept == self.n_features else keep_top(acts, self._n_kept, signed=True)
        )

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return acts @ self.components

    def fit_from(self, source: VectorSource, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Take the leading eigenvectors of the source's covariance."""
        self._expect(source.d_in, "vectors")
        _, rows = principal_directions(covariance_of(source))
        self.components.copy_(torch.from_numpy(rows[: self.n_features]))
        self.ready = True

    def saelens(self) -> SaeLensForm:
        """SAELens' ``abstopk`` architecture, which with k = n_features keeps everything."""
        return tied_form(self.components, self._n_kept, signed=True)
