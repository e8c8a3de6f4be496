"""A run folder goes in, a folder of pages comes out. Needs neither torch nor the network."""

from collections.abc import Callable
from pathlib import Path

from auscult.report.media import SoundLibrary
from auscult.report.pages import Pages
from auscult.report.source import read_run
from auscult.report.target import Target, write_assets


def render(
    run_folder: Path, out: Path | None = None, on_progress: Callable[[float], None] | None = None
) -> Path:
    """Render the report of a run; what did not change is not made again.

    Args:
        run_folder: A finished run. Missing or damaged parts are named on the pages.
        out: Where the pages go; ``report`` in the run's folder unless given.
        on_progress: Is told the share that is done, in [0, 1].

    Returns:
        The first page. It opens from the file system.

    Raises:
        StoreError: The folder holds no run, or the pages cannot be written.
    """
    run = read_run(Path(run_folder))
    target = Target(out or Path(run_folder) / "report")
    tell = on_progress or _unheard
    with target.writing():
        library = SoundLibrary(run.folder, run.clips, target.folder)
        pages = Pages(run, library, target.write)
        write_assets(target)
        for done, analysis in enumerate(run.analyses, 1):
            pages.analysis(analysis)
            tell(done / (len(run.analyses) + 1))
        pages.claims()
        pages.sounds()
        pages.index()
        target.finish(library.written)
    tell(1.0)
    return target.folder / "index.html"


def _unheard(share: float) -> None:
    """Progress that nobody asked for."""
