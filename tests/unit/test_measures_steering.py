"""What a steering audit counts, by hand, and its rule at every edge."""

import re
from dataclasses import replace

import numpy as np
import pytest

from auscult.measures.steering import (
    Trial,
    isolation,
    isolation_interval,
    monotonicity,
    random_band,
    random_halves,
    saturation,
    share_inside,
)


def test_the_interval_of_isolation_tells_clean_from_cancelling():
    """Two controls of one isolation: one is clean everywhere, in the other leaks cancel."""
    recordings = np.repeat(np.arange(8), 2)
    clean = np.tile([0.9, 0.1], (16, 1))
    leak = np.where(recordings % 2 == 0, 1.1, -0.9)  # 0.1 on average
    cancelling = np.stack([np.full(16, 0.9), leak], axis=1)
    assert isolation(cancelling.mean(0), 0) == pytest.approx(isolation(clean.mean(0), 0))
    low, high = isolation_interval(clean, 0, recordings, np.random.default_rng(0))
    assert (low, high) == pytest.approx((0.9, 0.9))
    low, high = isolation_interval(cancelling, 0, recordings, np.random.default_rng(0))
    assert low < 0.65
    assert high > 0.85


def test_the_interval_of_isolation_draws_recordings_not_clips():
    rng = np.random.default_rng(1)
    by_recording = rng.standard_normal(6)
    recordings = np.repeat(np.arange(6), 50)
    moved = np.stack([np.ones(300), by_recording[recordings]], axis=1)
    wide = isolation_interval(moved, 0, recordings, np.random.default_rng(0))
    narrow = isolation_interval(moved, 0, np.arange(300), np.random.default_rng(0))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_without_a_change_isolation_has_no_interval():
    found = isolation_interval(np.zeros((4, 2)), 0, np.arange(4), np.random.default_rng(0))
    assert np.isnan(found).all()


def test_isolation_by_hand():
    effects = np.array([-0.8, 0.1, -0.3])
    assert isolation(effects, 0) == pytest.approx(0.8 / (0.8 + 0.2))
    assert isolation(effects, 1) == pytest.approx(0.1 / (0.1 + 0.55))
    assert isolation(np.array([0.5, np.nan, 0.5]), 0) == pytest.approx(0.5)
    assert np.isnan(isolation(np.array([0.5, np.nan]), 0))
    assert np.isnan(isolation(np.zeros(3), 0))


def test_monotonicity_is_the_mean_rank_correlation_over_clips():
    doses = np.array([0.0, 1.0, 2.0, 3.0])
    moved = np.array([[0.0, 0.0, np.nan], [1.0, -1.0, np.nan], [2.0, -2.0, 1.0], [9.0, -3.0, 2.0]])
    assert monotonicity(doses, moved[:, :1]) == pytest.approx(1)
    assert monotonicity(doses, moved) == pytest.approx(0)  # the third clip has two values only
    # One swap of neighbours among four: 1 - 6 * 2 / (4 * 15) = 0.8.
    assert monotonicity(doses, np.array([[0.0], [2.0], [1.0], [3.0]])) == pytest.approx(0.8)


def test_saturation_is_where_nine_tenths_are_reached():
    doses = np.array([1.0, 2.0, 4.0])
    assert saturation(doses, np.array([0.2, 0.91, 1.0])) == 2.0
    assert saturation(doses, np.array([-1.0, -0.99, -0.2])) == 1.0
    assert saturation(doses, np.array([0.2, 0.89, 1.0])) == np.inf


def test_the_band_is_the_widest_kind_and_averages_clips_first():
    wavering = np.zeros((20, 1, 2, 1))
    wavering[:, 0, 0, 0], wavering[:, 0, 1, 0] = 5.0, -5.0  # no effect on average
    steady = np.full((20, 1, 2, 1), -0.4)
    assert random_band({"a": wavering}).edge[0, 0] == 0
    band = random_band({"a": wavering, "b": steady})
    assert (band.edge[0, 0], band.n_draws[0, 0]) == (pytest.approx(0.4), 20)
    spread = np.linspace(0, 1, 100)[:, None, None, None]
    assert random_band({"a": spread}).edge[0, 0] == pytest.approx(95 / 99)  # the fifth largest


def test_a_kind_with_few_draws_limits_what_can_be_said():
    many, few = np.full((40, 1, 2, 1), 0.1), np.full((18, 1, 2, 1), 0.2)
    few[3] = np.nan  # the concept could not be measured there
    band = random_band({"a": many, "b": few})
    assert (band.edge[0, 0], band.n_draws[0, 0]) == (pytest.approx(0.2), 17)


def test_the_share_inside_by_hand():
    inside = np.array([False, True, True, False])
    change = np.array([[0.0, 3.0, -1.0, 1.0], [np.nan, 1.0, np.nan, 0.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(share_inside(change, inside), [0.8, 1.0, np.nan])


def test_halves_hold_no_recording_twice():
    halves = random_halves(9, 30, np.random.default_rng(0))
    assert halves.shape == (30, 4)
    assert all(len(set(half)) == 4 for half in halves.tolist())


def test_halves_scatter_as_the_whole_does_about_the_truth():
    rng = np.random.default_rng(1)
    values = rng.standard_normal(4000)
    means = [values[half].mean() for half in random_halves(len(values), 2000, rng)]
    assert np.std(means) == pytest.approx(1 / np.sqrt(4000), rel=0.1)


PASSING = Trial(
    effect=0.8,
    interval=(0.6, 1.0),
    band=0.3,
    n_draws=19,
    isolation=0.9,
    quality={"a": 1.0, "b": 2.0},
    bounds={"a": 1.5, "b": 2.5},
)


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({}, "holds", "Above the random band"),
        ({"interval": (0.29, 1.0)}, "explained by control", "Random directions"),
        ({"effect": -0.8, "interval": (-1.0, -0.6)}, "does not hold", "the other way"),
        ({"isolation": 0.69}, "does not hold", "isolation 0.69 is below 0.7"),
        ({"isolation": 0.7}, "holds", ""),
        ({"quality": {"a": 1.0, "b": 2.6}}, "does not hold", r"out of bounds \(b\)"),
        ({"quality": {"a": float("nan"), "b": 1.0}}, "does not hold", r"out of bounds \(a\)"),
        ({"clipping": 0.002}, "does not hold", "it clips"),
        ({"n_draws": 18}, "cannot be tested here", "each of 18 random directions, which is not"),
        ({"n_draws": 5, "interval": (0.29, 1.0)}, "explained by control", "Random directions"),
        ({"n_draws": 5, "clipping": 0.002}, "does not hold", "it clips"),
        ({"isolation": float("nan")}, "cannot be tested here", "could not be measured"),
        (
            {"isolation": 0.1, "clipping": 0.1},
            "does not hold",
            "isolation 0.10 is below 0.7 and it clips",
        ),
    ],
)
def test_the_rule_passes_only_what_meets_every_part_of_it(changes, verdict, why):
    told, reason = replace(PASSING, **changes).judged()
    assert told == verdict
    assert re.search(why, reason)
