"""Write ``neurons.md`` from finished runs: ``python docs/studies/neurons.py RUN [RUN ...]``.

Every number on the page comes from the runs' own results; sentences on what they mean stand in ``neurons.words.md``.
"""

import json
import sys
from pathlib import Path
from typing import Any

from auscult.analyses.base import ANALYSES
from auscult.core.config import Config
from auscult.experiment.run import Run
from auscult.experiment.spec import RecordSpec, SplitSpec
from auscult.models.base import MODELS
from auscult.sounds.base import SOUNDS

HERE = Path(__file__).parent

HEAD = """# Class-specific neurons

What the three questions of [`auscult init neurons`](../how-to/neurons.md) gave on trained networks that nobody here made, on real
recordings. This page is written by `python docs/studies/neurons.py` from the runs' own numbers.

* **micro-ACDNet** (mohaimenz/acdnet, MIT): raw audio at 20 kHz, supervised on ESC-50. It was trained on the very ESC-10 clips it hears here.
* **Lyra v2** (google/lyra, Apache-2.0): the encoder of a speech codec at 16 kHz. It never saw a label: the self-supervised one of the two.
* **Silero VAD** (snakers4/silero-vad, MIT): speech or not, supervised, 16 kHz.
* **mini-audio-vit**, bundled here: one small ViT trained twice on the same rendered notes, strokes and noises, by filling in a masked
  spectrum and by naming what sounds. The published comparison is of such a pair.

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


PUBLISHED = (
    ("coverage", "about 100 %", "49 %"),
    ("neurons, self-supervised over supervised", "about twice", "1"),
    ("neurons a class, presumably of the self-supervised", "172.0 (CREMA-D), 37.9 (ESC-50)", "–"),
)


def twins(runs: list[Run]) -> list[str]:
    """The published comparison, and ours of the bundled twins."""
    lines = [
        "",
        "## Self-supervised against supervised",
        "",
        "| published (AAPE, VoxCeleb1 countries for coverage) | self-supervised | supervised |",
        "|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in PUBLISHED),
        "",
        "Ours, in each cell self-supervised / supervised; in brackets both with random weights. Equal counts: the rule keeps 1 % of each "
        "network's 4,608 neurons. One threshold: it keeps 1 % of both together.",
        "",
        "| sounds, task | rule | coverage, equal counts | coverage, labels dealt | neurons a class, equal counts | neurons, one threshold |"
        " coverage, one threshold | found, FDR 5 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        for name in run.analyses:
            for title, known in run.result(name)["facts"]["tasks"].items():
                rows = known["rows"]
                cells = [
                    " / ".join(shown(rows[k][place]) for k in (0, 1))
                    + (
                        ""
                        if place == 4
                        else f" ({shown(rows[2][place])} / {shown(rows[3][place])})"
                    )
                    for place in (3, 4, 2, 5, 6, 7)
                ]
                what = f"{run.manifest['name'].removesuffix('-twins')}, {title}"
                lines.append(f"| {what} | {name} | " + " | ".join(cells) + " |")
    for run in runs:
        for name in run.analyses:
            lines += ["", f"*{run.manifest['name']}*, {name}:", ""]
            for one in run.result(name)["judgements"]:
                measured = one["measurement"]
                within = measured["interval"]
                shares = f"{shown(measured['value'])}" + (
                    f", 95 % interval {shown(within[0])} to {shown(within[1])}" if within else ""
                )
                beside = "; ".join(f"{n} {shown(v)}" for n, v in measured["controls"].items())
                lines.append(
                    f"* {one['claim']}: {one['sentence']} {measured['name']}: {shares} ({beside}). "
                    f"**{one['verdict'].capitalize()}.**"
                )
    return lines


def changed(section: dict[str, Any], params: type[Config]) -> dict[str, Any]:
    """The keys of a section that are not as they are by default."""
    kept = {}
    for key, value in section.items():
        field = params.model_fields.get(key)
        given = (
            None
            if field is None or field.is_required()
            else field.get_default(call_default_factory=True)
        )
        plain = json.loads(json.dumps(given, default=lambda one: one.model_dump(mode="json")))
        if field is None or value != plain:
            kept[key] = value
    return kept


def toml(value: Any) -> str:
    """A value as TOML writes it; tables in one line, files by their names."""
    if isinstance(value, dict):
        some = {
            k: v
            for k, v in value.items()
            if v not in ("", {}, [], None) and (k, v) != ("fewest", 3)
        }
        return (
            "{ "
            + ", ".join(f"{json.dumps(k) if ' ' in k else k} = {toml(v)}" for k, v in some.items())
            + " }"
        )
    if isinstance(value, list):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    if isinstance(value, str) and value.startswith("/"):
        value = Path(value).name
    return json.dumps(value, ensure_ascii=False)


def spec_of(run: Run) -> list[str]:
    """The spec of a run, what is as by default left out, and the command."""
    spec, name = run.manifest["spec"], run.manifest["name"]
    sounds = changed(spec["sounds"], SOUNDS.get(spec["sounds"]["type"]).Params)
    split = changed(spec["split"], SplitSpec)
    sounds |= {
        "clip_seconds": spec["clip_seconds"],
        "split": split | {k: spec["split"][k] for k in ("train", "test")},
    }
    sections = {
        "[model]": changed(spec["model"], MODELS.get(spec["model"]["type"]).Params)
        | {"weights": None},
        "[sounds]": sounds,
        "[record]": changed(spec["record"], RecordSpec),
    }
    lines = [
        "",
        f"<details><summary>Spec and command of {name}</summary>",
        "",
        "```toml",
        f'name = "{name}"',
    ]
    lines.append(f"seed = {spec['seed']}")
    analyses = [
        ("[[analyses]]", {"name": one["name"]} | changed(one, ANALYSES.get(one["type"]).Params))
        for one in spec["analyses"]
    ]
    for heading, section in [*sections.items(), *analyses]:
        lines += ["", heading, *(f"{k} = {toml(v)}" for k, v in section.items() if v is not None)]
    return [*lines, "```", "", "```text", f"auscult run {name}.toml", "```", "", "</details>"]


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
        f"`{spec['model'].get('factory', spec['model']['type'])}`, {run.manifest['recordings']} recordings in clips of {spec['clip_seconds']:g} s, "
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
    pairs = [run for run in runs if run.manifest["name"].endswith("-twins")]
    single = [run for run in runs if run not in pairs]
    page = claims(single)
    if pairs:
        page += twins(pairs)
    page += ["", (HERE / "neurons.words.md").read_text(encoding="utf-8").rstrip()]
    for run in single:
        page += section(run)
    page += ["", "## Specs"]
    for run in runs:
        page += spec_of(run)
    (HERE / "neurons.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
