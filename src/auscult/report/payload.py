"""Blocks as plain data for scripts: arrays packed, sounds resolved, long things made short."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from auscult.blocks import (
    Animation,
    Axis,
    Choices,
    Clip,
    Gallery,
    GalleryItem,
    Graph,
    Heatmap,
    Lanes,
    Missing,
    Scatter,
    Text,
)
from auscult.report.exports import Exporter
from auscult.report.layout import circle, drawable
from auscult.report.media import SoundLibrary
from auscult.report.shapes import check_shapes
from auscult.report.source import DAMAGED
from auscult.report.text import one_line, script_json, spoken_duration

ITEMS_PER_FILE = 8
_SHORT = 24  # arrays up to this length stay readable
_MOST_FRAMES = 1600
_MOST_CELLS = 1024
_MOST_POINTS = 4000
_MOST_STEPS = 6000
_MOST_CURVE_FRAMES = 500  # of each curve, for every combination of a desk
_MOST_SEARCH = 400


class Payloads:
    """Turns blocks into data, and leaves the items of galleries in files of their own."""

    def __init__(
        self, library: SoundLibrary, exporter: Exporter, write: Callable[[str, bytes], None]
    ) -> None:
        self.library = library
        self.exporter = exporter
        self._write = write

    def of(self, block: object, key: str, item: GalleryItem | None = None) -> dict[str, Any]:
        """Data of one block; one that contradicts itself becomes a :class:`Missing`."""
        try:
            if isinstance(block, Gallery):
                return self._gallery(block, key)
            check_shapes(block)
            shortened = _shortened(block)
            encoded: dict[str, Any] = self._encode(shortened)
            if isinstance(shortened, Graph):
                encoded["places"] = packed(circle(shortened))
            links = self.exporter.take(block, item.name if item else "", _band(item))
            if links:
                encoded["exports"] = [{"label": link.label, "href": link.href} for link in links]
        except DAMAGED as error:
            title = str(getattr(block, "title", type(block).__name__))
            encoded = self._encode(
                Missing(title, f"This block cannot be drawn: {one_line(error)}.")
            )
        return encoded

    def _encode(self, value: Any) -> Any:
        if isinstance(value, Clip):
            return self.clip(value)
        if isinstance(value, Axis):
            told = {"name": value.name, "unit": value.unit, "scale": value.scale}
            return {**told, "label": value.label}
        if isinstance(value, np.ndarray):
            return packed(value)
        if is_dataclass(value):
            inner = {f.name: self._encode(getattr(value, f.name)) for f in fields(value)}
            return {"type": type(value).__name__, **inner}
        if isinstance(value, Mapping):
            return {str(key): self._encode(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [self._encode(item) for item in value]
        if isinstance(value, float | np.floating):
            return _significant(float(value))
        return value.item() if isinstance(value, np.generic) else value

    def clip(self, clip: Clip) -> dict[str, Any]:
        """What a player needs to know of an excerpt."""
        start, stop = float(clip.start_s), float(clip.stop_s)
        told: dict[str, Any] = {"type": "Clip", "label": clip.label}
        sound = self.library.find(clip.clip_id)
        if sound is None:
            return {**told, "missing": self.library.missing[clip.clip_id], "name": clip.clip_id}
        stop = min(stop, sound.duration_s)
        if not 0 <= start < stop:
            reason = (
                f"{spoken_duration(start, stop)} lies outside the clip of {sound.duration_s:.3f} s"
            )
            return {**told, "missing": reason, "name": sound.label}
        gain = self.library.gain(sound, start, stop)
        return {
            **told,
            "stem": sound.stem,
            "name": sound.label,
            "start": round(start, 6),
            "stop": round(stop, 6),
            "duration": sound.duration_s,
            "rate": sound.sample_rate,
            "gain": round(gain.db, 2),
            "limited": gain.limited,
            "mark": None if clip.mark_s is None else [float(edge) for edge in clip.mark_s],
            "say": f"{clip.label}, {spoken_duration(start, stop)} of {sound.label}",
        }

    def _gallery(self, gallery: Gallery, key: str) -> dict[str, Any]:
        """Names and measures stay with the page; cards are loaded a few at a time."""
        found = dict.fromkeys(name for item in gallery.items for name in item.measures)
        measures = sorted(found, key=lambda name: name != gallery.sort_by)
        for begin in range(0, len(gallery.items), ITEMS_PER_FILE):
            number = begin // ITEMS_PER_FILE
            some = [
                [self.of(block, key, item) for block in item.blocks]
                for item in gallery.items[begin : begin + ITEMS_PER_FILE]
            ]
            content = f"auscult.put({script_json(f'{key}:{number}')},{script_json(some)});\n"
            self._write(f"data/{key}-{number}.js", content.encode())
        return {
            "type": "Gallery",
            "title": gallery.title,
            "note": gallery.note,
            "key": key,
            "per_file": ITEMS_PER_FILE,
            "names": [item.name for item in gallery.items],
            "search": [_search_text(item) for item in gallery.items],
            "measures": [
                {
                    "name": name,
                    "label": _spoken(name, gallery.units.get(name, "")),
                    "unit": gallery.units.get(name, ""),
                    "values": [_significant(_measure(item, name)) for item in gallery.items],
                }
                for name in measures
            ],
            "sort_by": gallery.sort_by,
        }


def packed(values: np.ndarray) -> Any:
    """A short array as a list, a long one as base64 of 32-bit floats, little-endian, row by row."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim == 1 and numbers.size <= _SHORT:
        return [_significant(float(one)) for one in numbers]
    coded = base64.b64encode(numbers.astype("<f4").tobytes()).decode()
    return {"f32": coded, "shape": list(numbers.shape)}


