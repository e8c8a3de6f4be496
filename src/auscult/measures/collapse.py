"""How much of a signal falls together over depth, foretold and observed (METHODS B-2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.measures.folding import alike, collapse_of, folded_hz, near
from auscult.measures.stages import Stage
from auscult.measures.tone_sweep import Lines

KINDS = ("harmonic", "stretched", "octaves", "random", "cluster")
"""Kinds of signals; the first three are structured as the sounds of music are."""


@dataclass(frozen=True)
class Signal:
    """A set of partials, by their places in a common grid of tones.

    Attributes:
        kind: One of :data:`KINDS`.
        name: For people.
        partials: Rows of the grid.
    """

    kind: str
    name: str
    partials: Int[np.ndarray, " partial"]


def tone_grid(sample_rate: int, n: int) -> Float[np.ndarray, " tone"]:
    """Multiples of one frequency up to 0.48 of the sample rate.

    The frequency is 1.0037 of an even division, so that no multiple of it falls on another by
    sharing a factor with the strides.
    """
    return np.asarray(1.0037 * 0.475 * sample_rate / n * np.arange(1, n + 1))


def signals(n_tones: int, n_each: int, n_partials: int, rng: np.random.Generator) -> list[Signal]:
    """Signals of every kind from a grid of tones that are multiples of the first.

    Harmonic series start at the grid's lowest places; stretched ones follow h^1.06; octaves double;
    random ones are drawn from all of the grid, clusters from neighbouring places.
    """
    found: list[Signal] = []
    for number in range(n_each):
        base = 1 + number % max(1, n_tones // 6)
        h = np.arange(1, n_partials + 1)
        start = int(rng.integers(0, max(1, n_tones - 2 * n_partials)))
        sets = {
            "harmonic": base * h,
            "stretched": np.round(base * h**1.06),
            "octaves": base * 2 ** np.arange(n_partials),
            "random": rng.permutation(n_tones)[:n_partials] + 1,
            "cluster": start + 1 + rng.permutation(2 * n_partials)[:n_partials],
        }
        for kind, places in sets.items():
            rows = np.unique(places[places <= n_tones].astype(np.int64)) - 1
            if len(rows) >= 3:
                found.append(Signal(kind, f"{kind} {number}", rows))
    return found


@dataclass(frozen=True)
class Collapses:
    """Every configuration: a signal at a stage.

    Attributes:
        signal: Row of the signal.
        stage: Row of the stage.
        predicted: 1 − classes / partials from strides and spans alone.
        observed: The same from the lines that were measured.
        lost: The same where lines meet and channel patterns do as well (|cos| > 0.95).
        pairs: Observed share of colliding pairs.
        wrong: Predicted with the frame rate of another stage.
    """

    signal: Int[np.ndarray, " n"]
    stage: Int[np.ndarray, " n"]
    predicted: Float[np.ndarray, " n"]
    observed: Float[np.ndarray, " n"]
    lost: Float[np.ndarray, " n"]
    pairs: Float[np.ndarray, " n"]
    wrong: Float[np.ndarray, " n"]


def collapses(
    some: Sequence[Signal],
    stages: Sequence[Stage],
    tones_hz: Float[np.ndarray, " tone"],
    lines: Mapping[str, Lines],
    least_cosine: float = 0.95,
) -> Collapses:
    """Collapse of every signal at every stage, foretold and observed (METHODS B-2).

    Foretold from arithmetic alone: partials meet when their folds lie within the bound f_s / R.
    Observed from tones played one at a time: the strongest line of each, and the pattern of complex
    amplitudes over channels. Where no line moves, a partial meets nothing.
    """
    rows: dict[str, list[float]] = {name: [] for name in Collapses.__dataclass_fields__}
    for place, stage in enumerate(stages):
        heard, width = lines[stage.address], stage.resolution_hz
        other = stages[(place + 1) % len(stages)]
        foretold = folded_hz(tones_hz, stage.rate_hz)
        elsewhere = folded_hz(tones_hz, other.rate_hz)
        for number, signal in enumerate(some):
            at = signal.partials
            peaks = heard.peak_hz[at]
            # Where nothing moves each partial is put far from all others.
            met = near(np.where(np.isnan(peaks), -1e9 * (1 + at), peaks), width)
            observed = collapse_of(met)
            gone = met & alike(heard.amplitudes[at], least_cosine)
            np.fill_diagonal(gone, val=True)
            values = (
                number,
                place,
                collapse_of(near(foretold[at], width)).rate,
                observed.rate,
                collapse_of(gone).rate,
                observed.pairs,
                collapse_of(near(elsewhere[at], width)).rate,
            )
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    arrays = {
        name: np.array(values, dtype=np.int64 if name in ("signal", "stage") else np.float64)
        for name, values in rows.items()
    }
    return Collapses(**arrays)


def correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Pearson's r; NaN where one of the sides does not vary.

    >>> round(correlation(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])), 6)
    1.0
    """
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def structured(kinds: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Which kinds are built as the sounds of music are: harmonic, stretched, in octaves."""
    return np.isin(kinds, KINDS[:3])
