"""Vectors straight from a running model: nothing is stored, memory stays flat."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import final

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64

from auscult.core.errors import AudioError, StoreError
from auscult.models.base import AudioModel
from auscult.models.weights import weights_digest
from auscult.sounds.base import Recording, Skipped, SoundClip, SoundSource, clips
from auscult.store.background import prefetched
from auscult.store.shuffle import BUFFER_BYTES
from auscult.store.source import Batches, VectorSource, check_indices
from auscult.store.statistics import Moments, Statistics
from auscult.taps.capture import run_capture

Vectors = Float32[np.ndarray, "n d_in"]


@final
class LiveSource(VectorSource):
    """What a tap says while a model runs over recordings, anew in every pass.

    A pass draws the recordings in an order of its own and pours their vectors into a buffer. As
    soon as this is full, half of its vectors, drawn at random, are given out, and more are poured
    in; at the end of the pass the buffer is emptied. How well that mixes is measured by
    :func:`auscult.store.mixing.mixing`. With ``prefetch`` the model runs in a thread, ahead of the
    training.

    The first question about number, statistics or place of the vectors costs one pass. To go on
    within a pass the model runs over what was heard in it before; a training that is resumed
    therefore ends with the same bytes. Any other recordings, weights or settings are another
    source.
    """

    def __init__(
        self,
        model: AudioModel,
        tap: str,
        sounds: SoundSource,
        recordings: Sequence[Recording],
        *,
        clip_seconds: float | None = None,
        batch_clips: int = 8,
    ) -> None:
        """Say what is listened to; nothing runs yet.

        Args:
            model: In evaluation mode.
            tap: Address of one tap.
            sounds: Decodes the recordings.
            recordings: Which of them.
            clip_seconds: Length of a clip; None: whole recordings.
            batch_clips: Clips that go through the model at once.

        Raises:
            StoreError: There are no recordings.
        """
        if not recordings:
            raise StoreError("a live source needs at least one recording")
        self.model, self.tap, self.sounds = model, tap, sounds
        self.recordings = tuple(recordings)
        self.clip_seconds, self.batch_clips = clip_seconds, batch_clips
        self.skipped: list[Skipped] = []

    @cached_property
    def digest(self) -> str:
        """SHA-256 of weights, tap, recordings and how they are cut."""
        said = [
            "live",
            weights_digest(self.model.module),
            self.tap,
            self.clip_seconds,
            self.batch_clips,
            *(recording.digest for recording in self.recordings),
        ]
        return hashlib.sha256(repr(said).encode()).hexdigest()

    @cached_property
    def _surveyed(self) -> tuple[Mapping[str, int], Statistics]:
        """Vectors of each clip, in order, and the statistics: one pass."""
        counts: dict[str, int] = {}
        moments: Moments | None = None
        for clip_id, values in self._listen(self.recordings, self.skipped):
            moments = moments or Moments(values.shape[1])
            moments.add(values)
            counts[clip_id] = len(values)
        if moments is None or moments.n == 0:
            raise AudioError(f"{self.tap} says nothing in any of the recordings")
        return counts, moments.statistics()

    @property
    def n_vectors(self) -> int:  # type: ignore[override]
        """Vectors of a pass."""
        return sum(self._surveyed[0].values())

    @property
    def d_in(self) -> int:  # type: ignore[override]
        """Width of a vector."""
        return len(self._surveyed[1].mean)

    def vectors(
        self,
        batch: int,
        rng: np.random.Generator,
        *,
        prefetch: int = 0,
        skip_batches: int = 0,
        drop_last: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> Batches:
        """Pass over all vectors once, mixed in a buffer of about ``buffer_bytes``.

        Args:
            batch: Vectors in a batch; the last batch may have fewer.
            rng: Draws the order.
            prefetch: Batches that a thread stays ahead.
            skip_batches: Leave out the first so many; the model runs for them all the same.
            drop_last: Leave out a last batch that is not full.
            buffer_bytes: See above.

        Raises:
            StoreError: The batch is not at least 1.
        """
        if batch < 1:
            raise StoreError(f"a batch must have at least 1 vector, not {batch}")
        own = np.random.default_rng(int(rng.integers(1 << 63)))
        capacity = max(2 * batch, buffer_bytes // (4 * self.d_in))
        return prefetched(self._mixed(batch, own, capacity, skip_batches, drop_last), prefetch)

    def _mixed(
        self, batch: int, rng: np.random.Generator, capacity: int, skip: int, drop_last: bool
    ) -> Batches:
        order = [self.recordings[i] for i in rng.permutation(len(self.recordings))]
        buffer = np.empty((min(capacity, self.n_vectors), self.d_in), np.float32)
        held = number = 0
        for _, values in self._listen(order, []):
            while len(values):
                poured = min(len(values), len(buffer) - held)
                buffer[held : held + poured] = values[:poured]
                held, values = held + poured, values[poured:]
                if held < len(buffer) or held >= self.n_vectors:
                    continue
                n_out = max(1, held // 2 // batch) * batch
                for given in self._drawn(buffer, held, n_out, rng, batch):
                    if number >= skip:
                        yield given
                    number += 1
                held -= n_out
        for given in self._drawn(buffer, held, held, rng, batch):
            if number >= skip and (len(given) == batch or not drop_last):
                yield given
            number += 1

    def _drawn(
        self, buffer: Vectors, held: int, n_out: int, rng: np.random.Generator, batch: int
    ) -> Batches:
        """Take vectors out at random, and move what is left to the front."""
        out = rng.permutation(held)[:n_out]
        for start in range(0, n_out, batch):
            yield buffer[out[start : start + batch]]
        stays = np.ones(held, bool)
        stays[out] = False
        buffer[: held - n_out] = buffer[:held][stays]

    def _listen(
        self, recordings: Sequence[Recording], skipped: list[Skipped]
    ) -> Iterator[tuple[str, Vectors]]:
        """Clips and what the tap says of them, in the order of the recordings."""
        stream = clips(
            self.sounds,
            recordings,
            sample_rate=self.model.sample_rate,
            n_channels=self.model.n_channels,
            clip_seconds=self.clip_seconds,
            on_skip=skipped.append,
        )
        for group in _of_one_length(stream, self.batch_clips):
            sound = torch.from_numpy(np.stack([clip.audio.samples for clip in group]))
            heard = run_capture(self.model, sound, [self.tap])[self.tap]
            starts = np.array([int(i * heard.time.hop) for i in range(heard.values.shape[1])])
            for clip, values in zip(group, heard.values.cpu().numpy(), strict=True):
                yield clip.clip_id, values[starts < clip.n_valid]

    def rows(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d_in"]:
        """The vectors at these indices; the model runs over their recordings."""
        checked = check_indices(indices, self.n_vectors)
        names, frames = self.locate(checked)
        wanted = {name.rpartition("#")[0] for name in names}
        found = np.empty((len(checked), self.d_in), np.float32)
        places: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            places.setdefault(name, []).append(place)
        needed = [each for each in self.recordings if each.recording_id in wanted]
        for clip_id, values in self._listen(needed, []) if needed else ():
            where = places.get(clip_id, [])
            found[where] = values[frames[where]]
        return found

    def locate(self, indices: Int[np.ndarray, " n"]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
        """Of which clip, and which of its frames, each vector is."""
        checked = check_indices(indices, self.n_vectors)
        counts = self._surveyed[0]
        ends = np.cumsum(list(counts.values()))
        which = np.searchsorted(ends, checked, side="right")
        names = list(counts)
        starts = np.concatenate([[0], ends])[which]
        return [names[i] for i in which], checked - starts

    def _measure(self) -> Statistics:
        return self._surveyed[1]


def _of_one_length(stream: Iterator[SoundClip], size: int) -> Iterator[list[SoundClip]]:
    """Consecutive clips of one length, at most ``size`` at a time."""
    for _, same in groupby(stream, key=lambda clip: clip.audio.n_samples):
        group: list[SoundClip] = []
        for clip in same:
            group.append(clip)
            if len(group) == size:
                yield group
                group = []
        if group:
            yield group
