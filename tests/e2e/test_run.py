"""The whole path: a spec goes in, a run folder comes out, twice the same, and again after any interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auscult.core.errors import ConfigError, RunLockedError, StoreError, UnknownNameError
from auscult.core.manifest import digests_below
from auscult.experiment.run import Run, run
from auscult.experiment.workspace import Workspace
from tests.e2e.conftest import tiny_spec

CODE = (
    "import json, sys; from auscult.experiment.run import run; import torch; torch.set_num_threads(1);"
    "run(json.loads(sys.argv[1]), sys.argv[2])"
)


def results(folder: Path) -> dict[str, str]:
    found = digests_below(folder)
    assert len(found) > 5
    return found


def test_the_same_spec_twice_leaves_the_same_bytes(finished: Path, tmp_path: Path):
    run(tiny_spec(), tmp_path / "again")
    assert results(tmp_path / "again") == results(finished)


def test_another_seed_leaves_other_bytes(finished: Path, tmp_path: Path):
    run(tiny_spec(seed=4), tmp_path / "other")
    assert results(tmp_path / "other") != results(finished)


def test_the_command_line_leaves_the_same_bytes_as_python(finished: Path, tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(as_toml(tiny_spec()))
    words = [sys.executable, "-m", "auscult.cli", "run", "tiny.toml", "--out", "out", "--no-report"]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, env=one_thread(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == results(finished)


def test_a_finished_run_is_found_and_not_computed_again(finished: Path, tmp_path: Path):
    run(tiny_spec(), tmp_path / "twice")
    again = run(tiny_spec(), tmp_path / "twice")
    assert all(stage["reused"] for stage in again.manifest["stages"])


def test_a_changed_setting_computes_only_what_depends_on_it(tmp_path: Path):
    run(tiny_spec(), tmp_path / "r")
    again = run(tiny_spec(), tmp_path / "r", assignments=["train.steps=21"])
    reused = {stage["name"].split()[0]: stage["reused"] for stage in again.manifest["stages"]}
    assert reused["record"]
    assert not reused["fit"]


@pytest.mark.parametrize("delay_s", [0.3, 1.2, 2.5])
def test_a_killed_run_resumes_to_the_same_bytes(finished: Path, tmp_path: Path, delay_s: float):
    words = [sys.executable, "-c", CODE, json.dumps(tiny_spec()), str(tmp_path / "killed")]
    child = subprocess.Popen(words, env=one_thread())
    began = time.monotonic()
    while not (tmp_path / "killed" / "stages").exists() and time.monotonic() < began + 60:
        time.sleep(0.02)
    time.sleep(delay_s)
    child.send_signal(signal.SIGKILL)
    child.wait()
    run(tiny_spec(), tmp_path / "killed")
    assert results(tmp_path / "killed") == results(finished)


def test_two_processes_on_one_folder_are_refused(tmp_path: Path):
    with Workspace(tmp_path / "r").locked(), pytest.raises(RunLockedError, match="another process"):
        run(tiny_spec(), tmp_path / "r")


def test_a_damaged_stage_is_computed_again(finished: Path, tmp_path: Path):
    run(tiny_spec(), tmp_path / "r")
    victim = next((tmp_path / "r" / "stages").glob("analyse-features*/result.json"))
    victim.write_bytes(b"")
    run(tiny_spec(), tmp_path / "r")
    assert results(tmp_path / "r") == results(finished)


def test_the_manifest_says_what_the_numbers_were_made_with(finished: Path):
    manifest = Run.open(finished).manifest
    assert manifest["spec"]["train"]["lr"] == 1e-3, "defaults are written out"
    assert manifest["environment"]["packages"]["torch"]
    assert manifest["seeds"] == {"run": 3, "dictionaries": [0, 1]}
    assert len(manifest["inputs"]) == 6
    assert set(manifest["outputs"]) == set(results(finished))
    receipt = manifest["receipts"][0]
    assert len(receipt["digest"]) == 64


def test_every_measurement_has_a_control(finished: Path):
    opened = Run.open(finished)
    for name in opened.analyses:
        for one in opened.result(name)["measurements"]:
            assert one["controls"], one["name"]


def test_a_misspelled_analysis_is_refused_before_anything_is_computed(tmp_path: Path):
    with pytest.raises(ConfigError, match="did you mean 'features'"):
        run(tiny_spec(analyses=[{"type": "featurs"}]), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_misspelled_tap_names_the_nearest(tmp_path: Path):
    spec = tiny_spec(record={"taps": ["conv.00"]})
    with pytest.raises(UnknownNameError, match=r"conv\.0"):
        run(spec, tmp_path / "r")


def test_an_unfinished_folder_is_no_run(tmp_path: Path):
    with pytest.raises(StoreError, match="holds no finished run"):
        Run.open(tmp_path)


def test_an_unknown_analysis_of_a_run_names_those_there_are(finished: Path):
    with pytest.raises(UnknownNameError, match="did you mean 'features'"):
        Run.open(finished).result("featurs")


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def as_toml(data: dict) -> str:
    """Write a spec as TOML: inline tables throughout."""

    def value(item: object) -> str:
        if isinstance(item, dict):
            return "{ " + ", ".join(f"{k} = {value(v)}" for k, v in item.items()) + " }"
        if isinstance(item, list):
            return "[" + ", ".join(value(v) for v in item) + "]"
        return json.dumps(item)

    return "\n".join(f"{key} = {value(item)}" for key, item in data.items()) + "\n"
