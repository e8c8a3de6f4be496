"""A real browser on a rendered run: AUSCULT_CHROMIUM names it, or `chromium` on PATH."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from auscult.report.render import render
from auscult.testing.runs import fabricated_run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(autouse=True)
def _no_network(socket_enabled):
    """The browser is driven through a local socket; visits check that pages ask for nothing."""


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    path = (
        os.environ.get("AUSCULT_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
    )
    if not path:
        pytest.skip("no Chromium: name one in AUSCULT_CHROMIUM, or put `chromium` on PATH")
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with 24 features and its report."""
    folder = fabricated_run(tmp_path_factory.mktemp("browser") / "run", n_features=24, n_clips=6)
    render(folder)
    return folder


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which every name tries to be more than a name."""
    folder = fabricated_run(
        tmp_path_factory.mktemp("hostile") / "run", n_features=3, n_clips=8, hostile=True
    )
    render(folder)
    return folder


class Visit:
    """A page that remembers what went wrong on it."""

    def __init__(self, page: object, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.troubles: list[str] = []
        page.on(
            "console",
            lambda said: (
                self.troubles.append(f"{said.type}: {said.text}") if said.type != "log" else None
            ),
        )
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on(
            "dialog",
            lambda dialog: (self.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()),
        )
        page.on("request", self._requested)

    def _requested(self, request: object) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.troubles.append(f"request: {request.url}")

    def open(self, name: str, anchor: str = "") -> object:
        self.page.goto((self.folder / "report" / f"{name}.html").as_uri() + anchor)
        self.page.wait_for_selector("html.ready")
        return self.page


@pytest.fixture
def visit(browser: object, request: pytest.FixtureRequest) -> Iterator[object]:
    """Begin visits to a run's pages; at the end nothing may have gone wrong on any."""
    contexts = []
    visits: list[Visit] = []

    def begin(folder: Path, **settings: object) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        visits.append(Visit(context.new_page(), folder))
        return visits[-1]

    yield begin
    for context in contexts:
        context.close()
    assert [trouble for one in visits for trouble in one.troubles] == []
