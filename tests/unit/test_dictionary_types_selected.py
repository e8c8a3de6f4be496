"""The types ``batch-topk`` and ``matryoshka``."""

import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.selection import RunningThreshold
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.testing.dictionaries import planted
from tests.known_dictionaries import dense, untouched

SOURCE, _ = planted(1000, n_active=2)
X = torch.from_numpy(SOURCE.rows(torch.arange(600).numpy()))


def built(**section):
    cls, params = DICTIONARIES.parse({"n_features": 12, **section}, "here")
    return cls.build(params, 16, 0, SOURCE.statistics)


def followed(memory, *smallest):
    running = RunningThreshold(memory)
    for running.smallest in smallest:
        running.follow()
    return float(running.threshold)


def kept_fast(running, pre, n_kept):
    return dense(running.keep_entries(untouched(pre.shape[1]), pre, n_kept))


class TestBatch:
    @pytest.mark.parametrize("fast", [False, True])
    def test_the_largest_of_all_vectors_are_kept(self, fast):
        running = RunningThreshold(0.9)
        pre = torch.tensor([[3.0, 1.0, 2.0], [0.5, -9.0, 0.1]])
        kept = kept_fast(running, pre, 3) if fast else running.keep(pre, 3)
        assert_close(kept, torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0]]))
        assert running.smallest == 1.0

    @pytest.mark.parametrize("threshold", [0.0, 0.5, 10.0])
    def test_a_threshold_that_was_too_high_or_too_low_changes_nothing(self, threshold):
        running = RunningThreshold(0.9)
        running.threshold.fill_(threshold)
        pre = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
        assert_close(kept_fast(running, pre, 40), running.keep(pre, 40))

    @pytest.mark.parametrize("type_", ["batch-topk", "matryoshka"])
    @pytest.mark.parametrize("n", [1, 50, 600])
    def test_l0_in_training_is_k_whatever_the_batch(self, n, type_):
        dictionary = built(type=type_, k=3)
        assert float(dictionary.gradients(X[:n]).fired.sum()) == 3 * n

    def test_the_threshold_gives_the_same_l0_afterwards(self, tmp_path):
        dictionary = built(type="batch-topk", k=2)
        settings = TrainSettings(steps=150, batch=128, lr=1e-2, warm_up=10)
        train([TrainingJob(dictionary, "it")], SOURCE, settings, tmp_path)
        assert float((dictionary.encode(X) > 0).sum(1).float().mean()) == pytest.approx(2, rel=0.05)

    def test_vectors_have_as_many_features_as_they_need(self):
        dictionary = built(type="batch-topk", k=2, centre=False, scale=False)
        dictionary.running.threshold.fill_(0.5)
        n_on = (dictionary.encode(torch.cat([0.1 * X[:1], 10.0 * X[:1]])) > 0).sum(1)
        assert n_on[0] < n_on[1]


class TestThreshold:
    def test_the_first_batch_sets_it(self):
        assert followed(0.999, 0.3) == pytest.approx(0.3)

    def test_early_batches_weigh_more_than_late_ones(self):
        # At the second batch the past weighs (1 + 1) / (10 + 1).
        assert followed(0.999, 1.0, 2.0) == pytest.approx((2 * 1.0 + 9 * 2.0) / 11)

    def test_in_the_long_run_the_past_has_its_weight(self):
        running = RunningThreshold(0.999)
        running.n_batches.fill_(100_000)
        running.threshold.fill_(1.0)
        running.smallest = 2.0
        running.follow()
        assert float(running.threshold) == pytest.approx(1.001, abs=1e-6)

    def test_a_batch_that_kept_nothing_does_not_count(self):
        assert followed(0.5, 0.3, float("nan"), 0.3) == pytest.approx(0.3)

    @pytest.mark.parametrize("fast", [False, True])
    def test_of_a_silent_batch_nothing_is_kept(self, fast):
        running, pre = RunningThreshold(0.9), torch.full((2, 3), -1.0)
        kept = kept_fast(running, pre, 2) if fast else running.keep(pre, 2)
        assert not kept.any()
        assert running.smallest != running.smallest

    def test_what_reaches_it_is_off_and_what_exceeds_it_is_on(self):
        running = RunningThreshold(0.9)
        running.threshold.fill_(0.5)
        assert running.above(torch.tensor([[0.5, 0.6, -1.0]])).tolist() == [
            [0.0, pytest.approx(0.6), 0.0]
        ]

    def test_losses_alone_do_not_move_it(self):
        dictionary = built(type="batch-topk", k=2)
        dictionary.losses(X)
        assert float(dictionary.running.threshold) == 0.0


class TestMatryoshka:
    def test_prefixes_are_shares_of_the_features(self):
        assert built(type="matryoshka").params.sizes == [1, 2, 3, 6, 12]

    @pytest.mark.parametrize("prefixes", [(), (0.5,), (0.5, 0.5, 1.0), (0.0, 1.0), (1.0, 0.5)])
    def test_prefixes_that_do_not_rise_to_one_are_refused(self, prefixes):
        with pytest.raises(ConfigError, match="must rise"):
            built(type="matryoshka", prefixes=prefixes)

    def test_each_prefix_has_to_rebuild_the_vectors_alone(self):
        dictionary = built(type="matryoshka", k=3, prefixes=(0.25, 1.0)).double()
        vectors = dictionary.preprocess(X.double())
        acts = dictionary.running.keep(dictionary.linear.pre_activations(vectors), 3 * len(X))
        expected = {}
        for size in (3, 12):
            cut = acts * (torch.arange(12) < size)
            error = (vectors - dictionary.reconstruct(cut)).square().sum(1).mean()
            expected[f"mse_{size}"] = error / 2
        losses = dictionary.losses(X.double())
        assert set(losses) == set(expected)
        for name, value in expected.items():
            assert_close(losses[name], value)

    def test_with_one_prefix_it_is_batch_topk(self):
        one, other = built(type="matryoshka", k=2, prefixes=(1.0,)), built(type="batch-topk", k=2)
        other.load_state_dict(one.state_dict())
        one.gradients(X)
        other.gradients(X)
        for mine, its in zip(one.parameters(), other.parameters(), strict=True):
            assert_close(mine.grad, its.grad, rtol=1e-4, atol=1e-7)

    def test_early_features_alone_rebuild_more_than_without_prefixes(self, tmp_path):
        settings = TrainSettings(steps=150, batch=128, lr=1e-2, warm_up=10)
        nested, plain = built(type="matryoshka", k=2), built(type="batch-topk", k=2)
        train([TrainingJob(nested, "a"), TrainingJob(plain, "b")], SOURCE, settings, tmp_path)

        def left(dictionary):
            vectors = dictionary.preprocess(X)
            cut = dictionary.activate(vectors) * (torch.arange(12) < 3)
            return float((vectors - dictionary.reconstruct(cut)).square().sum(1).mean())

        assert left(nested) < left(plain)
