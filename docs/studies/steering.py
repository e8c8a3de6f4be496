"""Write ``steering.md`` from finished runs: ``python docs/studies/steering.py RUN [RUN ...]``.

Every number on the page comes from the runs' own results; nothing is typed by hand.
"""

import sys
from pathlib import Path
from typing import Any

from auscult.experiment.run import Run

HEAD = """# Can concepts be steered?

The steering audit ([how](../how-to/steer.md)) of a codec, on real recordings: which concept moves, alone, and at what price. Tables are
written by `python docs/studies/steering.py` from the runs' own results. A control passes when the whole 95 % interval of its effect
lies above what 95 % of random directions of the same length and rule do, isolation is at least 0.7, and the kernel distance from other
recordings stays within what halves of the untouched round trip reach. Effects are in standard deviations of the concept over the
corpus, on held-out clips, measured by estimators that had no part in making the vectors. `PK-03`, the published claim of isolated
control, is about the way *as published*: a probe's weights added to a dictionary's code, renormalised, decoded.

* **Lyra v2** (google/lyra, Apache-2.0): a causal speech codec at 16 kHz, 64 latents at 50 Hz, loaded through the `python` model type
  with `encode = "encode"`, `quantise = ["quantize", "dequantize"]`, `decode = "decode"`; on sentences of LibriSpeech test-other
  (CC BY 4.0).
"""


def number(value: float | None) -> str:
    """As text; what could not be measured is a dash."""
    return "–" if value is None else f"{value:.2f}"


def row(told: dict[str, Any]) -> str:
    """One control: what it did, beside its band, and whether it passes."""
    worst = max(told["quality"], key=lambda name: told["quality"][name] - told["bounds"][name])
    low, high = told["interval"]
    cells = (
        told["concept"],
        told["sign"],
        told["made"],
        f"{told['strength']:g}",
        f"{number(told['effect'])} ({number(low)} to {number(high)})",
        number(told["band"]),
        number(told["isolation"]),
        f"{number(told['quality'][worst])} of {number(told['bounds'][worst])}",
        number(told["requantised"]),
        "**passes**" if told["verdict"] == "holds" else told["reason"].rstrip("."),
    )
    return "| " + " | ".join(cells) + " |"


def section(folder: Path) -> list[str]:
    """One run: its controls, and what local steering keeps inside its span."""
    run = Run.open(folder)
    spec = run.manifest["spec"]
    result = run.result("steering")
    answers = result["facts"]["answers"]
    passing = [one for one in answers if one["verdict"] == "holds"]
    seconds = sum(stage["seconds"] for stage in run.manifest["stages"])
    lines = [
        "",
        f"## {run.manifest['name']}",
        "",
        f"{run.manifest['recordings']} recordings, tap `{result['facts']['tap']}`, "
        f"{seconds / 60:.0f} minutes on a busy machine. {len(passing)} of {len(answers)} controls pass.",
        "",
        "| concept | towards | way | strength | effect (s.d.) | random | isolation | distance | re-quantised | |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(row, answers),
        "",
    ]
    for one in result["judgements"]:
        if "within a span" in one["sentence"]:
            share, null = one["measurement"]["value"], one["measurement"]["controls"]
            everywhere = next(iter(null.values()))
            lines.append(
                f"* {one['sentence']} The same control everywhere has {number(everywhere)} of its "
                f"change there, the local one {number(share)}."
            )
    sounds = spec["sounds"]["type"]
    lines += ["", f"Made by `auscult run`, of `{spec['model']['type']}` and `{sounds}` sounds."]
    return lines


def main(folders: list[str]) -> None:
    """Write the page."""
    here = Path(__file__).parent
    lines = [line for folder in folders for line in section(Path(folder))]
    tail = (here / "steering.words.md").read_text(encoding="utf-8")
    (here / "steering.md").write_text(HEAD + "\n".join(lines) + "\n\n" + tail, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
