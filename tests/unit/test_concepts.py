from fractions import Fraction

import numpy as np
import pytest

from auscult.concepts.base import CONCEPTS, Labels, bin_edges, hops
from auscult.concepts.framing import Grid, grid
from auscult.core.audio import Audio
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase

RATE = 8_000


def concept(name: str, **params):
    cls, parsed = CONCEPTS.parse({"type": name, **params}, "concept")
    return cls(parsed)


def label(name: str, samples: np.ndarray, time: TimeBase, **params):
    return concept(name, **params).label(Audio(samples.astype(np.float32)[None], RATE), time)


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


def test_loudness_is_the_root_mean_square_itself_when_asked_for():
    samples = np.concatenate([np.full(400, 0.1), np.full(400, -0.01)])
    time = TimeBase(RATE, hop=Fraction(100))
    labels = label("loudness", samples, time, scale="amplitude")
    np.testing.assert_allclose(labels.values, [0.1] * 4 + [0.01] * 4, rtol=1e-5)
    assert concept("loudness", scale="amplitude").unit == "of full scale"


def test_momentary_loudness_of_the_standard_tone():
    """BS.1770: a full-scale sine of 997 Hz reads -3.01 LUFS, one 20 dB below 20 LU less."""
    tone = np.sin(2 * np.pi * 997 * np.arange(4 * RATE) / RATE)
    tone[2 * RATE :] *= 0.1
    values = label("lufs", tone, TimeBase(RATE, hop=Fraction(RATE // 10))).values
    assert values[5:17] == pytest.approx(-3.01, abs=0.1)
    assert values[23:35] == pytest.approx(-23.01, abs=0.1)


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


def test_where_nearly_all_values_are_the_same_there_is_no_width_to_divide():
    values = np.append(np.full(995, 0.25), np.linspace(0.3, 0.9, 4))
    with pytest.raises(ConfigError, match=r"99\.6% of the values are 0\.25"):
        bin_edges(values, 20)


def test_where_most_values_are_the_same_bins_keep_their_width():
    values = np.append(np.zeros(900), np.linspace(0, 1, 101))
    edges = bin_edges(values, 10)
    assert len(edges) == 11
    assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize("hop", [1, 7, 40, 160, 333, 800])
def test_a_grid_labels_every_frame_near_its_own_hop(hop):
    """Whatever the hop, the points of a frame lie within it, or at most 2.5 ms from its middle."""
    audio = Audio(np.zeros((1, 2000), np.float32), RATE)
    time = TimeBase(RATE, hop=Fraction(hop))
    edges, points = hops(audio, time), grid(audio, time)
    at = points.centres[points.points]
    middles = (edges[:-1] + edges[1:]) / 2
    reach = np.maximum(np.diff(edges) / 2, 0.0025 * RATE + 1)
    assert len(at) == len(edges) - 1
    assert np.all(np.abs(at - middles[:, None]) <= reach[:, None])
    assert np.max(np.diff(np.append(points.centres, 2000))) <= 0.02 * RATE + 1


def test_a_frame_is_labelled_by_the_mean_of_the_points_that_have_a_value():
    points = Grid(np.arange(6), np.arange(6).reshape(3, 2))
    values = points.per_frame(np.array([1.0, 3.0, np.nan, 5.0, np.nan, np.nan]))
    np.testing.assert_array_equal(values, [2.0, 5.0, np.nan])


def noise(seconds=1.0, seed=0):
    return np.random.default_rng(seed).normal(size=round(seconds * RATE)) * 0.1


def test_spread_of_two_equal_tones_is_half_their_distance():
    t = np.arange(2 * RATE) / RATE
    samples = np.sin(2 * np.pi * 1000 * t) + np.sin(2 * np.pi * 2000 * t)
    values = label("spread", samples, TimeBase(RATE, hop=Fraction(160)), window_s=0.2).values
    np.testing.assert_allclose(values[20:-20], 500.0, rtol=0.03)


def test_noise_is_flatter_than_a_tone_by_tens_of_decibels():
    time = TimeBase(RATE, hop=Fraction(160))
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    assert np.median(label("flatness", noise(), time).values) == pytest.approx(-2.5, abs=0.3)
    assert np.median(label("flatness", tone, time).values) < -40


def test_most_of_a_band_lies_below_its_rolloff():
    values = label("rolloff", noise(4.0), TimeBase(RATE, hop=Fraction(160))).values
    assert np.mean(values) == pytest.approx(0.85 * RATE / 2, rel=0.01)


def test_flux_is_greatest_in_the_hop_that_holds_a_beginning():
    samples = np.zeros(RATE)
    samples[4000:] = noise(0.5)
    values = label("flux", samples, TimeBase(RATE, hop=Fraction(160)), window_s=0.02).values
    assert abs(int(values.argmax()) - 25) <= 1
    assert values[:23].max() < 0.1  # only what 10 ms and half a window reach
    silence = label("flux", np.zeros(RATE), TimeBase(RATE, hop=Fraction(160)))
    assert not silence.known.any()


def test_flux_tells_a_beginning_from_an_end():
    samples = noise()
    samples[:2400], samples[5600:] = 0, 0
    values = label("flux", samples, TimeBase(RATE, hop=Fraction(160)), window_s=0.02).values
    assert values[33:38].max() < values[13:18].max() / 2


def test_bins_of_a_concept_are_laid_over_training_frames_only():
    parts = [Labels(np.linspace(0, 1, 100), np.ones(100)), Labels(np.full(10, 50.0), np.ones(10))]
    target = concept("centroid").target(parts, np.arange(110) < 100)
    assert target.centres.max() < 1
    assert np.all(target.labels[100:] == 19)


def test_words_of_a_table_are_classes_and_a_clip_without_one_is_left_out():
    audio, time = Audio(np.zeros((1, 800), np.float32), RATE), TimeBase(RATE, hop=Fraction(400))
    told = [{"family": "reed"}, {}, {"family": "brass"}]
    user = concept("user", label="family")
    labels = [user.about(one).label(audio, time) for one in told]
    target = user.target(labels, np.ones(6, dtype=bool))
    assert target.names == ("brass", "reed")
    assert target.labels.tolist() == [1, 1, -1, -1, 0, 0]


def test_numbers_of_a_table_are_a_scale():
    audio, time = Audio(np.zeros((1, 800), np.float32), RATE), TimeBase(RATE, hop=Fraction(400))
    user = concept("user", label="f0_hz", unit="Hz", bins=4)
    labels = [user.about({"f0_hz": float(hz)}).label(audio, time) for hz in (100, 200, 300)]
    target = user.target(labels, np.ones(6, dtype=bool))
    assert target.unit == "Hz"
    assert target.n_classes == 4
    assert target.labels.tolist() == [0, 0, 2, 2, 3, 3]
