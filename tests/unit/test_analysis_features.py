"""The verdict on coverage: beating the nulls is not enough, it must also be near what was published."""

import pytest

from auscult.analyses.base import Measurement
from auscult.analyses.features import FeatureParams, judgements


def judged(covered=0.95, cosine=0.93, agreement=0.5, null=0.1):
    nulls = {"noise sounds": null, "trained weights, noise sounds": null}
    shaped = {"random vectors of the same covariance": null}
    found = [
        Measurement(name, value, "", shaped if name == "agreement" else nulls, tap="conv")
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
