"""``auscult init architecture``: what is asked of which model."""

import pytest
from typer.testing import CliRunner

from auscult.analyses.representability import ENCODERS, SIGNALS
from auscult.blocks import Scatter
from auscult.cli import app
from auscult.core.config import read_toml
from auscult.core.errors import UnknownNameError
from auscult.experiment.run import run
from auscult.experiment.spec import read_spec
from auscult.experiment.start import Start, write_start
from tests.contract.test_analyses import SMALL
from tests.e2e.conftest import tiny_spec

RAW_FRAMES = """
import torch
from torch import nn


class Frames(nn.Module):
    sample_rate = 16000

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x):
        return self.body(x[:, 0].unfold(1, 64, 64))
"""


OVER_DEPTH = ("atlas", "collapse", "selectivity", "tiling")


WITHOUT_STRIDE = """
import torch
from torch import nn


class Flat(nn.Module):
    sample_rate = 8000

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv1d(1, 8, 5), nn.ReLU(), nn.Conv1d(8, 4, 5))

    def forward(self, x):
        return self.body(x)
"""
REPRESENTABILITY = {"type": "representability", **SMALL["representability"]}


@pytest.fixture(scope="module")
def without_depth(tmp_path_factory):
    """Perceptrons on raw frames: nothing moves along time, so there is no depth to look over."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "net.py").write_text(RAW_FRAMES)
    spec = tiny_spec(
        model={"type": "python", "path": str(folder / "net.py"), "factory": "Frames"},
        record={"taps": ["body.0"], "sampling": {"policy": "runs", "frames_per_clip": 64}},
        dictionaries=[],
        analyses=[*({"type": kind} for kind in OVER_DEPTH), REPRESENTABILITY],
    )
    return run(spec, folder / "run")


@pytest.mark.parametrize("kind", OVER_DEPTH)
def test_of_a_network_that_has_no_stages_depth_cannot_be_tested(kind, without_depth):
    told = without_depth.result(kind)["judgements"][-1]
    assert told["verdict"] == "cannot be tested here"
    assert "stage" in told["reason"]


def test_of_a_network_that_has_no_stages_random_encoders_alone_are_foretold(without_depth):
    """Representability learns from encoders of its own, so that two of its answers stand."""
    result = without_depth.result("representability")
    own, *others = result["judgements"]
    assert own["verdict"] == "cannot be tested here"
    assert "no stage" in own["reason"]
    assert [one["measurement"]["tap"] for one in others] == [SIGNALS, ENCODERS]
    assert all(one["measurement"]["value"] is not None for one in others)
    named = [one["tap"] for one in result["measurements"]]
    assert len(named) == len(set(named)), "a judged number stands twice among all numbers"
    assert any(isinstance(block, Scatter) for block in without_depth.blocks("representability"))


def test_of_a_network_without_strides_collapse_cannot_be_tested(tmp_path):
    (tmp_path / "net.py").write_text(WITHOUT_STRIDE)
    spec = tiny_spec(
        model={"type": "python", "path": str(tmp_path / "net.py"), "factory": "Flat"},
        record={"taps": ["body.0"], "sampling": {"policy": "runs", "frames_per_clip": 64}},
        dictionaries=[],
        analyses=[{"type": "collapse", **SMALL["collapse"]}],
    )
    told = run(spec, tmp_path / "run").result("collapse")["judgements"]
    assert {one["claim"]: one["verdict"] for one in told} == {
        "SB-01": "cannot be tested here",
        "SB-02": "cannot be tested here",
    }
    assert all("no stage lies behind a stride" in one["reason"] for one in told)


def test_the_command_writes_a_spec_that_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "architecture", "--model", "mini-encodec"])
    assert done.exit_code == 0
    spec = read_spec(tmp_path / "architecture.toml")
    assert spec.record.taps == ("conv.0", "latent")
    asked = [one["type"] for one in read_toml(tmp_path / "architecture.toml")["analyses"]]
    assert asked == [
        "atlas", "collapse", "selectivity", "tiling", "representations", "representability",
        "compositionality", "note-interventions", "codes", "code-stability", "code-levels",
        "code-sequences", "gabor-latents",
    ]  # fmt: skip


@pytest.mark.parametrize(("model", "seconds"), [("toy-samplecnn", 1.78531), ("mini-encodec", 2.0)])
def test_clips_are_what_the_network_takes_at_once(model, seconds, tmp_path):
    path = write_start(Start("architecture", model=model), tmp_path, force=False)
    assert read_toml(path)["sounds"]["clip_seconds"] == seconds


def test_a_study_that_is_nearly_spelt_is_not_taken_for_a_general_one(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'architecture'"):
        write_start(Start("architecure", model="mini-encodec"), tmp_path, force=False)
    assert not list(tmp_path.iterdir())
