"""The rules by which reuse and the next state are judged, under both readings."""

import numpy as np
import pytest

from auscult.analyses import next_state
from auscult.analyses.base import ANALYSES, BASE, NOISE, RANDOM, Measurement
from auscult.analyses.next_state import _skill_judgement
from auscult.analyses.parts.answering import Gathered
from auscult.analyses.reuse import ReuseParams, _reuse_judgement
from auscult.measures.reuse import Reuse
from tests.planted_dynamics import Planted


def usage(distance):
    return Reuse(np.ones((2, 2)), distance, 0.1, 0.9, 0.1, 0.5, 0.6)


def judged(distance, random=0.5, reading="sound"):
    one = Measurement("distance", distance, "", {"floor": 0.1}, tap="conv.0")
    params = ReuseParams(reading=reading)
    return _reuse_judgement(params, "features", one, usage(distance), usage(random)).verdict


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


def test_where_floor_and_ceiling_meet_nothing_can_be_told():
    even = Reuse(np.ones((2, 2)), 0.1, 0.1, 0.1, 0.1, 0.5, 0.6)
    one = Measurement("distance", 0.1, "", {"floor": 0.1}, tap="conv.0")
    found = _reuse_judgement(ReuseParams(), "features", one, even, usage(0.5))
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
    assert linear.controls[str(RANDOM)] == pytest.approx(linear.value, abs=0.1)
