from pathlib import Path

import pytest
from pydantic import Field

from auscult.core.config import Config, override, parse, read_toml
from auscult.core.errors import ConfigError


class Inner(Config):
    steps: int = Field(10, ge=1)
    """How many."""


class Outer(Config):
    name: str
    """What."""
    train: Inner = Inner()
    """How."""
    parts: tuple[Inner, ...] = ()
    """Which."""


def test_an_unknown_key_names_its_section_and_the_nearest_key():
    with pytest.raises(ConfigError, match=r"train has no key 'step'; did you mean 'steps'\?"):
        parse(Outer, {"name": "x", "train": {"step": 3}}, "")


def test_an_unknown_key_in_a_list_of_sections_names_the_nearest_key():
    with pytest.raises(ConfigError, match=r"parts\.0 has no key 'stepz'; did you mean 'steps'\?"):
        parse(Outer, {"name": "x", "parts": [{"stepz": 3}]}, "")


def test_an_unknown_key_at_the_top_is_refused():
    with pytest.raises(ConfigError, match=r"the spec has no key 'nam'; did you mean 'name'\?"):
        parse(Outer, {"name": "x", "nam": 1}, "")


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match="the spec lacks the key 'name'"):
        parse(Outer, {}, "")


@pytest.mark.parametrize("value", ["many", 1.5, 0])
def test_a_wrong_value_is_named_with_what_was_given(value):
    with pytest.raises(ConfigError, match=rf"train\.steps: .*got {value!r}"):
        parse(Outer, {"name": "x", "train": {"steps": value}}, "")


def test_several_complaints_are_counted():
    with pytest.raises(ConfigError, match=r"\(and 1 more\)"):
        parse(Outer, {"train": {"steps": 0}}, "")


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        parse(Outer, {"name": "x"}, "").name = "y"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("train.steps=100", {"train": {"steps": 100}}),
        ("train.rate=1e-3", {"train": {"steps": 5, "rate": 1e-3}}),
        ("model.weights=random", {"train": {"steps": 5}, "model": {"weights": "random"}}),
        ("parts.0.k=[1, 2]", {"train": {"steps": 5}, "parts": [{"k": [1, 2]}]}),
        ("parts.1.k=2", None),
        ("train.steps.deep=2", None),
        ("no equals sign", None),
    ],
)
def test_assignments_reach_into_sections(said, expected):
    data = {"train": {"steps": 5}}
    if expected is None:
        with pytest.raises(ConfigError):
            override(data, [said])
    else:
        assert override(data, [said]) == expected
        assert data == {"train": {"steps": 5}}


def test_broken_toml_names_the_file_and_the_line(tmp_path: Path):
    path = tmp_path / "broken.toml"
    path.write_text("name = \n")
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML: .*line 1"):
        read_toml(path)


def test_a_missing_file_is_a_sentence(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")
