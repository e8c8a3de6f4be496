"""Chance agreement of vectors with a covariance, against the isotropic chance it must agree with."""

import numpy as np
import pytest

from auscult.measures.matching import chance_cosine, shaped_chance_cosine


@pytest.mark.parametrize("d", [3, 7, 20])
def test_a_round_covariance_gives_the_isotropic_chance(d):
    shaped = shaped_chance_cosine(np.eye(d), 20, np.random.default_rng(0), repeats=80)
    plain = chance_cosine(d, 20, 20, rng=np.random.default_rng(1), repeats=80)
    assert abs(shaped - plain) < 0.03


def test_dimensions_without_variance_do_not_count():
    covariance = np.diag([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    shaped = shaped_chance_cosine(covariance, 20, np.random.default_rng(0), repeats=80)
    plain = chance_cosine(3, 20, 20, rng=np.random.default_rng(1), repeats=80)
    assert abs(shaped - plain) < 0.03


def test_one_dominant_direction_is_less_than_its_participation_ratio_says():
    covariance = np.diag([9.0, *np.ones(30)])
    shaped = shaped_chance_cosine(covariance, 20, np.random.default_rng(0), repeats=80)
    ratio = (9 + 30) ** 2 / (81 + 30)
    isotropic = chance_cosine(ratio, 20, 20, rng=np.random.default_rng(1), repeats=80)
    assert shaped < isotropic
