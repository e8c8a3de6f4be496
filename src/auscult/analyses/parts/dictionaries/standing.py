"""What was measured of each dictionary of a tap, over seeds and under control conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from auscult.analyses.base import BASE, NOISE, RANDOM, Condition, Context
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE
from auscult.analyses.parts.dictionaries.lineup import LEARNED, Entry, beside, frames_at
from auscult.core.rng import named_rng
from auscult.measures.null_dictionaries import atoms_of
from auscult.measures.quality import (
    WITHOUT_INTERVAL,
    Frames,
    Quality,
    interval_of,
    measure_quality,
)
from auscult.measures.recovery import chance_found_again, found_again
from auscult.measures.scorecards import Scorecard, core_scorecard

Controlled = Literal["random weights", "noise"]
CONDITIONS: Mapping[str, Condition] = {"random weights": RANDOM, "noise": NOISE}
"""Control conditions by the name that pages give them."""

FIGURES: Mapping[str, tuple[str, str]] = {
    "fvu": ("fraction of variance unexplained", ""),
    "l0": ("features on at once (l0)", "per frame"),
    "l0_per_second": ("features on (l0)", "per second"),
    "centred_cosine": ("cosine of vector and reconstruction, about the mean", ""),
    "reconstruction_bias": ("reconstruction bias", ""),
    "relative_norm": ("length of the reconstruction over the vector's", ""),
    "hoyer": ("Hoyer sparsity", ""),
    "dead_fraction": ("share of dead features", ""),
    "dense_share": ("share of features on in more than a tenth of the frames", ""),
    "dwell_s": ("mean length of a run of activation", "s"),
}
"""Figures that every dictionary has: words and unit."""

_MOST_COMPARED = 4096


@dataclass(frozen=True)
class Measured:
    """One entry with all that was measured of it.

    Attributes:
        entry: The dictionaries.
        qualities: One a seed.
        controls: The same under control conditions, by name.
        agreement: Share of features found again, of each pair of seeds.
        chance: The same share of random vectors of the data's covariance; NaN for one seed.
    """

    entry: Entry
    qualities: Sequence[Quality]
    controls: Mapping[str, Quality] = field(default_factory=dict)
    agreement: Sequence[float] = ()
    chance: float = float("nan")

    @property
    def learned(self) -> bool:
        """Whether it is no baseline."""
        return self.entry.role == LEARNED

    @property
    def found_again(self) -> float:
        """Mean over pairs of seeds; NaN for one seed."""
        return float(np.mean(self.agreement)) if self.agreement else float("nan")

    def value(self, name: str) -> float:
        """A figure, mean over seeds."""
        return float(np.mean([one.value(name) for one in self.qualities]))

    def resampled(self, name: str) -> Float[np.ndarray, " b"]:
        """The figure over draws of the recordings, mean over seeds."""
        return np.asarray(np.mean([one.resampled[name] for one in self.qualities], axis=0))

    def interval(self, name: str) -> tuple[float, float] | None:
        """95 % interval over recordings; None where there is none."""
        return None if name in WITHOUT_INTERVAL else interval_of(self.resampled(name))

    def used_atoms(self, seed: int = 0) -> Float[np.ndarray, "m d"]:
        """Directions of one seed that are ever on in the sample."""
        used = self.qualities[seed].metrics.usage > 0
        return atoms_of(self.entry.seeds[seed])[used][:_MOST_COMPARED]

    def covered_by(self, other: "Measured", threshold: float) -> float:
        """Share of its features that another has too; with itself, that another seed has."""
        if other is self:
            return self.found_again
        a, b = self.used_atoms(), other.used_atoms()
        signed = self.entry.seeds[0].signed or other.entry.seeds[0].signed
        return found_again(a, b, threshold, signed) if len(a) and len(b) else float("nan")


Line = Sequence[tuple[Measured, float]]
"""Baselines whose weighted mean stands at another l0."""


@dataclass(frozen=True)
class Asked:
    """How dictionaries are measured.

    Attributes:
        most_vectors: Vectors of the test side.
        conditions: Control conditions of learned dictionaries.
        threshold: Cosine from which a feature counts as found again.
        n_resamples: Draws of the recordings.
    """

    most_vectors: int
    conditions: Sequence[Controlled]
    threshold: float
    n_resamples: int


def measure_entries(
    context: Context, asked: Asked, tap: str, entries: Sequence[Entry]
) -> tuple[list[Measured], list[tuple[str, str, str]]]:
    """Measure every entry of a tap.

    Returns:
        What was measured; and tap, name and reason of what has no vectors.
    """
    samples = _Samples(context, asked, tap)
    found, missing = [], []
    for entry in entries:
        own = samples(entry.lag, BASE)
        if isinstance(own, str):
            missing.append((tap, entry.name, f"{own}."))
            continue
        qualities = [measure_quality(one, *own) for one in entry.seeds]
        controls: dict[str, Quality] = {}
        for name in asked.conditions if entry.role == LEARNED else ():
            there = samples(entry.lag, CONDITIONS[name])
            if not isinstance(there, str):
                fitted = context.dictionaries(entry.name, tap, CONDITIONS[name])[0]
                controls[name] = measure_quality(fitted, *there)
        one = Measured(entry, qualities, controls)
        rng = named_rng(context.seed, "dictionary-quality", tap, entry.name, "agreement")
        shares, chance = _agreement(one, own[0], asked.threshold, rng)
        found.append(Measured(entry, qualities, controls, shares, chance))
    return found, missing


class _Samples:
    """The frames of a tap, drawn once for each lag and condition."""

    def __init__(self, context: Context, asked: Asked, tap: str) -> None:
        self._context, self._asked, self._tap = context, asked, tap
        self._drawn: dict[tuple[int, Condition], tuple[Frames, Any] | str] = {}

    def __call__(self, lag: int, condition: Condition) -> tuple[Frames, Any] | str:
        """Frames and draws of their recordings; or why there are none."""
        key = (lag, condition)
        if key not in self._drawn:
            self._drawn[key] = self._draw(lag, condition)
        return self._drawn[key]

    def _draw(self, lag: int, condition: Condition) -> tuple[Frames, Any] | str:
        try:
            sample = frames_at(self._context, self._tap, lag, self._asked.most_vectors, condition)
        except NOTHING_TO_MEASURE as error:
            return str(error)
        rng = named_rng(self._context.seed, "dictionary-quality", self._tap, str(condition))
        return sample, sample.draws(rng, self._asked.n_resamples)


def _agreement(
    one: Measured, sample: Frames, threshold: float, rng: np.random.Generator
) -> tuple[list[float], float]:
    """Share of used features found again, of each pair of seeds, and of random vectors."""
    used = [one.used_atoms(seed) for seed in range(len(one.qualities))]
    if len(used) < 2 or min(len(atoms) for atoms in used) < 2:
        return [], float("nan")
    signed = one.entry.seeds[0].signed
    shares = [
        (found_again(a, b, threshold, signed) + found_again(b, a, threshold, signed)) / 2
        for a, b in combinations(used, 2)
    ]
    covariance = np.atleast_2d(np.cov(sample.values.T.astype(np.float64)))
    n = round(float(np.mean([len(atoms) for atoms in used])))
    return shares, chance_found_again(covariance, n, n, rng, threshold, signed)


def lines_beside(one: Measured, found: Sequence[Measured]) -> dict[str, Line]:
    """The baselines of a learned dictionary at its own l0, by role."""
    by_name = {it.entry.name: it for it in found}
    there = beside(one.entry, [it.entry for it in found], lambda e: by_name[e.name].value("l0"))
    return {
        role: [(by_name[entry.name], weight) for entry, weight in parts]
        for role, parts in there.items()
    }


def fact(tap: str, one: Measured) -> dict[str, Any]:
    """What other programs, and the comparison of runs, read of one dictionary."""
    figures = {name: {"value": one.value(name), "interval": one.interval(name)} for name in FIGURES}
    return {
        "tap": tap,
        "name": one.entry.name,
        "of": one.entry.of,
        "role": one.entry.role,
        "family": one.entry.family,
        "type": one.entry.seeds[0].registered_name,
        "n_features": one.entry.n_features,
        "n_seeds": len(one.qualities),
        "found_again": one.found_again,
        "found_again_by_chance": one.chance,
        "figures": figures,
    }


def scorecard(tap: str, one: Measured) -> Scorecard:
    """The first seed in SAEBench's shape."""
    return core_scorecard(one.qualities[0], card_config(tap, one.entry))


def card_config(tap: str, entry: Entry) -> dict[str, Any]:
    """What a scorecard says of the dictionary that it is about."""
    return {
        "dictionary": entry.name,
        "tap": tap,
        "type": entry.seeds[0].registered_name,
        "params": entry.seeds[0].params.model_dump(mode="json"),
        "role": entry.role,
        "seed": "first",
        "sample": "test side of the split, by recording",
    }
