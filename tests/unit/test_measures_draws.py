"""What a rank among random draws may be called, counted out."""

import numpy as np
import pytest

from auscult.measures.draws import FEWEST_DRAWS, edge_words, upper_edge


@pytest.mark.parametrize("n", [19, 20, 38, 39, 60, 100])
def test_of_equals_at_most_one_in_twenty_lies_beyond_the_others_edge(n):
    values = np.random.default_rng(n).permutation(n + 1).astype(float)
    beyond = sum(values[i] > upper_edge(np.delete(values, i))[0] for i in range(n + 1))
    assert 0 < beyond <= 0.05 * (n + 1)
    assert beyond + 1 > 0.05 * (n + 1)  # and no rank that could be told is given away


def test_below_nineteen_draws_not_even_the_largest_is_rare_enough():
    n = FEWEST_DRAWS - 1
    values = np.arange(n + 1.0)
    beyond = sum(values[i] > upper_edge(np.delete(values, i))[0] for i in range(n + 1))
    assert beyond / (n + 1) > 0.05
    assert "95 %" not in edge_words(n)
    assert "95 %" in edge_words(n + 1)


def test_draws_that_could_not_be_measured_do_not_count():
    draws = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan], [2.0, np.nan]])
    edge, n = upper_edge(draws)
    assert n.tolist() == [3, 0]
    assert edge[0] == 3.0
    assert np.isnan(edge[1])
