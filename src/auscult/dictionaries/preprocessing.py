"""How a dictionary shifts and scales vectors before it looks at them."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.errors import UserError
from auscult.dictionaries.products import affine_product
from auscult.store.statistics import Statistics

_NO_VARIATION = 1e-12
"""Variance below this share of the mean square is rounding, not signal (float32 rounds at 6e-8)."""


class Preprocessing(nn.Module):
    """``v = (x - mean) * scale``: one vector and one number, so that directions keep their meaning.

    With ``scale = 1 / sqrt(E‖x - mean‖²)`` the mean squared length of ``v`` is 1: a squared error
    summed over dimensions is then directly the fraction of variance unexplained, and the weight of
    a sparsity term means the same for every tap.

    Vectors that are several put end to end are scaled part by part: each part then has a mean
    squared length of 1, and ``scale`` one entry a dimension.

    While a dictionary is trained in a subspace that holds all vectors (see
    :mod:`auscult.dictionaries.span`), ``span`` has its orthonormal rows, and what comes out are the
    coordinates in it: a rotation, for such vectors.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, d_in: int, widths: Sequence[int] = ()) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.span: Tensor | None = None
        self._turned: tuple[Tensor, Tensor] | None = None
        self.register_buffer("mean", torch.zeros(d_in))
        self.register_buffer("scale", torch.ones((d_in,) if self.widths else ()))

    def fit(self, statistics: Statistics, *, centre: bool, scale: bool) -> None:
        """Take mean and scale from the training vectors; vectors that do not vary are not scaled.

        Raises:
            UserError: The statistics hold values that are not finite.
        """
        offset = np.square(statistics.mean)
        if not np.isfinite(np.sum(statistics.variance + offset)):
            raise UserError("the statistics of the vectors are not finite: the store holds NaN")
        if centre:
            self.mean.copy_(torch.from_numpy(statistics.mean))
        if not scale:
            return
        start = 0
        for width in self.widths or (len(offset),):
            part = slice(start, start + width)
            variance = float(np.sum(statistics.variance[part]))
            raw = variance + float(offset[part].sum())
            power = variance if centre else raw
            if power > _NO_VARIATION * raw:
                self.scale[part if self.widths else ...] = power**-0.5
            start += width

    def turn_into(self, span: Float[Tensor, "rank d_in"] | None) -> None:
        """From now on give coordinates in a subspace with these orthonormal rows; None: as before.

        Mean and scale must not change while it does.
        """
        self.span, self._turned = span, None
        if span is not None:
            rows = span * self.scale
            self._turned = rows, -(rows @ self.mean)

    def forward(self, x: Float[Tensor, "*n d_in"]) -> Float[Tensor, "*n d"]:
        """Shift and scale."""
        if self._turned is None:
            return (x - self.mean).mul_(self.scale)
        rows, shift = self._turned
        return affine_product(x, rows, shift)

    def of_array(self, x: Float[np.ndarray, "n d_in"]) -> Float[np.ndarray, "n d_in"]:
        """Shift and scale vectors that are not tensors."""
        vectors: np.ndarray = self(torch.from_numpy(x).to(self.mean.device)).cpu().numpy()
        return vectors

    def undo(self, vectors: Float[Tensor, "*n d_in"]) -> Float[Tensor, "*n d_in"]:
        """Scale and shift back."""
        return vectors / self.scale + self.mean
