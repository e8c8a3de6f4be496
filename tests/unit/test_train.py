import json
import os
import signal
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import ConfigError, StoreError, UserError, WidthError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.joined import JoinedSource
from auscult.dictionaries.train import TrainingJob, TrainSettings, learning_rate, train
from auscult.store.source import ArraySource
from auscult.testing.dictionaries import files, planted, recovered

SOURCE, ATOMS = planted(2000, n_active=1)
SHORT = TrainSettings(steps=12, batch=64, checkpoint_every=5, log_every=4)


def built(source=SOURCE, seed=0, **section):
    defaults = {"type": "topk", "n_features": 12}
    if section.get("type", "topk") == "topk":
        defaults["k"] = 2
    cls, params = DICTIONARIES.parse(defaults | section, "here")
    return cls.build(params, source.d_in, seed, source.statistics)


def two_jobs():
    return [TrainingJob(built(), "a"), TrainingJob(built(type="relu"), "b")]


def train_and_die(folder, last_step):
    """Run in a process of its own, which ends in the middle of things without any farewell."""

    def die(step, steps):
        if step == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    train(two_jobs(), SOURCE, SHORT, folder, die)


def log_of(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


class TestLearningRate:
    def test_it_falls_along_half_a_cosine(self):
        settings = TrainSettings(steps=4, lr=2.0, warm_up=0, decay="cosine", decay_share=1.0)
        rates = [learning_rate(settings, step) for step in range(4)]
        assert rates == pytest.approx([2.0, 1.0 + 0.5**0.5, 1.0, 1.0 - 0.5**0.5])

    def test_without_decay_it_stays(self):
        settings = TrainSettings(steps=100, lr=0.3, warm_up=0, decay="none")
        assert learning_rate(settings, 99) == 0.3


class TestLearning:
    @pytest.mark.parametrize(
        "section",
        [
            {"type": "relu", "l1_weight": 0.05},
            {"type": "relu", "l1_weight": 0.05, "norm": "weighted"},
            {"type": "topk", "k": 1},
            {"type": "kmeans"},
        ],
        ids=str,
    )
    def test_planted_atoms_are_found(self, section, tmp_path):
        found = built(n_features=24, **section)
        settings = TrainSettings(steps=200, batch=128, lr=2e-2, warm_up=20)
        train([TrainingJob(found, "it")], SOURCE, settings, tmp_path)
        assert recovered(found.atoms.numpy(), ATOMS) > 0.95

    def test_untrained_atoms_are_not_the_planted_ones(self):
        assert recovered(built(n_features=24).atoms.detach().numpy(), ATOMS) < 0.8

    def test_side_by_side_is_as_alone(self, tmp_path):
        alone = train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path / "1")[0]
        jobs = [TrainingJob(built(k=3, seed=1), "b"), TrainingJob(built(), "a")]
        beside = train(jobs, SOURCE, SHORT, tmp_path / "2")[1]
        assert all(torch.equal(alone.state_dict()[k], v) for k, v in beside.state_dict().items())

    def test_what_goes_its_own_way_does_not_change_the_others(self, tmp_path):
        relu = {"type": "relu", "l1_weight": 0.05}
        alone = train([TrainingJob(built(**relu), "a")], SOURCE, SHORT, tmp_path / "1")[0]
        other = TrainingJob(built(**relu, seed=1), "b", local_weight=0.5)
        pair = [TrainingJob(built(**relu), "a"), other]
        beside = train(pair, SOURCE, SHORT, tmp_path / "2")[0]
        assert all(torch.equal(alone.state_dict()[k], v) for k, v in beside.state_dict().items())

    def test_gates_do_not_learn_without_their_own_loss(self, tmp_path):
        jobs = [TrainingJob(built(type="gated"), "g", local_weight=0.0)]
        with pytest.raises(ConfigError, match="such as 'g' learn who is on from their own"):
            train(jobs, SOURCE, SHORT, tmp_path)

    @pytest.mark.parametrize("prefetch", [0, 3])
    def test_reading_ahead_changes_nothing(self, prefetch, tmp_path):
        settings = SHORT.model_copy(update={"prefetch": prefetch})
        train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path / "1")
        train([TrainingJob(built(), "a")], SOURCE, settings, tmp_path / "2")
        assert files(tmp_path / "1") == files(tmp_path / "2")

    def test_another_seed_shows_the_vectors_in_another_order(self, tmp_path):
        other = SHORT.model_copy(update={"seed": 1})
        first = train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path / "1")[0]
        second = train([TrainingJob(built(), "a")], SOURCE, other, tmp_path / "2")[0]
        assert not torch.equal(first.atoms, second.atoms)

    def test_what_comes_back_is_frozen(self, tmp_path):
        trained = train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path)[0]
        assert not trained.training
        assert not any(parameter.requires_grad for parameter in trained.parameters())

    def test_fewer_vectors_than_a_batch_are_one_batch(self, tmp_path):
        few = ArraySource(SOURCE.rows(np.arange(10)))
        train([TrainingJob(built(few), "a")], few, SHORT, tmp_path)
        assert log_of(tmp_path, "a")[-1]["step"] == 12

    def test_the_log_tells_losses_and_dead_features(self, tmp_path):
        dictionary = built(aux_weight=0.0)
        with torch.no_grad():
            dictionary.linear.encoder_bias[:3] = -100.0
        settings = SHORT.model_copy(update={"dead_after": 64 * 6})
        train([TrainingJob(dictionary, "a")], SOURCE, settings, tmp_path)
        lines = log_of(tmp_path, "a")
        assert [line["step"] for line in lines] == [4, 8, 12]
        assert set(lines[0]) == {"step", "losses", "l0", "dead_fraction"}
        assert [line["dead_fraction"] for line in lines] == [0.0, 0.25, 0.25]
        assert 0.0 < lines[-1]["l0"] <= 2.0


