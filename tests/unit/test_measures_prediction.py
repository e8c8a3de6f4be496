import numpy as np
import pytest

from auscult.core.errors import ConfigError
from auscult.measures import prediction, reuse

RNG = np.random.default_rng


def blobs(rng, n_recordings=12, n_each=150):
    recordings = np.repeat(np.arange(n_recordings), n_each)
    labels = rng.integers(0, 4, len(recordings))
    return 3 * np.eye(4)[labels] + rng.normal(size=(len(labels), 4)), labels, recordings


def test_separate_blobs_are_predicted_and_permuted_labels_are_not():
    x, labels, recordings = blobs(RNG(0))
    found = prediction.predict_label(x, labels, recordings, RNG(1), shuffled=True)
    assert found.accuracy > 0.9
    assert found.interval[0] <= found.accuracy <= found.interval[1]
    assert found.shuffled == pytest.approx(0.25, abs=0.1)
    assert found.n_labels == 4


def test_what_marks_a_recording_does_not_help():
    # Label and state are constant within a recording: rows of the same recording would betray it.
    rng = RNG(0)
    recordings = np.repeat(np.arange(40), 30)
    labels = rng.integers(0, 2, 40)[recordings]
    x = rng.normal(size=(40, 30))[recordings]
    assert prediction.predict_label(x, labels, recordings, rng).accuracy < 0.85


def test_balanced_accuracy_does_not_reward_the_majority():
    rng = RNG(0)
    recordings = np.repeat(np.arange(10), 200)
    labels = (rng.random(2000) < 0.1).astype(int)
    found = prediction.predict_label(rng.normal(size=(2000, 2)), labels, recordings, rng)
    assert found.majority == pytest.approx(0.9, abs=0.03)
    assert found.accuracy == pytest.approx(0.9, abs=0.03)
    assert found.balanced_accuracy == pytest.approx(0.5)


def test_a_single_label_is_refused():
    with pytest.raises(ConfigError, match="only one label"):
        prediction.predict_label(np.ones((4, 1)), np.zeros(4, int), np.arange(4), RNG(0))


def test_linear_r_squared_of_a_linear_map_is_one():
    x = RNG(0).normal(size=(300, 4))
    y = x @ RNG(1).normal(size=(4, 3)) + 5
    found = prediction.linear_r_squared(x, y, np.repeat(np.arange(6), 50), RNG(2))
    assert found == pytest.approx(1)


def test_shuffled_successors_go_to_states_that_exist():
    states = RNG(0).normal(size=(50, 3))
    targets = states + prediction.shuffled_successors(states, RNG(1))
    np.testing.assert_allclose(np.sort(targets, axis=0), np.sort(states, axis=0))


def test_noise_responses_are_a_strided_correlation():
    filters = np.array([[1.0, 2.0, 3.0]])
    found = prediction.noise_responses(filters, 5, 3, RNG(4))
    noise = RNG(4).standard_normal(15)
    np.testing.assert_allclose(found[:, 0], np.correlate(noise, filters[0], "valid")[::3])


def test_usage_by_group_counts_known_labels():
    labels, groups = np.array([0, 1, 1, -1, 2]), np.array(["a", "a", "a", "a", "b"])
    found = reuse.usage_by_group(labels, groups, 3)
    np.testing.assert_allclose(found, [[1 / 3, 2 / 3, 0], [0, 0, 1]])


def test_distance_of_shuffled_frames_is_the_floor():
    rng = RNG(0)
    groups = np.repeat(np.arange(24), 60)
    same = rng.integers(0, 10, 1440)
    apart = (same + 5 * (groups % 2)) % 10
    apart[groups % 2 == 0] %= 5
    floor = reuse.mean_of_pairs(reuse.shuffled_pairs(same, groups, 10, rng))
    assert reuse.mean_distance(reuse.usage_by_group(same, groups, 10)) == pytest.approx(
        floor, abs=0.03
    )
    assert reuse.mean_distance(reuse.usage_by_group(apart, groups, 10)) > floor + 0.1


def test_shuffling_takes_the_difference_between_groups_away():
    groups = np.repeat(np.arange(6), 50)
    assert reuse.mean_of_pairs(reuse.shuffled_pairs(groups, groups, 6, RNG(0))) < 0.4
    assert reuse.mean_distance(reuse.usage_by_group(groups, groups, 6)) == pytest.approx(1)


def test_shared_directions_are_those_that_most_groups_use():
    histograms = np.array([[0.5, 0.5, 0.0, 0.0]] * 9 + [[1.0, 0.0, 0.0, 0.0]])
    histograms[0] = [0.3, 0.3, 0.4, 0.0]
    # Used by 10, 9, 1 and 0 of 10 groups; the last is not in use at all.
    assert reuse.shared_by_most(histograms) == pytest.approx(2 / 3)


def test_a_path_slowed_down_is_the_same_path():
    path = np.cumsum(RNG(0).normal(size=(20, 3)), axis=0)
    assert reuse.path_distance(path, np.repeat(path, 3, axis=0)) == 0


def test_parallel_paths_are_as_far_as_they_are_apart():
    path = np.outer(np.arange(30.0), [0.0, 9.0])
    assert reuse.path_distance(path, path + np.array([2.0, 0.0])) == pytest.approx(2)


def test_path_distance_equals_the_slow_way():
    rng = RNG(3)
    a, b = rng.normal(size=(7, 2)), rng.normal(size=(11, 2))
    total = np.full((8, 12), np.inf)
    total[0, 0] = 0
    for i in range(1, 8):
        for j in range(1, 12):
            d = np.linalg.norm(a[i - 1] - b[j - 1])
            total[i, j] = min(total[i - 1, j - 1] + 2 * d, total[i - 1, j] + d, total[i, j - 1] + d)
    assert reuse.path_distance(a, b) == pytest.approx(total[7, 11] / 18)


def clustered(rng):
    return 4 * np.eye(5)[rng.integers(0, 5, 3000)] + 0.2 * rng.normal(size=(3000, 5))


def test_hopkins_of_a_gaussian_is_a_half():
    x = RNG(0).normal(size=(3000, 5)) * [3, 2, 1, 1, 1]
    assert reuse.hopkins(x, RNG(1)) == pytest.approx(0.5, abs=0.05)


def test_hopkins_of_clusters_is_high():
    assert reuse.hopkins(clustered(RNG(0)), RNG(1)) > 0.7


def test_clusters_have_a_gap_and_a_gaussian_has_none():
    rng = RNG(0)
    gap, error = reuse.gap_statistic(clustered(rng), 5, rng, repeats=4)
    none, _ = reuse.gap_statistic(rng.normal(size=(3000, 5)), 5, rng, repeats=4)
    assert gap > 0.5 > 10 * error
    assert abs(none) < 0.05
