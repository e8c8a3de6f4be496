"""What changed is gathered as the folder of changes says."""

import runpy
from pathlib import Path

import pytest

CHANGES = Path(__file__).parents[2] / "changes"


@pytest.fixture(scope="module")
def gathered():
    return runpy.run_path(str(CHANGES / "gather.py"))["gathered"]


def test_every_file_is_one_entry_under_its_kind(gathered, tmp_path):
    (tmp_path / "README.md").write_text("not one of them")
    (tmp_path / "b.fix.md").write_text("It is\nmended.\n")
    (tmp_path / "a.feature.md").write_text("It is new.")
    assert gathered(tmp_path, "1.2.0") == (
        "## 1.2.0\n\n### New\n\n* It is new.\n\n### Mended\n\n* It is mended.\n"
    )


@pytest.mark.parametrize(
    ("name", "text"), [("a.feat.md", "x"), ("a.fix.md", ""), ("a.fix.md", "x\n\ny")]
)
def test_a_file_that_would_be_lost_is_refused(gathered, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        gathered(tmp_path, "1.2.0")


def test_what_lies_there_can_be_gathered(gathered):
    n_files = len(list(CHANGES.glob("*.md"))) - 1
    assert gathered(CHANGES, "next").count("\n* ") == n_files
