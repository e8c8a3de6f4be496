"""What silencing neurons of a class does to every class, beside sets that match (METHODS D-5)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.measures.firing import ClipFiring
from auscult.measures.statistics import mcnemar

Neurons = Int[np.ndarray, "_"]


@dataclass(frozen=True)
class Outcome:
    """What a head says of test clips.

    Attributes:
        right: Whether the most probable class is the true one.
        own: Log-probability of the true class, natural.
    """

    right: Bool[np.ndarray, " clip"]
    own: Float[np.ndarray, " clip"]

    @classmethod
    def of(
        cls, log_p: Float[np.ndarray, "clip class"], labels: Int[np.ndarray, " clip"]
    ) -> "Outcome":
        """From the head's answers."""
        return cls(log_p.argmax(1) == labels, log_p[np.arange(len(labels)), labels])


@dataclass(frozen=True)
class Effect:
    """What one change did, class by class.

    Attributes:
        accuracy: Change of each class's accuracy, in percentage points.
        log_p: Change of the mean log-probability of the true class, in nats.
        p_values: McNemar's exact, of each class's clips.
    """

    accuracy: Float[np.ndarray, " class"]
    log_p: Float[np.ndarray, " class"]
    p_values: Float[np.ndarray, " class"]


def effect(
    before: Outcome, after: Outcome, labels: Int[np.ndarray, " clip"], n_classes: int
) -> Effect:
    """Compare the same clips with and without a change; NaN for a class that has none of them."""
    accuracy, log_p, p_values = (np.full(n_classes, np.nan) for _ in range(3))
    for label in np.unique(labels):
        mine = labels == label
        accuracy[label] = 100 * (after.right[mine].mean() - before.right[mine].mean())
        log_p[label] = (after.own[mine] - before.own[mine]).mean()
        p_values[label] = mcnemar(before.right[mine], after.right[mine])
    return Effect(accuracy, log_p, p_values)


def self_minus_cross(change: Float[np.ndarray, " class"], label: int) -> float:
    """Change of one class less the mean change of the others; negative when it alone is harmed."""
    others = np.delete(change, label)
    known = others[np.isfinite(others)]
    return float(change[label] - (known.mean() if len(known) else 0.0))


def matched(
    neurons: Neurons, table: ClipFiring, rng: np.random.Generator, reach: int = 5
) -> Neurons:
    """As many neurons drawn from the same layers, each near one of these in firing rate.

    Among the ``2 * reach`` others of the layer whose rates are nearest in rank; none of the set
    itself and none twice as long as the layer has others left.

    Args:
        neurons: The set to match.
        table: Layers and rates.
        rng: Draws.
        reach: Half-width of the neighbourhood, in ranks.
    """
    taken = set(neurons.tolist())
    drawn: list[int] = []
    for neuron in neurons.tolist():
        pool = np.flatnonzero(table.layer_of == table.layer_of[neuron])
        left = np.array([j for j in pool.tolist() if j not in taken])
        if not len(left):
            continue
        distance = np.abs(table.rate[left] - table.rate[neuron])
        near = left[np.argsort(distance, kind="stable")[: 2 * reach]]
        one = int(rng.choice(near))
        taken.add(one)
        drawn.append(one)
    return np.array(sorted(drawn), dtype=np.int64)


def next_indices(neurons: Neurons, table: ClipFiring) -> Neurons:
    """The neuron with the next index of the same layer: what was published as a random control.

    It is no sample: one set for each set, made of neighbours; in a trained layer the order of
    neurons means nothing, so that it stands for a single draw that matches layers and not rates.
    """
    starts = np.concatenate([[0], np.cumsum([layer.n_neurons for layer in table.layers])])
    layer = table.layer_of[neurons]
    sizes = np.diff(starts)[layer]
    return np.asarray(np.unique(starts[layer] + (neurons - starts[layer] + 1) % sizes))


def lower_share(value: float, null: Float[np.ndarray, " draw"]) -> float:
    """Share of draws that are at least as low, the value itself counted among them."""
    return float((1 + (null <= value + 1e-12).sum()) / (1 + len(null)))
