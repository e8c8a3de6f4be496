"""Which neurons are specific to which class: six ways to say so, one interface.

A selector scores neurons under one or many ways of dealing out the labels at once; the first is the
true one, the others are its null. Sources: LAPE (Tang et al., ACL 2024, section 2 and its code),
AAPE (arXiv 2602.15307), mean difference and margin (arXiv 2601.03115), METHODS D-0, D-1, D-5.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from auscult.core.errors import UnknownNameError
from auscult.measures.conditional import Average
from auscult.measures.firing import Block, ClipFiring

Dealt = Int[np.ndarray, "deal clip"]
"""Class of each clip, by place, under several ways of dealing out labels; no label is negative."""
Probabilities = Float[np.ndarray, "*some class"]


@dataclass(frozen=True)
class Rule:
    """How many neurons are taken, and for which classes.

    Attributes:
        share: Of all neurons that are kept, those with the lowest entropies.
        bar: A kept neuron belongs to every class whose probability exceeds this quantile of all.
        floor: Quantile of the neurons' largest probabilities below which a neuron is left out;
            None for LAPE's own filter: no class exceeds the bar.
    """

    share: float = 0.01
    bar: float = 0.95
    floor: float | None = 0.05


def n_selected(share: float, n_neurons: int) -> int:
    """How many neurons a share is: rounded, at least one.

    >>> n_selected(0.01, 36_864), n_selected(0.02, 36_864)
    (369, 737)
    """
    return max(1, round(share * n_neurons))


def entropy(probabilities: Probabilities) -> Float[np.ndarray, "*some"]:
    """−Σ p′ ln p′ of each neuron's probabilities, normalised over the classes (METHODS D-0).

    0 for a neuron that is on in one class only, ln C for one that is on alike in all; also 0 for
    one that is never on. Bias: low for neurons that are on in few clips, so compare with dealt
    labels.
    """
    total = probabilities.sum(-1, keepdims=True)
    share = np.divide(probabilities, total, out=np.zeros_like(probabilities), where=total > 0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return np.asarray(np.abs((share * logs).sum(-1)))


def kth_value(values: Float[np.ndarray, "*any"], quantile: float) -> float:
    """The value of rank ``round(n · quantile)``, as LAPE's code takes it (torch's ``kthvalue``)."""
    flat = values.reshape(-1)
    rank = min(max(round(len(flat) * quantile), 1), len(flat)) - 1
    return float(np.partition(flat, rank)[rank])


def usable(
    probabilities: Float[np.ndarray, "neuron class"], rule: Rule
) -> Bool[np.ndarray, " neuron"]:
    """Neurons that the rule's first filter leaves: on often enough in some class."""
    largest = probabilities.max(-1)
    if rule.floor is None:
        return np.asarray(largest > kth_value(probabilities, rule.bar))
    return np.asarray((largest > kth_value(largest, rule.floor)) & (largest > 0))


def by_entropy(
    probabilities: Float[np.ndarray, "neuron class"], rule: Rule
) -> Bool[np.ndarray, "neuron class"]:
    """Keep the neurons of lowest entropy and give each to the classes above the bar.

    Ties at the last place go to the neuron that comes first. A kept neuron may belong to no class.
    """
    bar = kth_value(probabilities, rule.bar)
    lowest = np.where(usable(probabilities, rule), entropy(probabilities), np.inf)
    order = np.argsort(lowest, kind="stable")[: n_selected(rule.share, len(lowest))]
    kept = np.zeros(len(lowest), dtype=bool)
    kept[order[np.isfinite(lowest[order])]] = True
    return np.asarray(kept[:, None] & (probabilities > bar))


def equal_share(probabilities: Float[np.ndarray, "neuron class"], rule: Rule) -> Rule:
    """The share of all neurons that each class gets on average by the published rule.

    For selectors that rank neurons class by class, so that all take as many. Where the published
    rule takes none (its rarest neurons may exceed no bar), what LAPE's filter takes counts.
    """
    taken = by_entropy(probabilities, rule).mean()
    if not taken:
        taken = by_entropy(probabilities, Rule(rule.share, rule.bar, None)).mean()
    return Rule(share=float(taken), bar=rule.bar, floor=rule.floor)


