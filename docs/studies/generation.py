"""Write ``generation.md`` from finished runs: ``python docs/studies/generation.py RUN [RUN ...]``.

Every number on the page comes from the runs' own results; nothing is typed by hand.
"""

import sys
from pathlib import Path
from typing import Any

from auscult.experiment.run import Run

PLACES = {
    "states": "states",
    "estimates": "clean estimates",
    "heard": "sound of clean estimates",
    "straight": "straight line (null)",
}


def number(value: float | None, digits: int = 2) -> str:
    """As text; what could not be measured is a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def answers(result: dict[str, Any]) -> list[str]:
    """Findings beside their controls."""
    rows = []
    for one in result["judgements"]:
        measured = one["measurement"]
        nulls = "; ".join(f"{name} {number(v)}" for name, v in measured["controls"].items())
        value = number(measured["value"])
        if measured["interval"]:
            low, high = measured["interval"]
            value += f" ({number(low)} to {number(high)})"
        rows.append([one["sentence"], value, nulls, one["verdict"], one["claim"] or "–"])
    return table(["answer", "measured", "control", "verdict", "claim"], rows)


def settled(facts: dict[str, Any]) -> list[str]:
    """When each concept settles, by place."""
    rows = []
    for concept in facts["concepts"]:
        cells = [concept]
        for place in PLACES:
            row = next(
                r for r in facts["settled"] if (r["place"], r["concept"]) == (place, concept)
            )
            cells.append(
                f"{number(row['step'], 1)} ({number(row['low'], 1)} to {number(row['high'], 1)})"
            )
        rows.append(cells)
    return table(["concept", *PLACES.values()], rows)


def order(facts: dict[str, Any]) -> list[str]:
    """Pairs of concepts, with what the straight line makes of them."""
    rows = [
        [
            PLACES[row["place"]],
            f"{row['first']} before {row['then']}",
            f"{number(row['lead'])} ({number(row['low'])} to {number(row['high'])})",
            f"{row['p']:.1g}",
            number(row["null"]),
            f"{number(row['excess low'])} to {number(row['excess high'])}",
            "beyond the null"
            if row["beyond"]
            else "as on the line"
            if row["significant"]
            else "no",
        ]
        for row in facts["order"]
    ]
    header = ["read from", "order", "lead (steps)", "p, Holm", "null", "beyond it", "significant"]
    return table(header, rows)


def readings(result: dict[str, Any]) -> list[str]:
    """Probes and their agreement with ears."""
    rows = []
    for one in result["measurements"]:
        if "accuracy" in one["name"] or "correlation" in one["name"]:
            nulls = "; ".join(f"{name} {number(v)}" for name, v in one["controls"].items())
            rows.append([one["name"], number(one["value"]), nulls])
    return table(["measure", "value", "controls"], rows)


def steering(result: dict[str, Any]) -> list[str]:
    """Effects by window."""
    rows = [
        [
            row["place"],
            row["concept"],
            f"{row['first']} to {row['last']}",
            f"{number(row['effect'])} ({number(row['low'])} to {number(row['high'])})",
            number(row["random"]),
            number(row["seed"]),
            number(row["isolation"]),
            f"{number(row['distance'])} of {number(row['bound'])}",
            row["verdict"],
        ]
        for row in result["facts"]["rows"]
    ]
    header = [
        "place", "concept", "steps", "effect (s.d.)", "random", "other seed", "isolation",
        "distance", "verdict",
    ]  # fmt: skip
    return table(header, rows)


def section(folder: Path) -> list[str]:
    """One run."""
    run = Run.open(folder)
    seconds = sum(stage["seconds"] for stage in run.manifest["stages"])
    lines = ["", f"## {run.manifest['name']}", ""]
    if "generation" in run.analyses:
        result = run.result("generation")
        facts = result["facts"]
        lines += [
            f"{facts['n_prompts']} prompts, {facts['n_steps']} steps; probes trained on the latents "
            f"of {run.manifest['recordings']} recordings; {seconds / 60:.0f} minutes on a busy "
            "machine.",
            "",
            *answers(result),
            "",
            "Step from which on a concept stays above 95 % of its way (s_end), mean over prompts:",
            "",
            *settled(facts),
            "",
            "Order, paired over prompts:",
            "",
            *order(facts),
            "",
            "What the readings are worth:",
            "",
            *readings(result),
        ]
    if "generation-steering" in run.analyses:
        result = run.result("generation-steering")
        told = (
            "Steered while it is made. Effects are in standard deviations of the untouched sounds, with intervals over "
            "prompts; distance is the kernel distance from the untouched sounds, an unbiased estimate that may be negative, "
            "and the most that it may be is what other seeds give, at least 0."
        )
        lines += ["", told, "", *steering(result)]
    return lines


def main(folders: list[str]) -> None:
    """Write the page."""
    here = Path(__file__).parent
    head, words = (
        (here / f"generation.{part}.md").read_text(encoding="utf-8") for part in ("head", "words")
    )
    lines = [line for folder in folders for line in section(Path(folder))]
    page = head.rstrip() + "\n" + "\n".join(lines) + "\n\n" + words
    (here / "generation.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
