"""The type ``matching-pursuit``."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.greedy import matching_pursuit
from auscult.testing.dictionaries import planted

SOURCE, _ = planted(1000, n_active=2)
X = torch.from_numpy(SOURCE.rows(np.arange(200)))


def built(**section):
    cls, params = DICTIONARIES.parse(
        {"type": "matching-pursuit", "n_features": 12, **section}, "it"
    )
    return cls.build(params, 16, 0, SOURCE.statistics)


class TestMatchingPursuit:
    @pytest.mark.parametrize("signed", [False, True])
    def test_it_encodes_as_pursuit_on_its_atoms_does(self, signed):
        dictionary = built(signed=signed, k=5).double()
        with torch.no_grad():
            dictionary.bias.normal_()
        vectors = dictionary.preprocess(X.double())
        expected = matching_pursuit(vectors - dictionary.bias, dictionary.rows, 5, signed)
        assert_close(dictionary.activate(vectors), expected)

    def test_two_picks_by_hand(self):
        dictionary = built(n_features=2, k=2, centre=False, scale=False)
        with torch.no_grad():
            dictionary.rows.zero_()
            dictionary.rows[:, :2] = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
            dictionary.bias[0] = 1.0
        x = torch.zeros(1, 16)
        x[0, :2] = torch.tensor([2.0, -0.5])
        # Of (1, -0.5) the first atom takes 1, and of (0, -0.5) no atom takes anything.
        assert_close(dictionary.encode(x), torch.tensor([[1.0, 0.0]]))
        assert_close(dictionary(x)[0, :2], torch.tensor([2.0, 0.0]))

    def test_more_picks_leave_less(self):
        errors = [float(built(k=k).losses(X)["mse"].detach()) for k in (1, 2, 4, 8)]
        assert errors == sorted(errors, reverse=True)

    @pytest.mark.parametrize(
        ("settings", "shared"), [({}, False), ({"scale": False}, True)], ids=["scaled", "as it is"]
    )
    def test_saelens_has_it_where_there_is_no_scale_to_fold(self, settings, shared):
        assert (built(**settings).saelens() is not None) == shared

    def test_saelens_has_no_signed_pursuit(self):
        assert built(scale=False, signed=True).saelens() is None
