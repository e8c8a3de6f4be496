"""How well partials' levels are read from a stage, in contexts that a probe was not fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from auscult.measures.folding import folded_hz
from auscult.measures.stages import Stage
from auscult.measures.tone_sweep import steady_responses
from auscult.models.base import AudioModel

AMPLITUDE = 0.1
"""Of a partial at its highest level, re full scale."""

_LOWEST = 0.1
_N_FOLDS = 4
_CHUNK_S = 8.0


@dataclass(frozen=True)
class Levels:
    """Contexts of some partials: each has a level and a phase of its own in each of them.

    Attributes:
        logs: Natural logarithms of amplitudes re :data:`AMPLITUDE`, over 20 dB.
        phases: Radians.
    """

    logs: Float[np.ndarray, "context partial"]
    phases: Float[np.ndarray, "context partial"]

    @classmethod
    def drawn(cls, n_contexts: int, n_partials: int, rng: np.random.Generator) -> "Levels":
        """Levels even over 20 dB, phases even over the circle."""
        shape = (n_contexts, n_partials)
        return cls(rng.uniform(np.log(_LOWEST), 0.0, shape), rng.uniform(0, 2 * np.pi, shape))

    @property
    def amplitudes(self) -> Float[np.ndarray, "context partial"]:
        """Re full scale."""
        return np.asarray(AMPLITUDE * np.exp(self.logs))

    def sound(
        self, f_hz: Float[np.ndarray, "*context partial"], sample_rate: int, n_samples: int
    ) -> Float[np.ndarray, "context time"]:
        """Sums of cosines; frequencies are common to all contexts, or one set for each."""
        turning = 2 * np.pi * np.arange(n_samples) / sample_rate
        each = np.broadcast_to(f_hz, self.logs.shape)
        sound = np.zeros((len(self.logs), n_samples))
        for p in range(each.shape[1]):
            phase = each[:, [p]] * turning + self.phases[:, [p]]
            sound += self.amplitudes[:, [p]] * np.cos(phase)
        return sound.astype(np.float32)


def heard_in_chunks(
    model: AudioModel, stages: Sequence[Stage], sound: Float[np.ndarray, "sound time"]
) -> dict[str, Float[np.ndarray, "sound frame channel"]]:
    """What stages say to many sounds, a few seconds at a time."""
    size = max(1, int(_CHUNK_S * model.sample_rate / sound.shape[1]))
    parts = [
        steady_responses(model, stages, sound[i : i + size]) for i in range(0, len(sound), size)
    ]
    return {s.address: np.concatenate([part[s.address] for part in parts]) for s in stages}


def decodable(
    values: Float[np.ndarray, "context frame channel"],
    stage: Stage,
    f_hz: Float[np.ndarray, " partial"],
    logs: Float[np.ndarray, "context partial"],
) -> Float[np.ndarray, " partial"]:
    """R² of each partial's log level, read by a ridge probe, not below 0.

    A probe hears the log magnitudes of every channel at the line where the partial lands, and the
    channels' means. Every context is foretold once, by a probe fitted to three quarters of the
    others. Bias: below what a probe of more contexts would reach.
    """
    from sklearn.linear_model import RidgeCV

    n, n_frames = values.shape[:2]
    means = values.mean(1)
    moving = (values - means[:, None]) * np.hanning(n_frames + 2)[1:-1, None]
    scores = []
    for p, hz in enumerate(folded_hz(f_hz, stage.rate_hz).tolist()):
        turning = np.exp(-2j * np.pi * hz / stage.rate_hz * np.arange(n_frames))
        line = np.abs(np.einsum("t,ntc->nc", turning, moving))
        x = np.concatenate([np.log(line + 1e-6), means], 1)
        x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)
        left = np.zeros(n)
        for fold in range(_N_FOLDS):
            out = np.arange(n) % _N_FOLDS == fold
            probe = RidgeCV(np.geomspace(1e-1, 1e4, 11)).fit(x[~out], logs[~out, p])
            left[out] = logs[out, p] - probe.predict(x[out])
        total = np.square(logs[:, p] - logs[:, p].mean()).sum()
        scores.append(1 - float(np.square(left).sum() / total))
    return np.asarray(np.maximum(np.array(scores), 0.0))
