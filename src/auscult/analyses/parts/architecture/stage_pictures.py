"""How pages of architecture show stages: the table, the ruler, lines and mechanisms over depth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auscult.analyses.base import Result
from auscult.analyses.parts.answering import missing_blocks
from auscult.blocks import (
    Axis,
    Bars,
    Block,
    Clip,
    ClipGrid,
    Curve,
    Ruler,
    Rulers,
    Scatter,
    Series,
    Table,
)
from auscult.core.timebase import TimeBase
from auscult.measures.folding import folded_hz
from auscult.measures.stages import Stage

_OWN = "as it is"
_N_PLACES = 1200


def stage_facts(stage: Stage) -> dict[str, Any]:
    """A stage as JSON types; :func:`stage_of` reads it."""
    return {
        "address": stage.address,
        "kind": stage.kind,
        "time": stage.time.to_json(),
        "n_channels": stage.n_channels,
    }


def stage_of(told: Mapping[str, Any]) -> Stage:
    """The inverse of :func:`stage_facts`."""
    time = TimeBase.from_json(dict(told["time"]))
    return Stage(str(told["address"]), str(told["kind"]), time, int(told["n_channels"]))


def over_stages(
    title: str, stages: Sequence[Stage], series: Sequence[Series], y: Axis, note: str = ""
) -> Curve:
    """Lines over the stages of an encoder, which stand at the axis by name."""
    names = tuple(stage.address for stage in stages)
    places = np.arange(len(stages))
    return Curve(title, places, tuple(series), Axis("stage"), y, note, names)


def atlas_pictures(result: Result) -> list[Block]:
    """Everything of the atlas's page below its findings."""
    facts = result.facts
    stages = [stage_of(told) for told in facts["stages"]]
    blocks: list[Block] = []
    if facts["turning"]:
        turning = [stage_of(told) for told in facts["turning"]]
        blocks += [_ruler(result, turning), _clips(facts)]
        blocks += [stage_table(stages, int(facts["rate"]))]
        blocks += [_landed(result, turning), _example(result, turning)]
        blocks += [_off_line(result, turning), _gains(result, turning)]
    else:
        blocks.append(stage_table(stages, int(facts["rate"])))
    if "images" in facts:
        blocks += _images(facts)
    return [*blocks, *missing_blocks(result)]


def stage_table(stages: Sequence[Stage], sample_rate: int) -> Table:
    """What the architecture says of every stage (METHODS B-1)."""
    rows = tuple(
        (
            stage.address,
            stage.kind,
            float(stage.time.span),
            1000 * float(stage.time.span) / sample_rate,
            float(stage.time.hop),
            stage.rate_hz,
            stage.nyquist_hz,
            stage.resolution_hz,
            stage.n_channels,
            stage.numbers_per_s / sample_rate,
            stage.n_bands,
            stage.n_separable,
            "its span" if stage.bounded else "more than its span",
        )
        for stage in stages
    )
    return Table(
        "Every stage, before a sound is played",
        (
            "stage",
            "kind",
            "span R",
            "span",
            "hop S",
            "rate F",
            "local Nyquist",
            "bound f_s / R",
            "channels",
            "numbers per sample of sound",
            "bands below Nyquist",
            "most separable",
            "a frame hears",
        ),
        rows,
        ("", "", "samples", "ms", "samples", "Hz", "Hz", "Hz", "", "", "", "", ""),
        "The hop is also the alias multiplicity: so many bands of the sound share each frequency "
        "of the frames. Most separable: bands times channels, if channels answer differently, and "
        "no more than the sound of the span has, two samples a partial; METHODS' min(rank, bands) "
        "would count one partial a band, though channels part those that share one.",
    )


def _facts_line(stage: Stage) -> str:
    heard = "" if stage.bounded else ", unbounded"
    return (
        f"{stage.n_channels} channels at {_shown(stage.rate_hz)} Hz; span "
        f"{_shown(float(stage.time.span))} samples{heard}; bound {_shown(stage.resolution_hz)} Hz; "
        f"{_shown(stage.multiplicity)}-fold"
    )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or float(value).is_integer() else f"{value:.3g}"


def _ruler(result: Result, turning: Sequence[Stage]) -> Rulers:
    """Every input frequency's place at each stage, with the measured lines."""
    rate = int(result.facts["rate"])
    tones = result.arrays["tones_hz"]
    x = np.unique(np.concatenate([np.linspace(0, rate / 2, _N_PLACES), tones]))
    rulers = tuple(
        Ruler(
            stage.address,
            stage.nyquist_hz,
            folded_hz(x, stage.rate_hz),
            min(stage.resolution_hz, stage.nyquist_hz),
            _facts_line(stage),
            tones,
            result.arrays[f"without activations/{stage.address}/peak_hz"],
        )
        for stage in turning
    )
    return Rulers(
        "Frequency ruler: where each frequency of the sound goes",
        x,
        Axis("frequency of the sound", "Hz"),
        rulers,
        float(result.facts["example"]),
        "The encoder from top to bottom. Triangles: lines measured with steady tones, activations "
        "removed.",
    )


