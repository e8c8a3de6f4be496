from itertools import pairwise

import numpy as np
import pytest

from auscult.measures.dwell import Runs


def runs_of(on, clips=None, frames=None, chunks=(100,), step=1):
    on = np.array(on, bool)
    on = on[:, None] if on.ndim == 1 else on
    clips = np.zeros(len(on), int) if clips is None else np.array(clips)
    if frames is None:
        frames = np.arange(len(on))
    runs = Runs(int(clips.max()) + 1, on.shape[1], step)
    edges = [0, *np.cumsum(chunks), len(on)]
    for start, stop in pairwise(edges):
        runs.add(on[start:stop], clips[start:stop], np.array(frames)[start:stop])
    return runs


PATTERN = [1, 1, 0, 1, 0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("chunks", [(10,), (1, 1), (7,), (2, 3, 4), (3, 3)])
def test_runs_by_hand_however_they_are_cut(chunks):
    runs = runs_of(PATTERN, chunks=chunks)
    assert runs.n_on.tolist() == [[6]]
    assert runs.n_runs.tolist() == [[3]]
    assert runs.dwell()[0][0] == pytest.approx(2.0)


def test_a_clip_and_a_gap_end_a_run():
    assert runs_of([1, 1, 1, 1], clips=[0, 0, 1, 1], frames=[0, 1, 0, 1]).n_runs.sum() == 2
    assert runs_of([1, 1, 1, 1], frames=[0, 1, 7, 8]).n_runs.sum() == 2
    assert runs_of([1, 1, 1, 1], frames=[0, 4, 8, 12], step=4).n_runs.sum() == 1


def test_stretches_are_counted():
    assert runs_of([0, 0, 0, 0], frames=[0, 1, 7, 8]).n_stretches.tolist() == [2]


@pytest.mark.parametrize("frames", [range(10), [0, 1, 2, 3, 10, 11, 12, 20, 21, 22]])
def test_the_shuffled_level_is_the_mean_over_orders(frames):
    rng = np.random.default_rng(0)
    counted = [
        runs_of(rng.permutation(PATTERN), frames=list(frames)).n_runs.sum() for _ in range(4000)
    ]
    expected = runs_of(PATTERN, frames=list(frames)).n_runs_shuffled[0, 0]
    assert np.mean(counted) == pytest.approx(expected, abs=4 * np.std(counted) / 4000**0.5)


def test_what_never_ends_lasts_a_clip_in_any_order():
    runs = runs_of([1] * 8)
    assert runs.dwell() == (pytest.approx([8.0]), pytest.approx([8.0]))


def test_dead_features_have_no_dwell_time():
    runs = runs_of([[1, 0], [1, 0], [0, 0]])
    found, shuffled = runs.by_feature()
    assert found[0] == pytest.approx(2.0)
    assert np.isnan(found[1])
    assert np.isnan(shuffled[1])


def test_clips_count_as_often_as_they_are_drawn():
    runs = runs_of([1, 1, 0, 1, 0, 1], clips=[0, 0, 0, 1, 1, 1], frames=[0, 1, 2, 0, 1, 2])
    found, _ = runs.dwell(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    assert found == pytest.approx([2.0, 1.0, 4 / 3])


def test_clip_usage():
    runs = runs_of([[1, 0], [0, 0], [1, 1]], clips=[0, 1, 2], frames=[0, 0, 0])
    assert runs.clip_usage == pytest.approx([2 / 3, 1 / 3])
