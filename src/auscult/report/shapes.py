"""Whether the parts of a block fit: a chart of arrays of unlike length would be a quiet lie."""

from collections.abc import Callable
from typing import Any

import numpy as np

from auscult.blocks import (
    Animation,
    Bars,
    Choices,
    Curve,
    Graph,
    Heatmap,
    Histogram,
    Lanes,
    Rulers,
    Scatter,
    Series,
    SmallMultiples,
    Table,
)
from auscult.core.errors import StoreError


def check_shapes(block: object) -> None:
    """Do nothing, or refuse.

    Raises:
        StoreError: Two parts of the block differ in length; the sentence names them.
    """
    check = _CHECKS.get(type(block))
    if check is not None:
        check(block)


def _equal(**lengths: int | None) -> None:
    known = {name: length for name, length in lengths.items() if length is not None}
    if len(set(known.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in known.items())
        raise StoreError(f"its parts do not fit one another: {told}")


def _length(values: Any, axes: int = 1) -> int | None:
    if values is None:
        return None
    if not isinstance(values, np.ndarray) or values.ndim != axes:
        raise StoreError(
            f"an array of {axes} axes was expected, and it holds {type(values).__name__}"
        )
    return len(values)


def _series(one: Series, length: int | None) -> None:
    own = length if one.x is None else _length(one.x)
    _equal(x=own, y=_length(one.y), low=_length(one.low), high=_length(one.high))


def _curve(block: Curve) -> None:
    _equal(x=_length(block.x), x_names=len(block.x_names) or None)
    for one in block.series:
        _series(one, _length(block.x))


def _small_multiples(block: SmallMultiples) -> None:
    for one in block.curves:
        _curve(one)


def _histogram(block: Histogram) -> None:
    for one in block.series:
        _series(one, (_length(block.edges) or 0) - 1)


def _heatmap(block: Heatmap) -> None:
    names = (len(block.x_names) or None, len(block.y_names) or None)
    _equal(rows=_length(block.values, axes=2), y=_length(block.y), y_names=names[1])
    _equal(columns=block.values.shape[1], x=_length(block.x), x_names=names[0])


def _scatter(block: Scatter) -> None:
    _equal(
        x=_length(block.x),
        y=_length(block.y),
        labels=len(block.labels) or None,
        groups=len(block.groups) or None,
    )


def _bars(block: Bars) -> None:
    _equal(
        names=len(block.names),
        values=_length(block.values),
        low=_length(block.low),
        high=_length(block.high),
    )


def _lanes(block: Lanes) -> None:
    _equal(lanes=len(block.lanes), rows=_length(block.values, axes=2))
    _equal(frames=block.values.shape[1], times_s=_length(block.times_s))


def _animation(block: Animation) -> None:
    frames = _length(block.times_s)
    _equal(times_s=frames, x=_length(block.x), y=_length(block.y))
    if block.lane_values is not None or block.lanes:
        _equal(lanes=len(block.lanes), rows=_length(block.lane_values, axes=2) or 0)
    if block.lane_values is not None:
        _equal(times_s=frames, lane_values=block.lane_values.shape[1])


def _choices(block: Choices) -> None:
    _equal(clips=len(block.clips), combinations=_length(block.values, axes=3))
    _equal(curves=len(block.curves), rows=block.values.shape[1], axes=len(block.curve_axes))
    _equal(frames=block.values.shape[2], times_s=_length(block.times_s))


def _graph(block: Graph) -> None:
    _equal(nodes=len(block.nodes), sizes=_length(block.sizes))
    _equal(
        sources=_length(block.sources),
        targets=_length(block.targets),
        weights=_length(block.weights),
    )
    ends = np.concatenate([block.sources, block.targets])
    if ends.size and not (ends.min() >= 0 and ends.max() < len(block.nodes)):
        raise StoreError(
            "its parts do not fit one another: a link leads to a node that is not there"
        )


def _rulers(block: Rulers) -> None:
    length = _length(block.x)
    for one in block.rulers:
        _equal(x=length, landing=_length(one.landing))
        _equal(seen_x=_length(one.seen_x), seen_y=_length(one.seen_y))


def _table(block: Table) -> None:
    for row in block.rows:
        _equal(columns=len(block.columns), cells=len(row))
    _equal(columns=len(block.columns), units=len(block.units) or None)


_CHECKS: dict[type, Callable[[Any], None]] = {
    Animation: _animation,
    Bars: _bars,
    Choices: _choices,
    Curve: _curve,
    Graph: _graph,
    Heatmap: _heatmap,
    Histogram: _histogram,
    Lanes: _lanes,
    Rulers: _rulers,
    Scatter: _scatter,
    SmallMultiples: _small_multiples,
    Table: _table,
}
