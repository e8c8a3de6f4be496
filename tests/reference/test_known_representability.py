"""Decodability where it is known: partials that meet in one channel, and ones that keep apart."""

import numpy as np
import pytest
import torch
from torch import nn

from auscult.core.timebase import TimeBase
from auscult.measures.collapse import Signal, tone_grid
from auscult.measures.decodability import Levels, decodable, heard_in_chunks
from auscult.measures.random_stacks import RandomStack
from auscult.measures.representability import (
    PREDICTORS,
    Partials,
    fit_prediction,
    foretold,
    partials_of,
)
from auscult.measures.stages import Stage
from auscult.measures.tone_model import fit_tones
from auscult.taps.probe import verify_time_base
from auscult.testing.known_answer import as_model

FS = 8_000


def strided(n_channels, stride=8):
    torch.manual_seed(3)
    layer = nn.Conv1d(1, n_channels, stride, stride, bias=False)
    stage = Stage("0", "Conv1d", TimeBase(FS).after_conv(stride, stride), n_channels)
    return as_model(nn.Sequential(layer), FS), stage


def observed(n_channels, tones, partials, n_contexts=90):
    model, stage = strided(n_channels)
    signal = Signal("random", "planted", np.array(partials))
    rng = np.random.default_rng(0)
    return partials_of(model, model, [stage], [signal], np.array(tones), rng, 0, n_contexts, 40)


# Frames come at 1,000 Hz: 1,200 and 2,200 Hz land on 200 Hz, 430 Hz stays.
TONES = [430.0, 1_200.0, 2_200.0, 3_310.0]


def test_partials_apart_are_decodable_in_one_channel():
    found = observed(1, TONES, [0, 1, 3])
    assert found.decodable.min() > 0.95


def test_partials_on_one_line_of_one_channel_are_not():
    found = observed(1, TONES, [0, 1, 2])
    assert found.decodable[0] > 0.95
    assert found.decodable[1] + found.decodable[2] < 1.2
    told = dict(zip(PREDICTORS, found.predictors.T, strict=True))
    assert told["partials on its line"].tolist() == [0, 1, 1]
    assert told["likeness of channel patterns"] == pytest.approx([0, 1, 1], abs=0.01)
    assert told["level over what leaks into its line"][0] > 40
    weaker = told["level over what leaks into its line"][1:]
    assert weaker.sum() == pytest.approx(0, abs=0.1)


def test_several_channels_part_what_one_line_holds():
    alone, together = (observed(n, TONES, [1, 2]).decodable for n in (1, 12))
    assert together.sum() > alone.sum() + 0.3


def test_what_is_foretold_does_not_look_at_contexts():
    """Contexts are drawn after the tones: other numbers of them leave what is told of tones."""
    model, stage = strided(3)
    signal = Signal("random", "planted", np.array([0, 1, 2]))
    tones = np.array(TONES)
    rows = [
        partials_of(
            model, model, [stage], [signal], tones, np.random.default_rng(s), 0, 12, 40
        ).predictors
        for s in (1, 2)
    ]
    by_tones = [i for i, name in enumerate(PREDICTORS) if not name.startswith("decodable")]
    np.testing.assert_allclose(rows[0][:, by_tones], rows[1][:, by_tones], atol=1e-9)


def test_in_a_linear_network_sums_of_tones_are_the_whole_answer():
    model, stage = strided(3)
    tones, rng = np.array(TONES), np.random.default_rng(0)
    n_samples = 8 * 40
    told = fit_tones(model, [stage], tones, n_samples, rng, 60, 3)["0"]
    partials, levels = np.array([0, 2, 3]), Levels.drawn(5, 3, rng)
    sound = levels.sound(tones[partials], FS, n_samples)
    heard = heard_in_chunks(model, [stage], sound)["0"]
    np.testing.assert_allclose(told.superposed(partials, levels), heard, atol=1e-6)
    assert np.square(told.left).mean() < 1e-3 * np.square(heard).mean()
    fitted = told.among_strangers(partials, levels, rng)
    assert np.square(fitted - heard).mean() < 3e-3 * np.square(heard).mean()


