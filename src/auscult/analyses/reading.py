"""What analyses share: vectors drawn from stores, dictionaries found, numbers shown and judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.analyses.base import BASE, Condition, Context, DictionaryOf, Measurement, Split
from auscult.blocks import Table, Verdict
from auscult.core.errors import ConfigError, StoreError
from auscult.measures.dynamics import moving
from auscult.store.reader import ActivationStore


def chosen_dictionary(
    context: Context, asked: str | None, of: DictionaryOf = "responses", lag: int | None = None
) -> str:
    """The dictionary that was asked for, or the first that is fitted to such vectors.

    Args:
        context: Knows the dictionaries.
        asked: A name, or None for the first.
        of: What it must be fitted to.
        lag: For generators, their lag in frames; None for any.

    Raises:
        ConfigError: The spec fits none to such vectors, or not this one.
    """
    names = [
        name for name in context.dictionary_names(of) if lag is None or context.lag(name) == lag
    ]
    if not names or (asked is not None and asked not in names):
        fitted = ", ".join(repr(name) for name in names) or "none"
        wanted = repr(asked) if asked else f"of {of}"
        at = "" if lag is None else f" at lag {lag}"
        raise ConfigError(f"there is no dictionary {wanted}; fitted to {of}{at}: {fitted}")
    return asked or names[0]


def archetypes_by_lag(context: Context) -> dict[int, str]:
    """The first dictionary fitted to generators of each lag, by lag in the spec's order.

    Raises:
        ConfigError: The spec fits none to generators.
    """
    found: dict[int, str] = {}
    for name in context.dictionary_names("generators"):
        found.setdefault(context.lag(name), name)
    if not found:
        chosen_dictionary(context, None, "generators")
    return found


@dataclass(frozen=True)
class Sample:
    """Response vectors with where they come from.

    Attributes:
        values: Response vectors.
        clip_ids: The clip of each.
        frames: The frame of each within its clip.
        recording_ids: The recording of each, the unit of the bootstrap.
    """

    values: Float[np.ndarray, "n d_in"]
    clip_ids: Shaped[np.ndarray, " n"]
    frames: Int[np.ndarray, " n"]
    recording_ids: Shaped[np.ndarray, " n"]


def sample(store: ActivationStore, most: int) -> Sample:
    """Take at most so many vectors of a store, evenly spread over it."""
    count = min(most, store.n_vectors)
    rows = np.linspace(0, store.n_vectors - 1, count).astype(np.int64)
    return Sample(store.rows(rows).astype(np.float32), *_places(store, *store.locate(rows)))


def _places(
    store: ActivationStore, located: list[str], frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    recordings = {clip.clip_id: clip.recording_id for clip in store.clips}
    return (
        np.array(located),
        np.asarray(frames, dtype=np.int64),
        np.array([recordings[clip_id] for clip_id in located]),
    )


@dataclass(frozen=True)
class Moves(Sample):
    """Generators with where they come from: ``values`` are g[t], ``states`` the r[t] they leave.

    Attributes:
        states: Response vectors r[t]; the successor r[t + lag] is ``states + values``.
        still_share: Share of the drawn generators that were left out as standstill.
    """

    states: Float[np.ndarray, "n d_in"] = field(default_factory=lambda: np.zeros((0, 0)))
    still_share: float = 0.0


def sample_moves(store: ActivationStore, lag: int, most: int) -> Moves:
    """Take at most so many generators of a store, evenly spread, without standstill (METHODS A-9).

    Standstill is a norm below 1e-6 of the root mean square of all.

    Raises:
        StoreError: No stretch of frames is long enough for the lag.
    """
    view = store.generators(lag)
    count = min(most, view.n_vectors)
    rows = np.linspace(0, view.n_vectors - 1, count).astype(np.int64)
    values, states = view.rows(rows), view.states(rows)
    kept, _ = moving(values)
    clip_ids, frames, recordings = _places(store, *view.locate(rows))
    return Moves(
        values[kept],
        clip_ids[kept],
        frames[kept],
        recordings[kept],
        states[kept],
        float(1 - np.mean(kept)),
    )


def moves_or_reason(
    context: Context,
    tap: str,
    lag: int,
    most: int,
    condition: Condition = BASE,
    split: Split = "test",
    fewest: int = 100,
) -> Moves | str:
    """Generators of a tap; where there are too few to say anything, the reason in words."""
    try:
        moves = sample_moves(context.store(tap, condition, split), lag, most)
    except StoreError as error:
        return str(error)
    return moves if len(moves.values) >= fewest else f"only {len(moves.values)} generators move"


def pooled(values: Float[np.ndarray, "lane frame"], most: int) -> tuple[np.ndarray, np.ndarray]:
    """Shorten lanes for a picture.

    The value farthest from 0 of each stretch, and its middle frame.
    """
    n_frames = values.shape[1]
    edges = np.linspace(0, n_frames, min(most, n_frames) + 1).astype(np.int64)
    middles = (edges[:-1] + edges[1:] - 1) // 2
    high = np.maximum.reduceat(values, edges[:-1], axis=1)
    low = np.minimum.reduceat(values, edges[:-1], axis=1)
    return np.where(high >= -low, high, low), middles


OWN = "as asked for"
"""Name of the base condition in pictures and tables."""


def numbers_table(measurements: Sequence[Measurement]) -> Table:
    """Every number with all its controls, one column each."""
    columns = tuple(dict.fromkeys(name for one in measurements for name in one.controls))
    rows = tuple(
        (one.tap, one.name, one.value, *(one.controls.get(name) for name in columns))
        for one in measurements
    )
    return Table("Numbers and their controls", ("tap", "measure", OWN, *columns), rows)


def verdict_of(
    value: float, controls: Sequence[float], better: Literal["more", "less"], margin: float
) -> Verdict:
    """Judge a value against its controls.

    It holds when it beats every control by more than ``margin`` (in the value's own unit), is
    explained by a control that comes within the margin, and does not hold when a control beats it.
    """
    sign = 1.0 if better == "more" else -1.0
    gap = min(sign * (value - control) for control in controls)
    if not np.isfinite(gap):
        return "cannot be tested here"
    if gap > margin:
        return "holds"
    return "explained by control" if gap >= -margin else "does not hold"
