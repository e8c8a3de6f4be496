import numpy as np
import pytest

from auscult.measures import fragment_spectra, spectra

T = np.arange(4096) / 24000


def test_a_cosine_filter_is_dominated_by_its_frequency():
    filters = np.stack([np.cos(2 * np.pi * f * np.arange(64) / 24000) for f in (1500.0, 6000.0)])
    np.testing.assert_allclose(spectra.dominant_frequency_hz(filters, 24000), [1500, 6000], atol=30)


@pytest.mark.parametrize("n_taps", [7, 64])
def test_the_main_lobe_of_a_rectangle_is_two_over_its_length(n_taps):
    width = spectra.first_null_width_hz(np.ones((1, n_taps)), 24000)
    np.testing.assert_allclose(width, 2 * 24000 / n_taps, rtol=5e-4)


def test_a_long_rectangle_has_the_stated_3_db_width():
    half = 10 * np.log10(0.5)
    width = spectra.bandwidth_hz(np.ones((1, 256)), 24000, half, 65536)
    np.testing.assert_allclose(width, spectra.RECTANGLE_3DB * 24000 / 256, rtol=1e-3)


def test_the_width_at_half_power_of_two_taps_is_exact():
    half_db = 10 * np.log10(0.5)
    width = spectra.bandwidth_hz(np.ones((1, 2)), 8000, half_db)
    np.testing.assert_allclose(width, 4000, rtol=1e-6)


def test_width_does_not_depend_on_where_the_band_lies():
    window = np.hanning(66)[1:-1]
    shifted = np.stack([window * np.cos(2 * np.pi * f * np.arange(64)) for f in (0.2, 0.3)])
    found = spectra.bandwidth_hz(np.concatenate([window[None], shifted]), 24000, -10.0, 16384)
    np.testing.assert_allclose(found, found[0], rtol=1e-2)


def test_a_single_tap_passes_everything():
    np.testing.assert_allclose(spectra.bandwidth_hz(np.ones((1, 1)), 16000), 16000)


def test_a_filter_of_zeros_has_no_width():
    assert np.isnan(spectra.bandwidth_hz(np.zeros((1, 7)), 16000)).all()
    assert np.isnan(spectra.gabor_product(np.zeros((1, 7)))).all()


@pytest.mark.parametrize("frequency", [0.0, 0.15, 0.25, 0.4, 0.5])
def test_a_gaussian_attains_the_gabor_limit(frequency):
    t = np.arange(-60, 61)
    atom = np.exp(-(t**2) / (2 * 10**2)) * np.cos(2 * np.pi * frequency * t)
    np.testing.assert_allclose(spectra.gabor_product(atom[None]), spectra.GABOR_LIMIT, rtol=1e-3)


@pytest.mark.parametrize("n_taps", [1, 2, 3, 7, 31])
def test_no_filter_goes_below_the_gabor_limit(n_taps):
    filters = np.random.default_rng(n_taps).normal(size=(100, n_taps))
    assert spectra.gabor_product(filters).min() >= spectra.GABOR_LIMIT


def test_the_gabor_product_of_a_single_tap_is_that_of_a_triangle():
    # σ_t² = 1/10 and σ_f² = 3 / (4π²) for the triangle of base 2.
    np.testing.assert_allclose(
        spectra.gabor_product(np.full((1, 1), -3.0)), np.sqrt(0.3) / (2 * np.pi)
    )


def test_shape_numbers_of_hand_made_filters():
    filters = np.array([[1.0, 2.0, 1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 1.0]])
    np.testing.assert_allclose(spectra.dc_gain(filters), [4, 0, 1])
    np.testing.assert_allclose(spectra.symmetry_index(filters), [1, -1, 1])
    np.testing.assert_array_equal(spectra.sign_changes(filters), [0, 1, 2])


def test_every_fragment_counts_the_same():
    loud, quiet = np.sin(2 * np.pi * 1500 * T), 1e-4 * np.sin(2 * np.pi * 6000 * T)
    hz, power = fragment_spectra.mean_spectrum(np.stack([loud, quiet]), 24000)
    assert power[np.abs(hz - 1500) < 30].sum() == pytest.approx(0.5, abs=1e-3)
    assert power.sum() == pytest.approx(1)


