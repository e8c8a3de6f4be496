"""Sparse stand-in for a part of a network: reads one tap, says what another one says."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from auscult.core.errors import WidthError
from auscult.dictionaries.base import (
    DICTIONARIES,
    Dictionary,
    DictionaryParams,
    Objective,
    SaeLensForm,
)
from auscult.dictionaries.linear import row_norms, squared_error
from auscult.dictionaries.preprocessing import Preprocessing
from auscult.dictionaries.selection import auxiliary_loss, expect_k, keep_top
from auscult.store.statistics import Statistics


@DICTIONARIES.register("transcoder")
class TranscoderDictionary(Dictionary):
    """Transcoder (Dunefsky et al. 2024), and with a shortcut (Paulo et al. 2025); METHODS 8.1.

    ::

        z = relu(W_e v + b_e), with ``rule = "topk"`` the k largest of it, else 0
        ŷ = z D + b_d (+ W_s v with ``skip``)
        mse = E ‖y - ŷ‖²       l1 = l1_weight · E Σ_i z_i ‖D_i‖    or, for ``topk``,
        aux as in the type ``topk``, on what is left over

    v is what goes into a part of the network, y what comes out of it, so that features stand for
    what the part computes and not for what passes it. The shortcut W_s, which starts at zero, takes
    what is linear. Nothing is subtracted from the input.

    A convolution mixes frames: give ``context`` frames on either side to read what it read.
    Without them the error has a floor that no feature can lower. An affine map alone may already
    explain y: read the error beside that of ``skip`` with one feature. :attr:`atoms` are directions
    of the *output*; l0 and error are never comparable with those of an autoencoder.
    """

    reads = "target"
    unit_atoms = True

    class Params(DictionaryParams):
        """Settings of a transcoder."""

        rule: Literal["relu", "topk"] = "topk"
        """``relu``: a penalty makes activations few; ``topk``: their number is given."""
        k: PositiveInt = 8
        """Features that may be on at once, with ``rule = "topk"``."""
        l1_weight: NonNegativeFloat = 0.03
        """Weight of the penalty, with ``rule = "relu"``."""
        aux_weight: NonNegativeFloat = 1 / 32
        """Weight of the auxiliary loss of dead features, with ``rule = "topk"``; 0 is off."""
        skip: bool = False
        """A linear way past the features."""
        d_out: NonNegativeInt = 0
        """Width of what is given back; a run fills it in; 0: as wide as the input."""

        @model_validator(mode="after")
        def _fits(self) -> "TranscoderDictionary.Params":
            if self.rule == "topk":
                expect_k(self.k, self.n_features)
            return self

    params: Params

    @classmethod
    def priced_by(cls, params: Any) -> bool:
        """With the rule that has a penalty."""
        return bool(params.rule == "relu")

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.d_out = params.d_out or d_in
        self.target = Preprocessing(self.d_out)
        self.encoder = nn.Parameter(torch.zeros(self.n_features, d_in))
        self.encoder_bias = nn.Parameter(torch.zeros(self.n_features))
        self.decoder = nn.Parameter(torch.zeros(self.n_features, self.d_out))
        self.decoder_bias = nn.Parameter(torch.zeros(self.d_out))
        if params.skip:
            self.skip = nn.Parameter(torch.zeros(self.d_out, d_in))

    def fit_target(self, statistics: Statistics | None) -> None:
        """Centre and scale what is given back by its own statistics.

        Raises:
            WidthError: They are of another width.
        """
        if statistics is None:
            return
        if len(statistics.mean) != self.d_out:
            raise WidthError(
                f"this transcoder gives back vectors of width {self.d_out}, but the statistics of "
                f"its target are of width {len(statistics.mean)}"
            )
        self.target.fit(statistics, centre=self.params.centre, scale=self.params.scale)

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> None:
        """Random unit rows on both sides, unrelated: there is no transpose to start from."""
        for rows in (self.encoder, self.decoder):
            drawn = rng.standard_normal(tuple(rows.shape))
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
            rows.copy_(torch.from_numpy(drawn))

    @property
    def atoms(self) -> Float[Tensor, "n_features d_out"]:
        """Rows of the decoder, at unit length: directions of what is given back."""
        return self.decoder / row_norms(self.decoder)

    def pre_activations(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``W_e v + b_e``."""
        return torch.addmm(self.encoder_bias, vectors, self.encoder.T)

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        pre = self.pre_activations(vectors)
        return pre.relu() if self.params.rule == "relu" else keep_top(pre, self.params.k, False)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_out"]:
        """``ŷ`` without the shortcut."""
        return torch.addmm(self.decoder_bias, acts, self.decoder)

    @property
    def output(self) -> Preprocessing:
        """That of the target."""
        return self.target

    def preprocess_target(self, target: Float[Tensor, "n d_out"]) -> Float[Tensor, "n d_out"]:
        """By the statistics of the target.

        Raises:
            WidthError: It is of another width.
        """
        if target.shape[-1] != self.d_out:
            raise WidthError(
                f"this transcoder gives back vectors of width {self.d_out}, "
                f"but was given targets of width {target.shape[-1]}"
            )
        processed: Tensor = self.target(target.to(self.target.mean.dtype))
        return processed

    def rebuild(
        self, x: Float[Tensor, "*n d_in"], acts: Float[Tensor, "*n n_features"]
    ) -> Float[Tensor, "*n d_out"]:
        """``ŷ``, the shortcut included."""
        decoded = self.decode(acts)
        if not self.params.skip:
            return decoded
        past: Tensor = self.preprocess(self._checked(x)) @ self.skip.T / self.target.scale
        return decoded + past

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_out"]
    ) -> Objective:
        """``mse``, and ``l1``, or ``aux`` as soon as features are dead."""
        acts = self.activate(vectors)
        estimate = self.reconstruct(acts)
        if self.params.skip:
            estimate = estimate + vectors @ self.skip.T
        terms = {"mse": squared_error(estimate, targets)}
        if self.params.rule == "relu":
            costs = acts * row_norms(self.decoder).T
            terms["l1"] = self.sparsity * self.params.l1_weight * costs.sum(1).mean()
        elif len(self.dead) and self.params.aux_weight > 0:
            pre = vectors @ self.encoder[self.dead].T + self.encoder_bias[self.dead]
            residual, weight = (targets - estimate).detach(), self.params.aux_weight
            atoms = self.decoder[self.dead]
            terms |= auxiliary_loss(pre, atoms, residual, weight, width=self.d_out)
        return Objective(terms, (acts.detach() > 0).sum(0, dtype=vectors.dtype))

    def claims(self) -> Mapping[str, frozenset[str]]:
        """Neither penalty reaches the output's bias or the shortcut."""
        ways = frozenset({"encoder", "encoder_bias", "decoder"})
        every = ways | {"decoder_bias"} | ({"skip"} if self.params.skip else set())
        if self.params.rule == "relu":
            return {"mse": every, "l1": ways}
        return {"mse": every, "aux": ways} if self.params.aux_weight > 0 else {"mse": every}

    @torch.no_grad()
    def before_step(self) -> None:
        """Remove the gradient along the rows, where these are kept at unit length."""
        gradient = self.decoder.grad
        if self.params.rule == "topk" and gradient is not None:
            along = (gradient * self.decoder).sum(1, keepdim=True)
            gradient.addcmul_(along, self.decoder, value=-1.0)

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the rows at unit length, where nothing else fixes the scale of activations."""
        if self.params.rule == "topk":
            self.decoder.div_(row_norms(self.decoder))

    @torch.no_grad()
    def after_training(self) -> None:
        """Fold the lengths of free rows into the activations, which leaves what is given back."""
        if self.params.rule == "relu":
            norms = row_norms(self.decoder)
            self.decoder.div_(norms)
            self.encoder.mul_(norms)
            self.encoder_bias.mul_(norms.squeeze(1))

    @property
    def unshared(self) -> str:
        """A top-k is not known there."""
        return 'its transcoders have a penalty: train it with rule = "relu", or take sparsify'

    def saelens(self) -> SaeLensForm | None:
        """SAELens' ``transcoder`` and ``skip_transcoder``; it has none with a top-k."""
        return self.form() if self.params.rule == "relu" else None

    def form(self) -> SaeLensForm:
        """Its tensors under SAELens' names, whatever the rule."""
        tensors = {
            "W_enc": self.encoder.detach().T,
            "b_enc": self.encoder_bias.detach(),
            "W_dec": self.decoder.detach(),
            "b_dec": self.decoder_bias.detach(),
        }
        if self.params.skip:
            tensors["W_skip"] = self.skip.detach()
        architecture = "skip_transcoder" if self.params.skip else "transcoder"
        return SaeLensForm(architecture, tensors, {"d_out": self.d_out}, input_bias=False)
