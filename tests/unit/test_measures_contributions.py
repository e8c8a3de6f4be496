"""Contributions by hand."""

import numpy as np
import pytest

from auscult.core.errors import ConfigError
from auscult.measures.contributions import (
    class_contributions,
    classes_per_feature,
    importance,
    jaccard,
    jaccard_by_chance,
    top,
)

WEIGHTS = np.array([[2.0, 0.0, 5.0], [0.0, 1.0, 5.0]])
ACTS = np.array([[1.0, 0.0, 1.0], [3.0, 0.0, 1.0], [0.0, 4.0, 1.0], [9.0, 9.0, 9.0]])
LABELS = np.array([0, 0, 1, -1])


def test_contributions_are_means_over_the_frames_of_a_class():
    """Centred weights are ±1, ∓½ and 0; frames of class 0 have means 2, 0, 1, those of 1 0, 4, 1."""
    found = class_contributions(WEIGHTS, ACTS, LABELS)
    assert found.tolist() == [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]


def test_what_all_logits_share_contributes_nothing():
    moved = class_contributions(WEIGHTS + np.array([7.0, -3.0, 100.0]), ACTS, LABELS)
    np.testing.assert_allclose(moved, class_contributions(WEIGHTS, ACTS, LABELS), atol=1e-12)


def test_a_class_without_frames_has_no_contributions():
    found = class_contributions(np.ones((3, 3)), ACTS, LABELS)
    assert np.isnan(found[2]).all()
    assert np.isfinite(importance(found, LABELS)).all()


def test_importance_weighs_classes_by_their_frames():
    found = class_contributions(WEIGHTS, ACTS, LABELS)
    np.testing.assert_allclose(importance(found, LABELS), [4 / 3, 2 / 3, 0.0])
    assert top(importance(found, LABELS), 2).tolist() == [0, 1]


def test_a_feature_speaks_for_as_many_classes_as_its_contributions_are_spread_over():
    found = classes_per_feature(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, -1.0], [-5.0, 0.0, 0.0]]))
    np.testing.assert_allclose(found, [2.0, 1.0, np.nan])


def test_overlap_by_chance_is_what_draws_give():
    rng = np.random.default_rng(0)
    drawn = [
        jaccard(rng.choice(20, 6, replace=False), rng.choice(20, 6, replace=False))
        for _ in range(4000)
    ]
    assert jaccard_by_chance(20, 6, 6) == pytest.approx(np.mean(drawn), abs=0.01)


def test_sets_larger_than_what_they_are_drawn_from_are_refused():
    with pytest.raises(ConfigError, match="cannot be drawn"):
        jaccard_by_chance(3, 4, 1)