def _clips(facts: Mapping[str, Any]) -> ClipGrid:
    clips = tuple(Clip(name, 0.0, float(s), label) for name, s, label in facts["clips"])
    return ClipGrid(
        "A tone before and after it folds",
        clips,
        "The loudest channel of each stage, its frames joined by a band-limited line at the "
        "sound's own rate, at the level of the tone. Lines below 20 Hz cannot be heard as tones.",
    )


def _landed(result: Result, turning: Sequence[Stage]) -> Scatter:
    arrays = result.arrays
    predicted = [arrays[f"{_OWN}/{s.address}/predicted_hz"] for s in turning]
    peaks = [arrays[f"{_OWN}/{s.address}/peak_hz"] for s in turning]
    groups = tuple(s.address for s, one in zip(turning, peaks, strict=True) for _ in one)
    x, y = np.concatenate(predicted), np.concatenate(peaks)
    known = np.isfinite(y) & (x > 0) & (y > 0)
    return Scatter(
        "Predicted and strongest line of every tone, with activations",
        x[known],
        y[known],
        Axis("predicted line a(f)", "Hz", "log"),
        Axis("strongest line", "Hz", "log"),
        groups=tuple(g for g, kept in zip(groups, known, strict=True) if kept),
        note="Off the diagonal a harmonic that an activation added is stronger than the tone.",
        diagonal=True,
    )


def _example(result: Result, turning: Sequence[Stage]) -> Table:
    arrays = result.arrays
    names = list(dict.fromkeys(key.split("/")[0] for key in arrays if key.endswith("/peak_hz")))
    rows = tuple(
        (
            stage.address,
            float(arrays[f"{_OWN}/{stage.address}/predicted_hz"][-1]),
            *(_or_none(arrays[f"{name}/{stage.address}/peak_hz"][-1]) for name in names),
        )
        for stage in turning
    )
    return Table(
        f"Where {result.facts['example']:,.0f} Hz lands",
        ("stage", "predicted", *names),
        rows,
        ("", *("Hz" for _ in range(len(names) + 1))),
        "The strongest line of all channels together.",
    )


def _or_none(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def _conditions(result: Result) -> list[str]:
    keys = [key.split("/")[0] for key in result.arrays if key.endswith("/energy")]
    return list(dict.fromkeys(keys))


def _over_depth(
    title: str, turning: Sequence[Stage], rows: Mapping[str, np.ndarray], y: Axis, note: str
) -> Curve:
    lines = [Series(name, row, control=name != _OWN) for name, row in rows.items()]
    return over_stages(title, turning, lines, y, note)


def _off_line(result: Result, turning: Sequence[Stage]) -> Curve:
    rows = {
        name: np.array(
            [1 - np.nanmean(result.arrays[f"{name}/{s.address}/at_fold"]) for s in turning]
        )
        for name in _conditions(result)
    }
    return _over_depth(
        "What activations add: energy off the tone's own line",
        turning,
        rows,
        Axis("share of energy"),
        "Mean over tones. Strides alone leave next to nothing off the line.",
    )


def _gains(result: Result, turning: Sequence[Stage]) -> Curve:
    arrays, tones = result.arrays, result.arrays["tones_hz"]

    def gain(name: str, stage: Stage) -> float:
        above = tones > stage.nyquist_hz
        if above.all() or not above.any():
            return float("nan")
        energy = arrays[f"{name}/{stage.address}/energy"]
        return float(10 * np.log10(max(energy[above].mean(), 1e-300) / energy[~above].mean()))

    rows = {n: np.array([gain(n, s) for s in turning]) for n in _conditions(result)}
    return _over_depth(
        "How loud folded tones are",
        turning,
        rows,
        Axis("folded tones re others", "dB"),
        "Mean energy of tones above the local Nyquist frequency re that of tones below it. At 0 dB "
        "a stage hears both alike; a blur would bring folded ones down.",
    )


def _images(facts: Mapping[str, Any]) -> list[Block]:
    images = facts["images"]
    names = tuple(images[_OWN])
    bars = [
        Bars(
            f"A line of {facts['image_line_hz']:.3g} Hz in the latents, decoded {told}",
            names,
            np.array([shares[name] for name in names]),
            Axis("where the energy goes"),
            Axis("share of energy"),
        )
        for told, shares in images.items()
    ]
    return list(bars)
