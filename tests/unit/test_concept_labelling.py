"""The untrained twin of a dictionary, which features are read against."""

import numpy as np
import pytest
import torch

from auscult.analyses.parts.concepts.labelling import features_of, untrained
from auscult.dictionaries.base import DICTIONARIES
from auscult.testing.dictionaries import planted

SOURCE, _ = planted(600, n_active=2)
X = SOURCE.rows(np.arange(600))
TYPES = sorted(
    name
    for name in DICTIONARIES.names()
    if DICTIONARIES.get(name).reads in ("vectors", "neighbours")
)
BY_THRESHOLD = ["batch-topk", "matryoshka", "temporal"]


def dictionary(name, **settings):
    cls, params = DICTIONARIES.parse({"type": name, "n_features": 12, **settings}, "here")
    made = cls.build(params, 16, 0, SOURCE.statistics)
    rng = np.random.default_rng(0)
    if made.trainable:
        made.prepare(SOURCE, rng)
    else:
        made.fit_from(SOURCE, rng)
    return made.requires_grad_(False)


@pytest.mark.parametrize("name", TYPES)
def test_every_type_has_one_that_encodes(name):
    own = dictionary(name)
    twin = untrained(own, X, seed=1)
    acts = features_of(twin, X)
    assert acts.shape == (600, 12)
    assert acts.any()
    assert not np.allclose(twin.atoms.detach(), own.atoms)


@pytest.mark.parametrize("name", BY_THRESHOLD)
def test_as_many_features_are_on_as_the_settings_say(name):
    twin = untrained(dictionary(name, k=3), X, seed=1)
    assert (features_of(twin, X) != 0).sum(1).mean() == pytest.approx(3, abs=0.01)


def test_it_is_the_same_for_a_seed_and_another_for_another():
    first, again, other = (untrained(dictionary("topk"), X, seed).atoms for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
