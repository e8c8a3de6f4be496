"""What training does beside gradient steps: sparsity, resampling, several at once."""

import json
import os
import signal
import threading

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.learner import PENALTIES, Conduct, Learner
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.testing.dictionaries import files, planted, recovered

SOURCE, ATOMS = planted(2000, n_active=2)
SHORT = TrainSettings(steps=12, batch=64, checkpoint_every=5, log_every=1, warm_up=0, decay="none")


def built(seed=0, **section):
    cls, params = DICTIONARIES.parse({"type": "relu", "n_features": 24} | section, "here")
    return cls.build(params, SOURCE.d_in, seed, SOURCE.statistics)


def log_of(folder, name="a"):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def trained(folder, settings, **section):
    return train([TrainingJob(built(**section), "a")], SOURCE, settings, folder)[0]


class TestSparsity:
    @pytest.mark.parametrize(
        ("section", "term"),
        [
            ({"type": "relu"}, "l1"),
            ({"type": "relu", "norm": "weighted"}, "l1"),
            ({"type": "gated"}, "l1"),
            ({"type": "rms-norm"}, "l1"),
            ({"type": "jump-relu"}, "l0"),
        ],
        ids=str,
    )
    def test_its_factor_multiplies_the_term_and_its_slope(self, section, term):
        dictionary = built(**section).double()
        x = torch.from_numpy(SOURCE.rows(np.arange(50))).double()
        full = float(dictionary.gradients(x).terms[term].detach())
        slopes = {name: p.grad.clone() for name, p in dictionary.named_parameters()}
        dictionary.sparsity = 0.0
        assert float(dictionary.gradients(x).terms[term].detach()) == 0.0
        nothing = {name: p.grad.clone() for name, p in dictionary.named_parameters()}
        dictionary.sparsity = 0.5
        assert float(dictionary.gradients(x).terms[term].detach()) == pytest.approx(full / 2)
        for name, parameter in dictionary.named_parameters():
            assert_close(parameter.grad, (slopes[name] + nothing[name]) / 2)

    def test_it_rises_from_nothing(self, tmp_path):
        warm, cold = (SHORT.model_copy(update={"sparsity_warm_up": n, "lr": 1e-9}) for n in (4, 0))
        trained(tmp_path / "warm", warm)
        trained(tmp_path / "cold", cold)
        pairs = zip(log_of(tmp_path / "warm"), log_of(tmp_path / "cold"), strict=True)
        shares = [a["losses"]["l1"] / b["losses"]["l1"] for a, b in pairs]
        assert shares[:6] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0], rel=1e-3)

    @pytest.mark.parametrize("l1_weight", [0.002, 0.5])
    def test_its_weight_is_steered_towards_a_target(self, l1_weight, tmp_path):
        settings = TrainSettings(steps=400, batch=128, lr=1e-2, target_l0=3.0, log_every=100)
        trained(tmp_path, settings, l1_weight=l1_weight)
        assert log_of(tmp_path)[-1]["l0"] == pytest.approx(3.0, rel=0.15)

    def test_left_alone_it_ends_elsewhere(self, tmp_path):
        settings = TrainSettings(steps=400, batch=128, lr=1e-2, log_every=100)
        trained(tmp_path, settings, l1_weight=0.002)
        assert log_of(tmp_path)[-1]["l0"] > 4.0

    def test_what_is_held_to_a_target_of_its_own_cannot_be_steered_to_another(self, tmp_path):
        settings = SHORT.model_copy(update={"target_l0": 2.0})
        with pytest.raises(ConfigError, match="set their own k or target_l0"):
            trained(tmp_path, settings, type="jump-relu", target_l0=3.0)

    def test_types_without_a_weight_cannot_be_steered(self, tmp_path):
        settings = SHORT.model_copy(update={"target_l0": 2.0})
        with pytest.raises(ConfigError, match=r"topk dictionaries such as 'a' have none"):
            trained(tmp_path, settings, type="topk", k=2)

    @pytest.mark.parametrize(
        "section",
        [
            {"type": "relu"},
            {"type": "gated"},
            {"type": "jump-relu"},
            {"type": "topk", "k": 2},
            {"type": "batch-topk", "k": 2},
            {"type": "rms-norm"},
            {"type": "rms-norm", "l1_on": "topk", "k": 2},
            {"type": "transcoder", "rule": "relu"},
            {"type": "transcoder", "rule": "topk", "k": 2},
            {"type": "crosscoder", "rule": "relu"},
            {"type": "crosscoder", "rule": "batch-topk", "k": 2},
        ],
        ids=str,
    )
    def test_a_type_has_such_a_weight_where_its_settings_give_it_a_penalty(self, section):
        dictionary = built(**section)
        assert dictionary.priced_by(dictionary.params) == bool(PENALTIES & set(dictionary.claims()))


