import numpy as np
import pytest

from auscult.core.errors import ConfigError
from auscult.measures import statistics
from auscult.measures.statistics import bootstrap_interval, joint_intervals


def test_the_bootstrap_draws_recordings_and_not_rows():
    # 2 recordings of 50 equal values each: a resample's mean can only be 0, 1/2 or 1.
    values, ids = np.repeat([0.0, 1.0], 50), np.repeat(["a", "b"], 50)
    low, high = bootstrap_interval(values, ids, np.random.default_rng(0))
    assert (low, high) == (0.0, 1.0)


def test_a_bootstrap_weighs_recordings_by_their_rows():
    values, ids = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0, 0, 0, 1])
    means = []

    def note(rows):
        means.append(values[rows].mean())
        return means[-1]

    bootstrap_interval(note, ids, np.random.default_rng(0), n_resamples=200)
    assert set(means) == {0.0, 0.25, 1.0}


def test_a_statistic_and_a_mean_have_the_same_interval():
    rng = np.random.default_rng(1)
    values, ids = rng.normal(size=400), rng.integers(0, 40, 400)
    by_mean = bootstrap_interval(values, ids, rng, 4000)
    by_rows = bootstrap_interval(lambda rows: float(values[rows].mean()), ids, rng, 4000)
    np.testing.assert_allclose(by_mean, by_rows, atol=0.01)


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(2)
    ids = np.arange(40)
    inside = [
        low <= 0 <= high
        for low, high in (
            bootstrap_interval(rng.normal(size=40), ids, rng, 300) for _ in range(400)
        )
    ]
    assert 0.90 <= np.mean(inside) <= 0.97


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="at least one value"):
        bootstrap_interval(np.zeros(0), np.zeros(0), np.random.default_rng(0))


def test_a_split_keeps_recordings_whole():
    ids = np.repeat(np.arange(10), 7)
    held_out = statistics.split_by_recording(ids, np.random.default_rng(0), 0.3)
    assert held_out.reshape(10, 7).all(axis=1).sum() == 3
    assert held_out.sum() == 21


def test_a_split_of_one_recording_is_refused():
    with pytest.raises(ConfigError, match="two recordings"):
        statistics.split_by_recording(np.zeros(5), np.random.default_rng(0))


def test_mcnemar_counts_only_what_changed():
    before = np.array([True] * 50 + [False] * 6)
    after = np.array([True] * 50 + [True] * 6)
    # 6 of 6 changes in one direction: 2 / 2^6.
    assert statistics.mcnemar(before, after) == pytest.approx(2 / 64)


def test_mcnemar_without_a_change_says_nothing():
    same = np.array([True, False])
    assert statistics.mcnemar(same, same) == 1.0


def test_wilcoxon_of_five_equal_shifts_has_its_smallest_p():
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    b = a - np.array([1.0, 1.1, 1.2, 1.3, 1.4])
    assert statistics.paired_wilcoxon(a, b) == pytest.approx(2 / 2**5)


def test_holm_never_exceeds_one():
    np.testing.assert_allclose(statistics.holm(np.array([0.5, 0.9, 0.8])), 1.0)


def test_gini_of_equal_shares_is_zero():
    assert statistics.gini(np.full(8, 0.125)) == pytest.approx(0.0)


def test_effective_number_needs_no_normalised_shares():
    assert statistics.effective_number(np.array([5.0, 5.0, 5.0, 0.0])) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("n", "coverage", "needed"),
    [(10, 0.9, 9), (10, 0.95, 10), (10, 1.0, 10), (20, 0.8, 16), (25, 0.8, 20)],
)
def test_equal_shares_cover_in_proportion(n, coverage, needed):
    assert statistics.smallest_covering(np.full(n, 1 / n), coverage) == needed


def test_auc_of_separated_values_is_one():
    assert statistics.auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0


def test_auc_of_ties_is_a_half():
    assert statistics.auc(np.ones(3), np.ones(5)) == 0.5


def test_histograms_without_overlap_are_at_distance_one():
    assert statistics.jensen_shannon(np.array([3.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(1)


def test_a_matched_sample_has_the_distribution_of_its_targets():
    rng = np.random.default_rng(0)
    pool = rng.uniform(0, 10, 5000)
    target = rng.uniform(2, 3, 1000)
    rows = statistics.matched_sample(target, pool, rng)
    assert np.abs(pool[rows] - target).max() < 0.2
    assert len(np.unique(rows)) > 300


def test_the_bootstrap_of_a_mean_weighs_recordings_by_their_rows_too():
    values, ids = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0, 0, 0, 1])
    # A quarter of the resamples holds the second recording alone, whose mean is 1.
    assert bootstrap_interval(values, ids, np.random.default_rng(0)) == (0.0, 1.0)


def test_joint_intervals_of_one_number_are_its_own():
    draws = np.random.default_rng(3).gamma(2.0, size=(1000, 1))
    low, high = joint_intervals(np.array([2.0]), draws)
    assert (low[0], high[0]) == pytest.approx(np.quantile(draws, [0.025, 0.975]))


def test_joint_intervals_hold_for_all_at_once_and_none_alone_does():
    rng = np.random.default_rng(4)
    draws = rng.normal(size=(4000, 12)) * np.arange(1, 13)
    low, _ = joint_intervals(np.zeros(12), draws)
    assert np.all(draws > low, axis=1).mean() == pytest.approx(0.975, abs=0.002)
    assert np.all(draws > np.quantile(draws, 0.025, axis=0), axis=1).mean() < 0.8
    # Independent normals: each tail holds 1 - 0.975 ** (1 / 12), so 2.87 of its own spread.
    assert low / np.arange(1, 13) == pytest.approx(np.full(12, -2.87), abs=0.15)


def test_joint_intervals_pass_over_draws_without_a_value_and_say_nothing_of_no_draws():
    draws = np.array([[1.0, np.nan], [3.0, 5.0], [2.0, 5.0]])
    low, high = joint_intervals(np.array([2.0, 5.0]), draws)
    assert low[0] < 2 < high[0]
    assert (low[1], high[1]) == (5.0, 5.0)
    assert np.isnan(joint_intervals(np.ones(2), np.empty((0, 2)))).all()
