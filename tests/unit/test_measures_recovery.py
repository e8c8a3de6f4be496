import numpy as np
import pytest

from auscult.core.errors import WidthError
from auscult.measures.disentanglement import dci
from auscult.measures.recovery import chance_found_again, found_again, plant, recovery

EYE = np.eye(4)


def test_the_truth_recovers_itself_in_any_order_and_length():
    found = recovery(EYE, 3.0 * EYE[[2, 0, 3, 1]])
    assert (found.mean_max_cosine, found.recall, found.precision, found.f1) == (1, 1, 1, 1)


def test_recovery_by_hand():
    # Two of four are met, by two of three learned ones.
    learned = np.array([[1.0, 0, 0, 0], [0, 1.0, 0.1, 0], [0, 0, 1.0, 1.0]])
    found = recovery(EYE, learned)
    assert found.recall == pytest.approx(0.5)
    assert found.precision == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    near = 1 / np.hypot(1, 0.1)
    assert found.mean_max_cosine == pytest.approx((1 + near + 2 * 2**-0.5) / 4)


def test_an_opposite_counts_only_where_signs_do_not():
    assert recovery(EYE, -EYE).f1 == 0
    assert recovery(EYE, -EYE, signed=True).f1 == 1


def test_nothing_learned_recovers_nothing():
    found = recovery(EYE, np.zeros((0, 4)))
    assert (found.recall, found.precision, found.f1) == (0, 0, 0)


def test_other_widths_are_refused():
    with pytest.raises(WidthError):
        recovery(EYE, np.ones((2, 3)))


def test_found_again_by_hand():
    assert found_again(EYE, EYE[:3]) == pytest.approx(0.75)
    assert found_again(EYE[:2], np.array([[1.0, 0.9, 0, 0]]), 0.7) == pytest.approx(0.5)


def test_chance_is_certain_in_one_dimension_and_nothing_in_many():
    rng = np.random.default_rng(0)
    line = np.diag([1.0, 0.0, 0.0])
    assert chance_found_again(line, 20, 20, rng) == 1.0
    assert chance_found_again(np.eye(200), 20, 20, rng) == 0.0


def test_planted_vectors_are_sparse_mixtures_with_the_shape_of_the_data():
    rng = np.random.default_rng(0)
    covariance = np.diag([100.0, 1.0, 1.0, 0.0])
    truth = plant(12, 5000, 3.0, covariance, rng)
    assert np.linalg.norm(truth.atoms, axis=1) == pytest.approx(np.ones(12))
    assert not truth.atoms[:, 3].any()
    assert np.abs(truth.atoms[:, 0]).mean() > 0.8
    # Without overlap of atoms the strengths can be read back: their number is as asked for.
    own = plant(20, 4000, 2.0, np.eye(400), rng)
    strengths = own.values @ np.linalg.pinv(own.atoms)
    assert (strengths > 0.05).sum(1).mean() == pytest.approx(2.0, abs=0.1)


def test_one_feature_for_each_factor_is_disentangled_and_complete():
    found = dci(np.diag([1.0, 2.0, 5.0]))
    assert (found.disentanglement, found.completeness) == (1.0, 1.0)


def test_all_for_all_is_neither():
    found = dci(np.ones((6, 3)))
    assert found.disentanglement == pytest.approx(0.0, abs=1e-12)
    assert found.completeness == pytest.approx(0.0, abs=1e-12)


def test_dci_by_hand():
    # The first feature serves two factors alike, the second one alone, with a third of the weight.
    found = dci(np.array([[1.0, 1.0], [0.0, 1.0]]))
    assert found.disentanglement == pytest.approx((2 / 3) * 0 + (1 / 3) * 1)
    assert found.by_factor == pytest.approx([1.0, 0.0])
    assert found.completeness == pytest.approx(0.5)


def test_signs_of_weights_do_not_count():
    weights = np.random.default_rng(0).standard_normal((5, 3))
    assert dci(weights).completeness == dci(np.abs(weights)).completeness


def test_a_factor_that_nothing_serves_is_left_out():
    found = dci(np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    assert np.isnan(found.by_factor[2])
    assert found.completeness == 1.0


def test_one_factor_or_one_feature_leaves_nothing_to_say():
    assert np.isnan(dci(np.ones((4, 1))).disentanglement)
    assert np.isnan(dci(np.ones((1, 4))).completeness)
