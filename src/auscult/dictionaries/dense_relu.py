"""The gradient of a rectified dictionary with a price on activations, some vectors at a time."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from auscult.dictionaries.dense_step import DenseStep
from auscult.dictionaries.linear import LinearCoder
from auscult.dictionaries.products import counted, switch_off, switch_type, switches
from auscult.dictionaries.sparse_acts import SparseActs, entries_at, places_above

SPARSE_BELOW = 0.04
"""Share of activations that are on below which leaving out the others costs less than it saves."""


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
        self._step = DenseStep(linear, centred, goal, unit or 1.0 / len(centred))
        if prices is None or not unit:
            price, dtype = 1.0 if unit else 0.0, self._step.dtype
            self._prices = centred.new_full((self._step.n_features,), price, dtype=dtype)
        else:
            self._prices = prices.to(self._step.dtype)

    def _begin(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Activations of some vectors, and which are on."""
        step = self._step
        acts = step.encoded(start, stop, rectified=True)
        return acts, switches(acts, step.scratch("on", *acts.shape, dtype=switch_type(step.dtype)))

    def look(self) -> float:
        """The share of activations that are on among the first vectors."""
        self._first = self._begin(*self._step.pieces[0])
        self._fired = counted(self._first[1])
        return float(self._fired.sum()) / max(1, self._first[0].numel())

    def entries(self) -> SparseActs:
        """The activations that are on."""
        places, values = [], []
        n, n_features, wide = self._step.n, self._step.n_features, self._step.centred.dtype
        for start, stop in self._step.pieces:
            acts, _ = self._first if start == 0 else self._begin(start, stop)
            found = places_above(acts, 0.0)
            places.append(found + start * n_features)
            values.append(acts.flatten()[found].to(wide))
        return entries_at(torch.cat(places), torch.cat(values), n, n_features)

    def differentiate(
        self,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " n_features"], Int64[Tensor, " n_features"]]:
        """Fill ``.grad`` of all parameters.

        Returns:
            The squared error, the sum of each feature's activations, and how often it was on.
        """
        step = self._step
        acts, on = self._first
        totals = step.added(None, acts)
        del self._first
        for start, stop in step.pieces:
            if start:
                acts, on = self._begin(start, stop)
                self._fired += counted(on)
                totals = step.added(totals, acts)
            into_acts = step.decoded(start, stop, acts, self._prices)
            switch_off(into_acts, on)
            step.learn(start, stop, into_acts)
            del acts, into_acts  # the next piece gets their memory, which is near the processor
        return step.finish(), totals, self._fired
