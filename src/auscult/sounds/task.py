"""Published tasks over one's own copies of the data sets: classes, groups and sides as data."""

import tomllib
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from pydantic import Field

from auscult.core.audio import Audio
from auscult.core.config import Config, parse
from auscult.core.errors import ConfigError, UnknownNameError
from auscult.sounds.base import SOUNDS, Recording, Skipped, SoundSource, at_most
from auscult.sounds.checksums import check_published
from auscult.sounds.corpora import CORPORA, Corpus, Rows
from auscult.sounds.folder import Folder


class Task(Config):
    """A definition of ``tasks.toml``."""

    corpus: str
    """How the copy is read."""
    label: str
    """What the class of a recording is."""
    n_classes: int
    """Fewest classes of a complete copy."""
    clip_seconds: float
    """How much of a recording is heard."""
    group: str
    """A label whose recordings stay together in a split."""
    side: str | None = None
    """The label that holds the published sides, or folds."""
    lowest_percent: float | None = None
    """Share of neurons that the study's entropy filter keeps, in percent."""


def tasks() -> dict[str, Task]:
    """All definitions, by name."""
    text = Path(__file__).with_name("tasks.toml").read_text(encoding="utf-8")
    return {name: parse(Task, data, name) for name, data in tomllib.loads(text).items()}


def find_task(name: str) -> Task:
    """A definition.

    Raises:
        UnknownNameError: There is none of this name.
    """
    known = tasks()
    if name not in known:
        raise UnknownNameError("task", name, known)
    return known[name]


@SOUNDS.register("task")
class TaskSource(SoundSource):
    """A published task over one's own copy of its data set.

    Labels: ``class`` is the task's; beside it what the data set tells (``speaker``, ``fold``,
    ``split``, ``pitch_midi``, …). Notes are regrouped to octaves, speakers to gender and country,
    as in the class-specific-neuron study. Clip lengths and the group of a split are those of
    ``tasks.toml``; they are asked for by ``sounds.clip_seconds`` and ``sounds.split``.
    """

    class Params(Config):
        """Which task, and where the copy is."""

        name: str
        """One of the tasks: ``esc-50``, ``crema-d-emotion``, ``nsynth-octave``, …"""
        path: Path
        """The folder of the data set, laid out as it is published."""
        partial: bool = False
        """Whether a copy that lacks recordings or classes will do."""
        verify: bool = False
        """Whether to compare every file with its published checksum first.

        ESC-50 through soundata, GTZAN through mirdata, when they are installed.
        """
        sides: tuple[str, ...] = ()
        """Only these values of the published sides or folds (``test``, ``1``); none: all."""
        per_class: int | None = Field(None, ge=1)
        """At most so many recordings of each class, drawn by content and seed."""

    def recordings(self) -> list[Recording]:
        """The task's recordings, sorted.

        Raises:
            ConfigError: The copy is incomplete and that was not asked for.
            AudioError: None of its sounds is usable.
        """
        task, rows = self._task, self._rows
        found = {one.recording_id: one for one in self._folder.recordings()}
        self.skipped = [
            *(skip for skip in self._folder.skipped if skip.name in rows),
            *self._without_class(rows),
        ]
        known = {*found, *(skip.name for skip in self.skipped)}
        self._refuse_missing(rows, [name for name in rows if name not in known])
        kept = [
            Recording(name, one.digest, _labels(task, rows[name]), one.duration_s)
            for name, one in sorted(found.items())
            if rows.get(name, {}).get(task.label) and self._is_wanted(rows[name])
        ]
        by_class: dict[str, list[Recording]] = defaultdict(list)
        for one in kept:
            by_class[str(one.labels["class"])].append(one)
        self._refuse_few(len(by_class))
        drawn = [at_most(some, self.params.per_class, self.seed) for some in by_class.values()]
        return sorted((one for some in drawn for one in some), key=lambda one: one.recording_id)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Decode a recording of the copy."""
        return self._folder.load(recording, sample_rate)

    @cached_property
    def _task(self) -> Task:
        return find_task(self.params.name)

    @cached_property
    def _corpus(self) -> Corpus:
        return CORPORA[self._task.corpus]

    @cached_property
    def _folder(self) -> Folder:
        params = Folder.Params(path=self.params.path, pattern=self._corpus.pattern)
        return Folder(params, self.seed)

    @cached_property
    def _rows(self) -> Rows:
        """What the copy lists."""
        if not Path(self.params.path).is_dir():
            raise ConfigError(f"the folder {self.params.path} does not exist, or is no folder")
        if self.params.verify:
            check_published(self._task.corpus, Path(self.params.path))
        try:
            return self._corpus.read(Path(self.params.path))
        except ConfigError as error:
            raise self._incomplete(str(error)) from None

    def _is_wanted(self, row: dict[str, str]) -> bool:
        sides, label = self.params.sides, self._task.side
        if not sides:
            return True
        if label is None:
            raise ConfigError(
                f"sounds.sides: {self.params.name} has no published sides; split it by group, "
                f'split = {{ group = "{self._task.group}" }}'
            )
        return row.get(label) in sides

    def _without_class(self, rows: Rows) -> list[Skipped]:
        reason = f"has no {self._task.label} in this copy"
        return [
            Skipped(name, reason) for name, row in rows.items() if not row.get(self._task.label)
        ]

    def _refuse_missing(self, rows: Rows, missing: list[str]) -> None:
        if missing and not self.params.partial:
            raise self._incomplete(
                f"{len(missing)} of {len(rows)} recordings that it lists are missing, the first "
                f"{missing[0]!r}"
            )

    def _refuse_few(self, n_classes: int) -> None:
        lacks = n_classes < self._task.n_classes
        if lacks and not self.params.partial and not self.params.sides:
            raise self._incomplete(f"it has {n_classes} of {self._task.n_classes} classes")

    def _incomplete(self, what: str) -> ConfigError:
        corpus = self._corpus
        counted = f" ({corpus.n_recordings:,} recordings)" if corpus.n_recordings else ""
        return ConfigError(
            f"{self.params.path} is no complete copy of {corpus.title}: {what}; expected "
            f"{corpus.layout}{counted}, or partial = true to use what is there"
        )


def _labels(task: Task, row: dict[str, str]) -> dict[str, str | float]:
    """The row's labels as they stay: a MIDI pitch is a number, all else is text."""
    labels: dict[str, str | float] = {name: cell for name, cell in row.items() if cell}
    if "pitch_midi" in row:
        labels["pitch_midi"] = float(row["pitch_midi"])
    return {**labels, "class": row[task.label]}
