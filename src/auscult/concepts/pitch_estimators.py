"""Pitch estimators behind one interface.

Each hears a mono sound and gives a track of its own frame rate: a frequency, and how sure it is
that there is one.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from auscult.core.optional import optional_module

EstimatorName = Literal["swift-f0", "yin", "pyin", "crepe"]

LOWEST_HZ, HIGHEST_HZ = 46.875, 2093.75
_YIN_HOP_S = 0.01
_YIN_RATE = 16_000


@dataclass(frozen=True)
class PitchTrack:
    """What an estimator heard.

    Attributes:
        times_s: Centre of each of its frames.
        hz: Its best guess, whether or not it is sure.
        confidence: In [0, 1], on a scale of its own.
    """

    times_s: Float[np.ndarray, " frame"]
    hz: Float[np.ndarray, " frame"]
    confidence: Float[np.ndarray, " frame"]


def swift_f0(samples: Float[np.ndarray, " time"], sample_rate: int) -> PitchTrack:
    """SwiftF0, a small network trained on speech, song and instruments: 47 to 2,094 Hz, 16 ms."""
    found = _swift_f0().detect(samples.astype(np.float32), sample_rate)
    times, hz, sure = (
        np.asarray(one, dtype=np.float64)
        for one in (found.timestamps, found.pitch_hz, found.confidence)
    )
    return PitchTrack(times, hz, np.clip(sure, 0, 1))


@cache
def _swift_f0() -> Any:
    return _module("swift_f0", "pitch").SwiftF0(threads=1, spin=False)


def yin(samples: Float[np.ndarray, " time"], sample_rate: int) -> PitchTrack:
    """YIN (de Cheveigné & Kawahara 2002), without a model, as librosa has it, every 10 ms.

    It knows no unvoiced frames. The confidence is the correlation of two neighbouring periods.
    """
    librosa = _module("librosa", "concepts")
    at_rate = _resampled(samples, sample_rate, _YIN_RATE)
    hop, length = round(_YIN_HOP_S * _YIN_RATE), 1024
    padded = at_rate if len(at_rate) > length else np.pad(at_rate, (0, length))
    hz = librosa.yin(
        padded, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=_YIN_RATE, frame_length=length, hop_length=hop
    )
    n = 1 + len(at_rate) // hop
    centres = np.arange(n) * hop
    sure = _periodicity(padded, centres, _YIN_RATE / hz[:n])
    return PitchTrack(centres / _YIN_RATE, np.asarray(hz[:n], dtype=np.float64), sure)


def _periodicity(
    samples: Float[np.ndarray, " time"],
    centres: np.ndarray,
    periods: Float[np.ndarray, " frame"],
) -> Float[np.ndarray, " frame"]:
    """Correlation of the 32 ms around each centre, halved in lag, with the same one period on.

    Bias: a period of many samples is rounded to a whole one, which costs high pitches up to 0.1.
    """
    half = 256
    lags = np.round(periods).astype(np.int64)
    padded = np.pad(
        samples.astype(np.float64), (2 * half + int(lags.max()), 2 * half + int(lags.max()))
    )
    start = centres + 2 * half + int(lags.max()) - half - lags // 2
    view = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)
    first, second = view[start], view[start + lags]
    power = np.square(first).sum(axis=1) * np.square(second).sum(axis=1)
    dot = (first * second).sum(axis=1)
    return np.clip(np.where(power > 1e-12, dot / np.sqrt(np.maximum(power, 1e-12)), 0.0), 0, 1)


def pyin(samples: Float[np.ndarray, " time"], sample_rate: int) -> PitchTrack:
    """Probabilistic YIN (Mauch & Dixon 2014), as librosa has it: slow, with a voicing model."""
    librosa = _module("librosa", "concepts")
    at_rate = _resampled(samples, sample_rate, _YIN_RATE)
    hop = round(_YIN_HOP_S * _YIN_RATE)
    hz, _, sure = librosa.pyin(
        at_rate,
        fmin=LOWEST_HZ,
        fmax=HIGHEST_HZ,
        sr=_YIN_RATE,
        frame_length=1024,
        hop_length=hop,
        fill_na=LOWEST_HZ,
    )
    times = np.arange(len(hz)) * hop / _YIN_RATE
    return PitchTrack(times, np.asarray(hz, dtype=np.float64), np.clip(sure, 0, 1))


def crepe(samples: Float[np.ndarray, " time"], sample_rate: int) -> PitchTrack:
    """CREPE (Kim et al. 2018) through torchcrepe, as published recipes label: 50 to 2,006 Hz.

    The full model, Viterbi decoding, 10 ms. Confidence is its periodicity. Some six seconds of
    processor time for one of sound. Tried with torchcrepe 0.0.24 and without torchaudio: stacks of
    harmonics from 110 to 880 Hz are heard 6 to 8 cents high, with a confidence of 0.94 and more; on
    noisy speech it stays below the usual bar of 0.5 where SwiftF0 hears a voice.
    """
    import torch

    torchcrepe = _torchcrepe()
    rate, hop = 16_000, 160
    at_rate = torch.from_numpy(_resampled(samples, sample_rate, rate))[None]
    hz, periodicity = torchcrepe.predict(
        at_rate, rate, hop, 50.0, 2006.0, "full", return_periodicity=True, batch_size=512
    )
    n = hz.shape[1]
    return PitchTrack(
        np.arange(n) * hop / rate,
        hz[0].double().numpy(),
        np.clip(periodicity[0].double().numpy(), 0, 1),
    )


def _torchcrepe() -> Any:
    """Import torchcrepe, which needs torchaudio only to load files: here it never does."""
    stand_in = "torchaudio" not in sys.modules and importlib.util.find_spec("torchaudio") is None
    if stand_in:
        sys.modules["torchaudio"] = ModuleType("torchaudio")
    try:
        return _module("torchcrepe", "crepe")
    finally:
        if stand_in:
            del sys.modules["torchaudio"]


ESTIMATORS: Mapping[EstimatorName, Callable[[np.ndarray, int], PitchTrack]] = {
    "swift-f0": swift_f0,
    "yin": yin,
    "pyin": pyin,
    "crepe": crepe,
}

VOICED_FROM: Mapping[EstimatorName, float] = {
    "swift-f0": 0.5,
    "yin": 0.85,
    "pyin": 0.5,
    "crepe": 0.5,
}
"""Least confidence of a voiced frame (for CREPE: METHODS C-4)."""


def _resampled(samples: np.ndarray, sample_rate: int, wanted: int) -> Float[np.ndarray, " time"]:
    import soxr

    if sample_rate == wanted:
        return samples.astype(np.float32)
    return np.asarray(soxr.resample(samples.astype(np.float32), sample_rate, wanted, "HQ"))


def _module(name: str, extra: str) -> Any:
    return optional_module(name, "this pitch estimator", extra)
