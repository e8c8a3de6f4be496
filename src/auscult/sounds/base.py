"""What every source of sounds offers, how recordings are cut into clips, and how they are split."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool

from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import AudioError, ConfigError
from auscult.core.registry import Registry
from auscult.core.rng import seed_of

SOUNDS: Registry["SoundSource"] = Registry("sound source", "auscult.sounds")

MIN_CLIP_S = 0.1
"""A last clip that holds less sound than this is dropped, unless it is the recording's only one."""


@dataclass(frozen=True)
class Recording:
    """One sound of a source, known by name and content before anything is decoded.

    Attributes:
        recording_id: Unique and stable: a file's path relative to its folder (POSIX), or the
            stimulus and its parameters. It may hold any character; show it as text.
        digest: SHA-256 of the file's content, or of the stimulus' parameters.
        labels: What is known about it. Numbers are floats; lists are JSON text. Times count from
            the start of the recording, not of a clip.
        duration_s: Length in seconds where the file's header tells.
        origin: Digest of the recording that this one was derived from, or "". Splits go by it, so
            that a control lands on the side of the sound that it controls for.
    """

    recording_id: str
    digest: str
    labels: Mapping[str, str | float] = field(default_factory=dict, hash=False)
    duration_s: float | None = None
    origin: str = ""


@dataclass(frozen=True)
class Skipped:
    """Something that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class SoundClip:
    """What a model is fed: a stretch of one recording.

    Attributes:
        clip_id: The recording's id, ``#`` and the clip's index within the recording.
        recording_id: Where it was cut from: the unit of splitting.
        audio: At the sample rate and channel count that were asked for.
        n_valid: Samples before the zero padding.
        labels: The recording's labels.
        start_s: Where it starts in the recording, in seconds.
    """

    clip_id: str
    recording_id: str
    audio: Audio
    n_valid: int
    labels: Mapping[str, str | float] = field(hash=False)
    start_s: float


class SoundSource(ABC):
    """A set of recordings that are decoded, or generated, one at a time.

    Attributes:
        params: Its settings.
        seed: Of everything that is drawn at random.
        skipped: What :meth:`recordings` left out.
    """

    registered_name: ClassVar[str] = ""
    Params: ClassVar[type[Config]] = Config

    def __init__(self, params: Any, seed: int) -> None:
        self.params = params
        self.seed = seed
        self.skipped: list[Skipped] = []

    @abstractmethod
    def recordings(self) -> list[Recording]:
        """All usable recordings sorted by id, each content once; none of them is decoded.

        Raises:
            AudioError: There is no usable recording.
        """

    @abstractmethod
    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Decode or generate a recording: float32, its own channels, its own rate if none is given.

        Raises:
            AudioError: It cannot be decoded, is empty, or holds values that are not numbers.
        """


def clips(
    source: SoundSource,
    recordings: Sequence[Recording],
    *,
    sample_rate: int,
    n_channels: int,
    clip_seconds: float | None,
    on_skip: Callable[[Skipped], None],
) -> Iterator[SoundClip]:
    """Stream clips at a model's rate and channel count, with one recording in memory at a time.

    Args:
        source: Where the recordings come from.
        recordings: Which of them, and in which order.
        sample_rate: Of the model; each recording is resampled once, as a whole, after mixing down.
        n_channels: Of the model.
        clip_seconds: Length of a clip; zeros fill up the last one. None: whole recordings.
        on_skip: Told about each recording that cannot be used; the stream goes on.

    Raises:
        AudioError: Not one recording could be used.
        ConfigError: The clips would hold no sample.
    """
    n_clip = None if clip_seconds is None else round(clip_seconds * sample_rate)
    if n_clip is not None and n_clip < 1:
        raise ConfigError(f"clips of {clip_seconds} s hold no sample at {sample_rate} Hz")
    n_used, first = 0, Skipped("", "")
    for recording in recordings:
        try:
            audio = _for_model(source.load(recording), sample_rate, n_channels)
        except AudioError as error:
            reason = str(error).removeprefix(f"{recording.recording_id!r} ")
            skipped = Skipped(recording.recording_id, reason)
            first = first if first.name else skipped
            on_skip(skipped)
            continue
        n_used += 1
        yield from _cut(recording, audio, n_clip or audio.n_samples)
    if not n_used:
        why = f"; the first, {first.name!r}: {first.reason}" if first.name else ""
        raise AudioError(f"none of {len(recordings)} recordings can be used{why}")


