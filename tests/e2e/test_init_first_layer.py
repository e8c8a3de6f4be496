"""``auscult init first-layer``: what is asked of which model."""

import pytest
from typer.testing import CliRunner

from auscult.cli import app
from auscult.core.config import read_toml
from auscult.core.errors import UnknownNameError
from auscult.experiment.spec import read_spec
from auscult.experiment.start import Start, write_start


def written(folder, **asked):
    path = write_start(Start("first-layer", **asked), folder, force=False)
    return read_toml(path)


def test_the_command_writes_a_spec_that_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "first-layer"])
    assert done.exit_code == 0
    spec = read_spec(tmp_path / "first-layer.toml")
    assert spec.record.taps == ("norm.0", "act.0")
    assert len(spec.analyses) == 20


def test_lags_are_one_k_and_twice_k(tmp_path):
    spec = written(tmp_path, model="mini-encodec")
    lags = [d["lag"] for d in spec["dictionaries"] if d["of"] == "generators"]
    assert lags == [1, 7, 14]
    assert spec["record"]["sampling"]["run_frames"] > 14


def test_the_published_reading_has_one_lag_and_one_sided_codes(tmp_path):
    spec = written(tmp_path, preset="published")
    archetypes = [d for d in spec["dictionaries"] if d["of"] == "generators"]
    assert [(d["lag"], d["type"]) for d in archetypes] == [(1, "relu")]
    readings = {a["type"]: a["reading"] for a in spec["analyses"] if "reading" in a}
    assert set(readings.values()) == {"published"}
    assert "state-dependence" in readings


def test_taps_of_one_s_own_take_the_first_layer_s_place(tmp_path):
    spec = written(tmp_path, taps=("act.0", "act.1"), name="depth")
    assert spec["record"]["taps"] == ["act.0", "act.1"]
    assert spec["name"] == "depth"


def test_changes_of_the_model_are_written(tmp_path):
    spec = written(tmp_path, assignments=("model.stride=1",))
    assert spec["model"]["stride"] == 1


NETWORK = """
import torch

class Net(torch.nn.Module):
    sample_rate = 4000

    def __init__(self):
        super().__init__()
        self.front = torch.nn.Conv1d(1, 4, 8, 2)
        self.act = torch.nn.ReLU()

    def forward(self, x):
        return self.act(self.front(x))
"""


@pytest.mark.parametrize(("probe_samples", "seconds"), [(0, 2.0), (400, 2.0), (6000, 1.5)])
def test_clips_are_as_long_as_the_network_takes_unless_that_is_a_moment(
    probe_samples, seconds, tmp_path
):
    (tmp_path / "net.py").write_text(NETWORK)
    spec = written(
        tmp_path,
        model=f"{tmp_path / 'net.py'}:Net",
        assignments=(f"model.probe_samples={probe_samples}",),
    )
    assert spec["sounds"]["clip_seconds"] == seconds


def test_an_unknown_preset_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="published"):
        written(tmp_path, preset="publised")
    assert not list(tmp_path.iterdir())
