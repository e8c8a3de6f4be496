"""A model that is a part of another: its taps and time bases under the part's path."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from auscult.core.timebase import TimeBase
from auscult.models.base import Method, Side, Tap

Times = Mapping[tuple[str, Side], TimeBase]


def taps_below(part: str, taps: Sequence[Tap]) -> tuple[Tap, ...]:
    """The taps of a part, with the whole's paths; roles stay as they are."""
    return tuple(
        replace(
            tap,
            path=_below(part, tap.path),
            methods={side: _method_below(part, method) for side, method in tap.methods.items()},
        )
        for tap in taps
    )


def times_below(part: str, times: Times) -> dict[tuple[str, Side], TimeBase]:
    """The time bases of a part, by the whole's paths."""
    return {(_below(part, path), side): time for (path, side), time in times.items()}


def _below(part: str, path: str) -> str:
    return f"{part}.{path}" if path else part


def _method_below(part: str, method: Method) -> Method:
    return replace(
        method,
        owner=_below(part, method.owner) if method.owner else "",
        during=_below(part, method.during) if method.during else "",
    )