class Selector(ABC):
    """One way to score how specific a neuron is.

    Attributes:
        per_class: Whether a neuron has a score for each class, or one for all.
    """

    per_class: ClassVar[bool] = True

    def __init__(self, average: Average = "clip") -> None:
        self.average = average

    def prepare(self, table: ClipFiring) -> None:  # noqa: B027
        """Look at the whole table once, before blocks of it are scored; most need not."""

    @abstractmethod
    def scores(
        self, block: Block, dealt: Dealt, n_classes: int
    ) -> Float[np.ndarray, "deal neuron cell"]:
        """Higher is more specific; one cell per class, or one in all."""

    def members(
        self, table: ClipFiring, labels: Int[np.ndarray, " clip"], n_classes: int, rule: Rule
    ) -> Bool[np.ndarray, "neuron class"]:
        """The neurons of each class: for every class the same share of all, by score."""
        found = scored(self, table, labels[None], n_classes)[0]
        return strongest(found, n_selected(rule.share, table.n_neurons))


def strongest(
    scores: Float[np.ndarray, "neuron class"], n: int
) -> Bool[np.ndarray, "neuron class"]:
    """The n highest scores of each class, of those above 0; ties go to the first neuron."""
    order = np.argsort(-scores, axis=0, kind="stable")[:n]
    found = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(found, order, True, axis=0)
    return np.asarray(found & (scores > 0))


def scored(
    selector: Selector, table: ClipFiring, dealt: Dealt, n_classes: int
) -> Float[np.ndarray, "deal neuron cell"]:
    """Scores of every neuron at once; for a few deals only, as it is held in memory."""
    selector.prepare(table)
    return np.concatenate(
        [selector.scores(block, dealt, n_classes) for block in table.blocks()], axis=1
    )


def class_means(
    values: Float[np.ndarray, "clip neuron"],
    dealt: Dealt,
    n_classes: int,
    weights: Float[np.ndarray, " clip"] | None = None,
) -> Float[np.ndarray, "deal neuron class"]:
    """Mean over the clips of each class, under each way of dealing."""
    member = (dealt[:, None, :] == np.arange(n_classes)[:, None]).astype(np.float32)
    if weights is not None:
        member *= weights.astype(np.float32)
    flat = member.reshape(-1, member.shape[-1])
    flat /= np.maximum(flat.sum(1, keepdims=True), 1e-12)
    means = (flat @ values.astype(np.float32)).reshape(len(dealt), n_classes, -1)
    return np.asarray(means.transpose(0, 2, 1), dtype=np.float64)


def firing_probabilities(
    block: Block, dealt: Dealt, n_classes: int, average: Average
) -> Float[np.ndarray, "deal neuron class"]:
    """P[neuron on | class] under each way of dealing out the labels."""
    weights = block.n_tokens if average == "token" else None
    return class_means(block.rates, dealt, n_classes, weights)


def all_probabilities(
    table: ClipFiring, dealt: Dealt, n_classes: int, average: Average
) -> Float[np.ndarray, "deal neuron class"]:
    """The same for every neuron; held in memory."""
    parts = [firing_probabilities(b, dealt, n_classes, average) for b in table.blocks()]
    return np.concatenate(parts, axis=1)


class Aape(Selector):
    """Low entropy of the activation probabilities, with the filters that audio work published.

    The 5 % of neurons whose largest probability is lowest are left out; 1 % (ESC-50, GISE-51: 2 %)
    of all are kept, by entropy; a class gets those of them above the 95th percentile of all
    probabilities. Each clip counts alike within its class.
    """

    per_class: ClassVar[bool] = False

    def scores(
        self, block: Block, dealt: Dealt, n_classes: int
    ) -> Float[np.ndarray, "deal neuron 1"]:
        """Entropy, negative."""
        found = firing_probabilities(block, dealt, n_classes, self.average)
        return np.asarray(-entropy(found)[..., None])

    def members(
        self, table: ClipFiring, labels: Int[np.ndarray, " clip"], n_classes: int, rule: Rule
    ) -> Bool[np.ndarray, "neuron class"]:
        """By the rule's three filters."""
        found = all_probabilities(table, labels[None], n_classes, self.average)[0]
        return by_entropy(found, rule)


class Lape(Aape):
    """Low entropy as LAPE has it: tokens count alike, and some class must exceed the bar."""

    def __init__(self, average: Average = "token") -> None:
        super().__init__(average)

    def members(
        self, table: ClipFiring, labels: Int[np.ndarray, " clip"], n_classes: int, rule: Rule
    ) -> Bool[np.ndarray, "neuron class"]:
        """By LAPE's own filters."""
        return super().members(table, labels, n_classes, Rule(rule.share, rule.bar, None))


