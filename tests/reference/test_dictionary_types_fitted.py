"""The types ``ica``, ``nmf`` and ``minibatch-dictionary-learning`` against other libraries."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.spectrum import unit_rows_or_random
from auscult.measures.matching import matched_cosine
from auscult.store.source import ArraySource
from auscult.testing.dictionaries import planted, recovered

RNG = np.random.default_rng(0)
MIXING = RNG.standard_normal((5, 6))
SKEWED = RNG.exponential(size=(4000, 5)) @ MIXING + 3.0
PARTS = RNG.exponential(size=(6, 12)) * (RNG.random((6, 12)) < 0.4)
ADDED = RNG.exponential(size=(2000, 6)) * (RNG.random((2000, 6)) < 0.4) @ PARTS


def fitted(values, **section):
    source = values if isinstance(values, ArraySource) else ArraySource(values)
    cls, params = DICTIONARIES.parse(section, "here")
    dictionary = cls.build(params, source.d_in, 0, source.statistics)
    dictionary.fit_from(source, np.random.default_rng(0))
    return dictionary


class TestIca:
    def test_it_finds_what_was_mixed(self):
        dictionary = fitted(SKEWED, type="ica", n_features=5)
        assert dictionary.converged
        # Exponential sources are skewed to the right, so that signs are found as well.
        assert matched_cosine(dictionary.atoms.numpy(), MIXING) > 0.99

    def test_it_finds_what_scikit_learn_finds_by_whitening_itself(self):
        from sklearn.decomposition import FastICA

        theirs = FastICA(5, whiten="unit-variance", random_state=3).fit(SKEWED).mixing_.T
        ours = fitted(SKEWED, type="ica", n_features=5).atoms.numpy()
        assert matched_cosine(ours, theirs, signed=True) > 0.999

    def test_principal_components_do_not_find_it(self):
        dictionary = fitted(SKEWED, type="pca", n_features=5)
        assert matched_cosine(dictionary.atoms.numpy(), MIXING, signed=True) < 0.9

    def test_all_components_rebuild_the_vectors(self):
        x = torch.from_numpy(SKEWED).float()
        assert_close(fitted(SKEWED, type="ica", n_features=6)(x), x, rtol=0, atol=1e-3)

    def test_activations_are_uncorrelated_and_ordered_by_variance(self):
        acts = fitted(SKEWED, type="ica", n_features=5).encode(torch.from_numpy(SKEWED)).numpy()
        covariance = np.cov(acts.T)
        assert np.abs(np.corrcoef(acts.T) - np.eye(5)).max() < 1e-3
        assert (np.diff(np.diagonal(covariance)) < 0).all()

    def test_beyond_the_rank_principal_directions_fill_up(self):
        dictionary = fitted(SKEWED, type="ica", n_features=6)
        outside = np.linalg.svd(MIXING)[2][5]
        assert abs(dictionary.atoms[5].numpy() @ outside) == pytest.approx(1.0, abs=1e-4)

    def test_without_centring_it_centres_itself(self):
        plain = fitted(SKEWED, type="ica", n_features=5, centre=False, scale=False)
        assert matched_cosine(plain.atoms.numpy(), MIXING) > 0.99

    def test_that_it_did_not_converge_is_told(self):
        assert not fitted(SKEWED, type="ica", n_features=5, max_iterations=1).converged

    def test_more_components_than_dimensions_are_refused(self):
        with pytest.raises(ConfigError, match="at most 6 independent components"):
            fitted(SKEWED, type="ica", n_features=7)


class TestNmf:
    def test_it_finds_the_parts(self):
        dictionary = fitted(ADDED, type="nmf", n_features=6)
        assert recovered(dictionary.atoms.numpy(), unit(PARTS)) > 0.98

    def test_principal_components_do_not_find_them(self):
        dictionary = fitted(ADDED, type="pca", n_features=6)
        assert recovered(dictionary.atoms.numpy(), unit(PARTS)) < 0.9

    def test_parts_of_vectors_without_negative_entries_have_none(self):
        assert float(fitted(ADDED, type="nmf", n_features=6).atoms.min()) >= 0.0

    def test_signed_vectors_are_factorised_as_well(self):
        signed = ADDED * np.where(np.arange(12) < 6, 1.0, -1.0)
        dictionary = fitted(signed, type="nmf", n_features=6)
        turned = unit(PARTS) * np.where(np.arange(12) < 6, 1.0, -1.0)
        assert recovered(dictionary.atoms.numpy(), turned) > 0.98

    def test_activations_are_the_best_that_are_not_negative(self):
        from scipy.optimize import nnls

        dictionary = fitted(ADDED, type="nmf", n_features=6, scale=False).double()
        x = ADDED[:20] + 0.1
        expected = np.stack([nnls(dictionary.atoms.numpy().T, row)[0] for row in x])
        assert_close(dictionary.encode(torch.from_numpy(x)).numpy(), expected, rtol=0, atol=1e-6)


class TestMiniBatchDictionaryLearning:
    SECTION = {"type": "minibatch-dictionary-learning", "n_features": 24, "k": 1}

    def test_it_finds_planted_atoms(self):
        source, atoms = planted(1500, n_active=1)
        assert recovered(fitted(source, **self.SECTION).atoms.numpy(), atoms) > 0.95

    def test_it_encodes_as_scikit_learn_does(self):
        from sklearn.decomposition import SparseCoder

        source, _ = planted(300, n_active=2)
        dictionary = fitted(source, **self.SECTION | {"k": 3}).double()
        vectors = dictionary.preprocess(torch.from_numpy(source.rows(np.arange(50))).double())
        theirs = SparseCoder(
            dictionary.atoms.numpy(), transform_algorithm="omp", transform_n_nonzero_coefs=3
        ).transform(vectors.numpy())
        assert_close(dictionary.activate(vectors).numpy(), theirs, rtol=0, atol=1e-6)


class TestUnitRows:
    def test_a_row_of_nothing_becomes_a_random_direction(self):
        rows = unit_rows_or_random(np.array([[3.0, 4.0], [0.0, 0.0]]), np.random.default_rng(0))
        assert rows[0].tolist() == pytest.approx([0.6, 0.8])
        assert np.linalg.norm(rows[1]) == pytest.approx(1.0)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
