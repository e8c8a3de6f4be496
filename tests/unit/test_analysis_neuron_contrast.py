"""Two networks side by side: a planted one, and one that has learnt nothing."""

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES
from auscult.blocks import Bars, Missing, Table
from auscult.core.errors import ConfigError, UnknownNameError
from auscult.measures.network_contrast import contrast
from auscult.measures.selectors import Rule
from auscult.testing.planted_study import planted_spec
from auscult.testing.studies import answer

SMALL = {"share": 0.12, "n_deals": 40, "n_random": 2, "n_resamples": 20}
TAPS = ["first.narrow:in", "second.narrow:in"]


def compared(folder, weights, **given):
    spec = planted_spec(folder, [])
    other = {**spec["model"], "weights": weights}
    asked = {"other": other, "taps": TAPS, **SMALL, **given}
    return answer(spec, folder / "run", "neuron-contrast", **asked)


@pytest.fixture(scope="module")
def against_random(tmp_path_factory):
    return compared(tmp_path_factory.mktemp("random"), "random")


def test_planted_neurons_are_more_than_those_of_random_weights(against_random):
    covers, more = against_random.judgements
    assert (covers.claim, more.claim) == ("AA-01", "AA-02")
    assert more.measurement.value > 0.8
    assert covers.measurement.value >= 0.5 > covers.measurement.controls["random weights, highest"]


def test_a_network_does_not_differ_from_itself(tmp_path):
    result = compared(tmp_path, "trained")
    covers, more = result.judgements
    assert (covers.measurement.value, more.measurement.value) == (0, 0.5)
    assert more.measurement.interval == (0.5, 0.5)
    assert {one.verdict for one in result.judgements} == {"does not hold"}


def test_its_page_shows_both_beside_random_weights(against_random):
    blocks = ANALYSES.get("neuron-contrast")().view(against_random)
    table = next(b for b in blocks if isinstance(b, Table))
    assert [row[0] for row in table.rows][2:] == ["this, random weights", "other, random weights"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert sum(isinstance(b, Bars) for b in blocks) == 4


def test_networks_that_cannot_hear_the_same_clips_are_not_compared(tmp_path):
    result = compared(tmp_path, "trained", other={"type": "mini-audio-vit"}, taps=[])
    assert [one.verdict for one in result.judgements] == ["cannot be tested here"] * 2
    page = ANALYSES.get("neuron-contrast")().view(result)
    assert any(isinstance(b, Missing) and "16000 Hz" in b.reason for b in page)


def test_the_other_network_is_checked_with_the_spec():
    with pytest.raises((ConfigError, UnknownNameError), match="no-such"):
        ANALYSES.parse({"type": "neuron-contrast", "other": {"type": "no-such"}}, "analyses")


def test_one_threshold_counts_what_equal_counts_hide():
    # Ten neurons each; the first network's four specific ones are sharper than any other.
    sharp, blunt = np.eye(2)[[0, 1] * 2] * 0.9 + 0.01, np.tile([0.9, 0.6], (6, 1))
    first = np.concatenate([sharp, np.full((6, 2), 0.3)])
    second = np.concatenate([blunt, np.full((4, 2), 0.3)])
    found = contrast(first, second, Rule(share=0.2, bar=0.5))
    assert [one.any(1).sum() for one in found.equal] == [2, 2]
    assert [one.any(1).sum() for one in found.common] == [4, 0]
    assert (found.gap, found.share) == (0.5, 1.0)
