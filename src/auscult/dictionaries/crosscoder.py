"""One sparse code for several taps, or for one tap of several models."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor, nn

from auscult.core.errors import WidthError
from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams, Objective
from auscult.dictionaries.linear import squared_error
from auscult.dictionaries.preprocessing import Preprocessing
from auscult.dictionaries.selection import RunningThreshold, auxiliary_loss, expect_k


@DICTIONARIES.register("crosscoder")
class CrosscoderDictionary(Dictionary):
    """Crosscoder (Lindsey et al. 2024, "Sparse Crosscoders"; METHODS 8.1).

    ::

        v = the parts v¹ … v^V end to end, each with a mean squared length of 1
        p = Σ_m W_e^m v^m + b_e              n_i = Σ_m ‖D_i^m‖
        v̂^m = z D^m + b_d^m                  mse = E Σ_m ‖v^m - v̂^m‖²
        rule = "relu":       z = relu(p)     l1 = l1_weight · E Σ_i z_i n_i
        rule = "batch-topk": z = relu(p) where z_i n_i is among the k·N largest of the batch
                             (afterwards: where p_i n_i > θ), else 0; aux as in the type ``topk``

    A feature is shared where ``‖D_i^m‖`` is alike in all parts, and specific where one part has
    nearly all of it: :attr:`shares`. The penalty of ``relu`` makes false specific features: of a
    direction that is strong in one part and weak in another, the weak side is shrunk to nothing
    (Minder et al. 2025, "Overcoming Sparsity Artifacts in Crosscoders"). ``batch-topk`` does not;
    believe a specific feature only if it is one under both. Noise makes specific features as well:
    read their number beside that of two seeds of one model, and of untrained weights.

    After training, rows are folded so that ``n_i = 1``. :attr:`atoms` are rows over all parts and
    not of unit length.
    """

    reads = "parts"
    unit_atoms = False

    class Params(DictionaryParams):
        """Settings of a crosscoder."""

        rule: Literal["relu", "batch-topk"] = "batch-topk"
        """``relu``: a penalty makes activations few; ``batch-topk``: their mean number is given."""
        k: PositiveInt = 8
        """Features that are on in a frame, on average over a batch, with ``batch-topk``."""
        l1_weight: NonNegativeFloat = 0.03
        """Weight of the penalty, with ``relu``."""
        aux_weight: NonNegativeFloat = 1 / 32
        """Weight of the auxiliary loss of dead features, with ``batch-topk``; 0 switches it off."""
        threshold_memory: float = Field(0.999, ge=0.0, lt=1.0)
        """Weight of the past in the running average of the threshold."""
        widths: tuple[PositiveInt, ...] = ()
        """Width of each part; a run fills them in; absent: two equal halves."""

        @model_validator(mode="after")
        def _fits(self) -> "CrosscoderDictionary.Params":
            if self.rule == "batch-topk":
                expect_k(self.k, self.n_features)
            return self

    params: Params

    @classmethod
    def priced_by(cls, params: Any) -> bool:
        """With the rule that has a penalty."""
        return bool(params.rule == "relu")

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.widths = params.widths or (d_in - d_in // 2, d_in // 2)
        if sum(self.widths) != d_in or len(self.widths) < 2:
            raise WidthError(
                f"a crosscoder needs two parts or more that make up width {d_in}, "
                f"not {list(self.widths)}"
            )
        self.preprocess = Preprocessing(d_in, self.widths)
        self.encoder = nn.Parameter(torch.zeros(self.n_features, d_in))
        self.encoder_bias = nn.Parameter(torch.zeros(self.n_features))
        self.decoder = nn.Parameter(torch.zeros(self.n_features, d_in))
        self.decoder_bias = nn.Parameter(torch.zeros(d_in))
        self.running = RunningThreshold(params.threshold_memory)

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> None:
        """In each part random rows of length ``1 / V``, the encoder ``V`` times their copy."""
        for part in self._parts():
            drawn = rng.standard_normal(tuple(part.shape))
            drawn /= len(self.widths) * np.linalg.norm(drawn, axis=1, keepdims=True)
            part.copy_(torch.from_numpy(drawn))
        self.encoder.copy_(self.decoder).mul_(len(self.widths))
        if self.params.rule == "relu":
            self.encoder.mul_(0.1)  # so that no feature explains too much at first

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """Rows of the decoder over all parts, in preprocessed units."""
        return self.decoder

    @property
    def shares(self) -> Float[Tensor, "n_features n_parts"]:
        """Relative decoder norm: ``‖D_i^m‖ / Σ_m ‖D_i^m‖``; ``1 / V`` in each part if shared.

        In units in which all parts are equally large. A feature without any atom counts as shared.
        """
        lengths = self._part_lengths()
        whole = lengths.sum(1, keepdim=True)
        even = torch.full_like(lengths, 1.0 / len(self.widths))
        return torch.where(whole > 0, lengths / whole.clamp_min(1e-30), even)

    def specific_to(self, part: int, share: float = 0.9) -> Bool[Tensor, " n_features"]:
        """Which features have at least this share of their length in one part."""
        found: Tensor = self.shares[:, part] >= share
        return found

    def _part_lengths(self) -> Float[Tensor, "n_features n_parts"]:
        return torch.stack([torch.linalg.vector_norm(part, dim=1) for part in self._parts()], 1)

    def _parts(self) -> list[Tensor]:
        edges = np.cumsum([0, *self.widths]).tolist()
        return [self.decoder[:, start:stop] for start, stop in pairwise(edges)]

    @property
    def unshared(self) -> str:
        """No package encodes like this."""
        return "it reads several parts end to end, each with a scale of its own"

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """``z``."""
        pre = self._pre_activations(vectors)
        if self.params.rule == "relu":
            return pre.relu()
        return pre * (pre * self._part_lengths().sum(1) > self.running.threshold)

    def _pre_activations(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        return torch.addmm(self.encoder_bias, vectors, self.encoder.T)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """The parts' ``v̂``, end to end."""
        return torch.addmm(self.decoder_bias, acts, self.decoder)

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """``mse``, and ``l1``, or ``aux`` as soon as features are dead."""
        pre, lengths = self._pre_activations(vectors), self._part_lengths().sum(1)
        if self.params.rule == "relu":
            acts = pre.relu()
            terms = {
                "mse": squared_error(self.reconstruct(acts), targets),
                "l1": self.sparsity * self.params.l1_weight * (acts * lengths).sum(1).mean(),
            }
            return Objective(terms, (acts.detach() > 0).sum(0, dtype=vectors.dtype))
        with torch.no_grad():
            chosen = self.running.keep(pre * lengths, self.params.k * len(vectors)) > 0
        acts = pre * chosen
        estimate = self.reconstruct(acts)
        terms = {"mse": squared_error(estimate, targets)}
        dead, weight = self.dead, self.params.aux_weight
        if len(dead) and weight > 0:
            residual = (targets - estimate).detach()
            atoms = self.decoder[dead]
            terms |= auxiliary_loss(pre[:, dead], atoms, residual, weight, width=self.d_out)
        fired = chosen.sum(0, dtype=vectors.dtype)
        return Objective(terms, fired, self.running.notes)

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The penalty sees the lengths of atoms, but no output's bias."""
        ways = frozenset({"encoder", "encoder_bias", "decoder"})
        every = ways | {"decoder_bias"}
        if self.params.rule == "relu":
            return {"mse": every, "l1": ways}
        return {"mse": every, "aux": ways} if self.params.aux_weight > 0 else {"mse": every}

    def after_step(self) -> None:
        """Let the threshold follow."""
        if self.params.rule == "batch-topk":
            self.running.follow()

    @torch.no_grad()
    def after_training(self) -> None:
        """Fold the lengths into the activations: who is on, and what is given back, stay."""
        lengths = self._part_lengths().sum(1, keepdim=True)
        lengths = torch.where(lengths > 0, lengths, 1.0)
        self.decoder.div_(lengths)
        self.encoder.mul_(lengths)
        self.encoder_bias.mul_(lengths.squeeze(1))
