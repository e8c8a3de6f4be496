"""The mel filters and the cepstrum against librosa's."""

from fractions import Fraction

import numpy as np
import pytest

from auscult.concepts.log_mel import log_mel, mel_bank, mfcc
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase

librosa = pytest.importorskip("librosa")


@pytest.mark.parametrize(("rate", "n", "n_bands"), [(16_000, 720, 40), (24_000, 1125, 64)])
def test_the_filters_are_librosas(rate, n, n_bands):
    theirs = librosa.filters.mel(sr=rate, n_fft=n, n_mels=n_bands)
    np.testing.assert_allclose(mel_bank(rate, n, n_bands), theirs, atol=1e-7)


def test_a_cepstrum_is_librosas():
    rng = np.random.default_rng(0)
    bands = rng.standard_normal((9, 40))
    np.testing.assert_allclose(
        mfcc(bands, 13), librosa.feature.mfcc(S=bands.T, n_mfcc=13).T, atol=1e-9
    )


def test_a_tone_lies_in_the_band_around_its_frequency():
    rate, time = 16_000, TimeBase(16_000, hop=Fraction(320))
    t = np.arange(rate) / rate
    mels = log_mel(Audio(np.sin(2 * np.pi * 2000 * t).astype(np.float32)[None], rate), time)
    hz = librosa.mel_frequencies(42, fmin=0, fmax=8000)
    assert abs(hz[1 + mels[10:-10].mean(axis=0).argmax()] - 2000) < 120
    assert mels.shape == (50, 40)
