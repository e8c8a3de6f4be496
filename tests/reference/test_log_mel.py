"""Mel spectra against the libraries that define them, and where their frames lie."""

import numpy as np
import pytest
import torch

from auscult.core.timebase import TimeBase
from auscult.models.log_mel import MelPower, MelSettings, hz_to_mel, mel_filters, mel_to_hz

librosa = pytest.importorskip("librosa")
audio_utils = pytest.importorskip("transformers.audio_utils")

SLANEY = MelSettings(16_000, 80, 400, 400, 160, 50.0, 8_000.0)
HTK = MelSettings(48_000, 64, 1024, 1024, 480, 0.0, 14_000.0, "htk", equal_area=False)
KALDI = MelSettings(16_000, 40, 400, 512, 160, 20.0, 8_000.0, "kaldi", equal_area=False)


@pytest.mark.parametrize("settings", [SLANEY, HTK], ids=["slaney", "htk"])
def test_filters_are_librosa_s(settings):
    expected = librosa.filters.mel(
        sr=settings.sample_rate,
        n_fft=settings.n_fft,
        n_mels=settings.n_mels,
        fmin=settings.low_hz,
        fmax=settings.high_hz,
        htk=settings.scale == "htk",
        norm="slaney" if settings.equal_area else None,
        dtype=np.float64,
    )
    np.testing.assert_allclose(mel_filters(settings), expected, atol=1e-12)


def test_kaldi_s_filters_are_straight_over_mels():
    expected = audio_utils.mel_filter_bank(
        257, 40, 20.0, 8_000.0, 16_000, None, "kaldi", triangularize_in_mel_space=True
    )
    np.testing.assert_allclose(mel_filters(KALDI), expected.T, atol=1e-12)


@pytest.mark.parametrize("scale", ["slaney", "htk", "kaldi"])
def test_mels_come_back_as_hertz(scale):
    hz = np.array([0.0, 20.0, 440.0, 999.0, 1000.0, 4000.0, 20_000.0])
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz, scale), scale), hz, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("settings", [SLANEY, KALDI], ids=["centred", "within"])
def test_a_frame_hears_the_samples_that_it_says(settings):
    sound = torch.randn(1, 4_000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    power = MelPower(settings)(sound)
    assert power.shape[-1] == settings.n_frames(4_000)
    for frame in (5, 11):
        (gradient,) = torch.autograd.grad(power[0, :, frame].sum(), sound, retain_graph=True)
        heard = gradient[0].nonzero().flatten()
        said = settings.time.samples(frame)
        assert (int(heard[0]), int(heard[-1])) == (said[0], said[-1])


def test_bands_of_a_column_share_its_samples():
    """Three bands of one column of patches: hop a third, and a span that holds all of them."""
    column = TimeBase(16_000).after_conv(400, 160).after_conv(16, 16)
    bands = column.split_into(3)
    assert bands.hop * 3 == column.hop
    for frame in range(6):
        own = column.samples(frame // 3)
        assert bands.samples(frame)[0] <= own[0]
        assert own[-1] <= bands.samples(frame)[-1]
    first, last = bands.samples(0), bands.samples(2)
    assert first[-1] == column.samples(0)[-1]
    assert last[0] == column.samples(0)[0]
