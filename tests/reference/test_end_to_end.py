"""Training through the model: the output is kept, at a price; a step hears its own clips."""

import json

import pytest
import torch
from torch import nn

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.end_to_end import EndToEnd, EndToEndSettings
from auscult.dictionaries.metrics import evaluate
from auscult.dictionaries.own_task import own_task
from auscult.dictionaries.splicing import spliced
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.store.source import ArraySource
from auscult.taps.capture import run_capture
from auscult.testing.known_answer import as_model

RATE, WIDTH = 800, 12


class Loudness(nn.Module):
    """Frames of 12 numbers; three of them, quiet ones, decide between three classes."""

    def __init__(self):
        super().__init__()
        gains = torch.tensor([1.0] * 3 + [4.0] * (WIDTH - 3))
        turned = torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0]
        self.frames = nn.Conv1d(1, WIDTH, WIDTH, WIDTH, bias=False)
        self.later = nn.Conv1d(WIDTH, WIDTH, 1, bias=False)
        with torch.no_grad():
            self.frames.weight.copy_((turned * gains[:, None])[:, None])
            self.later.weight.copy_(torch.eye(WIDTH)[..., None])

    def forward(self, x):
        return 6.0 * self.later(self.frames(x))[:, :3].abs().mean(-1)


class Sounds:
    """Noise of which every clip has other levels in the three directions that count."""

    def __init__(self, model, n=24):
        rng = torch.Generator().manual_seed(0)
        numbers = torch.randn(n, 20, WIDTH, generator=rng)
        numbers[..., :3] *= torch.rand(n, 1, 3, generator=rng) * 2
        weight = model.module.frames.weight.detach()[:, 0]
        turned = weight / weight.norm(dim=1, keepdim=True)
        self.all = (numbers @ turned).reshape(n, 1, -1)
        self.ids = [str(i) for i in range(n)]
        self.asked = []

    def waveforms(self, ids):
        self.asked.append(list(ids))
        return self.all[[int(i) for i in ids]]


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = as_model(Loudness(), RATE)
    made.labels = ("a", "b", "c")
    return made


@pytest.fixture
def source(model):
    heard = run_capture(model, Sounds(model).all, ["frames"])["frames"].values
    return ArraySource(heard.flatten(0, 1).numpy())


def fitted(model, source, folder, settings, steps=300, lr=1e-2):
    cls, params = DICTIONARIES.parse(
        {"type": "topk", "n_features": 6, "k": 6, "signed": True, "aux_weight": 0.0}, "dictionary"
    )
    made = cls.build(params, WIDTH, 0, source.statistics)
    sounds = Sounds(model)
    extra = None if settings is None else EndToEnd(own_task(model), "frames", settings, sounds, 3)
    local = 1.0 if settings is None else settings.local_weight
    train(
        [TrainingJob(made, "it", 0, extra, local)],
        source,
        TrainSettings(steps=steps, batch=256, lr=lr, log_every=50, prefetch=0),
        folder,
    )
    return made, sounds


def lost(model, dictionary):
    waveform, task = Sounds(model).all, own_task(model)
    with torch.no_grad():
        own = task.output(waveform)
        return float(
            task.loss(task.output(waveform, spliced(dictionary, "frames")), own).total.mean()
        )


def test_the_model_loses_less_and_the_vectors_more(model, source, tmp_path):
    local, _ = fitted(model, source, tmp_path / "local", None, steps=100)
    whole, _ = fitted(model, source, tmp_path / "whole", EndToEndSettings(clips=4), 100, lr=5e-2)
    assert lost(model, whole) < 0.2 * lost(model, local)
    assert evaluate(whole, source).fvu > evaluate(local, source).fvu + 0.1


def test_where_nothing_counts_nothing_is_learned(model, source, tmp_path):
    nn.init.zeros_(model.module.later.weight)
    whole, _ = fitted(model, source, tmp_path, EndToEndSettings(clips=4), steps=20)
    untouched, _ = fitted(model, source, tmp_path / "b", EndToEndSettings(clips=4), steps=1)
    torch.testing.assert_close(whole.atoms, untouched.atoms)


def test_the_downstream_term_is_the_variance_that_changes(model, source):
    settings = EndToEndSettings(downstream=("later",), downstream_weight=3.0, clips=5)
    sounds = Sounds(model)
    terms = EndToEnd(own_task(model), "frames", settings, sounds, 0)
    cls, params = DICTIONARIES.parse({"type": "topk", "n_features": 4, "k": 2}, "dictionary")
    dictionary = cls.build(params, WIDTH, 0, source.statistics)
    found = terms(dictionary, torch.zeros(1, WIDTH), 7)
    x = run_capture(model, sounds.waveforms(sounds.asked[-1]), ["frames"])["frames"].values
    x = x.flatten(0, 1)
    own = x @ model.module.later.weight[..., 0].T
    changed = dictionary(x) @ model.module.later.weight[..., 0].T
    expected = 3.0 * (changed - own).square().sum() / (own - own.mean(0)).square().sum()
    torch.testing.assert_close(found["downstream"], expected, rtol=1e-4, atol=1e-6)


def test_a_step_hears_the_same_clips_whenever_it_comes(model, source, tmp_path):
    settings = EndToEndSettings(clips=3)
    _, whole = fitted(model, source, tmp_path / "a", settings, steps=6)
    assert len({tuple(ids) for ids in whole.asked}) > 1
    sounds = Sounds(model)
    terms = EndToEnd(own_task(model), "frames", settings, sounds, 3)
    cls, params = DICTIONARIES.parse({"type": "topk", "n_features": 4, "k": 2}, "dictionary")
    dictionary = cls.build(params, WIDTH, 0, source.statistics)
    terms(dictionary, torch.zeros(1, WIDTH), 4)
    assert sounds.asked[0] == whole.asked[4]


def test_the_local_terms_weigh_what_is_said(model, source, tmp_path):
    def losses(local_weight):
        folder = tmp_path / str(local_weight)
        cls, params = DICTIONARIES.parse({"type": "relu", "n_features": 6}, "dictionary")
        made = cls.build(params, WIDTH, 0, source.statistics)
        settings = TrainSettings(steps=1, batch=256, prefetch=0)
        train([TrainingJob(made, "it", 0, None, local_weight)], source, settings, folder)
        return json.loads((folder / "it.jsonl").read_text())["losses"]

    whole, half = losses(1.0), losses(0.5)
    assert half["mse"] == pytest.approx(0.5 * whole["mse"], rel=1e-5)
    assert half["l1"] == pytest.approx(whole["l1"], rel=1e-5)


def test_without_clips_it_is_refused(model):
    class Nothing:
        ids = ()

        def waveforms(self, ids):
            raise AssertionError

    with pytest.raises(ConfigError, match="needs clips to hear"):
        EndToEnd(own_task(model), "frames", EndToEndSettings(), Nothing(), 0)


def test_the_identity_tells_settings_apart(model):
    sounds, task = Sounds(model), own_task(model)
    said = {
        EndToEnd(task, "frames", EndToEndSettings(task_weight=w), sounds, seed).identity
        for w in (1.0, 2.0)
        for seed in (0, 1)
    }
    assert len(said) == 4
