"""Sparse autoencoder that keeps the k strongest activations of every vector."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor

from auscult.dictionaries.base import (
    DICTIONARIES,
    Dictionary,
    DictionaryParams,
    Objective,
    SaeLensForm,
)
from auscult.dictionaries.linear import (
    BIAS,
    DECODER,
    ENCODER,
    LinearCoder,
    Scratch,
    row_norms,
    squared_error,
)

_LONGEST_PARTITION = 1024
"""Rows up to this length are partitioned; beyond it ``torch.topk`` is as fast."""


@DICTIONARIES.register("topk")
class TopKDictionary(Dictionary):
    """TopK (Gao et al. 2024, "Scaling and evaluating sparse autoencoders", sections 2.3 and A.2).

    ::

        p = W_e (v - b_d) + b_e              z = the k largest of relu(p), else 0
        v̂ = z D + b_d                        mse = E ‖v - v̂‖²
        e = v - v̂ (held fixed)               aux = aux_weight · E ‖e - z_dead D‖² / E ‖e - E e‖²

    ``z_dead`` keeps the ``d_in / 2`` largest of the dead features alone, so that these learn to
    explain what is left over; the paper's weight is 1/32, and 0 switches the term off. Rows of D
    are kept at unit length. Where the paper starts ``b_d`` at the geometric median, vectors are
    centred here.

    With ``signed`` the k largest of ``|p|`` are kept with their sign, for vectors such as
    generators in which a direction and its opposite mean the same kind of motion (METHODS A-9).
    """

    class Params(DictionaryParams):
        """Settings of a TopK dictionary."""

        k: PositiveInt = 8
        """Features that may be on at once."""
        signed: bool = False
        """Keep the k largest by magnitude, with their sign."""
        aux_weight: NonNegativeFloat = 1 / 32
        """Weight of the auxiliary loss of dead features; 0 switches it off."""

        @model_validator(mode="after")
        def _fits(self) -> "TopKDictionary.Params":
            if self.k > self.n_features:
                raise ValueError(f"k = {self.k} is more than n_features = {self.n_features}")
            return self

    params: Params

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.linear = LinearCoder(d_in, self.n_features)

    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit atoms, the encoder their copy."""
        self.linear.initialise(rng)

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder, at unit length."""
        return self.linear.decoder / row_norms(self.linear.decoder)

    @property
    def signed(self) -> bool:
        """As set."""
        return self.params.signed

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        pre = self.linear.pre_activations(vectors)
        if pre.requires_grad:
            return keep_top(pre, self.params.k, self.params.signed)
        return keep_top_fast(pre, self.params.k, self.params.signed, Scratch())

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂``."""
        return self.linear.reconstruct(acts)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``, and ``aux`` as soon as features are dead."""
        acts = self.activate(vectors)
        estimate = self.reconstruct(acts)
        terms = {"mse": squared_error(estimate, targets)}
        terms |= self._auxiliary(vectors, (targets - estimate).detach())
        return Objective(terms, (acts.detach() != 0).sum(0, dtype=vectors.dtype))

    def _auxiliary(
        self, vectors: Float[Tensor, "n d_in"], residual: Float[Tensor, "n d_in"]
    ) -> dict[str, Tensor]:
        """The loss of the dead features, which have to explain the residual."""
        dead = self.dead if self.params.aux_weight > 0 else self.vectors_since_fired[:0]
        variance = (residual - residual.mean(0)).square().sum(1).mean()
        if len(dead) == 0 or float(variance) == 0.0:
            return {}
        linear = self.linear
        pre = (vectors - linear.decoder_bias) @ linear.encoder[dead].T + linear.encoder_bias[dead]
        acts = keep_top(pre, min(max(1, self.d_in // 2), len(dead)), self.params.signed)
        error = squared_error(acts @ linear.decoder[dead], residual)
        return {"aux": self.params.aux_weight * error / variance}

    def differentiate(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """The gradient of :meth:`objective`: the main term by hand, the auxiliary by autograd.

        With ``r = v̂ - v``, ``∂/∂z = 2 r Dᵀ / N`` where z ≠ 0: selecting the k largest is constant
        almost everywhere. W_e and b_e follow as in any linear layer; b_d gets its share from both
        ends.
        """
        linear, scratch, n = self.linear, self.linear.scratch, len(vectors)
        wide, narrow = (n, self.n_features), (n, self.d_in)
        with torch.no_grad():
            centred = torch.sub(
                vectors, linear.decoder_bias, out=scratch("centred", vectors, *narrow)
            )
            pre = scratch("pre", vectors, *wide)
            torch.addmm(linear.encoder_bias, centred, linear.encoder.T, out=pre)
            acts = keep_top_fast(pre, self.params.k, self.params.signed, scratch)
            residual = scratch("residual", vectors, *narrow)
            torch.addmm(linear.decoder_bias, acts, linear.decoder, out=residual).sub_(targets)
            on = torch.sign(acts, out=scratch("on", vectors, *wide)).abs_()
            terms = {"mse": residual.square().sum() / n}
            left_over = residual.neg() if len(self.dead) else residual

            residual.mul_(2.0 / n)
            into_acts = torch.mm(residual, linear.decoder.T, out=pre).mul_(on)
            linear.backward(centred, acts, residual, into_acts)
            fired = on.sum(0)
        auxiliary = self._auxiliary(vectors, left_over)
        for term in auxiliary.values():
            term.backward()  # type: ignore[no-untyped-call]
        return Objective(terms | auxiliary, fired)

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The auxiliary term is formed only while features are dead."""
        every = ENCODER | DECODER | BIAS
        return {"mse": every, "aux": every} if self.params.aux_weight > 0 else {"mse": every}

    def before_step(self) -> None:
        """Remove the gradient along the rows."""
        self.linear.remove_parallel_gradient()

    def after_step(self) -> None:
        """Keep the rows at unit length."""
        self.linear.normalise_rows()

    def saelens(self) -> SaeLensForm:
        """SAELens' ``topk`` architecture, or ``abstopk`` where activations are signed."""
        architecture = "abstopk" if self.params.signed else "topk"
        settings = {"k": self.params.k, "rescale_acts_by_decoder_norm": False}
        return self.linear.saelens(architecture, settings)


