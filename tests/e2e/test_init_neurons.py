"""``auscult init neurons``: taps by role, labels from where they are."""

import soundfile

from auscult.core.config import read_toml
from auscult.experiment.spec import read_spec
from auscult.experiment.start import Start, write_start
from auscult.testing.planted_study import planted_spec


def test_the_spec_names_neurons_by_role_and_asks_three_questions(tmp_path):
    path = write_start(Start("neurons"), tmp_path, force=False)
    spec = read_spec(path)
    assert spec.record.taps == tuple(f"blocks.{place}.act" for place in range(9))
    kinds = [section["type"] for section in spec.analyses]
    assert kinds == ["class-neurons", "neuron-sharing", "neuron-ablation"]
    assert spec.analyses[2]["embedding"] == "classes:in"


def test_a_table_of_labels_beside_the_sounds_is_used(tmp_path):
    planted_spec(tmp_path, [], n_each=1)
    asked = Start("neurons", sounds=str(tmp_path / "sounds"))
    told = read_toml(write_start(asked, tmp_path, force=False))
    assert told["sounds"]["labels"] == {"table": "labels.csv"}


def test_else_names_of_folders_are_classes(tmp_path):
    (tmp_path / "dog").mkdir()
    soundfile.write(tmp_path / "dog" / "a.wav", [0.0, 0.1], 8000)
    told = read_toml(write_start(Start("neurons", sounds=str(tmp_path)), tmp_path, force=False))
    assert told["sounds"]["label_from"] == "folder"
