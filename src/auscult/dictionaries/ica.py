"""Independent components: directions along which the vectors are least Gaussian."""

import warnings

import numpy as np
import torch
from jaxtyping import Float, Float64
from pydantic import PositiveInt
from torch import Tensor

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams, SaeLensForm
from auscult.dictionaries.sampling import sampled
from auscult.dictionaries.selection import keep_top
from auscult.dictionaries.spectrum import principal_directions
from auscult.store.source import VectorSource

_NO_VARIATION = 1e-7
"""Directions with less than this share of the largest variance hold rounding (float32: 6e-8)."""


@DICTIONARIES.register("ica")
class IcaDictionary(Dictionary):
    """Independent component analysis (Hyvärinen 1999, FastICA with log cosh, by scikit-learn).

    ::

        z = (v - m) U                        v̂ = z A + m

    U turns whitened vectors so that activations are as far from Gaussian as can be; A, its inverse
    on the principal subspace, holds the atoms. Components are ordered by the variance that they
    bring, and their sign is that of their skewness. All activations are on, with either sign,
    unless ``k`` is set. Of Gaussian vectors, and of more than one Gaussian direction, components
    are arbitrary: compare seeds. There are at most as many as dimensions; beyond the rank of the
    vectors, principal directions that hold nothing fill up.
    """

    class Params(DictionaryParams):
        """Settings of independent components."""

        k: PositiveInt | None = None
        """Keep only the k activations of largest magnitude for each vector; all when absent."""
        n_vectors: PositiveInt = 50_000
        """Vectors to fit to, drawn from all."""
        max_iterations: PositiveInt = 200
        """Steps after which FastICA stops, converged or not."""

    trainable = False
    params: Params
    components: Tensor
    unmixing: Tensor
    offset: Tensor
    n_iterations: Tensor

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        if self.n_features > d_in:
            raise ConfigError(
                f"vectors of width {d_in} have at most {d_in} independent components: "
                f"set n_features to at most that, not {self.n_features}"
            )
        self.register_buffer("components", torch.zeros(self.n_features, d_in))
        self.register_buffer("unmixing", torch.zeros(self.n_features, d_in))
        self.register_buffer("offset", torch.zeros(d_in))
        self.register_buffer("n_iterations", torch.zeros((), dtype=torch.int64))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """What each component adds to a vector, at unit length."""
        return self.components

    @property
    def signed(self) -> bool:
        """Always."""
        return True

    @property
    def converged(self) -> bool:
        """Whether FastICA stopped by itself."""
        return int(self.n_iterations) < self.params.max_iterations

    @property
    def _n_kept(self) -> int:
        return min(self.params.k or self.n_features, self.n_features)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        acts = (vectors - self.offset) @ self.unmixing.T
        return (
            acts if self._n_kept == self.n_features else keep_top(acts, self._n_kept, signed=True)
        )

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return torch.addmm(self.offset, acts, self.components)

    def fit_from(self, source: VectorSource, rng: np.random.Generator) -> None:
        """Whiten a sample of the vectors and turn it."""
        self._expect(source.d_in, "vectors")
        vectors = sampled(source, self.preprocess, self.params.n_vectors, rng).astype(np.float64)
        offset = vectors.mean(0)
        vectors -= offset
        variances, axes = principal_directions(vectors.T @ vectors / len(vectors))
        rank = int((variances > _NO_VARIATION * variances[0]).sum()) if variances[0] > 0 else 0
        variances, axes = variances[: self.n_features], axes[: self.n_features]
        rank = min(rank, self.n_features)
        spread = np.sqrt(variances[:rank, None])
        turn = self._turn(vectors @ (axes[:rank] / spread).T, rng)
        atoms = np.concatenate([turn @ (axes[:rank] * spread), axes[rank:]])
        unmixing = np.concatenate([turn @ (axes[:rank] / spread), axes[rank:]])
        lengths = np.linalg.norm(atoms, axis=1, keepdims=True)
        signs = np.where(np.sum((vectors @ unmixing.T) ** 3, 0) < 0, -1.0, 1.0)[:, None]
        order = np.r_[np.argsort(-lengths[:rank, 0], kind="stable"), rank : self.n_features]
        self.components.copy_(torch.from_numpy((signs * atoms / lengths)[order]))
        self.unmixing.copy_(torch.from_numpy((signs * unmixing * lengths)[order]))
        self.offset.copy_(torch.from_numpy(offset))
        self.ready = True

    def _turn(
        self, white: Float64[np.ndarray, "n rank"], rng: np.random.Generator
    ) -> Float64[np.ndarray, "rank rank"]:
        """The rotation that makes whitened vectors least Gaussian."""
        from sklearn.decomposition import FastICA
        from sklearn.exceptions import ConvergenceWarning

        rank = white.shape[1]
        if rank < 2:
            return np.eye(rank)
        model = FastICA(
            whiten=False,
            max_iter=self.params.max_iterations,
            random_state=int(rng.integers(1 << 31)),
        )
        with warnings.catch_warnings():
            # Told by ``converged``, which is saved with the dictionary.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(white)
        self.n_iterations.fill_(model.n_iter_)
        turn: np.ndarray = model.components_
        return turn

    def saelens(self) -> SaeLensForm:
        """SAELens' ``abstopk`` architecture, which with k = n_features keeps everything."""
        tensors = {
            "W_enc": self.unmixing.T,
            "b_enc": self.offset.new_zeros(self.n_features),
            "W_dec": self.components,
            "b_dec": self.offset,
        }
        settings = {"k": self._n_kept, "rescale_acts_by_decoder_norm": False}
        return SaeLensForm("abstopk", tensors, settings)
