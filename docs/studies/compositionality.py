"""Write ``compositionality.md`` from finished runs: ``python docs/studies/compositionality.py RUN …``.

Every number on the page comes from the runs' results; the sentences below the tables stand in
``compositionality.words.md``.
"""

import sys
from pathlib import Path
from typing import Any

from architecture import shown, table

from auscult.experiment.run import Run

HERE = Path(__file__).parent
ANALYSES = (
    "compositionality",
    "note-interventions",
    "codes",
    "code-stability",
    "code-levels",
    "gabor-latents",
)
CONCEPTS = ("partial", "pitch", "timbre", "chord")


def scores(run: Run) -> list[str]:
    """Score of each concept at each tap: the network's, random weights', the constant-Q's."""
    told = run.result("compositionality")["judgements"]
    by = {
        (one["measurement"]["name"], one["measurement"]["tap"]): one["measurement"] for one in told
    }
    taps = list(dict.fromkeys(tap for _, tap in by))
    rows = []
    for tap in taps:
        cells = []
        for concept in CONCEPTS:
            one = by[f"compositionality of {concept}, of 1", tap]
            low, high = one["interval"] or (None, None)
            controls = " / ".join(shown(value) for value in one["controls"].values())
            cells.append(f"{shown(one['value'])} ({shown(low)} to {shown(high)}); {controls}")
        rows.append([f"`{tap}`", *cells])
    return table(["tap", *CONCEPTS], rows)


def answers(run: Run, name: str) -> list[list[str]]:
    """One row for every judgement of an analysis."""
    rows = []
    for told in run.result(name)["judgements"]:
        one: dict[str, Any] = told["measurement"]
        interval = one["interval"]
        value = shown(one["value"]) + (f" {one['unit']}" if one["unit"] else "")
        if interval:
            value += f" ({shown(interval[0])} to {shown(interval[1])})"
        controls = "; ".join(f"{key} {shown(number)}" for key, number in one["controls"].items())
        rows.append(
            [name, told["sentence"], value, controls, told["verdict"], told["claim"] or "–"]
        )
    return rows


def main() -> None:
    """Write the page beside this file."""
    runs = [Run.open(folder) for folder in sys.argv[1:]]
    page = [(HERE / "compositionality.head.md").read_text(encoding="utf-8").rstrip()]
    for run in runs:
        seconds = sum(stage["seconds"] for stage in run.manifest["stages"])
        page += ["", f"## {run.manifest['name']}", ""]
        page += [
            f"{run.manifest['recordings']} recordings, {seconds / 60:.0f} minutes of computing. Score of each concept "
            "(95 % interval); then what a log constant-Q spectrum and the same network with random weights get.",
            "",
            *scores(run),
            "",
        ]
        rows = [row for name in ANALYSES[1:] for row in answers(run, name)]
        page += table(
            ["question", "answer", "measured", "controls", "verdict", "on the claim"], rows
        )
    page += ["", (HERE / "compositionality.words.md").read_text(encoding="utf-8").rstrip()]
    (HERE / "compositionality.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
