import numpy as np
import pytest

from auscult.measures import events

RNG = np.random.default_rng


def test_peaks_at_both_ends_count():
    times = events.peak_times(np.array([3.0, 1.0, 1.0, 2.0]), np.arange(4) / 10, 0.1, 1.5)
    np.testing.assert_allclose(times, [0.0, 0.3])


def test_the_higher_of_two_close_peaks_stays():
    activation = np.array([0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    times = events.peak_times(activation, np.arange(9) / 100, 0.03, 0.5)
    np.testing.assert_allclose(times, [0.03, 0.07])


def test_low_peaks_are_none():
    assert not len(events.peak_times(np.array([0.0, 1.0, 0.0]), np.arange(3) / 10, 0.1, 2.0))


def test_a_time_is_matched_once():
    precision, recall, f = events.match_events(np.array([1.0, 1.01]), np.array([1.0]))
    assert (precision, recall) == (0.5, 1.0)
    assert f == pytest.approx(2 / 3)


def test_pairing_in_order_finds_the_most_pairs():
    assert events.match_events(np.array([1.015, 1.03]), np.array([1.0, 1.02]))[2] == 1.0


def test_no_events_match_nothing():
    assert events.match_events(np.zeros(0), np.array([1.0])) == (0.0, 0.0, 0.0)


def test_random_times_have_a_lift_of_one():
    rng = RNG(0)
    n = 60
    reference = [np.sort(rng.uniform(0, 10, 20)) for _ in range(n)]
    estimated = [rng.uniform(0, 10, 40) for _ in range(n)]
    lift = events.lift_over_random(estimated, reference, [10.0] * n, np.arange(n), rng)
    assert lift.interval[0] < 1 < lift.interval[1]
    assert lift.value == pytest.approx(1, abs=0.15)


def test_the_random_hit_rate_equals_that_of_drawn_times():
    rng = RNG(1)
    # Overlapping neighbourhoods and the ends of the clip cover less.
    reference = np.array([0.005, 0.5, 0.51, 0.99])
    drawn = rng.uniform(0, 1, 200_000)
    hit = (np.abs(drawn[:, None] - reference) <= 0.02).any(axis=1).mean()
    lift = events.lift_over_random([np.array([0.2])], [reference], [1.0], np.array([0]), rng)
    assert lift.random_hit_rate == pytest.approx(0.025 + 0.05 + 0.03)
    assert lift.random_hit_rate == pytest.approx(hit, abs=0.002)


def test_events_at_references_have_the_greatest_lift():
    times = [np.array([1.0, 2.0])] * 3
    lift = events.lift_over_random(times, times, [10.0] * 3, np.arange(3), RNG(0))
    assert lift.hit_rate == 1.0
    assert lift.value == pytest.approx(1 / 0.008)
    assert lift.n_events == 6


def test_no_events_have_no_lift():
    lift = events.lift_over_random([np.zeros(0)], [np.ones(1)], [10.0], np.array([0]), RNG(0))
    assert np.isnan(lift.value)
    assert lift.n_events == 0


def attacks(kind, sample_rate, rng):
    times = np.array([0.31, 0.55, 0.9, 1.207, 1.5, 1.7])
    sound = 1e-4 * rng.normal(size=2 * sample_rate)
    for time in times:
        start = round(time * sample_rate)
        t = np.arange(len(sound) - start) / sample_rate
        carrier = {"tone": np.sin(2 * np.pi * 440 * t), "noise": rng.normal(size=len(t))}[kind]
        sound[start:] += rng.uniform(0.2, 1) * carrier * np.exp(-t / 0.06)
    return sound.astype(np.float32), times


@pytest.mark.parametrize("sample_rate", [8000, 24000, 44100])
@pytest.mark.parametrize("kind", ["tone", "noise"])
def test_synthetic_onsets_are_found_within_10_ms(kind, sample_rate):
    sound, times = attacks(kind, sample_rate, RNG(0))
    found = events.onset_times_s(sound, sample_rate)
    assert len(found) == len(times)
    np.testing.assert_allclose(found, times, atol=0.01)


def test_silence_has_no_onsets():
    assert not len(events.onset_times_s(np.zeros(24000, np.float32), 24000))


def test_chunks_do_not_change_onsets(monkeypatch):
    sound, _ = attacks("noise", 8000, RNG(0))
    whole = events.onset_times_s(sound, 8000)
    monkeypatch.setattr(events, "_CHUNK_FRAMES", 50)
    np.testing.assert_array_equal(events.onset_times_s(sound, 8000), whole)