class MeanDifference(Selector):
    """Mean activation in the class less that in the others, in standard deviations over clips."""

    def scores(
        self, block: Block, dealt: Dealt, n_classes: int
    ) -> Float[np.ndarray, "deal neuron class"]:
        """(m_c − mean of the other classes' m) / s."""
        means = class_means(block.means, dealt, n_classes)
        others = (means.sum(-1, keepdims=True) - means) / max(n_classes - 1, 1)
        return np.asarray((means - others) / _spread(block))


class Margin(Selector):
    """Mean activation in the class less the highest in any other, in standard deviations."""

    def scores(
        self, block: Block, dealt: Dealt, n_classes: int
    ) -> Float[np.ndarray, "deal neuron class"]:
        """(m_c − max of the other classes' m) / s."""
        means = class_means(block.means, dealt, n_classes)
        ordered = np.sort(means, axis=-1)
        first, second = ordered[..., -1:], ordered[..., -2:-1]
        return np.asarray((means - np.where(means == first, second, first)) / _spread(block))


def _spread(block: Block) -> Float[np.ndarray, "neuron 1"]:
    """Standard deviation of a neuron's mean activation over clips; it never depends on labels."""
    deviation = block.means.std(axis=0, dtype=np.float64)
    return np.where(deviation > 0, deviation, np.inf)[:, None]


class MutualInformation(Selector):
    """Bits that "on or off" tells about "this class or another", where on speaks for the class.

    Every class weighs alike. Range 0 to 1; negative where being on speaks against the class. Bias:
    positive, about 1 / (2 ln 2 · clips) where rates of whole clips differ.
    """

    def scores(
        self, block: Block, dealt: Dealt, n_classes: int
    ) -> Float[np.ndarray, "deal neuron class"]:
        """H(on) − H(on | class or not)."""
        inside = firing_probabilities(block, dealt, n_classes, self.average)
        outside = (inside.sum(-1, keepdims=True) - inside) / max(n_classes - 1, 1)
        weight = 1 / n_classes
        overall = weight * inside + (1 - weight) * outside
        bits = _bits(overall) - weight * _bits(inside) - (1 - weight) * _bits(outside)
        return np.asarray(np.sign(inside - outside) * np.maximum(bits, 0))


def _bits(p: Probabilities) -> Probabilities:
    q = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(-q * np.log2(q) - (1 - q) * np.log2(1 - q))


class ProbeWeight(Selector):
    """Weight of a neuron in a linear head that reads every neuron's mean activation.

    A ridge classifier on standardised means, one output a class; the penalty is the mean eigenvalue
    of the clips' kernel, which is half of what the head would need to fit noise. Solved over clips,
    of which there are fewer than neurons, so that dealing labels anew costs one product.
    """

    def prepare(self, table: ClipFiring) -> None:
        """Invert the kernel of the clips."""
        n = len(table.clip_ids)
        kernel = np.zeros((n, n))
        for block in table.blocks():
            z = _standardised(block)
            kernel += z @ z.T
        penalty = max(np.trace(kernel) / n, 1e-12)
        self._inverse = np.linalg.inv(kernel + penalty * np.eye(n))

    def scores(
        self, block: Block, dealt: Dealt, n_classes: int
    ) -> Float[np.ndarray, "deal neuron class"]:
        """The weights of the head."""
        member = (dealt[:, None, :] == np.arange(n_classes)[:, None]).astype(np.float64)
        target = member - member.mean(-1, keepdims=True)
        through = _standardised(block).T @ self._inverse
        found = target.reshape(-1, target.shape[-1]) @ through.T
        return np.asarray(found.reshape(len(dealt), n_classes, -1).transpose(0, 2, 1))


def _standardised(block: Block) -> Float[np.ndarray, "clip neuron"]:
    deviation = _spread(block)[:, 0]
    return np.asarray((block.means - block.means.mean(0, dtype=np.float64)) / deviation)


SELECTORS: Mapping[str, type[Selector]] = {
    "aape": Aape,
    "lape": Lape,
    "mean-difference": MeanDifference,
    "margin": Margin,
    "mutual-information": MutualInformation,
    "probe": ProbeWeight,
}


def selector(name: str) -> Selector:
    """A selector by name.

    Raises:
        UnknownNameError: There is none of this name.
    """
    if name not in SELECTORS:
        raise UnknownNameError("neuron selector", name, SELECTORS)
    return SELECTORS[name]()
