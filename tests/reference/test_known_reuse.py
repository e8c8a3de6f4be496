"""Planted usage, a planted dynamical system and planted paths have the answers they were given."""

import numpy as np
import pytest

from auscult.core.errors import ConfigError
from auscult.measures.cycles import cycle_sounds, path_retrieval
from auscult.measures.dynamics import dmd_spectrum, principal_axes
from auscult.measures.one_step import conditional_mean, one_step_skill, steps, unbroken
from auscult.measures.reuse import measure_reuse
from auscult.testing.studies import answer


def rng():
    return np.random.default_rng(0)


def test_recordings_with_disjoint_directions_are_as_far_apart_as_can_be():
    ids = np.repeat(["a", "b", "c"], 400)
    labels = np.repeat([0, 2, 4], 400) + rng().integers(0, 2, 1200)
    found = measure_reuse(labels, ids, 6, rng())
    assert found.distance == pytest.approx(1.0)
    assert found.shared == 0


def test_recordings_that_share_half_of_their_frames_have_the_distance_of_the_formula():
    # p = (1/2, 1/2, 0), q = (1/2, 0, 1/2): the divergence is 1/2 bit, the distance its root.
    ids = np.repeat(["a", "b"], 400)
    labels = np.concatenate([np.tile([0, 1], 200), np.tile([0, 2], 200)])
    found = measure_reuse(labels, ids, 3, rng())
    assert found.distance == pytest.approx(0.5**0.5)
    assert found.shared == pytest.approx(1 / 3)


def test_exchangeable_recordings_lie_at_the_floor():
    ids = np.repeat(np.arange(10).astype(str), 500)
    labels = rng().choice(8, 5000, p=[0.5, 0.2, 0.1, 0.1, 0.04, 0.03, 0.02, 0.01])
    found = measure_reuse(labels, ids, 8, rng(), repeats=20)
    assert found.distance == pytest.approx(found.floor, abs=0.005)
    assert found.place == pytest.approx(1.0, abs=0.02)
    assert found.halves < 0.12


def test_recordings_with_a_direction_of_their_own_lie_at_the_ceiling():
    names = rng().permutation(64)[:16]
    labels = np.where(rng().random(4800) < 0.9, np.repeat(names, 300), rng().integers(0, 64, 4800))
    found = measure_reuse(labels, np.repeat(np.arange(16).astype(str), 300), 64, rng())
    assert found.place < 0.1


def test_groups_are_compared_with_recordings_dealt_out_at_random():
    ids = np.repeat(np.arange(12).astype(str), 200)
    group = np.where(ids.astype(int) < 6, "low", "high")
    labels = np.where(group == "low", 0, 1)
    found = measure_reuse(labels, ids, 2, rng(), group)
    assert found.group_distance == pytest.approx(1.0)
    assert found.group_floor < 0.7


def test_one_recording_cannot_be_compared():
    with pytest.raises(ConfigError, match="two recordings"):
        measure_reuse(np.zeros(10, np.int64), np.full(10, "a"), 3, rng())


def spiral(n, seed, hz=(50.0, 120.0), growth=(0.99, 0.98), rate=1000.0):
    """A path of two damped rotations, mixed into five channels."""
    draw = np.random.default_rng(seed)
    t = np.arange(n)
    turns = [
        g**t * np.exp(1j * (2 * np.pi * f / rate * t + draw.uniform(0, 6)))
        for f, g in zip(hz, growth, strict=True)
    ]
    plain = np.stack([part for z in turns for part in (z.real, z.imag)], 1)
    return plain @ np.random.default_rng(9).standard_normal((4, 5))


def test_a_planted_linear_system_has_its_frequencies_and_growth():
    found = dmd_spectrum([spiral(200, seed) - 0.0 for seed in range(20)], rank=4)
    hz = np.abs(np.angle(found)) * 1000 / (2 * np.pi)
    np.testing.assert_allclose(np.sort(hz), [50, 50, 120, 120], rtol=0.02)
    np.testing.assert_allclose(np.sort(np.abs(found)), [0.98, 0.98, 0.99, 0.99], atol=0.002)


def gathered(make, seeds, states=None, lag=1):
    paths = [make(seed) for seed in seeds]
    labels = [np.zeros(len(p), np.int64) if states is None else states(p) for p in paths]
    moves = [label[lag:] for label in labels]
    return steps(paths, labels, moves, lag)


def test_a_linear_step_explains_a_linear_system_and_nothing_of_white_noise():
    def noise(seed):
        return np.random.default_rng(seed).standard_normal((300, 3))

    linear = one_step_skill(
        gathered(lambda s: spiral(80, s), range(10)),
        gathered(lambda s: spiral(80, s), range(10, 20)),
    )
    nothing = one_step_skill(gathered(noise, range(10)), gathered(noise, range(10, 20)))
    assert linear["linear step"] > 0.999
    assert linear["persistence"] < 0.98
    assert nothing["linear step"] == pytest.approx(0.0, abs=0.02)
    assert nothing["persistence"] == pytest.approx(-1.0, abs=0.1)


