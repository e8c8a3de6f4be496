"""Vectors of several taps side by side, frame by frame."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Float32, Int, Int64

from auscult.core.errors import OtherFramesError
from auscult.store.source import VectorSource, measured
from auscult.store.statistics import Statistics


@final
class JoinedSource(VectorSource):
    """Sources of equal length seen as one whose vectors are theirs, end to end.

    A crosscoder reads all parts; a transcoder reads the first and is to give back the second.
    """

    def __init__(self, parts: Sequence[VectorSource]) -> None:
        """Join sources.

        Raises:
            OtherFramesError: They hold other numbers of vectors, or other frames of other clips.
        """
        lengths = [part.n_vectors for part in parts]
        if len(set(lengths)) != 1:
            raise OtherFramesError(
                f"sources to be joined must be equally long, but have {lengths} vectors"
            )
        some = np.linspace(0, lengths[0] - 1, min(lengths[0], 1000)).astype(np.int64)
        places = [part.locate(some) for part in parts]
        if any(clips != places[0][0] or (frames != places[0][1]).any() for clips, frames in places):
            raise OtherFramesError(
                "sources to be joined must hold the same frames of the same clips"
            )
        self.parts = tuple(parts)
        self.n_vectors = lengths[0]
        self.d_in = sum(part.d_in for part in parts)
        self.waits = any(part.waits for part in parts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the parts' digests."""
        said = " ".join(["joined", *(part.digest for part in self.parts)])
        return hashlib.sha256(said.encode()).hexdigest()

    def rows(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """The parts' vectors at these indices, end to end."""
        return np.concatenate([part.rows(indices) for part in self.parts], axis=1)

    def locate(self, indices: Int[np.ndarray, " n"]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
        """As the first part says."""
        return self.parts[0].locate(indices)

    def _measure(self) -> Statistics:
        return measured(self)
