"""Orders of indices: uniform where a buffer holds everything, block by block where it does not."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

BUFFER_BYTES = 1 << 30
"""Sources up to this size are shuffled uniformly unless told otherwise."""

BLOCKS_IN_BUFFER = 2048
"""Blocks that a buffer is filled with; a batch is drawn from so many places of the source."""

Indices = Iterator[Int64[np.ndarray, " n"]]


def shuffled(n: int, rng: np.random.Generator, buffer_rows: int) -> Indices:
    """Give every index below ``n`` once, in chunks of at most about ``buffer_rows``.

    A chunk is a uniform permutation of the rows of blocks that were drawn from the whole source
    without replacement. Reading a block's rows together makes a source larger than memory fast.
    """
    if n <= buffer_rows:
        yield rng.permutation(n)
        return
    block = max(1, buffer_rows // BLOCKS_IN_BUFFER)
    starts = rng.permutation(np.arange(0, n, block))
    for first in range(0, len(starts), max(1, buffer_rows // block)):
        group = starts[first : first + max(1, buffer_rows // block)]
        indices = (group[:, None] + np.arange(block)).reshape(-1)
        yield rng.permutation(indices[indices < n])


def in_batches(chunks: Indices, batch: int, skip: int = 0) -> Indices:
    """Cut a stream of indices, less the first ``skip``, into batches; the last may be shorter."""
    rest = np.empty(0, np.int64)
    for chunk in chunks:
        skipped = min(skip, len(chunk))
        skip -= skipped
        joined = np.concatenate([rest, chunk[skipped:]]) if len(rest) else chunk[skipped:]
        n_whole = len(joined) // batch * batch
        for start in range(0, n_whole, batch):
            yield joined[start : start + batch]
        rest = joined[n_whole:]
    if len(rest):
        yield rest
