"""The gradient of a rectified dictionary with a price on activations, some vectors at a time."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from auscult.dictionaries.dense_step import DenseStep
from auscult.dictionaries.linear import LinearCoder
from auscult.dictionaries.products import (
    as_integers,
    counted,
    switch_off,
    switch_type,
    switches,
)
from auscult.dictionaries.sparse_acts import SparseActs, entries_at, places_above

SPARSE_BELOW = 0.04
"""Share of activations that are on below which leaving out the others costs less than it saves."""

_ENOUGH = 256
"""Vectors that tell how many activations are on."""


class DenseRelu:
    """One batch of ``z = relu(W_e (v - b_d) + b_e)``, ``v̂ = z D + b_d``."""

    def __init__(
        self,
        linear: LinearCoder,
        centred: Float[Tensor, "n d_in"],
        goal: Float[Tensor, "n d_in"],
        prices: Float[Tensor, " n_features"] | None,
        unit: float,
    ) -> None:
        """Prepare operands.

        Args:
            linear: The weights.
            centred: ``v - b_d``.
            goal: What is to be reconstructed, less ``b_d``.
            prices: Of an activation, in the unit; None where all are 1.
            unit: Of prices; 0 where nothing has a price.
        """
        n, m = len(centred), len(linear.encoder_bias)
        if prices is None or not unit:
            prices = centred.new_full((m,), 1.0 if unit else 0.0)
        self._step = DenseStep(linear, centred, goal, unit or 1.0 / n, prices)

    def look(self) -> float:
        """The share of activations that are on among the first vectors."""
        self._first = self._step.encoded(*self._step.pieces[0], rectified=True)
        some = self._first[:_ENOUGH]
        return float(self._counted(some).sum()) / max(1, some.numel())

    def _counted(self, acts: Float[Tensor, "m n_features"]) -> Int64[Tensor, " n_features"]:
        """On how many vectors each feature is on."""
        kind = switch_type(self._step.dtype)
        return counted(switches(acts, self._step.scratch("on", *acts.shape, dtype=kind)))

    def entries(self) -> SparseActs:
        """The activations that are on."""
        places, values = [], []
        n, n_features, wide = self._step.n, self._step.n_features, self._step.goal.dtype
        for start, stop in self._step.pieces:
            acts = self._first if start == 0 else self._step.encoded(start, stop, rectified=True)
            found = places_above(acts, 0.0)
            places.append(found + start * n_features)
            values.append(acts.flatten()[found].to(wide))
        return entries_at(torch.cat(places), torch.cat(values), n, n_features)

    def differentiate(
        self, *, counting: bool
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " n_features"], Float[Tensor, " n_features"]]:
        """Fill ``.grad`` of all parameters.

        Args:
            counting: Whether it is to be known how often features are on, or only whether.

        Returns:
            The squared error, the sum of each feature's activations, and how often it was on, or
            some number above 0 where it was.
        """
        step, acts = self._step, self._first
        fired = torch.zeros(acts.shape[1], dtype=torch.int64, device=acts.device)
        del self._first
        for start, stop in step.pieces:
            if start:
                acts = step.encoded(start, stop, rectified=True)
            if counting:
                fired += self._counted(acts)
            into_acts = step.decoded(start, stop, acts)
            switch_off(into_acts, as_integers(acts))
            step.learn(start, stop, into_acts)
            del acts, into_acts  # the next piece gets their memory, which is near the processor
        totals = step.totals
        return step.finish(), totals, fired.to(totals.dtype) if counting else totals
