import numpy as np
import pytest

from auscult.core.config import parse
from auscult.core.errors import ConfigError
from auscult.store.sampling import Sampling, chosen_frames


def test_everything_is_kept_by_default():
    np.testing.assert_array_equal(chosen_frames(Sampling(), 5, "a", 0), [0, 1, 2, 3, 4])


def test_a_stride_starts_within_itself_and_goes_to_the_end():
    frames = chosen_frames(Sampling(policy="stride", stride=4), 40, "a", 0)
    assert 0 <= frames[0] < 4
    assert set(np.diff(frames)) == {4}
    assert frames[-1] >= 36


def test_the_phase_of_a_stride_differs_between_clips():
    sampling = Sampling(policy="stride", stride=4)
    phases = {int(chosen_frames(sampling, 40, f"clip {i}", 0)[0]) for i in range(50)}
    assert phases == {0, 1, 2, 3}


def test_a_clip_shorter_than_what_is_wanted_is_kept_whole():
    sampling = Sampling(policy="runs", frames_per_clip=8, run_frames=4)
    np.testing.assert_array_equal(chosen_frames(sampling, 7, "a", 0), np.arange(7))


@pytest.mark.parametrize("other", [("b", 0), ("a", 1)])
def test_another_clip_or_seed_draws_other_frames(other):
    sampling = Sampling(policy="runs", frames_per_clip=8, run_frames=2)
    first = chosen_frames(sampling, 1000, "a", 0).tolist()
    assert chosen_frames(sampling, 1000, *other).tolist() != first


def test_the_draw_is_the_same_on_every_machine():
    sampling = Sampling(policy="runs", frames_per_clip=4, run_frames=2)
    # A change here makes every sampled store another one: raise the version of the store's format.
    assert chosen_frames(sampling, 1000, "a", 0).tolist() == [804, 805, 856, 857]


def test_runs_are_placed_uniformly():
    # Two runs of 2 in 5 frames: three placements, [0 2], [0 3], [1 3], equally often.
    sampling = Sampling(policy="runs", frames_per_clip=4, run_frames=2)
    drawn = [tuple(chosen_frames(sampling, 5, f"{i}", 0)[::2].tolist()) for i in range(3000)]
    counts = [drawn.count(placement) for placement in [(0, 2), (0, 3), (1, 3)]]
    assert sum(counts) == 3000
    # Standard deviation 26; five of them.
    assert np.abs(np.array(counts) - 1000).max() < 130


def test_runs_are_drawn_in_proportion_to_their_energy():
    sampling = Sampling(policy="energy", frames_per_clip=1, run_frames=1)
    energy = np.array([1.0, 0.0, 3.0])
    drawn = [int(chosen_frames(sampling, 3, f"{i}", 0, energy)[0]) for i in range(2000)]
    assert drawn.count(1) == 0
    # Three quarters of 2000 with a standard deviation of 19; five of them.
    assert abs(drawn.count(2) - 1500) < 97


def test_silence_is_drawn_when_there_is_nothing_else():
    sampling = Sampling(policy="energy", frames_per_clip=4, run_frames=2)
    energy = np.array([0, 0, 0, 0, 5.0, 5.0, 0, 0, 0])
    frames = chosen_frames(sampling, 9, "a", 0, energy)
    assert len(frames) == 4


def test_drawing_by_energy_needs_the_energy():
    sampling = Sampling(policy="energy", frames_per_clip=2, run_frames=1)
    with pytest.raises(ConfigError, match="needs the energy of each frame"):
        chosen_frames(sampling, 9, "a", 0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"policy": "runs"}, "policy 'runs' needs frames_per_clip"),
        ({"frames_per_clip": 8}, "frames_per_clip has no meaning under policy 'all'"),
        ({"stride": 2}, "stride has no meaning under policy 'all'; use 'stride'"),
        (
            {"policy": "runs", "frames_per_clip": 9, "run_frames": 4},
            r"frames_per_clip \(9\) must be a multiple of run_frames \(4\)",
        ),
        ({"policy": "some"}, "policy"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        parse(Sampling, settings, "record.sampling")
