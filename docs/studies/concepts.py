"""Write ``concepts.md`` from finished runs: ``python docs/studies/concepts.py RUN [RUN ...]``.

Every number in the tables comes from the runs' results and manifests; ``concepts.words.md`` says
what they amount to.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from auscult.analyses.parts.concepts.dictionary_pictures import PUBLISHED_TABLE
from auscult.experiment.run import Run

HERE = Path(__file__).parent
CONCEPTS = ("pitch", "loudness", "centroid")
PUBLISHED = {"pitch": "0.75 to 0.87", "loudness": "0.17 to 0.63", "centroid": "0.17 to 0.46"}
BESIDE = (
    "dictionary features",
    "features of the untrained dictionary",
    "log-mel spectrum, no network",
    "MFCC, no network",
    "response vectors, random weights",
)


def of_type(run: Run, wanted: str) -> Iterator[Mapping[str, Any]]:
    """Results of one kind of analysis."""
    for name in run.analyses:
        result = run.result(name)
        if result["type"] == wanted:
            yield result


def line(*cells: object) -> str:
    """A row of a table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def head(*cells: str) -> list[str]:
    """A table's first two rows."""
    return [line(*cells), "|" + "---|" * len(cells)]


def share(value: float | None) -> str:
    """An accuracy as text."""
    return "–" if value is None else f"{value:.2f}"


def runs_table(runs: list[Run]) -> list[str]:
    """What was run."""
    lines = head("study", "network", "taps", "recordings", "dictionaries", "minutes")
    for run in runs:
        spec = run.manifest["spec"]
        model = spec["model"]
        seconds = sum(stage["seconds"] for stage in run.manifest["stages"])
        lines.append(
            line(
                f"[{run.manifest['name']}](concepts/{run.manifest['name']}.toml)",
                f"`{model.get('factory', model['type'])}`",
                ", ".join(f"`{tap}`" for tap in run.manifest["times"]),
                run.manifest["recordings"],
                len(spec["dictionaries"]),
                f"{seconds / 60:.1f}",
            )
        )
    return lines


def span(values: list[float]) -> str:
    """Least and greatest of some accuracies."""
    return f"{min(values):.2f} to {max(values):.2f}" if values else "–"


def beside_published(runs: list[Run]) -> list[str]:
    """The published table, and under it each tap of each run."""
    lines = head("encoder", "share of zeros", "alive", "pitch", "amplitude", "timbre")
    lines += [line(f"{row[0]} (published)", row[1], "–", *row[2:]) for row in PUBLISHED_TABLE]
    for run in runs:
        for result in of_type(run, "concept-dictionaries"):
            for tap, known in result["facts"]["taps"].items():
                entries = known["entries"]
                for key, told in (
                    ("accuracy", f"**{len(entries)} dictionaries**"),
                    ("untrained", "untrained dictionaries"),
                    ("majority", "majority class"),
                    ("shuffled", "shuffled labels"),
                ):
                    first = key == "accuracy"
                    lines.append(
                        line(
                            f"{run.manifest['name']}, `{tap}`: {told}",
                            span([one["zeros"] for one in entries]) if first else "",
                            span([one["alive"] for one in entries]) if first else "",
                            *(
                                span([one[key][c] for one in entries if c in one[key]])
                                for c in CONCEPTS
                            ),
                        )
                    )
    return lines


def dictionaries(runs: list[Run]) -> list[str]:
    """Every dictionary: sparsity and liveness together, and what is read from it."""
    lines = head(
        "study", "tap", "dictionary", "zeros", "on at once", "alive", "variance unexplained",
        "the same, untrained", *CONCEPTS,
    )  # fmt: skip
    for run in runs:
        for result in of_type(run, "concept-dictionaries"):
            for tap, known in result["facts"]["taps"].items():
                lines += [
                    line(
                        run.manifest["name"], f"`{tap}`", one["dictionary"], f"{one['zeros']:.3f}",
                        f"{one['l0']:.0f}", share(one["alive"]), f"{one['fvu']:.3f}",
                        f"{one['fvu untrained']:.3f}",
                        *(share(one["accuracy"].get(c)) for c in CONCEPTS),
                    )
                    for one in known["entries"]
                ]  # fmt: skip
    return lines


