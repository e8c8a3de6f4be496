"""How many neurons of each class, in which layers, and how many classes have any (METHODS D-3)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.measures.firing import ClipFiring
from auscult.measures.selectors import Rule, entropy, kth_value, n_selected, usable


@dataclass(frozen=True)
class Covered:
    """A selection, counted.

    Attributes:
        per_class: Neurons of each class.
        by_layer: Neurons with at least one class, of each layer.
        n_neurons: Neurons with at least one class.
    """

    per_class: Int[np.ndarray, " class"]
    by_layer: Int[np.ndarray, " layer"]
    n_neurons: int

    @property
    def coverage(self) -> float:
        """Share of the classes with at least one neuron. Bias: grows with every neuron taken."""
        return float((self.per_class > 0).mean())

    @property
    def mean_per_class(self) -> float:
        """Mean number of neurons of a class."""
        return float(self.per_class.mean())


def covered(members: Bool[np.ndarray, "neuron class"], table: ClipFiring) -> Covered:
    """Count a selection."""
    some = members.any(axis=1)
    by_layer = np.bincount(table.layer_of[some], minlength=len(table.layers))
    return Covered(members.sum(axis=0), by_layer, int(some.sum()))


def threshold_of(probabilities: Float[np.ndarray, "neuron class"], rule: Rule) -> float:
    """Entropy of the last neuron that a rule keeps, as a share of the largest possible, ln C.

    In [0, 1]: networks of other sizes are compared at this entropy, as a share of them is not the
    same number of neurons, and their best hundredth not equally good.
    """
    left = probabilities[usable(probabilities, rule)]
    if not len(left):
        return 0.0
    lowest = np.sort(entropy(left))
    last = min(n_selected(rule.share, len(probabilities)), len(lowest)) - 1
    return float(abs(lowest[last]) / np.log(probabilities.shape[1]))


def below_threshold(
    probabilities: Float[np.ndarray, "neuron class"], threshold: float, rule: Rule
) -> Bool[np.ndarray, "neuron class"]:
    """All usable neurons up to an entropy, each in the classes above the bar, however many."""
    lowest = entropy(probabilities) / np.log(probabilities.shape[1])
    kept = usable(probabilities, rule) & (lowest <= threshold * (1 + 1e-12))
    return np.asarray(kept[:, None] & (probabilities > kth_value(probabilities, rule.bar)))
