import numpy as np
import pytest

from auscult.analyses.base import ANALYSES
from auscult.analyses.trajectories import Trajectories
from auscult.blocks import Animation, Finding, Missing, SmallMultiples, load_blocks, save_blocks
from auscult.core.errors import NothingToMeasureError
from auscult.core.timebase import TimeBase
from auscult.measures.paths import (
    Stretch,
    common_plane,
    loudest_stretch,
    measure_paths,
    path_within,
    smoother_than,
)
from auscult.report.shapes import check_shapes
from auscult.testing.studies import answer as studied
from auscult.testing.studies import open_study
from tests.e2e.conftest import tiny_spec

PARAMS = {"n_clips": 2, "stretch_s": 0.2, "most_points": 200}


def sines(hz):
    """A study whose real sounds are sines as well, of another pitch than the control's 440 Hz."""
    sounds = {"type": "sine", "n": 6, "seconds": 0.5, "clip_seconds": 0.5, "f_hz": [hz]}
    return tiny_spec(sounds={**sounds, "split": {"train": 0.5, "test": 0.5}})


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    cls, params = ANALYSES.parse({"type": "trajectories", **PARAMS}, "analysis")
    folder = tmp_path_factory.mktemp("study")
    with open_study(sines(1500.0), folder, cls.controls(params)) as context:
        yield context


def answer(study, **params):
    cls, parsed = ANALYSES.parse({"type": "trajectories", **PARAMS, **params}, "analysis")
    return cls().run(study, parsed)


@pytest.fixture(scope="module")
def result(study):
    return answer(study)


def of(result, name):
    return next(one for one in result.measurements if one.name == name)


def test_the_sine_is_as_rough_as_the_closed_form_of_a_linear_layer_says(result):
    sine = of(result, "path roughness, sine")
    closed = 2 - 2 * np.cos(2 * np.pi * 440 * 3 / 22_050)
    assert sine.controls["closed form of a linear layer"] == pytest.approx(closed)
    assert sine.value == pytest.approx(closed, rel=0.02)


def test_real_sounds_that_are_sines_are_as_rough_as_sines_of_their_pitch(result):
    closed = 2 - 2 * np.cos(2 * np.pi * 1500 * 3 / 22_050)
    assert of(result, "path roughness, real sounds").value == pytest.approx(closed, rel=0.02)
    pitch = of(result, "frequency of a sine as rough, real sounds")
    assert pitch.value == pytest.approx(1500, rel=0.02)


def test_a_sine_that_is_higher_than_the_real_sounds_breaks_the_order(tmp_path):
    result = studied(sines(100.0), tmp_path, "trajectories", **PARAMS)
    judgement = result.judgements[0]
    assert judgement.verdict == "does not hold"
    assert "Pitch decides" in judgement.reason


def test_white_noise_through_windows_that_touch_has_roughness_three(result):
    assert of(result, "path roughness, white noise").value == pytest.approx(3, abs=0.15)


def test_level_changes_no_measure_of_a_linear_layer(study, result):
    quiet = answer(study, level_db=-50.0)
    for one, other in zip(result.measurements, quiet.measurements, strict=True):
        assert one.value == pytest.approx(other.value, rel=0.02, abs=0.002)


def test_real_sounds_lie_in_their_own_plane_better_than_noise_does(result):
    share = of(result, "variance in the plane, real sounds")
    assert share.value > share.controls["white noise"]


def test_the_published_order_holds_and_random_weights_share_it(study, result):
    published = answer(study, reading="published").judgements[0]
    assert (published.claim, published.verdict) == ("P1-16", "holds")
    assert result.judgements[0].verdict == "explained by control"


def test_a_single_stretch_cannot_be_judged_against_chance(study):
    judgement = answer(study, n_clips=1).judgements[0]
    assert judgement.verdict == "cannot be tested here"
    assert "two recordings" in judgement.reason


def test_three_sounds_are_animated_with_their_channels(result):
    animations = [block for block in result.blocks if isinstance(block, Animation)]
    assert [block.title for block in animations] == [
        f"conv.0: path of {name}" for name in ("sine", "real sounds", "white noise")
    ]
    for block in animations:
        assert block.clip.start_s <= block.times_s[0] < block.times_s[-1] <= block.clip.stop_s
        assert len(block.x) <= 200
        assert block.lane_values.shape == (16, len(block.x))


def test_an_animation_is_on_the_axes_of_the_whole_input(study, result):
    # Frames of the shown stretch, projected by hand on the plane of both real stretches.
    shown = [block for block in result.blocks if isinstance(block, Animation)]
    assert np.ptp(shown[1].x) > np.ptp(shown[1].y)


