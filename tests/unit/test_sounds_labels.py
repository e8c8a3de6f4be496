"""Labels from tables, folder names and file names."""

import json

import numpy as np
import pytest
import soundfile

from auscult.core.errors import ConfigError
from auscult.sounds.base import SOUNDS
from auscult.sounds.labelling import compile_pattern, with_numbers


@pytest.fixture
def folder(tmp_path):
    """Three sounds: dog/0_ann_1.wav, dog/1_bob_2.wav, cat/2_ann_07.wav."""
    rng = np.random.default_rng(0)
    for name in ("dog/0_ann_1.wav", "dog/1_bob_2.wav", "cat/2_ann_07.wav"):
        (tmp_path / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "audio" / name, 0.1 * rng.standard_normal(800), 8_000)
    return tmp_path / "audio"


def labels(folder, **params):
    cls, parsed = SOUNDS.parse({"type": "folder", "path": str(folder), **params}, "sounds")
    return {r.recording_id: dict(r.labels) for r in cls(parsed, 0).recordings()}


def table_labels(folder, content, /, name="labels.csv", **settings):
    (folder / name).write_text(content, encoding="utf-8")
    return labels(folder, labels={"table": name, **settings})


def test_without_any_rule_there_are_no_labels(folder):
    assert labels(folder)["dog/0_ann_1.wav"] == {}


def test_the_folder_is_the_class(folder):
    assert labels(folder, label_from="folder")["cat/2_ann_07.wav"] == {"class": "cat"}


def test_the_topmost_folder_is_the_class_if_asked(folder):
    found = labels(folder.parent, label_from="top-folder")
    assert found["audio/cat/2_ann_07.wav"] == {"class": "audio"}


def test_a_folder_named_by_a_number_is_still_a_name(folder):
    (folder / "cat").rename(folder / "7")
    (folder / "dog").rename(folder / "8")
    assert labels(folder, label_from="folder")["7/2_ann_07.wav"] == {"class": "7"}


def test_a_pattern_takes_names_apart(folder):
    found = labels(folder, name_pattern="{digit}_{speaker}_{take}")
    # One take is 07, so that takes are names and not numbers.
    assert found["cat/2_ann_07.wav"] == {"digit": 2.0, "speaker": "ann", "take": "07"}


def test_a_pattern_with_a_slash_sees_the_whole_path(folder):
    found = labels(folder, name_pattern="{animal}/{_}_{speaker}_{_}")
    assert found["dog/1_bob_2.wav"] == {"animal": "dog", "speaker": "bob"}


def test_a_regular_expression_is_a_pattern(folder):
    found = labels(folder, name_pattern=r"(?P<digit>\d)_.*")
    assert found["dog/1_bob_2.wav"] == {"digit": 1.0}


def test_names_that_do_not_match_have_no_labels(folder):
    assert labels(folder, name_pattern="{digit}_bob_{take}")["dog/0_ann_1.wav"] == {}


def test_a_pattern_that_matches_nothing_is_an_error(folder):
    with pytest.raises(ConfigError, match=r"matches no file, not even 'cat/2_ann_07.wav'"):
        labels(folder, name_pattern="{a}-{b}")


def test_parts_are_as_short_as_possible():
    match = compile_pattern("{fold}-{clip}").fullmatch("1-100032-A")
    assert match.groupdict() == {"fold": "1", "clip": "100032-A"}


def test_literal_text_of_a_pattern_is_literal():
    assert compile_pattern("{a}.{b}").fullmatch("xyz") is None


@pytest.mark.parametrize("pattern", ["plain", "{a b}", "{}", "{_}", "{a", "a}", "(?P<a>", "{a}{a}"])
def test_a_malformed_pattern_is_refused_with_the_spec(folder, pattern):
    with pytest.raises(ConfigError, match="pattern"):
        labels(folder, name_pattern=pattern)


@pytest.mark.parametrize(
    "key",
    [
        "dog/0_ann_1.wav",
        "./dog/0_ann_1.wav",
        "dog\\0_ann_1.wav",
        "0_ann_1.wav",
        "0_ann_1",
        "cat/../dog/0_ann_1.wav",
    ],
)
def test_a_table_may_name_a_file_in_several_ways(folder, key):
    found = table_labels(folder, f"path,class\n{key},bark\n")
    assert found["dog/0_ann_1.wav"] == {"class": "bark"}


def test_a_table_beside_the_folder_names_files_from_where_it_lies(folder):
    (folder.parent / "labels.csv").write_text("path,class\naudio/dog/0_ann_1.wav,bark\n")
    found = labels(folder, labels={"table": str(folder.parent / "labels.csv")})
    assert found["dog/0_ann_1.wav"] == {"class": "bark"}


def test_a_table_may_name_absolute_paths(folder):
    found = table_labels(folder, f"path,class\n{folder}/dog/0_ann_1.wav,bark\n")
    assert found["dog/0_ann_1.wav"] == {"class": "bark"}


def test_a_bare_name_that_two_files_have_labels_neither(folder):
    (folder / "dog" / "0_ann_1.wav").rename(folder / "dog" / "same.wav")
    (folder / "cat" / "2_ann_07.wav").rename(folder / "cat" / "same.wav")
    found = table_labels(folder, "path,class\nsame.wav,x\n1_bob_2.wav,y\n")
    assert (found["dog/same.wav"], found["cat/same.wav"]) == ({}, {})


