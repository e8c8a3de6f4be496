"""Dictionaries against closed forms, brute force, slow twins and scikit-learn."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.testing import assert_close

from auscult.core.errors import ConfigError, WidthError
from auscult.dictionaries.greedy import matching_pursuit
from auscult.dictionaries.metrics import evaluate
from auscult.dictionaries.pca import PcaDictionary
from auscult.dictionaries.selection import keep_top, top_acts
from auscult.dictionaries.spectrum import effective_dimension, principal_directions
from auscult.measures.matching import chance_cosine, match_atoms, matched_cosine, top_cosine
from auscult.store.source import ArraySource
from tests.known_dictionaries import dense, untouched


def directions(n, d, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class TestPca:
    VALUES = np.random.default_rng(0).standard_normal((400, 8)) @ np.diag(np.arange(1.0, 9.0)) + 2.0

    def fitted(self, n_features, **settings):
        source = ArraySource(self.VALUES)
        params = PcaDictionary.Params(n_features=n_features, **settings)
        dictionary = PcaDictionary.build(params, 8, 0, source.statistics).double()
        dictionary.fit_from(source, np.random.default_rng(0))
        return dictionary, source

    def test_it_reconstructs_as_scikit_learn_does(self):
        from sklearn.decomposition import PCA

        dictionary, _ = self.fitted(3)
        theirs = PCA(3, svd_solver="full").fit(self.VALUES)
        expected = theirs.inverse_transform(theirs.transform(self.VALUES))
        assert_close(dictionary(torch.from_numpy(self.VALUES)).numpy(), expected, rtol=0, atol=1e-4)

    def test_what_it_leaves_is_the_share_of_the_other_eigenvalues(self):
        dictionary, source = self.fitted(3)
        values, _ = principal_directions(source.statistics.covariance)
        assert evaluate(dictionary, source).fvu == pytest.approx(values[3:].sum() / values.sum())


class TestKeepTop:
    @given(
        st.integers(1, 9),
        st.booleans(),
        # Few different values, so that ties are common.
        arrays(np.float32, (5, 9), elements=st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])),
    )
    def test_the_fast_way_keeps_what_the_slow_one_keeps(self, k, signed, values):
        pre = torch.from_numpy(values)
        fast = dense(top_acts(untouched(9), pre, k, signed))
        slow = keep_top(pre, k, signed)
        # Which of equal ones is kept is open; that as much is kept, and no more than k, is not.
        order = torch.sort(fast, dim=1).values.abs(), torch.sort(slow, dim=1).values.abs()
        assert_close(order[0].sort(1).values, order[1].sort(1).values, rtol=0, atol=0)
        assert int((fast != 0).sum(1).max()) <= k

    def test_without_ties_both_ways_are_equal(self):
        pre = torch.randn(300, 40, generator=torch.manual_seed(0))
        for k in (1, 7, 40):
            assert torch.equal(dense(top_acts(untouched(40), pre, k, True)), keep_top(pre, k, True))


class TestMatchingPursuit:
    @pytest.mark.parametrize("signed", [False, True])
    def test_it_is_what_the_definition_says(self, signed):
        atoms, vectors = directions(12, 5), np.random.default_rng(1).standard_normal((20, 5))
        expected = np.zeros((20, 12))
        for row, vector in enumerate(vectors):
            left = vector.copy()
            for _ in range(4):
                products = atoms @ left
                pick = int(np.argmax(np.abs(products) if signed else products))
                amount = products[pick] if signed else max(products[pick], 0.0)
                expected[row, pick] += amount
                left -= amount * atoms[pick]
        found = matching_pursuit(torch.from_numpy(vectors), torch.from_numpy(atoms), 4, signed)
        assert_close(found.numpy(), expected, rtol=0, atol=1e-12)


class TestMatchedCosine:
    @pytest.mark.parametrize("signed", [False, True])
    def test_it_is_the_best_of_all_assignments(self, signed):
        a, b = directions(4, 3, 1), directions(5, 3, 2)
        cosines = np.abs(a @ b.T) if signed else a @ b.T
        best = max(sum(cosines[range(4), order]) for order in permutations(range(5), 4)) / 4
        assert matched_cosine(a, b, signed=signed) == pytest.approx(best)

    def test_order_and_length_of_atoms_do_not_matter(self):
        a = directions(6, 4)
        order = np.array([3, 1, 0, 5, 4, 2])
        assert matched_cosine(a, 7.0 * a[order]) == pytest.approx(1.0)
        assert match_atoms(a[order], a)[1].tolist() == order.tolist()

    def test_opposites_are_the_same_only_when_signed(self):
        a = np.eye(3)
        assert matched_cosine(a, -a, signed=True) == pytest.approx(1.0)
        assert matched_cosine(a, -a) == pytest.approx(0.0)

    def test_nearest_may_share_a_partner(self):
        a = np.array([[1.0, 0.0], [0.8, 0.6]])
        assert top_cosine(a, np.eye(2)[:1]) == pytest.approx(0.9)

    def test_atoms_of_other_widths_are_refused(self):
        with pytest.raises(WidthError, match=r"width 3.*width 4"):
            matched_cosine(np.eye(3), np.eye(4))


class TestChance:
    def test_in_one_dimension_signs_are_all_there_is(self):
        rng = np.random.default_rng(0)
        assert chance_cosine(1, 5, 5, rng=rng, signed=True) == pytest.approx(1.0)

    def test_no_dimension_is_refused(self):
        with pytest.raises(ConfigError, match="at least 1"):
            chance_cosine(0, 5, 5, rng=np.random.default_rng(0))


class TestEffectiveDimension:
    @pytest.mark.parametrize(
        ("variances", "ratio", "rank"),
        [
            ([1.0, 1.0, 1.0, 0.0], 3.0, 3),
            ([4.0, 0.0, 0.0, 0.0], 1.0, 1),
            ([3.0, 1.0, 0.0, 0.0], 1.6, 2),
            ([1.0, 1.1e-4, 0.0, 0.0], 1.0002, 2),
            ([1.0, 0.9e-4, 0.0, 0.0], 1.0002, 1),
            ([0.0, 0.0, 0.0, 0.0], 0.0, 0),
        ],
    )
    def test_by_hand(self, variances, ratio, rank):
        turn = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
        measured = effective_dimension(turn @ np.diag(variances) @ turn.T)
        assert measured.participation_ratio == pytest.approx(ratio, rel=1e-3)
        assert measured.rank == rank
