"""Blocks on disk: ``blocks.json`` beside ``blocks.safetensors``."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from auscult.blocks.axes import Axis
from auscult.blocks.kinds import (
    Bars,
    Block,
    Curve,
    Finding,
    Gallery,
    GalleryItem,
    Graph,
    Heatmap,
    Histogram,
    Missing,
    Ruler,
    Rulers,
    Scatter,
    Series,
    SmallMultiples,
    Table,
    Text,
)
from auscult.blocks.sounding import Animation, Choice, Choices, Clip, ClipGrid, Lanes
from auscult.core.errors import InvariantError, StoreError
from auscult.core.tensors import read_arrays, read_json, write_arrays, write_json

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
        Choice,
        Choices,
        Graph,
        Ruler,
        Rulers,
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
    parts = {k: _decode(v, arrays) for k, v in value.items() if k != "$block"}
    try:
        return _TYPES[name](**parts)
    except InvariantError as error:
        raise StoreError(f"a block of type {name!r} is damaged: {error}") from error
