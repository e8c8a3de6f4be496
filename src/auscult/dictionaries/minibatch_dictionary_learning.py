"""Online dictionary learning: atoms by turns of sparse activations and least squares."""

import warnings

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams
from auscult.dictionaries.pursuit import omp
from auscult.dictionaries.sampling import sampled
from auscult.dictionaries.selection import expect_k
from auscult.dictionaries.spectrum import unit_rows_or_random
from auscult.store.source import VectorSource


@DICTIONARIES.register("minibatch-dictionary-learning")
class MiniBatchDictionaryLearning(Dictionary):
    """Online dictionary learning (Mairal et al. 2009), by scikit-learn.

    ::

        D = argmin_{D, a} E ½ ‖v - a D‖² + l1_weight · Σ_i |a_i|,  ‖D_i‖ ≤ 1
        z = orthogonal matching pursuit of v on D with k picks        v̂ = z D

    The dictionary learning of the time before sparse autoencoders: no encoder, so activations are
    near the best for their atoms. It is fitted with one rule (lasso) and encodes with another
    (pursuit, scikit-learn's own default), because the lasso shrinks and takes long. Activations
    have either sign. The penalty's weight is half of what it is beside an error without the ½.
    """

    class Params(DictionaryParams):
        """Settings of online dictionary learning."""

        k: PositiveInt = 8
        """Picks of the pursuit that encodes a vector."""
        l1_weight: PositiveFloat = 0.05
        """Weight of the L1 penalty while fitting, on preprocessed vectors."""
        n_vectors: PositiveInt = 20_000
        """Vectors to fit to, drawn from all."""
        batch: PositiveInt = 256
        """Vectors in a batch."""
        passes: PositiveInt = 4
        """Most passes over the vectors."""

        @model_validator(mode="after")
        def _fits(self) -> "MiniBatchDictionaryLearning.Params":
            expect_k(self.k, self.n_features)
            return self

    trainable = False
    params: Params
    rows: Tensor

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.register_buffer("rows", torch.zeros(self.n_features, d_in))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """The rows of D, at unit length."""
        return self.rows

    @property
    def signed(self) -> bool:
        """Always."""
        return True

    @property
    def unshared(self) -> str:
        """No package encodes like this."""
        return "its activations solve a problem for each vector, and no encoder computes them"

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        return omp(vectors, self.rows, self.params.k).dense(self.n_features)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return acts @ self.rows

    def fit_from(self, source: VectorSource, rng: np.random.Generator) -> None:
        """Fit to a sample of the vectors; an atom that is nothing is drawn at random instead."""
        from sklearn.decomposition import MiniBatchDictionaryLearning as Model
        from sklearn.exceptions import ConvergenceWarning

        self._expect(source.d_in, "vectors")
        vectors = sampled(source, self.preprocess, self.params.n_vectors, rng).astype(np.float64)
        model = Model(
            self.n_features,
            alpha=self.params.l1_weight,
            batch_size=self.params.batch,
            max_iter=self.params.passes,
            fit_algorithm="cd",
            random_state=int(rng.integers(1 << 31)),
        )
        with warnings.catch_warnings():
            # The activations of one batch need not be exact for the atoms to improve.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(vectors)
        self.rows.copy_(torch.from_numpy(unit_rows_or_random(model.components_, rng)))
        self.ready = True
