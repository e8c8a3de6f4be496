"""What a store knows about itself: its settings, its clips and its shards, in one JSON file."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from auscult.core.errors import StoreError, UserError
from auscult.core.tensors import read_json, write_json
from auscult.core.timebase import TimeBase
from auscult.store.sampling import Sampling

INDEX_NAME = "store.json"
FORMAT = "auscult.store"
VERSION = 1

StoreDtype = Literal["float32", "float16"]

ClipLabels = Mapping[str, str | int | float | bool | None]

_FILE_NAME = re.compile(r"(\d{5,}|statistics)-([0-9a-f]{64})\.safetensors")


@dataclass(frozen=True)
class ClipRecord:
    """A clip of which vectors are stored.

    Attributes:
        clip_id: Unique in its store.
        recording_id: The recording that it was cut from: what splits go by.
        n_frames: Frames that it has at the tap, padding not counted.
        n_vectors: Frames that are stored.
        labels: What is known of the clip.
    """

    clip_id: str
    recording_id: str
    n_frames: int
    n_vectors: int
    labels: ClipLabels = field(default_factory=dict)


@dataclass(frozen=True)
class FileRecord:
    """A file of a store; its name carries its digest.

    Attributes:
        file: Name within the store's folder.
        n_bytes: Its size.
        n_vectors: Vectors in it.
        n_clips: Clips that these belong to.
    """

    file: str
    n_bytes: int
    n_vectors: int
    n_clips: int

    @property
    def sha256(self) -> str:
        """Digest of the file's bytes."""
        return digest_in_name(self.file)


@dataclass(frozen=True)
class StoreSettings:
    """What every vector of a store has in common; a store is continued with equal settings only."""

    d_in: int
    time: TimeBase
    sampling: Sampling
    seed: int
    provenance: Mapping[str, Any]
    dtype: StoreDtype
    shard_vectors: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        plain["time"] = self.time.to_json()
        plain["sampling"] = self.sampling.model_dump()
        plain["provenance"] = dict(self.provenance)
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "StoreSettings":
        """The inverse of :meth:`to_json`."""
        parts = dict(data)
        parts["time"] = TimeBase.from_json(parts["time"])
        parts["sampling"] = Sampling.model_validate(parts["sampling"])
        return cls(**parts)


@dataclass(frozen=True)
class StoreIndex:
    """The content of ``store.json``.

    Attributes:
        settings: Common to all vectors.
        clips: In the order in which they were added.
        shards: In the order of their clips, which they never split.
        statistics: The file with the sums of all vectors; None while the store is unfinished.
    """

    settings: StoreSettings
    clips: tuple[ClipRecord, ...] = ()
    shards: tuple[FileRecord, ...] = ()
    statistics: FileRecord | None = None

    @property
    def digest(self) -> str:
        """Digest of settings, clips and shards, and through these of every byte stored."""
        return _digest(self._content())

    @property
    def files(self) -> set[str]:
        """Names of the files that belong to the store."""
        records = [*self.shards, *([self.statistics] if self.statistics else [])]
        return {record.file for record in records}

    def write(self, folder: Path) -> None:
        """Put the index into a store's folder, in place of the one that is there."""
        write_json(folder / INDEX_NAME, {**self._content(), "digest": self.digest})

    @classmethod
    def read(cls, folder: Path) -> "StoreIndex":
        """Read and check the index of a store.

        Raises:
            StoreError: It is missing, damaged, or of a version that this auscult cannot read.
        """
        path = folder / INDEX_NAME
        if not path.is_file():
            raise StoreError(f"{folder} is not an activation store: it has no {INDEX_NAME}")
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise StoreError(f"{path} is not the index of an activation store")
        if data.get("version") != VERSION:
            raise StoreError(
                f"{path} has version {data.get('version')!r}, this auscult reads {VERSION}: "
                "capture again or use the auscult that wrote it"
            )
        if data.pop("digest", None) != _digest(data):
            raise StoreError(f"{path} was changed after it was written: capture again")
        try:
            statistics = data["statistics"]
            index = cls(
                StoreSettings.from_json(data["settings"]),
                clips_from_columns(data["clips"]),
                tuple(FileRecord(**record) for record in data["shards"]),
                FileRecord(**statistics) if statistics else None,
            )
        except (KeyError, TypeError, ValueError, UserError) as error:
            raise StoreError(f"{path} is damaged: {error}") from error
        for name in index.files:
            digest_in_name(name)
        return index

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "settings": self.settings.to_json(),
            "clips": clips_to_columns(self.clips),
            "shards": [asdict(record) for record in self.shards],
            "statistics": asdict(self.statistics) if self.statistics else None,
        }


def digest_in_name(name: str) -> str:
    """Take the digest out of a file's name.

    Raises:
        StoreError: It is not the name of a file that a store writes.
    """
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        raise StoreError(f"{name!r} is not the name of a shard")
    return match[2]


def is_store_file(name: str) -> bool:
    """Whether a store writes files of such a name."""
    return _FILE_NAME.fullmatch(name) is not None


def shard_number(name: str) -> int | None:
    """The position of a shard, or None for other files."""
    match = _FILE_NAME.fullmatch(name)
    return int(match[1]) if match and match[1].isdigit() else None


def clips_to_columns(clips: Iterable[ClipRecord]) -> dict[str, list[Any]]:
    """Write a table of clips as columns."""
    rows = list(clips)
    return {
        each.name: [
            dict(clip.labels) if each.name == "labels" else getattr(clip, each.name)
            for clip in rows
        ]
        for each in fields(ClipRecord)
    }


def clips_from_columns(columns: Mapping[str, Sequence[Any]]) -> tuple[ClipRecord, ...]:
    """The inverse of :func:`clips_to_columns`."""
    names = [each.name for each in fields(ClipRecord)]
    return tuple(ClipRecord(*row) for row in zip(*(columns[name] for name in names), strict=True))


def difference(here: Mapping[str, Any], there: Mapping[str, Any], path: str = "") -> str:
    """Name the first key in which two mappings differ, with both values; "" when they are equal.

    >>> difference({"time": {"hop": "1"}}, {"time": {"hop": "2"}})
    "time.hop is '1' here and '2' there"
    """
    for key in sorted({*here, *there}):
        mine, other = here.get(key), there.get(key)
        if mine == other:
            continue
        name = f"{path}{key}"
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            return difference(mine, other, f"{name}.")
        return f"{name} is {mine!r} here and {other!r} there"
    return ""


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
