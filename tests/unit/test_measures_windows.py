from fractions import Fraction

import numpy as np
import pytest

from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.measures import windows

TIME = TimeBase(24000).after_conv(7, padding=6)
RAMP = {"a": np.arange(100, dtype=np.float32), "b": np.arange(100, 150, dtype=np.float32)}


def ids(*names):
    return np.array(names)


def test_a_fragment_is_what_its_frame_heard():
    found = windows.cut(RAMP.__getitem__, TIME, ids("a", "b"), np.array([10, 20]))
    np.testing.assert_array_equal(found.samples[0], np.arange(4, 11))
    np.testing.assert_array_equal(found.samples[1], np.arange(114, 121))
    np.testing.assert_array_equal(found.start_samples, [4, 14])
    assert found.complete.all()


def test_the_fragment_of_a_generator_spans_both_frames():
    found = windows.cut(RAMP.__getitem__, TIME, ids("a"), np.array([10]), lag=1, context=4)
    # Frames 10 and 11 hear samples 4 to 11; four more on each side.
    np.testing.assert_array_equal(found.samples[0], np.arange(0, 16))


def test_a_strided_layer_spans_two_filters():
    time = TimeBase(22050).after_conv(3, stride=3)
    found = windows.cut(RAMP.__getitem__, time, ids("a"), np.array([5]), lag=1)
    np.testing.assert_array_equal(found.samples[0], np.arange(15, 21))


def test_a_window_of_given_length_is_centred():
    found = windows.cut(RAMP.__getitem__, TIME, ids("a"), np.array([50]), length=5)
    np.testing.assert_array_equal(found.samples[0], [45, 46, 47, 48, 49])


def test_a_fragment_beyond_its_clip_is_marked():
    found = windows.cut(RAMP.__getitem__, TIME, ids("a", "a"), np.array([3, 99]), context=1)
    np.testing.assert_array_equal(found.complete, [False, False])
    np.testing.assert_array_equal(found.samples[0, :4], 0)
    np.testing.assert_array_equal(found.samples[0, 4:], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(found.samples[1, -2:], [99, 0])


def test_a_fractional_hop_gives_fragments_of_one_length():
    time = TimeBase(24000, hop=Fraction(5, 2), span=Fraction(4))
    found = windows.cut(RAMP.__getitem__, time, ids("a", "a"), np.array([10, 11]))
    assert found.samples.shape == (2, 4)


def test_each_clip_is_asked_for_once():
    asked = []

    def waveform(clip_id):
        asked.append(clip_id)
        return RAMP[clip_id]

    windows.cut(waveform, TIME, ids("a", "b", "a"), np.array([10, 10, 12]))
    assert asked == ["a", "b"]


def test_shape_of_a_ramp():
    found = windows.fragment_measures(np.array([[0.0, 0.1, 0.2, 0.3, 0.4]]))
    np.testing.assert_allclose(found.slope, 0.1)
    np.testing.assert_allclose(found.curvature, 0, atol=1e-12)
    np.testing.assert_allclose(found.crest_factor, 0.4 / np.sqrt(0.06))
    np.testing.assert_allclose(found.energy_change_db, 10 * np.log10(0.25 / 0.01))


def test_a_parabola_has_its_second_derivative_as_curvature():
    t = np.arange(9.0)
    found = windows.fragment_measures((3 * t**2 - t)[None])
    np.testing.assert_allclose(found.curvature, 6)


def test_silence_changes_nothing_and_has_no_crest():
    found = windows.fragment_measures(np.zeros((1, 8)))
    assert found.energy_change_db[0] == 0
    assert np.isnan(found.crest_factor[0])


def test_troughs_coincide_after_alignment():
    base = np.array([0.0, 0, 0, -1, -3, -1, 0, 0, 0, 0])
    shifted = np.stack([np.roll(base, s) for s in (0, 1, -1)])
    aligned, troughs = windows.align_by_trough(shifted)
    np.testing.assert_array_equal(troughs, [4, 5, 3])
    np.testing.assert_array_equal(aligned.argmin(axis=1), 3)
    assert aligned.shape == (3, 8)
    assert windows.mean_pairwise_correlation(aligned) == pytest.approx(1)


def test_a_trough_at_the_edge_does_not_eat_the_support():
    x = np.random.default_rng(0).normal(size=(50, 16))
    x[0, 0] = x[1, -1] = -100
    assert windows.align_by_trough(x, margin=4)[0].shape[1] >= 9


def test_correlation_finds_the_shifts():
    rng = np.random.default_rng(0)
    sound = rng.normal(size=80)
    true = rng.integers(-3, 4, 30)
    x = np.stack([sound[20 - s : 60 - s] for s in true])
    aligned, shifts = windows.align_by_correlation(x + 0.05 * rng.normal(size=x.shape), max_shift=6)
    np.testing.assert_array_equal(shifts - shifts[0], true - true[0])
    assert windows.mean_pairwise_correlation(aligned) > 0.98


def test_a_shift_of_everything_is_refused():
    with pytest.raises(ConfigError, match="leave nothing"):
        windows.align_by_correlation(np.zeros((2, 8)), max_shift=4)


def test_pairwise_correlation_equals_the_mean_over_pairs():
    x = np.random.default_rng(0).normal(size=(7, 12))
    expected = np.corrcoef(x)[np.triu_indices(7, 1)].mean()
    assert windows.mean_pairwise_correlation(x) == pytest.approx(expected)


def test_constant_fragments_have_no_correlation():
    x = np.stack([np.ones(5) * 0.1, np.arange(5.0), -np.arange(5.0)])
    assert windows.mean_pairwise_correlation(x) == pytest.approx(-1)


def test_the_best_row_of_each_recording_is_picked():
    scores = np.array([5.0, 4.0, 3.0, np.nan])
    recordings = np.array(["x", "x", "y", "z"])
    found = windows.pick_top(scores, recordings, recordings, np.arange(4), 4)
    np.testing.assert_array_equal(found, [0, 2])


def test_rows_of_one_clip_keep_their_distance():
    scores = np.array([5.0, 4.0, 3.0, 2.0])
    one = np.zeros(4, dtype=int)
    found = windows.pick_top(
        scores, one, one, np.array([10, 12, 16, 40]), 3, per_recording=9, min_distance=6.0
    )
    np.testing.assert_array_equal(found, [0, 2, 3])


def test_distance_holds_within_a_clip_only():
    scores, clips, recording = np.array([2.0, 1.0]), np.array([0, 1]), np.array([0, 0])
    found = windows.pick_top(scores, clips, recording, np.array([5, 5]), 2, 2, 100.0)
    np.testing.assert_array_equal(found, [0, 1])
