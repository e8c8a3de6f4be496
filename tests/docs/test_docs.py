"""The documentation is run, generated pages are fresh, and whatever is registered is documented."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import auscult
from auscult.cli_registries import KINDS, registry_of
from auscult.core import errors
from auscult.experiment.spec import read_spec
from tests.docs.blocks import Block, blocks_of

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "reference" not in path.parts),
]
SPECS = sorted((ROOT / "docs/studies").glob("*/*.toml"))
# Blocks that are not run here, and why; tests/docs/test_docs.py::test_no_excuse_is_stale keeps the list honest.
EXCUSED = {
    (
        "README.md",
        "make demo   #",
    ): "it is the README's own first command; CI's fresh clone runs the other",
    ("README.md", "pip install -e ."): "the tutorial runs the same commands on a model that exists",
    (
        "README.md",
        "auscult init first-layer",
    ): "the tutorial runs the same commands at a smaller size",
    ("README.md", "import auscult"): "reads the run of the block above, as the tutorial does",
    ("docs/index.md", "make demo"): "as in the README",
    (
        "docs/how-to/judge-dictionaries.md",
        "auscult init dictionaries",
    ): "takes minutes; tests/e2e/test_init_dictionaries.py reads the spec it writes",
    ("docs/how-to/resume.md", "auscult run study.toml"): "the tutorial runs it",
    (
        "docs/how-to/neurons.md",
        "auscult init neurons",
    ): "minutes of computing; tests/e2e/test_init_neurons.py reads the spec, unit tests answer it",
    (
        "docs/how-to/concepts.md",
        "auscult run concepts.toml",
    ): "minutes of computing; the contract of analyses runs both at a smaller size",
}


def excuse(page: Path, block: Block) -> str | None:
    name = page.relative_to(ROOT).as_posix()
    return next(
        (why for (p, start), why in EXCUSED.items() if p == name and block.text.startswith(start)),
        None,
    )


def run_bash(text: str, folder: Path) -> None:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    commands = text.replace("auscult ", f"{sys.executable} -m auscult.cli ", 1)
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_example_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks_of(page.read_text()):
        if excuse(page, block):
            continue
        if block.title:
            (tmp_path / block.title).write_text(block.text)
        elif block.language == "bash":
            run_bash(block.text, tmp_path)
        elif block.language == "python":
            exec(compile(block.text, f"{page.name}:{block.line}", "exec"), names)


def test_no_excuse_is_stale():
    found = {
        (page.relative_to(ROOT).as_posix(), start)
        for page in PAGES
        for block in blocks_of(page.read_text())
        for (name, start) in EXCUSED
        if name == page.relative_to(ROOT).as_posix() and block.text.startswith(start)
    }
    assert found == set(EXCUSED)


def test_generated_pages_are_fresh():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [n for n in vars(errors) if n.endswith("Error")])
def test_every_error_is_explained(name: str):
    assert f"`{name}`" in (ROOT / "docs/reference/errors.md").read_text()


@pytest.mark.parametrize("name", auscult.__all__)
def test_every_public_name_is_documented(name: str):
    assert f"`auscult.{name}`" in (ROOT / "docs/reference/api.md").read_text()


@pytest.mark.parametrize("page", list(KINDS))
def test_every_registered_name_and_setting_is_documented(page: str):
    registry = registry_of(page)
    text = (ROOT / f"docs/reference/{page}.md").read_text()
    for name in registry.names():
        if name.startswith("example-"):  # of another test in this process
            continue
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for field, info in registry.get(name).Params.model_fields.items():
            assert f"| `{field}` |" in section
            assert info.description, f"{registry.kind} {name}.{field} has no docstring"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_spec_of_a_study_is_read_and_linked_from_its_page(spec: Path):
    """It is the registry's own reader, so a setting that was renamed is found here."""
    read_spec(spec)
    page = (spec.parent.parent / f"{spec.parent.name}.md").read_text()
    assert f"({spec.parent.name}/{spec.name})" in page


def test_every_id_of_a_method_that_is_cited_has_a_row():
    rows = re.findall(
        r"^\| ([^|]+) \|", (ROOT / "docs/reference/methods.md").read_text(), re.MULTILINE
    )
    known = {one.strip("§ ") for row in rows for one in row.split(",")}
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.toml"), *PAGES]
    cited = {
        one: path.name
        for path in files
        for words in re.findall(r"METHODS ([^)\n]+)", path.read_text())
        for one in re.findall(r"[A-D]-\d+", words) + re.findall(r"^§?(\d+(?:\.\d+)?)", words)
    }
    assert len(cited) > 40
    assert not {one: where for one, where in cited.items() if one not in known}


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path: Path):
    if shutil.which("mkdocs") is None and not (Path(sys.executable).parent / "mkdocs").exists():
        pytest.skip("mkdocs is not installed")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
