"""Spectra and events against SciPy, mir_eval and librosa."""

import numpy as np
import pytest
from scipy.signal import freqz, welch

from auscult.measures import events, fragment_spectra, spectra


def test_the_response_equals_freqz():
    taps = np.random.default_rng(0).normal(size=(3, 7))
    hz, gain = spectra.frequency_response(taps, 24000, 512)
    for row, expected in zip(gain, taps, strict=True):
        _, h = freqz(expected, worN=hz, fs=24000)
        np.testing.assert_allclose(row, np.abs(h), atol=1e-12)


def test_the_mean_spectrum_of_even_fragments_equals_welch():
    x = np.random.default_rng(0).normal(size=(1, 4096))
    hz, power = fragment_spectra.mean_spectrum(x, 16000)
    f, expected = welch(x[0], 16000, "hann", 4096, detrend=False)
    np.testing.assert_allclose(hz, f)
    np.testing.assert_allclose(power, expected / expected.sum(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_matched_events_equal_mir_eval(seed):
    onset = pytest.importorskip("mir_eval").onset
    rng = np.random.default_rng(seed)
    reference, estimated = np.sort(rng.uniform(0, 3, 40)), np.sort(rng.uniform(0, 3, 55))
    f, precision, recall = onset.f_measure(reference, estimated, window=0.02)
    np.testing.assert_allclose(
        events.match_events(estimated, reference), (precision, recall, f), rtol=1e-12
    )


def test_onsets_agree_with_librosa_on_plucked_notes():
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(0)
    times, rate = np.arange(0.3, 3.7, 0.25) + rng.uniform(0, 0.05, 14), 22050
    sound = np.zeros(4 * rate)
    for time in times:
        t = np.arange(len(sound) - round(time * rate)) / rate
        pitch = rng.uniform(200, 900)
        harmonics = sum(np.sin(2 * np.pi * pitch * h * t) / h for h in range(1, 8))
        sound[-len(t) :] += harmonics * np.exp(-t / 0.1)
    ours = events.onset_times_s(sound.astype(np.float32), rate)
    theirs = librosa.onset.onset_detect(y=sound, sr=rate, hop_length=64, units="time")
    assert events.match_events(ours, times)[2] == 1.0
    assert events.match_events(ours, theirs, 0.025)[2] > 0.9
