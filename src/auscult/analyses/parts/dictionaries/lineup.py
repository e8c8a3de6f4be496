"""The dictionaries of a spec lined up: those that learned, and the baselines they are read against.

Baselines are ordinary entries of the spec: sparse dictionaries whose decoder or encoder stays at
its random start (Korznikov et al. 2026, arXiv 2602.14111), random directions, and principal
components. A learned dictionary is compared with each at its own l0.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from auscult.analyses.base import BASE, RANDOM, Condition, Context, DictionaryOf, Split
from auscult.analyses.parts.answering import Gathered, in_turn
from auscult.blocks import Text
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.dictionaries.base import Dictionary
from auscult.measures.quality import Frames

LEARNED = "learned"
_FROZEN = {
    "decoder": "frozen decoder",
    "soft-decoder": "soft-frozen decoder",
    "encoder": "frozen encoder",
}
_UNLEARNED = {"random": "random directions", "pca": "principal components"}
FROZEN = tuple(_FROZEN.values())
"""The sanity baselines that must accompany every claim (METHODS §8.2)."""
BASELINES = (*FROZEN, *_UNLEARNED.values())
AT_L0 = "{} at the same l0"
"""How the control is called that a baseline makes."""

_FEWEST_OF_A_CLIP = 64
_NEAR_L0 = 0.15
"""By how much l0 may differ (of its logarithm) where there are no two baselines around it."""


def opponent(role: str) -> str:
    """What a sentence calls the baselines that a learned dictionary is compared with.

    >>> opponent("frozen encoder"), opponent("principal components")
    ('a frozen encoder of their width and l0', 'principal components at their l0')
    """
    if role == _UNLEARNED["pca"]:
        return f"{role} at their l0"
    return f"{'a ' if role in FROZEN else ''}{role} of their width and l0"


class ResampledParams(Config):
    """Settings of whatever judges dictionaries by an interval over recordings."""

    n_resamples: int = Field(1000, ge=100)
    """Draws of the recordings behind each interval."""


@dataclass(frozen=True)
class Entry:
    """One dictionary of the spec, fitted at a tap.

    Attributes:
        name: In the spec.
        of: What it is fitted to.
        lag: Of the generators; 0 for response vectors.
        seeds: The fitted dictionaries, one a seed.
    """

    name: str
    of: DictionaryOf
    lag: int
    seeds: Sequence[Dictionary]

    @property
    def role(self) -> str:
        """``learned``, or one of :data:`BASELINES`."""
        one = self.seeds[0]
        frozen = _FROZEN.get(getattr(one.params, "frozen", "no"))
        return frozen or _UNLEARNED.get(one.registered_name, LEARNED)

    @property
    def n_features(self) -> int:
        """Number of atoms."""
        return self.seeds[0].n_features

    @property
    def family(self) -> str:
        """Type and width, as a legend names them; of a baseline its role and width."""
        kind = self.seeds[0].registered_name if self.role == LEARNED else self.role
        return f"{kind}, {self.n_features:,}"


KINDS: tuple[DictionaryOf, ...] = ("responses", "generators")
"""Whatever a dictionary may be fitted to."""


def line_up(context: Context, tap: str, kinds: Sequence[DictionaryOf] = KINDS) -> list[Entry]:
    """Every dictionary of the spec at a tap, in its order; fitted now where it is not yet."""
    return [
        Entry(name, of, context.lag(name), context.dictionaries(name, tap))
        for of in kinds
        for name in context.dictionary_names(of)
    ]


def tap_by_tap(
    context: Context, gathered: Gathered, kinds: Sequence[DictionaryOf] = ("responses",)
) -> Iterator[tuple[str, list[Entry]]]:
    """Each tap with the dictionaries lined up there; afterwards, what baselines were lacking.

    Says how much is done. The baselines that the spec has none of come into the facts, as
    ``lacking``, and on top of the page as a warning.
    """
    lacked: dict[str, None] = {}
    for tap in in_turn(context, context.taps):
        entries = line_up(context, tap, kinds)
        lacked |= dict.fromkeys(lacking(entries))
        yield tap, entries
    gathered.facts["lacking"] = list(lacked)
    gathered.blocks[:0] = warning(list(lacked))


def untrained(context: Context, tap: str, entries: Sequence[Entry]) -> list[Entry]:
    """The learned ones among entries, as one seed fits them to the network with random weights."""
    return [
        Entry(one.name, one.of, one.lag, context.dictionaries(one.name, tap, RANDOM)[:1])
        for one in entries
        if one.role == LEARNED
    ]


def frames_at(
    context: Context,
    tap: str,
    lag: int,
    most: int,
    condition: Condition = BASE,
    split: Split = "test",
) -> Frames:
    """Vectors of one side of a tap, in order, from as many clips as there are.

    Where there are more than ``most``, the middle of each clip is taken, of at least 64 frames.

    Raises:
        NothingToMeasureError: There are none, or they do not vary.
    """
    store = context.store(tap, condition, split)
    view = store.generators(lag) if lag else store
    located, frames = view.locate(np.arange(view.n_vectors))
    clip_ids = np.array(located)
    rows = _middles(clip_ids, most)
    values = view.rows(rows).astype(np.float32)
    if len(values) < 2 or not np.ptp(values, axis=0).any():
        raise NothingToMeasureError(f"only {len(values)} vectors that vary are stored")
    recordings = {clip.clip_id: clip.recording_id for clip in store.clips}
    return Frames.of(
        values,
        clip_ids[rows],
        np.asarray(frames, np.int64)[rows],
        np.array([recordings[clip_id] for clip_id in clip_ids[rows]]),
        store.step,
        float(context.time(tap).frame_rate),
    )


def _middles(clip_ids: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most ``most`` vectors in all, the middle of each clip."""
    edges = np.flatnonzero(np.append(True, clip_ids[1:] != clip_ids[:-1]))
    stops = np.append(edges[1:], len(clip_ids))
    if len(clip_ids) <= most:
        return np.arange(len(clip_ids))
    n_clips = min(len(edges), max(1, most // _FEWEST_OF_A_CLIP))
    chosen = np.unique(np.linspace(0, len(edges) - 1, n_clips).astype(np.int64))
    each = max(1, most // len(chosen))
    parts = []
    for start, stop in zip(edges[chosen], stops[chosen], strict=True):
        begin = start + max(0, (stop - start - each) // 2)
        parts.append(np.arange(begin, min(begin + each, stop)))
    return np.concatenate(parts)


def at_l0(wanted: float, l0s: Sequence[float]) -> list[tuple[int, float]] | None:
    """How to read baselines at another l0: which of them, each with its weight.

    Between two of them figures are interpolated in a line over log l0; beyond the outermost, one
    within 15 % stands for itself.

    Returns:
        Places in ``l0s`` and weights that sum to 1; None where no baseline is near.

    >>> at_l0(4.0, [2.0, 8.0])
    [(0, 0.5), (1, 0.5)]
    >>> at_l0(9.0, [2.0, 8.0])
    [(1, 1.0)]
    >>> at_l0(90.0, [2.0, 8.0])
    """
    usable = [i for i, l0 in enumerate(l0s) if np.isfinite(l0) and l0 > 0]
    if not usable or not wanted > 0:
        return None
    logs = {i: float(np.log(l0s[i] / wanted)) for i in usable}
    below = max((i for i in usable if logs[i] <= 0), key=lambda i: logs[i], default=None)
    above = min((i for i in usable if logs[i] >= 0), key=lambda i: logs[i], default=None)
    if below is None or above is None or logs[below] == logs[above]:
        nearest = min(usable, key=lambda i: abs(logs[i]))
        return [(nearest, 1.0)] if abs(logs[nearest]) <= np.log1p(_NEAR_L0) else None
    share = -logs[below] / (logs[above] - logs[below])
    return [(below, 1 - share), (above, share)]


Figure = Callable[[Entry], float]


def beside(
    entry: Entry, entries: Sequence[Entry], l0: Figure
) -> dict[str, list[tuple[Entry, float]]]:
    """The baselines of a learned dictionary at its own l0, by role, with weights that sum to 1.

    Frozen dictionaries and random directions must be as wide; principal components cannot be.

    Args:
        entry: The learned one.
        entries: All of its tap.
        l0: Measured l0 of any entry.
    """
    found = {}
    for role in BASELINES:
        same = [
            one
            for one in entries
            if one.role == role
            and (one.of, one.lag) == (entry.of, entry.lag)
            and (one.n_features == entry.n_features or role == _UNLEARNED["pca"])
        ]
        weights = at_l0(l0(entry), [l0(one) for one in same])
        if weights is not None:
            found[role] = [(same[i], weight) for i, weight in weights]
    return found


def lacking(entries: Sequence[Entry]) -> list[str]:
    """Sanity baselines that the spec has none of, at the width of some learned dictionary."""
    widths = {(one.of, one.lag, one.n_features) for one in entries if one.role == LEARNED}
    return [
        role
        for role in FROZEN
        if widths - {(one.of, one.lag, one.n_features) for one in entries if one.role == role}
    ]


def warning(missing: Sequence[str]) -> list[Text]:
    """What a page says where the spec lacks sanity baselines."""
    if not missing:
        return []
    told = " and no ".join(missing)
    said = Text(
        f"The spec fits no {told} at every width of a learned dictionary: what these reach without "
        "learned directions is not on this page. Add entries with the same type, n_features and k "
        'and frozen = "decoder", "soft-decoder" and "encoder", or start from what '
        "auscult init dictionaries writes, which has them.",
        "Sanity baselines are lacking",
        "warning",
    )
    return [said]
