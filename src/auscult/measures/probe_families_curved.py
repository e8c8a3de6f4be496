"""Readouts that are not linear: one hidden layer, and nearest neighbours."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from auscult.measures.probe_families import Answers, Readout, Standardised, estimate
from auscult.measures.probe_targets import Target


@final
@dataclass(frozen=True)
class HiddenReadout(Readout):
    """Standardise, one hidden layer of rectified units, softmax."""

    scaling: Standardised
    network: nn.Module
    centres: Float[np.ndarray, " n_classes"]

    def answers(self, x: Float[np.ndarray, "n d"]) -> Answers:
        """Read some vectors, a few thousand at a time."""
        with torch.inference_mode():
            parts = [
                torch.log_softmax(self.network(torch.from_numpy(self.scaling.apply(some))), dim=1)
                for some in np.array_split(x, max(1, len(x) // 8192))
            ]
        log_p = torch.cat(parts).double().numpy()
        return Answers(log_p, estimate(log_p, self.centres))


@final
@dataclass(frozen=True)
class Hidden:
    """One hidden layer, Adam with decoupled weight decay.

    Attributes:
        n_hidden: Hidden units.
        n_passes: Passes over the rows, at least.
        n_steps: Steps, at least.
        batch: Rows per step.
        learning_rate: Falls to a tenth along a half cosine.
        strengths: Weight decays.
    """

    n_hidden: int = 128
    n_passes: int = 8
    n_steps: int = 400
    batch: int = 512
    learning_rate: float = 2e-3
    strengths: tuple[float, ...] = (1e-1, 1e-2)

    @property
    def name(self) -> str:
        """As printed with every score."""
        return f"one hidden layer of {self.n_hidden}"

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        target: Target,
        strength: float,
        rng: np.random.Generator,
        start: Readout | None = None,  # noqa: ARG002
    ) -> HiddenReadout:
        """Fit to rows that all have a class."""
        scaling = Standardised.of(x)
        inputs = torch.from_numpy(scaling.apply(x))
        truth = torch.from_numpy(target.labels.astype(np.int64))
        network = self._network(x.shape[1], target.n_classes, rng)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=strength, fused=True
        )
        n_steps = max(self.n_steps, self.n_passes * len(x) // self.batch)
        order = np.array([], dtype=np.int64)
        for step in range(n_steps):
            if len(order) < self.batch:
                order = np.concatenate([order, rng.permutation(len(x))])
            rows, order = torch.from_numpy(order[: self.batch]), order[self.batch :]
            optimiser.param_groups[0]["lr"] = self.learning_rate * _falling(step / n_steps)
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[rows]), truth[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return HiddenReadout(scaling, network.eval(), target.centres)

    def _network(self, d: int, n_classes: int, rng: np.random.Generator) -> nn.Module:
        """He-normal weights drawn from our own generator, biases of zero."""
        with torch.random.fork_rng(devices=[]):  # what the layers draw themselves is thrown away
            hidden, out = nn.Linear(d, self.n_hidden), nn.Linear(self.n_hidden, n_classes)
        with torch.no_grad():
            for layer, variance in ((hidden, 2 / d), (out, 1 / self.n_hidden)):
                drawn = rng.standard_normal(tuple(layer.weight.shape)) * np.sqrt(variance)
                layer.weight.copy_(torch.from_numpy(drawn))
                layer.bias.zero_()
        return nn.Sequential(hidden, nn.ReLU(), out)


def _falling(done: float) -> float:
    """From 1 to 0.1 along half a cosine."""
    return 0.55 + 0.45 * float(np.cos(np.pi * done))


@final
@dataclass(frozen=True)
class NeighbourReadout(Readout):
    """Labels of the nearest training rows, in standardised Euclidean distance."""

    scaling: Standardised
    known: Tensor
    labels: Int[np.ndarray, " n"]
    prior: Float[np.ndarray, " n_classes"]
    centres: Float[np.ndarray, " n_classes"]
    n_neighbours: int

    def answers(self, x: Float[np.ndarray, "n d"]) -> Answers:
        """Share of each class among the neighbours and one more that is drawn from the prior."""
        half_norms = self.known.square().sum(dim=1) / 2
        votes = np.tile(self.prior, (len(x), 1))
        for start in range(0, len(x), 1024):
            some = torch.from_numpy(self.scaling.apply(x[start : start + 1024]))
            nearness = some @ self.known.T - half_norms  # orders rows as the distance does
            nearest = nearness.topk(self.n_neighbours, dim=1).indices.numpy()
            rows = np.arange(start, start + len(some))[:, None]
            np.add.at(votes, (rows, self.labels[nearest]), 1.0)
        log_p = np.log(votes / (self.n_neighbours + 1))
        return Answers(log_p, estimate(log_p, self.centres))


@final
@dataclass(frozen=True)
class Neighbours:
    """k nearest neighbours; validation chooses k.

    Attributes:
        strengths: Numbers of neighbours.
        n_most: Training rows that are kept.
    """

    strengths: tuple[float, ...] = (31.0, 11.0, 3.0, 1.0)
    n_most: int = 20_000

    @property
    def name(self) -> str:
        """As printed with every score."""
        return "nearest neighbours"

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        target: Target,
        strength: float,
        rng: np.random.Generator,
        start: Readout | None = None,  # noqa: ARG002
    ) -> NeighbourReadout:
        """Keep rows that all have a class."""
        rows = np.arange(len(x))
        if len(x) > self.n_most:
            rows = np.sort(rng.choice(len(x), self.n_most, replace=False))
        scaling = Standardised.of(x)
        counts = np.bincount(target.labels, minlength=target.n_classes) + 0.5
        return NeighbourReadout(
            scaling,
            torch.from_numpy(scaling.apply(x[rows])),
            target.labels[rows],
            counts / counts.sum(),
            target.centres,
            min(int(strength), len(rows)),
        )
