"""Tuning, thresholds and contours on units whose answers are known; sweeps that are what they say."""

from fractions import Fraction

import numpy as np
import pytest

from auscult.concepts.base import CONCEPTS
from auscult.core.audio import Audio
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.measures.psychophysics import iso_response, permuted_steps, thresholds, tuning
from auscult.measures.statistics import holm
from auscult.measures.sweeps import SWEEPS, sweep_sounds

RATE = 16_000


def units(n_steps=10, n_repeats=6, n_units=200, seed=0):
    """Unit 0 follows the step, unit 1 is silent, the others are noise."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n_steps, n_repeats, n_units))
    values[:, :, 0] += np.arange(n_steps)[:, None]
    values[:, :, 1] = 3.0
    return values


def test_only_the_unit_that_follows_the_step_is_tuned():
    found = tuning(units())
    assert np.flatnonzero(holm(found.p_values) < 0.01).tolist() == [0]
    assert found.explained[0] > 0.8
    assert found.p_values[1] == 1
    assert np.isnan(found.explained[1])


def test_tuning_is_scipys_one_way_analysis_of_variance():
    from scipy.stats import f_oneway

    values = units(n_units=3)[:, :, [0, 2]]
    expected = f_oneway(*values)
    np.testing.assert_allclose(tuning(values).p_values, expected.pvalue, rtol=1e-9)


def test_a_unit_without_tuning_explains_what_arithmetic_says():
    n_steps, n_repeats = 10, 6
    found = tuning(units(n_steps, n_repeats, 3000)).explained[2:]
    assert np.mean(found) == pytest.approx((n_steps - 1) / (n_steps * n_repeats - 1), abs=0.005)


def test_permuted_steps_are_not_tuned_and_hold_the_same_values():
    values = units()
    mixed = permuted_steps(values, np.random.default_rng(1))
    np.testing.assert_array_equal(
        np.sort(mixed.reshape(-1, 200), 0), np.sort(values.reshape(-1, 200), 0)
    )
    assert holm(tuning(mixed).p_values).min() > 0.01


def test_a_threshold_is_where_the_change_equals_the_deviation():
    """Means rise by 2 per step of 5 Hz; repeats deviate by 1: one deviation is half a step."""
    means = 2.0 * np.arange(4)[:, None, None]
    values = means + np.array([-1.0, 1.0])[None, :, None] / np.sqrt(2)
    steps = 100 + 5.0 * np.arange(4)
    assert thresholds(tuning(values), steps)[0] == pytest.approx(2.5)
    flat = np.zeros((4, 2, 1)) + np.array([-1.0, 1.0])[None, :, None]
    assert np.isnan(thresholds(tuning(flat), steps)[0])


def test_a_contour_is_the_level_that_reaches_the_criterion():
    levels = np.array([-40.0, -30.0, -20.0])
    responses = np.array([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0], [0.0, 0.1, 0.2]])
    np.testing.assert_allclose(iso_response(responses, levels, 1.5), [-25.0, -40.0, np.nan])


def test_one_repeat_is_too_few():
    with pytest.raises(ConfigError, match="two repeats"):
        tuning(np.zeros((4, 1, 2)))


def measured(concept, samples):
    time = TimeBase(RATE, hop=Fraction(320))
    labels = CONCEPTS.get(concept)().label(Audio(samples.astype(np.float32)[None], RATE), time)
    return float(np.nanmedian(labels.values[4:-4]))


@pytest.mark.parametrize(
    ("sweep", "concept", "tolerance"),
    [
        ("pitch", "pitch", 0.3),
        ("level", "loudness", 0.6),
        ("inharmonicity", "inharmonicity", 0.2),
    ],
)
def test_a_sweep_moves_what_it_says_by_as_much_as_it_says(sweep, concept, tolerance):
    steps, sounds = sweep_sounds(SWEEPS[sweep], 5, 1, 0.6, RATE, np.random.default_rng(0))
    kept = steps > 1e-4 if sweep == "inharmonicity" else steps < 1e9  # below it reads as none
    scale = {
        "pitch": lambda hz: 69 + 12 * np.log2(hz / 440),
        "level": lambda decibels: decibels,
        "inharmonicity": np.log10,
    }[sweep]
    truth = scale(steps[kept])
    found = [measured(concept, one[0]) for one in sounds[kept]]
    np.testing.assert_allclose(found, truth, atol=tolerance)


def test_the_centroid_rises_with_its_sweep_and_the_level_stays():
    _, sounds = sweep_sounds(SWEEPS["centroid"], 6, 1, 0.4, RATE, np.random.default_rng(0))
    assert np.all(np.diff([measured("centroid", one[0]) for one in sounds]) > 0)
    assert np.ptp([measured("loudness", one[0]) for one in sounds]) < 1


@pytest.mark.parametrize("name", ["AM rate", "FM rate"])
def test_modulation_has_the_rate_of_its_step(name):
    steps, sounds = sweep_sounds(SWEEPS[name], 3, 1, 2.0, RATE, np.random.default_rng(0))
    for rate_hz, sound in zip(steps, sounds[:, 0], strict=True):
        if name == "AM rate":
            course = np.sqrt(np.convolve(sound**2, np.ones(200) / 200, "same"))
        else:
            from scipy.signal import hilbert

            kept = np.fft.irfft(np.fft.rfft(sound) * (np.fft.rfftfreq(len(sound), 1 / RATE) < 330))
            course = np.diff(np.unwrap(np.angle(hilbert(kept))))
        course = (course - course.mean())[800:-800] * np.hanning(len(course) - 1600)
        spectrum = np.abs(np.fft.rfft(course, 1 << 18))
        hz = np.fft.rfftfreq(1 << 18, 1 / RATE)
        band = (hz > 1) & (hz < 100)
        assert hz[band][spectrum[band].argmax()] == pytest.approx(rate_hz, rel=0.08, abs=0.3)


@pytest.mark.parametrize("name", SWEEPS)
def test_repeats_differ_in_phase_and_nothing_clips(name):
    _, sounds = sweep_sounds(SWEEPS[name], 3, 2, 0.3, RATE, np.random.default_rng(0))
    assert not np.allclose(sounds[:, 0], sounds[:, 1])
    assert np.abs(sounds).max() < 1.2
