"""What a result can show: plain data that knows its units. No torch, no HTML.

An analysis returns blocks, the run folder keeps them (``blocks.json`` beside
``blocks.safetensors``), the report turns them into pages. Arrays are NumPy; a sound is referred to
by clip and seconds and its samples lie once in the run's ``clips`` folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from auscult.core.errors import StoreError
from auscult.core.tensors import read_arrays, read_json, write_arrays, write_json

Scale = Literal["linear", "log"]
ColourMap = Literal["sequential", "diverging", "boolean", "cyclic"]
Verdict = Literal["holds", "explained by control", "does not hold", "cannot be tested here"]


@dataclass(frozen=True)
class Axis:
    """A quantity along an axis: ``Axis("frequency", "Hz", "log")``."""

    name: str
    unit: str = ""
    scale: Scale = "linear"

    @property
    def label(self) -> str:
        """Text beside the axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True)
class Text:
    """A paragraph (plain text, blank lines separate paragraphs); ``tone`` says what it is for."""

    text: str
    title: str = ""
    tone: Literal["plain", "finding", "warning"] = "plain"


@dataclass(frozen=True)
class Finding:
    """One answer with its control: the unit of the overview page.

    Attributes:
        sentence: The answer in plain words.
        value: What was measured, as text with its unit.
        control: What the control gave, as text with its unit; never empty.
        published: The published value, or "" when there is none.
        verdict: How the finding stands against its control.
        claim: Id in the claims ledger (``METHODS`` §10), or "".
        reason: Why this verdict.
    """

    sentence: str
    value: str
    control: str
    verdict: Verdict
    published: str = ""
    claim: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers; ``units`` (one per column) may be empty."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | bool | None, ...], ...]
    units: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Series:
    """One line of a curve, with an optional band (same length) around it.

    Controls are drawn dashed.
    """

    name: str
    y: np.ndarray
    x: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    control: bool = False


@dataclass(frozen=True)
class Curve:
    """Lines over one axis. A series without its own ``x`` uses the curve's."""

    title: str
    x: np.ndarray
    series: tuple[Series, ...]
    x_axis: Axis
    y_axis: Axis
    note: str = ""


@dataclass(frozen=True)
class SmallMultiples:
    """A grid of small curves with one scale (filter shapes, fragments)."""

    title: str
    curves: tuple[Curve, ...]
    note: str = ""


@dataclass(frozen=True)
class Heatmap:
    """A matrix; rows run along ``y``. Diverging maps are centred on 0."""

    title: str
    values: np.ndarray
    x: np.ndarray
    y: np.ndarray
    x_axis: Axis
    y_axis: Axis
    value_axis: Axis
    colour_map: ColourMap = "sequential"
    note: str = ""


@dataclass(frozen=True)
class Scatter:
    """Points, optionally labelled and grouped."""

    title: str
    x: np.ndarray
    y: np.ndarray
    x_axis: Axis
    y_axis: Axis
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Histogram:
    """Shares over common bin edges, one series per condition; controls are drawn dashed."""

    title: str
    edges: np.ndarray
    series: tuple[Series, ...]
    x_axis: Axis
    y_axis: Axis = field(default_factory=lambda: Axis("share of frames"))
    note: str = ""

    @classmethod
    def of(
        cls,
        title: str,
        conditions: Mapping[str, np.ndarray],
        edges: np.ndarray,
        x_axis: Axis,
        y_axis: Axis | None = None,
    ) -> "Histogram":
        """Count values under several conditions, the first of which is no control.

        What lies beyond the edges is counted in the outermost bins; NaN is left out.
        """
        series = []
        for place, (name, values) in enumerate(conditions.items()):
            kept = np.clip(values[~np.isnan(values)], edges[0], edges[-1])
            shares = np.histogram(kept, edges)[0] / max(len(kept), 1)
            series.append(Series(name, shares, control=place > 0))
        return cls(title, edges, tuple(series), x_axis, y_axis or Axis("share of frames"))


@dataclass(frozen=True)
class Bars:
    """One bar per name, with optional intervals."""

    title: str
    names: tuple[str, ...]
    values: np.ndarray
    x_axis: Axis
    y_axis: Axis
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    note: str = ""


@dataclass(frozen=True)
class Clip:
    """A stretch of a sound that can be heard, shown as waveform and spectrogram.

    Attributes:
        clip_id: Name in the run's ``clips`` folder.
        start_s: Start in seconds within the clip.
        stop_s: End in seconds within the clip.
        label: What it is, for people and screen readers.
        mark_s: Start and end of what to look at within it, in seconds of the clip.
    """

    clip_id: str
    start_s: float
    stop_s: float
    label: str
    mark_s: tuple[float, float] | None = None


