"""Non-negative matrix factors: parts that are only ever added."""

import warnings

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams
from auscult.dictionaries.pursuit import non_negative_least_squares
from auscult.dictionaries.sampling import sampled
from auscult.dictionaries.spectrum import unit_rows_or_random
from auscult.store.source import VectorSource


@DICTIONARIES.register("nmf")
class NmfDictionary(Dictionary):
    """Non-negative matrix factorisation (Lee and Seung 1999), by scikit-learn.

    ::

        z = argmin_{z ≥ 0} ‖v - z D‖²        v̂ = z D

    Vectors with negative entries, as before a rectifier, are factorised as their positive and
    negative parts side by side, ``(max(v, 0), max(-v, 0)) ≈ z (D⁺, D⁻)``, and ``D = D⁺ - D⁻``; for
    vectors without, D⁻ is zero and this is plain NMF. Vectors are not centred, as parts add up from
    zero. Nothing asks for sparse activations: how sparse they are is a finding. The factors are not
    unique, and the best of a few random starts need not be the best: compare seeds. Activations
    take coordinate descent with a fixed number of sweeps: as many passes over the atoms.
    """

    class Params(DictionaryParams):
        """Settings of non-negative matrix factors."""

        centre: bool = False
        """Subtract the mean of the training vectors first; parts then add up from there."""
        n_vectors: PositiveInt = 5_000
        """Vectors to fit to, drawn from all."""
        n_starts: PositiveInt = 3
        """Random starts, of which the one with the lowest error is kept."""
        max_iterations: PositiveInt = 200
        """Steps after which the factorisation stops, converged or not."""
        n_sweeps: PositiveInt = 100
        """Sweeps of coordinate descent by which vectors are encoded."""

    trainable = False
    params: Params
    rows: Tensor

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.register_buffer("rows", torch.zeros(self.n_features, d_in))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """The parts, at unit length."""
        return self.rows

    @property
    def unshared(self) -> str:
        """No package encodes like this."""
        return "its activations solve a problem for each vector, and no encoder computes them"

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        return non_negative_least_squares(vectors, self.rows, self.params.n_sweeps, tolerance=0.0)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return acts @ self.rows

    def fit_from(self, source: VectorSource, rng: np.random.Generator) -> None:
        """Factorise a sample of the vectors; a part that is nothing is drawn at random instead."""
        from sklearn.decomposition import NMF
        from sklearn.exceptions import ConvergenceWarning

        self._expect(source.d_in, "vectors")
        vectors = sampled(source, self.preprocess, self.params.n_vectors, rng)
        halves = np.concatenate([np.maximum(vectors, 0.0), np.maximum(-vectors, 0.0)], axis=1)
        models = [
            NMF(
                self.n_features,
                init="random",
                max_iter=self.params.max_iterations,
                random_state=int(rng.integers(1 << 31)),
            )
            for _ in range(self.params.n_starts)
        ]
        with warnings.catch_warnings():
            # Starts are compared by their error, whether they have converged or not.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = min((each.fit(halves) for each in models), key=lambda m: m.reconstruction_err_)
        rows = model.components_[:, : self.d_in] - model.components_[:, self.d_in :]
        self.rows.copy_(torch.from_numpy(unit_rows_or_random(rows, rng)))
        self.ready = True
