"""Dictionaries that learn as a stack beside the same ones that learn alone."""

import json
import os
import signal
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import DivergedError, InvariantError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.flat_adam import FlatAdam
from auscult.dictionaries.learner import Conduct, Learner
from auscult.dictionaries.side_by_side import Preprocessed
from auscult.dictionaries.stack import Stack, teams_of
from auscult.dictionaries.stacked_relu import StackedRelu
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.store.source import ArraySource
from auscult.testing.dictionaries import files, planted

SOURCE, _ = planted(2000, n_active=1)
SHORT = TrainSettings(steps=12, batch=64, checkpoint_every=5, log_every=4)
WEIGHTS = (0.03, 0.1, 0.0)


def built(seed=0, d_in=SOURCE.d_in, **section):
    section = {"type": "relu", "n_features": 20, "centre": False, "scale": False} | section
    cls, params = DICTIONARIES.parse(section, "here")
    dictionary = cls.build(params, d_in, seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return dictionary


def several(dtype=torch.float64, **section):
    """Some that differ in all that members of a stack may differ in."""
    made = [built(seed, l1_weight=weight, **section) for seed, weight in enumerate(WEIGHTS)]
    made[1].sparsity = 0.5
    return [each.to(dtype) for each in made]


def stack_of(dictionaries):
    adam = FlatAdam(*(dict(each.named_parameters()) for each in dictionaries))
    return StackedRelu(dictionaries, adam), adam


def drawn(n, dtype=torch.float64):
    return torch.randn(n, SOURCE.d_in, dtype=dtype, generator=torch.manual_seed(3))


class TestGradients:
    @pytest.mark.parametrize("norm", ["unit", "weighted"])
    def test_they_are_those_of_each_alone(self, norm):
        alone, stacked = several(norm=norm), several(norm=norm)
        gradients, _ = stack_of(stacked)
        for n in (50, 9, 50):  # room is made anew for batches of another size
            found = gradients.differentiate(drawn(n))
            gradients.before_step()
            for one, other, said in zip(alone, stacked, found, strict=True):
                wanted = one.differentiate(drawn(n), drawn(n))
                one.before_step()
                assert torch.equal(said.fired, wanted.fired)
                assert_close(dict(said.terms), dict(wanted.terms), rtol=1e-10, atol=1e-12)
                for name, parameter in other.named_parameters():
                    grad = dict(one.named_parameters())[name].grad
                    assert_close(parameter.grad, grad, rtol=1e-9, atol=1e-12, msg=name)

    def test_where_nothing_has_a_price_units_are_those_of_the_batch(self):
        alone, free = built(l1_weight=0.0).double(), built(l1_weight=0.0).double()
        gradients, _ = stack_of([free])
        for n in (50, 9):
            alone.zero_grad()
            alone.differentiate(drawn(n), drawn(n))
            gradients.differentiate(drawn(n))
            assert_close(free.linear.encoder.grad, alone.linear.encoder.grad)

    def test_in_bfloat16_they_are_off_by_rounding_only(self):
        exact, stacked = several(), several(torch.float32)
        for each in stacked:
            each.linear.bf16 = True
        gradients, adam = stack_of(stacked)
        gradients.differentiate(drawn(5000, torch.float32))
        for of, one in enumerate(exact):
            vectors = drawn(5000, torch.float32).double()
            one.differentiate(vectors, vectors)
            wanted = torch.cat([p.grad.flatten() for p in one.parameters()])
            found = torch.cat([p.grad.flatten() for p in stacked[of].parameters()])
            error = torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted)
            assert 1e-5 < float(error) < 0.03
        assert adam.gradient.dtype == torch.float32

    def test_rows_are_brought_back_to_unit_length(self):
        stacked = several()
        gradients, _ = stack_of(stacked)
        gradients.after_step()
        for each in stacked:
            lengths = torch.linalg.vector_norm(each.linear.decoder, dim=1)
            assert_close(lengths, torch.ones_like(lengths))

    def test_free_rows_keep_their_lengths(self):
        stacked = several(norm="weighted")
        gradients, adam = stack_of(stacked)
        before = adam.values.clone()
        gradients.after_step()
        assert torch.equal(adam.values, before)


def learners_of(dictionaries, conduct):
    return teams_of(
        dictionaries,
        Preprocessed(dictionaries).like,
        64,
        1,
        lambda i, member: Learner(dictionaries[i], f"{i}", None, conduct, 1.0, member),
    )


