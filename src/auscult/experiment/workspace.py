"""The folder of a run: one writer, stages that exist whole or not at all.

Keys that say what they were made of.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core.errors import ConfigError, RunLockedError, StoreError
from auscult.core.manifest import digest_of
from auscult.core.tensors import read_json, write_json

STAGES = "stages"


@dataclass(frozen=True)
class Stage:
    """A finished piece of work.

    Attributes:
        name: What it did, for people.
        key: Digest of the name, version, parameters (defaults included) and inputs.
        folder: What it left.
        seconds: How long it took when it was computed.
        reused: Whether it was found finished.
    """

    name: str
    key: str
    folder: Path
    seconds: float
    reused: bool


class Workspace:
    """The stages of one run folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stages: list[Stage] = []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the lock ends with the process, however it ends.

        Raises:
            RunLockedError: Another process holds it.
            ConfigError: The folder cannot be written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".lock").open("w")
        except OSError as error:
            raise ConfigError(f"{self.root} cannot be written to: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunLockedError(
                    f"another process works on {self.root}: wait for it, or choose another folder "
                    "with --out"
                ) from error
            yield

    def stage(
        self,
        name: str,
        build: Callable[[Path], None],
        *,
        version: int = 1,
        params: Mapping[str, Any],
        inputs: Sequence[str] = (),
        resumable: bool = False,
    ) -> Stage:
        """Compute a stage, or find it finished.

        ``build`` writes into a folder of its own, which is renamed when it returns: a half-written
        stage does not exist. A resumable build finds there what an earlier, interrupted one left;
        others begin anew.

        Raises:
            StoreError: The disk is full or the folder cannot be written; what was finished stays.
        """
        told = {"name": name, "version": version, "params": params, "inputs": list(inputs)}
        key = digest_of(json.dumps(told, sort_keys=True, allow_nan=False))
        folder = self.root / STAGES / f"{_slug(name)}-{key[:12]}"
        found = self._find(name, key, folder)
        if found is None:
            found = self._compute(name, key, folder, build, resumable, told)
        self.stages.append(found)
        return found

    def _find(self, name: str, key: str, folder: Path) -> Stage | None:
        """A finished stage with the same key whose files are all still there at their length."""
        if not (folder / "stage.json").exists():
            return None
        told = read_json(folder / "stage.json")
        intact = told["key"] == key and all(
            (folder / path).is_file() and (folder / path).stat().st_size == size
            for path, size in told["files"].items()
        )
        if not intact:
            shutil.rmtree(folder)
            return None
        return Stage(name, key, folder, told["seconds"], reused=True)

    def _compute(
        self,
        name: str,
        key: str,
        folder: Path,
        build: Callable[[Path], None],
        resumable: bool,
        told: Mapping[str, Any],
    ) -> Stage:
        aside = folder.with_name(folder.name + ".partial")
        began = time.perf_counter()
        try:
            if aside.exists() and not resumable:
                shutil.rmtree(aside)
            aside.mkdir(parents=True, exist_ok=True)
            build(aside)
            seconds = time.perf_counter() - began
            paths = sorted(path for path in aside.rglob("*") if path.is_file())
            files = {path.relative_to(aside).as_posix(): path.stat().st_size for path in paths}
            write_json(
                aside / "stage.json", {**told, "key": key, "files": files, "seconds": seconds}
            )
            if folder.exists():
                shutil.rmtree(folder)
            aside.replace(folder)
            _sync(folder.parent)
        except OSError as error:
            raise StoreError(
                f"{name}: {error.strerror or error} ({error.filename or aside})"
            ) from error
        return Stage(name, key, folder, seconds, reused=False)

    def publish(self, folder: Path, name: str) -> None:
        """Copy a finished stage's files to a stable place of the run folder.

        Replacing what was there.
        """
        target = self.root / name
        aside = target.with_name(f".{target.name}.partial")
        for stale in (aside,):
            shutil.rmtree(stale, ignore_errors=True)
        shutil.copytree(folder, aside, ignore=shutil.ignore_patterns("stage.json"))
        shutil.rmtree(target, ignore_errors=True)
        aside.replace(target)


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")[:60]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
