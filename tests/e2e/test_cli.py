"""The command line: what it prints and how it ends."""

import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import pytest
import typer.main
from typer.testing import CliRunner

import auscult as package
from auscult.cli import app, main
from auscult.cli_registries import KINDS
from auscult.core.registry import Registry
from tests.e2e.conftest import tiny_spec
from tests.e2e.test_run import as_toml


def auscult(folder: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "auscult", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["taps", "toy-samplecn"], "did you mean 'toy-samplecnn'"),
        (["list", "modles"], "did you mean 'models'"),
        (["report", "nowhere"], "nowhere"),
        (["init", "../evil"], "cannot be a file's name"),
        (["init", "x", "--model", "net.py"], "net.py:FACTORY"),
        (["init", "x", "--sounds", "nowhere"], "neither a folder here nor a source"),
        (["taps", "toy-samplecnn", "--weights", "mine"], "toy-samplecnn reads no checkpoint"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(tmp_path: Path, words, said):
    done = auscult(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelled_key_names_its_section_and_the_nearest(tmp_path: Path):
    (tmp_path / "s.toml").write_text(as_toml(tiny_spec(train={"step": 5})))
    done = auscult(tmp_path, "run", "s.toml")
    assert done.returncode == 2
    assert "train has no key 'step'; did you mean 'steps'" in done.stderr


def test_terminal_escapes_in_names_are_shown_and_not_obeyed(tmp_path: Path):
    done = auscult(tmp_path, "taps", "\x1b[31mred")
    assert "\x1b" not in done.stderr
    assert r"\x1b" in done.stderr


def test_help_needs_no_torch(tmp_path: Path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from auscult.cli import main; main(['--help'], stop=lambda code: None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "init" in done.stdout


def registries() -> dict[str, Registry]:
    """Every registry that a package of ours holds, by the capitals it goes under."""
    homes = [import_module(f"auscult.{one.name}") for one in iter_modules(package.__path__)]
    bases = [find_spec(f"{home.__name__}.base") and import_module(f"{home.__name__}.base")
             for home in homes if hasattr(home, "__path__")]  # fmt: skip
    return {
        word: one
        for base in bases
        for word, one in vars(base or object).items()
        if isinstance(one, Registry)
    }


def test_every_registry_is_listed_and_by_one_command():
    held = registries()
    assert len(held) >= 6
    assert {word.upper() for word in KINDS} == set(held)
    for word in KINDS:
        said = CliRunner().invoke(app, ["list", word]).output
        assert all(name in said for name in held[word.upper()].names())
    assert not set(KINDS) & set(typer.main.get_command(app).commands)


def test_init_writes_a_spec_that_is_accepted_and_does_not_overwrite(tmp_path: Path):
    assert auscult(tmp_path, "init", "mine").returncode == 0
    assert "# " in (tmp_path / "mine.toml").read_text()
    again = auscult(tmp_path, "init", "mine")
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_taps_prints_one_row_a_tap_as_json(tmp_path: Path):
    done = auscult(
        tmp_path, "taps", "toy-samplecnn", "--weights", "random", "--json", "--pattern", "conv.0"
    )
    (row,) = json.loads(done.stdout)
    assert (row["address"], row["time"]["hop"], row["time"]["span"]) == ("conv.0", "3", "3")
    assert row["verified"] == "yes"


def test_an_address_that_is_the_path_is_shown_once(tmp_path: Path, capsys):
    build = "def build():\n    return nn.Sequential(nn.Conv1d(1, 4, 5))\n"
    (tmp_path / "net.py").write_text(f"from torch import nn\n\n\n{build}")
    rate = ["--set", "model.sample_rate=8000"]
    main(["taps", f"{tmp_path / 'net.py'}:build", "--no-check", *rate], stop=[].append)
    own = capsys.readouterr().out
    main(["taps", "toy-samplecnn", "--no-check", "--pattern", "conv.0"], stop=[].append)
    roles = capsys.readouterr().out
    assert own.split()[:3] == ["address", "module", "frames"]
    assert roles.split()[:3] == ["address", "path", "module"]
    assert "Conv1d" in own


def test_a_run_renders_its_report_and_says_where(tmp_path: Path):
    (tmp_path / "s.toml").write_text(as_toml(tiny_spec(analyses=[{"type": "filters"}])))
    done = auscult(tmp_path, "run", "s.toml", "--out", "r")
    assert done.returncode == 0, done.stderr
    assert "index.html" in done.stdout
    assert (tmp_path / "r" / "report" / "index.html").is_file()
    assert "done   analyse filters" in done.stderr


def help_texts() -> list[tuple[list[str], str]]:
    top = typer.main.get_command(app)
    found = []
    for name, command in top.commands.items():
        texts = [getattr(one, "help", None) or "" for one in command.params]
        found += [([name], text) for text in (command.help, *texts) if text]
    return found


@pytest.mark.parametrize(("words", "text"), help_texts(), ids=lambda x: str(x)[:30])
def test_help_is_shown_whole(words, text, monkeypatch: pytest.MonkeyPatch):
    """What stands in brackets would be taken for markup."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    said = CliRunner().invoke(app, [*words, "--help"]).output
    assert " ".join(text.split()) in " ".join(said.split())


def test_it_says_its_version_without_a_command():
    said = CliRunner().invoke(app, ["--version"])
    assert (said.exit_code, said.output) == (0, f"auscult {version('auscult')}\n")


def test_ctrl_c_says_that_the_same_command_goes_on(monkeypatch, capsys):
    def interrupted(*words, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("auscult.experiment.run.run", interrupted)
    codes = []
    main(["run", "some.toml"], stop=codes.append)
    assert codes == [130]
    assert "the same command goes on from there" in capsys.readouterr().err
