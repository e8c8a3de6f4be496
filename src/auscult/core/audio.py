"""A sound in memory. It knows its sample rate and where it came from.

No function guesses either.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from auscult.core.errors import AudioError


@dataclass(frozen=True)
class Audio:
    """A sound, never a path.

    Attributes:
        samples: Waveform, nominally within [-1, 1].
        sample_rate: Samples per second.
        source: What it was cut from or made by, for people (a file's name, a stimulus).
        offset_samples: Where in the source it starts, at this sample rate.
    """

    samples: Float[np.ndarray, "channel time"]
    sample_rate: int
    source: str = ""
    offset_samples: int = 0

    def __post_init__(self) -> None:
        if self.sample_rate <= 0:
            raise AudioError(f"{self.source or 'a sound'} has a sample rate of {self.sample_rate}")
        if self.samples.ndim != 2 or self.samples.shape[0] == 0:
            shape = tuple(self.samples.shape)
            raise AudioError(f"{self.source or 'a sound'} must be [channel time], got {shape}")

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def n_samples(self) -> int:
        """Number of samples in each channel."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate

    def with_channels(self, n_channels: int) -> "Audio":
        """Mix down by averaging, or copy a mono sound to every channel.

        Raises:
            AudioError: Between two layouts of several channels there is no obvious mapping.
        """
        if n_channels == self.n_channels:
            return self
        if n_channels == 1:
            return replace(self, samples=self.samples.mean(0, keepdims=True))
        if self.n_channels == 1:
            return replace(self, samples=np.repeat(self.samples, n_channels, axis=0))
        raise AudioError(
            f"{self.source or 'a sound'} has {self.n_channels} channels, the model wants "
            f"{n_channels}"
        )

    def resampled(self, sample_rate: int) -> "Audio":
        """Convert to another sample rate with soxr at its high quality; the same rate is free."""
        if sample_rate == self.sample_rate:
            return self
        import soxr

        samples = soxr.resample(self.samples.T, self.sample_rate, sample_rate, quality="HQ").T
        offset = round(self.offset_samples * sample_rate / self.sample_rate)
        return replace(
            self,
            samples=np.ascontiguousarray(samples, dtype=np.float32),
            sample_rate=sample_rate,
            offset_samples=offset,
        )

    def excerpt(self, start: int, stop: int) -> "Audio":
        """Cut samples [start, stop); what lies outside the sound is left out, never invented."""
        start, stop = max(start, 0), min(stop, self.n_samples)
        if start >= stop:
            raise AudioError(
                f"samples {start} to {stop} of {self.source or 'a sound'} hold nothing"
            )
        return replace(
            self,
            samples=self.samples[:, start:stop],
            offset_samples=self.offset_samples + start,
        )


def level_db(samples: Float[np.ndarray, "*axes"]) -> float:
    """Root-mean-square level in dB re full scale (a full-scale square wave is 0 dB), at least -120.

    >>> round(level_db(np.full((1, 10), 0.1, np.float32)), 3)
    -20.0
    """
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return 10.0 * float(np.log10(max(power, 1e-12)))
