"""Slopes over sizes and amounts: planted ones are found, and noise has none."""

import numpy as np
import pytest

from auscult.core.errors import NothingToMeasureError
from auscult.measures.scaling import slopes

SIZES, AMOUNTS = np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.0, 4.0, 16.0])
FACTORS = np.array([(size, amount) for size in SIZES for amount in AMOUNTS])


def planted(rng, size, amount, noise):
    doublings = np.log2(FACTORS)
    return 3 + doublings @ [size, amount] + noise * rng.standard_normal(len(FACTORS))


def test_planted_slopes_without_noise_are_exact():
    size, amount = slopes(
        planted(np.random.default_rng(0), -0.5, 0.2, 0), FACTORS, np.random.default_rng(1)
    )
    assert size.per_doubling == pytest.approx(-0.5)
    assert amount.per_doubling == pytest.approx(0.2)
    assert size.interval == pytest.approx((-0.5, -0.5))
    assert size.p < 0.01


def test_intervals_hold_what_was_planted_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(200):
        size, _ = slopes(planted(rng, 0.3, 0.0, 0.4), FACTORS, rng, 300)
        inside.append(size.interval[0] <= 0.3 <= size.interval[1])
    assert 0.85 <= np.mean(inside) <= 0.99


def test_noise_has_no_slope_more_often_than_chance():
    rng = np.random.default_rng(3)
    p = [slopes(planted(rng, 0, 0, 1.0), FACTORS, rng, 200)[1].p for _ in range(200)]
    assert np.mean(np.array(p) < 0.05) < 0.12
    assert np.mean(p) == pytest.approx(0.5, abs=0.1)


def test_a_number_that_is_none_is_left_out():
    values = planted(np.random.default_rng(0), 1.0, 2.0, 0)
    values[3] = np.nan
    size, amount = slopes(values, FACTORS, np.random.default_rng(1))
    assert (size.per_doubling, amount.per_doubling) == pytest.approx((1.0, 2.0))


def test_one_size_has_no_slope():
    with pytest.raises(NothingToMeasureError, match="does not vary"):
        slopes(np.arange(3.0), FACTORS[:3], np.random.default_rng(0))
    with pytest.raises(NothingToMeasureError, match="too few"):
        slopes(np.arange(3.0), FACTORS[2:5], np.random.default_rng(0))
