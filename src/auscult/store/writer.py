"""Writes response vectors as they come, in flat memory; after a kill it goes on where it was."""

import json
import time as clock
from collections.abc import Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from auscult.core.errors import StoreError, WidthError
from auscult.core.timebase import TimeBase
from auscult.store.buffer import ShardBuffer, fits, picked
from auscult.store.index import (
    ClipLabels,
    ClipRecord,
    StoreDtype,
    StoreIndex,
    StoreSettings,
)
from auscult.store.lock import FolderLock
from auscult.store.reader import ActivationStore
from auscult.store.recovery import Recovered, add_clips, recover, remove_strays, write_statistics
from auscult.store.sampling import Sampling, chosen_frames
from auscult.store.shard import ShardImage, write_shard

SHARD_BYTES = 32 << 20
"""Size that shards grow to unless told otherwise."""


class StoreWriter:
    """Puts clips into a store, one after another.

    The bytes of a finished store depend on the clips and their order, on nothing else: not on how
    often the writer was closed, killed or finished meanwhile. Give the clips in the same order each
    time and leave out those in :attr:`done`. A clip is never split between shards. Writing, hashing
    and statistics happen in a thread, on one of two buffers, while the other fills.

    Use it as a context manager. Leaving the block, also by an exception, saves what was added; only
    :meth:`finish` makes the folder a store that can be opened.
    """

    def __init__(
        self,
        folder: Path,
        *,
        d_in: int,
        time: TimeBase,
        sampling: Sampling,
        seed: int,
        provenance: Mapping[str, Any],
        dtype: StoreDtype = "float32",
        shard_vectors: int | None = None,
        save_every_s: float = 60.0,
    ) -> None:
        """Start a store, or go on with the one that is in the folder.

        Args:
            folder: Made if missing.
            d_in: Width of the vectors.
            time: Where frames lie in the model's input.
            sampling: Which frames are kept.
            seed: Of the sampling.
            provenance: What made the vectors, as plain JSON data.
            dtype: What values are rounded to.
            shard_vectors: Vectors in a full shard; by default as many as ``SHARD_BYTES`` hold.
            save_every_s: At most about this much work, in seconds, is lost to a kill.

        Raises:
            StoreError: The folder holds a store of other settings (the first difference is named)
                or something else, or cannot be written to.
            RunLockedError: Another writer works in it.
        """
        self.folder = Path(folder)
        if d_in < 1 or (shard_vectors is not None and shard_vectors < 1):
            raise StoreError(f"there is no store of width {d_in} and {shard_vectors} to a shard")
        fitting = max(1, SHARD_BYTES // (d_in * np.dtype(dtype).itemsize))
        capacity = fitting if shard_vectors is None else shard_vectors
        plain = _as_json(provenance, "the provenance")
        self.settings = StoreSettings(d_in, time, sampling, seed, plain, dtype, capacity)
        self._save_every_s = save_every_s
        self._lock = FolderLock(self.folder)
        try:
            self._start(recover(self.folder, self.settings))
        except OSError as error:
            self._lock.release()
            raise self._unwritten(error) from error
        except BaseException:
            self._lock.release()
            raise

    def _start(self, found: Recovered) -> None:
        self._moments = found.moments
        self._shards = list(found.shards)
        self._keep = found.keep
        self._clips = list(found.clips)
        self._known = {clip.clip_id for clip in self._clips}
        self._done = set(self._known)
        self._n_submitted = len(self._clips)
        self._active, self._spare = self._new_buffer(), self._new_buffer()
        last = found.last
        if last is not None and len(last.values) <= self.settings.shard_vectors:
            self._active.load(last)
        else:
            self._active.begin(len(self._shards), len(self._clips))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="auscult-store")
        self._pending: Future[None] | None = None
        self._failure: StoreError | None = None
        self._closed = False
        self._saved_at = clock.monotonic()

    @property
    def done(self) -> Set[str]:
        """Ids of the clips that are safely on disk; it grows while the writer works."""
        return self._done

    @property
    def clips(self) -> tuple[ClipRecord, ...]:
        """All clips so far, those not yet on disk included."""
        return tuple(self._clips)

    def add(
        self,
        clip_id: str,
        recording_id: str,
        values: Shaped[Tensor, "frame d_in"] | Shaped[np.ndarray, "frame d_in"],
        valid: Bool[Tensor, " frame"] | Bool[np.ndarray, " frame"] | None = None,
        labels: ClipLabels | None = None,
        energy: Float[np.ndarray, " frame"] | None = None,
    ) -> ClipRecord:
        """Sample the frames of one clip and store them; they are copied before this returns.

        Args:
            clip_id: Unique in the store.
            recording_id: What it was cut from.
            values: Its response vectors, on any device, with any strides.
            valid: Frames that are not padding; all by default. Others are never stored.
            labels: What is known of the clip.
            energy: Of each frame, for the policy ``energy``; by default ‖values‖² of the frame.

        Raises:
            StoreError: The clip is in the store already or holds values that cannot be stored (the
                writer can go on with others), or an earlier clip could not be written (it cannot).
            WidthError: The vectors are not ``d_in`` wide.
        """
        self._check_usable()
        tensor = self._checked(clip_id, values)
        plain = _as_json(
            {"clip": clip_id, "recording": recording_id, "labels": dict(labels or {})},
            f"clip {clip_id!r}",
        )
        heard = _heard(clip_id, valid, len(tensor))
        frames = heard[self._chosen(clip_id, tensor, heard, energy)]
        record = ClipRecord(clip_id, recording_id, len(heard), len(frames), plain["labels"])
        vectors = picked(tensor, frames)
        if not fits(vectors, self.settings.dtype):
            raise StoreError(
                f"clip {clip_id!r} has values that are not finite as {self.settings.dtype}: "
                "leave it out, or store as float32"
            )
        try:
            self._make_room(len(frames))
            self._active.append(record, frames, vectors)
            self._clips.append(record)
            self._known.add(clip_id)
        except BaseException:
            # What the writer holds is uncertain now; what is on disk is not.
            self._failure = self._failure or StoreError(
                f"the writer of {self.folder} was interrupted: open another to go on"
            )
            raise
        if clock.monotonic() - self._saved_at >= self._save_every_s:
            self._save()
        return record

    def finish(self) -> ActivationStore:
        """Write what is left, the statistics and the index; close, and open the store for reading.

        Raises:
            StoreError: Nothing was stored, or it could not be written.
        """
        self._check_usable()
        try:
            self._save()
            self._wait()
            if self._moments.n == 0:
                raise StoreError(
                    f"{self.folder} would be a store without vectors: capture some sound"
                )
            statistics = write_statistics(self.folder, self._moments)
            index = StoreIndex(self.settings, tuple(self._clips), tuple(self._shards), statistics)
            index.write(self.folder)
            remove_strays(self.folder, index)
        except OSError as error:
            self._failure = self._unwritten(error)
            raise self._failure from error
        finally:
            self.close()
        return ActivationStore.open(self.folder)

    def close(self) -> None:
        """Save what was added and let go of the folder; nothing happens the second time.

        Raises:
            StoreError: It could not be saved, and no earlier call said so.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._failure is None:
                self._save()
                self._wait()
        finally:
            self._pool.shutdown()
            self._lock.release()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _checked(
        self, clip_id: str, values: Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]
    ) -> Shaped[Tensor, "frame d_in"]:
        if clip_id in self._known:
            raise StoreError(
                f"clip {clip_id!r} is in {self.folder} already: skip what is in `done`"
            )
        if isinstance(values, np.ndarray):
            # Torch shares memory with writable arrays of positive strides only.
            tensor = torch.from_numpy(np.require(values, requirements=["C", "W"]))
        else:
            tensor = values.detach()
        if tensor.ndim != 2 or tensor.shape[1] != self.settings.d_in:
            raise WidthError(
                f"clip {clip_id!r} has vectors of shape {tuple(tensor.shape)}, "
                f"{self.folder} takes [frame {self.settings.d_in}]"
            )
        return tensor

    def _chosen(
        self,
        clip_id: str,
        tensor: Shaped[Tensor, "frame d_in"],
        heard: Int64[np.ndarray, " n_heard"],
        energy: Float[np.ndarray, " frame"] | None,
    ) -> Int64[np.ndarray, " n_chosen"]:
        """Choose among the valid frames alone, so that padding does not change the choice."""
        if self.settings.sampling.policy != "energy":
            return chosen_frames(self.settings.sampling, len(heard), clip_id, self.settings.seed)
        if energy is None:
            energy = tensor.to(torch.float64).square().sum(1).cpu().numpy()
        if len(energy) != len(tensor):
            raise StoreError(
                f"clip {clip_id!r} has {len(tensor)} frames and {len(energy)} energies"
            )
        return chosen_frames(
            self.settings.sampling, len(heard), clip_id, self.settings.seed, energy[heard]
        )

    def _make_room(self, n: int) -> None:
        """Close the shard that a clip would overfill; one larger than a shard gets its own."""
        full = self.settings.shard_vectors
        if self._active.n and self._active.n + n > full:
            self._save()
            # The spare buffer is free: saving has waited for the write before this one.
            fresh = self._spare
            fresh.begin(self._active.number + 1, len(self._clips))
            self._spare = self._active if self._active.capacity == full else self._new_buffer()
            self._active = fresh
        if self._active.n + n > self._active.capacity:
            larger = ShardBuffer(self.settings.d_in, self.settings.dtype, self._active.n + n)
            larger.load(self._active.image())
            self._active = larger

    def _new_buffer(self) -> ShardBuffer:
        return ShardBuffer(self.settings.d_in, self.settings.dtype, self.settings.shard_vectors)

    def _save(self) -> None:
        """Hand the clips that are not on disk to the thread; wait for what it was given before."""
        self._saved_at = clock.monotonic()
        if self._n_submitted == len(self._clips):
            return
        self._wait()
        self._pending = self._pool.submit(self._write, self._active.image())
        self._n_submitted = len(self._clips)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except OSError as error:
            self._failure = self._unwritten(error)
            raise self._failure from error

    def _write(self, image: ShardImage) -> None:
        """Write a shard, in place of a less full one of the same number; runs in the thread."""
        add_clips(self._moments, image.clips, image.first_clip, image.values)
        record = write_shard(self.folder, image)
        replaced = self._shards[image.number :]
        self._shards[image.number :] = [record]
        for old in replaced:
            if old.file not in self._keep and old.file != record.file:
                (self.folder / old.file).unlink()
        self._done.update(clip.clip_id for clip in image.clips)

    def _check_usable(self) -> None:
        if self._pending is not None and self._pending.done():
            self._wait()
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise StoreError(f"the writer of {self.folder} is closed: open another to go on")

    def _unwritten(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.folder} cannot be written to ({error.strerror or error}): mend that and run "
            "again, what was finished is kept"
        )


def _heard(
    clip_id: str, valid: Bool[Tensor, " n"] | Bool[np.ndarray, " n"] | None, n_frames: int
) -> Int64[np.ndarray, " n_heard"]:
    """List the frames that are not padding."""
    if valid is None:
        return np.arange(n_frames, dtype=np.int64)
    mask = valid if isinstance(valid, np.ndarray) else valid.detach().cpu().numpy()
    if mask.shape != (n_frames,):
        raise StoreError(f"clip {clip_id!r} has {n_frames} frames and a mask of {mask.shape}")
    return np.flatnonzero(mask).astype(np.int64)


def _as_json(data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Take a copy as JSON would give it back.

    Raises:
        StoreError: JSON cannot hold it.
    """
    try:
        text = json.dumps(dict(data), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise StoreError(f"{what} cannot be written as JSON: {error}") from error
    plain: dict[str, Any] = json.loads(text)
    return plain
