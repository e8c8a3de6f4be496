"""Partials that were added are taken out; levels that were planted are read."""

import numpy as np
import pytest

from auscult.measures.portraits import partial_sum, pooled_levels, read_from, spectrogram_db

FS = 8_000


def test_the_partials_of_a_sum_are_found_in_the_order_of_their_strength():
    t = np.arange(800) / FS
    wave = 0.2 * np.sin(2 * np.pi * 610 * t + 1) + 0.5 * np.sin(2 * np.pi * 1_250 * t)
    found = partial_sum(wave, FS, 3)
    assert found.f_hz[:2] == pytest.approx([1_250, 610], abs=2)
    assert found.captured[0] == pytest.approx(0.25 / 0.29, abs=0.01)
    assert found.captured[1] > 0.999
    np.testing.assert_allclose(found.waves.sum(0), found.wave, atol=0.01)


def test_noise_has_no_strong_partials():
    noise = np.random.default_rng(0).standard_normal(800)
    assert partial_sum(noise, FS, 8).captured[-1] < 0.4


def test_a_sine_stands_in_its_band_at_its_level():
    t = np.arange(FS) / FS
    levels, centres, times = spectrogram_db(0.5 * np.sin(2 * np.pi * 1_000 * t), FS)
    loudest = levels.mean(1).argmax()
    assert centres[loudest] == pytest.approx(1_000, rel=0.06)
    assert len(times) == levels.shape[1]
    assert times[0] == pytest.approx(512 / FS)
    assert levels[centres > 2_000].max() < -60
    assert levels.min() >= -100


def test_a_readout_reads_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 6))
    held_out = np.arange(400) >= 200
    y = x[:, :2] @ rng.standard_normal((2, 3))
    assert read_from(x, y, held_out) > 0.99
    assert read_from(rng.permutation(x), y, held_out) < 0.05


def test_levels_are_those_of_the_frames_around():
    values = np.array([[1.0], [1.0], [3.0], [3.0]])
    frames = np.array([0.0, 0.1, 0.2, 0.3])
    found = pooled_levels(values, frames, np.array([0.05, 0.25, 9.0]), 0.06)
    np.testing.assert_allclose(np.exp(found[:, 0]), [1.0, 3.0, 3.0], rtol=1e-5)
