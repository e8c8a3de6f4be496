"""The Gabor bank against its formula, and the way back against latents that it must keep."""

import numpy as np
import pytest
import torch

from auscult.core.errors import NothingToMeasureError
from auscult.measures.gabor import (
    cosine,
    exchanged,
    gabor_bank,
    moved_towards,
    random_bank,
    refactorise,
    width_hz,
)

ENCODEC_SPAN = 2718 / 320


def turning(n_sounds, d, n_frames, rng):
    """Latents whose channels turn at frequencies of their own."""
    f = rng.uniform(0.02, 0.45, (n_sounds, d, 1))
    phase = rng.uniform(0, 2 * np.pi, (n_sounds, d, 1))
    wave = np.cos(2 * np.pi * f * np.arange(n_frames) + phase)
    return torch.from_numpy(wave.astype(np.float32))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_bank_has_the_published_number_of_kernels_and_length_for_encodec():
    kernels = gabor_bank(ENCODEC_SPAN)
    assert kernels.shape == (5, 17)  # ⌊0.5 / δ⌋ + 1 and the odd length above 2 / δ, δ = 1 / 8.49


def test_each_kernel_has_unit_gain_at_its_centre():
    kernels = gabor_bank(12.0)
    t = np.arange(kernels.shape[1]) - kernels.shape[1] // 2
    centres = np.linspace(0, 0.5, len(kernels))
    gains = [
        abs((k * np.exp(-2j * np.pi * f * t)).sum()) for k, f in zip(kernels, centres, strict=True)
    ]
    np.testing.assert_allclose(gains, 1.0, rtol=1e-5)


def test_a_hann_window_of_seventeen_frames_is_as_wide_as_its_formula():
    assert width_hz(gabor_bank(ENCODEC_SPAN), 75.0) == pytest.approx(1.44 * 75 / 18, rel=0.03)


def test_random_kernels_are_as_many_as_long_and_as_strong_but_wider(rng):
    kernels = gabor_bank(ENCODEC_SPAN)
    drawn = random_bank(kernels, rng)
    assert drawn.shape == kernels.shape
    np.testing.assert_allclose(
        np.linalg.norm(drawn, axis=1), np.linalg.norm(kernels, axis=1), rtol=1e-5
    )
    assert width_hz(drawn, 75.0) > 1.5 * width_hz(kernels, 75.0)


def test_latents_that_turn_are_given_back_and_better_than_by_random_kernels(rng):
    seen, unseen = turning(16, 4, 80, rng), turning(8, 4, 80, rng)
    kernels = gabor_bank(ENCODEC_SPAN)
    own, drawn = (
        cosine(one.out(one.into(unseen)), unseen).mean()
        for one in (refactorise(seen, kernels), refactorise(seen, random_bank(kernels, rng)))
    )
    assert own > 0.99
    assert drawn < own - 0.02


def test_mean_and_spread_of_channels_come_back(rng):
    seen = turning(16, 3, 60, rng) * torch.tensor([1.0, 30.0, 0.01])[:, None] + 5.0
    one = refactorise(seen, gabor_bank(8.0))
    back = one.out(one.into(seen))
    error = (back - seen).square().mean((0, 2)) / seen.var((0, 2))
    assert error.max() < 0.05


def test_the_parts_that_differ_most_are_exchanged_by_hand():
    own = torch.zeros(4, 2)
    other = torch.tensor([[1.0, 1], [5, 5], [2, 2], [0, 0]])
    told = exchanged(own, other, 0.5, axis=0)
    np.testing.assert_array_equal(told, [[0, 0], [5, 5], [2, 2], [0, 0]])
    np.testing.assert_array_equal(exchanged(own, other, 1.0, axis=0), other)
    np.testing.assert_array_equal(exchanged(own.T, other.T, 0.25, axis=1)[:, 1], [5, 5])


def test_a_pitch_goes_over_when_it_moves_half_a_semitone_the_right_way_and_is_not_lost():
    start, goal = np.array([60.0, 60, 60, 60]), np.array([65.0, 65, 55, 65])
    end = np.array([64.9, 60.2, 59.0, np.nan])
    np.testing.assert_array_equal(moved_towards(start, end, goal), [True, False, True, False])


def test_frames_without_reach_have_no_bands():
    with pytest.raises(NothingToMeasureError):
        gabor_bank(1.5)
