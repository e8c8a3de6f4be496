"""Sufficiency, concentration and alignment where the answer is known beforehand."""

import numpy as np
import pytest
import torch

from auscult.dictionaries.base import DICTIONARIES
from auscult.measures import alignment, rebuilding, sufficiency
from auscult.measures.concentration import concentration, encoded, ratio_interval, resampled_n90
from auscult.measures.rebuilding import AMBIENT, LEARNED, OWN, PCA, RAW, SPAN, SUBSPACE
from auscult.store.source import ArraySource


def linear_layer(n=2000, width=32, kernel=7, seed=0):
    """States and generators of a linear layer on white noise: they fill as many dimensions."""
    rng = np.random.default_rng(seed)
    windows = np.lib.stride_tricks.sliding_window_view(rng.standard_normal(n + kernel), kernel)
    states = (windows @ rng.standard_normal((kernel, width))).astype(np.float32)
    return states[:-1], np.diff(states, axis=0)


def isotropic(n=4000, width=32, seed=1):
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def dictionary_of(values, n_features=40, kind="random", **given):
    """A dictionary that needs no training."""
    source = ArraySource(values)
    cls, params = DICTIONARIES.parse({"type": kind, "n_features": n_features, **given}, "test")
    built = cls.build(params, values.shape[1], 0, source.statistics)
    built.fit_from(source, np.random.default_rng(2))
    return built


@pytest.fixture(scope="module")
def linear():
    states, values = linear_layer()
    found = dictionary_of(values[::2], space="subspace", k=4, signed=True)
    rng = np.random.default_rng(3)
    return rebuilding.rebuilding(
        found, values[::2], states[::2], values[1::2], rng, n_draws=2, most=120
    )


def test_a_linear_layer_spans_as_many_dimensions_as_its_kernel_has_samples(linear):
    assert linear.directions.span == 7
    assert linear.directions.rank == 7


@pytest.mark.parametrize("label", [OWN, PCA, RAW, SPAN, SUBSPACE, LEARNED])
def test_any_independent_directions_within_rebuild_a_linear_layer(linear, label):
    errors = linear.sets[label].wide
    assert errors[6] > 1e-7
    assert errors[7] < 1e-11


def test_in_single_precision_the_floor_is_the_square_of_its_rounding(linear):
    errors = linear.sets[PCA].single
    assert 1e-16 < errors[7] < 1e-12


def test_four_of_seven_dimensions_do_not_suffice(linear):
    # Even the best fixed four leave three of the seven to nothing.
    assert linear.sets[PCA].wide[4] > 1e-3


def test_twenty_random_directions_leave_twelve_thirty_seconds():
    rng = np.random.default_rng(4)
    draws = [rng.standard_normal((20, 32)) for _ in range(4)]
    errors = [sufficiency.unrestricted_errors(isotropic(), atoms)[-1] for atoms in draws]
    assert np.mean(errors) == pytest.approx(1 - 20 / 32, abs=0.01)


def test_the_error_of_random_directions_is_foretold_with_its_spread():
    rng = np.random.default_rng(5)
    line = rng.standard_normal((1, 32)).astype(np.float32)
    found = [
        sufficiency.unrestricted_errors(line, rng.standard_normal((20, 32)))[-1] for _ in range(300)
    ]
    mean, deviation = sufficiency.random_error(20, 32, 1)
    assert np.mean(found) == pytest.approx(mean, abs=0.03)
    assert np.std(found) == pytest.approx(deviation, rel=0.15)


def test_more_random_directions_than_dimensions_leave_nothing():
    assert sufficiency.random_error(40, 32, 3) == (0.0, 0.0)


def test_without_negative_coefficients_twenty_random_directions_leave_two_thirds():
    rng = np.random.default_rng(6)
    errors = [
        sufficiency.non_negative_error(isotropic(400), rng.standard_normal((20, 32)))
        for _ in range(4)
    ]
    assert np.mean(errors) == pytest.approx(0.67, abs=0.03)


def test_non_negative_coefficients_agree_with_scipy():
    from scipy.optimize import nnls

    x, atoms = isotropic(20, 8), np.random.default_rng(7).standard_normal((5, 8))
    expected = sum(nnls(atoms.T, row.astype(np.float64))[1] ** 2 for row in x)
    found = sufficiency.non_negative_error(x, atoms)
    assert found == pytest.approx(expected / np.square(x, dtype=np.float64).sum(), rel=1e-3)


