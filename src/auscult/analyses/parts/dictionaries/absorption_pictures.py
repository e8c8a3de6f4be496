"""What dictionaries absorb at one tap, and tables of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.analyses.parts.answering import DRAWN
from auscult.analyses.parts.dictionaries.lineup import LEARNED, Entry, beside
from auscult.analyses.parts.dictionaries.standing import card_config
from auscult.blocks import Block, Table
from auscult.measures.absorption import GeneralDirection
from auscult.measures.scorecards import Scorecard


@dataclass(frozen=True)
class GeneralClass:
    """One general class of the sounds.

    Attributes:
        general: Its label, with its specific one.
        name: Of the class.
        positive: Which frames are of it.
        specific: Sub-class of each frame, as a number.
        direction: As a probe of the tap has it.
    """

    general: tuple[str, str]
    name: str
    positive: Bool[np.ndarray, " n"]
    specific: Int[np.ndarray, " n"]
    direction: GeneralDirection


@dataclass(frozen=True)
class Absorbed:
    """What one dictionary absorbs, over all classes.

    Attributes:
        full: Whether each recognised frame is fully absorbed.
        fraction: Share of the evidence that absorbers carry, of each.
        recordings: Test recording of each.
        lift: How specific absorbing features are; 1 where they are not.
        by_class: Class, number of frames, full rate, mean fraction, main features.
        l0: Features on at once.
    """

    full: Bool[np.ndarray, " n"]
    fraction: Float[np.ndarray, " n"]
    recordings: Int[np.ndarray, " n"]
    lift: float
    by_class: Sequence[tuple[str, int, float, float, int]]
    l0: float

    @property
    def rate(self) -> float:
        """Share of frames fully absorbed."""
        return float(self.full.mean())

    @property
    def mean_fraction(self) -> float:
        """Mean share of the evidence that absorbers carry."""
        return float(np.nanmean(self.fraction)) if np.isfinite(self.fraction).any() else np.nan

    def resampled(self, draws: Float[np.ndarray, "b r"]) -> Float[np.ndarray, " b"]:
        """The rate over draws of the test recordings."""
        size = draws.shape[1]
        hits = np.bincount(self.recordings, self.full.astype(float), size)
        rows = np.bincount(self.recordings, minlength=size).astype(float)
        return np.asarray((draws @ hits) / np.maximum(draws @ rows, 1e-9))


@dataclass(frozen=True)
class TapAbsorption:
    """Everything measured at one tap.

    Attributes:
        tap: Its address.
        entries: The dictionaries.
        found: What each absorbs, by name.
        untrained: The same of learned ones of the network with random weights; none where no class
            can be read there.
        classes: What was looked at.
        draws: How often each draw took each test recording.
    """

    tap: str
    entries: Sequence[Entry]
    found: Mapping[str, Absorbed]
    untrained: Mapping[str, Absorbed]
    classes: Sequence[GeneralClass]
    draws: Float[np.ndarray, "b r"]

    @property
    def learned(self) -> list[Entry]:
        """Those that are no baselines."""
        return [one for one in self.entries if one.role == LEARNED]

    def beside(self, entry: Entry) -> dict[str, list[tuple[Entry, float]]]:
        """Its baselines at its own l0."""
        return beside(entry, self.entries, lambda one: self.found[one.name].l0)

    def control(self, entry: Entry, role: str, figure: str) -> float | None:
        """A figure of the baselines of one role beside a learned dictionary, if there are any."""
        if role == DRAWN:
            own = self.untrained.get(entry.name)
            return None if own is None else float(getattr(own, figure))
        parts = self.beside(entry).get(role)
        if not parts:
            return None
        return float(sum(weight * getattr(self.found[o.name], figure) for o, weight in parts))


def tables(there: TapAbsorption) -> list[Block]:
    """Every dictionary, then every class of the first that learned."""
    note = "Over all classes of the next table; baselines are what random directions give."
    rows = [_row(one.name, one.role, there.found[one.name]) for one in there.entries]
    rows += [_row(name, DRAWN, own) for name, own in there.untrained.items()]
    columns = ("dictionary", "role", "l0", "fully absorbed", "fraction", "lift of absorbers")
    units = ("", "", "per frame", "", "", "")
    every = Table(f"{there.tap}: absorption", columns, tuple(rows), units, note)
    first = next((one for one in there.entries if one.role == LEARNED), there.entries[0])
    f1 = {f"{one.general[0]} {one.name}": one.direction.f1 for one in there.classes}
    told = tuple((one[0], f1[one[0]], *one[1:]) for one in there.found[first.name].by_class)
    heads = (
        "class",
        "F1 of the probe",
        "recognised",
        "fully absorbed",
        "fraction",
        "main features",
    )
    return [every, Table(f"{there.tap}: absorption by class, {first.name}", heads, told)]


def _row(name: str, role: str, own: Absorbed) -> tuple[str | float | None, ...]:
    lift = own.lift if np.isfinite(own.lift) else None
    return (name, role, own.l0, own.rate, own.mean_fraction, lift)


def card(there: TapAbsorption, entry: Entry) -> Scorecard:
    """In SAEBench's shape."""
    own = there.found[entry.name]
    metrics = {
        "mean": {
            "mean_absorption_fraction_score": own.mean_fraction,
            "mean_full_absorption_score": own.rate,
            "mean_num_split_features": float(np.mean([one[4] for one in own.by_class])),
        },
        "audio": {"lift_of_absorbers": own.lift},
    }
    details = [
        {
            "class": name,
            "n": n,
            "full_absorption_rate": rate,
            "absorption_fraction": fraction,
            "num_split_features": k,
        }
        for name, n, rate, fraction, k in own.by_class
    ]
    return Scorecard("absorption", card_config(there.tap, entry), metrics, details)
