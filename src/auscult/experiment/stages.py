"""The stages that touch the model: recording response vectors, and fitting dictionaries to them."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auscult.analyses.base import Condition
from auscult.core.errors import AudioError
from auscult.core.tensors import write_json
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.learner import ExtraLosses
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.experiment.feeds import Feed
from auscult.experiment.listening import Listening, stacked
from auscult.experiment.progress import Progress, ticker
from auscult.experiment.spec import DictionarySpec, Spec
from auscult.sounds.base import Recording, SoundClip, SoundSource, silence_mask
from auscult.store.writer import StoreWriter
from auscult.taps.capture import run_capture

_BLOCK_S = 0.01  # silence is judged in blocks of 10 ms


def tap_folder(tap: str) -> str:
    """Name of a tap's folder: its address with what file systems dislike replaced."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in tap)


def check_sounds(
    folder: Path, source: SoundSource, recordings: list[Recording], progress: Progress
) -> None:
    """Decode every recording and write ``skipped.json``: which of them cannot be used, and why."""
    tick = ticker(progress, len(recordings))
    skipped = []
    for count, recording in enumerate(recordings, 1):
        try:
            source.load(recording)
        except AudioError as error:
            skipped.append({"name": recording.recording_id, "reason": str(error)})
        tick(count)
    write_json(folder / "skipped.json", skipped)


def record(listening: Listening, condition: Condition, folder: Path, progress: Progress) -> None:
    """Run a condition's clips through the model once and store every tap's response vectors.

    Batches are a function of the clips alone, so that a resumed recording sees the same ones and
    leaves the same bytes: a batch of which anything is missing is computed again, and only what is
    missing is kept.
    """
    spec = listening.spec
    model = listening.model(condition.weights)
    taps = [tap.address for tap in listening.taps]
    times = listening.times()
    widths = _widths(listening, condition, taps)
    writers = {
        tap: StoreWriter(
            folder / tap_folder(tap),
            d_in=widths[tap],
            time=times[tap],
            sampling=spec.record.sampling,
            seed=spec.seed,
            provenance={"tap": tap, "model": model.name, "condition": str(condition)},
            dtype=spec.record.dtype,
        )
        for tap in taps
    }
    total = sum(len(side) for side in listening.corpus(condition).sides.values())
    seen: set[str] = set()
    tick = ticker(progress, total)
    with ExitStack() as open_writers:
        for writer in writers.values():
            open_writers.callback(writer.close)
        for batch in batched(listening.clips(condition), spec.record.batch_clips):
            seen.update(clip.recording_id for clip in batch)
            missing = [
                [c.clip_id for c in batch if c.clip_id not in writers[tap].done] for tap in taps
            ]
            if any(missing):
                heard = run_capture(model, stacked(batch), taps)
                for tap, wanted in zip(taps, missing, strict=True):
                    _add(writers[tap], batch, set(wanted), heard[tap].values, times[tap], spec)
            tick(len(seen))
        for tap, writer in writers.items():
            if not any(clip.n_vectors for clip in writer.clips):
                raise AudioError(_nothing_kept(tap, condition, spec))
            writer.finish()


def _nothing_kept(tap: str, condition: Condition, spec: Spec) -> str:
    level = spec.record.silence_db
    silent = "" if level is None else f" silent (below {level:g} dB, record.silence_db) or"
    return f"no frame of {tap} can be kept of {condition}: every clip is{silent} too short"


def _widths(listening: Listening, condition: Condition, taps: list[str]) -> dict[str, int]:
    """Width of each tap's response vectors, from the first clip."""
    first = next(listening.clips(condition))
    heard = run_capture(listening.model(condition.weights), stacked([first]), taps)
    return {tap: heard[tap].d_in for tap in taps}


def batched(clips: Iterator[SoundClip], size: int) -> Iterator[list[SoundClip]]:
    """Consecutive clips of one length, at most ``size`` at a time."""
    for _, same in groupby(clips, key=lambda clip: clip.audio.n_samples):
        batch: list[SoundClip] = []
        for clip in same:
            batch.append(clip)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