def test_pursuit_beyond_what_was_tried_is_unknown():
    errors = sufficiency.pursued_errors(isotropic(50), np.eye(32), most=8)
    assert errors[8] > 0
    assert np.isnan(sufficiency.error_at(errors, 20))


def test_a_set_with_fewer_directions_stays_at_its_last_error():
    assert sufficiency.error_at(np.array([1.0, 0.5]), 20) == 0.5


def test_the_atoms_needed_are_counted():
    errors = np.array([1.0, 0.1, 1e-7, 1e-8])
    assert sufficiency.needed(errors, 1e-6) == 2
    assert np.isnan(sufficiency.needed(errors, 1e-9))


def sparse_motion(n=3000, n_atoms=12, width=16, seed=8):
    """Generators that are planted atoms, one at a time, either way."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((n_atoms, width))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    sizes = rng.choice([-1.0, 1.0], n) * rng.uniform(0.5, 2, n)
    return atoms, (atoms[rng.integers(0, n_atoms, n)] * sizes[:, None]).astype(np.float32)


def test_dictionary_learning_finds_planted_atoms():
    atoms, values = sparse_motion()
    learned = sufficiency.learned_atoms(values[:600], 12, np.random.default_rng(9))
    nearest = np.abs(atoms @ learned.T).max(axis=1)
    chance = np.abs(atoms @ isotropic(12, 16).T / np.linalg.norm(isotropic(12, 16), axis=1)).max(
        axis=1
    )
    assert np.median(nearest) > 0.93 > 1.5 * np.median(chance)


def test_planted_atoms_beat_everything_else_with_one_direction_each():
    atoms, values = sparse_motion()
    rng = np.random.default_rng(10)
    sets = rebuilding.direction_sets(atoms, values[:1500], values[:1500], rng, 1, 500)
    shapes = {
        label: rebuilding.rebuilt(draws, values[1500:], values[1500:2000], 1).median_cosine
        for label, draws in sets.draws.items()
        if label != LEARNED
    }
    assert shapes[OWN] == pytest.approx(1, abs=1e-6)
    others = [cosine for label, cosine in shapes.items() if label not in (OWN, RAW)]
    assert max(others) < 0.9


def test_what_is_rebuilt_as_nothing_has_no_likeness():
    found = rebuilding.rebuilt([np.eye(4)[:1]], np.eye(4)[1:2], np.eye(4)[1:2], 1)
    assert found.median_cosine == 0


def test_one_dimension_has_no_order_of_coordinates():
    x = np.random.default_rng(0).standard_normal((40, 1))
    found = rebuilding.rebuilt([np.ones((1, 1))], x, x, 1)
    assert found.median_cosine == pytest.approx(1)
    assert np.isnan(found.rank_correlation)


def directions_used(shares, width=16, n=4000, seed=11):
    """Generators along the axes, each as often as its share says."""
    rng = np.random.default_rng(seed)
    axis = rng.choice(width, n, p=shares)
    values = np.zeros((n, width), np.float32)
    values[np.arange(n), axis] = rng.choice([-1.0, 1.0], n)
    return values


def axes_dictionary(width=16):
    built = dictionary_of(isotropic(width=width), width, "random", k=1, signed=True)
    built.rows.copy_(torch.eye(width))
    built.preprocess.mean.zero_()
    return built


CONCENTRATED = np.r_[[0.3] * 3, [0.1 / 13] * 13]
EVEN = np.full(16, 1 / 16)


@pytest.mark.parametrize(("shares", "expected"), [(CONCENTRATED, 3), (EVEN, 15)])
def test_n90_is_the_planted_number_of_directions(shares, expected):
    values = directions_used(shares)
    found = concentration(
        axes_dictionary(), values, np.arange(len(values)) // 400, np.random.default_rng(0)
    )
    assert found.n90 == pytest.approx(expected, abs=1)
    assert found.n90_interval[0] <= found.n90 <= found.n90_interval[1]


def test_an_encoding_without_loss_has_no_error():
    values = directions_used(EVEN)
    found = encoded(axes_dictionary(), values)
    assert found.l0 == 1
    assert found.error == pytest.approx(0, abs=1e-12)
    np.testing.assert_array_equal(found.top, np.abs(values).argmax(axis=1))


@pytest.mark.parametrize("level", [1e-3, 1.0, 1e3])
def test_an_atom_that_carries_all_of_a_vector_is_highly_active_at_any_level(level):
    values = directions_used(EVEN)
    found = encoded(axes_dictionary(), (values * level).astype(np.float32), 0.9)
    np.testing.assert_allclose(found.usage.strong, np.abs(values).mean(axis=0))


def test_vectors_without_an_atom_count_for_none():
    top = np.array([-1, -1, 0, 0, 1])
    found = resampled_n90(top, np.zeros(5), 3, np.random.default_rng(0), 10)
    np.testing.assert_array_equal(found, 2.0)


def test_a_ratio_of_resampled_numbers_has_an_interval():
    assert ratio_interval(np.full(9, 6.0), np.full(9, 2.0)) == (3.0, 3.0)
    assert ratio_interval(np.ones(3), np.array([1.0, 0.0, 1.0])) is None


def rotated(atoms, seed):
    noise = np.random.default_rng(seed).standard_normal(atoms.shape)
    return atoms + 0.05 * noise


def test_directions_found_again_are_aligned_and_independent_ones_at_chance():
    rng = np.random.default_rng(12)
    base = rng.standard_normal((60, 32))
    again = alignment.align([(rotated(base, 1), base)], 20)
    independent = alignment.align([(rng.standard_normal((60, 32)), base)], 20)
    floor = alignment.align(
        [(rng.standard_normal((60, 32)), rng.standard_normal((60, 32))) for _ in range(20)], 20
    )
    for kind in ("all", "top", "matched"):
        assert again.mean(kind) > 0.99
        assert independent.mean(kind) == pytest.approx(floor.mean(kind), abs=0.05)


def test_the_ways_of_pairing_are_ordered():
    rng = np.random.default_rng(13)
    found = alignment.align([(rng.standard_normal((60, 8)), rng.standard_normal((60, 8)))], 20)
    assert found.mean("all") > found.mean("top") > found.mean("matched")


def test_chance_agrees_with_the_published_table():
    rng = np.random.default_rng(14)
    pairs = [(rng.standard_normal((20, 7)), rng.standard_normal((128, 7))) for _ in range(60)]
    found = alignment.align(pairs, 20)
    assert found.mean("all") == pytest.approx(0.83, abs=0.01)
    assert found.mean("top") == pytest.approx(0.67, abs=0.02)
    assert found.mean("matched") == pytest.approx(0.59, abs=0.02)


def test_an_opposite_counts_only_where_atoms_are_signed():
    base = np.eye(4)
    assert alignment.align([(-base, base)], 4, signed=True).mean("all") == 1
    assert alignment.align([(-base, base)], 4, signed=False).mean("all") == 0


def test_few_directions_are_all_compared():
    assert alignment.align([(np.eye(5)[:3], np.eye(5))], 20).nearest.shape == (1, 3)


def test_random_vectors_have_the_covariance_asked_for():
    covariance = np.array([[2.0, 1.0], [1.0, 3.0]])
    drawn = alignment.shaped_directions(covariance, 40_000, np.random.default_rng(15))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.07)


def aligned(values):
    rows = np.array(values)
    return alignment.Alignment(rows, rows, rows)


def test_a_difference_is_corrected_for_the_chance_of_each():
    rng = np.random.default_rng(16)
    real, noise = aligned([[0.9] * 5]), aligned([[0.7] * 5])
    # (0.9 - 0.8) / 0.2 = 0.5 and (0.7 - 0.4) / 0.6 = 0.5.
    value, interval = alignment.corrected_difference(real, noise, (0.8, 0.4), rng)
    assert value == pytest.approx(0)
    assert interval == pytest.approx((0, 0))


def test_the_interval_covers_differences_between_archetypes():
    rng = np.random.default_rng(17)
    real, noise = aligned([[1.0, 0.0] * 10] * 3), aligned([[0.5] * 20] * 3)
    value, (low, high) = alignment.corrected_difference(real, noise, (0.0, 0.0), rng)
    assert value == pytest.approx(0)
    # Standard deviation 0.5 / sqrt(20), about 1.96 of them on either side.
    assert (low, high) == pytest.approx((-0.22, 0.22), abs=0.06)


def test_identity_by_chance_cannot_be_corrected():
    value, _ = alignment.corrected_difference(
        aligned([[1.0]]), aligned([[1.0]]), (1.0, 1.0), np.random.default_rng(0)
    )
    assert np.isnan(value)


def test_random_directions_are_the_same_number_in_every_set():
    states, values = linear_layer(600)
    rng = np.random.default_rng(18)
    sets = rebuilding.direction_sets(np.eye(32)[:12], values, states, rng, 2, 300)
    assert {len(draws[0]) for draws in sets.draws.values()} == {12}
    assert len(sets.draws[AMBIENT]) == 2
