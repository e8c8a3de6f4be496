"""What stands in for silenced neurons: what the network usually says."""

import numpy as np
import pytest
import torch
from torch import nn

from auscult.analyses.parts.neurons.ablation_study import _spread
from auscult.interventions.silencing import usual_of
from auscult.measures.firing import Heard
from auscult.taps.neurons import NeuronLayer
from auscult.testing.known_answer import as_model

RATE, HOP = 8000, 16
LAYER = NeuronLayer("0", 4)


def blocks():
    """Frames of 16 samples that do not overlap, and a bias that silence lets through."""
    torch.manual_seed(0)
    return as_model(nn.Sequential(nn.Conv1d(1, 4, HOP, HOP)), RATE)


def heard(lengths, n_samples=480, seed=0):
    """Noise with silence behind it."""
    drawn = np.random.default_rng(seed).standard_normal((len(lengths), 1, n_samples))
    for clip, n in zip(drawn, lengths, strict=True):
        clip[:, n:] = 0.0
    names = tuple(f"{seed}-{i}" for i in range(len(lengths)))
    return Heard(torch.from_numpy(drawn).float(), names, names, tuple(lengths))


def test_padding_is_nothing_that_it_usually_says():
    model, batch = blocks(), heard([160, 320])
    usual = usual_of(model, [LAYER], [batch], np.random.default_rng(0))
    with torch.no_grad():
        said = model.module(batch.waveform).transpose(1, 2)
    expected = torch.stack([said[0, :10].mean(0), said[1, :20].mean(0)]).mean(0)
    np.testing.assert_allclose(usual.means["0"], expected, rtol=1e-5, atol=1e-6)
    of_sound = torch.cat([said[0, :10], said[1, :20]]).numpy()
    for row in usual.frames["0"]:
        assert np.abs(of_sound - row).sum(1).min() == pytest.approx(0, abs=1e-5)


def test_clips_are_taken_from_the_whole_side():
    batches = [heard([160], seed=seed) for seed in range(20)]
    taken = [int(one.clip_ids[0].split("-")[0]) for one in _spread(batches)]
    assert taken[0] == 0
    assert taken[-1] == 19
    assert max(np.diff(taken)) <= 3
    assert len(_spread(batches[:3])) == 3
