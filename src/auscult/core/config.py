"""Settings: one frozen tree, read from TOML.

In which an unknown key is an error with a suggestion.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from auscult.core.errors import ConfigError, suggestion

C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """Base of all settings: immutable, strict about keys, every field documented by a docstring."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def parse(model: type[C], data: Mapping[str, Any], where: str) -> C:
    """Check a mapping against a model; every complaint is one sentence that names the key.

    Raises:
        ConfigError: With the section, the key and, for an unknown key, the nearest known ones.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(_sentence(model, error, where)) from None


def _sentence(model: type[BaseModel], error: ValidationError, where: str) -> str:
    """Turn pydantic's first complaint into a sentence."""
    first = error.errors(include_url=False)[0]
    *parents, key = first["loc"] or ("",)
    place = (
        ".".join([where, *(str(part) for part in parents)])
        if where
        else ".".join(map(str, parents))
    )
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _fields(_descend(model, parents))
        return f"{place or 'the spec'} has no key {key!r}{suggestion(str(key), known)}{more}"
    if first["type"] == "missing":
        return f"{place or 'the spec'} lacks the key {key!r}{more}"
    said = first["msg"].removeprefix("Value error, ")
    at = ".".join(part for part in (place, str(key)) if part)
    if first["type"] in ("value_error", "assertion_error"):
        return f"{at}: {said}{more}" if at else f"{said}{more}"
    return f"{at}: {said[:1].lower()}{said[1:]}, got {first['input']!r}{more}"


def _fields(model: type[BaseModel] | None) -> list[str]:
    return [] if model is None else [f.alias or name for name, f in model.model_fields.items()]


def _descend(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """Find the model that a path of keys leads to, through optionals and sequences."""
    current: type[BaseModel] | None = model
    for key in path:
        if isinstance(key, int) or current is None:
            continue
        field = current.model_fields.get(key)
        current = next(_models_in(field.annotation), None) if field else None
    return current


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, list, tuple, dict):
        for inner in get_args(annotation):
            yield from _models_in(inner)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: It is missing or is not TOML; the line is named.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def override(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Apply ``a.b=value`` assignments to a copy; numbers in the path index lists of sections.

    >>> override({"train": {"steps": 5}}, ["train.steps=100", "analyses.0.type=features"])["train"]
    {'steps': 100}

    Raises:
        ConfigError: An assignment without ``=``, or through something that is not a section.
    """
    result: dict[str, Any] = _copy(data)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"{assignment!r} is not of the form section.key=value")
        _assign(result, path.strip().split("."), _value(text.strip()), assignment)
    return result


def _copy(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(value) for value in data] if isinstance(data, list) else data


def _value(text: str) -> Any:
    """Read a value as TOML would; what is not TOML is a bare string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _assign(node: Any, keys: list[str], value: Any, said: str) -> None:
    for here, after in pairwise(keys):
        fresh: Any = [] if after.isdigit() else {}
        node = _step(node, here, fresh, said)
    if isinstance(node, list):
        index = _index(node, keys[-1], said)
        node[index : index + 1] = [value]
    elif isinstance(node, dict):
        node[keys[-1]] = value
    else:
        raise ConfigError(f"{said!r} goes through {keys[-2]!r}, which is not a section")


def _step(node: Any, key: str, fresh: Any, said: str) -> Any:
    if isinstance(node, list):
        index = _index(node, key, said)
        if index == len(node):
            node.append(fresh)
        return node[index]
    if isinstance(node, dict):
        return node.setdefault(key, fresh)
    raise ConfigError(f"{said!r} goes through {key!r}, which is not a section")


def _index(node: list[Any], key: str, said: str) -> int:
    if not key.isdigit() or int(key) > len(node):
        raise ConfigError(f"{said!r} needs a number from 0 to {len(node)} where it says {key!r}")
    return int(key)