def test_a_chain_of_order_two_needs_two_labels():
    def path(seed):
        state = [0, 1]
        draw = np.random.default_rng(seed)
        for _ in range(300):
            state.append(state[-2] ^ state[-1] if draw.random() < 0.98 else draw.integers(2))
        return np.array(state, dtype=float)[:, None]

    def parts(seeds):
        return gathered(path, seeds, lambda p: p[:, 0].astype(np.int64))

    skill = one_step_skill(parts(range(10)), parts(range(10, 20)))
    assert skill["Markov chain of order 2"] > 0.8
    assert skill["Markov chain of order 1"] < 0.5
    assert skill["Markov chain of order 3"] == pytest.approx(
        skill["Markov chain of order 2"], abs=0.05
    )


def test_the_mean_after_an_archetype_knows_a_path_that_turns_back():
    def path(seed):
        draw = np.random.default_rng(seed)
        return np.cumsum(np.tile([1.0, -1.0], 100) + 0.01 * draw.standard_normal(200))[:, None]

    def gather(seeds):
        paths = [path(seed) for seed in seeds]
        moves = [(np.diff(p[:, 0]) > 0).astype(np.int64) for p in paths]
        return steps(paths, [np.zeros(len(p), np.int64) for p in paths], moves, 1)

    skill = one_step_skill(gather(range(5)), gather(range(5, 10)))
    assert skill["mean after the last archetype"] > 0.99
    assert skill["Markov chain of order 3"] < 0.1


def test_steps_of_a_lag_skip_that_many_frames():
    x = np.arange(10.0)[:, None]
    found = steps([x], [np.arange(10)], [np.arange(8) + 100], 2)
    np.testing.assert_array_equal(found.before[:, 0], [4, 5, 6, 7])
    np.testing.assert_array_equal(found.after[:, 0], [6, 7, 8, 9])
    np.testing.assert_array_equal(found.history[0], [4, 2, 0])
    np.testing.assert_array_equal(found.move, [102, 103, 104, 105])


def test_stretches_too_short_for_the_lag_are_refused():
    with pytest.raises(ConfigError, match="longer than 9 frames"):
        steps([np.zeros((9, 2))], [np.zeros(9, np.int64)], [np.zeros(6, np.int64)], 3)


def test_a_missing_frame_breaks_a_stretch():
    parts = unbroken(np.array([0, 2, 4, 8, 10]), np.arange(5.0)[:, None], 2)
    assert [len(part) for part in parts] == [3, 2]


def test_rare_keys_get_the_other_answer():
    keys, values = np.array([1] * 5 + [2] * 4), np.arange(9.0)[:, None]
    found = conditional_mean(keys, values, np.array([1, 2, 3]), np.full((3, 1), -1.0))
    np.testing.assert_array_equal(found[:, 0], [2, -1, -1])


def test_axes_of_a_wide_cloud_hold_its_variance():
    x = rng().standard_normal((500, 2)) @ rng().standard_normal((2, 40))
    axes = principal_axes(x, 3)
    assert axes.shape == (40, 3)
    np.testing.assert_allclose((x @ axes).var(0).sum(), x.var(0).sum(), rtol=1e-9)


def test_paths_of_equal_shapes_are_found_in_the_waveform_and_not_in_noise():
    drawn = cycle_sounds(60, 100, rng(), n_shapes=4, n_variants=4)
    inside = drawn.waves[:, drawn.start : drawn.stop, None]
    delayed = np.concatenate([inside, np.roll(inside, 7, axis=1), np.roll(inside, 15, axis=1)], 2)
    area, same, other = path_retrieval(delayed, drawn.shape)
    noise = rng().standard_normal(delayed.shape).astype(np.float32)
    chance, _, _ = path_retrieval(noise, drawn.shape)
    assert area > 0.75
    assert np.median(same) < np.median(other)
    assert chance == pytest.approx(0.5, abs=0.2)


def test_cycles_repeat_within_a_sound_and_differ_in_gain():
    drawn = cycle_sounds(50, 80, rng(), n_shapes=3, n_variants=2)
    inside = drawn.waves[:, drawn.start : drawn.stop]
    np.testing.assert_allclose(inside[:, :50], inside[:, 50:100], atol=1e-5)
    assert len(set(inside.std(1).round(4))) == 6


SPEC = {
    "name": "planted",
    "seed": 0,
    "model": {"type": "toy-samplecnn", "weights": "random"},
    "sounds": {
        "type": "notes",
        "n": 6,
        "seconds": 0.5,
        "clip_seconds": 0.5,
        "split": {"train": 0.5, "test": 0.5},
    },
    "record": {
        "taps": ["conv.0", "logits"],
        "sampling": {"policy": "runs", "frames_per_clip": 512, "run_frames": 64},
    },
    "controls": {"recordings": 4},
}


@pytest.mark.parametrize("name", ["reuse", "next-state"])
def test_without_dictionaries_and_at_a_tap_without_time_every_question_is_still_answered(
    tmp_path, name
):
    found = answer(SPEC, tmp_path, name, most_vectors=600)
    taps = {judged.measurement.tap for judged in found.judgements}
    assert taps == {"conv.0", "logits"}
    untested = [j for j in found.judgements if j.verdict == "cannot be tested here"]
    assert {j.claim for j in untested} >= {"P1-17"}
    assert all(j.reason for j in untested)
