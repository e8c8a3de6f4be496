"""The types ``jump-relu``, ``gated`` and ``rms-norm``."""

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.testing.dictionaries import planted

SOURCE, _ = planted(1000, n_active=2)
X = torch.from_numpy(SOURCE.rows(np.arange(600)))


def built(**section):
    cls, params = DICTIONARIES.parse({"n_features": 12, **section}, "here")
    return cls.build(params, 16, 0, SOURCE.statistics)


def two_features(**section):
    """Two features of two dimensions, encoder and decoder the identity, no preprocessing."""
    cls, params = DICTIONARIES.parse(
        {"n_features": 2, "centre": False, "scale": False, **section}, "here"
    )
    dictionary = cls(params, 2)
    with torch.no_grad():
        dictionary.linear.encoder.copy_(torch.eye(2))
        dictionary.linear.decoder.copy_(torch.eye(2))
    return dictionary


class TestJumpRelu:
    def test_what_exceeds_its_threshold_is_not_shrunk(self):
        dictionary = two_features(type="jump-relu", start_threshold=0.5)
        x = torch.tensor([[0.4, 0.6], [-3.0, 2.0]])
        assert_close(dictionary.encode(x), torch.tensor([[0.0, 0.6], [0.0, 2.0]]))

    @pytest.mark.parametrize(
        ("settings", "l0"),
        [({}, 0.1 * 1.5), ({"target_l0": 1.0}, 0.1 * 0.25), ({"target_l0": 3.0}, 0.1 * 0.25)],
    )
    def test_losses_by_hand(self, settings, l0):
        dictionary = two_features(type="jump-relu", start_threshold=0.5, l0_weight=0.1, **settings)
        losses = dictionary.losses(torch.tensor([[1.0, 2.0], [0.4, 2.0]]))
        # Three of four are on; the fourth is missed by 0.4.
        assert float(losses["l0"].detach()) == pytest.approx(l0)
        assert float(losses["mse"].detach()) == pytest.approx(0.16 / 2)

    def test_towards_a_target_thresholds_fall_where_too_few_are_on(self):
        dictionary = built(type="jump-relu", target_l0=11.0, bandwidth=0.2, l0_weight=5.0)
        before = dictionary.thresholds.detach().clone()
        dictionary.losses(X)["l0"].backward()
        assert bool((dictionary.log_threshold.grad > 0).all())
        assert bool((before > 0).all())

    @pytest.mark.parametrize(("weight", "target", "low", "high"), [(1.0, 3.0, 2.4, 3.6)])
    def test_training_reaches_the_target(self, weight, target, low, high, tmp_path):
        dictionary = built(type="jump-relu", target_l0=target, l0_weight=weight)
        settings = TrainSettings(steps=200, batch=128, lr=1e-2, warm_up=10)
        train([TrainingJob(dictionary, "it")], SOURCE, settings, tmp_path)
        assert low < float((dictionary.encode(X) > 0).sum(1).float().mean()) < high


class TestGated:
    def test_gates_decide_and_strengths_are_apart_by_hand(self):
        dictionary = two_features(type="gated")
        with torch.no_grad():
            dictionary.linear.encoder_bias.copy_(torch.tensor([-0.5, -0.5]))
            dictionary.magnitude_bias.copy_(torch.tensor([1.0, -3.0]))
            dictionary.magnitude_log_scale.fill_(np.log(2.0))
        x = torch.tensor([[1.0, 1.0], [0.4, 2.0]])
        # 2 · 1 + 1; 2 · 1 - 3 is rectified; the gate of 0.4 is shut; 2 · 2 - 3.
        assert_close(dictionary.encode(x), torch.tensor([[3.0, 0.0], [0.0, 1.0]]))

    def test_losses_by_hand(self):
        dictionary = two_features(type="gated", l1_weight=0.1)
        with torch.no_grad():
            dictionary.linear.encoder_bias.fill_(-0.5)
        losses = dictionary.losses(torch.tensor([[1.0, 0.2]]))
        # z = (1, 0); gates open by (0.5, 0), which as a reconstruction misses (0.5, 0.2).
        assert float(losses["mse"].detach()) == pytest.approx(0.04)
        assert float(losses["l1"].detach()) == pytest.approx(0.05)
        assert float(losses["aux"].detach()) == pytest.approx(0.29)

    def test_the_penalty_shrinks_gates_and_not_strengths(self, tmp_path):
        settings = TrainSettings(steps=200, batch=128, lr=2e-2, warm_up=10)
        gated, relu = (built(type=name, l1_weight=0.3) for name in ("gated", "relu"))
        train([TrainingJob(gated, "a"), TrainingJob(relu, "b")], SOURCE, settings, tmp_path)

        def length(dictionary):
            centred = X - X.mean(0)
            estimate = dictionary(X) - dictionary(X).mean(0)
            return float(estimate.square().sum() / (estimate * centred).sum())

        assert length(gated) > 0.95
        assert length(relu) < 0.9


class TestRmsNorm:
    def test_a_code_by_hand(self):
        dictionary = two_features(type="rms-norm")
        # h = (3, 4): the root of the mean square is √12.5.
        acts = dictionary.encode(torch.tensor([[3.0, 4.0], [-1.0, 0.0]]))
        expected = torch.tensor([[3.0, 4.0], [0.0, 0.0]]) / 12.5**0.5
        assert_close(acts, expected)

    @pytest.mark.parametrize(
        ("l1_on", "falls_by"), [("h", 1e-2), ("f", 1.0)], ids=["as printed", "sound"]
    )
    def test_a_smaller_encoder_changes_nothing_but_the_printed_penalty(self, l1_on, falls_by):
        dictionary = built(type="rms-norm", l1_on=l1_on, epsilon=1e-30).double()
        before, rebuilt = dictionary.losses(X.double()), dictionary(X.double())
        with torch.no_grad():
            dictionary.linear.encoder.mul_(1e-2)
            dictionary.linear.encoder_bias.mul_(1e-2)
        after = dictionary.losses(X.double())
        assert_close(dictionary(X.double()), rebuilt, rtol=0, atol=1e-9)
        assert_close(after["mse"], before["mse"], rtol=1e-9, atol=0)
        assert_close(after["l1"], before["l1"] * falls_by, rtol=1e-9, atol=0)

    def test_in_training_the_printed_penalty_is_evaded_and_the_log_tells(self, tmp_path):
        settings = TrainSettings(steps=200, batch=128, lr=1e-2, warm_up=10, log_every=1)
        jobs = [
            TrainingJob(built(type="rms-norm", l1_weight=0.1, l1_on=on), on) for on in ("h", "f")
        ]
        train(jobs, SOURCE, settings, tmp_path)

        def shrinkage(name):
            text = (tmp_path / f"{name}.jsonl").read_text()
            lines = [json.loads(line) for line in text.splitlines()]
            return lines[-1]["rms_h"] / lines[0]["rms_h"]

        assert shrinkage("h") < 0.2
        assert shrinkage("f") > 0.8

    def test_all_codes_have_the_same_length(self):
        acts = built(type="rms-norm", l1_on="topk", k=3).encode(X)
        assert_close(acts.norm(dim=1), torch.full((600,), 12**0.5), rtol=1e-4, atol=0)
        assert int((acts > 0).sum(1).max()) == 3

    def test_more_active_features_than_there_are_is_refused(self):
        with pytest.raises(ConfigError, match="k = 13 is more"):
            built(type="rms-norm", l1_on="topk", k=13)
