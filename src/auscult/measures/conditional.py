"""Conditional activation probabilities: how often each neuron is on, given the class.

METHODS D-0, D-1, D-6. Sources: T. Tang et al., "Language-Specific Neurons: The Key to Multilingual
Capabilities in Large Language Models" (LAPE), ACL 2024, section 2; arXiv 2602.15307 (AAPE).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Int64

from auscult.core.errors import NothingToMeasureError, StoreError, WidthError
from auscult.core.tensors import read_arrays, read_json, write_arrays, write_json
from auscult.measures.firing import ClipFiring, FiringPass, Heard
from auscult.taps.neurons import NeuronLayer

Average = Literal["clip", "token"]
"""Over a class: the mean of its clips' shares, each clip alike (METHODS D-1), or over all its
tokens (LAPE)."""

_FORMAT = "auscult conditional activations 1"


@dataclass(frozen=True)
class ConditionalFiring:
    """What every neuron did in every class.

    Attributes:
        layers: The layers, in order; their neurons stand side by side.
        classes: Names of the classes.
        fired: Tokens of a class at which a neuron was on.
        rate_sum: Sum over the clips of a class of the share of tokens at which it was on.
        mean_sum: The same sum of mean activations.
        n_tokens: Tokens of a class in each layer.
        n_clips: Clips of a class.
        clip_ids: The clips that were heard, in order.
        labels: Class of each, by place.
    """

    layers: tuple[NeuronLayer, ...]
    classes: tuple[str, ...]
    fired: Int64[np.ndarray, "neuron class"]
    rate_sum: Float[np.ndarray, "neuron class"]
    mean_sum: Float[np.ndarray, "neuron class"]
    n_tokens: Int64[np.ndarray, "layer class"]
    n_clips: Int64[np.ndarray, " class"]
    clip_ids: tuple[str, ...] = ()
    labels: Int64[np.ndarray, " clip"] = field(default_factory=lambda: np.zeros(0, np.int64))

    def probabilities(self, average: Average = "clip") -> Float[np.ndarray, "neuron class"]:
        """P[neuron on | class], in [0, 1]."""
        if average == "clip":
            return np.asarray(self.rate_sum / self.n_clips)
        widths = [layer.n_neurons for layer in self.layers]
        return np.asarray(self.fired / np.repeat(self.n_tokens, widths, axis=0))

    def means(self) -> Float[np.ndarray, "neuron class"]:
        """Mean activation in each class, every clip alike."""
        return np.asarray(self.mean_sum / self.n_clips)

    def save(self, folder: Path) -> None:
        """Write ``conditional.safetensors`` and ``conditional.json`` (METHODS D-6).

        ``over_zero [layer neuron class]`` over ``counts [class]`` is the probability; layers of
        fewer neurons than the widest end in zeros, and ``widths`` says where.
        """
        arrays = {
            "over_zero": self._stacked(self.rate_sum),
            "counts": self.n_clips,
            "token_over_zero": self._stacked(self.fired),
            "token_counts": self.n_tokens,
            "activation_sum": self._stacked(self.mean_sum),
            "gts": self.labels,
            "widths": np.array([layer.n_neurons for layer in self.layers]),
        }
        layers = [[layer.address, layer.n_neurons, layer.n_places] for layer in self.layers]
        told = {
            "format": _FORMAT,
            "classes": list(self.classes),
            "layers": layers,
            "features": list(self.clip_ids),
        }
        write_arrays(folder / "conditional.safetensors", arrays)
        write_json(folder / "conditional.json", told)

    @classmethod
    def load(cls, folder: Path) -> "ConditionalFiring":
        """Read what :meth:`save` wrote.

        Raises:
            StoreError: The files are missing, damaged, or of another format.
        """
        told = read_json(folder / "conditional.json")
        arrays = read_arrays(folder / "conditional.safetensors")
        try:
            layers = tuple(NeuronLayer(*entry) for entry in told["layers"])
            mine = told["format"] == _FORMAT
            widths = arrays["widths"]

            def flat(name: str) -> np.ndarray:
                return np.concatenate([a[:w] for a, w in zip(arrays[name], widths, strict=True)])

            found = cls(
                layers,
                tuple(told["classes"]),
                flat("token_over_zero"),
                flat("over_zero"),
                flat("activation_sum"),
                arrays["token_counts"],
                arrays["counts"],
                tuple(told["features"]),
                arrays["gts"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{folder} holds no conditional activations: {error}") from error
        if not mine:
            raise StoreError(f"{folder} is of the format {told['format']!r}, not {_FORMAT!r}")
        return found

    def _stacked(self, values: np.ndarray) -> np.ndarray:
        """``[neuron class]`` as ``[layer neuron class]``, zeros behind narrow layers."""
        widest = max(layer.n_neurons for layer in self.layers)
        out = np.zeros((len(self.layers), widest, values.shape[1]), dtype=values.dtype)
        start = 0
        for place, layer in enumerate(self.layers):
            out[place, : layer.n_neurons] = values[start : start + layer.n_neurons]
            start += layer.n_neurons
        return out


class ConditionalCounter:
    """Gathers classes while clips stream by: memory grows with neurons times classes alone.

    Args:
        counting: The model and its taps.
        classes: Names of the classes.
    """

    def __init__(self, counting: FiringPass, classes: Sequence[str]) -> None:
        self.counting = counting
        self.classes = tuple(classes)
        n, width = len(classes), sum(layer.n_neurons for layer in counting.layers)
        # Classes first: a batch adds whole rows.
        self._fired = torch.zeros(n, width, dtype=torch.int64)
        self._rates = torch.zeros(n, width, dtype=torch.float64)
        self._means = torch.zeros(n, width, dtype=torch.float64)
        self._tokens = torch.zeros(n, len(counting.layers), dtype=torch.int64)
        self._clip_ids: list[str] = []
        self._labels: list[int] = []

    def add(self, batch: Heard, labels: Sequence[int]) -> None:
        """Run a batch and add it to its classes.

        Args:
            batch: The clips.
            labels: Class of each clip, by place.
        """
        where = torch.tensor(labels)
        start = 0
        heard = self.counting.count(batch.waveform, batch.n_valid)
        for place, layer in enumerate(self.counting.layers):
            one, here = heard[layer.address], slice(start, start + layer.n_neurons)
            n_tokens = one.n_tokens.double()[:, None]
            fired, total = one.fired.cpu(), one.total.double().cpu()
            self._fired[:, here].index_add_(0, where, fired)
            self._rates[:, here].index_add_(0, where, fired.double() / n_tokens)
            self._means[:, here].index_add_(0, where, total / n_tokens)
            self._tokens[:, place].index_add_(0, where, one.n_tokens)
            start += layer.n_neurons
        self._clip_ids += batch.clip_ids
        self._labels += labels

    def result(self) -> ConditionalFiring:
        """What was gathered.

        Raises:
            NothingToMeasureError: A class was never heard.
        """
        n_clips = np.bincount(self._labels, minlength=len(self.classes))
        _all_heard(self.classes, n_clips)
        return ConditionalFiring(
            self.counting.layers,
            self.classes,
            self._fired.T.contiguous().numpy(),
            self._rates.T.contiguous().numpy(),
            self._means.T.contiguous().numpy(),
            self._tokens.T.contiguous().numpy(),
            n_clips,
            tuple(self._clip_ids),
            np.array(self._labels),
        )


def conditional_firing(
    counting: FiringPass, batches: Iterable[tuple[Heard, Sequence[int]]], classes: Sequence[str]
) -> ConditionalFiring:
    """One pass over any number of labelled clips.

    Raises:
        NothingToMeasureError: A class was never heard.
    """
    counter = ConditionalCounter(counting, classes)
    for batch, labels in batches:
        counter.add(batch, labels)
    return counter.result()


def gathered(
    table: ClipFiring, labels: Int[np.ndarray, " clip"], classes: Sequence[str]
) -> ConditionalFiring:
    """The same from rows of clips that are kept: another way to the same numbers.

    Args:
        table: Clip by clip.
        labels: Class of each clip by place; negative: of none.
        classes: Their names.

    Raises:
        NothingToMeasureError: A class has no clip.
    """
    n = len(classes)
    member = (labels == np.arange(n)[:, None]).astype(np.float64)
    _all_heard(classes, member.sum(1))
    parts = [
        (member @ b.fired, member @ (b.fired / b.n_tokens[:, None]), member @ b.means)
        for b in table.blocks()
    ]
    fired, rates, means = (np.concatenate(part, axis=1).T for part in zip(*parts, strict=True))
    kept = labels >= 0
    return ConditionalFiring(
        table.layers,
        tuple(classes),
        np.rint(fired).astype(np.int64),
        rates,
        means,
        np.rint(table.n_tokens.T @ member.T).astype(np.int64),
        member.sum(1).astype(np.int64),
        tuple(table.clip_ids[kept].tolist()),
        labels[kept].astype(np.int64),
    )


def largest_difference(one: ConditionalFiring, other: ConditionalFiring) -> float:
    """Largest difference of a probability between two files of the same neurons and classes.

    Classes are matched by name, clips need not be the same.

    Raises:
        WidthError: They are not of the same layers and classes.
    """
    same = [(a.address, a.n_neurons) for a in one.layers] == [
        (b.address, b.n_neurons) for b in other.layers
    ]
    if not same or sorted(one.classes) != sorted(other.classes):
        raise WidthError("the two are not of the same layers and classes")
    order = [other.classes.index(name) for name in one.classes]
    return float(np.abs(one.probabilities() - other.probabilities()[:, order]).max())


def _all_heard(classes: Sequence[str], n_clips: np.ndarray) -> None:
    silent = [name for name, n in zip(classes, n_clips, strict=True) if not n]
    if silent:
        raise NothingToMeasureError(f"no clip of the class {silent[0]!r} was heard")
