"""What a probe is asked to read: classes that may stand on a scale (METHODS C-4, C-5)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.core.errors import ConfigError

UNKNOWN = -1
"""Label of a row that has no class: no probe is fitted to it or judged on it."""


@final
@dataclass(frozen=True)
class Target:
    """One class per row, and what the classes mean.

    Attributes:
        labels: Class of each row; ``UNKNOWN`` for a row to be left out.
        names: One name per class.
        values: What was measured, in ``unit``; NaN where there is no value, and for bare classes.
        centres: Middle of each class in ``unit``; NaN for a class off the scale ("unvoiced").
            All NaN for classes without an order.
        unit: Of values and centres.
    """

    labels: Int[np.ndarray, " n"]
    names: tuple[str, ...]
    values: Float[np.ndarray, " n"]
    centres: Float[np.ndarray, " n_classes"]
    unit: str = ""

    def __post_init__(self) -> None:
        if len(self.names) != len(self.centres) or len(self.labels) != len(self.values):
            raise ConfigError("a target needs one name per class and one value per row")
        if len(self.labels) and not UNKNOWN <= self.labels.min() <= self.labels.max() < len(
            self.names
        ):
            raise ConfigError(f"a label lies outside the {len(self.names)} classes of the target")

    @property
    def n_classes(self) -> int:
        """Number of classes, whether or not a row is of them."""
        return len(self.names)

    @property
    def ordered(self) -> bool:
        """Whether the classes stand on a scale."""
        return bool(np.isfinite(self.centres).any())

    def rows(self, chosen: Shaped[np.ndarray, " k"]) -> "Target":
        """The same for some rows, by number or by mask."""
        return replace(self, labels=self.labels[chosen], values=self.values[chosen])

    def relabelled(self, labels: Int[np.ndarray, " n"]) -> "Target":
        """Other labels of the same classes; each row's value becomes the middle of its class."""
        known = labels >= 0
        values = np.where(known, self.centres[np.where(known, labels, 0)], np.nan)
        return replace(self, labels=labels, values=values)


def binned(
    values: Float[np.ndarray, " n"],
    edges: Float[np.ndarray, " edge"],
    unit: str,
    absent: str | None = None,
    centres: Float[np.ndarray, " bin"] | None = None,
) -> Target:
    """Divide a scale into classes; what lies beyond the edges falls in the outermost bins.

    Args:
        values: NaN where there is none.
        edges: Ascending, in the unit of the values.
        unit: Of both.
        absent: Name of a class for rows without a value ("unvoiced"); None leaves them out.
        centres: What to call the middle of each bin; none: half-way between its edges.

    >>> binned(np.array([0.1, 0.9, 7.0, np.nan]), np.array([0.0, 0.5, 1.0]), "s").labels.tolist()
    [0, 1, 1, -1]
    """
    n_bins = len(edges) - 1
    if n_bins < 1 or np.any(np.diff(edges) <= 0):
        raise ConfigError("bins need at least two edges in ascending order")
    known = np.isfinite(values)
    inside = np.clip(np.searchsorted(edges, values, "right") - 1, 0, n_bins - 1)
    middles = (edges[:-1] + edges[1:]) / 2 if centres is None else centres
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    missing = UNKNOWN
    if absent is not None:
        missing, names, middles = n_bins, [*names, absent], np.append(middles, np.nan)
    labels = np.where(known, inside, missing).astype(np.int64)
    return Target(labels, tuple(names), values.astype(np.float64), middles.astype(float), unit)


def categories(labels: Sequence[str | None], names: Sequence[str] | None = None) -> Target:
    """Classes without an order, from words; None leaves a row out.

    Args:
        labels: One word a row.
        names: The classes, in order; none: the words that occur, sorted.

    >>> categories(["oboe", None, "flute"]).labels.tolist()
    [1, -1, 0]
    """
    known = sorted({word for word in labels if word is not None}) if names is None else names
    place = {word: i for i, word in enumerate(known)}
    unknown = sorted({w for w in labels if w is not None} - place.keys())
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is not among the classes: {', '.join(known)}")
    rows = [UNKNOWN if word is None else place[word] for word in labels]
    nothing = np.full(len(rows), np.nan)
    return Target(
        np.array(rows, dtype=np.int64), tuple(known), nothing, np.full(len(known), np.nan)
    )
