"""A unit of any depth as a card: its filter, its spectrum, its answer to tones, its sounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from auscult.analyses.base import MadeSound, Result
from auscult.analyses.parts.architecture.stage_pictures import over_stages, stage_of
from auscult.blocks import (
    Axis,
    Block,
    ClipGrid,
    Curve,
    Gallery,
    GalleryItem,
    Histogram,
    Series,
)
from auscult.measures.effective_filters import selectivity
from auscult.measures.stages import Stage

_MOST_POINTS = 512


@dataclass(frozen=True)
class UnitFilters:
    """What is known of a unit.

    Attributes:
        stage: Where it is.
        channel: Which of the stage's channels.
        sample_rate: Of the sound.
        own: Its filter at each reference.
        drawn: The same of the same channel with random weights.
        tones_hz: Stepped tones.
        answer: Amplitude for each tone at the line where it lands, or None.
    """

    stage: Stage
    channel: int
    sample_rate: int
    own: Float[np.ndarray, "reference tap"]
    drawn: Float[np.ndarray, "reference tap"]
    tones_hz: Float[np.ndarray, " tone"]
    answer: Float[np.ndarray, " tone"] | None


def unit_item(told: UnitFilters, tones_width_hz: float, sounds: Sequence[MadeSound]) -> GalleryItem:
    """The card of a unit; its measures are medians over references."""
    widths = selectivity(told.own, told.sample_rate)
    blocks: list[Block] = [_taps(told), _spectrum(told)]
    if sounds:
        blocks.append(ClipGrid("Its sounds", tuple(sound.clip() for sound in sounds)))
    measures = {
        "centre_hz": float(np.median(widths.centre_hz)),
        "noise_hz": float(np.median(widths.noise_hz)),
        "lobe_hz": float(np.median(widths.lobe_hz)),
        "tones_hz": tones_width_hz,
        "q": float(np.median(widths.q)),
        "span": float(told.stage.time.span),
    }
    return GalleryItem(f"{told.stage.address}, unit {told.channel}", measures, tuple(blocks))


def _taps(told: UnitFilters) -> Curve:
    step = max(1, told.own.shape[1] // _MOST_POINTS)
    times_ms = 1000 * np.arange(told.own.shape[1])[::step] / told.sample_rate

    def scaled(row: np.ndarray) -> np.ndarray:
        return np.asarray(row[::step] / max(float(np.abs(row).max()), 1e-20))

    return Curve(
        "Filter at two sounds",
        times_ms,
        tuple(Series(f"reference {i + 1}", scaled(row)) for i, row in enumerate(told.own[:2])),
        Axis("time within the span", "ms"),
        Axis("weight, of its largest"),
        "" if step == 1 else f"One in {step} samples.",
    )


def _spectrum(told: UnitFilters) -> Curve:
    """Mean spectrum over references, pooled to what a screen shows, and the answer to tones."""
    hz, own = _pooled(told.own, told.sample_rate)
    series = [
        Series("filter, mean over references", own),
        Series("the same, random weights", _pooled(told.drawn, told.sample_rate)[1], control=True),
    ]
    if told.answer is not None and told.answer.max() > 0:
        decibels = 20 * np.log10(np.maximum(told.answer / told.answer.max(), 1e-4))
        series.append(Series("answer to tones", decibels, told.tones_hz))
    gain = Axis("gain", "dB re the largest")
    return Curve("Spectrum", hz, tuple(series), Axis("frequency", "Hz"), gain)


def _pooled(
    filters: Float[np.ndarray, "reference tap"], sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    power = np.square(np.abs(np.fft.rfft(filters, max(512, filters.shape[1]), axis=1)))
    power = power / np.maximum(power.sum(1, keepdims=True), 1e-30)
    mean = power.mean(0)
    size = -(-len(mean) // 256)
    edges = np.arange(0, len(mean), size)
    pooled = np.add.reduceat(mean, edges) / np.diff([*edges, len(mean)])
    hz = np.linspace(0, sample_rate / 2, len(mean))[edges]
    return hz, 10 * np.log10(np.maximum(pooled / max(pooled.max(), 1e-30), 1e-8))


def unit_gallery(items: Sequence[GalleryItem]) -> Gallery:
    """A browser over units of every stage, in the order of their span."""
    return Gallery(
        "Units by depth",
        tuple(items),
        dict.fromkeys(("centre_hz", "noise_hz", "lobe_hz", "tones_hz"), "Hz"),
        "span",
        "A unit's filter at each reference recording, its spectrum beside random weights, its "
        "answer to tones, and its sounds where they were made.",
    )


def width_pictures(result: Result, own: str) -> list[Block]:
    """Widths over depth against both bounds, and their spread at the last stage.

    Args:
        result: Its arrays are ``STAGE/CONDITION/noise_hz``.
        own: Name of the condition that is no control.
    """
    stages = [stage_of(told) for told in result.facts["stages"]]
    keys = [key.split("/") for key in result.arrays]
    names = list(dict.fromkeys(parts[-2] for parts in keys))

    def over(name: str, scale: Any) -> np.ndarray:
        return np.array(
            [
                _middle(result.arrays.get(f"{s.address}/{name}/noise_hz", np.array([])) / scale(s))
                for s in stages
            ]
        )

    def curve(title: str, scale: Any, y: str, note: str) -> Curve:
        series = tuple(Series(n, over(n, scale), control=n != own) for n in names)
        return over_stages(title, stages, series, Axis(y, "", "log"), note)

    last = stages[-1]
    spread = {n: result.arrays[f"{last.address}/{n}/noise_hz"] / last.resolution_hz for n in names}
    top = max(float(np.nanmax(values)) for values in spread.values())
    return [
        curve(
            "Width of units over the bound of their span",
            lambda s: s.resolution_hz,
            "noise bandwidth over f_s / R",
            "Median over units and references.",
        ),
        curve(
            "Width of units over what the frame rate leaves",
            lambda s: s.nyquist_hz,
            "noise bandwidth over F / 2",
            "Above 1 a unit spans more than the band in which its frames can answer.",
        ),
        Histogram.of(
            f"{last.address}: widths of units",
            spread,
            np.geomspace(1, max(top, 2.0) * 1.05, 31),
            Axis("noise bandwidth over f_s / R", "", "log"),
            Axis("share of units"),
        ),
    ]


def _middle(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
