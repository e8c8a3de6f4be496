import pytest

from auscult.core.config import Config
from auscult.core.errors import ConfigError, InvariantError, UnknownNameError
from auscult.core.registry import Registry


class Params(Config):
    k: int = 1
    """A number."""


def fresh() -> Registry:
    """A registry over a package without plug-ins."""
    return Registry("gadget", "auscult.core")


def test_a_registered_class_is_found_and_knows_its_name():
    registry = fresh()

    @registry.register("lamp")
    class Lamp:
        pass

    assert registry.get("lamp") is Lamp
    assert Lamp.registered_name == "lamp"


def test_a_misspelled_name_lists_the_nearest():
    registry = fresh()
    registry.register("lamp")(type("Lamp", (), {}))
    with pytest.raises(
        UnknownNameError, match=r"there is no gadget 'lampp'; did you mean 'lamp'\?"
    ):
        registry.get("lampp")


def test_a_name_is_given_once():
    registry = fresh()
    registry.register("lamp")(type("Lamp", (), {}))
    with pytest.raises(InvariantError, match="'lamp' is registered by"):
        registry.register("lamp")(type("Torch", (), {}))


def test_a_section_is_read_into_class_and_parameters():
    registry = fresh()
    cls = registry.register("lamp")(type("Lamp", (), {"Params": Params}))
    found, params = registry.parse({"type": "lamp", "k": 3}, "gadgets")
    assert (found, params) == (cls, Params(k=3))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"k": 3}, "gadgets needs a type, one of lamp"),
        ({"type": "lamp", "kk": 3}, r"gadgets \(type 'lamp'\) has no key 'kk'; did you mean 'k'"),
    ],
)
def test_a_bad_section_is_a_sentence(section, said):
    registry = fresh()
    registry.register("lamp")(type("Lamp", (), {"Params": Params}))
    with pytest.raises(ConfigError, match=said):
        registry.parse(section, "gadgets")


def test_entry_points_are_loaded_when_their_name_is_asked_for(monkeypatch):
    class Point:
        name = "foreign"

        def load(self):
            return type("Foreign", (), {})

    def points(group, name=None):
        return [Point()] if group == "auscult.core" and name in (None, "foreign") else []

    monkeypatch.setattr("auscult.core.registry.entry_points", points)
    registry = fresh()
    assert registry.names() == ["foreign"]
    assert registry.get("foreign").__name__ == "Foreign"
