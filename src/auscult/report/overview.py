"""What the first page says: what was asked, what was answered, what it was made with."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auscult.blocks import Finding
from auscult.core.manifest import package_version
from auscult.core.numbers import number
from auscult.report.source import AnalysisFolder, RunFolder

Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class Grid:
    """A small table of texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def findings_of(analysis: AnalysisFolder) -> list[Finding]:
    """The answers of one analysis."""
    return [block for block in analysis.blocks if isinstance(block, Finding)]


def asked(run: RunFolder) -> Facts:
    """The study in a few lines; what the spec does not say is left out."""
    spec = _section(run.manifest, "spec")
    model, sounds, record = (_section(spec, key) for key in ("model", "sounds", "record"))
    facts = [
        ("Model", _model(model)),
        ("Taps", _listed(record.get("taps"))),
        ("Sounds", _sounds(run.manifest, spec, sounds)),
        ("Dictionaries", _dictionaries(spec)),
        ("Seeds", _seeds(run.manifest, spec)),
    ]
    return [(name, text) for name, text in facts if text]


def _model(section: Mapping[str, Any]) -> str:
    """Family, or file and factory of a model of one's own, and its weights."""
    kind, factory = section.get("type"), section.get("factory")
    if not kind:
        return ""
    named = str(kind)
    if isinstance(factory, str) and factory:
        file = str(section.get("path") or "").replace("\\", "/").rsplit("/", 1)[-1]
        named = f"{factory} of {file}" if file else factory
    weights = section.get("weights")
    if not isinstance(weights, str):
        return named
    plain = weights in ("trained", "random", "shuffled")
    return f"{named}, {weights} weights" if plain else f"{named}, weights from {weights}"


def _sounds(manifest: Mapping[str, Any], spec: Mapping[str, Any], sounds: Mapping[str, Any]) -> str:
    place = sounds.get("path")
    parts = [f"{sounds['type']}" if "type" in sounds else "", str(place) if place else ""]
    count = manifest.get("recordings")
    parts.append(f"{count} recordings" if isinstance(count, int) else "")
    clip_s = spec.get("clip_seconds", sounds.get("clip_seconds"))
    parts.append(f"clips of {number(clip_s)} s" if isinstance(clip_s, int | float) else "")
    shares = _section(spec, "split") or _section(sounds, "split")
    if isinstance(shares.get("test"), int | float):
        parts.append(f"{shares['test']:.0%} held out by {shares.get('by', 'recording')}")
    return ", ".join(part for part in parts if part)


def _dictionaries(spec: Mapping[str, Any]) -> str:
    """Each by its name; those of one grid together, with the values that each setting took."""
    grids: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for entry in _sections(spec, "dictionaries"):
        inner = _section(entry, "section") or entry
        size, kind = inner.get("n_features"), str(inner.get("type") or "")
        name, _, settings = str(entry.get("name", kind)).partition(" ")
        taken = dict(one.split("=", 1) for one in settings.split(",") if "=" in one)
        of_size = f"{kind} of {size}" if size and "n_features" not in taken else kind
        key = (name, of_size, str(entry.get("of", "responses")))
        grids.setdefault(key, []).append(taken)
    return " · ".join(_alike(*key, settings) for key, settings in grids.items())


def _alike(name: str, kind: str, of: str, settings: Sequence[Mapping[str, str]]) -> str:
    names = dict.fromkeys(setting for one in settings for setting in one)
    values = [
        f"{setting} {', '.join(dict.fromkeys(one[setting] for one in settings if setting in one))}"
        for setting in names
    ]
    count = f"{len(settings)} × " if len(settings) > 1 else ""
    return f"{count}{name} ({'; '.join([f'{kind} on {of}', *values])})"


