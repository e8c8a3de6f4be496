"""Which of two networks has more class-specific neurons, at equal counts and at one threshold.

A rule that keeps a share of all neurons keeps as many in any network, so that two networks differ
by it in coverage only. Applied to the neurons of both as if they were one network's, it has one
bar and one entropy for both, and the networks differ in how many of the neurons kept are theirs
(METHODS D-3).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from auscult.measures.coverage import below_threshold, threshold_of
from auscult.measures.selectors import Rule, by_entropy


@dataclass(frozen=True)
class Contrast:
    """Two networks by one rule; the first of each pair is the one asked about.

    Attributes:
        equal: Members when the rule keeps its share of each network.
        common: Members when it keeps its share of both together.
    """

    equal: tuple[Bool[np.ndarray, "neuron class"], Bool[np.ndarray, "other class"]]
    common: tuple[Bool[np.ndarray, "neuron class"], Bool[np.ndarray, "other class"]]

    @property
    def gap(self) -> float:
        """Coverage of the first less that of the second, at equal counts; in [-1, 1]."""
        first, second = (float(one.any(0).mean()) for one in self.equal)
        return first - second

    @property
    def share(self) -> float:
        """Share of the neurons taken at one threshold that are the first network's.

        One half when both have as many, two thirds when it has twice as many; NaN when none is
        taken.
        """
        first, second = (int(one.any(1).sum()) for one in self.common)
        return first / (first + second) if first + second else float("nan")


def contrast(
    first: Float[np.ndarray, "neuron class"], second: Float[np.ndarray, "other class"], rule: Rule
) -> Contrast:
    """Compare two networks by the probabilities of their neurons in the same classes.

    Args:
        first: Of the network asked about.
        second: Of the other; its neurons may be of any number.
        rule: What it keeps.
    """
    both = np.concatenate([first, second])
    # Ties at the last place are all taken: the first network must not win them by its place.
    together = below_threshold(both, threshold_of(both, rule), rule)
    return Contrast(
        (by_entropy(first, rule), by_entropy(second, rule)),
        (together[: len(first)], together[len(first) :]),
    )