def _for_model(audio: Audio, sample_rate: int, n_channels: int) -> Audio:
    audio = audio.with_channels(n_channels).resampled(sample_rate)
    if not audio.n_samples:
        raise AudioError(f"{audio.source!r} is too short to have a sample at {sample_rate} Hz")
    return audio


def _cut(recording: Recording, audio: Audio, n_clip: int) -> Iterator[SoundClip]:
    """Cut [0, n_clip), [n_clip, 2 n_clip), …; zeros fill the last one up."""
    least = min(n_clip, round(MIN_CLIP_S * audio.sample_rate))
    for index, start in enumerate(range(0, audio.n_samples, n_clip)):
        part = audio.excerpt(start, start + n_clip)
        n_valid = part.n_samples
        if start and n_valid < least:
            return
        padded = np.pad(part.samples, ((0, 0), (0, n_clip - n_valid)))
        yield SoundClip(
            clip_id=f"{recording.recording_id}#{index}",
            recording_id=recording.recording_id,
            audio=replace(part, samples=padded),
            n_valid=n_valid,
            labels=recording.labels,
            start_s=start / audio.sample_rate,
        )


def at_most(recordings: Sequence[Recording], limit: int | None, seed: int) -> list[Recording]:
    """Draw a limited number of recordings by content and seed, kept in order; None keeps all."""
    if limit is None:
        return list(recordings)
    drawn = sorted(recordings, key=lambda recording: seed_of(seed, "limit", recording.digest))
    kept = {recording.recording_id for recording in drawn[:limit]}
    return [recording for recording in recordings if recording.recording_id in kept]


def split(
    recordings: Sequence[Recording],
    shares: Mapping[str, float],
    seed: int,
    group: str | None = None,
) -> dict[str, list[Recording]]:
    """Divide recordings among named sides by their own content and the seed alone.

    Hashing places each recording in [0, 1), the shares cut that interval. With few recordings a
    side may stay empty; then the recording nearest to that side's stretch moves there from the
    fullest side: the one case in which the others matter.

    Args:
        recordings: In any order, which each side keeps.
        shares: Side to share, such as ``{"train": 0.8, "test": 0.2}``; what lacks to 1 is left out.
        seed: Of the run.
        group: A label; recordings that share its value stay together (a fold, a speaker, an
            artist). One without the label goes by its own content.

    Raises:
        ConfigError: The shares exceed 1, or all recordings belong to one group.
    """
    total = sum(shares.values())
    if any(share < 0 for share in shares.values()) or not 0 < total <= 1 + 1e-6:
        raise ConfigError(f"the shares of a split must be parts of 1, got {dict(shares)}")
    keys = [_split_key(recording, group) for recording in recordings]
    wanted = [name for name, share in shares.items() if share > 0]
    if group and len(wanted) > 1 and len(recordings) > 1 and len(set(keys)) == 1:
        raise ConfigError(
            f"all {len(recordings)} recordings have the same {group!r}: split by another label"
        )
    side_of = _sides({key: seed_of(seed, "split", key) / 2**63 for key in keys}, shares)
    sides: dict[str, list[Recording]] = {name: [] for name in shares}
    for key, recording in zip(keys, recordings, strict=True):
        if side_of[key]:
            sides[side_of[key]].append(recording)
    return sides


