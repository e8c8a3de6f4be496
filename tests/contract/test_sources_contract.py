import numpy as np
import pytest

from auscult.store.sampling import Sampling
from auscult.store.source import ArraySource
from auscult.testing.stores import SourceContract, add_clips, clip_values, start_store

LENGTHS = {0: 7, 1: 4, 2: 12, 3: 1, 4: 9}


def stored(folder, **settings):
    with start_store(folder, **settings) as writer:
        add_clips(writer, LENGTHS)
        return writer.finish()


class TestArray(SourceContract):
    @pytest.fixture
    def source(self):
        return ArraySource(clip_values(0, 11, 3))


class TestStore(SourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        return stored(tmp_path)


class TestStoreOfOneShard(SourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        return stored(tmp_path, shard_vectors=1000)


class TestStoreOfHalves(SourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        return stored(tmp_path, dtype="float16")


class TestSampledStore(SourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        return stored(tmp_path, sampling=Sampling(policy="runs", frames_per_clip=6, run_frames=3))


class TestSelection(SourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        return stored(tmp_path).select(["recording-0", "recording-2"])


class TestGenerators(SourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        return stored(tmp_path).generators(2)


class TestGeneratorsOfSelection(SourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        return stored(tmp_path).select(["recording-1", "recording-2"]).generators(1)


class TestWideVectors:
    def test_no_matrix_is_kept_beyond_the_widest(self):
        source = ArraySource(np.random.default_rng(0).standard_normal((5, 2049)).astype(np.float32))
        assert source.statistics.covariance is None

    def test_their_variance_is_kept(self):
        values = np.random.default_rng(0).standard_normal((5, 2049)).astype(np.float32)
        expected = values.astype(np.float64).var(0)
        np.testing.assert_allclose(ArraySource(values).statistics.variance, expected, rtol=1e-9)
