import numpy as np
import pytest
import torch

from auscult.measures import handcrafted, usage
from auscult.measures.concentration import encoded
from tests.known_dictionaries import topk

ACTS = np.array([[3.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, -2.0, 1.0], [1.0, 0.0, 0.0]])
ATOMS = np.diag([1.0, 2.0, 0.5])
X = ACTS @ ATOMS


def test_the_top_atom_is_counted_and_silence_is_not():
    np.testing.assert_array_equal(usage.measure_usage(ACTS, ATOMS, X).n_top, [2, 1, 0])
    np.testing.assert_allclose(usage.measure_usage(ACTS, ATOMS, X).top, [0.5, 0.25, 0])


def test_highly_active_means_a_quarter_of_the_norm():
    # ‖z d‖ / ‖x‖ of atom 2: 0.5 / √9.25 = 0.16 and 0.5 / √16.25 = 0.12.
    np.testing.assert_array_equal(usage.measure_usage(ACTS, ATOMS, X).n_strong, [2, 1, 0])
    np.testing.assert_array_equal(usage.measure_usage(ACTS, ATOMS, X, 0.15).n_strong, [2, 1, 1])


def test_energy_is_that_of_each_contribution():
    found = usage.measure_usage(ACTS, ATOMS, X)
    np.testing.assert_allclose(found.energy, [10, 16, 0.5])
    assert found.energy_share.sum() == pytest.approx(1)


def test_chunks_add_up():
    parts = [usage.measure_usage(ACTS[i : i + 2], ATOMS, X[i : i + 2]) for i in (0, 2)]
    whole, summed = usage.measure_usage(ACTS, ATOMS, X), parts[0] + parts[1]
    np.testing.assert_allclose(summed.top, whole.top)
    np.testing.assert_allclose(summed.strong, whole.strong)
    np.testing.assert_allclose(summed.energy_share, whole.energy_share)


def test_a_summary_counts_what_covers():
    found = usage.usage_summary(np.array([0.5, 0.3, 0.12, 0.08, 0.0]))
    assert (found.n80, found.n90, found.n95) == (2, 3, 4)
    assert found.unused_share == pytest.approx(0.2)


def test_the_most_used_come_first():
    np.testing.assert_array_equal(usage.most_used(np.array([0.1, 0.5, 0.1, 0.3]), 3), [1, 3, 0])


def test_the_active_fraction_falls_with_the_threshold():
    found = usage.active_fraction(np.array([0.0, 0.1, 0.2, 0.7]), np.array([0.0, 0.1, 0.5]))
    np.testing.assert_allclose(found, [0.75, 0.5, 0.25])


def test_redundancy_leaves_out_the_diagonal():
    atoms = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    mean, highest = usage.redundancy(atoms)
    assert mean == pytest.approx(np.sqrt(2) / 3)
    assert highest == pytest.approx(np.sqrt(0.5))


def test_random_directions_have_no_mean_redundancy():
    mean, highest = usage.random_redundancy(20, 7, np.random.default_rng(0))
    assert mean == pytest.approx(0, abs=0.02)
    assert 0.75 < highest < 0.95


def test_the_least_alike_pair_is_found():
    atoms = np.array([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.2]])
    assert usage.least_alike(atoms) == (0, 2)


def test_the_effect_size_is_that_of_the_two_groups():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    x[:, 1] += 7.0
    x[:, 2] = 5.0
    members = np.arange(50) < 12
    x[members, 0] += 1.5
    about = x - x.mean(0)
    found = usage.cohens_d(about[members], 50, np.square(about).sum(0))
    a, b = x[members], x[~members]
    pooled = np.sqrt((11 * a.var(0, ddof=1) + 37 * b.var(0, ddof=1)) / 48)
    expected = (a.mean(0) - b.mean(0))[:2] / pooled[:2]
    np.testing.assert_allclose(found, [*expected, np.nan])
    assert np.isnan(usage.cohens_d(about[:1], 50, np.square(about).sum(0))).all()


def smooth_patches(n=5000, k=7):
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=n + k))
    return np.lib.stride_tricks.sliding_window_view(walk - walk.mean(), k)


def test_rare_filters_hear_little_of_the_sounds():
    rng = np.random.default_rng(0)
    patches, norms = smooth_patches(), np.linspace(1, 2, 12)
    rare = handcrafted.rare_filters(handcrafted.patch_covariance(patches), norms, rng)
    common = rng.normal(size=(12, 7))
    common *= (np.linalg.norm(rare, axis=1) / np.linalg.norm(common, axis=1))[:, None]
    np.testing.assert_allclose(np.sort(np.linalg.norm(rare, axis=1)), norms)
    assert np.var(patches @ rare.T) < 0.01 * np.var(patches @ common.T)


def test_tail_filters_are_unlikely_patches_of_the_corpus():
    rng = np.random.default_rng(0)
    patches = smooth_patches()
    found = handcrafted.tail_filters(patches, np.ones(8), rng)
    shapes = patches / np.linalg.norm(patches, axis=1, keepdims=True)
    np.testing.assert_allclose((found @ shapes.T).max(axis=1), 1)
    inverse = np.linalg.inv(handcrafted.patch_covariance(shapes, centred=False))
    distance = np.sum((shapes @ inverse) * shapes, axis=1)
    assert np.sum((found @ inverse) * found, axis=1).min() >= np.quantile(distance, 0.98)


def test_matched_filters_are_as_well_conditioned_as_the_reference():
    rng = np.random.default_rng(0)
    filters, reference = rng.normal(size=(32, 7)), rng.normal(size=(32, 7)) * np.arange(1, 8)
    found = handcrafted.match_singular_values(filters, reference)
    np.testing.assert_allclose(
        np.linalg.svd(found, compute_uv=False), np.linalg.svd(reference, compute_uv=False)
    )
    # The directions stay: what is largest in one is largest in the other.
    old, new = (np.linalg.svd(w, full_matrices=False)[2][0] for w in (filters, found))
    assert abs(old @ new) == pytest.approx(1)


def test_a_dictionary_of_long_atoms_and_small_activations_is_used_as_one_of_unit_atoms():
    rows = np.eye(4, dtype=np.float32)
    unit, long = topk(rows, k=2), topk(rows, k=2)
    with torch.no_grad():
        long.linear.decoder.mul_(10.0)
        long.linear.encoder.mul_(0.1)
    values = np.abs(np.random.default_rng(0).standard_normal((50, 4))).astype(np.float32)
    first, second = (encoded(one, values).usage for one in (unit, long))
    np.testing.assert_array_equal(second.n_strong, first.n_strong)
    np.testing.assert_allclose(second.energy, first.energy, rtol=1e-5)