def keep_top(
    pre: Float[Tensor, "n n_features"], k: int, signed: bool
) -> Float[Tensor, "n n_features"]:
    """Keep the k largest positive entries of each row, or with ``signed`` by magnitude."""
    ranked = pre.abs() if signed else pre.relu()
    chosen = ranked.topk(k, dim=1, sorted=False).indices
    kept = pre if signed else ranked
    return torch.zeros_like(pre).scatter(1, chosen, kept.gather(1, chosen))


def keep_top_fast(
    pre: Float[Tensor, "n n_features"], k: int, signed: bool, scratch: Scratch
) -> Float[Tensor, "n n_features"]:
    """The same as :func:`keep_top`, without gradient and into memory that is overwritten next time.

    NumPy partitions short rows with vector instructions, six times faster than ``torch.topk``.
    Whatever reaches the k-th largest value is kept; only where several entries equal it are these
    too many, and then the slow way decides between them.
    """
    n, n_features = pre.shape
    if pre.device.type != "cpu" or pre.dtype != torch.float32 or n_features > _LONGEST_PARTITION:
        return keep_top(pre, k, signed)
    ranked = scratch("ranked", pre, n, n_features)
    torch.abs(pre, out=ranked) if signed else torch.clamp(pre, min=0, out=ranked)
    parted = scratch("parted", pre, n, n_features).copy_(ranked)
    parted.numpy().partition(n_features - k, axis=1)
    smallest = parted[:, n_features - k, None]
    reached = torch.ge(ranked, smallest, out=scratch("reached", pre, n, n_features))
    acts = torch.mul(pre if signed else ranked, reached, out=scratch("acts", pre, n, n_features))
    n_on = torch.sign(acts, out=reached).abs_().sum(1)
    return acts if n == 0 or float(n_on.max()) <= k else keep_top(pre, k, signed)
