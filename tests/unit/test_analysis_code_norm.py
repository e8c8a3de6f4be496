"""Steering through a code with RMSNorm and through one without, on a codec that is known."""

import numpy as np
import pytest

from auscult.analyses.code_norm import MATCHED, NORM, PLAIN, Row, judge
from auscult.testing.studies import answer
from tests.unit.test_analysis_steering import spec

STRENGTHS = [1.0, 4.0, 16.0]


def asked(folder, k=4, kinds=("rms-norm", "topk")):
    own = spec(folder, deaf=False)
    own.pop("analyses")
    section = {"n_features": 24, "k": 4}
    entries = {
        "rms-norm": {"name": "normed", "type": "rms-norm", "l1_on": "topk", **section},
        "topk": {"name": "plain", "type": "topk", **section, "k": k},
    }
    own["dictionaries"] = [entries[kind] for kind in kinds]
    own["train"] = {"steps": 60, "batch": 256, "seeds": [0]}
    return answer(
        own, folder / "store", "code-norm", strengths=STRENGTHS, n_clips=6, n_corpus=10, n_random=2
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return asked(tmp_path_factory.mktemp("norm"))


def steps(result, rule, random=False):
    rows = result.facts["rows"]
    return np.array([r["step"] for r in rows if (r["rule"], r["random"]) == (rule, random)])


def test_without_a_norm_steps_grow_with_strength(found):
    np.testing.assert_allclose(
        steps(found, PLAIN) / steps(found, PLAIN)[0], np.array(STRENGTHS), rtol=1e-3
    )


def test_with_a_norm_steps_saturate(found):
    grown = steps(found, NORM) / steps(found, NORM)[0]
    assert 1 < grown[1] < STRENGTHS[1]
    assert grown[2] / grown[1] < STRENGTHS[2] / STRENGTHS[1]


@pytest.mark.parametrize("random", [False, True])
def test_matched_steps_are_as_long(found, random):
    np.testing.assert_allclose(steps(found, MATCHED, random), steps(found, NORM, random), rtol=1e-3)


def told(norm, plain, matched, random=0.0):
    """Rows at the largest strength, each with as much added in every half of the clips."""
    values = {NORM: norm, PLAIN: plain, MATCHED: matched}
    halves = np.linspace(-0.1, 0.1, 20)
    rows = [Row(rule, 4.0, False, value + halves, 1.0) for rule, value in values.items()]
    return [*rows, *(Row(rule, 4.0, True, random + halves, 1.0) for rule in values)]


@pytest.mark.parametrize(
    ("added", "verdict"),
    [
        ((1.0, 2.0, 1.5), "holds"),
        ((1.0, 2.0, 1.0), "explained by control"),
        ((1.0, 2.0, 0.5), "explained by control"),
        ((1.0, 0.5, 2.0), "does not hold"),
    ],
)
def test_the_norm_must_do_more_than_shorten_steps(added, verdict):
    judged = judge(told(*added), "latent")
    assert judged.verdict == verdict
    assert judged.measurement.value == pytest.approx(added[1] - added[0])
    assert judged.measurement.controls["the same, steps as long"] == pytest.approx(
        added[2] - added[0]
    )


def test_the_study_answers_the_claim_with_its_controls(found):
    (judged,) = found.judgements
    assert judged.claim == "PK-06"
    assert judged.verdict in {"holds", "explained by control", "does not hold"}
    assert set(judged.measurement.controls) == {"the same, steps as long", "random directions"}


def test_codes_of_another_l0_are_not_compared(tmp_path):
    (judged,) = asked(tmp_path, k=12).judgements
    assert judged.verdict == "cannot be tested here"
    assert "give both the same n_features and k" in judged.reason


def test_without_both_dictionaries_there_is_a_sentence(tmp_path):
    (judged,) = asked(tmp_path, kinds=("topk",)).judgements
    assert judged.verdict == "cannot be tested here"
    assert "no dictionary of type rms-norm" in judged.reason
