"""Write ``scale.md`` and its figure from a sweep: ``python docs/studies/scale.py build/scale``.

Every number on the page comes from the networks' facts and the runs' results.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from architecture import shown, table

from auscult.core.rng import named_rng
from auscult.experiment.run import Run
from auscult.measures.scaling import Slope, slopes
from auscult.measures.statistics import bootstrap_interval

HERE = Path(__file__).parent
CONCEPTS = ("partial", "pitch", "timbre", "chord")
BANDWIDTH = "bandwidth over the bound"
INKS = ("#9ec5e8", "#4a90c2", "#123f66")
STARTS, RANDOM, BANK = "before training", "random weights", "log constant-Q (must pass)"


@dataclass(frozen=True)
class Told:
    """A number of one network, with its interval and the same under random weights."""

    value: float
    interval: tuple[float, float] | None
    random: float
    bank: float = np.nan


@dataclass(frozen=True)
class Network:
    """What the sweep left of one network."""

    facts: dict[str, Any]
    told: dict[str, Told]

    @property
    def trained(self) -> bool:
        """Whether it is more than its starting values."""
        return bool(self.facts["n_recordings"])

    @property
    def factors(self) -> tuple[float, float]:
        """Parameters of its encoder, and seconds of sound."""
        return self.facts["n_parameters"], self.facts["sound_s"]


def networks(root: Path) -> list[Network]:
    """Every network that was asked, by size and amount."""
    found = []
    for path in sorted((root / "networks").glob("*/facts.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        folder = root / "runs" / path.parent.name
        if (folder / "manifest.json").is_file():
            found.append(Network(facts, numbers(facts, Run.open(folder))))
    return sorted(found, key=lambda one: one.factors)


def numbers(facts: dict[str, Any], run: Run) -> dict[str, Told]:
    """Reconstruction, bandwidth and compositionality of the latents."""
    sdr = np.array(facts["si_sdr_db"])
    rng = named_rng(0, "scale", "si-sdr")
    told = {
        "SI-SDR, dB": Told(
            float(sdr.mean()), bootstrap_interval(sdr, np.arange(len(sdr)), rng), np.nan
        )
    }
    for name in ("selectivity", "compositionality"):
        for judged in run.result(name)["judgements"]:
            measured = judged["measurement"]
            concept = measured["name"].removeprefix("compositionality of ").removesuffix(", of 1")
            label = BANDWIDTH if name == "selectivity" else f"compositionality: {concept}"
            interval = measured["interval"]
            # Where a control overflows at the latents, the deepest stage that was measured is another.
            here = measured["tap"] == "latent"
            value, random = measured["value"], measured["controls"][RANDOM]
            bank = measured["controls"].get(BANK, np.nan)
            one = Told(value, tuple(interval), random, bank)
            told[label] = one if here else Told(np.nan, None, np.nan)
    return told


def label_of(one: Network) -> str:
    """Amount of sound, in words."""
    return f"{one.facts['sound_s']:.0f} s of sound" if one.trained else STARTS


def rows_of(found: Sequence[Network]) -> list[str]:
    """Every network with its numbers."""
    names = list(found[0].told)
    rows = []
    for one in found:
        cells = [f"{one.facts['n_filters']}", shown(one.facts["n_parameters"]), label_of(one)]
        for name in names:
            told = one.told[name]
            text = shown(told.value)
            if told.interval:
                text += f" ({shown(told.interval[0])} to {shown(told.interval[1])})"
            text = "–" if np.isnan(told.value) else text
            cells.append(text if np.isnan(told.random) else f"{text}; {shown(told.random)}")
        rows.append(cells)
    return table(["filters", "encoder's parameters", "training", *names], rows)


def scaled(name: str) -> Callable[[float], Any]:
    """Bandwidths grow by factors, scores by points."""
    return np.log2 if name == BANDWIDTH else float


def slope_rows(found: Sequence[Network]) -> list[str]:
    """Slopes over size and data of the trained ones, and over size of those that saw no sound."""
    trained = [one for one in found if one.trained]
    starts = [one for one in found if not one.trained]
    factors = np.array([one.factors for one in trained])
    rows = []
    for name in trained[0].told:
        of = scaled(name)
        values = np.array([of(one.told[name].value) for one in trained])
        size, data = slopes(values, factors, named_rng(0, "scale", name))
        unit = "octaves" if name == BANDWIDTH else "dB" if "dB" in name else "points"
        untrained = _over_size(starts, np.array([of(one.told[name].value) for one in starts]))
        random = _over_size(trained, np.array([of(one.told[name].random) for one in trained]))
        bank = trained[0].told[name].bank
        cells = [shown(None if np.isnan(one) else one) for one in (untrained, random, bank)]
        rows.append([name, unit, _cell(size), _cell(data), *cells])
    columns = ["number", "unit", "per doubling of size", "per doubling of data"]
    return table([*columns, f"size, {STARTS}", f"size, {RANDOM}", "constant-Q scores"], rows)


def _over_size(some: Sequence[Network], values: np.ndarray) -> float:
    """Slope over size alone; NaN where a value is."""
    size = np.log2([one.factors[0] for one in some])
    return float(np.polyfit(size, values, 1)[0])


def _cell(one: Slope) -> str:
    text = f"{shown(one.per_doubling)} ({shown(one.interval[0])} to {shown(one.interval[1])}), p = {one.p:.2g}"
    return f"**{text}**" if one.p < 0.05 and one.interval[0] * one.interval[1] > 0 else text


# ---------------------------------------------------------------------------------------- figure

WIDE, HIGH, LEFT, TOP, RIGHT, BOTTOM = 400, 300, 64, 44, 14, 52


def figure(found: Sequence[Network]) -> str:
    """Small multiples over size: one line an amount of sound, controls dashed and dotted."""
    names = list(found[0].told)
    n_rows = (len(names) + 1) // 2
    high = n_rows * HIGH + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDE} {high}" role="img" '
        'font-family="sans-serif" font-size="17">',
        f'<rect width="{2 * WIDE}" height="{high}" fill="white"/>',
    ]
    for place, name in enumerate(names):
        x, y = place % 2 * WIDE, place // 2 * HIGH
        parts.append(f'<g transform="translate({x} {y})">{_panel(found, name)}</g>')
    parts.append(f'<g transform="translate(0 {n_rows * HIGH})">{_legend(found)}</g></svg>')
    return "\n".join(parts) + "\n"


def _lines(found: Sequence[Network], name: str) -> list[tuple[str, str, list[tuple[float, Told]]]]:
    """Ink, dash and points of every line."""
    amounts = sorted({one.factors[1] for one in found if one.trained})
    lines = []
    for ink, amount in zip(INKS, amounts, strict=False):
        some = [one for one in found if one.trained and one.factors[1] == amount]
        lines.append((ink, "", [(one.factors[0], one.told[name]) for one in some]))
    starts = [one for one in found if not one.trained]
    if name.startswith("SI-SDR"):  # some 45 dB below: it would flatten all else
        return lines
    before = [(one.factors[0], one.told[name]) for one in starts]
    by_size = {one.factors[0]: one.told[name].random for one in found if one.trained}
    drawn = [(size, Told(value, None, np.nan)) for size, value in sorted(by_size.items())]
    if not any(np.isnan(told.value) for _, told in before):
        lines.append(("#555", "7 5", before))
    return [*lines, ("#b05a2a", "2 4", drawn)]


def _panel(found: Sequence[Network], name: str) -> str:
    lines = _lines(found, name)
    of = scaled(name)
    values = [
        of(v) for *_, points in lines for _, t in points for v in (t.value, *(t.interval or ()))
    ]
    sizes = [of_size for *_, points in lines for of_size, _ in points]
    low, high = min(values), max(values)
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)

    def x(size: float) -> float:
        share = np.log(size / min(sizes)) / np.log(max(sizes) / min(sizes))
        return float(LEFT + 14 + share * (WIDE - LEFT - RIGHT - 28))

    def y(value: float) -> float:
        return float(TOP + (high - of(value)) / (high - low) * (HIGH - TOP - BOTTOM))

    parts = [f'<text x="{LEFT}" y="26" font-weight="bold">{escape(name)}</text>']
    parts += [
        f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y_:.1f}" y2="{y_:.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 6}" y="{y_ + 6:.1f}" text-anchor="end" fill="#444">{tick:g}</text>'
        for tick, y_ in ((tick, y(tick)) for tick in _ticks(low, high, name))
    ]
    for size in sorted(set(sizes)):
        text = f"{size / 1e6:.1f}M" if size >= 1e6 else f"{size / 1e3:.0f}k"
        parts.append(
            f'<text x="{x(size):.1f}" y="{HIGH - BOTTOM + 22}" text-anchor="middle" fill="#444">{text}</text>'
        )
    middle = (LEFT + WIDE - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HIGH - 8}" text-anchor="middle" fill="#444">parameters of the encoder</text>'
    )
    for ink, dash, points in lines:
        path = " ".join(f"{x(size):.1f},{y(told.value):.1f}" for size, told in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
        )
        for size, told in points:
            if told.interval:
                ends = [f"{y(end):.1f}" for end in told.interval]
                parts.append(
                    f'<path d="M{x(size):.1f} {ends[0]}V{ends[1]}" stroke="{ink}" stroke-width="1.5"/>'
                )
            parts.append(
                f'<circle cx="{x(size):.1f}" cy="{y(told.value):.1f}" r="4" fill="{ink}"/>'
            )
    return "".join(parts)


def _ticks(low: float, high: float, name: str) -> list[float]:
    """Three to six round values; doublings where the axis is logarithmic."""
    if name == BANDWIDTH:
        return [2.0**i for i in range(int(np.ceil(low)), int(np.floor(high)) + 1)]
    step = 10.0 ** np.floor(np.log10(high - low))
    step *= next(s for s in (0.2, 0.5, 1.0, 2.0) if (high - low) / (s * step) <= 6)
    return [
        float(np.round(i * step, 6))
        for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)
    ]


def _legend(found: Sequence[Network]) -> str:
    amounts = sorted({one.factors[1] for one in found if one.trained})
    items = [(ink, "", f"{amount:.0f} s") for ink, amount in zip(INKS, amounts, strict=False)]
    items += [("#555", "7 5", STARTS), ("#b05a2a", "2 4", RANDOM)]
    parts, at = [], LEFT
    for ink, dash, text in items:
        parts.append(
            f'<line x1="{at}" x2="{at + 34}" y1="18" y2="18" stroke="{ink}" stroke-width="3" stroke-dasharray="{dash}"/>'
            f'<text x="{at + 40}" y="24">{text}</text>'
        )
        at += 60 + 9 * len(text)
    return "".join(parts)


def main() -> None:
    """Write the page and the figure beside this file."""
    found = networks(Path(sys.argv[1]))
    (HERE / "scale.svg").write_text(figure(found), encoding="utf-8")
    trained = [one for one in found if one.trained]
    steps = {one.facts["n_steps"] for one in trained}
    minutes = sum(one.facts["seconds"] for one in found) / 60
    told = (
        f"{len(trained)} networks, {' or '.join(str(s) for s in sorted(steps))} optimiser steps each, "
        f"{minutes:.0f} minutes by the clock on one thread of a busy processor; "
        f"{len(found) - len(trained)} as training finds them."
    )
    page = [(HERE / "scale.head.md").read_text(encoding="utf-8").rstrip(), "", told, ""]
    page += ["![Numbers over size, one line an amount of sound](scale.svg)", "", "## Slopes", ""]
    page += [*slope_rows(found), ""]
    page += [
        (HERE / "scale.words.md").read_text(encoding="utf-8").rstrip(),
        "",
        "## Every network",
        "",
    ]
    page += rows_of(found)
    (HERE / "scale.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
