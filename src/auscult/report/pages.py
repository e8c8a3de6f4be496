"""Pages of one report: templates filled with what a run left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from auscult.blocks import Block, Finding, Missing
from auscult.claims import words
from auscult.core.numbers import number
from auscult.report import ledger, overview
from auscult.report.exports import Exporter
from auscult.report.layout import links
from auscult.report.media import SoundLibrary
from auscult.report.motion import common_extents, still
from auscult.report.payload import Payloads
from auscult.report.source import AnalysisFolder, RunFolder
from auscult.report.text import file_stem, script_json, seconds, visible

SCRIPTS = (
    "core",
    "sound",
    "axes",
    "charts",
    "heat",
    "clips",
    "maps",
    "motion",
    "desk",
    "graph",
    "rulers",
    "simple",
    "gallery",
    "explore",
    "page",
)
_STATIC = {"Text", "Finding", "Table", "Missing"}
_ROWS_AT_ONCE = 8
"""Answers by one rule that are shown before the rest is folded."""
_NUMBERS_AT_ONCE = 8
"""Rows of an analysis' table of all numbers that stand open."""


@dataclass(frozen=True)
class Shown:
    """A block as its template needs it.

    Attributes:
        block: The block, for those that are plain HTML.
        kind: Its type's name.
        id: Anchor on the page.
        data: What the script draws, or None for plain HTML.
    """

    block: Any
    kind: str
    id: str
    data: Mapping[str, Any] | None

    @property
    def title(self) -> str:
        """Its heading, or what a clip is called."""
        return str(getattr(self.block, "title", "") or getattr(self.block, "label", ""))

    @property
    def note(self) -> str:
        """What stands below it."""
        return str(getattr(self.block, "note", ""))


class Pages:
    """Writes the pages of one run."""

    def __init__(
        self, run: RunFolder, library: SoundLibrary, write: Callable[[str, bytes], None]
    ) -> None:
        self._run = run
        self._ledger = ledger.ledger_of_run(run)
        self._library = library
        self._write = write

    def analysis(self, analysis: AnalysisFolder) -> None:
        """Write one analysis's page with its data files and exports."""
        exporter = Exporter(analysis.page, self._library, self._write)
        payloads = Payloads(self._library, exporter, self._write)
        extents = common_extents(analysis.blocks)
        drawn = [
            shown(block, payloads, f"{analysis.page}-{count}", extents.get(count - 1))
            for count, block in enumerate(analysis.blocks, 1)
        ]
        self._page(
            "analysis.html",
            analysis.page,
            analysis.title,
            analysis=analysis,
            shown=drawn,
            measurements=overview.measurements(analysis.result),
            exports=exporter.finish(),
            fragments=exporter.fragments(),
            n_left_out=exporter.n_left_out,
        )

    def claims(self) -> None:
        """Write the page of published claims, and the same as JSON and CSV."""
        self._write("exports/ledger/ledger.json", ledger.as_json(self._ledger))
        self._write("exports/ledger/ledger.csv", ledger.as_csv(self._ledger))
        payloads = Payloads(
            self._library, Exporter("ledger", self._library, self._write), self._write
        )
        found = ledger.groups(self._ledger, self._run)
        self._page(
            "ledger.html",
            "ledger",
            "Published claims",
            groups=[(group, self._curves(group, payloads)) for group in found],
            summary=words.summary(self._ledger),
            untested=words.reasons(self._ledger),
            n_taps=len(ledger.taps_of(self._run)),
        )

    def _curves(self, group: ledger.Group, payloads: Payloads) -> dict[str, list[Shown]]:
        """Pictures over depth of each claim; the axis carries the names of the taps."""
        drawn: dict[str, list[Shown]] = {}
        for claim in group.claims:
            one = claim.standing
            for count, curve in enumerate(claim.curves, 1):
                key = f"ledger-{file_stem(one.claim.id)}-{count}"
                names = [tap or "whole model" for tap in one.by_tap]
                more = {"x_names": names}
                drawn.setdefault(one.claim.id, []).append(shown(curve, payloads, key, more))
        return drawn

    def index(self) -> None:
        """Write the overview."""
        run = self._run
        self._page(
            "index.html",
            "index",
            "Overview",
            counts=overview.counts(run),
            asked=overview.asked(run),
            answers=[(one, overview.findings_of(one)) for one in run.analyses],
            skipped=overview.skipped(run.manifest),
            warnings=overview.warnings_of(run),
            receipts=overview.receipts(run.manifest),
            stages=overview.stages(run.manifest),
            provenance=overview.provenance(run),
            outputs=overview.outputs(run.manifest),
            commands=overview.commands(run),
            whole_spec=overview.whole_spec(run.manifest),
            claims=words.summary(self._ledger)
            if any(s.entries for s in self._ledger.standings)
            else "",
        )

    def sounds(self) -> None:
        """Write the page of all sounds that the other pages play."""
        self._page(
            "sounds.html",
            "sounds",
            "Sounds",
            sounds=self._library.sounds,
            missing=self._library.missing,
        )

    def _page(self, template: str, page: str, title: str, **content: Any) -> None:
        html = (
            environment()
            .get_template(template)
            .render(
                run=self._run,
                page=page,
                title=title,
                scripts=SCRIPTS,
                version=overview.version(),
                **content,
            )
        )
        self._write(f"{page}.html", html.encode())


