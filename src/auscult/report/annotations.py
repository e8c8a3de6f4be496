"""Annotation formats that sound editors read: Audacity labels, Sonic Visualiser CSV, JAMS.

Times are seconds from the first sample of the clip, with six decimals.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auscult.report.text import one_line

JAMS_VERSION = "0.3.5"
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Region:
    """A stretch of a clip.

    Attributes:
        start_s: Start in seconds.
        stop_s: End in seconds.
        label: What it is.
        value: How strong, if known.
        band_hz: Lowest and highest frequency that it is about, if known.
    """

    start_s: float
    stop_s: float
    label: str
    value: float | None = None
    band_hz: tuple[float, float] | None = None


@dataclass(frozen=True)
class Track:
    """A curve over a clip: one lane of an activation map."""

    name: str
    unit: str
    times_s: np.ndarray
    values: np.ndarray


def active_regions(track: Track) -> list[Region]:
    """The stretches where a curve is above zero, each with its largest value.

    A frame stands for the time halfway to its neighbours.
    """
    on = np.concatenate([[False], track.values > 0, [False]])
    starts, stops = np.flatnonzero(~on[:-1] & on[1:]), np.flatnonzero(on[:-1] & ~on[1:])
    middle = (track.times_s[1:] + track.times_s[:-1]) / 2
    half = float(np.median(np.diff(track.times_s))) / 2 if len(track.times_s) > 1 else 0.0
    edges = np.concatenate([track.times_s[:1] - half, middle, track.times_s[-1:] + half])
    return [
        Region(
            max(0.0, float(edges[i])), float(edges[j]), track.name, float(track.values[i:j].max())
        )
        for i, j in zip(starts, stops, strict=True)
    ]


def audacity_labels(regions: Iterable[Region]) -> str:
    """Label track: ``start, end, text`` between tabs, and a second line for a known band."""
    lines = []
    for region in regions:
        lines.append(f"{region.start_s:.6f}\t{region.stop_s:.6f}\t{one_line(region.label)}")
        if region.band_hz is not None:
            lines.append(f"\\\t{region.band_hz[0]:.6f}\t{region.band_hz[1]:.6f}")
    return "".join(f"{line}\n" for line in lines)


def sonic_visualiser_values(track: Track) -> str:
    """Time values layer: ``time,value``; what is not a number is left out."""
    finite = np.isfinite(track.values)
    rows = zip(track.times_s[finite], track.values[finite], strict=True)
    return "".join(f"{time:.6f},{value:.6g}\n" for time, value in rows)


def sonic_visualiser_regions(regions: Iterable[Region]) -> str:
    """Regions layer: ``time,value,duration,label``."""
    rows = [
        (
            f"{one.start_s:.6f}",
            f"{one.value or 0:.6g}",
            f"{one.stop_s - one.start_s:.6f}",
            cell(one.label),
        )
        for one in regions
    ]
    return table(rows)


def jams(
    title: str, duration_s: float, regions: Sequence[Region], tracks: Sequence[Track], source: str
) -> dict[str, Any]:
    """A JAMS document: regions as ``tag_open``, each curve as a ``vector`` annotation."""
    tags = [
        _observation(one.start_s, one.stop_s - one.start_s, one_line(one.label), one.value)
        for one in regions
    ]
    annotations = [_annotation("tag_open", tags, duration_s, {}, source)] if tags else []
    for track in tracks:
        finite = np.isfinite(track.values)
        points = [
            _observation(time, 0.0, [float(f"{value:.6g}")])
            for time, value in zip(track.times_s[finite], track.values[finite], strict=True)
        ]
        sandbox = {"name": one_line(track.name), "unit": one_line(track.unit)}
        annotations.append(_annotation("vector", points, duration_s, sandbox, source))
    return {
        "annotations": annotations,
        "file_metadata": {
            "title": one_line(title),
            "artist": "",
            "release": "",
            "duration": _six(duration_s),
            "identifiers": {},
            "jams_version": JAMS_VERSION,
        },
        "sandbox": {},
    }


def _observation(
    time_s: float, duration_s: float, value: str | list[float], confidence: float | None = None
) -> dict[str, Any]:
    return {
        "time": _six(time_s),
        "duration": _six(duration_s),
        "value": value,
        "confidence": confidence,
    }


def _annotation(
    namespace: str,
    data: list[dict[str, Any]],
    duration_s: float,
    sandbox: dict[str, str],
    source: str,
) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "data": data,
        "annotation_metadata": {
            "curator": {"name": "", "email": ""},
            "annotator": {},
            "version": "",
            "corpus": "",
            "annotation_tools": one_line(source),
            "annotation_rules": "",
            "validation": "",
            "data_source": "program",
        },
        "time": 0.0,
        "duration": _six(duration_s),
        "sandbox": sandbox,
    }


def table(rows: Iterable[Sequence[str]]) -> str:
    """Comma-separated rows."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def cell(text: str) -> str:
    """A text that a spreadsheet takes for text: like a formula, it gets an apostrophe."""
    shown = one_line(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _six(value: float) -> float:
    return round(float(value), 6)
