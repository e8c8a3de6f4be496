"""Directions of a concept: planted ones are found, what goes along is left out, nulls are empty."""

import numpy as np
import pytest

from auscult.core.errors import NothingToMeasureError
from auscult.measures.concept_directions import (
    along_the_data,
    difference_of_means,
    isotropic,
    others_held,
    readout,
    shuffled_by_recording,
)

RNG = np.random.default_rng(0)
A, B = np.linalg.qr(RNG.standard_normal((12, 2)))[0].T
N = 4000
LOUD = RNG.standard_normal(N)
BRIGHT = 0.6 * LOUD + 0.8 * RNG.standard_normal(N)
NOISE = 0.3 * RNG.standard_normal((N, 12))
X = LOUD[:, None] * A + BRIGHT[:, None] * B + NOISE


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_difference_of_means_takes_along_what_goes_along():
    found = difference_of_means(X, LOUD)
    assert cosine(found, A + 0.6 * B) > 0.995
    assert found @ A > 0


def test_what_is_held_fixed_is_left_out():
    found = others_held(X, np.stack([LOUD, BRIGHT], 1), 0)
    assert cosine(found, A) > 0.999
    # One standard deviation of the concept moves x by as much as was planted.
    np.testing.assert_allclose(found @ A, LOUD.std(), rtol=0.02)


def test_a_readout_turns_away_from_what_disturbs_it():
    # w · A = 1 and w · (0.6 A + 0.8 B) = 0 read the concept without the other: w = A - 0.75 B.
    other = np.random.default_rng(5).standard_normal(N)
    x = LOUD[:, None] * A + other[:, None] * (0.6 * A + 0.8 * B) + 0.1 * NOISE
    assert cosine(readout(x, LOUD, 1e-6), A - 0.75 * B) > 0.99
    assert cosine(difference_of_means(x, LOUD), A) > 0.99


def test_a_readout_is_that_of_the_normal_equations():
    covariance = np.cov(X.T, bias=True)
    slow = np.linalg.solve(covariance, (X - X.mean(0)).T @ (LOUD - LOUD.mean()) / N / LOUD.std())
    np.testing.assert_allclose(readout(X, LOUD, 1e-9), slow, rtol=1e-5, atol=1e-9)


def test_rows_without_a_value_are_left_out():
    holes = LOUD.copy()
    holes[::2] = np.nan
    np.testing.assert_allclose(
        difference_of_means(X, holes), difference_of_means(X[1::2], LOUD[1::2])
    )


def test_a_concept_that_does_not_vary_or_is_not_there_is_refused():
    for call in (
        lambda: difference_of_means(X, np.ones(N)),
        lambda: readout(X, np.ones(N)),
        lambda: others_held(X, np.stack([LOUD, np.ones(N)], 1), 0),
        lambda: difference_of_means(X, np.full(N, np.nan)),
    ):
        with pytest.raises(NothingToMeasureError):
            call()


def test_shuffled_labels_keep_their_course_and_lose_their_recording():
    recordings = np.repeat(["a", "b", "c", "d"], [30, 20, 25, 25])
    labels = np.arange(100.0)
    shuffled = shuffled_by_recording(labels, recordings, np.random.default_rng(3))
    assert sorted(shuffled) == list(labels)
    assert np.mean(np.diff(shuffled) == 1) > 0.9
    assert np.mean(shuffled == labels) < 0.05


@pytest.mark.parametrize("sizes", [[30, 20, 25, 25], [50, 50], [40, 10, 30, 20], [5] * 20])
def test_no_row_gets_a_label_of_its_own_recording(sizes):
    recordings = np.repeat(np.arange(float(len(sizes))), sizes)
    for seed in range(20):
        from_where = shuffled_by_recording(recordings, recordings, np.random.default_rng(seed))
        assert (from_where != recordings).all()


def test_of_one_long_recording_labels_are_turned_within_it():
    recordings, labels = np.repeat([0, 1], [80, 20]), np.arange(100.0)
    shuffled = shuffled_by_recording(labels, recordings, np.random.default_rng(0))
    assert sorted(shuffled) == list(labels)
    assert not np.any(shuffled == labels)


def test_shuffled_labels_point_nowhere():
    recordings = np.repeat(np.arange(100), 40)
    shuffled = shuffled_by_recording(LOUD, recordings, np.random.default_rng(1))
    assert np.linalg.norm(difference_of_means(X, shuffled)) < 0.1 * np.linalg.norm(
        difference_of_means(X, LOUD)
    )


def test_random_directions_have_unit_length_and_lie_where_they_should():
    rng = np.random.default_rng(2)
    free, bound = isotropic(12, 400, rng), along_the_data(X, 400, rng)
    np.testing.assert_allclose(np.linalg.norm(free, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(bound, axis=1), 1)
    plane = np.stack([A, B])
    assert np.square(free @ plane.T).sum(1).mean() == pytest.approx(2 / 12, abs=0.03)
    assert np.square(bound @ plane.T).sum(1).mean() > 0.45
