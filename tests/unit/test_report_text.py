"""Text from outside: visible, harmless in scripts and file names, and numbers that people read."""

import json

import pytest

from auscult.core.numbers import number
from auscult.report.text import (
    file_stem,
    one_line,
    script_json,
    seconds,
    visible,
    visible_everywhere,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 音 🎹", "plain ünïcode 音 🎹"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("bell\x07", "bell‹U+0007›"),
        ("red\x1b[31m", "red‹U+001B›[31m"),
        ("delete\x7f", "delete‹U+007F›"),
        ("next\x85line", "next‹U+0085›line"),
        ("gnp.\u202efdp", "gnp.‹U+202E›fdp"),
        ("isolate\u2066d", "isolate‹U+2066›d"),
        ("zero\u200bwidth", "zero‹U+200B›width"),
        ("half \ud83c", "half ‹U+D83C›"),
        ("line\u2028separator", "line‹U+2028›separator"),
    ],
)
def test_what_would_hide_is_made_visible(text, shown):
    assert visible(text) == shown


def test_a_joined_emoji_stays_whole():
    assert visible("👩\u200d🎤") == "👩\u200d🎤"


def test_strings_are_made_visible_however_deep():
    told = {"a\x00": ["b\x01", {"c": ("d\x02", 3)}]}
    assert visible_everywhere(told) == {"a‹U+0000›": ["b‹U+0001›", {"c": ["d‹U+0002›", 3]}]}


def test_one_line_has_no_line_breaks():
    assert one_line(" a\nb\t c ") == "a b c"


def test_json_in_a_script_cannot_close_it():
    assert "<" not in script_json({"</script>": "<!--", "x": "&amp;"})


def test_json_in_a_script_says_the_same():
    told = {"name": "</script><b>", "list": [1, 2.5, None, True]}
    assert json.loads(script_json(told)) == told


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("features", "features"),
        ("Mel filters, 1", "mel-filters-1"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "unnamed"),
        ("a..b", "a.b"),
        (".hidden", "hidden"),
        ("C:\\windows\\x", "c-windows-x"),
        ("na\x00me", "na-me"),
        ("naïve", "naive"),
        ("音", "unnamed"),
        ("", "unnamed"),
        ("x" * 300, "x" * 60),
    ],
)
def test_a_file_name_is_plain_and_stays_in_its_folder(name, stem):
    assert file_stem(name) == stem


def test_a_file_name_is_unlike_those_taken_whatever_their_case():
    assert file_stem("Index", ["index", "INDEX-2"]) == "index-3"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.0, "0"),
        (-2, "−2"),
        (12_345, "12,345"),
        (0.5, "0.5"),
        (3.14159, "3.142"),
        (123.456, "123.5"),
        (999.99, "1,000"),
        (0.00123, "0.00123"),
        (0.0000123, "1.23 × 10⁻⁵"),
        (2.5e9, "2.50 × 10⁹"),
        (float("nan"), "–"),
        (None, "–"),
        (float("-inf"), "−∞"),
    ],
)
def test_numbers_are_short_and_say_enough(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0, "0.00"), (0.0421, "0.042"), (1.234, "1.23")])
def test_short_times_keep_their_milliseconds(value, shown):
    assert seconds(value) == shown
