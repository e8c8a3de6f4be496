"""Filters of depth against impulse responses; banks and bounds against slow twins."""

import numpy as np
import pytest
import torch
from torch import nn

from auscult.core.errors import NothingToMeasureError, TapError
from auscult.core.timebase import TimeBase
from auscult.measures.effective_filters import (
    effective_filters,
    hann_sines,
    loudest,
    reference_samples,
    selectivity,
    tone_bandwidth_hz,
)
from auscult.measures.preferred import heard_of, preferred_sound
from auscult.measures.stages import Stage, stages_of
from auscult.measures.tiling import control_banks, frame_eigenvalues, tiling
from auscult.testing.known_answer import Attending, as_model

FS = 8_000


def sounds(n, n_samples, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n_samples)) * 0.1


def stack(*between):
    torch.manual_seed(0)
    return as_model(nn.Sequential(nn.Conv1d(1, 3, 5, 2), *between, nn.Conv1d(3, 4, 4, 3)), FS)


def test_the_filter_of_a_linear_stack_is_its_impulse_response():
    """Two strided layers: h[n] = Σ_c Σ_k w2[c, k] w1[c, n − 2k]."""
    model = stack()
    last = stages_of(model)[0][-1]
    first, second = (model.module[i].weight.detach().double().numpy() for i in (0, 1))
    expected = np.zeros((4, 11))
    for k in range(4):
        expected[:, 2 * k : 2 * k + 5] += np.einsum("oc,cn->on", second[:, :, k], first[:, 0])
    found = effective_filters(model, last, sounds(3, reference_samples(model, last)), np.arange(4))
    assert found.shape == (3, 4, 11)
    for one in found:
        np.testing.assert_allclose(one, expected, atol=1e-6)


def test_the_filter_of_a_nonlinear_unit_is_its_slope():
    model = stack(nn.Tanh())
    last = stages_of(model)[0][-1]
    n = reference_samples(model, last)
    sound = sounds(1, n)
    (found,) = effective_filters(model, last, sound, np.array([2]))[:, 0]
    frames = last.time.frames_within(0, n)
    frame = frames[len(frames) // 2]
    heard = last.time.samples(frame)
    model.module.double()

    def unit(wave):
        with torch.no_grad():
            return float(model.forward(torch.from_numpy(wave)[None])[0, 2, frame])

    slopes = []
    for place in heard:
        step = np.zeros((1, n))
        step[0, place] = 1e-5
        base = sound.astype(np.float32).astype(np.float64)
        slopes.append((unit(base + step) - unit(base - step)) / 2e-5)
    np.testing.assert_allclose(found, slopes, atol=1e-5)


def test_a_layer_that_is_a_transform_is_as_narrow_as_its_window():
    """Known answer: windowed sines of 64 samples; noise bandwidth 1.5 f_s / K, lobe 1.44."""
    bank = hann_sines(64, 6)
    layer = nn.Conv1d(1, 6, 64, 16, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(bank[:, None]))
    model = as_model(nn.Sequential(layer), FS)
    (stage,), _ = stages_of(model)
    found = effective_filters(model, stage, sounds(2, 400), np.arange(6)).reshape(12, 64)
    widths = selectivity(found, FS)
    assert widths.noise_hz / stage.resolution_hz == pytest.approx(np.full(12, 1.5), rel=0.03)
    assert widths.lobe_hz / stage.resolution_hz == pytest.approx(np.full(12, 1.44), rel=0.03)
    expected = np.tile(np.linspace(0.2, 0.8, 6) * FS / 2, 2)
    assert widths.centre_hz == pytest.approx(expected, abs=FS / 256)


def test_random_filters_are_broad_although_their_lobes_are_narrow():
    """Why the lobe at -3 dB is not the width of a unit."""
    noise = np.random.default_rng(1).standard_normal((30, 256))
    widths = selectivity(noise, FS)
    bound = FS / 256
    assert np.median(widths.lobe_hz) / bound < 1.5
    assert np.median(widths.noise_hz) / bound > 10


def test_a_low_pass_counts_both_sides_of_0_hz():
    """A rectangle of K samples: noise bandwidth f_s / K, lobe 0.886 f_s / K."""
    alternating = 1.0 - 2 * (np.arange(50) % 2)
    ends = selectivity(np.stack([np.ones(50), alternating]), FS)
    assert ends.noise_hz[1] == pytest.approx(ends.noise_hz[0], rel=1e-6)
    widths = selectivity(np.ones((1, 50)), FS)
    assert widths.noise_hz[0] == pytest.approx(FS / 50, rel=0.01)
    assert widths.lobe_hz[0] == pytest.approx(0.886 * FS / 50, rel=0.01)
    assert np.isnan(selectivity(np.zeros((1, 8)), FS).noise_hz[0])


def test_width_among_tones_is_that_of_a_rectangle_of_equal_energy():
    tones = np.arange(1, 41) * 100.0
    gain = np.zeros((40, 2), complex)
    gain[10:15, 0] = 2j
    gain[:, 1] = 1.0
    np.testing.assert_allclose(tone_bandwidth_hz(tones, gain), [500.0, 4_000.0])


def test_the_loudest_stretch():
    wave = np.zeros(100)
    wave[60:70] = 1.0
    assert loudest(wave, 10).sum() == 10
    assert loudest(np.ones(4), 10).tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]