def _seeds(manifest: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    seeds = _section(manifest, "seeds")
    if not _sections(spec, "dictionaries"):
        seeds = {name: value for name, value in seeds.items() if name != "dictionaries"}
    if seeds:
        return "; ".join(f"{name} {_listed(value)}" for name, value in seeds.items())
    own, several = spec.get("seed"), _section(spec, "train").get("seeds")
    return "; ".join(text for text in (_listed(own), _listed(several)) if text)


def measurements(result: Mapping[str, Any]) -> Grid | None:
    """All numbers of an analysis, each beside its controls."""
    rows = [one for one in result.get("measurements") or () if isinstance(one, Mapping)]
    controls = list(dict.fromkeys(str(name) for one in rows for name in _section(one, "controls")))
    if not rows:
        return None
    columns = (
        "measured",
        "tap",
        "value",
        "95 % interval",
        "least and largest",
        *(f"control: {name}" for name in controls),
        "published",
    )
    lines = tuple(_measurement(one, controls) for one in rows)
    kept = [
        i
        for i in range(len(columns))
        if i in (0, 2) or any(line[i] not in ("", "–") for line in lines)
    ]
    return Grid(
        tuple(columns[i] for i in kept), tuple(tuple(line[i] for i in kept) for line in lines)
    )


def _measurement(one: Mapping[str, Any], controls: Sequence[str]) -> tuple[str, ...]:
    unit = str(one.get("unit") or "")
    interval = one.get("interval")
    edges = interval if isinstance(interval, list) and None not in interval else []
    span = " to ".join(map(_number, edges))
    own, spread = _section(one, "controls"), _section(one, "spread")
    ends = " to ".join(_number(spread.get(end)) for end in ("least", "largest"))
    return (
        str(one.get("name", "")),
        str(one.get("tap") or ""),
        f"{_number(one.get('value'))} {unit}".strip(),
        span,
        f"{ends}, over {spread.get('of')}" if spread else "",
        *(_number(own.get(name)) for name in controls),
        str(one.get("published") or ""),
    )


def skipped(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Files that were left out, with the reason."""
    return [
        (str(one.get("name", "")), str(one.get("reason", "")))
        for one in _sections(manifest, "skipped")
    ]


def warnings_of(run: RunFolder) -> list[str]:
    """What the run warned of, and what the report could not read."""
    said = run.manifest.get("warnings")
    return (
        [*run.troubles, *(str(one) for one in said)]
        if isinstance(said, list)
        else list(run.troubles)
    )


def receipts(manifest: Mapping[str, Any]) -> Grid | None:
    """What each address stood for: one row a tap, one column for whatever the run recorded."""
    return _grid(_sections(manifest, "receipts"))


def stages(manifest: Mapping[str, Any]) -> Grid | None:
    """What was computed, with its key and time."""
    rows = [
        {**stage, "key": str(stage.get("key", ""))[:12]} for stage in _sections(manifest, "stages")
    ]
    return _grid([{key: value for key, value in row.items() if key != "reused"} for row in rows])


def _grid(rows: Sequence[Mapping[str, Any]]) -> Grid | None:
    found = dict.fromkeys(str(key) for row in rows for key in row)
    columns = tuple(sorted(found, key=lambda key: key not in ("tap", "name")))
    if not columns:
        return None
    cells = tuple(tuple(_cell(row.get(column)) for column in columns) for row in rows)
    return Grid(tuple(column.replace("_", " ") for column in columns), cells)


def provenance(run: RunFolder) -> Facts:
    """Versions, settings and digests that the numbers depend on."""
    facts = list(_flat(_section(run.manifest, "environment")))
    facts += [
        (f"weights: {key}", str(value)) for key, value in _section(run.manifest, "weights").items()
    ]
    digest = run.manifest.get("spec_digest")
    return [*facts, ("spec digest", str(digest))] if digest else facts


def whole_spec(manifest: Mapping[str, Any]) -> str:
    """The resolved spec as indented JSON, or ""."""
    spec = manifest.get("spec")
    return json.dumps(spec, indent=2, ensure_ascii=False) if spec else ""


def outputs(manifest: Mapping[str, Any]) -> Facts:
    """SHA-256 of every file that the run left."""
    return [(path, str(digest)) for path, digest in _section(manifest, "outputs").items()]


def commands(run: RunFolder) -> list[str]:
    """How to make this report again, and the run, from the folder that holds it."""
    name = shlex.quote(run.folder.resolve().name)
    return [f"auscult report {name}", f"auscult serve {name}"]


def version() -> str:
    """Version of auscult that rendered the page, or "" in a source tree that is not installed."""
    found = package_version("auscult")
    return "" if found == "absent" else found


def counts(run: RunFolder) -> str:
    """The study in numbers: recordings, analyses, answers."""
    recordings = run.manifest.get("recordings")
    told = [
        _counted(recordings, "recording") if isinstance(recordings, int) else "",
        _counted(len(run.analyses), "analysis", "analyses"),
        _counted(sum(len(findings_of(one)) for one in run.analyses), "answer"),
    ]
    return " · ".join(text for text in told if text)


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _flat(section: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        elif value not in (None, ""):
            yield f"{before}{key}".removeprefix("packages."), _cell(value)


def _section(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _sections(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = data.get(key)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _listed(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_cell(one) for one in value)
    return "" if value is None else _cell(value)


def _number(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else "–"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list | tuple):
        return (
            " × ".join(_cell(one) for one in value)
            if all(isinstance(v, int) for v in value)
            else _listed(value)
        )
    return "–" if value is None else str(value)
