"""When concepts settle: hand-made trajectories, and the flaws of the printed measure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from auscult.core.rng import named_rng
from auscult.measures.convergence import (
    MEASURES,
    convergence_step,
    leads,
    s_end,
    s_js,
    s_l1,
    s_ratio,
    settled,
)
from auscult.measures.familiarity import LEVEL, Familiarity

HAND_MADE = np.array([[[0.5, 0.5, 0.0], [0.3, 0.6, 0.1], [0.1, 0.6, 0.3]]])
"""One prompt, three steps: 0.4 leave the first class, 0.1 and 0.3 come to others."""

some_distributions = arrays(
    np.float64, (4, 6, 5), elements=st.floats(0.001, 1, allow_nan=False)
).map(lambda mass: mass / mass.sum(-1, keepdims=True))


def test_a_trajectory_by_hand():
    # Ratios by class at the middle step: 0.2 / 0.4, 0.1 / 0.1, 0.1 / 0.3.
    np.testing.assert_allclose(s_ratio(HAND_MADE), [[0, (0.5 + 1 + 1 / 3) / 3, 1]])
    np.testing.assert_allclose(s_l1(HAND_MADE), [[0, 0.4 / 0.8, 1]])
    np.testing.assert_allclose(s_end(HAND_MADE), [[0, 1 - 0.4 / 0.8, 1]])


def test_jensen_shannon_by_hand():
    p = np.array([[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]])
    # From one class to the other is one bit; half-way 1.5 - 0.75 log2(3) of a bit is left.
    np.testing.assert_allclose(s_js(p), [[0, 1 - (1.5 - 0.75 * np.log2(3)), 1]], atol=1e-12)


def test_the_printed_measure_has_no_upper_bound_and_the_others_agree_that_it_is_not_there_yet():
    overshot = np.array([[[0.50, 0.5, 0.0], [0.0, 0.5, 0.5], [0.49, 0.5, 0.01]]])
    assert s_ratio(overshot)[0, 1] == pytest.approx(50)
    assert s_l1(overshot)[0, 1] == pytest.approx(50)
    assert s_end(overshot)[0, 1] < 0
    assert s_js(overshot)[0, 1] < 0


def test_a_class_that_ends_where_it_began_is_left_out_of_the_printed_measure():
    back_again = np.array([[[0.5, 0.5, 0.0], [0.2, 0.6, 0.2], [0.0, 0.5, 0.5]]])
    # Its middle class would divide 0.1 by 0.
    np.testing.assert_allclose(s_ratio(back_again)[0, 1], (0.3 / 0.5 + 0.2 / 0.5) / 2)


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_what_never_moves_has_no_progress(name):
    still = np.tile([0.2, 0.8], (1, 4, 1))
    assert np.isnan(MEASURES[name](still)).all()
    assert np.isnan(convergence_step(MEASURES[name](still))).all()


@pytest.mark.parametrize("name", sorted(MEASURES))
@settings(deadline=None, max_examples=40)
@given(p=some_distributions)
def test_every_measure_runs_from_0_to_1(name, p):
    progress = MEASURES[name](p)
    known = np.isfinite(progress).all(1)
    np.testing.assert_allclose(progress[known, 0], 0, atol=1e-9)
    np.testing.assert_allclose(progress[known, -1], 1, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(p=some_distributions)
def test_what_is_left_is_never_less_than_nothing(p):
    for measure in (s_end, s_js):
        progress = measure(p)
        assert np.all(progress[np.isfinite(progress)] <= 1 + 1e-9)


@settings(deadline=None, max_examples=40)
@given(p=some_distributions)
def test_the_way_gone_and_the_way_left_are_at_least_the_way(p):
    known = np.isfinite(s_end(p)).all(1)
    assert np.all(s_l1(p)[known] >= s_end(p)[known] - 1e-9)


@settings(deadline=None, max_examples=40)
@given(start=some_distributions, end=some_distributions)
def test_a_straight_line_makes_progress_evenly(start, end):
    share = np.linspace(0, 1, 9)[:, None]
    line = (1 - share) * start[:, :1] + share * end[:, :1]
    for measure in (s_ratio, s_l1, s_end):
        progress = measure(line)
        known = np.isfinite(progress).all(1)
        expected = np.tile(share[:, 0], (known.sum(), 1))
        np.testing.assert_allclose(progress[known], expected, atol=1e-6)


def test_a_concept_has_settled_when_it_stays():
    progress = np.array([[0, 0.96, 0.5, 0.95, 1], [0.99, 1, 1, 1, 1], [0, 0, 0, 0, 1.0]])
    assert convergence_step(progress).tolist() == [3, 0, 4]


def _steps(rng, n, mean):
    return np.round(rng.normal(mean, 1.5, n))


def test_a_planted_order_is_found_and_no_order_in_what_settles_together():
    rng, names = named_rng(0, "order"), np.arange(60).astype(str)
    steps = {"a": _steps(rng, 60, 8), "b": _steps(rng, 60, 12), "c": _steps(rng, 60, 12)}
    null = {name: _steps(rng, 60, 15) for name in steps}
    found = {frozenset((one.first, one.then)): one for one in leads(steps, null, names, rng)}
    early = found[frozenset("ab")]
    assert (early.first, early.then) == ("a", "b")
    assert early.interval[0] < 4 < early.interval[1]
    assert early.is_significant
    assert early.beyond_null
    assert not found[frozenset("bc")].is_significant


@pytest.mark.parametrize("concepts", ["ab", "ba"])
def test_what_settles_first_comes_first_in_whatever_order_it_is_given(concepts):
    rng, names = named_rng(0, "first"), np.arange(30).astype(str)
    means = {"a": 8, "b": 12}
    steps = {name: _steps(rng, 30, means[name]) for name in concepts}
    (only,) = leads(steps, steps, names, rng)
    assert (only.first, only.then) == ("a", "b")
    assert only.lead > 2


def test_an_order_among_several_is_held_to_more_than_one_alone():
    rng, names = named_rng(0, "several"), np.arange(12).astype(str)
    steps = {"a": _steps(rng, 12, 8), "b": _steps(rng, 12, 10), "c": _steps(rng, 12, 10)}
    alone = [
        leads({x: steps[x], y: steps[y]}, steps, names, rng)[0].p for x, y in ("ab", "ac", "bc")
    ]
    together = sorted(one.p for one in leads(steps, steps, names, rng))
    assert together[0] == pytest.approx(min(1.0, 3 * min(alone)))


def test_an_order_that_a_straight_line_has_as_well_is_not_beyond_the_null():
    rng, names = named_rng(0, "null"), np.arange(60).astype(str)
    steps = {"a": _steps(rng, 60, 8), "b": _steps(rng, 60, 12)}
    null = {name: values + _steps(rng, 60, 0) for name, values in steps.items()}
    (only,) = leads(steps, null, names, rng)
    assert only.is_significant
    assert not only.beyond_null


def test_prompts_in_which_nothing_moved_are_not_counted():
    one = settled(np.array([3.0, np.nan, 5.0]), np.array(["x", "y", "z"]), named_rng(0, "s"))
    assert (one.step, one.n_prompts) == (4.0, 2)


def test_what_is_like_training_is_familiar_and_noise_in_unused_directions_is_not():
    rng = named_rng(0, "familiar")
    plane = rng.standard_normal((2, 6))
    vectors = rng.standard_normal((4000, 2)) @ plane
    recordings = np.arange(1000) // 20
    known = Familiarity.of(vectors[:2000], vectors[2000:3000], recordings)
    assert np.median(known.ratio(vectors[3000:])) == pytest.approx(1, abs=0.1)
    medians = np.median(known.ratio(vectors[3000:]).reshape(50, 20), axis=1)
    assert np.mean(medians > known.edge) == pytest.approx(1 - LEVEL, abs=0.06)
    # Noise of the same mean and covariance in each channel, but off the plane that training is in.
    noise = rng.standard_normal((1000, 6)) * vectors.std(0)
    assert np.median(known.ratio(noise)) > 2 * known.edge


def sounding(rng, n_recordings, n_frames=20):
    """Recordings of one timbre of twelve each, loud or soft, dying away: dense near silence."""
    timbres = named_rng(0, "timbres").standard_normal((12, 16))
    own = timbres[rng.integers(12, size=n_recordings)][:, None]
    loud = np.exp(
        rng.standard_normal((n_recordings, 1, 1)) - 2 * np.linspace(0, 1, n_frames)[:, None]
    )
    return loud * (own + 0.4 * rng.standard_normal((n_recordings, n_frames, 16)))


def test_noise_that_a_generator_begins_with_is_strange_and_loud_sounds_are_not():
    """Soft noise lies nearer to training than loud sounds do, among vectors that are nearer."""
    rng = named_rng(0, "familiar", "sounds")
    training, held_out, others = (sounding(rng, n).reshape(-1, 16) for n in (200, 100, 100))
    known = Familiarity.of(training, held_out, np.repeat(np.arange(100), 20))
    noise = 0.3 * rng.multivariate_normal(training.mean(0), np.cov(training.T), 2000)
    assert np.median(known.ratio(noise)) > 1.5 * known.edge
    ratios = known.ratio(others).reshape(100, 20)
    assert np.mean(np.median(ratios, axis=1) > known.edge) <= 0.15
    louder = known.ratio(1.5 * others).reshape(100, 20)
    assert np.median(louder) < known.edge


def test_equal_frames_of_silence_do_not_make_everything_strange():
    rng = named_rng(0, "familiar", "silence")
    frames = rng.standard_normal((2000, 4))
    silent = np.concatenate([frames[:1000], np.zeros((1000, 4))])
    known = Familiarity.of(silent, frames[1000:], np.arange(1000) // 20)
    assert np.isfinite(known.ratio(silent)).all()
    assert known.edge < 3
