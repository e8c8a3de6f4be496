import numpy as np
import pytest

from auscult.analyses.base import ANALYSES, BASE, Condition
from auscult.analyses.state_dependence import StateDependence
from auscult.blocks import Bars, Finding, Heatmap, load_blocks, save_blocks
from auscult.measures.directions import direction_acts, foretell, gap_interval, top_directions
from auscult.report.shapes import check_shapes
from tests.planted_dynamics import CELLS, Fixed, Planted, machine, wandering

NOISE, RANDOM = Condition(sounds="noise"), Condition(weights="random")
MOVES = {BASE: machine, NOISE: wandering, RANDOM: wandering}


def answer(context, **params):
    cls, parsed = ANALYSES.parse({"type": "state-dependence", **params}, "analysis")
    return cls().run(context, parsed)


def untested(result):
    assert {judgement.verdict for judgement in result.judgements} == {"cannot be tested here"}
    return result.judgements[0].reason


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return answer(Planted(tmp_path_factory.mktemp("machine"), MOVES, lags=(2, 1)))


def test_chance_is_one_in_as_many_archetypes_as_there_are(result):
    accuracy = next(one for one in result.measurements if one.name == "accuracy at lag 1")
    assert accuracy.controls["one of as many"] == pytest.approx(1 / CELLS)


def test_no_more_archetypes_are_told_apart_than_asked_for(tmp_path):
    result = answer(Planted(tmp_path, MOVES), n_archetypes=3)
    assert result.facts["rows"][0][8] == 3
    assert result.facts["rows"][0][7] == pytest.approx(3 / CELLS, abs=0.05)


def test_lags_are_judged_in_ascending_order(result):
    assert [row[1] for row in result.facts["rows"]] == [1, 2]
    assert [judgement.claim for judgement in result.judgements] == ["P1-14", "P1-14"]


def test_excess_is_measured_from_the_stronger_null(result):
    numbers = {one.name: one for one in result.measurements}
    accuracy, beyond = (
        numbers[f"{what} at lag 1"] for what in ("accuracy", "accuracy beyond the overlap null")
    )
    strongest = max(accuracy.controls[str(NOISE)], accuracy.controls[str(RANDOM)])
    assert beyond.value == pytest.approx(accuracy.value - strongest)


def test_confusion_is_a_share_of_each_row(result):
    np.testing.assert_allclose(result.arrays["layer/confusion"].sum(axis=1), 1)
    assert np.trace(result.arrays["layer/confusion"]) > CELLS - 0.5


def test_every_null_is_drawn_at_every_lag(result):
    view = StateDependence().view(result)
    curve = next(
        block for block in view if getattr(block, "title", "").endswith("accuracy over the lag")
    )
    assert [series.control for series in curve.series] == [False] + [True] * 6
    assert all(np.isfinite(series.y).all() for series in curve.series)


def test_a_single_lag_is_drawn_as_bars(tmp_path):
    view = StateDependence().view(answer(Planted(tmp_path, MOVES)))
    bars = [block for block in view if isinstance(block, Bars)]
    assert [len(block.names) for block in bars] == [7, 6]
    assert np.isfinite(bars[0].values).all()


def test_its_page_can_be_saved(result, tmp_path):
    view = StateDependence().view(result)
    save_blocks(tmp_path, view)
    assert len(load_blocks(tmp_path)) == len(view)
    assert isinstance(view[0], Finding)
    assert any(isinstance(block, Heatmap) for block in view)
    for block in view:
        check_shapes(block)


class OneToTest(Planted):
    """All recordings but one are on the training side."""

    def store(self, tap, condition=BASE, split=None):
        every = super().store(tap, condition)
        return every.select(["recording-0"]) if split == "test" else every


def test_one_test_recording_is_said_where_those_of_training_serve(tmp_path):
    told = answer(OneToTest(tmp_path, MOVES)).judgements[0]
    assert told.verdict != "cannot be tested here"
    assert told.reason.startswith("The test side has one recording")
    whole = answer(Planted(tmp_path / "whole", MOVES)).judgements[0]
    assert "one recording" not in whole.reason


