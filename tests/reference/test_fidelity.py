"""Distances between sets of sounds: closed forms of Gaussians, slow twins, and what they must not hear."""

import numpy as np
import pytest
import scipy.linalg

from auscult.core.audio import Audio
from auscult.core.errors import NothingToMeasureError
from auscult.measures.embedding import Embedded, LogMelStatistics, TapEmbedder, usual_embedders
from auscult.measures.fidelity import (
    clipping_share,
    frechet_at_infinity,
    frechet_distance,
    kernel_distance,
    median_distance,
    same_level,
    standing_share,
)


def gaussians(n, d, shift=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)) * scale + shift


def test_the_frechet_distance_is_that_of_scipy_root_of_the_product():
    x, y = gaussians(60, 5), gaussians(80, 5, 0.4, 1.7, 1) @ np.diag([1, 2, 0.5, 1, 3])
    means = np.square(x.mean(0) - y.mean(0)).sum()
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    slow = means + np.trace(cov_x + cov_y - 2 * root)
    np.testing.assert_allclose(frechet_distance(x, y), slow, rtol=1e-9)


def test_the_frechet_distance_of_many_gaussian_items_is_the_closed_form():
    # |m|² + d (1 - s)² for N(0, 1) and N(m, s²).
    d, shift, scale = 4, 0.8, 1.5
    found = frechet_distance(gaussians(200_000, d), gaussians(200_000, d, shift, scale, 1))
    np.testing.assert_allclose(found, d * shift**2 + d * (1 - scale) ** 2, rtol=0.01)


def test_extrapolation_takes_away_what_few_items_add():
    d, shift, plain, at_infinity = 8, 0.5, [], []
    for seed in range(20):
        x, y = gaussians(120, d, seed=2 * seed), gaussians(120, d, shift, 1.0, 2 * seed + 1)
        plain.append(frechet_distance(x, y))
        at_infinity.append(frechet_at_infinity(x, y, np.random.default_rng(seed)))
    true = d * shift**2
    assert np.mean(plain) > true + 0.2  # the bias of 120 items in 8 dimensions
    assert abs(np.mean(at_infinity) - true) < 0.4 * (np.mean(plain) - true)


def test_the_kernel_distance_is_its_sums_written_out():
    x, y = gaussians(7, 3), gaussians(5, 3, 0.3, 1.0, 1)
    sigma = 1.3

    def k(a, b):
        return np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2))

    within_x = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (7 * 6)
    within_y = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (5 * 4)
    between = sum(k(a, b) for a in x for b in y) / 35
    expected = 100 * (within_x + within_y - 2 * between)
    np.testing.assert_allclose(kernel_distance(x, y, sigma), expected, rtol=1e-10)


def test_the_kernel_distance_of_gaussians_is_the_closed_form_at_any_size():
    # E k = (σ² / (σ² + 2))^(d/2), times exp(-|m|² / 2(σ² + 2)) between the two.
    d, shift, sigma = 3, 0.7, 1.5
    same = (sigma**2 / (sigma**2 + 2)) ** (d / 2)
    expected = 200 * same * (1 - np.exp(-d * shift**2 / (2 * (sigma**2 + 2))))
    draws = [
        kernel_distance(gaussians(12, d, seed=2 * i), gaussians(9, d, shift, 1.0, 2 * i + 1), sigma)
        for i in range(2000)
    ]
    error = np.std(draws) / np.sqrt(len(draws))
    assert abs(np.mean(draws) - expected) < 4 * error


def test_equal_distributions_are_at_distance_0_on_average():
    draws = [
        kernel_distance(gaussians(10, 4, seed=2 * i), gaussians(10, 4, seed=2 * i + 1))
        for i in range(500)
    ]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(len(draws))


def test_the_usual_bandwidth_is_the_median_distance_by_hand():
    assert median_distance(np.array([[0.0], [1.0], [3.0]])) == 2.0
    with pytest.raises(NothingToMeasureError, match="items that differ"):
        median_distance(np.ones((5, 2)))


def test_too_few_items_are_refused():
    with pytest.raises(NothingToMeasureError, match="at least two"):
        kernel_distance(np.ones((1, 2)), gaussians(4, 2))
    with pytest.raises(NothingToMeasureError, match="at least two"):
        frechet_distance(np.ones((1, 2)), gaussians(4, 2))


def test_clipping_and_standing_shares_by_hand():
    assert clipping_share(np.array([0.5, -1.5, 1.0, 2.0])) == 0.5
    assert standing_share(np.array([[1.0, -1.0], [0.5, 0.5], [0.0, 0.0]])) == pytest.approx(1 / 3)


def test_the_same_level_is_the_same_root_mean_square():
    x, y = gaussians(2, 400).astype(np.float32), gaussians(2, 400, 0.0, 5.0, 1).astype(np.float32)
    levelled = same_level(x, y)
    np.testing.assert_allclose(np.square(levelled).mean(-1), np.square(x).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(levelled / y, (levelled / y)[:, :1].repeat(400, 1), rtol=1e-4)
    assert not same_level(x, np.zeros_like(y)).any()


def sound(hz, level, seconds=2.0, rate=16_000, seed=0):
    t = np.arange(round(seconds * rate)) / rate
    noise = 1e-2 * np.random.default_rng(seed).standard_normal(len(t))
    return Audio((level * np.sin(2 * np.pi * hz * t) + noise)[None].astype(np.float32), rate)


def test_twice_the_amplitude_raises_every_band_by_6_db():
    quiet, loud = (
        LogMelStatistics().embed([Audio(a * sound(440, 0.1).samples, 16_000)]) for a in (1, 2)
    )
    assert quiet.values.shape == (4, 64)
    np.testing.assert_allclose(
        loud.values[:, :32] - quiet.values[:, :32], 20 * np.log10(2), atol=1e-3
    )
    np.testing.assert_allclose(loud.values[:, 32:], quiet.values[:, 32:], atol=1e-3)


def test_every_usual_embedder_tells_high_from_low_and_not_one_noise_from_another():
    low = [sound(300, 0.2, seed=i) for i in range(6)]
    other = [sound(300, 0.2, seed=10 + i) for i in range(6)]
    high = [sound(2500, 0.2, seed=20 + i) for i in range(6)]
    for embedder in usual_embedders():
        a, b, c = (embedder.embed(some).values for some in (low, other, high))
        width = median_distance(np.concatenate([a, c]))
        assert kernel_distance(a, c, width) > 20
        assert abs(kernel_distance(a, b, width)) < 2, embedder.name


def test_a_tap_embedder_averages_what_the_tap_says_over_time():
    toy = usual_embedders()[1]
    assert isinstance(toy, TapEmbedder)
    one = sound(440, 0.1)
    found = toy.embed([one, sound(880, 0.1, seconds=0.5)])
    assert set(found.sounds) == {0}  # half a second is shorter than a stretch
    assert found.values.shape[1] == 256


def test_a_sound_named_twice_brings_its_vectors_twice():
    embedded = Embedded(np.arange(6.0).reshape(3, 2), np.array([0, 0, 1]))
    np.testing.assert_array_equal(
        embedded.of(np.array([1, 0, 1])), [[4, 5], [0, 1], [2, 3], [4, 5]]
    )