def _add(
    writer: StoreWriter,
    batch: list[SoundClip],
    wanted: set[str],
    values: torch.Tensor,
    time: TimeBase,
    spec: Spec,
) -> None:
    for row, clip in enumerate(batch):
        if clip.clip_id in wanted:
            writer.add(
                clip.clip_id,
                clip.recording_id,
                values[row],
                valid=valid_frames(clip, values.shape[1], time, spec.record.silence_db),
                labels=dict(clip.labels),
            )


def valid_frames(
    clip: SoundClip, n_frames: int, time: TimeBase, silence_db: float | None
) -> np.ndarray:
    """Frames whose hop begins within the sound, and in whose hop something is heard.

    Silence is judged in blocks of 10 ms; one of them that sounds is enough, of those that the hop
    touches or, where a clip has one frame only, of the whole clip.
    """
    starts = np.array([int(i * time.hop) for i in range(n_frames)])
    valid = starts < clip.n_valid
    if silence_db is None:
        return valid
    block = max(1, round(_BLOCK_S * clip.audio.sample_rate))
    silent = silence_mask(clip.audio, block, silence_db)
    if n_frames == 1:
        return valid & ~silent.all()
    stops = np.array([math.ceil((i + 1) * time.hop) for i in range(n_frames)])
    n_sounding = np.concatenate([[0], np.cumsum(~silent)])
    first = np.minimum(starts // block, len(silent) - 1)
    last = np.minimum((stops - 1) // block, len(silent) - 1)
    valid &= n_sounding[last + 1] > n_sounding[first]
    return valid


def fit(
    spec: Spec,
    feed: Feed,
    entries: list[DictionarySpec],
    seeds: Mapping[str, tuple[int, ...]],
    provenance: Provenance,
    folder: Path,
    progress: Progress,
    own_task: Callable[[DictionarySpec, int], ExtraLosses | None],
) -> None:
    """Fit the dictionaries of one kind of vector.

    All seeds side by side on one pass over the data. ``own_task`` gives what is trained on beside
    the vectors, for an entry and a seed.
    """
    source, targets = feed.source, feed.targets
    jobs = []
    for which in entries:
        cls, params = which.parsed()
        told = params.model_copy(update=feed.settings(cls.reads))
        wanted = targets.statistics if targets is not None and cls.reads == "target" else None
        local = 1.0 if which.end_to_end is None else which.end_to_end.local_weight
        for seed in seeds[which.name]:
            built = cls.build(told, source.d_in, seed, source.statistics, wanted)
            built.provenance = replace(provenance, **feed.provenance)
            name, extra = f"{_slug(which.name)}-seed-{seed}", own_task(which, seed)
            jobs.append(TrainingJob(built, name, seed, extra, local))
    trained = train(
        jobs,
        source,
        training_settings(spec),
        folder / "training",
        lambda done, total: progress.advance(done / max(total, 1)),
        targets,
    )
    for job, dictionary in zip(jobs, trained, strict=True):
        dictionary.save(folder / "dictionaries" / job.name)


def training_settings(spec: Spec) -> TrainSettings:
    """How the spec trains, whatever the seeds."""
    return TrainSettings(**spec.train.model_dump(exclude={"seeds"}))


def load_fitted(folder: Path, name: str, seeds: tuple[int, ...]) -> list[Dictionary]:
    """The dictionaries that :func:`fit` left under one name."""
    return [
        Dictionary.load(folder / "dictionaries" / f"{_slug(name)}-seed-{seed}") for seed in seeds
    ]


def training_logs(folder: Path, name: str, seeds: tuple[int, ...]) -> list[list[Mapping[str, Any]]]:
    """Lines of the logs that :func:`fit` left under one name; none for what is not trained."""
    paths = [folder / "training" / f"{_slug(name)}-seed-{seed}.jsonl" for seed in seeds]
    return [
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if path.is_file()
        else []
        for path in paths
    ]


def _slug(name: str) -> str:
    """A dictionary's name as a file name."""
    return "".join(letter if letter.isalnum() or letter in "_.+-" else "_" for letter in name)
