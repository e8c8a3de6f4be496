"""Spherical k-means: the most common directions, one for each vector."""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams, SaeLensForm
from auscult.dictionaries.greedy import matching_pursuit
from auscult.dictionaries.linear import tied_form
from auscult.dictionaries.spectrum import random_unit_rows
from auscult.store.source import VectorSource

_SILENT = 1e-6
"""Vectors shorter than this share of the root mean square length have no direction to speak of."""


@DICTIONARIES.register("kmeans")
class KMeansDictionary(Dictionary):
    """Spherical k-means (Dhillon and Modha 2001), in mini-batches by scikit-learn.

    Atoms are the unit-length centres of clusters of directions ``v / ‖v‖``. With ``k = 1`` a vector
    is encoded by its nearest atom alone: ``z_i = max(0, v · d_i)`` for the ``i`` of largest cosine.
    More picks are matching pursuit. Random directions of low effective dimension are clustered well
    too, so read its cosine against noise (METHODS A-4).
    """

    class Params(DictionaryParams):
        """Settings of spherical k-means."""

        k: PositiveInt = 1
        """Atoms that encode a vector."""
        passes: PositiveInt = 4
        """Passes over the vectors."""
        batch: PositiveInt = 4096
        """Vectors in a batch; ten for each atom if that is more."""

    trainable = False
    params: Params
    centres: Tensor

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.register_buffer("centres", torch.zeros(self.n_features, d_in))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """The centres, at unit length."""
        return self.centres

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """The nearest atom, or ``k`` picks."""
        return matching_pursuit(vectors, self.centres, self.params.k)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂ = z D``."""
        return acts @ self.centres

    def fit_from(self, source: VectorSource, rng: np.random.Generator) -> None:
        """Cluster the directions of the source's vectors; silent ones are left out.

        Where there are fewer vectors than atoms, they become atoms and the rest is drawn at random.
        """
        from sklearn.cluster import MiniBatchKMeans

        self._expect(source.d_in, "vectors")
        model = MiniBatchKMeans(self.n_features, n_init=1, random_state=int(rng.integers(1 << 31)))
        batch = max(self.params.batch, 10 * self.n_features)
        for _ in range(self.params.passes):
            for values in source.vectors(batch, rng):
                directions = self._directions(values)
                # A short last batch cannot start a clustering, and adds nothing to one.
                if len(directions) >= self.n_features:
                    model.partial_fit(directions)
                    model.cluster_centers_ = _unit(model.cluster_centers_)
        if hasattr(model, "cluster_centers_"):
            rows = model.cluster_centers_
        else:
            found = self._directions(source.rows(np.arange(source.n_vectors)))[: self.n_features]
            rest = random_unit_rows(rng, self.n_features - len(found), self.d_in)
            rows = np.concatenate([found, rest])
        self.centres.copy_(torch.from_numpy(np.asarray(rows)))
        self.ready = True

    def _directions(self, values: Float[np.ndarray, "n d_in"]) -> Float[np.ndarray, "m d_in"]:
        vectors = self.preprocess.of_array(values)
        lengths = np.linalg.norm(vectors, axis=1)
        audible = lengths > _SILENT * np.sqrt(np.mean(lengths**2))
        unit: np.ndarray = vectors[audible] / lengths[audible, None]
        return unit

    @property
    def unshared(self) -> str:
        """Others know one pick."""
        return "with more than one pick it is a pursuit: train it with k = 1"

    def saelens(self) -> SaeLensForm | None:
        """With one pick it is SAELens' ``topk``; with more SAELens has no equal."""
        return tied_form(self.centres, 1, signed=False) if self.params.k == 1 else None


def _unit(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.where(lengths > 0, lengths, 1.0)
    return unit
