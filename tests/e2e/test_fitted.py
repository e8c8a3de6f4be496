"""Where a run's dictionaries lie, told by the command line and read from there."""

from pathlib import Path

import pytest

from auscult.cli import main
from auscult.core.errors import StoreError
from auscult.dictionaries.base import Dictionary
from auscult.experiment.fitted import fitted_in


def test_every_dictionary_of_a_run_is_found_and_can_be_read(finished: Path):
    found = fitted_in(finished)
    assert {one.folder for one in found} == {
        path.parent for path in (finished / "stages").glob("*/dictionaries/*/auscult.json")
    }
    for one in found:
        read = Dictionary.load(one.folder)
        assert (read.registered_name, read.n_features) == (one.kind, one.n_features)
        assert f"{read.provenance.of} of {read.provenance.tap}" in one.learned_from
    assert {one.seed for one in found} == {0, 1}
    assert any("random weights" in one.learned_from for one in found)


def test_the_command_says_each_folder_on_a_line_of_its_own(finished: Path, capsys):
    main(["fitted", str(finished), "trained weights, real"], stop=[].append)
    lines = capsys.readouterr().out.splitlines()
    told = [Path(line.strip()) for line in lines if line.startswith("    ")]
    assert told == [one.folder for one in fitted_in(finished, "trained weights, real")]
    assert 0 < len(told) < len(fitted_in(finished))


def test_a_name_that_none_has_is_said(finished: Path):
    with pytest.raises(StoreError, match="no dictionary with 'zzz' in its name"):
        fitted_in(finished, "zzz")


def test_a_folder_without_a_run_is_said(tmp_path: Path):
    with pytest.raises(StoreError, match="holds no finished run"):
        fitted_in(tmp_path)