def _significant(value: float | int | None) -> float | int | None:
    if value is None or not np.isfinite(value):
        return None
    shown = float(f"{value:.6g}")
    return int(shown) if shown.is_integer() and abs(shown) < 1e15 else shown


def _measure(item: GalleryItem, name: str) -> float | None:
    value = item.measures.get(name)
    return None if value is None else float(value)


def _band(item: GalleryItem | None) -> tuple[float, float] | None:
    """Frequencies that an item is about: measures ``band_low_hz`` and ``band_high_hz``."""
    if item is None:
        return None
    edges = (_measure(item, "band_low_hz"), _measure(item, "band_high_hz"))
    known = [edge for edge in edges if edge is not None and np.isfinite(edge) and edge >= 0]
    return (known[0], known[1]) if len(known) == 2 else None


def _spoken(name: str, unit: str) -> str:
    """A measure's name in words, without the unit that stands beside it anyway.

    >>> _spoken("band_low_hz", "Hz")
    'band low'
    """
    return name.removesuffix(f"_{unit.lower()}").replace("_", " ").strip() or name


def _search_text(item: GalleryItem) -> str:
    """What a search in a gallery looks through: the name, texts, titles and labels of the card."""
    words = [item.name]
    for block in item.blocks:
        words += [block.title, block.text] if isinstance(block, Text) else []
        words += [clip.label for clip in getattr(block, "clips", ()) if isinstance(clip, Clip)]
    return " ".join(dict.fromkeys(" ".join(words).lower().split()))[:_MOST_SEARCH]


def _shortened(block: Any) -> Any:
    """A block with no more than a screen can show; its note says what was done."""
    if isinstance(block, Lanes) and block.values.shape[-1] > _MOST_FRAMES:
        size = -(-block.values.shape[-1] // _MOST_FRAMES)
        return replace(
            block,
            values=pooled(block.values, size, axis=1),
            times_s=_means(block.times_s, size),
            note=_with(block.note, f"Drawn with the largest magnitude of every {size} frames."),
        )
    if isinstance(block, Heatmap) and max(block.values.shape) > _MOST_CELLS:
        down, across = (-(-n // _MOST_CELLS) for n in block.values.shape)
        return replace(
            block,
            values=pooled(pooled(block.values, down, axis=0), across, axis=1),
            y=_means(block.y, down),
            x=_means(block.x, across),
            x_names=() if across > 1 else block.x_names,
            y_names=() if down > 1 else block.y_names,
            note=_with(
                block.note, f"Drawn with the largest magnitude of every {down} × {across} cells."
            ),
        )
    if isinstance(block, Scatter) and len(block.x) > _MOST_POINTS:
        return _thinned(block)
    if isinstance(block, Animation) and len(block.times_s) > _MOST_STEPS:
        return _fewer_steps(block)
    if isinstance(block, Choices) and len(block.times_s) > _MOST_CURVE_FRAMES:
        return _fewer_frames(block)
    return drawable(block) if isinstance(block, Graph) else block


def _fewer_frames(block: Choices) -> Choices:
    """Every n-th frame of the curves of a desk."""
    size = -(-len(block.times_s) // _MOST_CURVE_FRAMES)
    return replace(
        block,
        times_s=block.times_s[::size],
        values=block.values[:, :, ::size],
        note=_with(block.note, f"One in {size} of {len(block.times_s):,} frames is drawn."),
    )


def _fewer_steps(block: Animation) -> Animation:
    """Every n-th frame of a path; lanes keep the largest magnitude of each n."""
    size = -(-len(block.times_s) // _MOST_STEPS)
    lanes = block.lane_values
    return replace(
        block,
        times_s=block.times_s[::size],
        x=block.x[::size],
        y=block.y[::size],
        lane_values=None if lanes is None else pooled(lanes, size, axis=1),
        note=_with(block.note, f"One in {size} of {len(block.times_s):,} frames is drawn."),
    )


def _thinned(block: Scatter) -> Scatter:
    step = -(-len(block.x) // _MOST_POINTS)
    return replace(
        block,
        x=block.x[::step],
        y=block.y[::step],
        labels=block.labels[::step],
        groups=block.groups[::step],
        note=_with(block.note, f"One in {step} of {len(block.x):,} points is drawn."),
    )


def pooled(values: np.ndarray, size: int, axis: int) -> np.ndarray:
    """The value of largest magnitude in each stretch of ``size`` along an axis."""
    moved = np.moveaxis(np.asarray(values, dtype=np.float64), axis, -1)
    starts = np.arange(0, moved.shape[-1], size)
    highest = np.fmax.reduceat(moved, starts, axis=-1)
    lowest = np.fmin.reduceat(moved, starts, axis=-1)
    return np.moveaxis(np.where(np.abs(lowest) > np.abs(highest), lowest, highest), -1, axis)


def _means(values: np.ndarray, size: int) -> np.ndarray:
    starts = np.arange(0, len(values), size)
    counts = np.diff([*starts, len(values)])
    return np.asarray(np.add.reduceat(np.asarray(values, dtype=np.float64), starts) / counts)


def _with(note: str, more: str) -> str:
    return f"{note} {more}".strip()