def test_rows_about_other_files_are_passed_over(folder):
    table = "path,class\n../../../etc/passwd,x\n/etc/shadow,y\ndog/0_ann_1.wav,bark\n"
    found = table_labels(folder, table)
    assert [one for one in found.values() if one] == [{"class": "bark"}]


def test_hostile_cells_are_text(folder):
    cell = "<img src=x onerror=alert(1)>\x1b[2J"
    found = table_labels(folder, f'path,class\ndog/0_ann_1.wav,"{cell}"\n')
    assert found["dog/0_ann_1.wav"] == {"class": cell}


def test_another_key_column_can_be_named(folder):
    found = table_labels(folder, "file,class\n0_ann_1,bark\n", key="file")
    assert found["dog/0_ann_1.wav"] == {"class": "bark"}


def test_columns_of_numbers_become_numbers_unless_told_otherwise(folder):
    table = "path,midi,speaker\n0_ann_1,60,1089\n1_bob_2,61.5,1090\n"
    found = table_labels(folder, table, text=["speaker"])
    assert found["dog/1_bob_2.wav"] == {"midi": 61.5, "speaker": "1090"}


def test_empty_cells_are_left_out(folder):
    found = table_labels(folder, "path,midi,class\n0_ann_1,,bark\n1_bob_2,61,\n")
    assert found["dog/0_ann_1.wav"] == {"class": "bark"}
    assert found["dog/1_bob_2.wav"] == {"midi": 61.0}


def test_tabs_separate_the_cells_of_a_tsv(folder):
    found = table_labels(folder, "path\tclass\n0_ann_1\ta, b\n", name="labels.tsv")
    assert found["dog/0_ann_1.wav"] == {"class": "a, b"}


def test_a_byte_order_mark_is_not_part_of_a_column(folder):
    assert table_labels(folder, "\ufeffpath,class\n0_ann_1,bark\n")["dog/0_ann_1.wav"]


@pytest.mark.parametrize(
    "data",
    [
        [{"path": "dog/0_ann_1.wav", "midi": 60, "class": "bark", "tags": [1, 2], "none": None}],
        {"dog/0_ann_1.wav": {"midi": 60, "class": "bark", "tags": [1, 2], "none": None}},
    ],
)
def test_json_tables_are_read(folder, data):
    found = table_labels(folder, json.dumps(data), name="labels.json")
    assert found["dog/0_ann_1.wav"] == {"midi": 60.0, "class": "bark", "tags": "[1, 2]"}


def test_a_table_wins_over_names_and_the_rest_is_merged(folder):
    (folder / "labels.csv").write_text("path,class,speaker\n0_ann_1,bark,Ann\n")
    found = labels(
        folder,
        labels={"table": "labels.csv"},
        label_from="folder",
        name_pattern="{digit}_{speaker}_{_}",
    )
    assert found["dog/0_ann_1.wav"] == {"class": "bark", "digit": 0.0, "speaker": "Ann"}
    assert found["dog/1_bob_2.wav"] == {"class": "dog", "digit": 1.0, "speaker": "bob"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file,class\n0_ann_1,bark\n", "no column 'path'"),
        ("path,class\nother,bark\n", "labels no file"),
        ("path,class\n0_ann_1,bark\n0_ann_1,meow\n", "twice, and differently"),
        ("path,class,class\n0_ann_1,a,b\n", "two columns 'class'"),
        ("path,class\n0_ann_1,a,b\n", "row 2 has 3 cells under 2 columns"),
        ("path,class\n", "has no rows"),
        ("", "cannot be read"),
        ('path,class\n"0_ann_1,a\n', "cannot be read"),
    ],
)
def test_a_damaged_table_is_an_error(folder, text, match):
    with pytest.raises(ConfigError, match=match):
        table_labels(folder, text)


@pytest.mark.parametrize("text", ["{", "3", "[1]", '{"a": 1}'])
def test_a_damaged_json_table_is_an_error(folder, text):
    with pytest.raises(ConfigError, match="cannot be read"):
        table_labels(folder, text, name="labels.json")


def test_a_missing_table_is_named(folder):
    with pytest.raises(ConfigError, match=r"nowhere\.csv cannot be read"):
        labels(folder, labels={"table": "nowhere.csv"})


def test_a_limit_does_not_change_what_is_a_number(folder):
    every = labels(folder, name_pattern="{digit}_{speaker}_{take}")
    some = labels(folder, name_pattern="{digit}_{speaker}_{take}", limit=2)
    assert some == {name: every[name] for name in some}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["1", "2"], [1.0, 2.0]),
        (["-1.5e3", "+.5"], [-1500.0, 0.5]),
        (["0", "0.5"], [0.0, 0.5]),
        (["1", "x"], ["1", "x"]),
        (["007", "1"], ["007", "1"]),
        (["1_000", "1"], ["1_000", "1"]),
        (["nan", "nan"], ["nan", "nan"]),
        (["1e999", "1"], ["1e999", "1"]),
    ],
)
def test_a_column_is_numbers_only_if_every_cell_is_one(column, expected):
    typed = with_numbers({str(i): {"c": cell} for i, cell in enumerate(column)})
    assert [row["c"] for row in typed.values()] == expected


def test_a_number_that_is_missing_is_left_out():
    typed = with_numbers({"a": {"c": "1"}, "b": {"c": "NaN"}})
    assert typed == {"a": {"c": 1.0}, "b": {}}
