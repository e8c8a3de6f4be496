"""Sparse autoencoder whose first features must do without the later ones."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor

from auscult.dictionaries.base import DICTIONARIES, Objective
from auscult.dictionaries.by_threshold import ByThreshold, ThresholdParams
from auscult.dictionaries.linear import BIAS, DECODER, ENCODER, gradient_of, squared_error


@DICTIONARIES.register("matryoshka")
class MatryoshkaDictionary(ByThreshold):
    """Matryoshka BatchTopK (Bussmann et al. 2025, "Learning Multi-Level Features"; METHODS 8.1).

    ::

        z, v̂ and θ as in the type ``batch-topk``
        v̂_g = b_d + Σ_{i < m_g} z_i D_i      mse_g = 1/G · E ‖v - v̂_g‖²,  g = 1 … G
        aux as in the type ``topk``

    Every prefix of ``m_g`` features has to rebuild the vectors by itself, so early features stay
    general where later ones would otherwise absorb their cases. The price is a higher error at
    equal l0. Order now means something: do not compare features of different prefixes as equals.
    """

    class Params(ThresholdParams):
        """Settings of a Matryoshka dictionary."""

        prefixes: tuple[float, ...] = (0.0625, 0.125, 0.25, 0.5, 1.0)
        """Shares of the features that each prefix holds, rising, the last 1; at least one each."""

        @model_validator(mode="after")
        def _fits(self) -> "MatryoshkaDictionary.Params":
            rising = all(a < b for a, b in zip((0.0, *self.prefixes), self.prefixes, strict=False))
            if not rising or self.prefixes[-1:] != (1.0,):
                raise ValueError(f"prefixes = {self.prefixes} must rise from above 0 to 1")
            return self

        @property
        def sizes(self) -> list[int]:
            """Features of each prefix; prefixes that come out equal are one."""
            return sorted({max(1, round(share * self.n_features)) for share in self.prefixes})

    params: Params
    rotates = True

    def _groups(self) -> Iterator[tuple[str, slice]]:
        """The name of each prefix's term, and the features that it has beyond the one before."""
        start = 0
        for size in self.params.sizes:
            yield f"mse_{size}", slice(start, size)
            start = size

    def objective(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """One ``mse_m`` for each prefix of m features, and ``aux`` as soon as features are dead."""
        acts = self.running.keep(self.linear.pre_activations(vectors), self.params.k * len(vectors))
        n_groups = len(self.params.sizes)
        estimate = self.linear.decoder_bias.expand_as(targets)
        terms = {}
        for name, group in self._groups():
            estimate = estimate + acts[:, group] @ self.linear.decoder[group]
            terms[name] = squared_error(estimate, targets) / n_groups
        terms |= self.auxiliary(vectors, (targets - estimate).detach())
        fired = (acts.detach() > 0).sum(0, dtype=vectors.dtype)
        return Objective(terms, fired, self.running.notes)

    def differentiate(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> Objective:
        """The gradient of :meth:`objective`: the main terms by hand, the auxiliary by autograd.

        A feature is in its own prefix and in all larger ones: its gradient is as if its
        reconstruction had the error ``Σ_{g ≥ its own} (v̂_g - v) / G``.
        """
        if vectors.device.type != "cpu":
            return super().differentiate(vectors, targets)
        terms, fired, left_over = self._differentiate_prefixes(vectors, targets)
        auxiliary = self.auxiliary(vectors, left_over)
        for term in auxiliary.values():
            term.backward()  # type: ignore[no-untyped-call]
        return Objective(terms | auxiliary, fired, self.running.notes)

    @torch.no_grad()
    def _differentiate_prefixes(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Terms, how often features fired, and what is left over."""
        linear, n = self.linear, len(vectors)
        centred, goal = linear.less_bias(vectors, targets)
        acts = self.running.keep_entries(linear, centred, self.params.k * n)
        dtype, groups = linear.operands(centred), list(self._groups())
        atoms = linear.lowered("decoder", linear.decoder, dtype)
        parts = [acts.of(group.start, group.stop) for _, group in groups]
        residual, residuals, terms = -goal, [], {}
        for (name, group), part in zip(groups, parts, strict=True):
            residual = residual + part.decode(atoms[group])
            residuals.append(residual)
            terms[name] = residual.square().sum() / (n * len(groups))

        into_estimate = torch.zeros_like(residual)
        into_bias, fired = gradient_of(linear.encoder_bias), torch.empty_like(linear.encoder_bias)
        x = linear.lowered("centred", centred, dtype)
        for (_, group), part, each in zip(groups[::-1], parts[::-1], residuals[::-1], strict=True):
            into_estimate.add_(each, alpha=2.0 / (n * len(groups)))
            entries = part.by_feature
            pull = linear.lowered("into estimate", into_estimate, dtype)
            entries.pulled(entries.values, pull, gradient_of(linear.decoder)[group])
            into_acts = entries.products(into_estimate, linear.decoder[group])
            into_acts *= entries.values != 0
            entries.pulled(into_acts, x, gradient_of(linear.encoder)[group])
            into_bias[group] = entries.totals(into_acts)
            fired[group] = entries.count().to(fired.dtype)
        bias = torch.sum(into_estimate, 0, out=gradient_of(linear.decoder_bias))
        bias.sub_(into_bias @ linear.encoder)
        return terms, fired, residual.neg()

    def claims(self) -> Mapping[str, frozenset[str]]:
        """The auxiliary term is formed only while features are dead."""
        every = ENCODER | DECODER | BIAS
        names = [name for name, _ in self._groups()]
        return dict.fromkeys([*names, "aux"] if self.params.aux_weight > 0 else names, every)
