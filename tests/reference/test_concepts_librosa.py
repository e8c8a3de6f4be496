"""Descriptors against librosa's, window by window, on sounds of every kind."""

from fractions import Fraction

import numpy as np
import pytest

from auscult.concepts.base import CONCEPTS
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase

librosa = pytest.importorskip("librosa")

RATE, N, HOP = 22_050, 1000, 500
WINDOW_S = N / RATE  # 1,000 is a length that transforms fast: it is kept as it is


def sounds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    t = np.arange(RATE) / RATE
    chirp = np.sin(2 * np.pi * (200 * t + 2000 * t**2))
    stack = sum(np.sin(2 * np.pi * 220 * h * t) / h for h in range(1, 20))
    return {"noise": 0.1 * rng.standard_normal(RATE), "chirp": 0.5 * chirp, "stack": 0.1 * stack}


FEATURES = {
    "centroid": lambda s: librosa.feature.spectral_centroid(S=s, sr=RATE)[0],
    "spread": lambda s: librosa.feature.spectral_bandwidth(S=s, sr=RATE)[0],
    "rolloff": lambda s: librosa.feature.spectral_rolloff(S=s, sr=RATE)[0],
    "flatness": lambda s: 10 * np.log10(librosa.feature.spectral_flatness(S=s)[0]),
}


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("sound", ["noise", "chirp", "stack"])
def test_a_descriptor_is_librosas(name, sound):
    samples = sounds()[sound].astype(np.float32)
    cls, params = CONCEPTS.parse({"type": name, "window_s": WINDOW_S}, "concept")
    found = cls(params).label(Audio(samples[None], RATE), TimeBase(RATE, hop=Fraction(HOP)))
    # Our hop of 500 is measured at two points, 125 and 375: librosa's frames with a hop of 250
    # that are centred there.
    shifted = np.pad(samples, (N // 2 - 125, N))
    spectra = np.abs(librosa.stft(shifted, n_fft=N, hop_length=250, center=False))
    theirs = FEATURES[name](spectra)
    n = len(found.values) - 1
    expected = theirs[: 2 * n].reshape(n, 2).mean(axis=1)
    # A tone's spread and rolloff rest on what rounding left far from it.
    rtol, atol = {"rolloff": (1e-6, 30.0), "spread": (1e-2, 0.02)}.get(name, (2e-3, 0.02))
    np.testing.assert_allclose(found.values[:n], expected, rtol=rtol, atol=atol)


def test_loudness_is_librosas_root_mean_square():
    samples = sounds()["chirp"].astype(np.float32)
    cls, params = CONCEPTS.parse({"type": "loudness", "scale": "amplitude"}, "concept")
    found = cls(params).label(Audio(samples[None], RATE), TimeBase(RATE, hop=Fraction(HOP)))
    theirs = librosa.feature.rms(y=samples, frame_length=HOP, hop_length=HOP, center=False)[0]
    np.testing.assert_allclose(found.values[: len(theirs)], theirs, rtol=1e-4)
