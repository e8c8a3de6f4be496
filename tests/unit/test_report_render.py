"""A run folder goes in, pages come out: whole, damaged, hostile, and without torch."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from auscult.core.errors import StoreError
from auscult.report.render import render
from auscult.testing.runs import fabricated_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = fabricated_run(tmp_path_factory.mktemp("report") / "run", n_features=6, n_clips=4)
    render(folder)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def page(folder: Path, name: str) -> str:
    return (folder / "report" / f"{name}.html").read_text(encoding="utf-8")


def test_there_is_an_overview_a_page_for_each_analysis_and_one_for_the_sounds(finished):
    names = {path.name for path in (finished / "report").glob("*.html")}
    assert names == {"index.html", "filters.html", "features.html", "dynamics.html", "sounds.html"}


def test_the_overview_shows_every_finding_beside_its_control(finished):
    html = page(finished, "index")
    assert html.count('class="finding"') == 5
    assert "median bandwidth 0.31 octaves" in html
    assert "1.92 octaves with random weights" in html
    assert "0.3 octaves (a made-up paper, figure 3)" in html


def test_the_overview_says_what_was_asked_and_what_was_left_out(finished):
    html = page(finished, "index")
    for text in (
        "mini-encodec, trained weights",
        "conv.0:in, conv.0",
        "clips of 2 s",
        "broken.wav",
    ):
        assert text in html


def test_all_blocks_of_a_whole_run_are_drawn(finished):
    shown = {
        name: page(finished, name).count('class="missing"')
        for name in ("filters", "dynamics", "features")
    }
    assert shown == {
        "filters": 1,
        "dynamics": 0,
        "features": 0,
    }  # one block of filters is a Missing
    assert "cannot be drawn" not in "".join(
        path.read_text(encoding="utf-8") for path in (finished / "report" / "data").iterdir()
    )


def test_measurements_stand_beside_their_controls(finished):
    html = page(finished, "filters")
    for text in ("control: random weights", "0.1834", "0.171 to 0.196", "412 Hz"):
        assert text in html


def test_rendering_again_leaves_the_same_bytes(run):
    before = contents(run / "report")
    render(run)
    assert contents(run / "report") == before


def test_rendering_elsewhere_leaves_the_same_bytes(run, tmp_path):
    render(run, tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == contents(run / "report")


def test_progress_grows_to_one(run):
    shares = []
    render(run, on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_page_of_an_analysis_that_is_gone_goes_too_and_other_files_stay(run):
    shutil.rmtree(run / "results" / "dynamics")
    (run / "report" / "my-notes.txt").write_text("mine")
    render(run)
    assert not list((run / "report" / "exports" / "dynamics").rglob("*.jams"))
    assert (run / "report" / "my-notes.txt").read_text() == "mine"
    assert "holds no result of it" in page(run, "dynamics")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "blocks.json").unlink(), "blocks of this page cannot be read"),
        (
            lambda folder: (folder / "blocks.json").write_text("{"),
            "blocks of this page cannot be read",
        ),
        (
            lambda folder: (folder / "blocks.json").write_text("[]"),
            "blocks of this page cannot be read",
        ),
        (
            lambda folder: (folder / "blocks.json").write_text(
                '{"version": 1, "blocks": [{"$block": "Text", "nonsense": 1}]}'
            ),
            "blocks of this page cannot be read",
        ),
        (lambda folder: (folder / "blocks.safetensors").write_bytes(b"x"), "blocks of this page"),
        (
            lambda folder: (folder / "result.json").write_text("nonsense"),
            "result.json cannot be read",
        ),
        (lambda folder: (folder / "result.json").write_text("[1]"), "not what a run writes"),
    ],
    ids=[
        "no blocks",
        "half a file",
        "a list",
        "other fields",
        "no arrays",
        "no result",
        "list result",
    ],
)
def test_a_damaged_analysis_says_so_and_the_others_are_rendered(damage, said, run):
    damage(run / "results" / "filters")
    render(run)
    assert said in page(run, "filters")
    assert "Features are sparser" in page(run, "features")


@pytest.mark.parametrize("name", ["manifest.json", "clips/index.json"])
def test_a_damaged_manifest_or_index_is_a_warning(name, run):
    (run / name).write_text("{")
    render(run)
    assert "cannot be read" in page(run, "index")


def test_a_run_without_its_sounds_still_has_pages(run):
    shutil.rmtree(run / "clips")
    render(run)
    assert "Cannot be played" in page(run, "sounds")


def test_a_manifest_of_another_shape_is_no_obstacle(run):
    (run / "manifest.json").write_text(
        '{"spec": [], "skipped": 3, "receipts": {"a": 1}, "warnings": "x"}'
    )
    render(run)
    assert "Features are sparser" in page(run, "index")


def test_an_empty_folder_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(StoreError, match="holds no run"):
        render(tmp_path)


def test_a_report_that_cannot_be_written_is_an_error_with_the_place(run, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot be written to .*taken"):
        render(run, tmp_path / "taken" / "report")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    home = tmp_path_factory.mktemp("hostile")
    folder = fabricated_run(home / "run", n_features=2, n_clips=8, hostile=True)
    render(folder)
    return folder


def test_hostile_names_write_nothing_outside_the_report(hostile):
    assert sorted(path.name for path in hostile.parent.iterdir()) == ["run"]
    assert {path.name for path in hostile.iterdir()} == {
        "clips",
        "results",
        "manifest.json",
        "report",
    }


def test_hostile_names_are_text_in_every_page_and_data_file(hostile):
    report = hostile / "report"
    for path in [*report.glob("*.html"), *(report / "data").glob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert "<script>window" not in text
        assert "<img src=x" not in text
        assert "<svg onload" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
        assert "\x07" not in text


def test_templates_in_names_are_not_evaluated(hostile):
    assert "{{ 7 * 7 }}" in page(hostile, "sounds")


def test_a_clip_that_points_outside_is_named_and_not_read(hostile):
    assert "lies outside the run&#39;s clips folder" in page(hostile, "sounds")


def test_hostile_names_make_plain_file_names(hostile):
    for path in (hostile / "report").rglob("*"):
        assert path.name.isascii()
        assert all(letter.isalnum() or letter in "._-" for letter in path.name)


def test_a_hostile_analysis_folder_gets_a_plain_page(run):
    (run / "results" / "filters").rename(run / "results" / "<b>index")
    render(run)
    assert (run / "report" / "b-index.html").exists()


def test_rendering_needs_no_torch(run):
    script = """
        import sys
        from pathlib import Path

        class NoTorch:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "torch":
                    raise ModuleNotFoundError("torch is forbidden here")

        sys.meta_path.insert(0, NoTorch())
        from auscult.report.render import render
        render(Path(sys.argv[1]))
        assert "torch" not in sys.modules
    """
    shutil.rmtree(run / "report")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(run)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (run / "report" / "index.html").exists()
