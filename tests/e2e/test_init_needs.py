"""``auscult init``: what a study needs of a model, and which of its settings can be given."""

import json

import pytest
from typer.testing import CliRunner

from auscult.cli import app
from auscult.core.config import read_toml
from auscult.core.errors import ConfigError
from auscult.experiment.spec import TrainSpec, read_spec
from auscult.experiment.start import Start, write_start

NETWORK = """
import torch
from torch import nn


class Halves(nn.Module):
    sample_rate = 8000

    def __init__(self):
        super().__init__()
        self.body = nn.Conv1d(1, 4, 8, 8)

    def there(self, x):
        return self.body(x)

    def back(self, z):
        return z.repeat_interleave(8, -1).mean(1, keepdim=True)

    def forward(self, x):
        return self.there(x)


def build():
    return Halves()
"""


def test_a_codec_gets_a_spec_that_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "steering", "--model", "mini-encodec"])
    assert done.exit_code == 0, done.output
    assert [one["type"] for one in read_spec(tmp_path / "steering.toml").analyses] == ["steering"]


def test_a_model_without_a_codec_is_refused_in_a_sentence_and_nothing_is_written(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "steering", "--model", "toy-samplecnn"])
    assert isinstance(done.exception, ConfigError)
    assert "cannot turn its activations back into sound" in str(done.exception)
    assert "mini-encodec" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_makes_no_sound_is_no_generator_and_one_that_does_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "generation", "--model", "mini-encodec"])
    assert isinstance(done.exception, ConfigError)
    assert "makes no sound in steps" in str(done.exception)
    assert "mini-flow" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(app, ["init", "generation", "--model", "mini-flow"])
    assert done.exit_code == 0, done.output


def test_a_network_of_ones_own_is_let_through_once_its_codec_is_named(tmp_path):
    (tmp_path / "own.py").write_text(NETWORK)
    own = f"{tmp_path / 'own.py'}:build"
    with pytest.raises(ConfigError, match=r"model\.encode"):
        write_start(Start("steering", own), tmp_path, force=False)
    named = ("model.encode=there", "model.decode=back")
    path = write_start(Start("steering", own, assignments=named), tmp_path, force=False)
    assert 'encode = "there"' in path.read_text()


FRONT = """
from torch import nn


def build():
    module = nn.Sequential(nn.Conv1d(1, 4, 8, 8), nn.ReLU(), nn.Conv1d(4, 4, 1))
    module.sample_rate = 8000
    return module
"""


@pytest.mark.parametrize("study", ["study", "dictionaries", "architecture"])
def test_taps_of_ones_own_network_are_those_of_its_front(tmp_path, study):
    (tmp_path / "own.py").write_text(FRONT)
    path = write_start(Start(study, f"{tmp_path / 'own.py'}:build"), tmp_path, force=False)
    assert read_spec(path).record.taps == ("0", "1")


@pytest.mark.parametrize("words", [["init", "mine"], ["taps", "toy-samplecnn"]])
@pytest.mark.parametrize("change", ["train.steps=5", "sample_rate=8000"])
def test_a_change_that_would_be_lost_is_refused(words, change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*words, "--set", change])
    assert isinstance(done.exception, ConfigError)
    assert "only keys of the model" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_settings_of_a_model_are_spelt_alike_for_taps_and_init(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK.replace("sample_rate = 8000", "pass"))
    own = ["--set", "model.sample_rate=4000", "--set", 'model.layouts={body="bct"}']
    done = CliRunner().invoke(app, ["taps", "net.py:build", "--no-check", "--json", *own])
    assert json.loads(done.stdout)[0]["time"]["sample_rate"] == 4000
    done = CliRunner().invoke(app, ["init", "mine", "--model", "net.py:build", *own])
    assert done.exit_code == 0, done.output
    model = read_spec(tmp_path / "mine.toml").model
    assert (model["sample_rate"], model["layouts"]) == (4000, {"body": "bct"})


@pytest.mark.parametrize("study", ["study", "first-layer", "dictionaries"])
def test_what_judges_how_seeds_agree_is_started_with_five(tmp_path, study):
    spec = read_spec(read_toml(write_start(Start(study), tmp_path, force=False)))
    assert len(spec.train.seeds) >= 5
    learned = [d for d in spec.dictionaries if d.section["type"] not in ("random", "pca")]
    assert all(d.n_seeds is None or d.lag > 1 for d in learned)


def test_a_spec_that_names_no_seeds_trains_five():
    assert len(TrainSpec().seeds) == 5
