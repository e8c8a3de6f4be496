"""A run folder goes in, pages come out: whole, damaged, hostile, and without torch."""

import csv
import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from auscult.blocks import Axis, Curve, Finding, Series, save_blocks
from auscult.core.errors import StoreError
from auscult.report.overview import asked
from auscult.report.render import render
from auscult.report.source import RunFolder
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
    assert names == {
        "index.html",
        "ledger.html",
        "filters.html",
        "features.html",
        "dynamics.html",
        "sounds.html",
    }


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


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"type": "encodec", "weights": "random"}, "encodec, random weights"),
        (
            {"type": "python", "path": "/a/nets.py", "factory": "lyra", "weights": "trained"},
            "lyra of nets.py, trained weights",
        ),
        ({"type": "encodec", "weights": "hub/name"}, "encodec, weights from hub/name"),
        ({"type": "toy"}, "toy"),
        ({}, ""),
    ],
)
def test_the_overview_names_the_model_and_its_weights(model, said, run):
    manifest = {"spec": {"model": model}}
    facts = dict(asked(RunFolder(run, manifest, {}, ())))
    assert facts.get("Model", "") == said


def test_dictionaries_of_one_grid_are_told_together(run):
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["spec"]["dictionaries"] = [
        {"name": f"wide n_features={n},k={k}", "type": "topk", "n_features": n, "of": "responses"}
        for n in (128, 512)
        for k in (2, 4)
    ] + [{"name": "pca", "type": "pca", "n_features": 32, "of": "generators"}]
    told = dict(asked(RunFolder(run, manifest, {}, ())))["Dictionaries"]
    wide = "4 × wide (topk on responses; n_features 128, 512; k 2, 4)"
    assert told == f"{wide} · pca (pca of 32 on generators)"


def test_the_page_of_claims_tells_each_apart_with_its_nulls(finished):
    html = page(finished, "ledger")
    for text in (
        "Of 18 claims, 2 hold, 2 are explained by a control, 1 does not hold,",
        'id="claim-P1-07"',
        "Its taps disagree: it is explained by a control at conv.0:in",
        "19 (18 to 21)",
        "<bdi>principal components</bdi>: 31",
        "about 20 of 128 (P1, Fig. 5a)",
        "At most 25, and fewer than principal components need.",
        'href="dynamics.html"',
        "What would test it was not run: onsets.",
    ):
        assert text in html


def test_the_nearest_null_stands_out(finished):
    html = page(finished, "ledger")
    assert '<li class="nearest"><bdi>random weights</bdi>: 20.5' in html
    assert "<li><bdi>noise</bdi>: 47" in html


def test_a_claim_of_more_than_two_taps_is_drawn_over_depth(finished):
    html = page(finished, "ledger")
    drawn = [text for text in html.split('<script type="application/json">') if '"x_names"' in text]
    assert len(drawn) == 1
    assert '"x_names":["conv.0:in","conv.0","block.1","block.2"]' in drawn[0]
    assert '"name":"measured"' in drawn[0]
    assert drawn[0].count('"control":true') == 3


def test_the_overview_leads_to_the_claims(finished):
    assert "Of 18 claims, 2 hold" in page(finished, "index")


def test_a_run_of_an_earlier_version_has_a_page_of_claims_that_says_so(run):
    for path in (run / "results").glob("*/result.json"):
        result = json.loads(path.read_text())
        del result["judgements"]
        path.write_text(json.dumps(result))
    render(run)
    assert "kept no judgements" in page(run, "ledger")
    assert "Of 18 claims" not in page(run, "index")


def test_claims_are_exported_as_json_and_csv(finished):
    exports = finished / "report" / "exports" / "ledger"
    told = json.loads((exports / "ledger.json").read_text())
    assert told["counts"]["holds"] == 2
    rows = list(csv.DictReader((exports / "ledger.csv").read_text().splitlines()))
    (first,) = [row for row in rows if row["claim"] == "P1-07" and row["tap"] == "conv.0"]
    assert (first["value"], first["interval_low"], first["interval_high"]) == ("19", "18", "21")
    assert first["controls"] == "noise: 47; principal components: 31; random weights: 20.5"
    (untested,) = [row for row in rows if row["claim"] == "P1-05"]
    assert untested["reason"] == "What would test it was not run: stability."
    assert untested["published"] == "mean cosine about 0.7 after matching (P1 §1.5)"


def test_paths_in_one_plane_share_a_frame_and_a_path_alone_does_not(finished):
    drawn = page(finished, "dynamics").split('"type":"Animation"')[1:]
    extents = [re.search(r'"extent":\{[^}]*\}', text.split("</script>")[0]) for text in drawn]
    assert [found is not None for found in extents] == [False, True, True]
    assert extents[1][0] == extents[2][0]


def test_without_scripts_a_path_stands_still_and_a_graph_is_a_table(finished):
    html = page(finished, "dynamics")
    assert html.count('<polyline class="path" points="') == 3
    assert "<td><bdi>archetype 0</bdi></td><td><bdi>archetype 1</bdi></td>" in html


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


def test_a_graph_that_contradicts_itself_is_damage_and_no_crash(run):
    path = run / "results" / "dynamics" / "blocks.json"
    told = json.loads(path.read_text())
    (graph,) = [one for one in told["blocks"] if one["$block"] == "Graph"]
    graph["nodes"].pop()
    path.write_text(json.dumps(told))
    render(run)
    assert "a block of type &#39;Graph&#39; is damaged" in page(run, "dynamics")


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


def finding(tap, reason="It holds when it beats chance."):
    return Finding(f"{tap} is told", f"0.{len(tap)}", "chance: 0.1", "holds", "", "X-1", reason)


@pytest.fixture
def answered(run):
    """A run whose first page has twelve answers by one rule, and two by another."""

    def put(*blocks):
        save_blocks(run / "results" / "filters", list(blocks))
        render(run)
        return page(run, "filters")

    return put


def test_answers_by_one_rule_are_rows_and_the_rule_is_said_once(answered):
    html = answered(*(finding(f"tap.{i}") for i in range(12)))
    assert html.count("It holds when it beats chance.") == 1
    assert html.count("Claim X-1") == 1
    assert html.count('<div class="answer"') == 12
    assert all(f"tap.{i} is told" in html for i in range(12))
    shown, folded = html.split("<summary>4 more</summary>")
    assert shown.count("is told") == 8
    assert folded.count("is told") == 4


def test_answers_by_other_rules_keep_theirs(answered):
    rules = ("first rule", "second rule", "second rule")
    html = answered(*(finding(f"tap.{i}", rule) for i, rule in enumerate(rules)))
    assert html.count('class="finding"') == 3
    assert (html.count("first rule"), html.count("second rule")) == (1, 2)


def test_names_of_an_axis_that_do_not_fit_are_told(answered):
    """Three places, two names: a page never shows a figure that names the wrong stage."""
    y = np.zeros(3)
    axes = (Axis("stage"), Axis("share"))
    html = answered(
        Curve("Over depth", np.arange(3), (Series("own", y),), *axes, x_names=("a", "b"))
    )
    assert "do not fit one another" in html
