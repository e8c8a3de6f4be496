"""Mean and second moments of response vectors in float64, gathered clip by clip in one pass."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Float32, Float64
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from auscult.core.errors import NoVectorsError, StoreError
from auscult.store.precision import as_float32

WIDEST_MATRIX = 2048
"""Widest vectors of which the whole d_in x d_in matrix of second moments is kept (33 MB)."""

_SCRATCH_ENTRIES = 1 << 18

_multiplying = threading.Lock()


@dataclass(frozen=True)
class Statistics:
    """First and second moments of a set of vectors.

    Attributes:
        n: Number of vectors.
        mean: Of each dimension.
        variance: Of each dimension, divided by n.
        covariance: Divided by n; None when vectors are wider than ``WIDEST_MATRIX``.
    """

    n: int
    mean: Float64[np.ndarray, " d_in"]
    variance: Float64[np.ndarray, " d_in"]
    covariance: Float64[np.ndarray, "d_in d_in"] | None

    @property
    def second_moment(self) -> Float64[np.ndarray, "d_in d_in"] | None:
        """The mean of x xᵀ, about zero; None where the covariance is."""
        return None if self.covariance is None else self.covariance + np.outer(self.mean, self.mean)

    @property
    def rms(self) -> float:
        """Root mean square of one entry: the mean of ‖x‖² is ``d_in * rms ** 2``."""
        return float(np.sqrt((self.variance + self.mean**2).mean()))


class Moments:
    """Running sums about the first vector seen.

    The sums are taken about that vector, not about zero: a mean that is large against the
    deviations would otherwise cancel digits (Chan, Golub and LeVeque 1983). They depend on the
    vectors and on how these are grouped into calls of :meth:`add`, on nothing else.
    """

    def __init__(self, d_in: int) -> None:
        self.d_in = d_in
        self.n = 0
        self.n_calls = 0
        self._origin = np.zeros(d_in)
        self._sum = np.zeros(d_in)
        self._squares = np.zeros((d_in, d_in) if d_in <= WIDEST_MATRIX else d_in)
        self._scratch = np.empty((max(64, _SCRATCH_ENTRIES // d_in), d_in))
        self._product = np.empty_like(self._squares)

    def add(self, values: Float[np.ndarray, "n d_in"]) -> None:
        """Add vectors; one call for one clip."""
        if self.n == 0 and len(values):
            self._origin[:] = values[0]
        self.n += len(values)
        self.n_calls += 1
        with _one_thread():
            for start in range(0, len(values), len(self._scratch)):
                self._add_part(as_float32(values[start : start + len(self._scratch)]))

    def _add_part(self, part: Float32[np.ndarray, "n d_in"]) -> None:
        centred = self._scratch[: len(part)]
        np.subtract(part, self._origin, out=centred, dtype=np.float64)
        self._sum += centred.sum(0)
        if self._squares.ndim == 2:
            np.matmul(centred.T, centred, out=self._product)
        else:
            np.einsum("nd,nd->d", centred, centred, out=self._product)
        self._squares += self._product

    def statistics(self) -> Statistics:
        """Moments of all that was added.

        Raises:
            NoVectorsError: Nothing was.
        """
        if self.n == 0:
            raise NoVectorsError("there are no vectors to take statistics of")
        shift = self._sum / self.n
        if self._squares.ndim == 2:
            covariance = self._squares / self.n - np.outer(shift, shift)
            variance = np.diagonal(covariance).copy()
        else:
            covariance, variance = None, self._squares / self.n - shift**2
        return Statistics(self.n, self._origin + shift, np.maximum(variance, 0.0), covariance)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The sums, from which adding can go on bit for bit."""
        counts = np.array([self.n, self.n_calls], dtype=np.int64)
        return {
            "origin": self._origin,
            "sum": self._sum,
            "squares": self._squares,
            "counts": counts,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], d_in: int) -> "Moments":
        """The inverse of :meth:`to_arrays`.

        Raises:
            StoreError: Arrays are missing or of other shapes.
        """
        moments = cls(d_in)
        try:
            for name, mine in (
                ("origin", moments._origin),
                ("sum", moments._sum),
                ("squares", moments._squares),
            ):
                if arrays[name].shape != mine.shape or arrays[name].dtype != np.float64:
                    raise StoreError(f"statistics have a damaged array {name!r}")
                mine[...] = arrays[name]
            moments.n, moments.n_calls = (int(count) for count in arrays["counts"])
        except (KeyError, ValueError) as error:
            raise StoreError(f"statistics are damaged: {error}") from error
        return moments


@cache
def _openblas() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openblas")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep NumPy's matrix products on the calling thread.

    Sums then do not depend on the number of cores. And where something else computes, as a model
    does while a store is written, OpenBLAS's threads wait for one another: a product of 8,192 x 32
    was seen to take 100 times as long.
    """
    with _multiplying, _openblas().limit(limits=1):
        yield
