import numpy as np
import pytest

from auscult.core.errors import ConfigError
from auscult.measures import tuning


def test_the_quality_of_a_triangle_on_an_octave_axis():
    # Halves per octave from 1 kHz: falls to 2^-0.5 half an octave away on a log scale of values.
    centres = 1000 * 2.0 ** np.arange(-4, 4.25, 0.25)
    curve = np.maximum(1 - np.abs(np.log2(centres / 1000)), 0)
    edge = 1 - 2**-0.5
    assert tuning.q_factor(curve, centres) == pytest.approx(1 / (2**edge - 2**-edge), rel=1e-6)


def test_a_flat_curve_has_the_quality_of_its_range():
    centres = np.array([500.0, 1000.0, 1500.0])
    assert tuning.q_factor(np.array([1.0, 1.1, 1.0]), centres) == pytest.approx(1.0)


def test_an_empty_bin_is_bridged():
    centres = np.array([250.0, 500.0, 1000.0, 2000.0])
    with_gap = tuning.q_factor(np.array([0.0, np.nan, 1.0, 0.0]), centres)
    assert with_gap == pytest.approx(tuning.q_factor(np.array([0.0, 1.0, 0.0]), centres[[0, 2, 3]]))


def test_stability_of_a_scaled_curve_is_one():
    curve = np.array([0.0, 1.0, 3.0, np.nan, 2.0])
    assert tuning.tuning_stability(curve, 5 * curve + 1) == pytest.approx(1)


def test_stability_needs_three_bins():
    curve = np.array([0.0, 1.0, np.nan])
    assert np.isnan(tuning.tuning_stability(curve, curve))


@pytest.mark.parametrize(
    ("widths", "narrow"),
    [
        ([0.2] * 4 + [2.0], True),
        ([0.2] * 3 + [2.0] * 2, False),
        ([0.2, np.nan], False),
        ([], False),
    ],
)
def test_narrow_means_narrow_in_most_contexts(widths, narrow):
    assert tuning.is_narrow_band(np.array(widths, dtype=np.float64)) is narrow


def mixtures(rng, n_mixtures=6, n_frames=800, n_partials=3):
    slow = rng.normal(size=(n_mixtures, n_frames + 9, n_partials))
    return np.stack([slow[:, i : i + n_frames] for i in range(10)]).mean(axis=0)


def test_a_unit_that_follows_a_partial_is_found():
    rng = np.random.default_rng(0)
    envelopes = mixtures(rng)
    noise = rng.normal(size=(6, 800, 4))
    acts = noise.copy()
    acts[:, :, 2] = 4 * envelopes[:, :, 1] + 0.1 * noise[:, :, 2]
    held_out = np.arange(800) >= 400
    found = tuning.envelope_regression(acts, envelopes, held_out)
    np.testing.assert_array_equal(found.consistent_units, [2])
    np.testing.assert_array_equal(found.winner[:, 1], 2)
    assert found.consistency[1] == 1.0
    assert found.selectivity[:, 2].min() > 0.8
    assert found.selectivity[:, [0, 1, 3]].max() < 0.2


def test_a_unit_that_hears_the_sum_is_not_selective():
    rng = np.random.default_rng(1)
    envelopes = mixtures(rng)
    acts = envelopes.sum(axis=2, keepdims=True)
    found = tuning.envelope_regression(acts, envelopes, np.arange(800) >= 400)
    assert found.selectivity.mean() < 0.3


def test_what_only_fits_its_own_frames_explains_nothing():
    rng = np.random.default_rng(2)
    envelopes, acts = rng.normal(size=(1, 20, 3)), rng.normal(size=(1, 20, 50))
    envelopes[:, 10:] *= 30
    found = tuning.envelope_regression(acts, envelopes, np.arange(20) >= 10)
    assert np.median(found.r_squared) == 0.0


def test_held_out_r_squared_equals_the_line_written_out():
    rng = np.random.default_rng(3)
    e, noise = rng.normal(size=(1, 40, 1)), rng.normal(size=(1, 40, 1))
    a, test = 2 * e + noise, np.arange(40) >= 25
    line = np.polyfit(e[0, ~test, 0], a[0, ~test, 0], 1)
    residual = a[0, test, 0] - np.polyval(line, e[0, test, 0])
    total = a[0, test, 0] - a[0, ~test, 0].mean()
    expected = 1 - np.sum(residual**2) / np.sum(total**2)
    found = tuning.envelope_regression(a, e, test)
    assert found.r_squared[0, 0, 0] == pytest.approx(expected)


def test_holding_out_everything_is_refused():
    with pytest.raises(ConfigError, match="held out"):
        tuning.envelope_regression(np.ones((1, 4, 1)), np.ones((1, 4, 1)), np.ones(4, dtype=bool))


def test_a_single_tall_bin_is_cut_on_both_sides():
    found = tuning.q_factor(np.array([0.0, 1.0, 0.0]), np.array([500.0, 1000.0, 2000.0]))
    edge = 1 - 2**-0.5
    assert found == pytest.approx(1 / (2**edge - 2**-edge), rel=1e-6)
