"""Write ``dictionaries.md`` from finished runs: ``python docs/studies/dictionaries.py RUN [RUN ...]``.

Every number on the page comes from a run's own files; what is written by hand stands in
``dictionaries.head.md`` and ``dictionaries.words.md``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auscult.claims.ledger import Standing
from auscult.experiment.run import Run

HERE = Path(__file__).parent
SIGNS = {
    "holds": "**holds**",
    "explained by control": "explained by control",
    "does not hold": "does not hold",
    "cannot be tested here": "–",
}
FIGURES = {
    "l0": "l0",
    "fvu": "fvu",
    "reconstruction_bias": "bias",
    "dead_fraction": "dead",
    "dense_share": "dense",
    "hoyer": "Hoyer",
    "dwell_s": "dwell (s)",
}


def shown(value: float | None) -> str:
    """A number as text."""
    if value is None or value != value:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def row(cells: Any) -> str:
    """A line of a table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def table(columns: list[str], rows: list[list[str]]) -> list[str]:
    """A table."""
    return [row(columns), "|" + "---|" * len(columns), *(row(cells) for cells in rows)]


def about(run: Run) -> list[str]:
    """What was asked, in cells."""
    spec = run.manifest["spec"]
    seconds = sum(stage["seconds"] for stage in run.manifest["stages"])
    model = spec["model"]
    return [
        run.manifest["name"],
        f"`{model.get('factory', model['type'])}`",
        ", ".join(f"`{tap}`" for tap in run.manifest["times"]),
        str(run.manifest["recordings"]),
        str(len(spec["dictionaries"])),
        ", ".join(str(seed) for seed in spec["train"]["seeds"]),
        f"{seconds / 60:.0f}",
    ]


def verdicts(runs: list[Run]) -> list[str]:
    """The claims over the runs, by their weakest entry."""
    rows = []
    standings = [{one.claim.id: one for one in run.ledger.standings} for run in runs]
    for id_, first in standings[0].items():
        cells = [deciding(found[id_]) if id_ in found else "–" for found in standings]
        rows.append([f"{id_}: {first.claim.statement}", first.claim.published or "–", *cells])
    return table(["claim", "published", *(run.manifest["name"] for run in runs)], rows)


def deciding(standing: Standing) -> str:
    """Verdict, and the sentence of the entry that decided it."""
    entry = next((one for one in standing.entries if one.verdict == standing.verdict), None)
    if entry is None or standing.verdict == "cannot be tested here":
        return f"– ({standing.reason})" if standing.reason else "–"
    return f"{SIGNS[standing.verdict]}: {entry.sentence}"


def dictionaries(run: Run) -> list[str]:
    """Every dictionary with its figures."""
    rows = []
    for told in run.result("dictionary-quality")["facts"]["dictionaries"]:
        figures = told["figures"]
        ends = figures["fvu"]["interval"]
        within = f" ({shown(ends[0])} to {shown(ends[1])})" if ends else ""
        cells = [shown(figures[name]["value"]) for name in FIGURES]
        cells[1] += within
        again = shown(told["found_again"])
        rows.append([told["name"], told["role"], *cells, again])
    return table(["dictionary", "role", *FIGURES.values(), "found again"], rows)


def answers(run: Run) -> Iterator[str]:
    """Every judgement of every analysis."""
    rows = []
    for name in run.analyses:
        for one in run.result(name)["judgements"]:
            measured = one["measurement"]
            ends = measured["interval"]
            within = f" ({shown(ends[0])} to {shown(ends[1])})" if ends else ""
            controls = "; ".join(f"{k}: {shown(v)}" for k, v in measured["controls"].items())
            rows.append(
                [one["sentence"], shown(measured["value"]) + within, controls, one["verdict"]]
            )
    yield from table(["answer", "measured", "controls", "verdict"], rows)


def main() -> None:
    """Write the page beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    runs = [Run.open(folder) for folder in parser.parse_args().runs]
    heads = ["study", "network", "taps", "recordings", "dictionaries", "seeds", "minutes"]
    page = [(HERE / "dictionaries.head.md").read_text(encoding="utf-8").rstrip(), ""]
    page += table(heads, [about(run) for run in runs])
    page += ["", "## Verdicts", "", *verdicts(runs), ""]
    page += (HERE / "dictionaries.words.md").read_text(encoding="utf-8").rstrip().split("\n")
    for run in runs:
        name = run.manifest["name"]
        page += ["", f"## {name}: answers", "", *answers(run)]
        page += ["", f"## {name}: every dictionary", "", *dictionaries(run)]
    (HERE / "dictionaries.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