class TestFurtherTerms:
    def test_losses_from_outside_train_as_well(self, tmp_path):
        def shorter(dictionary, x, step):
            return {"short": 100.0 * dictionary(x).square().mean()}

        jobs = [TrainingJob(built(), "a"), TrainingJob(built(), "b", extra_losses=shorter)]
        plain, shortened = train(jobs, SOURCE, SHORT, tmp_path)
        x = torch.from_numpy(SOURCE.rows(np.arange(100)))
        assert shortened(x).norm() < plain(x).norm()
        assert "short" in log_of(tmp_path, "b")[0]["losses"]

    def test_targets_are_what_is_reconstructed(self, tmp_path):
        shifted = ArraySource(SOURCE.rows(np.arange(SOURCE.n_vectors)) + 1.0)
        settings = TrainSettings(steps=200, batch=128, lr=2e-2, warm_up=20)
        dictionary = built()
        train([TrainingJob(dictionary, "a")], SOURCE, settings, tmp_path, targets=shifted)
        x = torch.from_numpy(SOURCE.rows(np.arange(200)))
        assert_close(dictionary(x).mean(0), x.mean(0) + 1.0, rtol=0, atol=0.05)

    def test_sources_of_other_frames_are_not_joined(self):
        with pytest.raises(StoreError, match=r"equally long.*\[2000, 5\]"):
            JoinedSource([SOURCE, ArraySource(np.ones((5, 2)))])

    def test_joined_vectors_stand_end_to_end(self):
        joined = JoinedSource([ArraySource(np.ones((4, 2))), ArraySource(np.zeros((4, 1)))])
        assert joined.rows(np.array([3])).tolist() == [[1.0, 1.0, 0.0]]
        assert joined.statistics.mean.tolist() == [1.0, 1.0, 0.0]