def test_the_still_picture_has_every_frame(result):
    still = next(block for block in result.blocks if isinstance(block, SmallMultiples))
    assert len(still.curves) == 9
    # 10 ms at 22,050 / 3 frames a second.
    assert {len(curve.x) for curve in still.curves} == {74}


def test_its_page_can_be_saved(result, tmp_path):
    view = Trajectories().view(result)
    save_blocks(tmp_path, view)
    assert len(load_blocks(tmp_path)) == len(view)
    assert isinstance(view[0], Finding)
    for block in view:
        check_shapes(block)


def test_clips_too_short_for_a_path_are_said_to_be(study, monkeypatch):
    monkeypatch.setattr("auscult.measures.paths.FEWEST_FRAMES", 10**6)
    result = answer(study)
    assert result.judgements[0].verdict == "cannot be tested here"
    assert "too few" in result.judgements[0].reason
    assert any(isinstance(block, Missing) for block in Trajectories().view(result))


def test_the_loudest_stretch_is_brought_to_the_level():
    waveform = np.concatenate([np.full(100, 0.01), np.full(100, -0.5), np.full(100, 0.01)])
    found = loudest_stretch(waveform, 100, 10, -20.0)
    assert (found.start, found.stop, found.piece_start) == (100, 200, 90)
    assert len(found.piece) == 120
    assert np.sqrt(np.mean(np.square(found.piece[10:110]))) == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("waveform", [np.zeros(100), np.zeros(0)])
def test_silence_has_no_stretch(waveform):
    assert loudest_stretch(waveform, 50, 5, -20.0) is None


def test_frames_that_hear_an_edge_are_left_out():
    # Nine samples a frame: the first and last four frames of the piece hear what is not there.
    time = TimeBase(100).after_conv(9, padding=4)
    stretch = Stretch(np.zeros(50, np.float32), 1000, 1000, 1050)
    found = path_within(np.arange(50.0)[:, None], time, stretch)
    np.testing.assert_array_equal(found.values[:, 0], np.arange(4, 46))
    np.testing.assert_allclose(found.times_s[0], (1004 + 0.5) / 100)


def test_frames_beside_the_stretch_are_left_out():
    stretch = Stretch(np.zeros(60, np.float32), 990, 1000, 1040)
    found = path_within(np.arange(60.0)[:, None], TimeBase(100), stretch)
    np.testing.assert_array_equal(found.values[:, 0], np.arange(10, 50))


def test_a_layer_that_hears_more_than_the_piece_keeps_the_stretch():
    time = TimeBase(100).after_conv(99, padding=49)
    found = path_within(np.zeros((50, 1)), time, Stretch(np.zeros(50, np.float32), 0, 0, 50))
    assert len(found.values) == 50


def test_too_few_frames_are_refused():
    stretch = Stretch(np.zeros(50, np.float32), 0, 0, 10)
    with pytest.raises(NothingToMeasureError, match="10 frames"):
        path_within(np.zeros((50, 1)), TimeBase(100), stretch)


LINE = np.outer(np.arange(40.0), [1.0, 2.0])
ZIGZAG = np.outer(np.arange(40) % 2, [1.0, 2.0]).astype(float)


def measured(*paths):
    return measure_paths(list(paths), common_plane(paths), 1)


def test_standstill_has_no_measures():
    still = measure_paths([1e-9 * ZIGZAG], common_plane([ZIGZAG]), 1, still_power=1e-10)
    assert np.isnan([still.roughness, still.turning_deg, still.recurrence]).all()


def test_a_path_of_one_channel_is_measured():
    found = measured(ZIGZAG[:, :1])
    assert found.roughness == pytest.approx(4 * 38 / 39)
    assert found.turning_deg == pytest.approx(180)
    assert found.plane_share == pytest.approx(1)


def test_resampling_all_paths_gives_their_common_roughness():
    found = measured(LINE, ZIGZAG)
    assert found.resampled(np.array([0, 1])) == pytest.approx(found.roughness)
    assert found.resampled(np.array([0, 0])) == pytest.approx(0)


def test_what_is_smoother_in_every_recording_is_smoother_beyond_doubt():
    reference = measured(ZIGZAG)
    smooth, rough = measured(LINE, LINE), measured(ZIGZAG, ZIGZAG)
    ids, rng = np.array(["a", "b"]), np.random.default_rng(0)
    assert smoother_than((smooth, reference), [(rough, reference)], ids, rng) == pytest.approx(
        (-1, -1)
    )
