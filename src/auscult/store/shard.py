"""One shard: an immutable safetensors file of whole clips, written aside, mapped when read.

The file describes itself: its header carries the table of its clips. Its name carries its position
and its digest: the rename that gives it this name is the one moment at which its clips are stored.
"""

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int32, Int64

from auscult.core.errors import StoreError
from auscult.store.index import (
    ClipRecord,
    FileRecord,
    clips_from_columns,
    clips_to_columns,
    digest_in_name,
)

_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_COLUMNS = ("frame", "clip", "values")
_LONGEST_HEADER = 100_000_000
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class ShardImage:
    """What a shard holds.

    Attributes:
        number: Its position among the shards.
        first_clip: Position of its first clip in the store's table.
        clips: Its clips, whole, in order.
        frame: Which frame of its clip each vector is.
        clip: Position of each vector's clip in the store's table.
        values: The vectors.
    """

    number: int
    first_clip: int
    clips: Sequence[ClipRecord]
    frame: Int64[np.ndarray, " n"]
    clip: Int32[np.ndarray, " n"]
    values: Float[np.ndarray, "n d_in"]


def write_shard(folder: Path, image: ShardImage) -> FileRecord:
    """Write a shard so that it exists whole, under its digest's name, or not at all.

    Raises:
        OSError: The disk is full or failing; nothing is left behind.
    """
    parts: list[bytes | memoryview] = [_header(image)]
    for name in _COLUMNS:
        array: np.ndarray = getattr(image, name)
        parts.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    name = f"{image.number:05d}-{hasher.hexdigest()}.safetensors"
    aside = folder / f".{image.number:05d}.partial"
    try:
        with aside.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(folder / name)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(folder)
    n_bytes = sum(len(part) for part in parts)
    return FileRecord(name, n_bytes, len(image.values), len(image.clips))


def _header(image: ShardImage) -> bytes:
    """Make the header, padded with spaces so that the data begin at a cache line."""
    entries: dict[str, Any] = {
        "__metadata__": {
            "first_clip": str(image.first_clip),
            "clips": json.dumps(
                clips_to_columns(image.clips), separators=(",", ":"), allow_nan=False
            ),
        }
    }
    start = 0
    for name in _COLUMNS:
        array: np.ndarray = getattr(image, name)
        stop = start + array.nbytes
        entries[name] = {
            "dtype": _CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    return struct.pack("<Q", len(text)) + text


class MappedShard:
    """A shard's arrays, mapped and read-only; the file's layout is checked, its digest is not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing: capture again") from error
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        try:
            self._parse()
        except (KeyError, TypeError, ValueError, struct.error) as error:
            raise StoreError(
                f"{path} is damaged ({error}): delete its store and capture again"
            ) from error

    def _parse(self) -> None:
        (length,) = struct.unpack_from("<Q", self._map, 0)
        if length > min(_LONGEST_HEADER, len(self._map) - 8):
            raise ValueError("its header is longer than the file")
        header = json.loads(self._map[8 : 8 + length])
        metadata = header.pop("__metadata__")
        if set(header) != set(_COLUMNS):
            raise ValueError(f"it holds {', '.join(sorted(header))}")
        begin = 8 + length
        arrays: dict[str, np.ndarray] = {}
        end = 0
        for name in _COLUMNS:
            entry = header[name]
            start, stop = entry["data_offsets"]
            dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
            size = int(np.prod(shape, dtype=np.int64))
            if (
                start != end
                or stop - start != size * dtype.itemsize
                or stop > len(self._map) - begin
            ):
                raise ValueError(f"the array {name!r} does not lie where the header says")
            arrays[name] = np.frombuffer(self._map, dtype, size, begin + start).reshape(shape)
            end = stop
        if begin + end != len(self._map):
            raise ValueError(f"it has {len(self._map)} bytes, its header tells of {begin + end}")
        self.frame: Int64[np.ndarray, " n"] = arrays["frame"]
        self.clip: Int32[np.ndarray, " n"] = arrays["clip"]
        self.values: Float[np.ndarray, "n d_in"] = arrays["values"]
        self.first_clip = int(metadata["first_clip"])
        self.clips = clips_from_columns(json.loads(metadata["clips"]))
        if not len(self.frame) == len(self.clip) == len(self.values):
            raise ValueError("its arrays have different lengths")
        if sum(clip.n_vectors for clip in self.clips) != len(self.values):
            raise ValueError("its clips and its vectors do not add up")

    @property
    def record(self) -> FileRecord:
        """The file as the index lists it."""
        return FileRecord(self.path.name, len(self._map), len(self.values), len(self.clips))


def verify_file(folder: Path, record: FileRecord) -> None:
    """Compare a file with the digest in its name.

    Raises:
        StoreError: It is missing, or any of its bytes differs.
    """
    path = folder / record.file
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                hasher.update(chunk)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}; capture again") from error
    if hasher.hexdigest() != digest_in_name(record.file):
        raise StoreError(
            f"{path} is damaged: its bytes are not those that were written; capture again"
        )


def sync_folder(folder: Path) -> None:
    """Make renames within a folder survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
