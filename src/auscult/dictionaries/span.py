"""Training within the subspace that vectors take up, where it is smaller than their width."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64

from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.linear import LinearCoder
from auscult.dictionaries.spectrum import principal_directions
from auscult.store.statistics import Statistics

_NOTHING = 1e-10
"""Share of the squared length of vectors that rounding them to float32 leaves no trace of."""

_MULTIPLE = 8
"""Dimensions by which products are taken fastest; spare ones fill the last of them."""

_WORTH_IT = 0.75
"""Share of the width above which a smaller one does not pay for getting there."""


@dataclass(frozen=True)
class Span:
    """Orthonormal rows that hold all vectors, and some more that hold nothing of them.

    Attributes:
        held: Directions that hold the vectors, but for a share of 1e-10 of their squared lengths.
        spare: Directions across them, as many or more: in fewer, what atoms have across the vectors
            adds up as it never would in the whole space.
    """

    held: Float64[np.ndarray, "rank d_in"]
    spare: Float64[np.ndarray, "n_spare d_in"]

    def __len__(self) -> int:
        return len(self.held) + len(self.spare)

    @cached_property
    def mixing(self) -> Float64[np.ndarray, "n n"]:
        """A random rotation: no coordinate is special, as none is in the whole space.

        Adam takes equal steps in all coordinates; along principal directions it would hurry where
        hardly anything varies.
        """
        drawn = named_rng(0, "span", len(self)).standard_normal((len(self), len(self)))
        return np.linalg.qr(drawn)[0]

    @cached_property
    def rows(self) -> Float64[np.ndarray, "n d_in"]:
        """The directions of the coordinates that are trained in."""
        rows: np.ndarray = self.mixing @ np.concatenate([self.held, self.spare])
        return rows


def span_of(statistics: Statistics, *, centred: bool) -> Span | None:
    """The subspace that holds the vectors.

    Responses of a linear layer have as many dimensions as its input, however many channels it has:
    a first convolution with a kernel of 7 samples answers in 7.

    Args:
        statistics: Of all vectors, exact.
        centred: Whether their mean is subtracted first.

    Returns:
        None where there are about as many as dimensions, or where it is not known.
    """
    moments = statistics.covariance if centred else statistics.second_moment
    if moments is None or not np.isfinite(moments).all():
        return None
    if _is_above(moments, _NOTHING * float(np.trace(moments))):
        return None
    values, rows = principal_directions(moments)
    left = values.sum() - np.cumsum(values)
    rank = int(np.argmax(left <= _NOTHING * values.sum())) + 1
    size = -(-2 * rank // _MULTIPLE) * _MULTIPLE
    return Span(rows[:rank], rows[rank:size]) if size <= _WORTH_IT * len(values) else None


def _is_above(moments: Float64[np.ndarray, "d d"], floor: float) -> bool:
    """Whether every eigenvalue is above a floor; far less work than to find them."""
    try:
        np.linalg.cholesky(moments - floor * np.eye(len(moments)))
    except np.linalg.LinAlgError:
        return False
    return True


@contextmanager
def within(dictionary: Dictionary, span: Span | None) -> Iterator[None]:
    """Let a dictionary see the coordinates of vectors in a subspace that holds them.

    Nothing is lost: with P the orthonormal rows and ``v = Pᵀ P v``, an encoder ``W`` and ``W Pᵀ``
    say the same, lengths and distances are the same. So the loss within is the loss of the
    dictionary that is there afterwards.

    An atom that starts at random lies for the most part across the vectors, which costs it: only
    those that are useful turn to them, and dictionaries get sparser for it. Therefore atoms keep
    what they have along the vectors, and the length of the rest is put into the spare directions.

    Args:
        dictionary: Of a type that says so (``rotates``); None of its weights is frozen.
        span: From :func:`span_of`; None changes nothing.
    """
    if span is None:
        yield
        return
    held, spare, mixing, rows = (
        torch.from_numpy(each).to(dictionary.preprocess.mean)
        for each in (span.held, span.spare, span.mixing, span.rows)
    )
    coder = next(each for each in dictionary.modules() if isinstance(each, LinearCoder))
    along, across = coder.decoder.data @ held.T, coder.decoder.data @ spare.T
    rest = coder.decoder.data.square().sum(1, keepdim=True) - along.square().sum(1, keepdim=True)
    tiny = torch.finfo(across.dtype).tiny
    across *= rest.clamp_(min=0).sqrt() / torch.linalg.vector_norm(
        across, dim=1, keepdim=True
    ).clamp_(min=tiny)
    for weights in (coder.encoder, coder.decoder_bias):
        weights.data = weights.data @ rows.T
    coder.decoder.data = torch.cat([along, across], dim=1) @ mixing.T
    dictionary.preprocess.turn_into(rows)
    try:
        yield
    finally:
        dictionary.preprocess.turn_into(None)
        for weights in (coder.encoder, coder.decoder, coder.decoder_bias):
            weights.data = weights.data @ rows


def may_turn(dictionary: Dictionary) -> bool:
    """Whether a dictionary can be trained in a subspace as it would be in the whole space."""
    coders = [each for each in dictionary.modules() if isinstance(each, LinearCoder)]
    return dictionary.rotates and [coder.frozen for coder in coders] == ["no"]
