"""Dictionaries of two taps, of several parts and of neighbouring frames: what was planted is found,
and nothing where nothing is."""

import math

import numpy as np
import pytest
import torch

from auscult.core.errors import ConfigError, WidthError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.joined import JoinedSource
from auscult.dictionaries.metrics import evaluate
from auscult.dictionaries.temporal import contrast
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.store.source import ArraySource
from auscult.testing.dictionaries import recovered

SETTINGS = TrainSettings(steps=500, batch=256, lr=5e-3, warm_up=20, prefetch=0)


def trained(section, source, folder, targets=None, seed=0, settings=SETTINGS):
    cls, params = DICTIONARIES.parse(section, "section")
    made = cls.build(
        params, source.d_in, seed, source.statistics, targets.statistics if targets else None
    )
    train([TrainingJob(made, "it", seed)], source, settings, folder, targets=targets)
    return made


def unit_rows(rng, n, d):
    rows = rng.standard_normal((n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sparse_weights(rng, n, n_features, n_active):
    chosen = np.argsort(rng.random((n, n_features)), axis=1)[:, :n_active]
    weights = np.zeros((n, n_features))
    np.put_along_axis(weights, chosen, rng.uniform(0.5, 1.5, (n, n_active)), axis=1)
    return weights


class TestTranscoder:
    """Six detectors of width 24 are planted; each moves the output along a direction of its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls):
        rng = np.random.default_rng(0)
        weights = sparse_weights(rng, 4000, 6, 2)
        outputs = unit_rows(rng, 6, 10)
        x = weights @ unit_rows(rng, 6, 24) + 0.02 * rng.standard_normal((4000, 24)) + 1.0
        y = weights @ outputs + 0.02 * rng.standard_normal((4000, 10)) - 2.0
        return ArraySource(x), ArraySource(y), outputs

    @pytest.mark.parametrize(
        "rule", [{"rule": "topk", "k": 2}, {"rule": "relu", "l1_weight": 0.02}]
    )
    def test_it_finds_the_directions_of_the_output(self, planted, rule, tmp_path):
        source, targets, outputs = planted
        section = {"type": "transcoder", "n_features": 16, "d_out": 10, **rule}
        found = trained(section, source, tmp_path, targets)
        assert recovered(found.atoms.detach().numpy(), outputs) > 0.9
        assert evaluate(found, source, targets=targets).fvu < 0.1

    def test_it_explains_nothing_of_an_output_that_has_nothing_to_do_with_the_input(
        self, planted, tmp_path
    ):
        source, targets, _ = planted
        rng = np.random.default_rng(1)
        others = ArraySource(targets.rows(rng.permutation(4000)))
        section = {"type": "transcoder", "n_features": 6, "k": 2, "d_out": 10}
        found = trained(section, source, tmp_path, others)
        fresh = ArraySource(targets.rows(rng.permutation(4000)))
        assert evaluate(found, source, targets=fresh).fvu > 0.97

    def test_a_shortcut_takes_what_is_linear(self, planted, tmp_path):
        source, _, _ = planted
        rng = np.random.default_rng(2)
        x = source.rows(np.arange(4000))
        targets = ArraySource(x @ rng.standard_normal((24, 10)) + 5.0)
        section = {"type": "transcoder", "n_features": 1, "k": 1, "d_out": 10}
        without = trained(section, source, tmp_path / "without", targets)
        with_it = trained({**section, "skip": True}, source, tmp_path / "with", targets)
        assert evaluate(without, source, targets=targets).fvu > 0.3
        assert evaluate(with_it, source, targets=targets).fvu < 0.02

    def test_it_gives_back_the_units_of_its_target(self, planted, tmp_path):
        source, targets, _ = planted
        section = {"type": "transcoder", "n_features": 6, "k": 2, "d_out": 10, "skip": True}
        found = trained(section, source, tmp_path, targets)
        x, y = (torch.from_numpy(s.rows(np.arange(4000))) for s in (source, targets))
        torch.testing.assert_close(found(x).mean(0), y.mean(0), rtol=0, atol=0.03)
        acts = found.encode(x)
        past = (found(x) - found.decode(acts)) @ torch.ones(10)
        assert past.std() > 0, "the shortcut is part of what it gives back"

    def test_without_a_target_it_is_refused(self, planted, tmp_path):
        source, targets, _ = planted
        with pytest.raises(ConfigError, match="learns what another tap says: give them as targets"):
            trained({"type": "transcoder", "n_features": 6, "k": 2}, source, tmp_path)
        section = {"type": "transcoder", "n_features": 6, "k": 2, "d_out": 7}
        with pytest.raises(WidthError, match="width 7, but the statistics of its target are of"):
            trained(section, source, tmp_path, targets)


class TestCrosscoder:
    """Four shared features, three of the first part alone and three of the second alone."""

    KINDS = [(0, 4, (1.0, 1.0)), (4, 7, (1.0, 0.0)), (7, 10, (0.0, 1.0))]

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls):
        rng = np.random.default_rng(3)
        weights = sparse_weights(rng, 6000, 10, 2)
        atoms = [unit_rows(rng, 10, d) for d in (16, 20)]
        for start, stop, gains in cls.KINDS:
            for part, gain in zip(atoms, gains, strict=True):
                part[start:stop] *= gain
        # The second part speaks thirty times louder: parts are to count alike.
        parts = [
            ArraySource(scale * (weights @ a + 0.02 * rng.standard_normal((6000, a.shape[1]))))
            for scale, a in zip((1.0, 30.0), atoms, strict=True)
        ]
        return JoinedSource(parts), atoms

    def shares_of_planted(self, found, atoms):
        """Share of the first part in the feature that is nearest to each planted one."""
        both = np.concatenate(atoms, 1)
        both /= np.linalg.norm(both, axis=1, keepdims=True)
        rows = found.atoms.detach().numpy()
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        nearest = (both @ rows.T).argmax(1)
        return found.shares.detach().numpy()[nearest, 0]

    @pytest.mark.parametrize(
        "rule", [{"rule": "batch-topk", "k": 2}, {"rule": "relu", "l1_weight": 0.05}]
    )
    def test_it_tells_shared_from_specific(self, planted, rule, tmp_path):
        source, atoms = planted
        section = {"type": "crosscoder", "n_features": 10, "widths": (16, 20), **rule}
        found = trained(
            section, source, tmp_path, settings=SETTINGS.model_copy(update={"steps": 800})
        )
        first, second = found.atoms.detach().split((16, 20), dim=1)
        assert recovered(first.numpy() + 1e-9, atoms[0][:7]) > 0.85
        share = self.shares_of_planted(found, atoms)
        assert (abs(share[:4] - 0.5) < 0.15).all()
        assert (share[4:7] > 0.9).all()
        assert (share[7:] < 0.1).all()
        assert int(found.specific_to(0).sum()) == 3
        assert evaluate(found, source).fvu < 0.1
        torch.testing.assert_close(first.norm(dim=1) + second.norm(dim=1), torch.ones(10))

    def test_nothing_is_specific_between_two_copies(self, planted, tmp_path):
        source, _ = planted
        part = ArraySource(source.parts[0].rows(np.arange(6000)))
        section = {"type": "crosscoder", "n_features": 10, "widths": (16, 16), "k": 2}
        found = trained(section, JoinedSource([part, part]), tmp_path)
        assert not found.specific_to(0).any()
        assert not found.specific_to(1).any()

    def test_the_penalty_calls_a_weak_side_specific_sooner_than_a_number_does(self, tmp_path):
        rng = np.random.default_rng(4)
        weights = sparse_weights(rng, 6000, 8, 1)
        atoms = [unit_rows(rng, 8, 16), 0.25 * unit_rows(rng, 8, 16)]
        atoms[1][:4] *= 4.0  # half of them is weak in the second part only
        source = JoinedSource(
            [ArraySource(weights @ a + 0.01 * rng.standard_normal((6000, 16))) for a in atoms]
        )
        section = {"type": "crosscoder", "n_features": 8, "widths": (16, 16)}
        number = trained({**section, "k": 1}, source, tmp_path / "a")
        penalty = trained({**section, "rule": "relu", "l1_weight": 0.3}, source, tmp_path / "b")
        by_number = self.shares_of_planted(number, atoms)[4:].mean()
        by_penalty = self.shares_of_planted(penalty, atoms)[4:].mean()
        assert by_penalty > by_number + 0.03

    def test_folding_changes_neither_who_is_on_nor_what_is_given_back(self, planted):
        source, _ = planted
        cls, params = DICTIONARIES.parse(
            {"type": "crosscoder", "n_features": 10, "widths": (16, 20), "k": 2}, "section"
        )
        found = cls.build(params, 36, 0, source.statistics)
        with torch.no_grad():
            found.decoder.mul_(torch.rand(10, 1) + 0.5)
            found.running.threshold.fill_(0.2)
        x = torch.from_numpy(source.rows(np.arange(100)))
        acts, rebuilt = found.encode(x), found(x)
        found.after_training()
        torch.testing.assert_close(found(x), rebuilt)
        assert torch.equal(found.encode(x) > 0, acts > 0)
        assert (acts > 0).any()

    def test_parts_that_do_not_add_up_are_refused(self):
        cls, params = DICTIONARIES.parse(
            {"type": "crosscoder", "n_features": 10, "widths": (16, 20)}, "section"
        )
        with pytest.raises(WidthError, match=r"make up width 35, not \[16, 20\]"):
            cls(params, 35)


class TestTemporal:
    """Clips of ten frames: one of six slow features is on throughout, two of ten fast ones change."""

    @staticmethod
    def planted(shuffle):
        rng = np.random.default_rng(5)
        atoms = unit_rows(rng, 16, 32)
        slow = np.repeat(sparse_weights(rng, 600, 6, 1), 10, axis=0)
        if shuffle:
            slow = rng.permutation(slow)
        fast = sparse_weights(rng, 6000, 10, 2)
        values = np.concatenate([slow, fast], 1) @ atoms + 0.02 * rng.standard_normal((6000, 32))
        pairs = np.flatnonzero(np.arange(6000) % 10 < 9)
        return ArraySource(values[pairs]), ArraySource(values[pairs + 1]), atoms

    SECTION = {"type": "temporal", "n_features": 40, "slow_share": 0.3, "k": 3}

    def test_what_lasts_is_found_among_the_slow_features(self, tmp_path):
        source, targets, atoms = self.planted(shuffle=False)
        found = trained(self.SECTION, source, tmp_path, targets)
        slow = found.atoms.detach().numpy()[:12]
        assert recovered(slow, atoms[:6]) > 0.85
        assert recovered(slow, atoms[6:]) < 0.6
        without = {**self.SECTION, "contrast_weight": 0.0}
        plain = trained(without, source, tmp_path / "plain", targets).atoms.detach().numpy()[:12]
        assert recovered(plain, atoms[:6]) < 0.75

    def test_nothing_is_slow_where_nothing_lasts(self, tmp_path):
        source, targets, _ = self.planted(shuffle=True)
        settings = SETTINGS.model_copy(update={"log_every": 500})
        found = trained(self.SECTION, source, tmp_path, targets, settings=settings)
        x, after = (torch.from_numpy(s.rows(np.arange(256))) for s in (source, targets))
        value = contrast(found.encode(x)[:, :12], found.encode(after)[:, :12], 1.0)
        assert value.item() > math.log(256) - 0.1

    def test_the_contrast_is_computed_slowly_the_same(self):
        now, after = torch.randn(2, 5, 3, dtype=torch.float64)
        total = 0.0
        for i in range(5):
            cos = [torch.cosine_similarity(now[i], after[j], dim=0) / 0.5 for j in range(5)]
            back = [torch.cosine_similarity(now[j], after[i], dim=0) / 0.5 for j in range(5)]
            for scores in (cos, back):
                total += math.log(sum(math.exp(s) for s in scores)) - float(scores[i])
        assert contrast(now, after, 0.5).item() == pytest.approx(total / 10, rel=1e-9)

    def test_codes_that_say_nothing_cost_the_logarithm_of_their_number(self):
        assert contrast(torch.zeros(7, 3), torch.zeros(7, 3), 1.0).item() == pytest.approx(
            math.log(7)
        )
