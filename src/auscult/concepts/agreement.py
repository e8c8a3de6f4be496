"""How far two labelers agree: a probe cannot be better than its labels."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Shaped

from auscult.concepts.base import Labels
from auscult.core.errors import ConfigError
from auscult.measures.statistics import bootstrap_interval


@final
@dataclass(frozen=True)
class PitchAgreement:
    """Of two pitch estimators over the same frames.

    Attributes:
        within_half_a_semitone: Share of frames within 50 cents, of those that both call voiced.
        octaves_forgiven: The same, whatever the octave.
        voicing: Share of all frames on which they agree whether there is a pitch.
        same_class: Share of all frames with the same answer: the same semitone, or both unvoiced.
            What one estimator would score as a probe of the other's labels.
        interval: Bootstrap interval of ``same_class`` over recordings.
    """

    within_half_a_semitone: float
    octaves_forgiven: float
    voicing: float
    same_class: float
    interval: tuple[float, float]


def pitch_agreement(
    a: Labels,
    b: Labels,
    recording_ids: Shaped[np.ndarray, " frame"],
    rng: np.random.Generator,
) -> PitchAgreement:
    """Compare two estimators' labels of the same frames, in MIDI numbers.

    Raises:
        ConfigError: There is no frame.
    """
    if not len(a.values):
        raise ConfigError("there is no frame on which two labelers could agree")
    both = a.known & b.known
    apart = np.abs(a.values - b.values)[both]
    chroma = np.abs((apart + 6) % 12 - 6)
    same = np.where(both, np.round(a.values) == np.round(b.values), a.known == b.known)
    return PitchAgreement(
        float(np.mean(apart <= 0.5)) if both.any() else float("nan"),
        float(np.mean(chroma <= 0.5)) if both.any() else float("nan"),
        float(np.mean(a.known == b.known)),
        float(np.mean(same)),
        bootstrap_interval(same.astype(np.float64), recording_ids, rng),
    )
