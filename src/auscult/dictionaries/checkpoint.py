"""Everything a training needs to go on exactly where it was, on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from auscult.core.errors import StoreError
from auscult.core.tensors import read_arrays, read_json, write_arrays, write_json


@dataclass(frozen=True)
class Checkpoint:
    """The state after a number of steps.

    The order of the data needs no state: it is a function of the settings and the step.

    Attributes:
        identity: Digest of settings, jobs and data; another training must not go on from here.
        step: Steps done.
        log_bytes: Length of each job's log at that step.
        arrays: Weights, optimiser state and counters by ``job/kind/name``.
    """

    identity: str
    step: int
    log_bytes: Mapping[str, int]
    arrays: Mapping[str, Shaped[np.ndarray, "..."]]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the one before; at every moment one of the two is whole."""
    arrays = f"checkpoint-{checkpoint.step:09d}.safetensors"
    write_arrays(folder / arrays, checkpoint.arrays)
    write_json(
        folder / "checkpoint.json",
        {
            "identity": checkpoint.identity,
            "step": checkpoint.step,
            "log_bytes": dict(checkpoint.log_bytes),
            "arrays": arrays,
        },
    )
    for old in folder.glob("checkpoint-*.safetensors"):
        if old.name != arrays:
            old.unlink()


def read_checkpoint(folder: Path, identity: str) -> Checkpoint | None:
    """Read the last checkpoint, or None where there is none.

    Raises:
        StoreError: It belongs to a training with other settings, jobs or data, or is damaged.
    """
    path = folder / "checkpoint.json"
    if not path.exists():
        return None
    said = read_json(path)
    try:
        if said["identity"] != identity:
            raise StoreError(
                f"{folder} holds a training with other settings, dictionaries or data: "
                "choose another folder, or delete it to start anew"
            )
        # The name is taken without its folder, so that a foreign file can only point beside itself.
        arrays = read_arrays(folder / Path(said["arrays"]).name)
        return Checkpoint(identity, int(said["step"]), dict(said["log_bytes"]), arrays)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path} is damaged: delete {folder} to start anew") from error