@dataclass(frozen=True)
class ClipGrid:
    """Several clips side by side, for instance top fragments beside random ones."""

    title: str
    clips: tuple[Clip, ...]
    note: str = ""


@dataclass(frozen=True)
class Lanes:
    """Curves over a clip with a cursor that follows the sound: an activation map one can hear.

    Attributes:
        title: Heading.
        clip: The sound.
        times_s: Centre of each frame in seconds of the clip, ascending.
        values: One row per lane.
        lanes: Name of each lane.
        value_axis: What the values are.
        colour_map: Sequential for activations, diverging for signed responses.
    """

    title: str
    clip: Clip
    times_s: np.ndarray
    values: np.ndarray
    lanes: tuple[str, ...]
    value_axis: Axis
    colour_map: ColourMap = "sequential"
    note: str = ""


@dataclass(frozen=True)
class Animation:
    """A point that moves through a plane while a clip plays (a trajectory), with a trail."""

    title: str
    clip: Clip
    times_s: np.ndarray
    x: np.ndarray
    y: np.ndarray
    x_axis: Axis
    y_axis: Axis
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """What could not be computed, and why: an empty place never goes unexplained."""

    title: str
    reason: str


@dataclass(frozen=True)
class GalleryItem:
    """One thing of a gallery (a feature, an archetype, a neuron).

    Attributes:
        name: Shown as its heading; unique within the gallery.
        measures: Numbers to sort and filter by; the same keys in every item.
        blocks: What its card shows.
    """

    name: str
    measures: Mapping[str, float]
    blocks: tuple["Block", ...]


@dataclass(frozen=True)
class Gallery:
    """A browser over many items: sortable by measure, filterable, one card each."""

    title: str
    items: tuple[GalleryItem, ...]
    units: Mapping[str, str]
    sort_by: str
    note: str = ""


Block = (
    Text
    | Finding
    | Table
    | Curve
    | SmallMultiples
    | Heatmap
    | Scatter
    | Histogram
    | Bars
    | Clip
    | ClipGrid
    | Lanes
    | Animation
    | Missing
    | Gallery
)

_TYPES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        Axis,
        Text,
        Finding,
        Table,
        Series,
        Curve,
        SmallMultiples,
        Heatmap,
        Scatter,
        Histogram,
        Bars,
        Clip,
        ClipGrid,
        Lanes,
        Animation,
        Missing,
        GalleryItem,
        Gallery,
    )
}


def save_blocks(folder: Path, blocks: Sequence[Block]) -> None:
    """Write ``blocks.json`` and ``blocks.safetensors`` into a folder."""
    arrays: dict[str, np.ndarray] = {}
    data = [_encode(block, arrays) for block in blocks]
    write_arrays(folder / "blocks.safetensors", arrays)
    write_json(folder / "blocks.json", {"version": 1, "blocks": data})


def load_blocks(folder: Path) -> list[Block]:
    """Read what :func:`save_blocks` wrote.

    Raises:
        StoreError: The files are damaged or of another version.
    """
    data = read_json(folder / "blocks.json")
    if not isinstance(data, dict) or data.get("version") != 1:
        raise StoreError(f"{folder / 'blocks.json'} is of another version of auscult")
    arrays = read_arrays(folder / "blocks.safetensors")
    return [cast(Block, _decode(item, arrays)) for item in data["blocks"]]


def clips_in(block: object) -> list[Clip]:
    """Every clip that a block refers to, however deep."""
    if isinstance(block, Clip):
        return [block]
    if is_dataclass(block):
        return [clip for f in fields(block) for clip in clips_in(getattr(block, f.name))]
    if isinstance(block, tuple):
        return [clip for item in block for clip in clips_in(item)]
    return []


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"{len(arrays):06d}"
        arrays[name] = value
        return {"$array": name}
    if is_dataclass(value):
        inner = {f.name: _encode(getattr(value, f.name), arrays) for f in fields(value)}
        return {"$block": type(value).__name__, **inner}
    if isinstance(value, Mapping):
        return {"$map": {str(key): _encode(item, arrays) for key, item in value.items()}}
    if isinstance(value, tuple | list):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return {"$float": str(float(value))}
    return value.item() if isinstance(value, np.generic) else value


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$float" in value:
        return float(value["$float"])
    if "$map" in value:
        return {key: _decode(item, arrays) for key, item in value["$map"].items()}
    name = value["$block"]
    if name not in _TYPES:
        raise StoreError(f"a block of type {name!r} is unknown to this version of auscult")
    return _TYPES[name](**{k: _decode(v, arrays) for k, v in value.items() if k != "$block"})
