"""Write ``first-layer.md`` from finished runs: ``python docs/studies/first_layer.py RUN [RUN ...] --depth RUN``.

Every number on the page comes from the runs' ledgers and manifests; nothing is typed by hand.
"""

import argparse
from pathlib import Path

from auscult.claims.ledger import Entry, Standing
from auscult.experiment.run import Run
from auscult.store.reader import ActivationStore

HERE = Path(__file__).parent
SIGNS = {
    "holds": "**holds**",
    "explained by control": "explained by control",
    "does not hold": "does not hold",
    "cannot be tested here": "–",
}


def facts(run: Run) -> str:
    """A row of the table of runs."""
    spec = run.manifest["spec"]
    model = spec["model"]
    # What is fitted under a control is fitted within an analysis, and its time is the analysis's.
    within = [
        s["name"].startswith("fit") and not s["name"].endswith("trained weights, real sounds")
        for s in run.manifest["stages"]
    ]
    stages = zip(run.manifest["stages"], within, strict=True)
    seconds = sum(stage["seconds"] for stage, inner in stages if not inner)
    recorded = next(run.folder.glob("stages/record-trained-weights--real-sounds-*"))
    stores = [
        ActivationStore.open(folder) for folder in sorted(recorded.iterdir()) if folder.is_dir()
    ]
    cells = (
        run.manifest["name"],
        f"`{model.get('factory', model['type'])}`",
        ", ".join(f"`{tap}`" for tap in run.manifest["times"]),
        str(run.manifest["recordings"]),
        f"{sum(store.n_vectors for store in stores):,}",
        ", ".join(str(d["lag"]) for d in spec["dictionaries"] if d["of"] == "generators"),
        f"{seconds / 60:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def cell(standing: Standing) -> str:
    """How a claim stands in one run: its verdict, and the number that decided it."""
    deciding = [entry for entry in standing.entries if entry.verdict == standing.verdict]
    if standing.verdict == "cannot be tested here" or not deciding:
        return SIGNS["cannot be tested here"]
    return f"{SIGNS[standing.verdict]}<br>{numbers(deciding[0])}"


def numbers(entry: Entry) -> str:
    """Value and nearest null, with their names."""
    null = entry.nearest_null
    beside = f" ({null[0]}: {shown(null[1])})" if null else ""
    tap = f"`{entry.tap}` " if entry.tap else ""
    return f"{tap}{shown(entry.value)}{beside}".replace("|", "\\|")


def shown(value: float | None) -> str:
    """A number as text."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def verdicts(runs: list[Run]) -> list[str]:
    """The claims over the runs."""
    lines = [
        "| claim | published | " + " | ".join(run.manifest["name"] for run in runs) + " |",
        "|---|---|" + "---|" * len(runs),
    ]
    for standings in zip(*(run.ledger.standings for run in runs), strict=True):
        claim = standings[0].claim
        cells = [f"{claim.id}: {claim.statement}", claim.published or "–", *map(cell, standings)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def sentences(run: Run) -> list[str]:
    """What one run says, entry by entry."""
    lines = ["", f"### {run.manifest['name']}", ""]
    lines += [
        "| claim | tap | measured | interval | nearest null | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for standing in run.ledger.standings:
        for entry in standing.entries:
            null = entry.nearest_null
            interval = (
                f"{shown(entry.interval[0])} to {shown(entry.interval[1])}"
                if entry.interval
                else "–"
            )
            beside = f"{null[0]}: {shown(null[1])}" if null else "–"
            cells = (
                standing.claim.id,
                f"`{entry.tap}`" if entry.tap else "–",
                f"{entry.measure}: {shown(entry.value)} {entry.unit}".strip(),
                interval,
                beside,
                entry.verdict,
            )
            lines.append("| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |")
    return lines


def depth(run: Run) -> list[str]:
    """Every claim's deciding number over the taps of one network, in order."""
    taps = list(run.manifest["times"])
    lines = [
        "| claim, measure | " + " | ".join(f"`{tap}`" for tap in taps) + " |",
        "|---|" + "---|" * len(taps),
    ]
    for standing in run.ledger.standings:
        for measure in dict.fromkeys(entry.measure for entry in standing.entries):
            found = {e.tap: e for e in standing.entries if e.measure == measure}
            if len(found) > 1:
                cells = [depth_cell(found.get(tap)) for tap in taps]
                lines.append(
                    f"| {standing.claim.id}, {measure.replace('|', chr(92) + '|')} | "
                    + " | ".join(cells)
                    + " |"
                )
    return lines


def depth_cell(entry: Entry | None) -> str:
    """Value, nearest null and verdict of one tap."""
    if entry is None or entry.value is None:
        return "–"
    null = entry.nearest_null
    beside = f" / {shown(null[1])}" if null else ""
    text = f"{shown(entry.value)}{beside}"
    return f"**{text}**" if entry.verdict == "holds" else text


def main() -> None:
    """Write the page beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--depth", type=Path)
    asked = parser.parse_args()
    runs = [Run.open(folder) for folder in asked.runs]
    table = "| study | network | taps | recordings | response vectors | lags (frames) | minutes |"
    page = [(HERE / "first-layer.head.md").read_text(encoding="utf-8").rstrip(), "", table]
    page += ["|---|---|---|---|---|---|---|", *(facts(run) for run in runs)]
    page += ["", "## Verdicts", "", *verdicts(runs)]
    if asked.depth:
        deep = Run.open(asked.depth)
        page += [
            "",
            "## Over depth",
            "",
            "Value / nearest null at each tap; bold where the claim holds.",
            "",
        ]
        page += [table, "|---|---|---|---|---|---|---|", facts(deep), "", *depth(deep)]
    page += (HERE / "first-layer.words.md").read_text(encoding="utf-8").rstrip().split("\n")
    page += ["", "## Every entry"]
    for run in runs:
        page += sentences(run)
    (HERE / "first-layer.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