def test_what_company_does_is_left_over_where_a_network_is_not_linear():
    shares = {}
    for name, behind in {"linear": nn.Identity(), "square": Square()}.items():
        torch.manual_seed(3)
        layer = nn.Conv1d(1, 3, 8, 8, bias=False)
        stage = Stage("1", "Conv1d", TimeBase(FS).after_conv(8, 8), 3)
        model = as_model(nn.Sequential(layer, behind), FS)
        rng = np.random.default_rng(0)
        told = fit_tones(model, [stage], np.array(TONES), 320, rng, 60, 3)["1"]
        shares[name] = np.square(told.left).mean() / np.square(told.cosines).mean()
    assert shares["square"] > 100 * shares["linear"]


class Square(nn.Module):
    def forward(self, x):
        return x + 30 * x * x


def test_one_column_of_levels_is_read_and_noise_is_not():
    """Known answer: a channel whose line is as loud as the partial, and one of noise."""
    rng = np.random.default_rng(0)
    stage = Stage("0", "Conv1d", TimeBase(FS).after_conv(8, 8), 2)
    levels = Levels.drawn(120, 1, rng)
    turning = 2 * np.pi * 430 / 1_000 * np.arange(40)
    line = levels.amplitudes[..., None] * np.cos(turning + levels.phases[..., None])
    values = np.stack([line[:, 0], 0.01 * rng.standard_normal((120, 40))], 2)
    assert decodable(values, stage, np.array([430.0]), levels.logs)[0] > 0.9
    assert decodable(values[..., 1:], stage, np.array([430.0]), levels.logs)[0] < 0.1


def test_the_ceiling_is_that_of_two_noisy_observations():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(20_000)
    seen = truth[:, None] + rng.standard_normal((20_000, 2))
    n = np.zeros(len(truth), int)
    found = Partials(np.zeros((len(truth), 1)), seen.mean(1), seen, n, n)
    assert found.ceiling == pytest.approx(np.corrcoef(truth, seen.mean(1))[0, 1], abs=0.02)


def test_other_weights_are_of_the_same_architecture():
    encoder = RandomStack.build(None, "random", 5)
    other = encoder.redrawn(1)
    shapes = [[tuple(p.shape) for p in one.module.parameters()] for one in (encoder, other)]
    assert shapes[0] == shapes[1]
    assert other.stage == encoder.stage
    sound = torch.randn(1, 1, 4_000, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(encoder.forward(sound), other.forward(sound))


@pytest.mark.parametrize("seed", range(5))
def test_a_random_encoder_says_where_its_frames_lie(seed):
    encoder = RandomStack.build(None, "random", seed)
    assert verify_time_base(encoder, "latent").equal
    assert 16 <= float(encoder.stage.time.hop) <= 256
    assert not encoder.module.training


def rows(n, rng, answer):
    x = rng.standard_normal((n, len(PREDICTORS)))
    y = answer(x, rng)
    return Partials(x, y, np.stack([y, y], 1), np.repeat(np.arange(n // 20), 20), np.arange(n) % 20)


@pytest.mark.parametrize("kind", ["linear", "trees"])
def test_what_follows_from_predictors_is_foretold_and_noise_is_not(kind):
    rng = np.random.default_rng(0)
    planted = [
        rows(n, rng, lambda x, r: x[:, 2] + 0.1 * r.standard_normal(len(x))) for n in (400, 200)
    ]
    predict, weights = fit_prediction(planted[0].predictors, planted[0].decodable, kind, 0)
    assert foretold(predict, planted[1]).r > 0.9
    assert np.abs(weights).argmax() == 2
    noise = [rows(n, rng, lambda x, r: r.standard_normal(len(x))) for n in (400, 200)]
    predict, _ = fit_prediction(noise[0].predictors, noise[0].decodable, kind, 0)
    assert abs(foretold(predict, noise[1]).r) < 0.3


def test_rows_are_taken_and_joined():
    rng = np.random.default_rng(0)
    one = rows(40, rng, lambda x, r: x[:, 0])
    both = Partials.joined([one.taken(one.signal < 5), one.taken(one.signal >= 5)])
    assert len(both.decodable) == 40
    assert set(both.signal[:10].tolist()) == {0, 1, 2, 3, 4}


def test_the_grid_keeps_clear_of_the_strides():
    grid = tone_grid(16_000, 64)
    for rate in (2_000, 1_000, 500, 62.5):
        distance = np.abs(grid % rate)
        assert np.minimum(distance, rate - distance).min() > 0.05