def shown(
    block: Block, payloads: Payloads, key: str, more: Mapping[str, Any] | None = None
) -> Shown:
    """A block as templates draw it; one that contradicts itself as :class:`Missing`."""
    data = payloads.of(block, key)
    if data["type"] == "Missing" and not isinstance(block, Missing):
        return Shown(Missing(data["title"], data["reason"]), "Missing", key, None)
    kind = type(block).__name__
    return Shown(block, kind, key, None if kind in _STATIC else {**data, **(more or {})})


@cache
def environment() -> Environment:
    """Templates, with everything that reaches a page made visible and escaped."""
    made = Environment(
        loader=PackageLoader("auscult.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every value that reaches a page passes here: what would hide is made visible, then
        # escaped.
        finalize=lambda value: (
            visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    made.filters["paragraphs"] = _paragraphs
    made.filters["shown"] = _cell
    made.filters["seconds"] = seconds
    made.filters["number"] = number
    made.filters["data"] = lambda value: Markup(script_json(value))
    made.filters["excerpts"] = excerpts
    made.filters["still"] = still
    made.filters["links"] = links
    made.filters["runs"] = runs
    made.filters["alike"] = alike
    made.filters["bare"] = lambda findings: [Shown(one, "Finding", "", None) for one in findings]
    made.globals["ROWS_AT_ONCE"] = _ROWS_AT_ONCE
    made.globals["NUMBERS_AT_ONCE"] = _NUMBERS_AT_ONCE
    return made


def runs(shown: Sequence[Shown]) -> list[tuple[str, list[Shown]]]:
    """Blocks in order, neighbours of one kind together."""
    return [(kind, list(some)) for kind, some in groupby(shown, key=lambda one: one.kind)]


def alike(findings: Sequence[Shown]) -> list[list[Shown]]:
    """Neighbouring findings about one claim and by one rule, which need not be said again."""

    def rule(one: Shown) -> tuple[str, str, str]:
        found: Finding = one.block
        return found.claim, found.reason, found.published

    return [list(some) for _, some in groupby(findings, key=rule)]


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    return number(value) if isinstance(value, int | float) else str(value)


def excerpts(data: Any) -> Sequence[Mapping[str, Any]]:
    """Playable excerpts within a block's data, for readers without scripts."""
    if isinstance(data, Mapping):
        if data.get("type") == "Gallery":
            return []
        inner = [one for value in data.values() for one in excerpts(value)]
        return [data, *inner] if "stem" in data else inner
    return [one for value in data for one in excerpts(value)] if isinstance(data, list) else []
