"""What analyses read: vectors and generators drawn from stores, clips, the dictionaries meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.analyses.base import BASE, ClipSound, Condition, Context, DictionaryOf, Split
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE
from auscult.core.config import Config
from auscult.core.errors import ConfigError, NothingToMeasureError, UnknownNameError
from auscult.measures.dynamics import moving
from auscult.store.reader import ActivationStore

FEWEST_MOVES = 100
"""Generators that most statements need."""

KINDS: Mapping[str, DictionaryOf] = {"features": "responses", "archetypes": "generators"}
"""What the atoms of a dictionary are called, by what it is fitted to."""


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


def chosen_tap(context: Context, asked: str | None) -> str:
    """The tap that was asked for, or the first recorded one.

    Raises:
        UnknownNameError: No recorded tap is called so; the nearest are named.
    """
    if asked is not None and asked not in context.taps:
        raise UnknownNameError("recorded tap", asked, list(context.taps))
    return asked or context.taps[0]


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


class KindsParams(Config):
    """Settings of whatever reads features and archetypes alike."""

    dictionary: str | None = None
    """Which dictionary of features; none: the first one fitted to response vectors."""
    archetypes: str | None = None
    """Which dictionary of archetypes; none: the first one fitted to generators."""


def named_by_kind(context: Context, params: KindsParams) -> dict[str, str]:
    """Name of the dictionary of each kind: as asked for, or the first; none of what is not fitted.

    Raises:
        ConfigError: The spec has no such dictionary.
    """
    asked = {"features": params.dictionary, "archetypes": params.archetypes}
    return {
        kind: chosen_dictionary(context, asked[kind], of)
        for kind, of in KINDS.items()
        if asked[kind] or context.dictionary_names(of)
    }


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
        NoVectorsError: No stretch of frames is long enough for the lag.
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


def drawn_moves(
    context: Context,
    tap: str,
    lag: int,
    most: int,
    condition: Condition = BASE,
    split: Split = "test",
    fewest: int = 0,
    told: str = "generators",
) -> Moves:
    """Generators of one side of a tap, at least so many.

    Args:
        context: Has the stores.
        tap: Where.
        lag: Of the generators.
        most: How many are looked at.
        condition: Which weights heard which sounds.
        split: Which side.
        fewest: How many must move.
        told: What they are called where fewer do.

    Raises:
        NothingToMeasureError: Fewer than ``fewest`` move.
    """
    moves = sample_moves(context.store(tap, condition, split), lag, most)
    if len(moves.values) < fewest:
        raise NothingToMeasureError(f"only {len(moves.values)} {told} move")
    return moves


def moves_or_reason(
    context: Context,
    tap: str,
    lag: int,
    most: int,
    condition: Condition = BASE,
    split: Split = "test",
    fewest: int = FEWEST_MOVES,
) -> Moves | str:
    """Generators of a tap; where there are too few to say anything, the reason in words."""
    try:
        return drawn_moves(context, tap, lag, most, condition, split, fewest)
    except NOTHING_TO_MEASURE as error:
        return str(error)


def longest_clips(context: Context, most: int) -> list[ClipSound]:
    """The longest test clip of each of the first recordings: the last of one may be a sliver.

    Args:
        context: Has the sounds.
        most: How many recordings.

    Raises:
        NothingToMeasureError: There is no test clip.
    """
    found: dict[str, ClipSound] = {}
    for clip_id in context.clip_ids():
        clip = context.sound(clip_id)
        known = found.get(clip.recording_id)
        if known is None and len(found) == most:
            break
        if known is None or len(clip.waveform) > len(known.waveform):
            found[clip.recording_id] = clip
    if not found:
        raise NothingToMeasureError("there is no clip on the test side")
    return list(found.values())


def n_recordings(store: ActivationStore) -> int:
    """How many recordings a store, or a selection of it, has clips of."""
    return len({clip.recording_id for clip in store.clips})


def spread_over_recordings(clip_ids: Sequence[str], most: int) -> list[str]:
    """At most so many clips: the first of every recording, then the second of each, and so on.

    The first clips in order are those of a few recordings where recordings are long.
    """
    by_recording: dict[str, list[str]] = {}
    for clip_id in clip_ids:
        by_recording.setdefault(clip_id.rpartition("#")[0] or clip_id, []).append(clip_id)
    rounds = zip_longest(*by_recording.values())
    return [one for these in rounds for one in these if one is not None][:most]


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
