"""Small stores of known content, and the contract that every source of vectors keeps."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float32

from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.store.index import StoreDtype
from auscult.store.lock import LOCK_NAME
from auscult.store.sampling import Sampling
from auscult.store.source import VectorSource
from auscult.store.writer import StoreWriter

TIME = TimeBase(24_000)


def clip_values(number: int, n_frames: int, d_in: int) -> Float32[np.ndarray, "frame d_in"]:
    """Vectors of one clip, a function of its number; their mean is not zero."""
    rng = named_rng(0, "testing", "clip", number)
    return (3.0 + rng.standard_normal((n_frames, d_in))).astype(np.float32)


def start_store(folder: Path, **settings: Any) -> StoreWriter:
    """Open a writer, by default for vectors of width 3 that are all kept, ten to a shard."""
    given: dict[str, Any] = {
        "d_in": 3,
        "time": TIME,
        "sampling": Sampling(),
        "seed": 0,
        "provenance": {"tap": "conv.0"},
        "shard_vectors": 10,
    }
    return StoreWriter(folder, **{**given, **settings})


def add_clips(writer: StoreWriter, lengths: Mapping[int, int]) -> None:
    """Add clips by number and length that are not stored yet, two to a recording."""
    for number, n_frames in lengths.items():
        if f"clip-{number}" not in writer.done:
            values = clip_values(number, n_frames, writer.settings.d_in)
            writer.add(f"clip-{number}", f"recording-{number // 2}", values, labels={"n": number})


def content(folder: Path) -> dict[str, str]:
    """Digest of every file of a store but its lock: two stores are equal when this is."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != LOCK_NAME
    }


def dtype_bound(dtype: StoreDtype) -> float:
    """Largest relative error of rounding a normal number: half a unit in the last place."""
    return float(np.finfo(dtype).eps) / 2


class SourceContract:
    """What holds for every ``VectorSource``; give it a ``source`` fixture."""

    @staticmethod
    def everything(source: VectorSource) -> Float32[np.ndarray, "n d_in"]:
        """All vectors by index."""
        return source.rows(np.arange(source.n_vectors))

    def test_rows_have_the_shape_that_is_told(self, source: VectorSource) -> None:
        """And are float32 whatever is on disk."""
        rows = self.everything(source)
        assert rows.shape == (source.n_vectors, source.d_in)
        assert rows.dtype == np.float32

    def test_rows_come_in_the_order_asked_for(self, source: VectorSource) -> None:
        """Backwards, and twice."""
        everything = self.everything(source)
        wanted = np.r_[np.arange(source.n_vectors)[::-1], 0, 0]
        np.testing.assert_array_equal(source.rows(wanted), everything[wanted])

    @pytest.mark.parametrize("wrong", [-1, 1 << 40])
    def test_an_index_outside_is_refused(self, source: VectorSource, wrong: int) -> None:
        """Negative ones do not count from the end."""
        with pytest.raises(IndexError, match="indices must lie in"):
            source.rows(np.array([0, wrong]))

    def test_rows_are_copies(self, source: VectorSource) -> None:
        """Writing into what was given changes nothing."""
        before = self.everything(source)
        self.everything(source)[:] = 0
        np.testing.assert_array_equal(self.everything(source), before)

    @pytest.mark.parametrize("batch", [1, 4, 10_000])
    def test_an_ordered_pass_gives_every_vector_in_order(
        self, source: VectorSource, batch: int
    ) -> None:
        """Batch borders change nothing."""
        joined = np.concatenate(list(source.ordered(batch)))
        np.testing.assert_array_equal(joined, self.everything(source))

    @pytest.mark.parametrize("prefetch", [0, 2])
    @pytest.mark.parametrize("buffer_bytes", [1 << 30, 64])
    def test_a_shuffled_pass_gives_every_vector_once(
        self, source: VectorSource, prefetch: int, buffer_bytes: int
    ) -> None:
        """With or without a thread, whole or block by block."""
        rng = np.random.default_rng(1)
        passed = source.vectors(4, rng, prefetch=prefetch, buffer_bytes=buffer_bytes)
        joined = np.concatenate(list(passed))
        np.testing.assert_array_equal(_sorted(joined), _sorted(self.everything(source)))

    def test_the_same_rng_gives_the_same_pass(self, source: VectorSource) -> None:
        """And prefetching does not change it."""
        first = list(source.vectors(4, np.random.default_rng(2)))
        second = list(source.vectors(4, np.random.default_rng(2), prefetch=3))
        np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))

    def test_skipped_batches_leave_the_rest_as_it_was(self, source: VectorSource) -> None:
        """A pass can be resumed."""
        whole = list(source.vectors(2, np.random.default_rng(3)))
        rest = list(source.vectors(2, np.random.default_rng(3), skip_batches=2))
        np.testing.assert_array_equal(np.concatenate(rest), np.concatenate(whole[2:]))

    def test_every_vector_is_located_at_a_place_of_its_own(self, source: VectorSource) -> None:
        """No two vectors are the same frame of the same clip."""
        clips, frames = source.locate(np.arange(source.n_vectors))
        assert len(set(zip(clips, frames.tolist(), strict=True))) == source.n_vectors

    def test_statistics_are_those_of_all_vectors(self, source: VectorSource) -> None:
        """Against NumPy in float64."""
        everything = self.everything(source).astype(np.float64)
        statistics = source.statistics
        assert statistics.n == len(everything)
        np.testing.assert_allclose(statistics.mean, everything.mean(0), rtol=1e-12, atol=1e-12)
        centred = everything - everything.mean(0)
        expected = centred.T @ centred / len(everything)
        assert statistics.covariance is not None
        np.testing.assert_allclose(statistics.covariance, expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(statistics.variance, everything.var(0), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(statistics.rms, np.sqrt((everything**2).mean()), rtol=1e-12)

    def test_the_digest_is_a_sha256_that_stays(self, source: VectorSource) -> None:
        """64 hexadecimal digits."""
        assert source.digest == source.digest
        assert len(bytes.fromhex(source.digest)) == 32


def _sorted(rows: Float32[np.ndarray, "n d_in"]) -> Float32[np.ndarray, "n d_in"]:
    return rows.take(np.lexsort(rows.T), axis=0)
