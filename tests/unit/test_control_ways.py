"""Directions of control vectors by each way, from vectors of which the answer is known."""

import numpy as np
import pytest

from auscult.core.errors import NothingToMeasureError
from auscult.core.timebase import TimeBase
from auscult.interventions.control import ControlProvenance
from auscult.interventions.ways import OF_FEATURES, WAYS, Maker, Material
from tests.known_dictionaries import EYE, D, topk

TOLD = ControlProvenance("m", "w", "tap", TimeBase(16_000), "", "", "")
N = 600


def maker(concept):
    """Vectors that say the concept along the first axis, and noise along the others."""
    rng = np.random.default_rng(0)
    x = np.abs(0.1 * rng.standard_normal((N, D)))
    x[:, 0] += np.clip(concept, 0, None)
    x[:, 1] += np.clip(-concept, 0, None)
    material = Material(
        x.astype("f4"),
        concept[:, None],
        ("level",),
        (np.linspace(-1, 1, 21),),
        np.arange(N) // 20,
        topk(EYE, k=2),
    )
    return Maker(material, TOLD, lambda: np.random.default_rng(0))


@pytest.mark.parametrize("way", WAYS)
def test_more_and_less_are_two_directions(way):
    made = maker(np.random.default_rng(1).uniform(-1, 1, N))
    more, less = (made.make(way, 0, sign).direction for sign in ("more", "less"))
    apart = more[0] - more[1], less[0] - less[1]
    assert apart[0] > 0 > apart[1]


@pytest.mark.parametrize("way", OF_FEATURES)
def test_a_concept_whose_ends_lie_in_one_bin_has_none(way):
    concept = np.zeros(N)
    concept[::12] = np.linspace(-1, 1, N // 12)
    with pytest.raises(NothingToMeasureError, match="level in one bin"):
        maker(concept).make(way, 0, "more")
