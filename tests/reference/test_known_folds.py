"""Networks whose folds are known: strides alone, a rectifier, a blur, a maximum, a decoder."""

import numpy as np
import pytest
import torch
from torch import nn

from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.interventions.low_pass import LowPass, LowPassParams
from auscult.measures.collapse import collapses, correlation, signals, tone_grid
from auscult.measures.mechanisms import alias_gain_db, images_of, strides_of
from auscult.measures.stages import stages_of, turning_points
from auscult.measures.tone_sweep import clear_tones, clip_samples, sweep
from auscult.models.base import Codec
from auscult.taps.capture import intervene
from auscult.taps.linear import without_nonlinearities
from auscult.testing.known_answer import as_model

FS = 8_000


class Snake(nn.Module):
    """x + sin²(20 x): even harmonics, loud ones at the level of the tones."""

    def forward(self, x):
        return x + torch.sin(20 * x) ** 2


def strided(*between):
    """Strides of 4 and 5: lines at 2,000 Hz and 400 Hz frame rate."""
    torch.manual_seed(0)
    return as_model(
        nn.Sequential(nn.Conv1d(1, 6, 8, 4), *between, nn.Conv1d(6, 8, 10, 5)).eval(), FS
    )


def tones(stages, n_frames=48):
    model_samples = max(int(s.time.span + n_frames * s.time.hop) + 1 for s in stages)
    return clear_tones(stages, np.geomspace(90, 3_600, 12), FS, model_samples)


@pytest.mark.parametrize("between", [(), (nn.ReLU(),), (nn.ELU(),), (Snake(),), (nn.MaxPool1d(2),)])
def test_strides_without_activations_put_every_tone_on_its_line(between):
    model = strided(*between)
    stages = turning_points(stages_of(model)[0])
    played = tones(stages)
    with without_nonlinearities(model):
        found = sweep(model, stages, played)
    assert len(found) == len(stages) >= 2
    for lines in found.values():
        np.testing.assert_allclose(lines.peak_hz, lines.predicted_hz, atol=lines.bin_hz / 2)
        assert np.min(lines.at_fold) > 0.995


def test_a_rectifier_adds_folded_harmonics_and_a_linear_stack_none():
    shares = {}
    for name, between in {"linear": (), "relu": (nn.ReLU(),)}.items():
        model = strided(*between)
        stages = turning_points(stages_of(model)[0])
        lines = sweep(model, stages, tones(stages))[stages[-1].address]
        shares[name] = float(np.mean(1 - lines.at_fold))
        assert np.mean(lines.at_harmonics) <= shares[name] + 1e-9
    assert shares["linear"] < 0.001
    assert shares["relu"] > 0.01


def test_the_network_is_what_it_was_after_it_ran_without_nonlinearities():
    model = strided(nn.ReLU(), Snake())
    sound = torch.randn(1, 1, 2_000, generator=torch.Generator().manual_seed(1))
    before = model.forward(sound)
    with pytest.raises(ZeroDivisionError), without_nonlinearities(model):
        assert not torch.equal(model.forward(sound), before)
        raise ZeroDivisionError
    assert torch.equal(model.forward(sound), before)


def test_a_maximum_without_nonlinearity_is_a_stride():
    x = torch.randn(2, 3, 23)
    pool = nn.MaxPool1d(3, 2, padding=1)
    with without_nonlinearities(as_model(nn.Sequential(pool), 100, {})):
        found = pool(x)
    assert found.shape == pool(x).shape
    padded = torch.nn.functional.pad(x, (1, 1))
    torch.testing.assert_close(found, padded[..., 0 : 2 * found.shape[-1] : 2])


def test_strides_are_found_with_what_they_hear():
    model = strided(nn.ReLU())
    assert strides_of(model) == {"0:in": 4, "2:in": 5}


def test_a_blur_in_front_of_every_stride_keeps_tones_from_folding():
    model = strided()
    stages = turning_points(stages_of(model)[0])
    last, played = stages[-1], tones(stages)
    blurred = {w: LowPass(LowPassParams(factor=f)) for w, f in strides_of(model).items()}
    plain = sweep(model, stages, played)[last.address]
    with intervene(model, blurred):
        behind = sweep(model, stages, played)[last.address]
    drop = alias_gain_db(plain.energy, played, last) - alias_gain_db(behind.energy, played, last)
    assert drop > 25
    kept = played < 0.3 * last.nyquist_hz
    ratio = behind.energy[kept] / plain.energy[kept]
    np.testing.assert_allclose(ratio, 1.0, atol=0.05)


@pytest.mark.parametrize("factor", [2, 5])
def test_a_low_pass_keeps_what_a_stride_keeps(factor):
    """Gain over frequency: 1 far below the new Nyquist, one half at it, 0 far above."""
    edit = LowPass(LowPassParams(factor=factor, n_zeros=16))
    n = 2_000
    places = np.array([0.5, 1.0, 1.5]) * 0.5 / factor
    waves = np.cos(2 * np.pi * places[:, None] * np.arange(n) + 0.3)
    values = torch.from_numpy(waves.T[None].copy())
    found = edit(values, TimeBase(1_000))[0, n // 4 : -n // 4].numpy()
    gain = found.std(0) / waves[:, n // 4 : -n // 4].std(1)
    assert gain == pytest.approx([1.0, 0.5, 0.0], abs=0.01)


def test_collapse_is_foretold_where_strides_fold_and_not_by_other_strides():
    model = strided(nn.ELU())
    stages = turning_points(stages_of(model)[0])
    grid = tone_grid(FS, 48)
    some = signals(48, 8, 8, named_rng(0, "test"))
    found = collapses(some, stages, grid, sweep(model, stages, grid))
    assert len(found.predicted) == len(some) * len(stages)
    assert correlation(found.predicted, found.observed) > 0.95
    assert correlation(found.wrong, found.observed) < 0.6
    assert np.all(found.lost <= found.observed + 1e-12)


class Repeats(nn.Module):
    """A transposed convolution: every line of the latents comes back around multiples of F."""

    def __init__(self, activation):
        super().__init__()
        torch.manual_seed(1)
        self.down = nn.Conv1d(1, 4, 16, 8)
        self.up = nn.ConvTranspose1d(4, 1, 16, 8)
        self.activation = activation

    def forward(self, x):
        return self.up(self.activation(self.down(x)))


@pytest.mark.parametrize(("activation", "exact"), [(nn.Identity(), True), (nn.ReLU(), False)])
def test_a_decoder_repeats_a_line_around_multiples_of_the_frame_rate(activation, exact):
    net = Repeats(activation)
    model = as_model(net, FS)
    model.codec = Codec(net.down, lambda z: net.up(net.activation(z)))
    latents = net.down(torch.randn(1, 1, 4_000)).detach()
    time = stages_of(model)[0][0].time
    found = images_of(model, latents, time, 0)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert (found.elsewhere < 1e-3) is exact
    assert found.at_images > 0.05


def test_a_clip_is_long_enough_for_the_slowest_stage():
    model = strided()
    stages = turning_points(stages_of(model)[0])
    n_samples = clip_samples(model, stages, 20)
    assert all(len(s.time.frames_within(0, n_samples)) >= 20 for s in stages)
