import numpy as np
import pytest

from auscult.core.errors import ConfigError
from auscult.measures import dynamics

LINE = np.outer(np.arange(50.0), [1.0, 2.0])
ZIGZAG = np.outer(np.arange(50) % 2, [1.0, 2.0]).astype(float)
ANGLES = 2 * np.pi * np.arange(400) / 40
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
NOISE = np.random.default_rng(0).normal(size=(20000, 3))


@pytest.mark.parametrize(
    ("path", "expected"),
    [(LINE, 0.0), (ZIGZAG, 4.0 * 48 / 49), (NOISE, 3.0), (np.cumsum(NOISE, axis=0), 2.0)],
)
def test_roughness_of_known_paths(path, expected):
    assert dynamics.roughness([path]) == pytest.approx(expected, abs=0.05)


def test_roughness_does_not_cross_clips():
    assert dynamics.roughness([LINE, LINE[::-1].copy()]) == pytest.approx(0, abs=1e-12)


def test_standstill_has_no_roughness():
    assert np.isnan(dynamics.roughness([np.ones((5, 2))]))


def test_a_circle_turns_by_one_step_each_frame():
    np.testing.assert_allclose(dynamics.turning_angles_deg(CIRCLE), 360 / 40)


def test_a_zigzag_turns_back():
    np.testing.assert_allclose(dynamics.turning_angles_deg(ZIGZAG), 180)


@pytest.mark.parametrize(("lag", "expected"), [(1, -0.5), (2, 0.0)])
def test_generators_of_independent_states_are_anticorrelated(lag, expected):
    # In many dimensions unit generators of independent states have cosine -1/2 with the next.
    path = np.random.default_rng(1).normal(size=(3000, 60))
    assert dynamics.generator_autocorrelation([path], lag) == pytest.approx(expected, abs=0.02)


def test_a_lag_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="lag of 0"):
        dynamics.generator_autocorrelation([LINE], 0)


def test_standstill_does_not_move():
    generators = np.array([[0.0, 0.0], [3.0, 4.0], [1e-9, 0.0]])
    found, rms = dynamics.moving(generators)
    np.testing.assert_array_equal(found, [False, True, False])
    assert rms == pytest.approx(5 / np.sqrt(3))


def test_a_circle_returns_once_a_turn():
    # 10 turns of 40 frames; within 0.1 · √2 lie the same frame of other turns and no neighbour.
    expected = 40 * 45 / (400 * 399 / 2)
    assert dynamics.recurrence_rate(CIRCLE) == pytest.approx(expected)


def test_near_frames_are_no_return():
    everything = dynamics.recurrence_rate(CIRCLE, 0.15)
    apart = dynamics.recurrence_rate(CIRCLE, 0.15, apart=2)
    assert apart < everything


def test_a_line_never_returns():
    assert dynamics.recurrence_rate(LINE, 0.01) == 0


def test_the_plane_of_flat_data_shows_everything():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(5, 2)))[0].T
    x = rng.normal(size=(300, 2)) * [3, 1] @ axes + 7
    plane = dynamics.principal_plane(x)
    assert plane.variance_share(x) == pytest.approx(1)
    assert abs(plane.axes[0] @ axes[0]) > 0.99
    assert np.var(plane.project(x)[:, 0]) > np.var(plane.project(x)[:, 1])


def test_the_plane_of_other_data_shows_its_share():
    x = np.random.default_rng(0).normal(size=(20000, 4)) * [9, 8, 1, 1]
    plane = dynamics.principal_plane(x)
    other = np.random.default_rng(1).normal(size=(20000, 4))
    assert plane.variance_share(other) == pytest.approx(0.5, abs=0.02)


def test_a_linear_step_is_recovered():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(400, 3)), rng.normal(size=(3, 2))
    step = dynamics.fit_linear(x, x @ weights + [1.0, -2.0])
    np.testing.assert_allclose(step.weights, weights, atol=1e-6)
    np.testing.assert_allclose(step.bias, [1, -2], atol=1e-6)


def test_the_mean_explains_nothing():
    y = np.random.default_rng(0).normal(size=(50, 2))
    mean = y.mean(axis=0)
    assert dynamics.r_squared(y, np.tile(mean, (50, 1)), mean) == pytest.approx(0)
    assert dynamics.r_squared(y, y, mean) == 1.0


def test_the_modes_of_a_damped_rotation():
    turn = 0.95 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    clips = []
    for seed in (0, 1):
        state, states = np.random.default_rng(seed).normal(size=2), []
        for _ in range(200):
            states.append(state)
            state = turn @ state
        clips.append(np.array(states) @ np.random.default_rng(9).normal(size=(2, 6)))
    # The mean over 200 damped frames is nearly zero, so that removing it hardly matters.
    values = dynamics.dmd_spectrum(clips)
    np.testing.assert_allclose(np.abs(values), 0.95, atol=5e-3)
    np.testing.assert_allclose(np.sort(np.angle(values)), [-0.3, 0.3], atol=5e-3)