@pytest.mark.parametrize("longest", [0.01, None])
def test_a_gradient_is_shortened_to_what_is_asked_for(longest):
    learner = Learner(built(), "a", None, Conduct(clip_norm=longest, dead_after=100))
    learner.step(0, torch.from_numpy(SOURCE.rows(np.arange(64))), None, 1e-3)
    length = float(torch.linalg.vector_norm(learner._adam.gradient))
    assert length == pytest.approx(0.01) if longest else length > 0.1


class TestResampling:
    def dying(self, **section):
        dictionary = built(**section)
        with torch.no_grad():
            dictionary.linear.encoder_bias[:3] = -100.0
        return dictionary

    def learner(self, dictionary, every):
        conduct = Conduct(clip_norm=None, dead_after=100, resample_every=every)
        return Learner(dictionary, "a", None, conduct)

    @pytest.mark.parametrize(
        "section", [{}, {"type": "topk", "k": 3}, {"type": "batch-topk", "k": 3}], ids=str
    )
    def test_dead_features_begin_anew_as_vectors_that_were_badly_rebuilt(self, section):
        dictionary = self.dying(**section)
        learner = self.learner(dictionary, every=3)
        x = torch.from_numpy(SOURCE.rows(np.arange(64)))
        before = dictionary.linear.decoder.detach().clone()
        for step in range(2):
            learner.step(step, x, None, 1e-4)
        dead = dictionary.dead
        assert set(range(3)) <= set(dead.tolist()) != set(range(24))
        alive = torch.ones(24, dtype=torch.bool).index_fill(0, dead, False)
        learner.step(2, x, None, 1e-4)
        assert learner._line["resampled"] == len(dead)
        assert dictionary.dead.tolist() == []
        vectors = dictionary.preprocess(x)
        unit = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        cosines = dictionary.linear.decoder.detach() @ unit.T
        assert_close(cosines[dead].max(1).values, torch.ones(len(dead)))
        assert_close(dictionary.linear.decoder[alive].detach(), before[alive], rtol=0, atol=1e-2)
        lengths = torch.linalg.vector_norm(dictionary.linear.encoder.detach(), dim=1)
        assert_close(lengths[dead], (0.2 * lengths[alive].mean()).expand(len(dead)))
        moments = learner._adam.state()["exp_avg"]
        assert not moments["linear.decoder"][dead].any()
        assert moments["linear.decoder"][alive].any()

    def test_badly_rebuilt_vectors_are_drawn_more_often_and_none_twice(self):
        dictionary = self.dying()
        learner = self.learner(dictionary, every=2)
        x = torch.from_numpy(SOURCE.rows(np.arange(64))).clone()
        far = [7, 20, 41]
        x[far] *= 100.0
        for step in range(2):
            learner.step(step, x, None, 1e-6)
        vectors = dictionary.preprocess(x)[far]
        unit = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        cosines = dictionary.linear.decoder[:3].detach() @ unit.T
        assert_close(cosines.max(0).values, torch.ones(3))
        assert_close(cosines.max(1).values, torch.ones(3))

    def test_where_there_are_too_few_vectors_some_are_drawn_again(self):
        dictionary = self.dying()
        learner = self.learner(dictionary, every=2)
        x = torch.from_numpy(SOURCE.rows(np.arange(2)))
        for step in range(2):
            dictionary.vectors_since_fired[:3] = 100
            learner.step(step, x, None, 1e-6)
        assert learner._line["resampled"] >= 3

    @pytest.mark.parametrize("frozen", ["decoder", "soft-decoder"])
    def test_encoders_begin_anew_at_atoms_that_stay(self, frozen):
        linear = self.dying(frozen=frozen).linear
        dead = torch.tensor([0, 2])
        directions = torch.nn.functional.normalize(torch.randn(2, linear.decoder.shape[1]))
        linear.revive(dead, directions)
        cosines = torch.nn.functional.cosine_similarity(linear.encoder, linear.decoder)
        assert_close(cosines[dead].detach(), torch.ones(2))

    def test_without_it_they_stay_dead(self):
        dictionary = self.dying()
        learner = self.learner(dictionary, every=None)
        x = torch.from_numpy(SOURCE.rows(np.arange(64)))
        for step in range(4):
            learner.step(step, x, None, 1e-4)
        assert dictionary.dead.tolist() == [0, 1, 2]

    def test_it_finds_atoms_that_dead_features_missed(self, tmp_path):
        found = {}
        for every in (None, 20):
            dictionary = built()
            with torch.no_grad():
                dictionary.linear.encoder_bias[:16] = -100.0
            settings = TrainSettings(
                steps=300, batch=128, lr=1e-2, dead_after=1000, resample_every=every
            )
            train([TrainingJob(dictionary, "a")], SOURCE, settings, tmp_path / f"{every}")
            found[every] = recovered(dictionary.atoms.numpy(), ATOMS)
        assert found[20] > found[None] + 0.1


