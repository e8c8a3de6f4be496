"""The templates that contributors copy keep the contracts that their copies will be held to."""

import importlib.util
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES
from auscult.concepts.base import CONCEPTS
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import DICTIONARIES
from auscult.experiment.run import run
from auscult.interventions.base import EDITS
from auscult.models.base import MODELS
from auscult.taps.table import tap_table
from auscult.testing.dictionaries import DictionaryContract, TrainingContract
from auscult.testing.edits import EditContract
from tests.e2e.conftest import tiny_spec

TEMPLATES = Path(__file__).parents[2] / "examples" / "templates"
REGISTRIES = {
    "model": MODELS,
    "dictionary": DICTIONARIES,
    "concept": CONCEPTS,
    "analysis": ANALYSES,
    "edit": EDITS,
}


@pytest.fixture(scope="module", autouse=True)
def templates() -> Iterator[dict[str, ModuleType]]:
    """Import every template; take its name out of the registry again afterwards."""
    modules = {}
    for kind, registry in REGISTRIES.items():
        registry.names()
        spec = importlib.util.spec_from_file_location(f"template_{kind}", TEMPLATES / f"{kind}.py")
        modules[kind] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[kind])
    yield modules
    for kind, registry in REGISTRIES.items():
        registry._classes.pop(f"example-{kind}")


def test_there_is_a_template_for_every_recipe():
    assert {path.stem for path in TEMPLATES.glob("*.py")} == set(REGISTRIES)


def test_the_model_template_declares_what_the_gradient_says():
    cls, params = MODELS.parse({"type": "example-model"}, "model")
    rows = tap_table(cls.build(params, "trained", 0))
    assert [row.address for row in rows] == ["conv.0", "act.0"]
    assert {row.verified for row in rows} == {"yes"}


class TestDictionaryTemplate(DictionaryContract, TrainingContract):
    @pytest.fixture
    def section(self):
        return {"type": "example-dictionary"}


class TestEditTemplate(EditContract):
    name = "example-edit"


def test_the_concept_template_labels_every_frame():
    cls, params = CONCEPTS.parse({"type": "example-concept"}, "concept")
    samples = np.array([[0.1, -0.4, 0.2, 0.0, 0.3, -0.1]], dtype=np.float32)
    labels = cls(params).label(Audio(samples, 10), TimeBase(10, hop=Fraction(2)))
    np.testing.assert_allclose(labels.values, [0.4, 0.2, 0.3], rtol=1e-6)


def test_the_analysis_template_is_found_in_a_package_of_another(tmp_path, monkeypatch):
    told = tmp_path / "foreign-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1\n")
    (told / "entry_points.txt").write_text(
        "[auscult.analyses]\nforeign-analysis = foreign_analysis:ExampleAnalysis\n"
    )
    written = (
        (TEMPLATES / "analysis.py").read_text().replace("example-analysis", "foreign-analysis")
    )
    (tmp_path / "foreign_analysis.py").write_text(written)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ANALYSES, "_classes", dict(ANALYSES._classes))
    assert "foreign-analysis" in ANALYSES.names()
    done = run(tiny_spec(analyses=[{"type": "foreign-analysis"}]), tmp_path / "r")
    (one,) = done.result("foreign-analysis")["measurements"]
    assert one["value"] > 0


def test_the_analysis_template_runs_in_a_spec(tmp_path: Path):
    done = run(tiny_spec(analyses=[{"type": "example-analysis"}]), tmp_path / "r")
    (one,) = done.result("example-analysis")["measurements"]
    assert one["controls"].keys() == {"trained weights, noise sounds"}
    assert one["value"] > 0
