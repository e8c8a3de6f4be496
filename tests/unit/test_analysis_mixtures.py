"""The rule by which the mixture test judges, and what it takes for an answer."""

import numpy as np
import pytest

from auscult.analyses.base import Measurement
from auscult.analyses.mixtures import MixtureParams, _judgement
from auscult.core.errors import UserError
from auscult.measures.mixture_hearing import binned_envelopes, draw_mixtures
from auscult.measures.partials import MixtureFit, explained_by_band, following


def judged(value, bank=0.9, moved=1.0):
    nulls = {"gammatone filters (must pass)": bank, "random weights, real sounds": 0.0}
    one = Measurement("share", value, "", nulls, tap="conv.0")
    return _judgement(MixtureParams(), "features", one, moved)


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ({"value": 0.0}, "holds"),
        ({"value": 0.049}, "holds"),
        ({"value": 0.05}, "does not hold"),
        ({"value": 0.0, "bank": 0.4}, "cannot be tested here"),
        ({"value": 0.0, "bank": float("nan")}, "cannot be tested here"),
        ({"value": 0.0, "moved": 0.3}, "cannot be tested here"),
        ({"value": float("nan"), "moved": 0.0}, "cannot be tested here"),
    ],
)
def test_the_claim_needs_few_consistent_units_and_a_control_that_passes(told, verdict):
    found = judged(**told)
    assert found.verdict == verdict
    assert found.claim == "P1-18"


def test_too_narrow_a_range_of_partials_is_refused():
    with pytest.raises(ValueError, match="three octaves"):
        MixtureParams(lowest_hz=1000.0, highest_hz=4000.0)


def test_frames_too_slow_for_modulations_are_refused():
    with pytest.raises(UserError, match="too few to follow"):
        draw_mixtures(8, 1.0, (200.0, 3000.0), 8000, 2.0, 0)


def test_envelopes_are_averaged_over_bins_that_may_reach_beyond_the_sound():
    names = ("f_hz", "phase_rad", "amplitude", "am_hz", "am_phase_rad")
    one = dict.fromkeys(names, "[1.0]") | {"am_depth": "[0.0]"}
    binned = binned_envelopes(one, 8000, 8000, np.array([0.0, 0.25, 0.5, 1.0, 2.0]))
    np.testing.assert_allclose(binned[:3, 0], [0.99, 1.0, 0.995], atol=1e-3)
    assert np.isnan(binned[3, 0])


def test_units_that_hardly_ever_move_are_not_judged():
    f_hz = np.array([400.0, 900.0, 2000.0])
    told = np.array([[0.9, 0.0, 0.0], [0.9, 0.0, 0.0]])
    fits = [MixtureFit(f_hz, told, np.array([1.0, float(i < 4)])) for i in range(10)]
    found = following(fits)
    np.testing.assert_array_equal(found.judged, [True, False])
    assert found.consistent_share == 1.0


def test_what_partials_explain_is_sorted_into_bands():
    fits = [
        MixtureFit(np.array([100.0, 1000.0]), np.array([[0.2, 0.6]]), np.ones(1)),
        MixtureFit(np.array([110.0, 5000.0]), np.array([[0.4, 0.1]]), np.ones(1)),
    ]
    np.testing.assert_allclose(explained_by_band(fits, np.array([100.0, 1000.0])), [[0.3, 0.35]])
