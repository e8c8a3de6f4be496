"""Losses of one tap's dictionaries on the model's own task, and pictures of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from auscult.analyses.base import MadeSound
from auscult.analyses.parts.dictionaries.lineup import LEARNED, Entry, beside
from auscult.blocks import Axis, Bars, Block, ClipGrid, Curve, Series, Table
from auscult.measures.loss_recovered import MEAN, MODEL, ZERO, Recovered, loss_recovered
from auscult.measures.quality import interval_of

_NAMED = 30
"""Bars that stand in rows with their names; more would only be numbered."""


@dataclass(frozen=True)
class TapLosses:
    """What was measured at one tap.

    Attributes:
        tap: Where.
        part: The part of the loss that answers are about.
        entries: The dictionaries, by name.
        l0: Of each.
        losses: Parts of the loss of each, of the model and of the ablations, clip by clip.
        draws: How often each clip counts.
        sounds: What was decoded, to be heard.
    """

    tap: str
    part: str
    entries: Mapping[str, Entry]
    l0: Mapping[str, float]
    losses: Mapping[str, Mapping[str, Float[np.ndarray, " clip"]]]
    draws: Float[np.ndarray, "b clip"]
    sounds: Sequence[MadeSound] = field(default=())

    @property
    def learned(self) -> list[Entry]:
        """Those that are no baselines."""
        return [one for one in self.entries.values() if one.role == LEARNED]

    def recovered(self, name: str, against: str, part: str | None = None) -> Recovered:
        """Share of an ablation's damage that a dictionary does not do."""
        asked = part or self.part
        own, ablated, model = (self.losses[key][asked] for key in (name, against, MODEL))
        return loss_recovered(own, ablated, model, self.draws)

    def beside(self, entry: Entry) -> dict[str, list[tuple[Entry, float]]]:
        """Its baselines at its own l0."""
        return beside(entry, list(self.entries.values()), lambda one: self.l0[one.name])

    def mixed(self, parts: Sequence[tuple[Entry, float]], against: str) -> Recovered:
        """Baselines read at another l0."""
        found = [(self.recovered(one.name, against), weight) for one, weight in parts]
        return Recovered(
            float(sum(weight * one.value for one, weight in found)),
            np.sum([weight * one.resampled for one, weight in found], axis=0),
        )


def pictures(found: TapLosses) -> list[Block]:
    """Bars while they can be named, courses over l0, every loss, and what is decoded."""
    blocks: list[Block] = [_over_l0(found), _table(found)]
    if len(found.entries) <= _NAMED:
        blocks.insert(0, _bars(found))
    if found.sounds:
        clips = tuple(one.clip() for one in found.sounds)
        note = "Through the codec with the tap as it is, rebuilt, or ablated."
        blocks.append(ClipGrid(f"{found.tap}: what is decoded", clips, note))
    return blocks


def _bars(found: TapLosses) -> Bars:
    shares = [found.recovered(name, MEAN) for name in found.entries]
    ends = np.array([interval_of(one.resampled) or (np.nan, np.nan) for one in shares])
    return Bars(
        f"{found.tap}: {found.part} recovered against mean ablation",
        tuple(found.entries),
        np.array([one.value for one in shares]),
        Axis("dictionary"),
        Axis(f"{found.part} recovered", ""),
        ends[:, 0],
        ends[:, 1],
        "1: the task does not notice; 0: as bad as the mean at every frame. 95 % over recordings.",
    )


def _over_l0(found: TapLosses) -> Curve:
    """Loss recovered over l0, a line for each type and width."""
    lines = []
    for family in dict.fromkeys(one.family for one in found.entries.values()):
        some = [one for one in found.entries.values() if one.family == family]
        some.sort(key=lambda one: found.l0[one.name])
        values = [found.recovered(one.name, MEAN).value for one in some]
        x = np.array([found.l0[one.name] for one in some])
        lines.append(Series(family, np.array(values), x, control=some[0].role != LEARNED))
    lines.sort(key=lambda one: one.control)
    return Curve(
        f"{found.tap}: {found.part} recovered over features on at once",
        np.array(sorted(set(found.l0.values()))),
        tuple(lines),
        Axis("features on at once (l0)", "per frame", "log"),
        Axis(f"{found.part} recovered", ""),
        "Upper left is better. Dashed: the sanity baselines.",
    )


def _table(found: TapLosses) -> Table:
    parts = list(found.losses[MODEL])
    rows = []
    for name, losses in found.losses.items():
        entry = found.entries.get(name)
        shares: list[float | None] = [None] * 4
        if entry:
            share = found.recovered(name, MEAN)
            ends = interval_of(share.resampled) or (None, None)
            shares = [share.value, *ends, found.recovered(name, ZERO).value]
        l0 = found.l0[name] if entry else None
        means = (float(losses[part].mean()) for part in parts)
        rows.append((name, entry.role if entry else "", l0, *shares, *means))
    columns = (
        "at the tap",
        "what it is",
        "l0",
        "recovered (mean)",
        "low",
        "high",
        "recovered (zero)",
        *parts,
    )
    units = (
        "",
        "",
        "per frame",
        *[""] * 4,
        *("dB" if p in ("log mel", "SI-SDR") else "" for p in parts),
    )
    note = (
        "Means over clips; low and high: 95 % over recordings, of recovered (mean). "
        "Higher is better for SI-SDR, lower for the other parts."
    )
    return Table(f"{found.tap}: every loss", columns, tuple(rows), units, note)