def test_a_single_recording_cannot_be_tested(tmp_path):
    assert "two recordings" in untested(answer(Planted(tmp_path, MOVES, n_recordings=1)))


def test_a_lag_longer_than_the_clips_cannot_be_tested(tmp_path):
    assert "lag 401" in untested(answer(Planted(tmp_path, MOVES, lags=(401,))))


def test_standstill_cannot_be_tested(tmp_path):
    moves = {**MOVES, BASE: lambda n_frames, rng: np.ones((n_frames, 2))}
    assert "only 0 generators" in untested(answer(Planted(tmp_path, moves)))


def test_controls_that_stand_still_leave_nothing_to_judge_by(tmp_path):
    moves = {**MOVES, NOISE: lambda n_frames, rng: np.ones((n_frames, 2))}
    assert str(NOISE) in untested(answer(Planted(tmp_path, moves)))


def test_the_view_of_what_cannot_be_tested_can_be_saved(tmp_path):
    result = answer(Planted(tmp_path, MOVES, n_recordings=1))
    save_blocks(tmp_path, StateDependence().view(result))


def test_the_published_reading_needs_a_lag_of_one(tmp_path):
    result = answer(Planted(tmp_path, MOVES, lags=(2,)), reading="published")
    first = result.judgements[0]
    assert (first.claim, first.verdict) == ("P1-14", "cannot be tested here")
    assert "lag 1" in first.reason


def test_a_tap_of_one_channel_is_judged(tmp_path):
    moves = dict.fromkeys(MOVES, lambda n_frames, rng: rng.normal(size=(n_frames, 1)))
    result = answer(Planted(tmp_path, moves, atoms=np.array([[1.0], [-1.0]])))
    assert result.judgements[0].verdict == "explained by control"


AXES = np.eye(2)
CROSS = np.array([[1.0, 0.1], [-2.0, 0.1], [0.1, -3.0], [0.0, 0.0]])


@pytest.mark.parametrize(("both", "expected"), [(True, [0, 2, 3, -1]), (False, [0, 1, 0, -1])])
def test_an_atom_of_a_signed_dictionary_is_two_directions(both, expected):
    np.testing.assert_array_equal(top_directions(Fixed(AXES, both), CROSS), expected)


def test_the_top_is_sought_among_the_directions_in_question():
    found = top_directions(Fixed(AXES, True), CROSS, np.array([1, 2]))
    np.testing.assert_array_equal(found, [1, 2, -1, -1])


def test_no_generators_have_no_activations():
    assert direction_acts(Fixed(AXES, True), np.zeros((0, 2))).shape == (0, 4)


def test_a_signed_machine_is_foretold_by_direction():
    # Two states on a line, left and right in turn: one atom, of which the sign is what is foretold.
    rng = np.random.default_rng(0)
    states = np.tile([[1.0, 0.0], [-1.0, 0.0]], (200, 1)) + 0.01 * rng.normal(size=(400, 2))
    found = foretell(
        Fixed(AXES[:1], True),
        states[:-1],
        np.diff(states, axis=0),
        np.arange(399) // 40,
        20,
        400,
        rng,
    )
    assert (found.n_labels, found.accuracy, found.skill) == (2, 1.0, 1.0)
    assert found.linear_accuracy == 1.0


def test_skill_is_what_the_most_frequent_leaves_wrong():
    from auscult.measures.directions import Foretold

    assert Foretold(accuracy=0.8, majority=0.6).skill == pytest.approx(0.5)


def test_the_interval_of_a_gap_knows_how_few_answers_there_are():
    # Two recordings of 50 answers, half of them right: a standard deviation of √(2 · 0.25 / 100).
    right = np.tile([0.0, 1.0], 50)
    ids = np.repeat([0, 1], 50)
    low, high = gap_interval(right, ids, right, ids, np.random.default_rng(0), 4000)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.005), rel=0.1)
    assert low == pytest.approx(-high, abs=0.02)
