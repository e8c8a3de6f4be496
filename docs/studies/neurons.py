"""Write ``neurons.md`` from finished runs: ``python docs/studies/neurons.py RUN [RUN ...]``.

Every number on the page comes from the runs' own results; sentences on what they mean stand in ``neurons.words.md``.
"""

import sys
from pathlib import Path
from typing import Any

from auscult.experiment.run import Run

HERE = Path(__file__).parent

HEAD = """# Class-specific neurons

What the three questions of [`auscult init neurons`](../how-to/neurons.md) gave on trained networks that nobody here made, on real
recordings. This page is written by `python docs/studies/neurons.py` from the runs' own numbers.

* **micro-ACDNet** (mohaimenz/acdnet, MIT): raw audio at 20 kHz, supervised on ESC-50. It was trained on the very ESC-10 clips it hears here.
* **Lyra v2** (google/lyra, Apache-2.0): the encoder of a speech codec at 16 kHz. It never saw a label: the self-supervised one of the two.
* **Silero VAD** (snakers4/silero-vad, MIT): speech or not, supervised, 16 kHz.

Sounds: ESC-10 (CC BY 3.0), the Free Spoken Digit Dataset (CC BY-SA 4.0), LibriSpeech test-other (CC BY 4.0), the Salamander piano and
Berklee's samples (CC BY 3.0). Neurons are chosen on training recordings, everything is measured on others.

## Published, and here

| claim | published | """


def shown(value: Any) -> str:
    """A number as text."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def cell(one: dict[str, Any]) -> str:
    """Value, its controls, and how it stands."""
    measured = one["measurement"]
    beside = "; ".join(f"{name} {shown(v)}" for name, v in measured["controls"].items())
    return f"{shown(measured['value'])} {measured['unit']} ({beside}): **{one['verdict']}**"


def claims(runs: list[Run]) -> list[str]:
    """The published table beside ours."""
    names = [run.manifest["name"] for run in runs]
    lines = [HEAD + " | ".join(names) + " |", "|---|---|" + "---|" * len(runs)]
    for standing in next(iter(runs)).ledger.standings:
        claim = standing.claim
        if not claim.id.startswith("AA-"):
            continue
        cells = []
        for run in runs:
            found = [
                cell(one)
                for name in run.analyses
                for one in run.result(name)["judgements"]
                if one["claim"] == claim.id
            ]
            cells.append("<br>".join(found) or "–")
        lines.append(
            f"| {claim.id}: {claim.statement} | {claim.published} | " + " | ".join(cells) + " |"
        )
    return lines


def counts(run: Run) -> list[str]:
    """Tasks and selectors of one run."""
    lines: list[str] = []
    for name in run.analyses:
        told = run.result(name)["facts"]
        for title, known in told.get("tasks", {}).items():
            lines += [
                "",
                f"Task *{title}*: {len(known['classes'])} classes, {known['n_neurons']} neurons, {sum(known['n_clips'])} training clips.",
                "",
                "| selector | neurons taken | a class | a class, dealt | coverage | coverage, dealt | found, FDR 5 % |",
                "|---|---|---|---|---|---|---|",
            ]
            for row in known["rows"]:
                selector, taken, per_class, null, coverage, dealt, _, found, _ = row
                numbers = (taken, per_class, null, coverage, dealt, found)
                lines.append(f"| {selector} | " + " | ".join(shown(n) for n in numbers) + " |")
    return lines


def ablation(run: Run) -> list[str]:
    """Class by class, with random sets and the published control."""
    lines: list[str] = []
    for name in run.analyses:
        result = run.result(name)
        told = result["facts"]
        if result["type"] != "neuron-ablation" or told["reason"]:
            continue
        lines += [
            "",
            f"Silenced, task *{told['task']}*, chosen by {told['selector']}:",
            "",
            "| class | neurons | test clips | accuracy | as selective, of random sets | next indices (published control) |"
            " next indices that are a class's own | head trained anew |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for place, label in enumerate(told["classes"]):
            here = told["with_random"].index(place) if place in told["with_random"] else None
            beside = told["next_share"][here] if here is not None else {}
            numbers = (
                told["sizes"][place],
                told["n_test"][place],
                told["accuracy"][place],
                told["p_random"][here] if here is not None else None,
                beside.get("accuracy"),
                beside.get("members"),
                told["retrained"][place],
            )
            lines.append(f"| {label} | " + " | ".join(shown(n) for n in numbers) + " |")
        lines += [
            "",
            "| way of silencing | own accuracy, pp | own log-probability less others' |",
            "|---|---|---|",
        ]
        lines += [f"| {way} | {shown(a)} | {shown(b)} |" for way, (a, b) in told["ways"].items()]
    return lines


def section(run: Run) -> list[str]:
    """One run."""
    seconds = sum(stage["seconds"] for stage in run.manifest["stages"])
    spec = run.manifest["spec"]
    lines = [
        "",
        f"## {run.manifest['name']}",
        "",
        f"`{spec['model']['factory']}`, {run.manifest['recordings']} recordings in clips of {spec['clip_seconds']:g} s, "
        f"{len(run.manifest['times'])} taps; {seconds / 60:.1f} minutes of computing.",
    ]
    for name in run.analyses:
        lines += [
            "",
            *(
                f"* {one['sentence']} **{one['verdict'].capitalize()}.**"
                for one in run.result(name)["judgements"]
            ),
        ]
        correlations = [m for m in run.result(name)["measurements"] if "acoustic" in m["name"]]
        lines += [
            f"* {m['name']}: {shown(m['value'])} (random weights {shown(m['controls']['random weights'])})."
            for m in correlations
        ]
    return [*lines, *counts(run), *ablation(run)]


def main() -> None:
    """Write the page beside this file."""
    runs = [Run.open(folder) for folder in sys.argv[1:]]
    page = claims(runs)
    page += ["", (HERE / "neurons.words.md").read_text(encoding="utf-8").rstrip()]
    for run in runs:
        page += section(run)
    (HERE / "neurons.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
