"""Sparse autoencoder whose code has the same length for every vector."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams, Objective
from auscult.dictionaries.linear import (
    BIAS,
    DECODER,
    ENCODER,
    LinearCoder,
    row_norms,
    squared_error,
)
from auscult.dictionaries.selection import expect_k, keep_top


@DICTIONARIES.register("rms-norm")
class RmsNormDictionary(Dictionary):
    """ReLU and RMSNorm, for latents of codecs (arXiv 2510.23802; METHODS C-2).

    ::

        h = relu(W_e (v - b_d) + b_e)        f = h / √(E_i h_i² + ε)
        v̂ = f D + b_d                        mse = E ‖v - v̂‖²
        l1 = l1_weight · E Σ_i h_i   or, on f,   l1_weight · E Σ_i f_i

    The penalty as printed is on h, before the norm. f does not change when W_e and b_e shrink, but
    the penalty does: that loss has no sparse optimum, and how sparse a code gets is a matter of ε,
    of the learning rate and of when training stops. The log has ``rms_h``, the mean over vectors of
    √(E_i h_i²): while it falls, the printed penalty is being evaded. ``l1_on = "f"`` is the sound
    form: at fixed ‖f‖ the sum of f measures sparsity (Hoyer 2004). ``l1_on = "topk"`` keeps the k
    largest of h instead. Weights of the penalty mean different things in each.

    The norm takes the length of the vector out of the code: loudness can only be told by *which*
    features are on. As ‖f‖ is √n_features, rows of D are free and short; :attr:`atoms` shows them
    at unit length.
    """

    class Params(DictionaryParams):
        """Settings of an RMSNorm dictionary."""

        l1_on: Literal["h", "f", "topk"] = "h"
        """``h``: as printed; ``f``: after the norm; ``topk``: k features instead of a penalty."""
        l1_weight: NonNegativeFloat = 0.02
        """Weight of the penalty; published from 0.005 to 0.15."""
        k: PositiveInt = 8
        """Features that may be on at once, with ``l1_on = "topk"``."""
        epsilon: PositiveFloat = 1e-8
        """What keeps the norm from dividing by zero."""

        @model_validator(mode="after")
        def _fits(self) -> "RmsNormDictionary.Params":
            if self.l1_on == "topk":
                expect_k(self.k, self.n_features)
            return self

    params: Params

    @classmethod
    def priced_by(cls, params: Any) -> bool:
        """Where its L1 is a penalty and no selection."""
        return bool(params.l1_on != "topk")

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features)

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> None:
        """Random rows, so short that the code's length is that of the vectors."""
        self.linear.initialise(rng)
        self.linear.decoder.div_(self.n_features**0.5)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length."""
        return self.linear.decoder / row_norms(self.linear.decoder)

    def _before_norm(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        pre = self.linear.pre_activations(vectors)
        return keep_top(pre, self.params.k, False) if self.params.l1_on == "topk" else pre.relu()

    def _rms(self, h: Float[Tensor, "n n_features"]) -> Float[Tensor, "n 1"]:
        return (h.square().mean(1, keepdim=True) + self.params.epsilon).sqrt()

    @property
    def unshared(self) -> str:
        """No package encodes like this."""
        return "it divides its activations by their own length"

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``f``."""
        h = self._before_norm(vectors)
        return h / self._rms(h)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return self.linear.reconstruct(acts)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``, ``l1`` where there is a penalty, and the note ``rms_h``."""
        h = self._before_norm(vectors)
        rms = self._rms(h)
        acts = h / rms
        terms = {"mse": squared_error(self.reconstruct(acts), targets)}
        if self.params.l1_on != "topk":
            penalised = h if self.params.l1_on == "h" else acts
            terms["l1"] = self.sparsity * self.params.l1_weight * penalised.sum(1).mean()
        fired = (acts.detach() > 0).sum(0, dtype=vectors.dtype)
        return Objective(terms, fired, {"rms_h": float(rms.detach().mean())})

    def claims(self) -> Mapping[str, frozenset[str]]:
        """No penalty sees the decoder."""
        terms = {"mse": ENCODER | DECODER | BIAS, "l1": ENCODER | BIAS}
        return {"mse": terms["mse"]} if self.params.l1_on == "topk" else terms
