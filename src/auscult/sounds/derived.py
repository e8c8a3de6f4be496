"""Controls made from other sounds: what is left when phase, or order in time, is destroyed."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import Field, field_validator

from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import AudioError
from auscult.core.rng import named_rng
from auscult.sounds.base import SOUNDS, Recording, SoundSource


def phase_randomised(
    samples: Float[np.ndarray, "channel time"], rng: np.random.Generator
) -> Float[np.ndarray, "channel time"]:
    """Turn each component of the whole sound by a random phase; magnitudes stay.

    All channels are turned alike, so that what they have in common stays common. The mean, and for
    an even length the component at Nyquist, are real and keep their sign. Envelopes are lost with
    the phases; the peak may change.
    """
    n_samples = samples.shape[1]
    spectrum = np.fft.rfft(samples.astype(np.float64), axis=1)
    turn = np.exp(2j * np.pi * rng.random(spectrum.shape[1]))
    turn[0] = 1
    if n_samples % 2 == 0:
        turn[-1] = 1
    return np.fft.irfft(spectrum * turn, n_samples, axis=1).astype(np.float32)


def time_shuffled(
    samples: Float[np.ndarray, "channel time"], n_block: int, rng: np.random.Generator
) -> Float[np.ndarray, "channel time"]:
    """Put blocks of a sound in random order, the last incomplete one staying where it is.

    The very same samples in another order: level and distribution are kept, seams may click.
    """
    n_blocks = samples.shape[1] // n_block
    order = rng.permutation(n_blocks)
    index = (order[:, None] * n_block + np.arange(n_block)).ravel()
    return np.concatenate([samples[:, index], samples[:, n_blocks * n_block :]], axis=1)


def _checked(section: Mapping[str, Any]) -> Mapping[str, Any]:
    SOUNDS.parse(section, "of")
    return section


def _wrapped(section: Mapping[str, Any], seed: int) -> SoundSource:
    cls, params = SOUNDS.parse(section, "of")
    return cls(params, seed)


def _renamed(source: SoundSource, inner: SoundSource) -> dict[str, tuple[Recording, Recording]]:
    """Derived and original recording by the derived one's id."""
    name = source.registered_name
    told = f"{name} {source.seed} {source.params.model_dump(mode='json', exclude={'of'})}"
    renamed = {}
    for original in inner.recordings():
        recording = Recording(
            recording_id=f"{name}/{original.recording_id}",
            digest=hashlib.sha256(f"{told} {original.digest}".encode()).hexdigest(),
            labels=original.labels,
            duration_s=original.duration_s,
            origin=original.origin or original.digest,
        )
        renamed[recording.recording_id] = (recording, original)
    source.skipped = inner.skipped
    return renamed


def _original(
    source: SoundSource,
    inner: SoundSource,
    known: Mapping[str, tuple[Recording, Recording]],
    recording: Recording,
) -> Audio:
    if recording.recording_id not in known:
        raise AudioError(
            f"{recording.recording_id!r} is not a recording of {source.registered_name}"
        )
    return inner.load(known[recording.recording_id][1])


def _delivered(
    audio: Audio,
    samples: Float[np.ndarray, "channel time"],
    recording: Recording,
    sample_rate: int | None,
) -> Audio:
    made = Audio(samples, audio.sample_rate, source=recording.recording_id)
    return made if sample_rate is None else made.resampled(sample_rate)


@SOUNDS.register("phase-randomised")
class PhaseRandomised(SoundSource):
    """Another source's recordings with random phases: same magnitude spectrum, no events.

    Labels are the originals'. Splits put a recording on its original's side.
    """

    class Params(Config):
        """Of what."""

        of: dict[str, Any]
        """The section of another source, with its ``type``."""

        check_of = field_validator("of")(_checked)

    def recordings(self) -> list[Recording]:
        """One for each recording of the other source."""
        return [recording for recording, _ in self._known.values()]

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Load the original and randomise its phases."""
        audio = _original(self, self._inner, self._known, recording)
        rng = named_rng(self.seed, self.registered_name, recording.digest)
        return _delivered(audio, phase_randomised(audio.samples, rng), recording, sample_rate)

    @cached_property
    def _inner(self) -> SoundSource:
        return _wrapped(self.params.of, self.seed)

    @cached_property
    def _known(self) -> dict[str, tuple[Recording, Recording]]:
        return _renamed(self, self._inner)


@SOUNDS.register("time-shuffled")
class TimeShuffled(SoundSource):
    """Another source's recordings, cut into short blocks that are put in random order.

    Labels are the originals', whose times no longer hold. Splits put a recording on its original's
    side.
    """

    class Params(Config):
        """Of what."""

        of: dict[str, Any]
        """The section of another source, with its ``type``."""
        block_s: float = Field(0.05, gt=0)
        """Length of a block in seconds."""

        check_of = field_validator("of")(_checked)

    def recordings(self) -> list[Recording]:
        """One for each recording of the other source."""
        return [recording for recording, _ in self._known.values()]

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Load the original and shuffle its blocks."""
        audio = _original(self, self._inner, self._known, recording)
        n_block = max(1, round(self.params.block_s * audio.sample_rate))
        rng = named_rng(self.seed, self.registered_name, recording.digest)
        return _delivered(audio, time_shuffled(audio.samples, n_block, rng), recording, sample_rate)

    @cached_property
    def _inner(self) -> SoundSource:
        return _wrapped(self.params.of, self.seed)

    @cached_property
    def _known(self) -> dict[str, tuple[Recording, Recording]]:
        return _renamed(self, self._inner)
