"""Where frequencies go when a signal is decimated, and which of them meet there (METHODS B-2)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped


def folded_hz(f_hz: Float[np.ndarray, " n"], rate_hz: float) -> Float[np.ndarray, " n"]:
    """The frequency that a tone seems to have among frames that come at a rate (METHODS B-2).

    a(f) = |((f + F/2) mod F) − F/2|: what lies above F/2 is folded into 0 … F/2.

    >>> [float(folded_hz(np.array([7000.0]), rate)[0]) for rate in (12e3, 3e3, 600.0, 75.0)]
    [5000.0, 1000.0, 200.0, 25.0]
    """
    return np.asarray(np.abs((f_hz + rate_hz / 2) % rate_hz - rate_hz / 2))


def alias_classes(
    folded: Float[np.ndarray, " partial"], resolution_hz: float
) -> Int[np.ndarray, " partial"]:
    """Number the classes of partials whose folded frequencies cannot be told apart (METHODS B-2).

    Two partials are equivalent when they lie closer than the resolution; equivalence is made
    transitive, so that a chain of near neighbours is one class. Bias: a long chain counts as one
    class although its ends could be told apart; the share of colliding pairs does not chain.

    >>> alias_classes(np.array([100.0, 400.0, 104.0]), 10.0).tolist()
    [0, 1, 0]
    """
    order = np.argsort(folded, kind="stable")
    starts = np.diff(folded[order], prepend=-np.inf) >= resolution_hz
    classes = np.empty(len(folded), dtype=np.int64)
    classes[order] = np.cumsum(starts) - 1
    return classes


@dataclass(frozen=True)
class Collapse:
    """How much of a signal of several partials falls together.

    Attributes:
        rate: 1 − number of classes / number of partials: 0 none meet, towards 1 all do.
        pairs: Share of the pairs of partials that meet, 0 to 1.
    """

    rate: float
    pairs: float


def collapse_of(meets: Shaped[np.ndarray, "partial partial"]) -> Collapse:
    """Collapse of a signal from which of its partials meet (METHODS B-2).

    Args:
        meets: Symmetric; whether two partials cannot be told apart. Classes are its connected
            components.
    """
    from scipy.sparse.csgraph import connected_components

    n = len(meets)
    n_classes = int(connected_components(meets, directed=False)[0])
    return Collapse(1 - n_classes / n, float(np.mean(meets[np.triu_indices(n, 1)])))


def near(
    lines_hz: Float[np.ndarray, " partial"], resolution_hz: float
) -> Shaped[np.ndarray, "partial partial"]:
    """Which pairs of lines lie closer than the resolution."""
    return np.asarray(np.abs(lines_hz[:, None] - lines_hz) < resolution_hz)


def alike(
    patterns: Shaped[np.ndarray, "partial channel"], least: float = 0.95
) -> Shaped[np.ndarray, "partial partial"]:
    """Which pairs of channel patterns have |cos| above a level: no readout by channel parts them.

    Patterns are complex amplitudes; a common phase does not count. One of zeros is like none.
    """
    lengths = np.linalg.norm(patterns, axis=1, keepdims=True)
    units = np.divide(patterns, lengths, out=np.zeros_like(patterns), where=lengths > 0)
    return np.asarray(np.abs(units @ units.conj().T) > least)


def cosines(patterns: Shaped[np.ndarray, "partial channel"]) -> Float[np.ndarray, " pair"]:
    """|cos| of every pair of channel patterns, in the order of the upper triangle."""
    lengths = np.linalg.norm(patterns, axis=1, keepdims=True)
    units = np.divide(patterns, lengths, out=np.zeros_like(patterns), where=lengths > 0)
    return np.asarray(np.abs(units @ units.conj().T)[np.triu_indices(len(patterns), 1)])
