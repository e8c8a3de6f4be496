"""The rules by which reuse and the next state are judged, under both readings."""

import numpy as np
import pytest

from auscult.analyses import next_state
from auscult.analyses.base import ANALYSES, BASE, NOISE, RANDOM, Measurement
from auscult.analyses.next_state import _skill_judgement
from auscult.analyses.parts.answering import Gathered
from auscult.analyses.reuse import ReuseParams, _beyond, _reuse_judgement
from auscult.measures.reuse import Reuse, resampled_mean
from auscult.measures.statistics import ends_of
from tests.planted_dynamics import Planted


def pairs(value, n=8, spread=0.0, seed=0):
    """Distances of every two of n recordings; those of some lie higher by twice the spread."""
    shift = spread * np.random.default_rng(seed).standard_normal(n)
    found = np.full((n, n), np.nan)
    above = np.triu_indices(n, 1)
    apart = shift[:, None] + shift
    found[above] = value + (apart - apart[above].mean())[above]
    return found


def usage(distance, n=8, spread=0.0):
    parts = pairs(distance, n, spread), pairs(0.1, n), pairs(0.9, n)
    return Reuse(np.ones((n, 2)), *parts, 0.1, 0.5, 0.6)


def ends(own, random):
    """The intervals that the analysis hands over."""
    again, other = (one.resampled(np.random.default_rng(1)) for one in (own, random))
    return {
        "place": ends_of(again.place),
        "beyond floor": ends_of(again.beyond_floor),
        "beyond random": ends_of(again.place - other.place),
    }


def judged(distance, random=0.5, reading="sound", n=8, spread=0.0):
    one = Measurement("distance", distance, "", {"floor": 0.1}, tap="conv.0")
    own, other = usage(distance, n, spread), usage(random, n)
    params = ReuseParams(reading=reading)
    return _reuse_judgement(params, "features", one, own, other, ends(own, other)).verdict


@pytest.mark.parametrize(
    ("distance", "random", "verdict"),
    [
        (0.3, 0.6, "holds"),
        (0.3, 0.3, "explained by control"),
        (0.3, 0.2, "explained by control"),
        (0.7, 0.9, "does not hold"),
    ],
)
def test_directions_are_reused_when_recordings_lie_near_the_floor(distance, random, verdict):
    assert judged(distance, random) == verdict


@pytest.mark.parametrize(("distance", "verdict"), [(0.05, "holds"), (0.3, "does not hold")])
def test_the_published_reading_asks_for_less_than_the_floor(distance, verdict):
    assert judged(distance, 0.6, "published") == verdict


@pytest.mark.parametrize(
    ("distance", "random", "reading", "verdict"),
    [
        (0.45, 0.9, "sound", "does not hold"),  # place 0.56, but 0.5 is among what is drawn
        (0.3, 0.36, "sound", "explained by control"),  # nearer by 0.08, but not in every draw
        (0.08, 0.6, "published", "explained by control"),
    ],
)
def test_what_hangs_on_which_recordings_are_there_does_not_pass(distance, random, reading, verdict):
    assert judged(distance, random, reading) == "holds"  # with recordings that are all alike
    assert judged(distance, random, reading, spread=0.15) == verdict


def test_two_recordings_are_one_pair_and_leave_nothing_to_draw():
    assert judged(0.3, 0.6, n=2) == "cannot be tested here"


def test_controls_of_two_recordings_count_as_a_number_without_an_interval():
    own = usage(0.3, spread=0.15).resampled(np.random.default_rng(1)).place
    few = usage(0.6, 2).resampled(np.random.default_rng(1)).place
    assert len(few) == 0
    np.testing.assert_allclose(_beyond(own, few, 0.4), own - 0.4)
    np.testing.assert_allclose(_beyond(own, own[::-1], 0.4), own - own[::-1])


def test_a_recording_drawn_twice_is_no_pair_with_itself():
    apart = pairs(0.4)
    times = np.array([[2.0, 1, 0, 0, 0, 0, 0, 0], [8.0, 0, 0, 0, 0, 0, 0, 0]])
    told = resampled_mean(apart, times)
    assert told[0] == pytest.approx(apart[0, 1])
    assert np.isnan(told[1])


def test_where_floor_and_ceiling_meet_nothing_can_be_told():
    even = Reuse(np.ones((8, 2)), pairs(0.1), pairs(0.1), pairs(0.1), 0.1, 0.5, 0.6)
    one = Measurement("distance", 0.1, "", {"floor": 0.1}, tap="conv.0")
    other = usage(0.5)
    found = _reuse_judgement(ReuseParams(), "features", one, even, other, ends(even, other))
    assert found.verdict == "cannot be tested here"


@pytest.mark.parametrize(
    ("value", "noise", "random", "verdict"),
    [
        (0.9, 0.5, 0.6, "holds"),
        (0.9, 0.5, 0.95, "explained by control"),
        (0.9, 0.89, 0.6, "explained by control"),
        (0.5, 0.9, 0.6, "does not hold"),
    ],
)
def test_a_step_must_beat_overlap_and_every_other_control(value, noise, random, verdict):
    nulls = {"noise, same weights (overlap only)": noise, "random weights, real sounds": random}
    found = _skill_judgement(Measurement("skill", value, "", nulls, tap="conv.0"), 1)
    assert found.verdict == verdict
    assert found.claim == "P1-17"


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.7, 0.95), "holds"),
        ((0.55, 0.95), "explained by control"),
        ((float("nan"), float("nan")), "cannot be tested here"),
    ],
)
def test_a_step_must_beat_its_controls_whichever_recordings_are_drawn(interval, verdict):
    nulls = {"noise, same weights (overlap only)": 0.5, "random weights, real sounds": 0.6}
    one = Measurement("skill", 0.9, "", nulls, interval, tap="conv.0")
    assert _skill_judgement(one, 1).verdict == verdict


def drifting(axes):
    """A slow path along some of four axes, and next to nothing along the others."""

    def movement(n_frames, rng):
        values = 0.01 * rng.normal(size=(n_frames, 4))
        for axis in axes:
            steps = rng.normal(size=n_frames)
            for t in range(1, n_frames):
                steps[t] += 0.98 * steps[t - 1]
            values[:, axis] += steps
        return values

    return movement


def test_random_weights_are_seen_through_directions_of_their_own(tmp_path):
    """Known answer: both weights are as predictable, each along axes in which the other rests."""
    conditions = {BASE: (0, 1), NOISE: (0, 1), next_state._PHASES: (0, 1), RANDOM: (2, 3)}
    movements = {condition: drifting(axes) for condition, axes in conditions.items()}
    context = Planted(tmp_path, movements, np.eye(4))
    _, params = ANALYSES.parse({"type": "next-state", "n_directions": 2}, "test")
    found = Gathered()
    next_state._dynamics(context, params, {"features": "lag 1"}, "layer", found)
    linear = found.judgements[0].measurement
    assert linear.value > 0.8
    assert linear.interval[0] < linear.value < linear.interval[1]
    assert linear.controls[str(RANDOM)] == pytest.approx(linear.value, abs=0.1)