def probes(runs: list[Run]) -> list[str]:
    """Accuracy of the linear probe at every tap, beside everything it is read against."""
    lines = head(
        "study", "tap", "concept", "published", "response vectors", "majority", "shuffled",
        "selectivity", *BESIDE,
    )  # fmt: skip
    for run in runs:
        for result in of_type(run, "concept-probes"):
            rows = [row for row in result["facts"]["rows"] if row["family"] == "linear"]
            found = {(row["tap"], row["concept"], row["representation"]): row for row in rows}
            for (tap, concept, seen), row in found.items():
                if seen != "response vectors":
                    continue
                others = [found.get((tap, concept, name)) for name in BESIDE]
                lines.append(
                    line(
                        run.manifest["name"],
                        f"`{tap}`",
                        concept,
                        PUBLISHED.get(concept, "–"),
                        f"**{row['accuracy']:.2f}** ({row['low']:.2f} to {row['high']:.2f})",
                        share(row["majority"]),
                        share(row["shuffled"]),
                        share(row["selectivity"]),
                        *(share(other["accuracy"]) if other else "–" for other in others),
                    )
                )
    return lines


def families(runs: list[Run]) -> list[str]:
    """How the kinds of probe compare on response vectors."""
    lines = head(
        "study", "tap", "concept", "probe", "accuracy", "balanced", "within one bin", "error",
        "calibration error",
    )  # fmt: skip
    for run in runs:
        for result in of_type(run, "concept-probes"):
            if len({row["family"] for row in result["facts"]["rows"]}) < 2:
                continue
            units = result["facts"]["units"]
            for row in result["facts"]["rows"]:
                if row["representation"] != "response vectors":
                    continue
                error = row["absolute error"]
                unit = units.get(row["concept"], "")
                lines.append(
                    line(
                        run.manifest["name"],
                        f"`{row['tap']}`",
                        row["concept"],
                        row["family"],
                        share(row["accuracy"]),
                        share(row["balanced accuracy"]),
                        share(row["accuracy within one bin"]),
                        "–" if error is None else f"{error:.3g} {unit}",
                        share(row["calibration error"]),
                    )
                )
    return lines


def measured(runs: list[Run], analysis: str, containing: str, each_tap: bool = True) -> list[str]:
    """Measurements of one analysis whose names contain some words; of every tap, or of the last."""
    lines = head("study", "tap", "measure", "value", "nulls")
    for run in runs:
        for result in of_type(run, analysis):
            found = [one for one in result["measurements"] if containing in one["name"]]
            for one in found if each_tap else found[-1:]:
                nulls = "; ".join(f"{k} {share(v)}" for k, v in one["controls"].items())
                lines.append(
                    line(
                        run.manifest["name"],
                        f"`{one['tap']}`",
                        one["name"],
                        share(one["value"]),
                        nulls,
                    )
                )
    return lines


def tuned(runs: list[Run]) -> list[str]:
    """Share of channels that each sweep moves; the same under random weights in brackets."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for run in runs:
        for result in of_type(run, "psychophysics"):
            for one in result["measurements"]:
                sweep, _, rest = one["name"].partition(": share of channels")
                if rest:
                    row = found.setdefault((run.manifest["name"], one["tap"]), {})
                    random = share(one["controls"].get("random weights"))
                    row[sweep] = f"{share(one['value'])} ({random})"
    sweeps = list(dict.fromkeys(sweep for row in found.values() for sweep in row))
    lines = head("study", "tap", *sweeps)
    for (name, tap), row in found.items():
        lines.append(line(name, f"`{tap}`", *(row.get(sweep, "–") for sweep in sweeps)))
    return lines


def verdicts(runs: list[Run]) -> list[str]:
    """Every judgement on a claim about concepts."""
    lines = head("claim", "study", "answer", "verdict")
    for run in runs:
        for kind in ("concept-probes", "concept-dictionaries"):
            for result in of_type(run, kind):
                lines += [
                    line(one["claim"], run.manifest["name"], one["sentence"], one["verdict"])
                    for one in result["judgements"]
                    if one["claim"]
                ]
    return lines


def main() -> None:
    """Write the page beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    runs = [Run.open(folder) for folder in parser.parse_args().runs]
    page = [
        (HERE / "concepts.head.md").read_text(encoding="utf-8").rstrip(),
        *("", *runs_table(runs)),
        *("", "## The published table, and these networks", "", *beside_published(runs)),
        *("", "## Verdicts", "", *verdicts(runs)),
        *("", "## Every tap", "", *probes(runs)),
        *(
            "",
            "## Labels bound probes",
            "",
            *measured(runs, "concept-probes", "give one class", False),
        ),
        *("", "## Kinds of probe", "", *families(runs)),
        *("", "## Every dictionary", "", *dictionaries(runs)),
        *("", "## Shared features", ""),
        *measured(runs, "concept-dictionaries", "overlap of"),
        *("", "## What channels answer to", ""),
        "Share of channels that a sweep of one parameter moves (random weights in brackets).",
        "",
        *tuned(runs),
    ]
    page += ["", (HERE / "concepts.words.md").read_text(encoding="utf-8").rstrip()]
    (HERE / "concepts.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
