"""Composition scores on layers of which the answer is known."""

import numpy as np
import pytest

from auscult.core.errors import NothingToMeasureError
from auscult.measures.composition import (
    Score,
    additivity,
    analogy,
    found_components,
    stability,
    sums_of_parts,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_moves_that_no_context_changes_are_stable(rng):
    own = rng.standard_normal((6, 1, 32))
    score = stability(np.repeat(own, 4, axis=1))
    assert score.value == pytest.approx(1.0)
    assert abs(score.null) < 0.2
    assert score.corrected == pytest.approx(1.0)


def test_a_move_that_all_components_share_is_no_stability_of_any_one(rng):
    shared = rng.standard_normal(32)
    moves = shared + 0.1 * rng.standard_normal((6, 4, 32))
    score = stability(moves)
    assert score.value > 0.9
    assert abs(score.corrected) < 0.1


def test_moves_drawn_anew_in_each_context_are_not_stable(rng):
    assert abs(stability(rng.standard_normal((20, 4, 64))).corrected) < 0.05


def test_stability_is_the_mean_over_pairs_of_contexts_by_hand():
    moves = np.array([[[1.0, 0], [0, 1.0]], [[0, 1.0], [0, 1.0]]])
    score = stability(moves)
    np.testing.assert_allclose(score.each, [0, 1])
    # across components: cos(item 0 in context 0, item 1 in context 1) = 0, and 1 the other way
    assert score.null == pytest.approx(0.5)


def test_a_linear_layer_adds_up_exactly(rng):
    layer = rng.standard_normal((16, 40))
    a, b = rng.standard_normal((2, 10, 40))
    offset = rng.standard_normal(16)
    z = lambda x: x @ layer.T + offset  # noqa: E731
    score = additivity(z(a + b), z(a), z(b), offset, rng)
    assert score.value == pytest.approx(1.0)
    assert score.null < 0.5


def test_a_layer_that_saturates_does_not_add_up(rng):
    layer = rng.standard_normal((16, 40))
    a, b = 3 * rng.standard_normal((2, 10, 40))
    z = lambda x: np.sign(x @ layer.T)  # noqa: E731
    assert additivity(z(a + b), z(a), z(b), np.zeros(16), rng).value < 0.5


def test_transposition_along_a_line_is_an_analogy_and_on_random_points_is_none(rng):
    line = np.outer(np.arange(12), rng.standard_normal(8)) + 0.01 * rng.standard_normal((12, 8))
    good = analogy(line, (1, 2, 5), rng)
    assert good.cosine.value > 0.9
    assert good.retrieval > 0.9
    bad = analogy(rng.standard_normal((12, 8)), (1, 2, 5), rng)
    assert bad.cosine.value < 0.2
    assert bad.retrieval < 0.4


def test_components_read_off_alone_are_found_in_sums_of_a_layer_that_keeps_them_apart(rng):
    directions = rng.standard_normal((8, 64))
    alone = np.eye(8, dtype=np.bool_)[np.arange(40) % 8]
    mixed = np.stack([np.isin(np.arange(8), rng.choice(8, 3, replace=False)) for _ in range(50)])
    kept = found_components(alone @ directions, alone, mixed @ directions, mixed)
    assert kept.mean() > 0.97
    lost = found_components(alone @ directions, alone, rng.standard_normal((50, 64)), mixed)
    assert lost.mean() == pytest.approx(3 / 8, abs=0.12)


def test_sums_are_named_by_counting_only_as_many_as_they_have():
    alone = np.eye(4, dtype=np.bool_)
    vectors = np.eye(4)
    both = np.array([[True, True, False, False]])
    np.testing.assert_allclose(
        found_components(vectors, alone, np.array([[1, 1, 0, 0.0]]), both), 1
    )
    np.testing.assert_allclose(
        found_components(vectors, alone, np.array([[1, 0, 1, 0.0]]), both), 0.5
    )


def test_unseen_chords_are_sums_of_notes_where_the_layer_adds(rng):
    present = np.stack(
        [np.isin(np.arange(12), rng.choice(12, 3, replace=False)) for _ in range(80)]
    )
    held_out = np.arange(80) % 4 == 0
    notes = rng.standard_normal((12, 30))
    adds = sums_of_parts(present, present @ notes, held_out, rng)
    assert adds.value > 0.99
    assert adds.null < 0.2
    holistic = sums_of_parts(present, rng.standard_normal((80, 30)), held_out, rng)
    assert holistic.value < 0.1


def test_a_score_is_corrected_by_its_null_and_a_perfect_null_leaves_nothing():
    assert Score(0.75, 0.5, np.array([0.75])).corrected == pytest.approx(0.5)
    assert Score(1.0, 1.0, np.array([1.0])).corrected == 0.0


def test_too_little_to_compare_is_said(rng):
    with pytest.raises(NothingToMeasureError):
        stability(np.zeros((1, 3, 4)))
    with pytest.raises(NothingToMeasureError):
        analogy(np.zeros((5, 4)), (4,), rng)
