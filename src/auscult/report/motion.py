"""Paths through a plane: frames that several share, and a still for readers without scripts."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from auscult.blocks import Animation
from auscult.core.errors import StoreError
from auscult.report.shapes import check_shapes

_STILL_STEPS = 1500
_MARGIN = 12.0


def common_extents(blocks: Sequence[object]) -> dict[int, Mapping[str, Any]]:
    """The ends of both axes for paths that follow one another in one plane, by place of the block.

    Their sizes are to be compared (P1, Fig. 9), so they get one frame; a path alone gets its own.
    """
    found: dict[int, Mapping[str, Any]] = {}
    for plane, group in groupby(enumerate(blocks), key=lambda item: _plane(item[1])):
        paths = [(place, block) for place, block in group if isinstance(block, Animation)]
        if plane is not None and len(paths) > 1:
            ends = {axis: _ends([getattr(path, axis) for _, path in paths]) for axis in ("x", "y")}
            found.update({place: {"extent": ends} for place, _ in paths})
    return found


def _plane(block: object) -> Any:
    if not isinstance(block, Animation):
        return None
    try:
        check_shapes(block)
    except StoreError:
        return None
    return block.x_axis, block.y_axis


def _ends(values: Sequence[object]) -> list[float] | None:
    told = np.concatenate([np.asarray(one, dtype=np.float64) for one in values])
    finite = told[np.isfinite(told)]
    return [float(finite.min()), float(finite.max())] if finite.size else None


def still(block: Animation, width: float = 600.0, height: float = 360.0) -> str:
    """The whole path as points of a polyline in a picture of this size, y upward."""
    step = max(1, len(block.x) // _STILL_STEPS)
    points = np.stack([block.x[::step], block.y[::step]], axis=1).astype(np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return ""
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    shares = (points - low) / np.where(span > 0, span, 1.0)
    places = _MARGIN + shares * [width - 2 * _MARGIN, height - 2 * _MARGIN]
    return " ".join(f"{x:.1f},{height - y:.1f}" for x, y in places)
