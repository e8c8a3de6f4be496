"""``auscult init dictionaries``: a spec whose learned dictionaries all have their baselines."""

import pytest

from auscult.core.config import read_toml
from auscult.experiment.spec import read_spec
from auscult.experiment.start import Start, write_start


@pytest.mark.parametrize("model", ["mini-encodec", "toy-samplecnn"])
def test_every_width_has_every_sanity_baseline(tmp_path, model):
    path = write_start(Start("dictionaries", model=model), tmp_path, force=False)
    spec = read_spec(read_toml(path))
    sections = [entry.section for entry in spec.dictionaries]
    learned = {
        s["n_features"] for s in sections if "frozen" not in s and s["type"].endswith("topk")
    }
    for frozen in ("decoder", "soft-decoder", "encoder"):
        there = {s["n_features"] for s in sections if s.get("frozen") == frozen}
        assert learned == there
    assert {s["type"] for s in sections} >= {"random", "pca"}
    assert [one["type"] for one in spec.analyses] == [
        "dictionary-quality",
        "dictionary-loss",
        "dictionary-probing",
        "dictionary-absorption",
        "dictionary-recovery",
    ]