def test_weights_shift_the_mean_spectrum():
    x = np.stack([np.sin(2 * np.pi * f * T) for f in (1500, 6000)])
    hz, power = fragment_spectra.mean_spectrum(x, 24000, weights=np.array([3.0, 1.0]))
    assert power[np.abs(hz - 1500) < 30].sum() == pytest.approx(0.75, abs=1e-3)


def test_silent_fragments_are_left_out():
    x = np.stack([np.sin(2 * np.pi * 1500 * T), np.zeros(4096)])
    assert fragment_spectra.mean_spectrum(x, 24000)[1].sum() == pytest.approx(1)


def test_a_flat_spectrum_has_flatness_one_and_a_line_almost_none():
    assert fragment_spectra.spectral_flatness(np.ones(100)) == pytest.approx(1)
    assert fragment_spectra.spectral_flatness(np.eye(1, 100)[0]) < 1e-6


def test_a_ratio_removes_what_the_corpus_has():
    corpus = np.array([100.0, 10.0, 1.0, 1e-9])
    ratio = fragment_spectra.ratio_spectrum(np.array([100.0, 20.0, 1.0, 1e-9]), corpus)
    np.testing.assert_allclose(ratio, [1, 2, 1, 1e-5])


def test_the_edges_of_a_triangle_in_db_are_interpolated():
    hz = np.arange(0.0, 1000, 10)
    power = 10 ** (-np.abs(hz - 400) / 70)
    low, high = fragment_spectra.band_edges_hz(hz, power, -10.0)
    assert (low, high) == (pytest.approx(330), pytest.approx(470))


def test_an_octave_is_an_octave():
    hz = np.arange(0.0, 4000, 1)
    power = ((hz >= 500) & (hz <= 1000)).astype(float)
    assert fragment_spectra.bandwidth_octaves(hz, power) == pytest.approx(1, abs=0.01)


def test_a_lobe_at_0_hz_has_a_finite_width():
    hz = np.arange(0.0, 1025, 1)
    assert fragment_spectra.bandwidth_octaves(hz, np.ones(1025)) == pytest.approx(10)


def test_smoothing_keeps_a_flat_spectrum_and_spreads_a_line():
    hz = np.linspace(0, 8000, 2000)
    np.testing.assert_allclose(fragment_spectra.smoothed(hz, np.ones(2000)), 1)
    line = np.eye(1, 2000, 1000)[0]
    spread = fragment_spectra.smoothed(hz, line, 1 / 3)
    width = fragment_spectra.bandwidth_octaves(hz, spread, -3.0)
    assert width == pytest.approx(1 / 3, rel=0.03)


def test_half_of_an_even_spectrum_is_half_the_band():
    hz = np.arange(100) * 10.0
    assert fragment_spectra.half_energy_bandwidth_hz(hz, np.ones(100)) == pytest.approx(500)


def test_half_the_energy_of_a_strong_line_lies_within_its_bin():
    hz = np.arange(100) * 10.0
    power = np.full(100, 1e-9)
    power[40] = 1.0
    assert fragment_spectra.half_energy_bandwidth_hz(hz, power) == pytest.approx(5, rel=1e-3)


def test_the_width_of_a_lopsided_lobe_equals_the_slow_way():
    taps = np.convolve(np.cos(2 * np.pi * 0.2 * np.arange(40)), [1.0, -0.9])
    gain = np.abs(np.fft.fft(taps, 1 << 18))
    above = gain >= gain.max() * 10 ** (-6 / 20)
    left = right = int(gain[: 1 << 17].argmax())
    while above[left - 1]:
        left -= 1
    while above[right + 1]:
        right += 1
    assert abs((right + left) / 2 - gain[: 1 << 17].argmax()) > 20
    found = spectra.bandwidth_hz(taps[None], 24000, -6.0)
    np.testing.assert_allclose(found, (right - left) * 24000 / (1 << 18), rtol=2e-3)


def test_nulls_between_two_bins_are_found():
    found = spectra.first_null_width_hz(np.ones((1, 7)), 24000, n_fft=256)
    # Bins are 94 Hz wide.
    np.testing.assert_allclose(found, 2 * 24000 / 7, atol=5)
