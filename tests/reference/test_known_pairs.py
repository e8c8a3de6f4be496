"""Two partials at once where the answer is known: one channel, many of them, ones that saturate."""

import numpy as np
import pytest
import torch
from torch import nn

from auscult.core.errors import NothingToMeasureError
from auscult.core.timebase import TimeBase
from auscult.measures.folding import folded_hz
from auscult.measures.pairs import agreement, draw_pairs, hear_pairs
from auscult.measures.stages import Stage
from auscult.measures.tone_sweep import sweep
from auscult.testing.known_answer import as_model

FS = 8_000
# Frames come at 1,000 Hz with a bound of 250 Hz: 1,170, 2,170 and 830 Hz land on 170 Hz.
TONES = np.array([430.0, 830.0, 1_170.0, 2_170.0])
PAIRS = np.array([[0, 2], [2, 3], [1, 2]])


def heard(n_channels, *behind, pairs=PAIRS):
    torch.manual_seed(3)
    layer = nn.Conv1d(1, n_channels, 32, 8, bias=False)
    stage = Stage("0" if not behind else "1", "Conv1d", TimeBase(FS).after_conv(32, 8), n_channels)
    model = as_model(nn.Sequential(layer, *behind), FS)
    alone = sweep(model, [stage], TONES, 60)
    return hear_pairs(model, [stage], TONES, pairs, alone, 60), alone[stage.address]


def test_lines_meet_where_strides_put_them_together():
    found, _ = heard(5)
    assert found.foretold.tolist() == [False, True, True]
    assert found.met.tolist() == [False, True, True]
    assert found.wrong.tolist() == found.foretold.tolist()  # there is one stage only


def test_in_one_channel_a_meeting_is_a_loss_and_in_many_it_is_none():
    one, many = heard(1)[0], heard(12)[0]
    assert one.lost(0.95).tolist() == [False, True, True]
    assert one.cosine == pytest.approx([1, 1, 1])
    assert not many.lost(0.95).any()


def test_in_a_linear_network_company_changes_nothing():
    """The first with a line that turns backwards: 830 Hz is folded once."""
    found, alone = heard(6)
    np.testing.assert_allclose(found.kept, 1.0, atol=1e-6)
    np.testing.assert_allclose(found.cosine, found.cosine_alone, atol=1e-5)
    first, second = alone.amplitudes[PAIRS[2]]
    slow = abs(np.vdot(first, second)) / np.linalg.norm(first) / np.linalg.norm(second)
    assert found.cosine[2] == pytest.approx(slow, abs=1e-5)


def test_where_channels_saturate_company_changes_patterns():
    """Loud channels are clipped more than quiet ones, and more so the louder the sound."""
    found, _ = heard(6, nn.Hardtanh(-0.01, 0.01))
    assert found.kept.max() < 0.999
    assert found.kept.min() > 0.3


def test_half_of_the_pairs_meet_at_the_last_stage():
    stage = Stage("0", "Conv1d", TimeBase(FS).after_conv(128, 8), 4)
    tones = np.arange(1, 60) * 63.7
    pairs = draw_pairs(tones, [stage], 20, np.random.default_rng(0))
    folds = folded_hz(tones, 1_000.0)[pairs]
    meet = np.abs(folds[:, 0] - folds[:, 1]) < 62.5
    assert len(pairs) == 20
    assert meet.sum() == 10
    assert folds.min() > 31.25
    assert folds.max() < 500 - 31.25
    assert len(np.unique(pairs, axis=0)) == 20


def test_no_pairs_are_said():
    with pytest.raises(NothingToMeasureError, match="no pair"):
        heard(2, pairs=np.zeros((0, 2), int))


def test_agreement_does_not_reward_the_commoner_kind():
    observed = np.array([True] * 9 + [False])
    assert agreement(np.ones(10, bool), observed) == 0.5
    assert agreement(observed, observed) == 1.0
    assert np.isnan(agreement(observed, np.ones(10, bool)))
