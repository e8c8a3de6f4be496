import numpy as np
import pytest

from auscult.core.errors import WidthError
from auscult.measures import geometry, matching


def test_one_channel_alone_is_fully_aligned():
    x = np.array([[0.0, -3.0, 0.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(geometry.axis_alignment(x), [1.0, 3**-0.5])


def test_participation_counts_equal_channels():
    x = np.array([[2.0, -2.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(geometry.participation_ratio(x), [2.0, 1.0])


def test_quiet_vectors_participate_like_loud_ones():
    x = np.array([[2.0, -2.0, 0.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(
        geometry.participation_ratio(x * np.float32(1e-30)),
        geometry.participation_ratio(x),
        rtol=1e-5,
    )


@pytest.mark.parametrize("measure", [geometry.axis_alignment, geometry.participation_ratio])
def test_a_silent_frame_has_no_shape(measure):
    assert np.isnan(measure(np.zeros((1, 3)))).all()


def test_the_quietest_percent_is_left_out():
    x = np.arange(200.0)[:, None] @ np.ones((1, 2))
    loud = geometry.loud_rows(x)
    assert loud.sum() == 198
    assert not loud[:2].any()


def test_dimension_of_a_flat_spectrum_is_its_rank():
    covariance = np.diag([1.0] * 5 + [0.0] * 3)
    participation, rank = geometry.effective_dimension(covariance)
    assert participation == pytest.approx(5)
    assert rank == 5


def test_rank_counts_until_all_but_a_ten_thousandth_is_explained():
    _, rank = geometry.effective_dimension(np.diag([1.0, 1e-3, 1e-5]))
    assert rank == 2


def test_nearest_atom_equals_the_slow_way():
    rng = np.random.default_rng(0)
    x, atoms = rng.normal(size=(1000, 6)).astype(np.float32), rng.normal(size=(20, 6))
    slow = np.array([[v @ a / np.linalg.norm(v) / np.linalg.norm(a) for a in atoms] for v in x])
    index, cosine = geometry.nearest_atom(x, atoms)
    np.testing.assert_array_equal(index, slow.argmax(axis=1))
    np.testing.assert_allclose(cosine, slow.max(axis=1), atol=1e-6)


def test_chunks_do_not_change_the_nearest_atom(monkeypatch):
    rng = np.random.default_rng(1)
    x, atoms = rng.normal(size=(3000, 4)), rng.normal(size=(7, 4))
    whole = geometry.nearest_atom(x, atoms)
    monkeypatch.setattr(geometry, "_CHUNK_VALUES", 1)
    np.testing.assert_array_equal(geometry.nearest_atom(x, atoms)[0], whole[0])


def test_a_signed_atom_also_stands_for_its_opposite():
    index, cosine = geometry.nearest_atom(np.array([[-2.0, 0.1]]), np.eye(2), signed=True)
    assert index[0] == 0
    assert cosine[0] == pytest.approx(2 / np.hypot(2, 0.1))


def test_silence_has_no_nearest_atom():
    index, cosine = geometry.nearest_atom(np.zeros((1, 2)), np.eye(2))
    assert index[0] == -1
    assert np.isnan(cosine[0])


def test_atoms_of_another_width_are_refused():
    with pytest.raises(WidthError, match="width 3 were given atoms of width 2"):
        geometry.nearest_atom(np.zeros((1, 3)), np.eye(2))


def test_coverage_counts_what_reaches_the_threshold():
    cosines = np.array([0.9, 0.8, 0.5, np.nan])
    coverage, mean = geometry.coverage_curve(cosines, np.array([0.0, 0.8, 0.95]))
    np.testing.assert_allclose(coverage, [0.75, 0.5, 0.0])
    np.testing.assert_allclose(mean, [2.2 / 3, 0.85, np.nan])


def test_the_threshold_of_a_coverage_gives_that_coverage():
    cosines = np.linspace(0.01, 1.0, 100)
    threshold = geometry.threshold_at_coverage(cosines, 0.96)
    assert threshold == pytest.approx(0.05)
    assert geometry.coverage_curve(cosines, np.array([threshold]))[0][0] == pytest.approx(0.96)


def test_matching_undoes_a_permutation():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(12, 5))
    order = rng.permutation(12)
    rows, columns, cosines = matching.match_atoms(a, 3 * a[order])
    np.testing.assert_array_equal(order[columns], rows)
    np.testing.assert_allclose(cosines, 1.0)


def test_matching_is_one_to_one_and_top_is_not():
    a, b = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert matching.matched_cosine(a, b) == pytest.approx(0.5)
    assert matching.top_cosine(a, b) == pytest.approx(1.0)


def test_signed_matching_ignores_the_sign():
    assert matching.matched_cosine(np.eye(3), -np.eye(3), signed=True) == pytest.approx(1.0)


def test_directions_in_a_subspace_stay_there():
    basis = np.eye(4)[:2]
    directions = matching.random_directions(50, 2, np.random.default_rng(0), basis)
    np.testing.assert_allclose(directions[:, 2:], 0)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)


def test_chance_is_zero_and_identity_one():
    assert matching.chance_corrected(0.79, 0.79) == 0.0
    assert matching.chance_corrected(1.0, 0.79) == 1.0


def test_chance_between_two_dimensions_lies_between_their_levels():
    rng = np.random.default_rng(0)
    low, middle, high = (
        matching.chance_cosine(d, 20, 20, rng=rng, repeats=200) for d in (8.0, 7.5, 7.0)
    )
    assert low < middle < high
    assert middle == pytest.approx((low + high) / 2, abs=0.01)


def test_agreement_of_a_scaled_copy():
    x = np.array([[1.0, -2.0, 3.0, 0.5]])
    found = geometry.agreement(x, 0.5 * x)
    np.testing.assert_allclose(found.cosine, 1)
    np.testing.assert_allclose(found.amplitude_ratio, 0.5)
    np.testing.assert_allclose(found.rank_correlation, 1)


def test_dispersion_of_gaussian_blobs():
    # E‖x‖ of a d-dimensional standard normal with d = 8 is √2 Γ(4.5) / Γ(4) = 2.7416.
    rng = np.random.default_rng(0)
    blob, rest = rng.normal(size=(4000, 8)) * 0.1 + 1, rng.normal(size=(16000, 8))
    starts = np.arange(20000) < 4000
    found = geometry.dispersion(np.concatenate([blob, rest]), starts, rng)
    assert found.n == 4000
    assert found.radius == pytest.approx(0.27416, rel=0.02)
    assert found.random_radius == pytest.approx(2.5, rel=0.1)
    assert found.unit_radius < 0.3 * found.unit_random_radius


def test_quiet_starts_are_no_more_local_than_quiet_states():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(20000, 6)) * rng.uniform(0.05, 3, (20000, 1))
    quiet = np.linalg.norm(states, axis=1) < 0.5
    found = geometry.dispersion(states, quiet, rng)
    assert found.radius < 0.3 * found.random_radius
    assert found.radius == pytest.approx(found.norm_matched_radius, rel=0.05)


def test_the_mean_at_coverage_over_draws_is_that_of_the_rows_drawn():
    """The slow twin holds every row as often as its recording was drawn."""
    draw = np.random.default_rng(5)
    cosines = np.round(draw.uniform(-1, 1, 200), 1)  # many are equal
    recordings = draw.integers(0, 6, 200)
    times = draw.multinomial(6, np.full(6, 1 / 6), 40).astype(float)
    for coverage in (0.5, 0.96, 1.0):
        found = geometry.resampled_mean_at_coverage(cosines, times, recordings, coverage)
        slow = [
            geometry.mean_at_coverage(np.repeat(cosines, one[recordings].astype(int)), coverage)
            for one in times
        ]
        np.testing.assert_allclose(found, slow, rtol=1e-12)