class TestTeams:
    def sizes(self, dictionaries, batch=64, n_teams=2):
        conduct = Conduct(clip_norm=1.0, dead_after=100)
        like = Preprocessed(dictionaries).like

        def make(i, member):
            return Learner(dictionaries[i], f"{i}", None, conduct, 1.0, member)

        learners, teams = teams_of(dictionaries, like, batch, n_teams, make)
        assert [each.dictionary for each in learners] == dictionaries
        return sorted((first, isinstance(team, Stack)) for first, team in teams)

    def test_those_of_one_shape_are_split_evenly(self):
        assert self.sizes([built(seed) for seed in range(5)]) == [(0, True), (1, True)]

    def test_one_alone_is_a_stack_too(self):
        assert self.sizes([built()]) == [(0, True)]

    @pytest.mark.parametrize(
        ("section", "stacked"),
        [
            ({"n_features": 21}, True),
            ({"norm": "weighted"}, True),
            ({"centre": True}, True),
            ({"frozen": "decoder"}, False),
            ({"type": "topk", "k": 2}, False),
            ({"n_features": 1 << 14}, False),
        ],
        ids=str,
    )
    def test_what_differs_learns_apart(self, section, stacked):
        plain = {"type": "relu", "n_features": 20, "centre": False, "scale": False}
        cls, params = DICTIONARIES.parse(plain | section, "here")
        other = cls.build(params, SOURCE.d_in, 0, SOURCE.statistics)
        first = [built(), built(1)]
        assert self.sizes([*first, other], n_teams=1) == [(0, True), (2, stacked)]

    def test_batches_of_more_than_one_piece_are_not_for_stacks(self):
        assert self.sizes([built()], batch=1 << 20) == [(0, False)]

    def test_what_goes_its_own_way_is_left_out(self):
        dictionaries, like = [built(), built(1), built(2)], [0, None, 0]
        conduct = Conduct(clip_norm=1.0, dead_after=100)

        def make(i, member):
            return Learner(dictionaries[i], f"{i}", None, conduct, 1.0, member)

        _, teams = teams_of(dictionaries, like, 64, 1, make)
        assert sorted((first, isinstance(team, Stack)) for first, team in teams) == [
            (0, True),
            (1, False),
        ]


