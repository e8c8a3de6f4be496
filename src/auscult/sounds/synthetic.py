"""What all stimuli share: they are drawn by index, generated when loaded, and true to their labels.

A stimulus family draws each sound's parameters with a random generator of its own, named by family
and index, and states them as labels; rendering reads nothing but these labels and a second
generator. So any subset is reproducible, and what a label says is what was rendered. Lists in
labels are JSON text.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from pydantic import AfterValidator, Field, model_validator

from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import AudioError, ConfigError
from auscult.core.rng import named_rng
from auscult.sounds.base import Recording, SoundSource

FADE_S = 0.005
"""Length of the raised-cosine fades that keep a sound from clicking where it starts and stops."""

PEAK = 0.9
"""No stimulus exceeds this, whatever its level."""

HIGHEST = 0.45
"""Highest frequency of a stimulus as a share of its sample rate (0.5 is Nyquist)."""

Labels = dict[str, str | float]


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= ends[0] <= ends[1]:
        raise ConfigError(f"a range needs two numbers, 0 ≤ lowest ≤ highest, got {list(ends)}")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Lowest and highest value of a parameter that is drawn; equal ends fix it."""


class StimulusParams(Config):
    """How many stimuli, how long, how loud."""

    n: int = Field(64, ge=1, le=1_000_000)
    """Number of stimuli; the first ones of a larger set are the smaller set."""
    seconds: float = Field(2.0, ge=0.01, le=3600)
    """Length of each."""
    sample_rate: int = Field(24_000, ge=1_000, le=768_000)
    """Rate at which they are generated, in Hz; ranges of frequency are cut at 0.45 of it."""
    level_db: float = Field(-20.0, ge=-120, le=0)
    """Root-mean-square level in dB re full scale, lowered where the peak would exceed 0.9."""

    @property
    def n_samples(self) -> int:
        """Length of each in samples."""
        return round(self.seconds * self.sample_rate)

    @model_validator(mode="after")
    def _frequencies_fit_the_rate(self) -> "StimulusParams":
        for name in ("f0_hz", "f_hz", "centre_hz"):
            if hasattr(self, name):
                below_nyquist(getattr(self, name), self.sample_rate)
        return self


def listed(
    source: SoundSource, draw: Callable[[int, np.random.Generator], Labels]
) -> list[Recording]:
    """The recordings of a stimulus family: labels are drawn, nothing is rendered."""
    family = source.registered_name
    return [
        _recording(source, index, draw(index, named_rng(source.seed, family, index, "parameters")))
        for index in range(source.params.n)
    ]


def _recording(source: SoundSource, index: int, labels: Mapping[str, str | float]) -> Recording:
    told = [f"{name}={_short(value)}" for name, value in labels.items() if _short(value)][:3]
    return Recording(
        recording_id=",".join([f"{source.registered_name}/{index:06d}", *told]),
        digest=_digest(source, index, labels),
        labels=labels,
        duration_s=source.params.n_samples / source.params.sample_rate,
    )


def _short(value: str | float) -> str:
    if isinstance(value, str):
        return "" if value.startswith("[") else value
    return f"{value:.5g}"


def _digest(source: SoundSource, index: int, labels: Mapping[str, str | float]) -> str:
    """Of everything that the samples depend on, which the number of stimuli is not."""
    told = {
        "family": source.registered_name,
        "seed": source.seed,
        "index": index,
        "params": source.params.model_dump(mode="json", exclude={"n"}),
        "labels": dict(labels),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def rendered(
    source: SoundSource,
    recording: Recording,
    sample_rate: int | None,
    render: Callable[[Mapping[str, str | float], np.random.Generator], Float[np.ndarray, " time"]],
) -> Audio:
    """Generate a recording that :func:`listed` has listed.

    Raises:
        AudioError: The recording is not one of this source.
    """
    name, family = recording.recording_id, source.registered_name
    index = name.partition(",")[0].removeprefix(f"{family}/")
    if not index.isdecimal() or _digest(source, int(index), recording.labels) != recording.digest:
        raise AudioError(f"{name!r} is not a stimulus of this source: it was drawn otherwise")
    samples = render(recording.labels, named_rng(source.seed, family, int(index), "samples"))
    audio = Audio(samples.astype(np.float32)[None], source.params.sample_rate, source=name)
    return audio if sample_rate is None else audio.resampled(sample_rate)


def times(n_samples: int, sample_rate: int) -> Float[np.ndarray, " time"]:
    """Seconds from the first sample."""
    return np.arange(n_samples) / sample_rate


def fade(n_samples: int, sample_rate: int) -> Float[np.ndarray, " time"]:
    """Gain of the raised-cosine fades at both ends."""
    n_fade = min(round(FADE_S * sample_rate), n_samples // 2)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n_fade) + 0.5) / max(n_fade, 1))
    gain = np.ones(n_samples)
    gain[:n_fade] = rise
    gain[n_samples - n_fade :] = rise[::-1]
    return gain


def levelled(samples: Float[np.ndarray, " time"], level_db: float) -> Float[np.ndarray, " time"]:
    """Scale to a root-mean-square level in dB re full scale, or to a peak of 0.9 if it is lower."""
    power = float(np.mean(samples**2))
    if not power:
        return samples
    gain = 10 ** (level_db / 20) / power**0.5
    gain = min(gain, PEAK / float(np.abs(samples).max()))
    return np.asarray(samples * gain)


def below_nyquist(ends: tuple[float, ...], sample_rate: int) -> tuple[float, float]:
    """Cut a range of frequencies at 0.45 of the sample rate.

    Raises:
        ConfigError: Nothing of it is left, or it begins at 0 Hz.
    """
    highest = HIGHEST * sample_rate
    if not 0 < ends[0] < highest:
        raise ConfigError(
            f"{ends[0]} Hz is not between 0 and {highest:g} Hz, 0.45 of the sample rate"
        )
    return ends[0], min(ends[-1], highest)


def log_uniform(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    """Draw a number whose logarithm is uniform between two positive ends."""
    return float(np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]))))


def midi_of(f_hz: float) -> float:
    """MIDI number of a frequency, with its fraction: 69 is 440 Hz, 12 to the octave."""
    return 69 + 12 * float(np.log2(f_hz / 440))


def hz_of(midi: float | int) -> float:
    """Frequency of a MIDI number.

    >>> hz_of(69), round(hz_of(60), 3)
    (440.0, 261.626)
    """
    return float(440 * 2 ** ((midi - 69) / 12))


def as_list(values: Sequence[float | int] | Float[np.ndarray, " n"]) -> str:
    """Numbers as a label: JSON text that :func:`from_list` turns into the very same floats."""
    return json.dumps([float(value) for value in values])


def from_list(label: Any) -> Float[np.ndarray, " n"]:
    """The numbers of a label that :func:`as_list` wrote."""
    return np.array(json.loads(str(label)), dtype=np.float64)
