"""Labels of recordings from a table, from the names of folders, and from patterns in file names.

Every way yields text first; a column whose cells are all numbers becomes floats. What a table says
is only ever compared with the names of files that were found: no path in it is opened.
"""

import csv
import json
import math
import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from auscult.core.config import Config
from auscult.core.errors import ConfigError, suggestion

Cells = Mapping[str, Mapping[str, str]]
"""Text of each label (inner key) of each recording (outer key)."""

FolderRule = Literal["folder", "top-folder"]

_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_FIELD = re.compile(r"\{([^{}]*)\}")


class LabelTable(Config):
    """A CSV, TSV or JSON table of labels."""

    table: Path
    """The file: CSV or TSV with a header, or JSON: a list of objects, or an object from name to
    object. A relative path is looked for in the sound folder first, then from the working
    directory."""
    key: str = "path"
    """The column that names the recording: a path relative to the sound folder or to the table's,
    an absolute path, or a bare file name (with or without extension) that only one recording
    has."""
    text: tuple[str, ...] = ()
    """Columns that stay text although all their cells are numbers, such as a speaker's number."""


def with_numbers(cells: Cells, text: Iterable[str] = ()) -> dict[str, dict[str, str | float]]:
    """Turn every column of numbers into floats; empty cells are left out.

    A number may have a sign, a point and an exponent, but no needless leading zero (``007`` is a
    name). Among numbers, ``nan`` and ``inf`` are missing values.

    >>> with_numbers({"a.wav": {"midi": "60", "take": "007"}, "b.wav": {"midi": "", "take": "8"}})
    {'a.wav': {'midi': 60.0, 'take': '007'}, 'b.wav': {'take': '8'}}
    """
    columns: dict[str, list[str]] = defaultdict(list)
    for row in cells.values():
        for name, cell in row.items():
            if cell:
                columns[name].append(cell)
    numeric = {name for name, column in columns.items() if _is_numeric(column)} - set(text)
    labels: dict[str, dict[str, str | float]] = {}
    for recording_id, row in cells.items():
        labels[recording_id] = {}
        for name, cell in row.items():
            if name not in numeric and cell:
                labels[recording_id][name] = cell
            elif cell and math.isfinite(float(cell)):
                labels[recording_id][name] = float(cell)
    return labels


def _is_numeric(column: Sequence[str]) -> bool:
    numbers = [cell for cell in column if _NUMBER.fullmatch(cell) and math.isfinite(float(cell))]
    rest = len(column) - len(numbers)
    return bool(numbers) and rest == sum(bool(_NOT_FINITE.fullmatch(cell)) for cell in column)


