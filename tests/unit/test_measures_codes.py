"""Statistics of codes against counts by hand."""

import numpy as np
import pytest

from auscult.core.errors import NothingToMeasureError
from auscult.measures.codes import (
    agreement,
    code_spectra,
    code_usage,
    information,
    mixture_codes,
    shuffled_by_recording,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_usage_by_hand():
    one = code_usage(np.array([0, 0, 1, 1, 2, 2, 3, 3]), 8)
    assert one.entropy_bits == pytest.approx(2.0)
    assert one.perplexity_share == pytest.approx(0.5)
    assert one.dead_share == pytest.approx(0.5)
    assert one.zipf_slope == pytest.approx(0.0)
    ranks = np.arange(1, 9)
    zipf = code_usage(np.repeat(np.arange(8), (840 / ranks).astype(int)), 8)
    assert zipf.zipf_slope == pytest.approx(-1.0, abs=1e-6)
    assert np.isnan(code_usage(np.array([1, 1]), 4).zipf_slope)


def test_spectra_that_the_codes_decide_are_explained_and_shuffled_ones_are_not(rng):
    codes = np.repeat(np.arange(4), 50)
    spectra = np.eye(4)[codes] * 40 - 60 + 0.1 * rng.standard_normal((200, 4))
    one = code_spectra(codes, spectra)
    assert one.explained > 0.99
    assert sorted(one.means.argmax(1)) == [0, 1, 2, 3]
    assert one.flatness.max() < 0.1
    assert code_spectra(rng.permutation(codes), spectra).explained < 0.1


def test_rare_codes_are_left_out_of_spectra():
    codes = np.array([0] * 10 + [1] * 10 + [2] * 3)
    one = code_spectra(codes, np.zeros((23, 2)) + codes[:, None])
    assert one.codes.tolist() == [0, 1]
    with pytest.raises(NothingToMeasureError, match="8 frames"):
        code_spectra(codes[10:], np.zeros((13, 2)))


def test_information_is_one_for_the_same_and_none_by_chance(rng):
    codes = rng.integers(0, 6, 3000)
    assert information(codes, codes * 7) == pytest.approx(1.0)
    assert abs(information(codes, rng.integers(0, 6, 3000))) < 0.01
    assert np.isnan(information(codes, np.zeros(3000)))


def test_labels_are_shuffled_between_recordings_and_never_stay(rng):
    ids = np.repeat(["a", "b", "c"], [4, 2, 3])
    labels = np.repeat([0, 1, 2], [4, 2, 3])
    for _ in range(20):
        shuffled = shuffled_by_recording(labels, ids, rng)
        for name, own in zip("abc", range(3), strict=True):
            got = set(shuffled[ids == name].tolist())
            assert len(got) == 1
            assert own not in got


def test_agreement_by_hand():
    # two notes, two delays, one level, three frames
    codes = np.array([[[[1, 1, 2]], [[1, 5, 2]]], [[[3, 3, 3]], [[3, 3, 1]]]])
    one = agreement(codes, np.array([0, 4]))
    np.testing.assert_allclose(one.same, [[1.0, 4 / 6]])
    np.testing.assert_allclose(one.other, [[0.0, 0.0]])
    with pytest.raises(NothingToMeasureError):
        agreement(codes[:1], np.array([0, 4]))


def test_a_mixture_s_code_that_its_parts_decide_is_foretold(rng):
    ids = np.repeat(np.arange(60), 20)
    first, second = rng.integers(0, 4, (2, 60))
    a, b = np.repeat(first, 20), np.repeat(second, 20)
    told = mixture_codes(a, b, 4 * a + b, ids, rng)
    assert told.accuracy > 0.9
    assert told.shuffled < 0.4
    blind = mixture_codes(a, b, np.repeat(rng.integers(0, 8, 60), 20), ids, rng)
    assert blind.accuracy < 0.4
