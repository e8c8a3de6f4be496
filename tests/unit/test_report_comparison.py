"""Runs side by side: known differences, damage, hostile names, and without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auscult.cli import main
from auscult.core.errors import StoreError, UserError
from auscult.report.comparison import compare
from auscult.report.comparison_page import fronts, rows_as_text, write_comparison
from auscult.testing.runs import fabricated_run


def measurement(name="fvu", value=0.3, interval=(0.2, 0.5), tap="latent", **more):
    return {
        "name": name,
        "value": value,
        "unit": "",
        "controls": {"frozen decoder": 0.4},
        "interval": interval,
        "published": "",
        "tap": tap,
        **more,
    }


def dictionary(family="topk, 64", l0=4.0, fvu=0.3, role="learned", tap="latent"):
    figures = {"l0": {"value": l0, "interval": None}, "fvu": {"value": fvu, "interval": None}}
    return {"tap": tap, "name": "x", "family": family, "role": role, "figures": figures}


def written(folder: Path, measurements, name="first", kind="dictionary-quality", **more) -> Path:
    judgement = {
        "sentence": "It beats the baseline.",
        "measurement": measurements[0] if measurements else None,
        "verdict": more.get("verdict", "holds"),
        "reason": "Because.",
        "claim": "KO-03",
    }
    result = {
        "analysis": kind,
        "type": kind,
        "title": "Quality",
        "question": "How good?",
        "source": "",
        "measurements": measurements,
        "judgements": [judgement] if measurements else [],
        "facts": {"dictionaries": more.get("dictionaries", [])},
    }
    spec = {
        "name": name,
        "model": {"type": more.get("model", "encodec")},
        "train": {"seeds": more.get("seeds", [0])},
        "analyses": [{"name": kind, "type": kind}],
    }
    place = folder / "results" / kind
    place.mkdir(parents=True)
    (place / "result.json").write_text(json.dumps(result))
    (place / "blocks.json").write_text(json.dumps({"version": 1, "blocks": []}))
    shutil.copy(_no_arrays(folder), place / "blocks.safetensors")
    manifest = {"name": name, "spec": spec, "weights": {"trained": "a" * 64}, "inputs": {"s": "d"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _no_arrays(folder: Path) -> Path:
    import numpy as np
    from safetensors.numpy import save_file

    path = folder / "none.safetensors"
    save_file({"none": np.zeros(1, np.float32)}, path)
    return path


@pytest.fixture
def two(tmp_path):
    first = written(tmp_path / "a", [measurement(), measurement("only here")], name="first")
    second = written(
        tmp_path / "b",
        [measurement(value=0.9, interval=(0.8, 1.2))],
        name="second",
        model="dac",
        seeds=[0, 1],
        verdict="does not hold",
    )
    return first, second


def test_a_difference_and_its_interval_by_hand(two):
    row = next(row for row in compare(two).rows if row.measure == "fvu")
    assert [cell.value for cell in row.cells] == [0.3, 0.9]
    (difference,) = row.differences
    assert difference.value == pytest.approx(0.6)
    low, high = difference.interval
    # Down: 0.1 of the second and 0.2 of the first; up: 0.3 of the second and 0.1 of the first.
    assert low == pytest.approx(0.6 - (0.1**2 + 0.2**2) ** 0.5)
    assert high == pytest.approx(0.6 + (0.3**2 + 0.1**2) ** 0.5)
    assert difference.clear


def test_intervals_that_overlap_enough_are_not_clear(tmp_path):
    folders = [
        written(tmp_path / name, [measurement(value=value)])
        for name, value in (("a", 0.3), ("b", 0.31))
    ]
    assert not compare(folders).rows[0].differences[0].clear


def test_the_rounding_of_a_sum_is_no_difference(tmp_path):
    most = 2.0 + 8 * 2.0**-51
    folders = [
        written(tmp_path / name, [measurement(value=value, interval=(value, value))])
        for name, value in (("a", 2.0), ("b", most))
    ]
    (difference,) = compare(folders).rows[0].differences
    assert most > 2.0
    assert (difference.value, difference.interval, difference.clear) == (0.0, (0.0, 0.0), False)


def test_without_an_interval_there_is_a_difference_but_no_certainty(tmp_path):
    folders = [
        written(tmp_path / name, [measurement(value=value, interval=None)])
        for name, value in (("a", 0.3), ("b", 0.5))
    ]
    (difference,) = compare(folders).rows[0].differences
    assert difference.value == pytest.approx(0.2)
    assert difference.interval is None
    assert difference.clear is None


def test_what_one_run_has_alone_is_counted_and_not_shown(two):
    found = compare(two)
    assert [row.measure for row in found.rows] == ["fvu"]
    assert found.n_alone == (1, 0)


def test_other_taps_are_other_measurements(tmp_path):
    a = written(tmp_path / "a", [measurement(tap="conv.0"), measurement()])
    b = written(tmp_path / "b", [measurement(tap="conv.1"), measurement()])
    assert [row.tap for row in compare([a, b]).rows] == ["latent"]


def test_what_was_not_asked_alike_is_said(two):
    told = {setting.key: setting.values for setting in compare(two).settings}
    assert told == {"model.type": ("encodec", "dac"), "train.seeds": ("[0]", "[0, 1]")}


def test_copies_differ_in_nothing(tmp_path):
    a = written(tmp_path / "a", [measurement()])
    b = Path(shutil.copytree(a, tmp_path / "b"))
    found = compare([a, b])
    assert found.settings == ()
    assert found.names == ("first (a)", "first (b)")
    assert [one.value for row in found.rows for one in row.differences] == [0]


def test_runs_of_one_name_in_folders_of_one_name_are_numbered(tmp_path):
    folders = [written(tmp_path / way / "run", [measurement()]) for way in ("x", "y")]
    assert compare(folders).names == ("first (run) [1]", "first (run) [2]")


def test_the_same_run_twice_is_refused(two):
    with pytest.raises(UserError, match="is given twice"):
        compare([two[0], two[0].parent / "." / "a"])


def test_one_run_is_refused(two):
    with pytest.raises(UserError, match="at least two"):
        compare(two[:1])


def test_a_folder_without_a_run_is_refused(two, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no run"):
        compare([two[0], tmp_path / "empty"])


def test_runs_without_a_common_analysis_are_refused(two, tmp_path):
    other = written(tmp_path / "c", [measurement()], kind="filters")
    with pytest.raises(UserError, match=r"no analysis in common.*dictionary-quality.*filters"):
        compare([two[0], other])


def test_a_run_of_which_nothing_can_be_read_is_refused(two):
    (two[1] / "results" / "dictionary-quality" / "result.json").write_text("{")
    with pytest.raises(UserError, match="holds no result that can be read"):
        compare(two)


@pytest.mark.parametrize(
    "damage",
    [
        "null",
        "[]",
        '{"measurements": 3, "judgements": {"a": 1}, "facts": []}',
        '{"measurements": [1, null, {}, {"name": "x", "value": "y", "interval": [1], "controls": 2}]}',
    ],
)
def test_a_damaged_result_never_breaks_the_page(two, damage, tmp_path):
    extra = two[1] / "results" / "other"
    shutil.copytree(two[1] / "results" / "dictionary-quality", extra)
    (extra / "result.json").write_text(damage)
    page = write_comparison(compare(two), tmp_path / "out")
    assert "fvu" in page.read_text()


def test_a_damaged_manifest_is_told(two, tmp_path):
    (two[1] / "manifest.json").write_text('{"name": ')
    found = compare(two)
    assert any("manifest.json" in trouble for trouble in found.troubles)
    assert "manifest.json" in write_comparison(found, tmp_path / "out").read_text()


def test_three_runs_are_compared_with_the_first(two, tmp_path):
    third = written(tmp_path / "c", [measurement(value=0.1, interval=None)], name="third")
    row = compare([*two, third]).rows[0]
    assert [round(one.value, 9) for one in row.differences] == [0.6, -0.2]


def test_the_front_holds_every_run_and_dashes_baselines(tmp_path):
    listed = [
        dictionary(l0=8.0, fvu=0.2),
        dictionary(l0=4.0, fvu=0.3),
        dictionary("frozen decoder, 64", role="frozen decoder", fvu=0.6),
        {"tap": "latent"},
        dictionary(fvu=float("nan")),
    ]
    a = written(tmp_path / "a", [measurement()], dictionaries=listed, name="first")
    b = written(tmp_path / "b", [measurement()], dictionaries=listed[:1], name="second")
    (front,) = fronts(compare([a, b]))
    told = {one.name: one for one in front.series}
    assert list(told) == ["first: topk, 64", "second: topk, 64", "first: frozen decoder, 64"]
    assert told["first: topk, 64"].x.tolist() == [4.0, 8.0]
    assert told["first: topk, 64"].y.tolist() == [0.3, 0.2]
    assert [one.control for one in front.series] == [False, False, True]


def test_claims_stand_side_by_side(two, tmp_path):
    html = write_comparison(compare(two), tmp_path / "out").read_text()
    assert "KO-03" in html
    assert html.count('class="apart"') == 1
    assert "does not hold" in html


def test_only_clear_differences_can_be_asked_for(tmp_path):
    both = [measurement("far", 0.9, (0.89, 0.91)), measurement("near", 0.3, (0.1, 0.5))]
    a = written(tmp_path / "a", [measurement("far", 0.1, (0.09, 0.11)), measurement("near")])
    b = written(tmp_path / "b", both)
    assert [row[2] for row in rows_as_text(compare([a, b]), clear_only=True)] == ["far"]


def test_hostile_names_are_shown_and_do_nothing(tmp_path):
    a = fabricated_run(tmp_path / "a", n_features=2, n_clips=2, hostile=True)
    b = fabricated_run(tmp_path / "b", n_features=2, n_clips=2, hostile=True)
    page = write_comparison(compare([a, b]), tmp_path / "out")
    html = page.read_text()
    assert "<script>window" not in html
    assert 'onerror="' not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert any(name[:8] in html for name in ("&lt;script", "../../.."))
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {"a", "b", "out"}


def test_a_page_written_again_is_byte_equal_and_loses_what_is_stale(two, tmp_path):
    out = tmp_path / "out"
    first = write_comparison(compare(two), out).read_bytes()
    assert write_comparison(compare(two), out).read_bytes() == first
    told = json.loads((out / "comparison.json").read_text())
    assert told["measurements"][0]["differences"][0]["value"] == pytest.approx(0.6)


def test_nothing_of_torch_is_needed(two, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from auscult.report.comparison import compare\n"
        "from auscult.report.comparison_page import write_comparison\n"
        f"print(write_comparison(compare({[str(one) for one in two]!r}), __import__('pathlib').Path({str(tmp_path / 'out')!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def said(capsys, *words):
    codes = []
    main([*words], stop=codes.append)
    told = capsys.readouterr()
    return codes[0], told.out, told.err


def test_the_command_prints_differences_and_writes_the_page(two, tmp_path, capsys):
    code, out, _ = said(capsys, "compare", *map(str, two), "--out", str(tmp_path / "page"))
    assert code == 0
    assert "+0.6" in out
    assert "* the interval of the difference leaves out 0" in out
    assert "model.type" in out
    assert (tmp_path / "page" / "index.html").is_file()


def test_the_command_prints_json(two, tmp_path, capsys):
    code, out, _ = said(capsys, "compare", *map(str, two), "--out", str(tmp_path / "p"), "--json")
    assert code == 0
    assert json.loads(out)["runs"] == ["first", "second"]


def test_the_command_refuses_in_one_sentence(two, capsys, tmp_path):
    code, _, err = said(capsys, "compare", str(two[0]), "--out", str(tmp_path / "page"))
    assert code == 2
    assert err.strip() == "auscult: a comparison needs at least two runs: give their folders"
    assert not (tmp_path / "page").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(two, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        write_comparison(compare(two), tmp_path / "file")
