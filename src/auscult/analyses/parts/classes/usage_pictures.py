"""Pictures of usage by class: lifts, the marked ones in a table, and moments to hear."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from auscult.analyses.base import Context
from auscult.analyses.parts.classes.units import Classes, Units
from auscult.blocks import Axis, Block, Clip, ClipGrid, Heatmap, Table
from auscult.measures.class_usage import ClassUsage

_MOST_OCTAVES = 3.0
_MOST_COLUMNS = 40
_MOST_ROWS = 20
_HEARD_S = 0.5


def lift_pictures(
    units: Units, told: Classes, kept: Int[np.ndarray, " k"], found: ClassUsage
) -> list[Block]:
    """The marked lifts, every lift, and the marked ones in a table.

    Args:
        units: What was counted.
        told: The classes.
        kept: Number of each unit that was tested.
        found: Their lifts.
    """
    where = f"{units.tap}, {told.label}"
    log_lift = np.log2(np.clip(found.lift, 2**-_MOST_OCTAVES, 2**_MOST_OCTAVES))
    marked = np.where(found.marked, log_lift, np.nan)
    blocks: list[Block] = []
    shown = np.flatnonzero(found.marked.any(axis=0))
    if len(shown):
        # The least q-values, then side by side by the class that uses them most.
        shown = shown[np.argsort(found.q_values[:, shown].min(axis=0), kind="stable")]
        shown = _by_class(shown[:_MOST_COLUMNS], log_lift)
        title = f"{where}: {units.word}s that a class uses more, or less, than the others"
        note = (
            f"Only cells that are significant are drawn, at a false-discovery rate of "
            f"{found.alpha:.0%} over all {found.lift.size} cells (Benjamini and Hochberg); labels "
            "dealt out anew among recordings are the null."
        )
        blocks.append(_map(title, marked, shown, kept, units, told, note))
    every = _by_class(np.arange(min(len(kept), _MOST_COLUMNS)), log_lift)
    title = f"{where}: every lift of the most used {units.word}s, significant or not"
    note = "What differs by chance alone looks like this too: read the marked cells."
    blocks.append(_map(title, log_lift, every, kept, units, told, note))
    if len(shown):
        blocks.append(_table(where, units, told, kept, found))
    return blocks


def _by_class(columns: Int[np.ndarray, " s"], log_lift: np.ndarray) -> Int[np.ndarray, " s"]:
    return columns[np.argsort(log_lift[:, columns].argmax(axis=0), kind="stable")]


def _map(
    title: str,
    values: np.ndarray,
    columns: Int[np.ndarray, " s"],
    kept: Int[np.ndarray, " k"],
    units: Units,
    told: Classes,
    note: str,
) -> Heatmap:
    return Heatmap(
        title,
        values[:, columns],
        np.arange(len(columns)),
        np.arange(len(told.names)),
        Axis(units.word),
        Axis(told.label),
        Axis("log2 of the lift"),
        "diverging",
        note,
        tuple(str(kept[column]) for column in columns),
        told.names,
    )


def _table(
    where: str, units: Units, told: Classes, kept: Int[np.ndarray, " k"], found: ClassUsage
) -> Table:
    cells = strongest_cells(found, _MOST_ROWS) + strongest_cells(found, _MOST_ROWS // 2, up=False)
    rows = tuple(
        (
            told.names[c],
            f"{units.word} {kept[k]}",
            float(found.lift[c, k]),
            _none(found.low[c, k]),
            _none(found.high[c, k]),
            1.0,
            float(found.q_values[c, k]),
            int(found.n_recordings[c]),
        )
        for c, k in cells
    )
    n_marked = int(found.marked.sum())
    return Table(
        f"{where}: the marked lifts",
        (told.label, units.word, "lift", "low", "high", "no difference", "q", "recordings"),
        rows,
        note=f"{len(rows)} of {n_marked}, the largest first, then the least. Intervals are "
        "bootstraps over recordings; the largest of many is too large, and the least too small.",
    )


def _none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def strongest_cells(found: ClassUsage, most: int, up: bool = True) -> list[tuple[int, int]]:
    """Marked cells of the largest lifts, or of the least ones below 1."""
    wanted = found.marked & (found.lift > 1 if up else found.lift < 1)
    height = np.where(wanted, found.lift if up else -found.lift, -np.inf)
    order = np.argsort(-height, axis=None, kind="stable")[:most]
    n = height.shape[1]
    return [(int(cell // n), int(cell % n)) for cell in order if np.isfinite(height.flat[cell])]


def to_hear(
    context: Context,
    units: Units,
    told: Classes,
    kept: Int[np.ndarray, " k"],
    found: ClassUsage,
    most: int,
) -> list[Block]:
    """Moments of the units that stand out most: in their class, and in another one (control)."""
    words = dict(zip(told.recordings.tolist(), (told.names[c] for c in told.classes), strict=True))
    clips: list[Clip] = []
    for c, k in strongest_cells(found, most):
        own, others = _moments(units, int(kept[k]), told, c)
        for row in [*own[:2], *others[:1]]:
            at, clip_id = float(units.at_s[row]), str(units.clip_ids[row])
            word = words[str(units.recording_ids[row])]
            beside = "" if word == told.names[c] else f" (control: {told.label} {word})"
            label = f"{units.word} {kept[k]}, {told.names[c]}{beside}: {clip_id} at {at:.2f} s"
            start = max(0.0, at - _HEARD_S / 2)
            clips.append(context.clip(clip_id, start, start + _HEARD_S, label))
    if not clips:
        return []
    note = (
        f"Of each of the largest lifts two moments of the class at which the {units.word} is on "
        "top, in the recordings that use it most, and one of another class."
    )
    title = f"{units.tap}, {told.label}: what the {units.word}s of a class sound like"
    return [ClipGrid(title, tuple(clips), note)]


def _moments(
    units: Units, unit: int, told: Classes, one: int
) -> tuple[Sequence[int], Sequence[int]]:
    """A frame in the middle of the unit's own, by recording: of the class, and of the others."""
    mine = units.units == unit
    found: list[tuple[float, int, bool]] = []
    for recording, which in zip(told.recordings, told.classes, strict=True):
        rows = np.flatnonzero(units.recording_ids == recording)
        own = rows[mine[rows]]
        if len(own):
            found.append((len(own) / len(rows), int(own[len(own) // 2]), bool(which == one)))
    found.sort(key=lambda told: -told[0])
    return [row for _, row, of in found if of], [row for _, row, of in found if not of]
