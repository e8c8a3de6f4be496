from fractions import Fraction

import numpy as np
import pytest

from auscult.concepts.base import CONCEPTS, bin_edges, hops
from auscult.core.audio import Audio
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase

RATE = 8_000


def label(name: str, samples: np.ndarray, time: TimeBase):
    cls, params = CONCEPTS.parse({"type": name}, "concept")
    return cls(params).label(Audio(samples.astype(np.float32)[None], RATE), time)


def test_hops_cut_a_sound_without_gap_or_overlap():
    time = TimeBase(RATE, hop=Fraction(7, 2))
    edges = hops(Audio(np.zeros((1, 15), np.float32), RATE), time)
    assert edges.tolist() == [0, 4, 7, 11, 14, 15]


def test_another_rate_is_refused():
    with pytest.raises(ConfigError, match="8000 Hz"):
        hops(Audio(np.zeros((1, 15), np.float32), RATE), TimeBase(16_000))


def test_loudness_of_two_levels_is_exact_in_every_frame():
    samples = np.concatenate([np.full(400, 0.1), np.full(400, -0.01)])
    labels = label("loudness", samples, TimeBase(RATE, hop=Fraction(100)))
    np.testing.assert_allclose(labels.values, [-20] * 4 + [-40] * 4, atol=1e-4)


def test_silence_has_a_floor_of_loudness_and_no_centroid():
    time = TimeBase(RATE, hop=Fraction(100))
    np.testing.assert_allclose(label("loudness", np.zeros(300), time).values, -120.0)
    assert not label("centroid", np.zeros(300), time).known.any()


@pytest.mark.parametrize("hz", [500.0, 1500.0, 3000.0])
def test_the_centroid_of_a_tone_is_its_frequency(hz):
    samples = np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
    values = label("centroid", samples, TimeBase(RATE, hop=Fraction(160))).values
    np.testing.assert_allclose(values[5:-5], hz, rtol=0.02)


def test_the_centroid_agrees_with_librosa():
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(0)
    samples = rng.normal(size=RATE) * 0.1
    ours = label("centroid", samples, TimeBase(RATE, hop=Fraction(160))).values
    theirs = librosa.feature.spectral_centroid(y=samples, sr=RATE, n_fft=368, hop_length=160)[0]
    # Frames are centred half a hop apart, so noise is compared in the mean.
    assert abs(np.mean(ours[3:-3]) - np.mean(theirs[3:-3])) < 10.0


def test_bins_are_of_equal_width_within_the_quantiles():
    edges = bin_edges(np.arange(1001.0), 20)
    np.testing.assert_allclose(np.diff(edges), 49.5)
    assert (edges[0], edges[-1]) == (5.0, 995.0)


def test_constant_values_have_no_bins():
    with pytest.raises(ConfigError, match="two different values"):
        bin_edges(np.full(9, 2.0), 20)
