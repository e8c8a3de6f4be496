"""Write ``steering.md`` from finished runs: ``python docs/studies/steering.py RUN [RUN ...]``.

Every number on the page comes from the runs' own results; nothing is typed by hand.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from auscult.core.rng import named_rng
from auscult.experiment.run import Run
from auscult.measures.steering import ISOLATION, isolation_interval

BESIDE = ("response vectors, random weights", "log-mel spectrum, no network")

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
* **mini-encodec** (bundled): the architecture of EnCodec with few filters, trained on sound that this project makes.

Music is 87 sounds: all of Salamander's piano notes and five of Tone.js' Berklee instruments (CC BY 3.0), and five pieces of librosa's
examples (public domain, CC BY).

The interval of the isolation is a bootstrap over recordings. The specs are [lyra-speech](steering/lyra-speech.toml),
[lyra-decoder](steering/lyra-decoder.toml), [lyra-music](steering/lyra-music.toml),
[mini-encodec-music](steering/mini-encodec-music.toml), [lyra-speech-published](steering/lyra-speech-published.toml),
[code-norm](steering/code-norm.toml) and, of the study of concepts, [lyra-frames](concepts/lyra-frames.toml).

```text
for study in lyra-speech lyra-decoder lyra-music mini-encodec-music lyra-speech-published code-norm; do auscult run $study.toml --out runs/$study; done
python docs/studies/steering.py runs/lyra-speech runs/lyra-decoder runs/lyra-music runs/mini-encodec-music runs/lyra-speech-published \\
    runs/lyra-frames runs/code-norm
```
"""


def number(value: float | None) -> str:
    """As text; what could not be measured is a dash."""
    return "–" if value is None else f"{value:.2f}"


def row(told: dict[str, Any], isolated: tuple[float, float]) -> str:
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
        f"{number(told['isolation'])} ({number(isolated[0])} to {number(isolated[1])})",
        f"{number(told['quality'][worst])} of {number(told['bounds'][worst])}",
        number(told["requantised"]),
        "**passes**" if told["verdict"] == "holds" else told["reason"].rstrip("."),
    )
    return "| " + " | ".join(cells) + " |"


def isolated(run: Run, told: dict[str, Any]) -> tuple[float, float]:
    """95 % interval of the isolation: the run's own, or from the changes of clips that it kept.

    Test clips are the first of each recording, so clips are drawn where recordings should be.
    """
    if "isolated" in told:
        low, high = told["isolated"]
        return low, high
    params = next(one for one in run.manifest["spec"]["analyses"] if one["type"] == "steering")
    doses = params["published_strengths" if told["way"] == "published" else "strengths"]
    key = f"moved/{told['concept']}/{told['sign']}/{told['way']}"
    arrays = load_file(run.folder / "results/steering/arrays.safetensors")
    moved = arrays[key][doses.index(told["strength"])]
    which = params["concepts"].index(told["concept"])
    rng = named_rng(0, "isolation", key)
    return isolation_interval(moved, which, np.arange(len(moved)), rng)


def controls(run: Run) -> list[str]:
    """One audit: its controls, and what local steering keeps inside its span."""
    spec = run.manifest["spec"]
    params = next(one for one in spec["analyses"] if one["type"] == "steering")
    result = run.result("steering")
    answers = result["facts"]["answers"]
    passing = [one for one in answers if one["verdict"] == "holds"]
    sure = [one for one in passing if isolated(run, one)[0] >= ISOLATION]
    seconds = sum(stage["seconds"] for stage in run.manifest["stages"])
    lines = [
        "",
        f"## {run.manifest['name']}, {params['n_clips']} clips",
        "",
        f"{run.manifest['recordings']} recordings, tap `{result['facts']['tap']}`, "
        f"{2 * params['n_random']} random directions, {seconds / 60:.0f} minutes on a busy machine. "
        f"{len(passing)} of {len(answers)} controls pass; {len(sure)} of them with the whole "
        f"interval of the isolation at {ISOLATION:g} or above.",
        "",
        "| concept | towards | way | strength | effect (s.d.) | random | isolation | distance | re-quantised | |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(row(one, isolated(run, one)) for one in answers),
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
    return lines


def readable(run: Run) -> list[str]:
    """What can be read where vectors act."""
    lines = [
        "",
        f"## What can be read there: {run.manifest['name']}",
        "",
        f"Linear probes of one frame, {run.manifest['recordings']} recordings of music, speech and "
        "events: accuracy of exact bins.",
        "",
        "| tap | concept | response vectors | majority | shuffled | random weights | log-mel, no network |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [
        one for one in run.result("concept-probes")["facts"]["rows"] if one["family"] == "linear"
    ]
    by = {(one["tap"], one["concept"], one["representation"]): one for one in rows}
    for (tap, concept, seen), one in by.items():
        if seen != "response vectors":
            continue
        beside = [by.get((tap, concept, f"{name}")) for name in BESIDE]
        cells = (
            f"`{tap}`",
            concept,
            f"{number(one['accuracy'])} ({number(one['low'])} to {number(one['high'])})",
            number(one["majority"]),
            number(one["shuffled"]),
            *(number(null["accuracy"]) if null else "–" for null in beside),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def norms(run: Run) -> list[str]:
    """A code with RMSNorm and one without, steered alike."""
    result = run.result("code-norm")
    judged = result["judgements"][0]
    lines = [
        "",
        f"## {run.manifest['name']}",
        "",
        f"{run.manifest['recordings']} recordings, tap `{result['facts']['tap']}`; "
        + ", ".join(
            f"{name}: {value:.1f} features on" for name, value in result["facts"]["l0"].items()
        )
        + f". **PK-06: {judged['verdict']}.** {judged['sentence']}",
        "",
        "| rule | directions | strength | step (spreads) | added distance |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {one['rule']} | {'random' if one['random'] else 'of concepts'} "
        f"| {one['strength']:g} | {number(one['step'])} "
        f"| {number(one['added'])} ({number(one['low'])} to {number(one['high'])}) |"
        for one in result["facts"]["rows"]
    ]


WRITERS = {"steering": controls, "concept-probes": readable, "code-norm": norms}


def section(folder: Path) -> list[str]:
    """One run."""
    run = Run.open(folder)
    return [line for name in run.analyses if name in WRITERS for line in WRITERS[name](run)]


def main(folders: list[str]) -> None:
    """Write the page."""
    here = Path(__file__).parent
    lines = [line for folder in folders for line in section(Path(folder))]
    tail = (here / "steering.words.md").read_text(encoding="utf-8")
    (here / "steering.md").write_text(HEAD + "\n".join(lines) + "\n\n" + tail, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
