"""Steady tones: sines and stacks of partials with roll-off, inharmonicity and vibrato."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.core.audio import Audio
from auscult.sounds.base import SOUNDS, Recording, SoundSource
from auscult.sounds.synthetic import (
    HIGHEST,
    Labels,
    Range,
    StimulusParams,
    below_nyquist,
    fade,
    levelled,
    listed,
    log_uniform,
    midi_of,
    rendered,
    times,
)


def partial_frequencies(
    f0_hz: float, n_partials: int, inharmonicity: float
) -> Float[np.ndarray, " partial"]:
    """Frequencies h f0 sqrt((1 + B h²) / (1 + B)) of a stiff string, whose first partial is f0.

    >>> partial_frequencies(100.0, 3, 0.0)
    array([100., 200., 300.])
    """
    number = np.arange(1, n_partials + 1)
    stretch = (1 + inharmonicity * number**2) / (1 + inharmonicity)
    return np.asarray(f0_hz * number * np.sqrt(stretch))


def glide(
    f_hz: Float[np.ndarray, " partial"],
    n_samples: int,
    sample_rate: int,
    vibrato_cents: float = 0.0,
    vibrato_hz: float = 0.0,
) -> Float[np.ndarray, "partial time"]:
    """Phases of partials whose frequency is f (1 + d sin(2π r t)), d = 2^(cents / 1200) - 1.

    The integral of frequency over time is f (t + d (1 - cos(2π r t)) / (2π r)).
    """
    t = times(n_samples, sample_rate)
    if vibrato_cents and vibrato_hz:
        depth = 2 ** (vibrato_cents / 1200) - 1
        rate = 2 * np.pi * vibrato_hz
        t = t + depth * (1 - np.cos(rate * t)) / rate
    return np.asarray(2 * np.pi * f_hz[:, None] * t)


def n_audible_partials(
    f0_hz: float, most: int, sample_rate: int, inharmonicity: float, vibrato: tuple[float, float]
) -> int:
    """Partials that stay below 0.45 of the sample rate, the sidebands of their vibrato included.

    Vibrato widens a partial by its excursion and, below 1 % of its power, by a few times its rate.
    """
    cents, rate_hz = vibrato
    highest = partial_frequencies(f0_hz, most, inharmonicity) * 2 ** (cents / 1200) + 4 * rate_hz
    return max(1, int(np.sum(highest <= HIGHEST * sample_rate)))


@SOUNDS.register("tones")
class Tones(SoundSource):
    """Sines, and stacks of partials whose amplitudes fall as 1 / h^a.

    Labels: ``f0_hz`` (of the first partial; with vibrato its centre), ``timbre``, ``pitch_midi``,
    ``rolloff`` (a), ``inharmonicity`` (B), ``n_partials``, ``vibrato_cents``, ``vibrato_hz``.
    """

    class Params(StimulusParams):
        """Which tones."""

        f0_hz: Range = (40.0, 4_000.0)
        """Fundamental frequency, drawn uniformly in its logarithm."""
        timbres: tuple[Literal["sine", "stack"], ...] = Field(("sine", "stack"), min_length=1)
        """Taken in turn."""
        rolloff: Range = (0.5, 2.0)
        """Exponent a of a stack's amplitudes 1 / h^a."""
        most_partials: int = Field(40, ge=1, le=1_000)
        """A stack has at most so many partials, fewer where they would come near Nyquist."""
        inharmonicity: Range = (0.0, 0.0)
        """B of a stack's partials h f0 sqrt((1 + B h²) / (1 + B)); a piano has 0.0001 to 0.01."""
        vibrato_cents: Range = (0.0, 0.0)
        """Upward excursion of the frequency, in hundredths of a semitone."""
        vibrato_hz: Range = (4.0, 7.0)
        """Rate of the vibrato."""

    def recordings(self) -> list[Recording]:
        """The stimuli, by index."""
        return listed(self, self._draw)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Generate a tone."""
        return rendered(self, recording, sample_rate, self._render)

    def _draw(self, index: int, rng: np.random.Generator) -> Labels:
        params = self.params
        f0_hz = log_uniform(rng, below_nyquist(params.f0_hz, params.sample_rate))
        timbre = params.timbres[index % len(params.timbres)]
        rolloff, inharmonicity = rng.uniform(*params.rolloff), rng.uniform(*params.inharmonicity)
        cents, rate = rng.uniform(*params.vibrato_cents), rng.uniform(*params.vibrato_hz)
        most = 1 if timbre == "sine" else params.most_partials
        vibrato = (cents, rate if cents else 0.0)
        n = n_audible_partials(f0_hz, most, params.sample_rate, inharmonicity, vibrato)
        return {
            "f0_hz": f0_hz,
            "timbre": timbre,
            "pitch_midi": midi_of(f0_hz),
            "rolloff": rolloff if n > 1 else 0.0,
            "inharmonicity": inharmonicity if n > 1 else 0.0,
            "n_partials": float(n),
            "vibrato_cents": cents,
            "vibrato_hz": vibrato[1],
        }

    def _render(
        self, labels: Mapping[str, str | float], rng: np.random.Generator
    ) -> Float[np.ndarray, " time"]:
        n_samples, sample_rate = self.params.n_samples, self.params.sample_rate
        value = {name: float(labels[name]) for name in labels if name != "timbre"}
        n = int(value["n_partials"])
        f_hz = partial_frequencies(value["f0_hz"], n, value["inharmonicity"])
        phases = glide(f_hz, n_samples, sample_rate, value["vibrato_cents"], value["vibrato_hz"])
        amplitudes = np.arange(1, n + 1) ** -value["rolloff"]
        tone = amplitudes @ np.sin(phases + rng.uniform(0, 2 * np.pi, (n, 1)))
        return levelled(tone * fade(n_samples, sample_rate), self.params.level_db)
