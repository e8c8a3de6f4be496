"""Arrays and JSON on disk: safetensors and plain text, written aside and renamed, never pickled."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from auscult.core.errors import StoreError


@contextmanager
def _written_aside(path: Path) -> Iterator[Path]:
    """Where to write what is to exist whole at ``path``, or not at all: then fsync and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        aside.touch()
        mode = aside.stat().st_mode
        yield aside
        aside.chmod(mode)  # safetensors leaves a file that nobody else may read
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it either exists whole or not at all."""
    with _written_aside(path) as aside:
        aside.write_bytes(data)


def write_json(path: Path, data: object) -> None:
    """Write JSON with sorted keys; numbers that are not finite are refused rather than mangled."""
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        StoreError: The file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as safetensors.

    Keys in sorted order so that equal data are equal bytes. Written from where they lie: bytes of
    a checkpoint made first would take as much memory again as a training does.

    Raises:
        OSError: There is no room, or no right to write.
    """
    contiguous = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    with _written_aside(path) as aside:
        try:
            save_file(contiguous, aside)
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written: {error}") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a safetensors file.

    Raises:
        StoreError: The file is missing or damaged.
    """
    try:
        return dict(load_file(path))
    except (OSError, ValueError, SafetensorError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
