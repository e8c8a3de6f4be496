"""Which dictionaries a finished run holds, and where they lie."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core.errors import StoreError
from auscult.core.tensors import read_json
from auscult.experiment.workspace import STAGES

_STAGE = re.compile(r"^fit .* to ((?:responses|generators)\b.*)$")


@dataclass(frozen=True)
class Fitted:
    """A dictionary of a run.

    Attributes:
        name: As the spec has it, spelled as a file name.
        seed: Of its training.
        kind: Its type.
        n_features: Number of atoms.
        learned_from: Which vectors, under which weights, of which sounds.
        folder: Where it lies; :meth:`Dictionary.load` reads it.
    """

    name: str
    seed: int
    kind: str
    n_features: int
    learned_from: str
    folder: Path

    def __str__(self) -> str:
        """What it is, and on a line of its own where, so that it can be copied."""
        what = f"{self.name}, seed {self.seed}: {self.kind} of {self.n_features} features"
        return f"{what}, {self.learned_from}\n    {self.folder}"


def fitted_in(run: Path, named: str = "") -> list[Fitted]:
    """The dictionaries of a finished run, in the order in which they were fitted.

    Args:
        run: Its folder.
        named: Only those whose name or vectors hold this.

    Raises:
        StoreError: There is no finished run, or it has no such dictionary.
    """
    if not (run / "manifest.json").is_file():
        raise StoreError(f"{run} holds no finished run (no manifest.json)")
    found = [
        one
        for stage in read_json(run / "manifest.json")["stages"]
        for one in _of_stage(run, stage)
        if named in one.name or named in one.learned_from
    ]
    if not found and named:
        raise StoreError(
            f"{run} holds no dictionary with {named!r} in its name or in what it learned from: "
            "leave that out to see all"
        )
    if not found:
        raise StoreError(
            f"{run} fitted no dictionary: auscult init dictionaries starts a study that does"
        )
    return found


def _of_stage(run: Path, stage: dict[str, Any]) -> list[Fitted]:
    told = _STAGE.match(stage["name"])
    if told is None:
        return []
    rows = []
    for path in sorted((run / STAGES).glob(f"*-{stage['key'][:12]}/dictionaries/*/auscult.json")):
        name, _, seed = path.parent.name.rpartition("-seed-")
        said = read_json(path)
        n_features = int(said["params"]["n_features"])
        rows.append(Fitted(name, int(seed), said["type"], n_features, told[1], path.parent))
    return rows