def test_what_cannot_be_linearised_is_said():
    with pytest.raises(TapError, match="no windowed sine"):
        hann_sines(3, 2)
    model = as_model(Attending(), FS)
    stage = stages_of(model)[0][-1]
    with pytest.raises(NothingToMeasureError, match="lies within"):
        effective_filters(model, stage, sounds(1, 400), np.arange(1))


@pytest.mark.parametrize("n", [4, 12])
def test_frame_eigenvalues_are_those_of_the_shifted_filters(n):
    """Slow twin: all shifts by the stride on a circle, as one matrix."""
    stride, n_taps, n_frequencies = 6, 15, 8
    bank = np.random.default_rng(2).standard_normal((n, n_taps))
    length = stride * n_frequencies
    shifts = [
        np.roll(np.pad(f, (0, length - n_taps)), stride * t)
        for f in bank
        for t in range(n_frequencies)
    ]
    atoms = np.stack(shifts)
    operator = atoms.T @ atoms if n >= stride else atoms @ atoms.T
    slow = np.sort(np.linalg.eigvalsh(operator))
    # The circle has the frequencies k / 8; the fast path those in between: compare on its grid.
    fast = _on_the_circle(bank, stride, n_frequencies)
    np.testing.assert_allclose(np.sort(fast.ravel()), slow, atol=1e-9 * slow.max() + 1e-9)


def _on_the_circle(bank, stride, n_frequencies):
    turned = bank * np.exp(1j * np.pi * np.arange(bank.shape[1]) / (stride * n_frequencies))
    return frame_eigenvalues(turned, stride, n_frequencies)


def test_an_orthogonal_bank_tiles_evenly_and_a_doubled_one_does_not():
    bank = control_banks(16, 16, FS, np.random.default_rng(0))["orthogonal"]
    found = tiling(bank, FS)
    assert found.overlap == pytest.approx(0, abs=1e-12)
    assert found.bound_ratio_db == pytest.approx(0, abs=1e-9)
    assert found.rank == pytest.approx(16)
    assert found.covered == 1.0
    doubled = tiling(np.concatenate([bank[:4], bank[:4]]), FS)
    assert doubled.coherence == pytest.approx(1.0)
    assert doubled.overlap == pytest.approx(4 / 28)
    assert doubled.rank == pytest.approx(4)


def test_a_strided_orthogonal_bank_has_equal_bounds_and_its_stride_counts():
    bank = control_banks(8, 8, FS, np.random.default_rng(0))["orthogonal"]
    assert tiling(bank, FS, 8.0).strided_ratio_db == pytest.approx(0, abs=1e-6)
    assert tiling(bank, FS, 8.0).redundancy == 1.0
    gap = tiling(hann_sines(32, 8), FS)
    assert gap.bound_ratio_db > 20
    assert gap.covered < 0.9


def test_centres_even_in_mels_are_uneven_in_hz():
    banks = control_banks(24, 512, FS, np.random.default_rng(0))
    mel, dct = tiling(banks["mel"], FS), tiling(banks["DCT"], FS)
    assert mel.mel_density < 0.1 < mel.density
    assert dct.density < 0.1 < dct.mel_density


def test_the_preferred_sound_of_a_linear_unit_is_its_best_frequency():
    layer = nn.Conv1d(1, 1, 64, 4, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(hann_sines(64, 3)[None, 1:2]))
    model = as_model(nn.Sequential(layer), FS)
    (stage,), _ = stages_of(model)
    sound, gain = preferred_sound(model, stage, 0, 2_000, seed=0, n_steps=40)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(2_000)))
    assert spectrum.argmax() * FS / 2_000 == pytest.approx(0.5 * FS / 2, abs=20)
    assert np.sqrt(np.mean(np.square(sound))) == pytest.approx(0.1, rel=1e-4)
    assert gain > 8


def test_a_deaf_unit_has_no_preferred_sound():
    layer = nn.Conv1d(1, 2, 8, bias=False)
    nn.init.zeros_(layer.weight[:1])
    stage = Stage("0", "Conv1d", TimeBase(FS).after_conv(8), 2)
    with pytest.raises(NothingToMeasureError, match="hears nothing"):
        preferred_sound(as_model(nn.Sequential(layer), FS), stage, 0, 400, seed=0)


def test_what_a_unit_hears_is_its_band_while_it_is_active():
    t = np.arange(FS) / FS
    sound = np.sin(2 * np.pi * 500 * t) + np.sin(2 * np.pi * 3_000 * t)
    window = hann_sines(256, 3)[1] * 0 + np.hanning(256) * np.cos(
        2 * np.pi * 500 / FS * np.arange(256)
    )
    activity = np.array([0.0, 0.0, 1.0, 1.0])
    heard = heard_of(sound, FS, window, activity, np.array([0.0, 0.45, 0.55, 1.0]))
    assert np.abs(heard[: FS // 3]).max() < 1e-6
    spectrum = np.abs(np.fft.rfft(heard[2 * FS // 3 :] * np.hanning(len(heard[2 * FS // 3 :]))))
    hz = np.fft.rfftfreq(len(heard[2 * FS // 3 :]), 1 / FS)
    assert hz[spectrum.argmax()] == pytest.approx(500, abs=5)
    assert spectrum[np.abs(hz - 3_000) < 20].max() < 0.01 * spectrum.max()
