"""Distances between waveforms: against closed forms, an independent library, and slopes by hand."""

import math

import librosa
import numpy as np
import pytest
import torch

from auscult.core.distances import (
    log_mel_distance_db,
    magnitudes,
    mel_filters,
    si_sdr_db,
    stft_distance,
)
from auscult.core.errors import AudioError

RATE = 16_000


def tone(frequency_hz: float, n: int = 8_000, amplitude: float = 0.5) -> torch.Tensor:
    return amplitude * torch.sin(
        2 * math.pi * frequency_hz * torch.arange(n, dtype=torch.float64) / RATE
    )


def noise(n: int = 8_000, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(n))


DISTANCES = {
    "si-sdr": si_sdr_db,
    "convergence": lambda a, b: stft_distance(a, b).convergence,
    "convergence, first order": lambda a, b: stft_distance(a, b, order=1).convergence,
    "log magnitude": lambda a, b: stft_distance(a, b).log_magnitude,
    "log mel": lambda a, b: log_mel_distance_db(a, b, RATE),
}


@pytest.mark.parametrize("ratio_db", [-10.0, 0.0, 23.0])
def test_an_orthogonal_error_of_known_power_gives_its_ratio(ratio_db):
    # Both have whole periods within the clip, so they are orthogonal and without mean.
    signal, error = tone(400.0), tone(1000.0)
    estimate = signal + 10 ** (-ratio_db / 20) * error
    assert si_sdr_db(signal, estimate).item() == pytest.approx(ratio_db, abs=1e-6)


def test_a_gain_costs_nothing():
    signal = tone(400.0)
    noisy = signal + 0.1 * tone(1000.0)
    for gain in (-1.0, 0.01, 7.0):
        assert si_sdr_db(signal, gain * noisy).item() == pytest.approx(20.0, abs=1e-6)


def test_a_constant_added_does_not_count_as_distortion():
    signal = tone(400.0)
    assert si_sdr_db(signal, signal + 0.1 * tone(1000.0) + 0.3).item() == pytest.approx(20.0)


def test_ratios_end_at_120_db_on_both_sides():
    signal = tone(400.0)
    assert si_sdr_db(signal, 3 * signal).item() == pytest.approx(120.0, abs=1e-3)
    assert si_sdr_db(signal, tone(1000.0)).item() == pytest.approx(-120.0, abs=1e-3)
    assert si_sdr_db(signal, torch.zeros_like(signal)).item() == pytest.approx(-120.0)


def test_a_gain_is_a_known_distance_between_spectra():
    signal, gain = noise(), 0.8
    distance = stft_distance(signal, gain * signal)
    assert distance.convergence.item() == pytest.approx(1 - gain, rel=1e-6)
    assert stft_distance(signal, gain * signal, order=1).convergence.item() == pytest.approx(
        1 - gain, rel=1e-6
    )
    # The floor lies 60 dB below the strongest bin: noise has next to nothing near it.
    assert distance.log_magnitude.item() == pytest.approx(-math.log(gain), rel=0.03)
    assert distance.log_magnitude.item() < -math.log(gain)
    mel_db = log_mel_distance_db(signal, gain * signal, RATE).item()
    assert mel_db == pytest.approx(-20 * math.log10(gain), rel=1e-3)


def test_silence_is_at_convergence_one():
    signal = noise()
    for order in (1, 2):
        distance = stft_distance(signal, torch.zeros_like(signal), order=order)
        assert distance.convergence.item() == pytest.approx(1.0, abs=1e-5)


def test_spectral_distances_do_not_hear_phase():
    signal = tone(400.0)
    turned = -signal
    assert stft_distance(signal, turned).total.item() < 1e-5
    assert log_mel_distance_db(signal, turned, RATE).item() < 1e-9


