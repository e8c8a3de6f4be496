"""A context whose response vectors are planted: what an analysis must find in them is known."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32

from auscult.analyses.base import BASE, Condition, Joint, Split
from auscult.core.errors import InvariantError, UnknownNameError
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.provenance import Provenance
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.store.source import ArraySource
from auscult.store.writer import StoreWriter

TAP = "planted"
Path2d = Float[np.ndarray, "frame d"]
Plant = Callable[[np.random.Generator], Path2d]
"""Draws the trajectory of one clip."""


def wandering(steps: Callable[[np.random.Generator], Path2d]) -> Plant:
    """Trajectories whose generators are given."""

    def plant(rng: np.random.Generator) -> np.ndarray:
        walked: np.ndarray = np.cumsum(steps(rng), axis=0)
        return walked

    return plant


class PlantedContext:
    """Answers as an experiment would, from trajectories and from atoms that are given.

    Args:
        folder: Where stores go.
        plants: How each condition moves.
        atoms: The archetypes of each condition, one set per seed; those of the base condition also
            stand for the test side.
        n_clips: Recordings of each side, one clip each.
        centre: Whether dictionaries subtract the mean generator of their condition.
    """

    def __init__(
        self,
        folder: Path,
        plants: Mapping[Condition, Plant],
        atoms: Mapping[Condition, list[Float[np.ndarray, "m d"]]],
        n_clips: int = 6,
        centre: bool = False,
    ) -> None:
        self._centre = centre
        self.seed = 0
        self.taps = [TAP]
        self._atoms = atoms
        self._paths: dict[tuple[Condition, str], Float32[np.ndarray, "frame d"]] = {}
        self._stores = {
            condition: self._written(folder / f"{place}", condition, plant, n_clips)
            for place, (condition, plant) in enumerate(plants.items())
        }

    def _written(
        self, folder: Path, condition: Condition, plant: Plant, n_clips: int
    ) -> ActivationStore:
        rng = np.random.default_rng(len(self._paths))
        writer: StoreWriter | None = None
        for side in ("train", "test"):
            for number in range(n_clips):
                name = f"{side}-{number}"
                path = plant(rng).astype(np.float32)
                self._paths[condition, name] = path
                writer = writer or StoreWriter(
                    folder,
                    d_in=path.shape[1],
                    time=TimeBase(16_000),
                    sampling=Sampling(),
                    seed=0,
                    provenance={"tap": TAP},
                )
                writer.add(name, name, torch.from_numpy(path), labels={})
        if writer is not None:
            writer.finish()
            writer.close()
        return ActivationStore.open(folder)

    def store(
        self,
        tap: str,  # noqa: ARG002
        condition: Condition = BASE,
        split: Split | None = None,
    ) -> ActivationStore:
        """What was planted under the condition."""
        if condition not in self._stores:
            known = [str(one) for one in self._stores]
            raise UnknownNameError("recorded condition", str(condition), known)
        store = self._stores[condition]
        return store if split is None else store.select(self.clip_ids(split, condition))

    def dictionary_names(self, of: str) -> list[str]:
        """One, of generators."""
        return ["archetypes"] if of == "generators" else []

    def lag(self, name: str) -> int:
        """One frame."""
        return 1 if name else 0

    def joint_names(self) -> list[str]:
        """None."""
        return []

    def joint(self, name: str, condition: Condition = BASE) -> list[Joint]:
        """None of any name."""
        raise UnknownNameError("dictionary", name, [str(condition)])

    def dictionaries(
        self,
        name: str,  # noqa: ARG002
        tap: str,  # noqa: ARG002
        condition: Condition = BASE,
        split: Split = "train",
    ) -> list[Dictionary]:
        """Signed pursuit with one pick on the planted atoms."""
        found = [self._dictionary(atoms, condition) for atoms in self._atoms[condition]]
        return found if condition == BASE and split == "train" else found[:1]

    def _dictionary(self, atoms: Float[np.ndarray, "m d"], condition: Condition) -> Dictionary:
        generators = self._stores[condition].generators(1)
        section = {"type": "random", "n_features": len(atoms), "k": 1, "signed": True}
        cls, params = DICTIONARIES.parse({**section, "centre": self._centre}, "planted")
        built: Any = cls.build(params, atoms.shape[1], 0, generators.statistics)
        built.fit_from(ArraySource(atoms), np.random.default_rng(0))
        lengths = np.linalg.norm(atoms, axis=1, keepdims=True)
        built.rows.copy_(torch.from_numpy((atoms / lengths).astype(np.float32)))
        built.provenance = Provenance(tap=TAP, of="generators")
        dictionary: Dictionary = built
        return dictionary

    def training_logs(self, name: str, tap: str) -> list[list[Mapping[str, Any]]]:  # noqa: ARG002
        """Nothing was trained."""
        return [[]]

    def time(self, tap: str) -> TimeBase:  # noqa: ARG002
        """One frame a sample."""
        return TimeBase(16_000)

    def clip_ids(self, split: Split = "test", condition: Condition = BASE) -> list[str]:
        """Named after their side."""
        return [
            name
            for known, name in self._paths
            if known == condition and name.startswith(f"{split}-")
        ]

    def responses(self, tap: str, clip_id: str, condition: Condition = BASE) -> Responses:
        """The planted trajectory."""
        values = torch.from_numpy(self._paths[condition, clip_id])[None]
        return Responses(values, self.time(tap), (clip_id,))

    def advance(self, share: float) -> None:
        """Nobody is told."""

    def batches(self, split: Split, condition: Condition = BASE) -> Any:
        """There are no sounds."""
        raise InvariantError(f"the {split} side of {condition} has no sounds")

    def model(self, weights: Any = "trained") -> Any:
        """There is none."""
        raise InvariantError(f"nothing was planted by a model of {weights} weights")

    def sound(self, clip_id: str, condition: Condition = BASE) -> Any:
        """There is none."""
        raise InvariantError(f"{clip_id} of {condition} has no sound")

    def hear(self, tap: str, waveform: np.ndarray, weights: Any = "trained") -> Any:
        """There is no model."""
        raise InvariantError(f"{tap} of {weights} weights hears nothing of {waveform.shape}")

    def clip(self, clip_id: str, *where: Any, **condition: Any) -> Any:
        """There is no sound."""
        raise InvariantError(f"{clip_id} has no sound: {where}, {condition}")
