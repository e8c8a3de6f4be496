"""What a writer finds in its folder: nothing, a finished store, or what a killed writer left."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from safetensors.numpy import save

from auscult.core.errors import StoreError
from auscult.core.tensors import read_arrays, write_bytes
from auscult.store.index import (
    INDEX_NAME,
    ClipRecord,
    FileRecord,
    StoreIndex,
    StoreSettings,
    difference,
    is_store_file,
    shard_number,
)
from auscult.store.lock import LOCK_NAME
from auscult.store.shard import MappedShard, ShardImage, verify_file
from auscult.store.statistics import Moments


@dataclass(frozen=True)
class Recovered:
    """The state in which a writer goes on.

    Attributes:
        shards: Files of the clips that are safely on disk.
        clips: These clips.
        last: What the last shard holds.
        moments: Sums over all of them.
        keep: Files of the finished store, which readers may be using; kept until the next finish.
    """

    shards: tuple[FileRecord, ...]
    clips: tuple[ClipRecord, ...]
    last: ShardImage | None
    moments: Moments
    keep: frozenset[str]


def recover(folder: Path, settings: StoreSettings) -> Recovered:
    """Look at what is in a folder, clear away what was never completed, and read how far it got.

    Raises:
        StoreError: It holds something else, or a store of other settings, or files are missing.
        OSError: It cannot be read or written.
    """
    for leftover in folder.glob(".*.partial"):
        leftover.unlink()
    if not (folder / INDEX_NAME).exists():
        if any(path.name != LOCK_NAME for path in folder.iterdir()):
            raise StoreError(f"{folder} holds other files and no store: choose an empty folder")
        StoreIndex(settings).write(folder)
    index = StoreIndex.read(folder)
    told = difference(settings.to_json(), index.settings.to_json())
    if told:
        raise StoreError(
            f"{folder} was captured with other settings: {told}; choose another folder"
        )
    keep = frozenset(index.files) if index.statistics else frozenset()
    shards = _shards(folder, keep)
    clips = tuple(clip for shard in shards for clip in shard.clips)
    moments = _moments(folder, index, shards)
    last = None
    if shards:
        final = shards[-1]
        last = ShardImage(
            len(shards) - 1, final.first_clip, final.clips, final.frame, final.clip, final.values
        )
    return Recovered(tuple(shard.record for shard in shards), clips, last, moments, keep)


def _shards(folder: Path, keep: frozenset[str]) -> list[MappedShard]:
    """Map the fullest shard of each number; remove those that it replaced unless they are kept."""
    found: defaultdict[int, list[MappedShard]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        number = shard_number(path.name)
        if number is not None:
            found[number].append(MappedShard(path))
    names = {shard.path.name for shards in found.values() for shard in shards}
    for name in sorted(keep):
        if shard_number(name) is not None and name not in names:
            raise StoreError(f"{folder / name} is missing: delete its folder and capture again")
    chosen: list[MappedShard] = []
    n_clips = 0
    for position, (number, shards) in enumerate(sorted(found.items())):
        shards.sort(key=lambda shard: len(shard.clips))
        *replaced, fullest = shards
        if number != position or fullest.first_clip != n_clips:
            raise StoreError(
                f"{folder} lacks shard {position}: delete the folder and capture again"
            )
        n_clips += len(fullest.clips)
        chosen.append(fullest)
        for shard in replaced:
            if shard.path.name not in keep:
                shard.path.unlink()
    return chosen


def _moments(folder: Path, index: StoreIndex, shards: Sequence[MappedShard]) -> Moments:
    """Read the sums that were saved and add the clips that came after."""
    d_in = index.settings.d_in
    moments = read_statistics(folder, index.statistics, d_in) if index.statistics else Moments(d_in)
    for shard in shards:
        if shard.values.shape[1] != d_in or shard.values.dtype != index.settings.dtype:
            raise StoreError(f"{shard.path} does not belong to this store: capture again")
        if shard.first_clip + len(shard.clips) > moments.n_calls:
            add_clips(moments, shard.clips, shard.first_clip, shard.values)
    return moments


def add_clips(
    moments: Moments, clips: Sequence[ClipRecord], first_clip: int, values: np.ndarray
) -> None:
    """Add the clips of a shard that were not added before, one call each."""
    rows = rows_of(clips)
    for position in range(moments.n_calls - first_clip, len(clips)):
        moments.add(values[rows[position] : rows[position + 1]])


def rows_of(clips: Sequence[ClipRecord]) -> Int64[np.ndarray, " n_clips_and_one"]:
    """First row of each clip, and at the end the number of rows."""
    return np.cumsum(np.array([0, *(clip.n_vectors for clip in clips)], dtype=np.int64))


def remove_strays(folder: Path, index: StoreIndex) -> None:
    """Remove shards and statistics that a finished store no longer consists of.

    Raises:
        OSError: The folder cannot be changed.
    """
    for path in folder.iterdir():
        if is_store_file(path.name) and path.name not in index.files:
            path.unlink()


def write_statistics(folder: Path, moments: Moments) -> FileRecord:
    """Write the sums under their digest's name.

    Raises:
        OSError: The disk is full or failing.
    """
    data = save(dict(sorted(moments.to_arrays().items())))
    name = f"statistics-{hashlib.sha256(data).hexdigest()}.safetensors"
    write_bytes(folder / name, data)
    return FileRecord(name, len(data), moments.n, moments.n_calls)


def read_statistics(folder: Path, record: FileRecord, d_in: int) -> Moments:
    """Read the sums.

    Raises:
        StoreError: The file is missing or damaged.
    """
    verify_file(folder, record)
    return Moments.from_arrays(read_arrays(folder / record.file), d_in)
