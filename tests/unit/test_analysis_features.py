"""The verdict on coverage: beating the nulls is not enough, it must also be near what was published."""

import pytest

from auscult.analyses.base import Measurement
from auscult.analyses.features import FeatureParams, judgements


def judged(covered=0.95, cosine=0.93, agreement=0.5, null=0.1, half=0.01):
    nulls = {"noise sounds": null, "trained weights, noise sounds": null}
    shaped = {"random vectors of the same covariance": null}
    found = [
        Measurement(
            name,
            value,
            "",
            shaped if name == "agreement" else nulls,
            None if name == "agreement" else (value - half, value + half),
            tap="conv",
        )
        for name, value in (("covered", covered), ("cosine", cosine), ("agreement", agreement))
    ]
    return [one.verdict for one in judgements(FeatureParams(), found)]


def test_what_is_near_the_published_values_and_beats_the_nulls_holds():
    assert judged() == ["holds", "holds", "holds"]


@pytest.mark.parametrize(
    ("values", "verdicts"),
    [
        ({"covered": 0.5}, ["does not hold", "holds", "holds"]),
        ({"cosine": 0.8}, ["holds", "does not hold", "holds"]),
        ({"agreement": 0.2}, ["holds", "holds", "holds"]),
    ],
)
def test_a_value_far_below_the_published_one_does_not_hold(values, verdicts):
    assert judged(**values) == verdicts


def test_what_the_nulls_reach_is_explained_by_them():
    assert judged(null=0.94)[:2] == ["explained by control", "explained by control"]


@pytest.mark.parametrize(("half", "verdict"), [(0.02, "holds"), (0.08, "explained by control")])
def test_both_numbers_must_beat_the_nulls_with_the_whole_interval(half, verdict):
    assert judged(null=0.88, half=half)[:2] == [verdict] * 2


def test_of_one_recording_neither_number_can_be_told():
    assert judged(half=float("nan"))[:2] == ["cannot be tested here"] * 2
