"""How agreement of seeds is told: as a range where it is one, and not at all where chance fills the scale."""

import re

import pytest

from auscult.analyses.base import Judgement, Measurement, Spread
from auscult.analyses.stability import _STRICT, StabilityParams, _judged
from auscult.measures.matching import chance_corrected
from auscult.report.overview import measurements


def told(value, chance, **params):
    controls = dict.fromkeys(_STRICT, chance)
    one = Measurement("agreement", value, "", controls, spread=Spread(value, value, "pairs"))
    return _judged(StabilityParams(**params), "conv.0", one, 3)


@pytest.mark.parametrize("value", [0.82, 0.985, 1.0])
def test_where_chance_leaves_no_room_this_is_said_and_no_corrected_number(value):
    judged = told(value, 0.99)
    assert judged.verdict == "cannot be tested here"
    assert "chance alone gives 0.99, which leaves no room" in judged.sentence
    assert re.findall(r"-?\d+\.\d+", judged.sentence) == [f"{value:.2f}", "0.99"]


def test_below_chance_the_level_is_told_and_no_quotient():
    judged = told(0.11, 0.92)
    assert judged.verdict == "does not hold"
    assert re.findall(r"-?\d+\.\d+", judged.sentence) == ["0.11", "0.92"]
    assert "no more than the 0.92 that chance gives" in judged.sentence


@pytest.mark.parametrize(
    ("level", "words", "verdict"),
    [
        (0.96, "no more than the 0.96 that chance gives", "does not hold"),
        (0.98, "which leaves no room", "cannot be tested here"),
    ],
)
def test_no_room_is_said_exactly_where_nothing_can_be_tested(level, words, verdict):
    judged = told(0.3, level)
    assert words in judged.sentence
    assert judged.verdict == verdict


def test_where_there_is_room_the_corrected_number_is_told():
    judged = told(0.9, 0.5)
    assert judged.verdict == "holds"
    assert "0.80 after correction for chance" in judged.sentence


@pytest.mark.parametrize(
    ("chance", "room", "expected"), [(0.5, 0.03, 0.8), (0.98, 0.03, None), (1.0, 0.0, None)]
)
def test_a_quotient_over_next_to_nothing_is_no_number(chance, room, expected):
    assert chance_corrected(0.9, chance, room) == pytest.approx(
        float("nan") if expected is None else expected, nan_ok=True
    )


def test_a_range_over_seeds_is_never_shown_as_an_interval():
    spread = Spread.over([0.7, 0.6, 0.8], "pairs of seeds")
    one = Measurement("agreement", 0.7, "", {"chance": 0.5}, tap="conv.0", spread=spread)
    finding = Judgement("They agree.", one, "holds", "so").finding()
    assert finding.value == "0.7; over pairs of seeds: 0.6 to 0.8"
    kept = {
        "measurements": [
            {
                "name": "agreement", "value": 0.7, "interval": None, "controls": {"chance": 0.5},
                "spread": {"least": 0.6, "largest": 0.8, "of": "pairs of seeds"},
            },
            {"name": "error", "value": 0.1, "interval": [0.0, 0.2], "controls": {"chance": 0.5}},
            {"name": "one recording", "value": 0.1, "interval": [None, None], "controls": {"x": 0}},
        ]
    }  # fmt: skip
    grid = measurements(kept)
    cells = {name: [row[i] for row in grid.rows] for i, name in enumerate(grid.columns)}
    assert cells["95 % interval"] == ["", "0 to 0.2", ""]
    assert cells["least and largest"] == ["0.6 to 0.8, over pairs of seeds", "", ""]


def test_of_one_pair_there_is_no_range():
    assert Spread.over([0.7], "pairs of seeds") is None