def sides_by_label(
    recordings: Sequence[Recording],
    label: str,
    test_values: Sequence[str],
    train_values: Sequence[str] = (),
) -> dict[str, list[Recording]]:
    """Divide recordings as their data set did: a label says on which side each is.

    Args:
        recordings: In any order, which each side keeps.
        label: Its name, such as ``split`` or ``fold``.
        test_values: Values of the test side.
        train_values: Values of the training side; none: all others that have the label. What is in
            neither, or has no such label, is left out.

    Raises:
        ConfigError: A side would be empty; the message lists the values that there are.
    """
    values = [_as_text(recording.labels.get(label)) for recording in recordings]
    others = tuple(v for v in dict.fromkeys(values) if v and v not in test_values)
    wanted = {"train": tuple(train_values) or others, "test": tuple(test_values)}
    sides = {
        side: [one for one, v in zip(recordings, values, strict=True) if v in some]
        for side, some in wanted.items()
    }
    empty = [side for side, some in sides.items() if not some]
    if empty:
        known = ", ".join(sorted({repr(v) for v in values if v})) or "none"
        raise ConfigError(
            f"sounds.split: no recording is on the {empty[0]} side by its label {label!r}, whose "
            f"values are {known}"
        )
    return sides


def _as_text(value: str | float | None) -> str:
    """A label's value as it is written in settings: 5.0 is 5."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else value


def _split_key(recording: Recording, group: str | None) -> str:
    if group and group in recording.labels:
        return f"{group}={recording.labels[group]}"
    return recording.origin or recording.digest


def _sides(places: Mapping[str, float], shares: Mapping[str, float]) -> dict[str, str]:
    """Side of each key by its place in [0, 1]; "" for those that are left out."""
    wanted = [name for name, share in shares.items() if share > 0]
    ends = np.cumsum([shares[name] for name in wanted])
    # Shares that sum to 1 but for rounding leave nothing out.
    last = np.inf if ends[-1] > 1 - 1e-6 else ends[-1]
    indices = np.searchsorted([*ends[:-1], last], list(places.values()), side="right")
    side_of = {key: [*wanted, ""][index] for key, index in zip(places, indices, strict=True)}
    for name in sorted(wanted, key=lambda side: -shares[side]):
        held = {side: [key for key in places if side_of[key] == side] for side in [*wanted, ""]}
        donors = [side for side in held if len(held[side]) > (1 if side else 0)]
        if held[name] or not donors:
            continue
        fullest = max(donors, key=lambda side: len(held[side]))
        middle = float(ends[wanted.index(name)]) - shares[name] / 2
        nearest = min(held[fullest], key=lambda key: (abs(places[key] - middle), key))
        side_of[nearest] = name
    return side_of


def silence_mask(
    audio: Audio, hop_samples: int | Fraction, threshold_db: float = -60.0
) -> Bool[np.ndarray, " frame"]:
    """Say which hops are silent: True where the level stays below the threshold.

    Args:
        audio: Any number of channels; their power is averaged.
        hop_samples: Samples per frame, also a fraction; frame ``i`` stands for the samples of
            [i * hop, (i + 1) * hop), the last one for those that are left.
        threshold_db: Root-mean-square level in dB re full scale (a full-scale square wave is 0 dB).

    Raises:
        ConfigError: The hop is not positive.
    """
    hop = Fraction(hop_samples)
    if hop <= 0:
        raise ConfigError(f"a hop of {hop_samples} samples is not positive")
    n_frames = -(-audio.n_samples * hop.denominator // hop.numerator)
    if n_frames == 0:
        return np.zeros(0, dtype=bool)
    starts = -(-np.arange(n_frames, dtype=np.int64) * hop.numerator // hop.denominator)
    # A hop below one sample has no sample of its own at times: it takes its neighbour's.
    starts = np.minimum(starts, audio.n_samples - 1)
    power = np.square(audio.samples, dtype=np.float64).mean(0)
    counts = np.maximum(np.diff(starts, append=audio.n_samples), 1)
    mean_power = np.add.reduceat(power, starts) / counts
    return np.asarray(mean_power < 10.0 ** (threshold_db / 10.0))