@pytest.mark.parametrize("name", DISTANCES)
def test_each_of_a_batch_gets_its_own_value(name):
    distance = DISTANCES[name]
    a = torch.stack([noise(seed=i) * (i + 1) for i in range(6)]).reshape(2, 3, -1)
    b = a + 0.3 * torch.stack([noise(seed=10 + i) for i in range(6)]).reshape(2, 3, -1)
    together = distance(a, b)
    assert together.shape == (2, 3)
    alone = torch.stack([distance(a[i, j], b[i, j]) for i in range(2) for j in range(3)])
    torch.testing.assert_close(together.flatten(), alone)


@pytest.mark.parametrize("name", DISTANCES)
def test_slopes_are_those_of_differences(name):
    distance = DISTANCES[name]
    signal = noise(3_000)
    estimate = (signal + 0.3 * noise(3_000, seed=1)).requires_grad_(True)
    (slope,) = torch.autograd.grad(distance(signal, estimate), estimate)
    along = noise(3_000, seed=2)
    step = 1e-5
    with torch.no_grad():
        ahead = distance(signal, estimate + step * along)
        behind = distance(signal, estimate - step * along)
    assert (slope @ along).item() == pytest.approx(((ahead - behind) / (2 * step)).item(), rel=1e-4)


@pytest.mark.parametrize("name", DISTANCES)
def test_slopes_are_finite_where_the_estimate_is_right_or_silent(name):
    signal = noise(3_000).float()
    for estimate in (signal.clone(), torch.zeros(3_000)):
        estimate.requires_grad_(True)
        (slope,) = torch.autograd.grad(DISTANCES[name](signal, estimate), estimate)
        assert torch.isfinite(slope).all()


@pytest.mark.parametrize(("rate", "window", "n_mels"), [(16_000, 1024, 40), (24_000, 2048, 80)])
def test_bands_are_those_of_librosa(rate, window, n_mels):
    theirs = librosa.filters.mel(sr=rate, n_fft=window, n_mels=n_mels, dtype=np.float64)
    torch.testing.assert_close(
        mel_filters(rate, window, n_mels), torch.from_numpy(theirs), rtol=1e-9, atol=1e-12
    )


def test_magnitudes_are_those_of_librosa():
    signal = noise()
    theirs = np.abs(
        librosa.stft(
            signal.numpy(), n_fft=512, hop_length=128, pad_mode="constant", dtype=np.complex128
        )
    )
    torch.testing.assert_close(
        magnitudes(signal, 512), torch.from_numpy(theirs), rtol=1e-7, atol=1e-5
    )


def test_the_spectral_distance_is_the_one_computed_slowly_with_librosa():
    signal, estimate = noise(), noise() + 0.5 * noise(seed=3)
    convergences, logarithms = [], []
    for window in (256, 1024):
        a, b = (
            np.abs(
                librosa.stft(
                    w.numpy(),
                    n_fft=window,
                    hop_length=window // 4,
                    pad_mode="constant",
                    dtype=np.complex128,
                )
            )
            for w in (signal, estimate)
        )
        floor = 1e-3 * a.max()
        convergences.append(np.linalg.norm(a - b) / np.linalg.norm(a))
        logarithms.append(np.abs(np.log(a + floor) - np.log(b + floor)).mean())
    ours = stft_distance(signal, estimate, windows=(256, 1024))
    assert ours.convergence.item() == pytest.approx(np.mean(convergences), rel=1e-7)
    assert ours.log_magnitude.item() == pytest.approx(np.mean(logarithms), rel=1e-6)
    assert ours.total.item() == pytest.approx(np.mean(convergences) + np.mean(logarithms), rel=1e-6)


def test_sounds_of_two_lengths_silence_and_nan_are_refused():
    signal = noise()
    with pytest.raises(AudioError, match="trim them"):
        si_sdr_db(signal, signal[:-1])
    with pytest.raises(AudioError, match="reference 1 of 2 is silent"):
        stft_distance(torch.stack([signal, 0 * signal]), torch.stack([signal, signal]))
    with pytest.raises(AudioError, match="silent"):
        si_sdr_db(torch.full((100,), 0.25), noise(100))
    with pytest.raises(AudioError, match="estimate holds samples"):
        log_mel_distance_db(signal, signal * float("nan"), RATE)
