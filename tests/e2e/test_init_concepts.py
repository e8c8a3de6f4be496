"""``auscult init concepts``: the published grid on the latents of the model at hand."""

import pytest
from typer.testing import CliRunner

from auscult.cli import app
from auscult.core.config import read_toml
from auscult.core.errors import TapError
from auscult.experiment.spec import read_spec
from auscult.experiment.start import Start, write_start


def test_the_command_writes_a_spec_that_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "concepts", "--model", "mini-encodec"])
    assert done.exit_code == 0, done.output
    spec = read_spec(tmp_path / "concepts.toml")
    assert spec.record.taps[0] == "latent"
    assert [section["type"] for section in spec.analyses] == [
        "concept-probes",
        "concept-dictionaries",
    ]
    assert len(spec.dictionaries) == 9


@pytest.mark.parametrize(("preset", "on"), [("published", "h"), ("sound", "f")])
def test_widths_are_multiples_of_the_latents_and_the_preset_sets_the_penalty(tmp_path, preset, on):
    path = write_start(Start("concepts", "mini-encodec", preset=preset), tmp_path, force=False)
    section = read_toml(path)["dictionaries"][0]
    assert section["l1_on"] == on
    first, second, third = section["grid"]["n_features"]
    assert (second, third) == (4 * first, 8 * first)


def test_a_model_without_latents_needs_a_tap(tmp_path):
    with pytest.raises(TapError, match="--tap"):
        write_start(Start("concepts", "toy-samplecnn"), tmp_path, force=False)
    path = write_start(Start("concepts", "toy-samplecnn", taps=("act.2",)), tmp_path, force=False)
    assert read_toml(path)["record"]["taps"] == ["act.2"]
