"""Write ``architecture.md`` from finished runs: ``python docs/studies/architecture.py RUN [RUN ...]``.

Every number on the page comes from the runs' results and ledgers; nothing is typed by hand.
"""

import sys
from pathlib import Path
from typing import Any

from auscult.analyses.parts.architecture.stage_pictures import stage_of
from auscult.claims import Standing, known_claims
from auscult.experiment.run import Run

HERE = Path(__file__).parent
ASKED = ("atlas", "collapse", "selectivity", "tiling", "representability")


def shown(value: float | None) -> str:
    """A number as text."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(columns: list[str], rows: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def stages(run: Run) -> list[str]:
    """What the architecture says of the stages at which the rate changes."""
    rows = []
    turning = run.result("atlas")["facts"].get("turning")
    if not turning:
        return ["The ruler ends before its last layers, which have no regular place in time."]
    for told in turning:
        stage = stage_of(told)
        rows.append(
            [
                f"`{stage.address}`",
                shown(float(stage.time.span)),
                shown(float(stage.time.hop)),
                shown(stage.rate_hz),
                shown(stage.resolution_hz),
                str(stage.n_channels),
                str(stage.n_bands),
                "" if stage.bounded else "unbounded",
            ]
        )
    columns = ["stage", "span", "hop", "rate, Hz", "bound, Hz", "channels", "bands", ""]
    return table(columns, rows)


def standing(one: Standing) -> str:
    """Verdict and deciding number of a claim in one run."""
    deciding = [entry for entry in one.entries if entry.verdict == one.verdict]
    if not deciding:
        return "–"
    entry = deciding[-1]
    null = entry.nearest_null
    beside = f" ({null[0]}: {shown(null[1])})" if null else ""
    sign = f"**{one.verdict}**" if one.verdict == "holds" else one.verdict
    return f"{sign}<br>{shown(entry.value)}{beside}"


def verdicts(runs: list[Run]) -> list[str]:
    """The claims of the study over the runs; one that did not ask about a claim has a dash."""
    told = [{one.claim.id: one for one in run.ledger.standings} for run in runs]
    rows = []
    for claim in known_claims():
        if claim.study == "architecture" and any(claim.id in one for one in told):
            cells = [standing(one[claim.id]) if claim.id in one else "–" for one in told]
            if set(cells) != {"–"}:
                rows.append([f"{claim.id}: {claim.statement}", claim.published, *cells])
    return table(["claim", "published", *(run.manifest["name"] for run in runs)], rows)


def entries(run: Run) -> list[str]:
    """Every judgement of one run."""
    rows = []
    for name in ASKED:
        if name in run.analyses:
            rows += [entry(name, told) for told in run.result(name)["judgements"]]
    return table(["question", "answer", "interval", "controls", "verdict"], rows)


def entry(name: str, told: dict[str, Any]) -> list[str]:
    """A judgement as a row."""
    one = told["measurement"]
    interval = one["interval"]
    between = f"{shown(interval[0])} to {shown(interval[1])}" if interval else "–"
    controls = "; ".join(f"{key} {shown(value)}" for key, value in one["controls"].items())
    return [name, told["sentence"], between, controls, told["verdict"]]


def section(run: Run) -> list[str]:
    """One network."""
    seconds = sum(stage["seconds"] for stage in run.manifest["stages"])
    told = f"{run.manifest['recordings']} recordings; {seconds / 60:.0f} minutes of computing."
    return ["", f"### {run.manifest['name']}", "", told, "", *stages(run), "", *entries(run)]


def main() -> None:
    """Write the page beside this file."""
    runs = [Run.open(Path(folder)) for folder in sys.argv[1:]]
    page = [(HERE / "architecture.head.md").read_text(encoding="utf-8").rstrip()]
    page += ["", "## Claims", "", *verdicts(runs)]
    page += (HERE / "architecture.words.md").read_text(encoding="utf-8").rstrip().split("\n")
    page += ["", "## Every answer"]
    for run in runs:
        page += section(run)
    (HERE / "architecture.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
