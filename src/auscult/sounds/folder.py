"""A folder of recordings: WAV, FLAC, OGG, MP3, AIFF, whatever libsndfile decodes."""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float
from pydantic import Field, field_validator

from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import AudioError, ConfigError
from auscult.sounds.base import SOUNDS, Recording, Skipped, SoundSource, at_most
from auscult.sounds.decoding import EXTENSIONS, UNDECODABLE, decode, duration_of, undecodable
from auscult.sounds.labelling import (
    FolderRule,
    LabelTable,
    compile_pattern,
    folder_cells,
    pattern_cells,
    table_cells,
    with_numbers,
)


@dataclass(frozen=True)
class _File:
    """A file that was found usable; the stamp tells whether it has changed since."""

    recording_id: str
    path: Path
    digest: str
    duration_s: float
    stamp: tuple[int, int]


@SOUNDS.register("folder")
class Folder(SoundSource):
    """Every sound below a folder that its name and header show to be usable, each content once.

    Scanning reads headers and hashes contents; nothing is decoded. Left out, with the reason: what
    cannot be decoded, what repeats another file's content, hidden files, links that lead out of the
    folder, and what is no plain file. Names are kept as text, whatever characters they hold.
    """

    class Params(Config):
        """Where the sounds lie, and what is known of them.

        Where several ways give one label, a table wins over names of files, those over names of
        folders.
        """

        path: Path
        """The folder."""
        pattern: str = "**/*"
        """Which files, as a glob relative to the folder."""
        extensions: tuple[str, ...] = EXTENSIONS
        """Which extensions mean sound, in any case; other files are passed over."""
        label_from: FolderRule | None = None
        """``folder``: label ``class`` is the name of the folder that a file lies in;
        ``top-folder``: of the topmost one."""
        name_pattern: str | None = None
        """Labels from file names: ``{digit}_{speaker}_{take}``, or a regular expression with named
        groups."""
        labels: LabelTable | None = None
        """Labels from a table."""
        limit: int | None = Field(None, ge=1)
        """At most so many recordings, drawn by content and seed rather than by the alphabet."""
        max_seconds: float | None = Field(None, gt=0)
        """Only the first seconds of each recording."""

        @field_validator("pattern")
        @classmethod
        def _stays_inside(cls, pattern: str) -> str:
            if not pattern or pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
                raise ConfigError(
                    f"{pattern!r} must be a glob below the folder, such as '**/*.wav'"
                )
            return pattern

        @field_validator("name_pattern")
        @classmethod
        def _compiles(cls, pattern: str | None) -> str | None:
            if pattern is not None:
                compile_pattern(pattern)
            return pattern

    def recordings(self) -> list[Recording]:
        """The usable files, sorted by path; the folder is scanned at the first call."""
        files = self._files
        labels = self._labels
        longest = self.params.max_seconds or float("inf")
        found = [
            Recording(name, file.digest, labels.get(name, {}), min(file.duration_s, longest))
            for name, file in files.items()
        ]
        return at_most(found, self.params.limit, self.seed)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Decode a file of this folder."""
        name = recording.recording_id
        file = self._files.get(name)
        if file is None:
            raise AudioError(f"{name!r} is not among the usable files of {self.params.path}")
        try:
            samples, rate = _unchanged(file, self.params.max_seconds)
        except OSError as error:
            raise AudioError(f"{name!r} cannot be read: {error.strerror}") from error
        except AudioError as error:
            raise AudioError(f"{name!r} {error}") from error
        audio = Audio(samples, rate, source=name)
        return audio if sample_rate is None else audio.resampled(sample_rate)

    @cached_property
    def _files(self) -> dict[str, _File]:
        """Usable files by recording id, in order."""
        root = Path(self.params.path)
        if not root.is_dir():
            raise ConfigError(f"the sound folder {root} does not exist, or is no folder")
        inside = root.resolve()
        files: dict[str, _File] = {}
        contents: dict[str, str] = {}
        for name, path in sorted(self._candidates(root)):
            try:
                file = _examine(name, path, inside)
            except OSError as error:
                self.skipped.append(Skipped(name, f"cannot be read: {error.strerror}"))
                continue
            except AudioError as error:
                self.skipped.append(Skipped(name, str(error)))
                continue
            first = contents.setdefault(file.digest, name)
            if first != name:
                self.skipped.append(Skipped(name, f"has the same content as {first!r}"))
            elif name in files:
                self.skipped.append(
                    Skipped(name, "reads like another file's name, written as text")
                )
            else:
                files[name] = file
        if not files:
            raise AudioError(
                f"{root} holds no usable sound{_why_none(self.skipped, self.params.extensions)}"
            )
        return files

    def _candidates(self, root: Path) -> Iterator[tuple[str, Path]]:
        """Names and paths of all that is meant to be sound; what cannot be is noted as skipped."""
        wanted = {extension.lower().lstrip(".") for extension in self.params.extensions}
        for path in root.glob(self.params.pattern):
            name = _as_text(path.relative_to(root))
            extension = path.suffix.lower().lstrip(".")
            if path.is_symlink() and path.is_dir():
                self.skipped.append(Skipped(name, "is a link to a folder, which is not followed"))
            elif extension in wanted and not path.is_dir():
                yield name, path
            elif extension in UNDECODABLE and path.is_file():
                self.skipped.append(Skipped(name, undecodable(UNDECODABLE[extension])))

    @cached_property
    def _labels(self) -> dict[str, dict[str, str | float]]:
        params, names = self.params, list(self._files)
        layers = []
        if params.label_from:
            layers.append(with_numbers(folder_cells(params.label_from, names), text=["class"]))
        if params.name_pattern:
            layers.append(with_numbers(pattern_cells(params.name_pattern, names)))
        if params.labels:
            cells = table_cells(params.labels, Path(params.path), names)
            layers.append(with_numbers(cells, params.labels.text))
        merged: dict[str, dict[str, str | float]] = {name: {} for name in names}
        for layer in layers:
            for name, labels in layer.items():
                merged[name].update(labels)
        return merged


def _as_text(path: Path) -> str:
    """A relative path as text that UTF-8 can hold: bytes that are not UTF-8 become escapes."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _why_none(skipped: list[Skipped], extensions: tuple[str, ...]) -> str:
    if not skipped:
        return f": no file in it ends in {', '.join(extensions)}"
    first = skipped[0]
    return f"; {len(skipped)} were skipped, the first: {first.name!r} {first.reason}"


def _unchanged(
    file: _File, max_seconds: float | None
) -> tuple[Float[np.ndarray, "channel time"], int]:
    """Decode a file that still is what was hashed."""
    if _stamp(file.path) != file.stamp:
        raise AudioError("has changed since the folder was scanned; start again")
    return decode(file.path, max_seconds)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _examine(name: str, path: Path, inside: Path) -> _File:
    """Hash a file and read its header, once it is sure that opening it is harmless."""
    if any(part.startswith(".") for part in name.split("/")):
        raise AudioError("is hidden")
    # Unlike Path.resolve, realpath does not raise on a loop of links; opening such a file does.
    if not Path(os.path.realpath(path)).is_relative_to(inside):
        raise AudioError("is a link that leads out of the folder: put the file itself there")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("is not a plain file")
    if not status.st_size:
        raise AudioError("is an empty file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _File(name, path, digest, duration_of(path), (status.st_size, status.st_mtime_ns))