def test_killed_with_everything_on_it_goes_on_to_the_same_bytes(tmp_path):
    settings = TrainSettings(
        steps=40,
        batch=64,
        checkpoint_every=10,
        log_every=1,
        sparsity_warm_up=5,
        target_l0=3.0,
        resample_every=4,
        dead_after=128,
        bf16="on",
    )

    def jobs():
        made = [built(seed, l1_weight=0.3) for seed in range(3)]
        for dictionary in made:
            with torch.no_grad():
                dictionary.linear.encoder_bias[:3] = -100.0
        return [TrainingJob(each, f"{seed}", seed) for seed, each in enumerate(made)]

    train(jobs(), SOURCE, settings, tmp_path / "whole")

    def press_ctrl_c(step, steps):
        if step == 23:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(jobs(), SOURCE, settings, tmp_path / "broken", press_ctrl_c)
    train(jobs(), SOURCE, settings, tmp_path / "broken")
    assert any(line.get("resampled") for line in log_of(tmp_path / "whole", "0"))
    assert files(tmp_path / "whole") == files(tmp_path / "broken")


class TestGrid:
    GRID = (
        {"n_features": 24, "l1_weight": 0.01},
        {"n_features": 48, "l1_weight": 0.1},
        {"type": "topk", "n_features": 32, "k": 2},
        {"type": "topk", "n_features": 32, "k": 4, "seed": 1},
        {"type": "jump-relu"},
    )

    @pytest.fixture
    def threads(self):
        before = torch.get_num_threads()
        yield torch.set_num_threads
        torch.set_num_threads(before)

    def weights(self, folder, grid):
        jobs = [TrainingJob(built(**section), f"{n}") for n, section in enumerate(grid)]
        return [made.state_dict() for made in train(jobs, SOURCE, SHORT, folder)]

    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_its_dictionaries_are_bit_for_bit_those_trained_alone(
        self, n_threads, threads, tmp_path
    ):
        threads(n_threads)
        together = self.weights(tmp_path / "grid", self.GRID)
        assert torch.get_num_threads() == n_threads
        threads(1)
        for n, section in enumerate(self.GRID):
            (alone,) = self.weights(tmp_path / f"{n}", [section])
            assert all(torch.equal(alone[key], together[n][key]) for key in alone), section

    def test_they_learn_at_the_same_time(self, threads, tmp_path):
        threads(2)
        both = threading.Barrier(2, timeout=20)

        class Waiting(type(built())):
            def before_step(self):
                super().before_step()
                both.wait()

        jobs = [TrainingJob(built(seed), f"{seed}") for seed in range(2)]
        for job in jobs:
            job.dictionary.__class__ = Waiting
        train(jobs, SOURCE, SHORT, tmp_path)


def test_types_whose_features_cannot_begin_anew_are_refused(tmp_path):
    settings = SHORT.model_copy(update={"resample_every": 5})
    with pytest.raises(ConfigError, match="gated dictionaries such as 'a' have no way to"):
        trained(tmp_path, settings, type="gated")
