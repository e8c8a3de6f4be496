"""Sparse autoencoder whose encoder is matching pursuit over its own atoms."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int64
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from auscult.dictionaries.base import (
    DICTIONARIES,
    Dictionary,
    DictionaryParams,
    Objective,
    SaeLensForm,
)
from auscult.dictionaries.linear import gradient_of, row_norms, squared_error
from auscult.dictionaries.spectrum import random_unit_rows


@DICTIONARIES.register("matching-pursuit")
class MatchingPursuitDictionary(Dictionary):
    """Matching pursuit, unrolled (Costa et al. 2025, "From Flat to Hierarchical"; METHODS 8.1).

    ::

        r_0 = v - b        i_t = argmax_i r_t · D_i        s_t = max(0, r_t · D_{i_t})
        r_{t+1} = r_t - s_t D_{i_t},  t = 0 … k - 1
        z_i = Σ_{t: i_t = i} s_t        v̂ = z D + b = v - r_k        mse = E ‖v - v̂‖²

    There is no encoder to learn: each pick looks at what the earlier ones have left, so atoms may
    be correlated, and later atoms may refine earlier ones. Gradients pass through the shares s and
    the residuals r; who is picked is constant almost everywhere. Coding takes k products where a
    linear encoder takes one, an atom that is never picked never learns, and the first picks take
    shares that belong to correlated atoms (orthogonal pursuit would correct them). Rows of D are
    kept at unit length. With ``signed`` the pick is the largest ``|r_t · D_i|``. Picking may end
    before the k-th, vector by vector, as it does in SAELens.
    """

    class Params(DictionaryParams):
        """Settings of a matching-pursuit dictionary."""

        k: PositiveInt = 8
        """Picks, so at most so many features are on; an atom may be picked twice."""
        signed: bool = False
        """Whether an atom may also stand for its opposite."""
        stop_below: NonNegativeFloat = 0.0
        """Length of what is left, in preprocessed units, below which nothing more is picked."""
        stop_on_repeat: bool = False
        """Pick nothing more once a pick has turned no further feature on."""

    params: Params

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.rows = nn.Parameter(torch.zeros(self.n_features, d_in))
        self.bias = nn.Parameter(torch.zeros(d_in))

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms."""
        self.rows.copy_(torch.from_numpy(random_unit_rows(rng, self.n_features, self.d_in)))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows, at unit length."""
        return self.rows / row_norms(self.rows)

    @property
    def signed(self) -> bool:
        """As set."""
        return self.params.signed

    def _pick(
        self, residual: Float[Tensor, "n d_in"]
    ) -> tuple[Int64[Tensor, " n"], Float[Tensor, "n 1"]]:
        """The atom that explains most of what is left, and its share."""
        products = residual @ self.rows.T
        picks = (products.abs() if self.params.signed else products).argmax(1)
        shares = products.gather(1, picks[:, None])
        return picks, shares if self.params.signed else shares.relu()

    def _path(
        self, vectors: Float[Tensor, "n d_in"]
    ) -> Iterator[tuple[Int64[Tensor, " n"], Float[Tensor, "n 1"], Float[Tensor, "n d_in"]]]:
        """Pick by pick: the atoms, their shares, and what was left before."""
        residual = vectors - self.bias
        done = torch.zeros(len(vectors), 1, dtype=torch.bool, device=vectors.device)
        on = done.expand(-1, self.n_features).clone() if self.params.stop_on_repeat else None
        for _ in range(self.params.k):
            picks, shares = self._pick(residual)
            shares = shares.masked_fill(done, 0.0)
            yield picks, shares, residual
            residual = residual - shares * self.rows[picks]
            if on is not None:
                done = done | on.gather(1, picks[:, None]) | (shares == 0)
                on.scatter_(1, picks[:, None], value=True)
            if self.params.stop_below > 0:
                left = torch.linalg.vector_norm(residual.detach(), dim=1, keepdim=True)
                done = done | (left < self.params.stop_below)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        acts = vectors.new_zeros(len(vectors), self.n_features)
        for picks, shares, _ in self._path(vectors):
            acts = acts.scatter_add(1, picks[:, None], shares)
        return acts

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return torch.addmm(self.bias, acts, self.rows)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``."""
        acts = self.activate(vectors)
        fired = (acts.detach() != 0).sum(0, dtype=vectors.dtype)
        return Objective({"mse": squared_error(self.reconstruct(acts), targets)}, fired)

    @torch.no_grad()
    def differentiate(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """The gradient of :meth:`objective` by hand, backwards through the picks.

        As ``v̂ = v - r_k``, the loss reaches everything through ``r_k``. With ``a`` its gradient by
        ``r_{t+1}`` and ``g = -a · d`` by the share, the picked atom ``d`` gets ``g r_t - s a`` and
        ``r_t`` gets ``a + g d``; where the share was rectified, ``g`` is 0.
        """
        path, acts = list(self._path(vectors)), vectors.new_zeros(len(vectors), self.n_features)
        for picks, shares, _ in path:
            acts.scatter_add_(1, picks[:, None], shares)
        picks, shares, before = path[-1]
        left = before - shares * self.rows[picks]

        missed = vectors - left - targets
        mse = missed.square().sum() / len(vectors)
        into = missed.mul_(-2.0 / len(vectors))
        gradient = gradient_of(self.rows).zero_()
        for picks, shares, before in reversed(path):
            chosen = self.rows[picks]
            slope = -(into * chosen).sum(1, keepdim=True) * (shares != 0)
            gradient.index_add_(0, picks, slope * before - shares * into)
            into = into + slope * chosen
        gradient_of(self.bias).copy_(-into.sum(0))
        return Objective({"mse": mse}, (acts != 0).sum(0, dtype=vectors.dtype))

    def claims(self) -> Mapping[str, frozenset[str]]:
        """Everything there is."""
        return {"mse": frozenset({"rows", "bias"})}

    @torch.no_grad()
    def before_step(self) -> None:
        """Remove the gradient along the rows."""
        gradient = gradient_of(self.rows)
        along = (gradient * self.rows).sum(1, keepdim=True)
        gradient.addcmul_(along, self.rows, value=-1.0)

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the rows at unit length."""
        self.rows.div_(row_norms(self.rows))

    @property
    def unshared(self) -> str:
        """Signed picks are not known elsewhere; of a scale there is no place for it."""
        if self.params.signed:
            return "an atom never stands for its opposite there: train it with signed = false"
        return "it has no encoder into which the scale could be folded: train it with scale = false"

    def saelens(self) -> SaeLensForm | None:
        """SAELens' ``matching_pursuit`` architecture, where raw vectors have our scale.

        SAELens has no encoder into which a scale could be folded.
        """
        if self.params.signed or float(self.preprocess.scale) != 1.0:
            return None
        settings = {
            "residual_threshold": self.params.stop_below,
            "max_iterations": self.params.k,
            "stop_on_duplicate_support": self.params.stop_on_repeat,
        }
        tensors = {"W_dec": self.rows.detach(), "b_dec": self.bias.detach()}
        return SaeLensForm("matching_pursuit", tensors, settings)
