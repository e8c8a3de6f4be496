"""Where pages are written: one folder, nothing outside it, nothing stale left in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from auscult.core.errors import StoreError
from auscult.core.tensors import read_json, write_json
from auscult.report.colour import tables
from auscult.report.pages import SCRIPTS
from auscult.report.text import script_json

_LISTING = "assets/files.json"


class Target:
    """The folder that is written to; nothing is ever written outside, and what is stale goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._home = folder.resolve()
        self._written: set[str] = set()

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the report unless it is there with the same content."""
        path = (self._home / name).resolve()
        if not path.is_relative_to(self._home):
            raise StoreError(f"{name!r} would lie outside the report")
        self._written.add(path.relative_to(self._home).as_posix())
        if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.partial")
        aside.write_bytes(content)
        aside.replace(path)

    def finish(self, also: list[Path]) -> None:
        """Remove what only an earlier rendering wrote, and note what this one wrote."""
        listed = {path.resolve().relative_to(self._home).as_posix() for path in also}
        kept = sorted(self._written | listed)
        for name in self._earlier() - set(kept):
            path = (self._home / name).resolve()
            if path.is_relative_to(self._home) and path.is_file():
                path.unlink()
        write_json(self._home / _LISTING, kept)

    def _earlier(self) -> set[str]:
        try:
            names = read_json(self._home / _LISTING)
        except StoreError:
            return set()
        return (
            {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the system says of a folder that cannot be written into a sentence.

        Raises:
            StoreError: It cannot be written.
        """
        try:
            yield
        except OSError as error:
            raise StoreError(f"the pages cannot be written to {self.folder}: {error}") from error


def write_assets(target: Target) -> None:
    """Write the style sheet, the scripts, the colours, and plotly.js as its package ships it."""
    static = files("auscult.report") / "static"
    target.write("assets/auscult.css", (static / "auscult.css").read_bytes())
    target.write("assets/icon.svg", (static / "icon.svg").read_bytes())
    for name in SCRIPTS:
        target.write(f"assets/{name}.js", (static / f"{name}.js").read_bytes())
    colours = {name: table.tobytes().hex() for name, table in tables().items()}
    target.write("assets/colours.js", f"auscult.put('colours',{script_json(colours)});\n".encode())
    plotly = find_spec("plotly")
    # The package is located, not imported: its Python side is slow to load and not needed.
    if plotly is not None and plotly.origin is not None:
        script = Path(plotly.origin).parent / "package_data" / "plotly.min.js"
        target.write("assets/plotly.min.js", script.read_bytes())