class TestResuming:
    @pytest.mark.parametrize("last_step", [3, 9])
    def test_a_killed_process_goes_on_to_the_same_bytes(self, last_step, tmp_path):
        train(two_jobs(), SOURCE, SHORT, tmp_path / "whole")
        process = get_context("spawn").Process(
            target=train_and_die, args=(tmp_path / "killed", last_step)
        )
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        train(two_jobs(), SOURCE, SHORT, tmp_path / "killed")
        assert files(tmp_path / "whole") == files(tmp_path / "killed")

    def test_a_finished_training_is_not_repeated(self, tmp_path):
        first = train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path)[0]
        steps = []
        again = train(
            [TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path, lambda done, _: steps.append(done)
        )[0]
        assert steps == []
        assert all(torch.equal(first.state_dict()[k], v) for k, v in again.state_dict().items())

    def test_other_settings_do_not_go_on_from_here(self, tmp_path):
        train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path)
        with pytest.raises(StoreError, match="a training with other settings"):
            train([TrainingJob(built(k=3), "a")], SOURCE, SHORT, tmp_path)

    def test_other_vectors_do_not_go_on_from_here(self, tmp_path):
        train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path)
        with pytest.raises(StoreError, match="other settings, dictionaries or data"):
            train([TrainingJob(built(), "a")], planted(2000, seed=5)[0], SHORT, tmp_path)

    @pytest.mark.parametrize("name", ["checkpoint.json", "a.jsonl", "checkpoint-*.safetensors"])
    def test_damage_is_told_and_not_trained_over(self, name, tmp_path):
        train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path)
        next(tmp_path.glob(name)).write_bytes(b"{")
        with pytest.raises(StoreError):
            train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path)

    def test_one_checkpoint_is_kept(self, tmp_path):
        train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path)
        assert sorted(files(tmp_path)) == [
            "a.jsonl",
            "checkpoint-000000012.safetensors",
            "checkpoint.json",
        ]


class TestTrouble:
    def test_a_loss_that_is_not_finite_names_dictionary_and_step(self, tmp_path):
        calls = []

        def breaks(dictionary, x, step):
            calls.append(1)
            return {"odd": dictionary(x).sum() * (float("nan") if len(calls) == 8 else 0.0)}

        jobs = [TrainingJob(built(), "a"), TrainingJob(built(), "b", extra_losses=breaks)]
        with pytest.raises(UserError, match="'b' is not finite at step 8"):
            train(jobs, SOURCE, SHORT, tmp_path)
        assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 5

    def test_vectors_that_are_not_finite_are_refused(self, tmp_path):
        values = SOURCE.rows(np.arange(100))
        values[50, 3] = np.nan
        dictionary = built()
        with pytest.raises(UserError, match="the vectors hold values that are not finite"):
            train([TrainingJob(dictionary, "a")], ArraySource(values), SHORT, tmp_path)

    def test_two_of_one_name_are_refused(self, tmp_path):
        jobs = [TrainingJob(built(), "a"), TrainingJob(built(), "a")]
        with pytest.raises(ConfigError, match="two dictionaries are named 'a'"):
            train(jobs, SOURCE, SHORT, tmp_path)

    @pytest.mark.parametrize("name", ["../a", "", ".hidden", "a/b", "a\n"])
    def test_names_that_are_no_file_names_are_refused(self, name, tmp_path):
        with pytest.raises(ConfigError, match="cannot name a dictionary"):
            train([TrainingJob(built(), name)], SOURCE, SHORT, tmp_path)

    def test_vectors_of_another_tap_are_refused(self, tmp_path):
        with pytest.raises(WidthError, match=r"'a' goes from width 16 to 16.*from 3 to 3"):
            train([TrainingJob(built(), "a")], ArraySource(np.ones((9, 3))), SHORT, tmp_path)

    def test_the_callers_handler_of_ctrl_c_is_put_back(self, tmp_path):
        before = signal.getsignal(signal.SIGINT)
        train([TrainingJob(built(), "a")], SOURCE, SHORT, tmp_path)
        assert signal.getsignal(signal.SIGINT) is before
