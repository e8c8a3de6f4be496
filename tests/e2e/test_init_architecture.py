"""``auscult init architecture``: what is asked of which model."""

import pytest
from typer.testing import CliRunner

from auscult.cli import app
from auscult.core.config import read_toml
from auscult.core.errors import UnknownNameError
from auscult.experiment.run import run
from auscult.experiment.spec import read_spec
from auscult.experiment.start import Start, write_start
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


@pytest.fixture(scope="module")
def without_depth(tmp_path_factory):
    """Perceptrons on raw frames: nothing moves along time, so there is no depth to look over."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "net.py").write_text(RAW_FRAMES)
    spec = tiny_spec(
        model={"type": "python", "path": str(folder / "net.py"), "factory": "Frames"},
        record={"taps": ["body.0"], "sampling": {"policy": "runs", "frames_per_clip": 64}},
        dictionaries=[],
        analyses=[{"type": kind} for kind in OVER_DEPTH],
    )
    return run(spec, folder / "run")


@pytest.mark.parametrize("kind", OVER_DEPTH)
def test_of_a_network_that_has_no_stages_depth_cannot_be_tested(kind, without_depth):
    told = without_depth.result(kind)["judgements"][-1]
    assert told["verdict"] == "cannot be tested here"
    assert "stage" in told["reason"]


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
        "gabor-latents",
    ]  # fmt: skip


@pytest.mark.parametrize(("model", "seconds"), [("toy-samplecnn", 1.78531), ("mini-encodec", 2.0)])
def test_clips_are_what_the_network_takes_at_once(model, seconds, tmp_path):
    path = write_start(Start("architecture", model=model), tmp_path, force=False)
    assert read_toml(path)["sounds"]["clip_seconds"] == seconds


def test_a_study_that_is_nearly_spelt_is_not_taken_for_a_general_one(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'architecture'"):
        write_start(Start("architecure", model="mini-encodec"), tmp_path, force=False)
    assert not list(tmp_path.iterdir())
