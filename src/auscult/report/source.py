"""Reading a run with suspicion: what is missing or damaged is named, the rest is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auscult.blocks import Block, Missing, load_blocks
from auscult.core.errors import StoreError, UserError
from auscult.core.tensors import read_json
from auscult.report.text import file_stem, one_line

# What a file that is valid JSON but not what we wrote can make of reading it.
DAMAGED = (
    UserError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OSError,
    RecursionError,
)


@dataclass(frozen=True)
class AnalysisFolder:
    """What one analysis left.

    Attributes:
        name: As in the spec; also its folder's name.
        page: Name of its page without ending: plain letters, unlike any other page's.
        result: ``result.json``, or empty when it cannot be read.
        blocks: What the page shows; what could not be read is there as :class:`Missing`.
    """

    name: str
    page: str
    result: Mapping[str, Any]
    blocks: tuple[Block, ...]

    def told(self, key: str) -> str:
        """A text of ``result.json``, or ""."""
        value = self.result.get(key, "")
        return value if isinstance(value, str) else ""

    @property
    def title(self) -> str:
        """Heading of the page."""
        return self.told("title") or self.name


@dataclass(frozen=True)
class RunFolder:
    """A finished run as the report reads it.

    Attributes:
        folder: Where it lies.
        manifest: ``manifest.json``, or empty.
        clips: ``clips/index.json``, or empty.
        analyses: In the spec's order, then by name.
        troubles: What could not be read, in sentences.
    """

    folder: Path
    manifest: Mapping[str, Any]
    clips: Mapping[str, Any]
    analyses: tuple[AnalysisFolder, ...]
    troubles: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """What the study is called."""
        name = self.manifest.get("name")
        return name if isinstance(name, str) and name else self.folder.resolve().name


def read_run(folder: Path) -> RunFolder:
    """Read everything that the pages show.

    Raises:
        StoreError: There is neither a manifest nor a result in this folder.
    """
    results = folder / "results"
    if not (folder / "manifest.json").is_file() and not results.is_dir():
        raise StoreError(
            f"{folder} holds no run: there is neither manifest.json nor a results folder"
        )
    troubles: list[str] = []
    manifest = _mapping(folder / "manifest.json", troubles)
    clips = _mapping(folder / "clips" / "index.json", troubles)
    found = (
        sorted(path.name for path in results.iterdir() if path.is_dir()) if results.is_dir() else []
    )
    asked = _asked(manifest)
    pages: list[str] = ["index", "ledger", "sounds"]
    analyses = []
    for name in [
        *(name for name in asked if name in found),
        *(name for name in found if name not in asked),
    ]:
        pages.append(file_stem(name, pages))
        analyses.append(_read_analysis(results / name, pages[-1]))
    for name in asked:
        if name not in found:
            pages.append(file_stem(name, pages))
            reason = "The study asks for this analysis, and the run folder holds no result of it."
            analyses.append(AnalysisFolder(name, pages[-1], {}, (Missing("No result", reason),)))
    return RunFolder(folder, manifest, clips, tuple(analyses), tuple(troubles))


def _asked(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the analyses of the spec, in its order."""
    spec = manifest.get("spec")
    sections = spec.get("analyses") if isinstance(spec, dict) else None
    if not isinstance(sections, list):
        return []
    names = [one.get("name", one.get("type")) for one in sections if isinstance(one, dict)]
    return list(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def _mapping(path: Path, troubles: list[str]) -> Mapping[str, Any]:
    try:
        data = read_json(path)
    except (StoreError, RecursionError) as error:
        troubles.append(f"{path.parent.name}/{path.name} cannot be read: {_reason(error)}")
        return {}
    if not isinstance(data, dict):
        troubles.append(f"{path.parent.name}/{path.name} is not what a run writes")
        return {}
    return data


def _read_analysis(folder: Path, page: str) -> AnalysisFolder:
    troubles: list[str] = []
    result = _mapping(folder / "result.json", troubles)
    try:
        blocks = tuple(load_blocks(folder))
    except DAMAGED as error:
        blocks = ()
        troubles.append(f"The blocks of this page cannot be read: {_reason(error)}")
    missing = tuple(Missing("Damaged or missing", trouble) for trouble in troubles)
    return AnalysisFolder(folder.name, page, result, (*missing, *blocks))


def _reason(error: BaseException) -> str:
    return one_line(
        f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error)
    )
