"""Training within the subspace that vectors take up, where it is smaller than their width."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float64

from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.linear import LinearCoder
from auscult.dictionaries.spectrum import principal_directions
from auscult.store.statistics import Statistics

_NOTHING = 1e-10
"""Share of the squared length of vectors that rounding them to float32 leaves no trace of."""

_MULTIPLE = 8
"""Dimensions by which products are taken fastest; some that hold nothing fill the last ones."""

_WORTH_IT = 0.75
"""Share of the width above which a smaller one does not pay for getting there."""


def span_of(statistics: Statistics, *, centred: bool) -> Float64[np.ndarray, "rank d_in"] | None:
    """Orthonormal rows that hold the vectors, but for a share of 1e-10 of their squared lengths.

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
    rank = -(-rank // _MULTIPLE) * _MULTIPLE
    return rows[:rank] if rank <= _WORTH_IT * len(values) else None


def _is_above(moments: Float64[np.ndarray, "d d"], floor: float) -> bool:
    """Whether every eigenvalue is above a floor; far less work than to find them."""
    try:
        np.linalg.cholesky(moments - floor * np.eye(len(moments)))
    except np.linalg.LinAlgError:
        return False
    return True


@contextmanager
def within(dictionary: Dictionary, span: Float64[np.ndarray, "rank d_in"] | None) -> Iterator[None]:
    """Let a dictionary see the coordinates of vectors in a subspace that holds them.

    Nothing is lost: with P the orthonormal rows and ``v = Pᵀ P v``, an encoder ``W`` and ``W Pᵀ``
    say the same, lengths and distances are the same, and atoms have nothing to do elsewhere. So the
    loss within is the loss of the dictionary that is there afterwards, with all its weights in the
    subspace. At the start, atoms are turned into it at the lengths that they had.

    Args:
        dictionary: Of a type that says so (``rotates``); None of its weights is frozen.
        span: From :func:`span_of`; None changes nothing.
    """
    if span is None:
        yield
        return
    rows = torch.from_numpy(span).to(dictionary.preprocess.mean)
    coder = next(each for each in dictionary.modules() if isinstance(each, LinearCoder))
    lengths = torch.linalg.vector_norm(coder.decoder.detach(), dim=1, keepdim=True)
    for weights in (coder.encoder, coder.decoder, coder.decoder_bias):
        weights.data = weights.data @ rows.T
    turned = torch.linalg.vector_norm(coder.decoder.detach(), dim=1, keepdim=True)
    coder.decoder.data *= lengths / turned.clamp_(min=torch.finfo(turned.dtype).tiny)
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