def folder_cells(rule: FolderRule, recording_ids: Iterable[str]) -> Cells:
    """Label ``class``: the name of the folder that a file lies in, or of the topmost one."""
    cells = {}
    for recording_id in recording_ids:
        *folders, _ = recording_id.split("/")
        cells[recording_id] = {"class": folders[-1 if rule == "folder" else 0]} if folders else {}
    return cells


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Read a file-name pattern.

    ``{digit}_{speaker}_{take}`` names the parts between literal text; ``{_}`` is a part without a
    label; a part is as short as possible and holds no ``/``. A pattern with ``(?P<name>...)`` in it
    is a regular expression.

    >>> compile_pattern("{digit}_{speaker}_{_}").fullmatch("7_jackson_32").groupdict()
    {'digit': '7', 'speaker': 'jackson'}

    Raises:
        ConfigError: It is malformed, or names nothing.
    """
    text = pattern
    if "(?P<" not in pattern:
        texts, names = _FIELD.split(pattern)[::2], _FIELD.findall(pattern)
        bad = [name for name in names if not name.isidentifier()]
        if bad or not set(names) - {"_"} or any(c in "{}" for c in "".join(texts)):
            raise ConfigError(
                f"{pattern!r} needs parts such as {{speaker}}, named by letters, digits and _"
            )
        parts = ["[^/]+?" if name == "_" else f"(?P<{name}>[^/]+?)" for name in names]
        text = "".join(re.escape(a) + b for a, b in zip(texts, [*parts, ""], strict=True))
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"{pattern!r} is not a pattern: {error}") from error


def pattern_cells(pattern: str, recording_ids: Sequence[str]) -> Cells:
    """Labels from file names without extension; from relative paths if the pattern has a ``/``.

    Raises:
        ConfigError: No name matches.
    """
    compiled = compile_pattern(pattern)
    cells: dict[str, Mapping[str, str]] = {}
    for recording_id in recording_ids:
        stem = posixpath.splitext(recording_id)[0]
        match = compiled.fullmatch(stem if "/" in pattern else posixpath.basename(stem))
        if match:
            cells[recording_id] = {name: cell for name, cell in match.groupdict().items() if cell}
    if not cells:
        raise ConfigError(
            f"name_pattern {pattern!r} matches no file, not even {recording_ids[0]!r}"
        )
    return cells


def table_cells(settings: LabelTable, folder: Path, recording_ids: Sequence[str]) -> Cells:
    """Labels from a table; rows about other files are passed over.

    Raises:
        ConfigError: It cannot be read, lacks the key column, contradicts itself, or names no
            recording.
    """
    inside = folder / settings.table
    table = inside if inside.is_file() else settings.table
    known = _spellings(folder, table, recording_ids)
    cells: dict[str, Mapping[str, str]] = {}
    named = ""
    for row in _rows(table):
        if settings.key not in row:
            raise ConfigError(
                f"{table} has no column {settings.key!r}{suggestion(settings.key, row)}"
            )
        named = row[settings.key]
        recording_id = known.get(named) or known.get(posixpath.normpath(named.replace("\\", "/")))
        if recording_id is None:
            continue
        rest = {name: cell for name, cell in row.items() if name != settings.key}
        if cells.setdefault(recording_id, rest) != rest:
            raise ConfigError(f"{table} labels {named!r} twice, and differently")
    if not cells:
        raise ConfigError(f"{table} labels no file of {folder}; its last row names {named!r}")
    return cells


def _spellings(folder: Path, table: Path, recording_ids: Sequence[str]) -> dict[str, str]:
    """The names under which a table may speak of each recording."""
    bare: dict[str, set[str]] = defaultdict(set)
    for recording_id in recording_ids:
        name = posixpath.basename(recording_id)
        for spelling in {name, posixpath.splitext(name)[0]}:
            bare[spelling].add(recording_id)
    known = {spelling: ids.pop() for spelling, ids in bare.items() if len(ids) == 1}
    absolute = Path(os.path.abspath(folder)).as_posix()  # noqa: PTH100
    from_table = os.path.relpath(absolute, os.path.abspath(table.parent))  # noqa: PTH100
    from_table = Path(from_table).as_posix()
    for recording_id in recording_ids:
        known[posixpath.normpath(f"{from_table}/{recording_id}")] = recording_id
        known[f"{absolute}/{recording_id}"] = recording_id
    # The plainest spelling wins where two collide.
    return known | {recording_id: recording_id for recording_id in recording_ids}


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
        rows = _json_rows(text) if table.suffix.lower() == ".json" else _csv_rows(text, table)
    except OSError as error:
        raise ConfigError(f"the label table {table} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise ConfigError(f"the label table {table} cannot be read: {error}") from error
    if not rows:
        raise ConfigError(f"the label table {table} has no rows")
    return rows


def _csv_rows(text: str, table: Path) -> list[dict[str, str]]:
    delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
    header, *lines = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise ValueError(f"it has two columns {twice[0]!r}")
    for number, line in enumerate(lines, 2):
        if len(line) > len(header):
            raise ValueError(f"row {number} has {len(line)} cells under {len(header)} columns")
    return [dict(zip(header, map(str.strip, line), strict=False)) for line in lines if line]


def _json_rows(text: str) -> list[dict[str, str]]:
    data = json.loads(text)
    if isinstance(data, dict):
        data = [
            {"path": name, **row} if isinstance(row, dict) else row for name, row in data.items()
        ]
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise ValueError("it needs a list of objects, or an object from name to object")
    return [{name: _cell(value) for name, value in row.items()} for row in data]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