class TestLearning:
    def jobs(self, n=3, **section):
        made = []
        for seed in range(n):
            section = {"type": "relu", "n_features": 12, "l1_weight": WEIGHTS[seed]} | section
            cls, params = DICTIONARIES.parse(section, "here")
            dictionary = cls.build(params, SOURCE.d_in, seed, SOURCE.statistics)
            made.append(TrainingJob(dictionary, "abc"[seed]))
        return made

    @pytest.mark.parametrize("n_threads", [1, 2])
    @pytest.mark.parametrize("norm", ["unit", "weighted"])
    def test_it_is_byte_for_byte_what_each_learns_alone(self, norm, n_threads, tmp_path):
        threads = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            together = train(self.jobs(norm=norm), SOURCE, SHORT, tmp_path / "all")
        finally:
            torch.set_num_threads(threads)
        for job, learned in zip(self.jobs(norm=norm), together, strict=True):
            alone = train([job], SOURCE, SHORT, tmp_path / job.name)[0].state_dict()
            assert all(torch.equal(alone[k], v) for k, v in learned.state_dict().items())
            log = (tmp_path / job.name / f"{job.name}.jsonl").read_text()
            assert (tmp_path / "all" / f"{job.name}.jsonl").read_text() == log

    @pytest.mark.parametrize("norm", ["unit", "weighted"])
    def test_it_ends_where_the_types_own_way_ends(self, norm, tmp_path, monkeypatch):
        stacked = train(self.jobs(norm=norm), SOURCE, SHORT, tmp_path / "stack")
        cls, _ = DICTIONARIES.parse({"type": "relu", "n_features": 12}, "here")
        monkeypatch.setattr(cls, "stacked", None)
        apart = train(self.jobs(norm=norm), SOURCE, SHORT, tmp_path / "apart")
        for one, other in zip(stacked, apart, strict=True):
            assert_close(one.state_dict(), other.state_dict(), rtol=1e-4, atol=1e-6)

    def test_a_killed_process_goes_on_to_the_same_bytes(self, tmp_path):
        train(self.jobs(), SOURCE, SHORT, tmp_path / "whole")
        process = get_context("fork").Process(target=train_and_die, args=(tmp_path / "killed",))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        train(self.jobs(), SOURCE, SHORT, tmp_path / "killed")
        assert files(tmp_path / "whole") == files(tmp_path / "killed")

    def test_one_that_diverges_is_named_before_any_has_moved(self):
        dictionaries = several(torch.float32)
        with torch.no_grad():
            dictionaries[1].linear.decoder[0] = float("nan")
        learners, [(_, stack)] = learners_of(dictionaries, Conduct(1.0, 100))
        before = learners[0].dictionary.linear.encoder.detach().clone()
        with pytest.raises(DivergedError, match="dictionary '1' is not finite at step 1"):
            stack.step(0, drawn(64, torch.float32), None, 1e-2)
        assert torch.equal(learners[0].dictionary.linear.encoder, before)

    def test_features_that_stay_off_are_counted_and_begin_anew(self):
        dictionaries = several(torch.float32)
        for each in dictionaries[:2]:
            with torch.no_grad():
                each.linear.encoder_bias[:3] = -100.0
        learners, [(_, stack)] = learners_of(
            dictionaries, Conduct(None, dead_after=128, resample_every=3)
        )
        x = drawn(64, torch.float32)
        stack.step(0, x, None, 1e-4)
        assert dictionaries[0].vectors_since_fired[:4].tolist()[:3] == [64] * 3
        stack.step(1, x, None, 1e-4)
        assert set(range(3)) <= set(dictionaries[1].dead.tolist())
        stack.step(2, x, None, 1e-4)
        moments = [each.arrays()[f"{i}/exp_avg/linear.decoder"] for i, each in enumerate(learners)]
        assert not moments[1][:3].any()
        assert moments[1][3:].any(1).all() == moments[2].any(1).all() == np.True_
        assert dictionaries[1].dead.tolist() == []

    def test_what_the_log_does_not_ask_for_is_not_counted(self):
        dictionaries = several(torch.float32)
        gradients, _ = stack_of(dictionaries)
        counted = gradients.differentiate(drawn(64, torch.float32))
        dictionaries[1].counting = False
        found = gradients.differentiate(drawn(64, torch.float32))
        same = [torch.equal(a.fired, b.fired) for a, b in zip(counted, found, strict=True)]
        assert same == [True, False, True]
        assert torch.equal(found[1].fired > 0, counted[1].fired > 0)

    @pytest.mark.parametrize("target", [None, 2.0])
    @pytest.mark.parametrize("section", [{}, {"frozen": "decoder"}], ids=["stacked", "alone"])
    def test_a_log_of_few_lines_says_what_one_of_all_says(self, section, target, tmp_path):
        lines = {}
        for every in (1, 4):
            settings = SHORT.model_copy(
                update={"log_every": every, "steps": 10, "target_l0": target}
            )
            jobs = [TrainingJob(built(**section), "it")]
            train(jobs, SOURCE, settings, tmp_path / str(every))
            lines[every] = (tmp_path / str(every) / "it.jsonl").read_text().splitlines()
        assert lines[4] == [lines[1][step - 1] for step in (4, 8, 10)]
        assert all(float(64 * json.loads(line)["l0"]).is_integer() for line in lines[1])

    def test_a_target_is_not_passed_over(self):
        _, [(_, stack)] = learners_of(several(torch.float32), Conduct(1.0, 100))
        x = drawn(64, torch.float32)
        with pytest.raises(InvariantError, match="vectors alone"):
            stack.step(0, x, x, 1e-3)

    def test_each_gradient_is_shortened_by_itself(self):
        dictionaries = several(torch.float32)
        _, [(_, stack)] = learners_of(dictionaries, Conduct(0.01, 100))
        stack.step(0, drawn(64, torch.float32), None, 1e-3)
        for each in dictionaries:
            length = sum(float(p.grad.square().sum()) for p in each.parameters()) ** 0.5
            assert length == pytest.approx(0.01, rel=1e-4)

    def test_a_target_l0_steers_each_by_itself(self, tmp_path):
        settings = SHORT.model_copy(update={"steps": 150, "target_l0": 2.0, "lr": 1e-2})
        jobs = self.jobs(n=2)
        train(jobs, SOURCE, settings, tmp_path)
        assert jobs[0].dictionary.sparsity != jobs[1].dictionary.sparsity


def train_and_die(folder):
    """Run in a process of its own, which ends in the middle of things without any farewell."""

    def die(step, steps):
        if step == 7:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    train(TestLearning().jobs(), SOURCE, SHORT, folder, die)


class TestMembersOfOneOptimiser:
    def test_each_takes_its_own_steps(self):
        values = [torch.randn(3, 2, generator=torch.manual_seed(seed)) for seed in range(3)]
        together = [{"a": torch.nn.Parameter(each.clone())} for each in values]
        adam = FlatAdam(*together)
        for _ in range(3):
            for each in together:
                each["a"].grad.copy_(each["a"].detach() * 3.0)
            adam.clip(0.5)
            adam.step(0.1)
        for value, each in zip(values, together, strict=True):
            alone = {"a": torch.nn.Parameter(value.clone())}
            single = FlatAdam(alone)
            for _ in range(3):
                alone["a"].grad.copy_(alone["a"].detach() * 3.0)
                single.clip(0.5)
                single.step(0.1)
            assert torch.equal(alone["a"], each["a"])
        assert torch.equal(adam.stacked("a")[1], together[1]["a"])
        adam.release()
        adam.release()
        assert together[2]["a"].untyped_storage().nbytes() == 4 * 6


def test_rows_are_those_that_numpy_takes():
    values = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    locked = values.copy()
    locked.flags.writeable = False
    for indices in (np.arange(50)[::-1], np.array([4, 4, 0]), np.arange(0)):
        for source in (ArraySource(values), ArraySource(locked)):
            assert np.array_equal(source.rows(indices), values[indices])
