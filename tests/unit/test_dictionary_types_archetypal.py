"""The type ``archetypal``."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import UserError
from auscult.dictionaries.archetypal import on_simplex
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.measures.matching import matched_cosine
from auscult.store.source import ArraySource
from auscult.testing.dictionaries import planted

SOURCE, _ = planted(1000, n_active=2)
X = torch.from_numpy(SOURCE.rows(np.arange(1000)))
SETTINGS = TrainSettings(steps=60, batch=128, lr=2e-2, warm_up=5)


def built(source=SOURCE, seed=0, **section):
    section = {"type": "archetypal", "n_features": 12, "n_candidates": 40, "k": 2, **section}
    if section["type"] != "archetypal":
        del section["n_candidates"]
    cls, params = DICTIONARIES.parse(section, "here")
    return cls.build(params, source.d_in, seed, source.statistics)


def trained(folder, source=SOURCE, seed=0, **section):
    job = TrainingJob(built(source, seed, **section), "it", seed)
    return train([job], source, SETTINGS, folder)[0]


class TestSimplex:
    @pytest.mark.parametrize(
        ("row", "nearest"),
        [
            ([0.5, 0.8], [0.35, 0.65]),
            ([2.0, 0.0], [1.0, 0.0]),
            ([-1.0, -1.0], [0.5, 0.5]),
            ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
            ([1.0, 1.0, -5.0], [0.5, 0.5, 0.0]),
        ],
    )
    def test_the_nearest_mixture_by_hand(self, row, nearest):
        assert_close(on_simplex(torch.tensor([row])), torch.tensor([nearest]))

    def test_no_other_mixture_is_nearer(self):
        rng = np.random.default_rng(0)
        rows = torch.from_numpy(rng.standard_normal((50, 6)))
        others = torch.from_numpy(rng.dirichlet(np.full(6, 0.3), 2000))
        distance = (on_simplex(rows) - rows).norm(dim=1)
        assert bool((torch.cdist(rows, others).amin(1) >= distance - 1e-12).all())


class TestBonds:
    @pytest.mark.parametrize("relaxation", [0.0, 0.1, 1.0])
    def test_after_training_they_hold(self, relaxation, tmp_path):
        dictionary = trained(tmp_path, relaxation=relaxation)
        assert bool((dictionary.mixture >= 0).all())
        assert_close(dictionary.mixture.sum(1), torch.ones(12), rtol=0, atol=1e-5)
        assert float(dictionary.deviation.norm(dim=1).max()) <= relaxation * (1 + 1e-6)
        mixed = dictionary.mixture @ dictionary.candidates + dictionary.deviation
        assert_close(dictionary.atoms, dictionary.log_scale.exp() * mixed)

    def test_a_small_relaxation_is_used_up(self, tmp_path):
        dictionary = trained(tmp_path, relaxation=0.1)
        assert float(dictionary.deviation.norm(dim=1).max()) == pytest.approx(0.1, rel=1e-4)

    def test_a_deviation_within_the_relaxation_is_left_as_it_is(self):
        dictionary = built(relaxation=1.0)
        with torch.no_grad():
            dictionary.deviation[0, 0], dictionary.deviation[1, 0] = 0.3, 4.0
        dictionary.after_step()
        assert_close(dictionary.deviation[:2, 0].detach(), torch.tensor([0.3, 1.0]))

    def test_training_mixes(self, tmp_path):
        assert float((trained(tmp_path).mixture > 0).sum(1).float().mean()) > 1.5


class TestCandidates:
    def test_a_sample_is_of_training_vectors(self):
        dictionary = built(candidates="sample")
        dictionary.prepare(SOURCE, np.random.default_rng(0))
        distances = torch.cdist(dictionary.candidates, dictionary.preprocess(X))
        assert float(distances.amin(1).max()) < 1e-3
        assert len(set(distances.argmin(1).tolist())) == 40

    def test_they_are_chosen_from_what_is_read_and_not_from_targets(self, tmp_path):
        targets = ArraySource(SOURCE.rows(np.arange(1000)) + 50.0)
        dictionary = built(candidates="sample")
        settings = TrainSettings(steps=2, batch=64)
        train([TrainingJob(dictionary, "a")], SOURCE, settings, tmp_path, targets=targets)
        distances = torch.cdist(dictionary.candidates, dictionary.preprocess(X))
        assert float(distances.amin(1).max()) < 1e-3

    def test_each_atom_starts_as_one_of_them(self):
        dictionary = built()
        dictionary.prepare(SOURCE, np.random.default_rng(0))
        distances = torch.cdist(dictionary.atoms.detach(), dictionary.candidates)
        assert float(distances.amin(1).max()) < 1e-3
        assert len(set(distances.argmin(1).tolist())) == 12

    def test_a_resumed_training_has_those_of_the_first(self, tmp_path):
        first, again = trained(tmp_path), trained(tmp_path)
        assert torch.equal(first.candidates, again.candidates)
        assert torch.equal(first.encode(X), again.encode(X))

    def test_without_them_it_does_not_encode(self):
        with pytest.raises(UserError, match="not been fitted"):
            built().encode(X)


def test_seeds_agree_more_than_those_of_free_atoms_where_nothing_is_planted(tmp_path):
    rng = np.random.default_rng(0)
    shaped = ArraySource(rng.laplace(size=(2000, 8)) @ rng.standard_normal((8, 8)))
    bound, free = (
        [
            trained(tmp_path / f"{name} {seed}", shaped, seed, n_features=24, **section)
            for seed in (0, 1)
        ]
        for name, section in {
            "bound": {"relaxation": 0.0, "n_candidates": 24},
            "free": {"type": "topk"},
        }.items()
    )
    agree = [matched_cosine(*(each.atoms.numpy() for each in pair)) for pair in (bound, free)]
    assert agree[0] > agree[1] + 0.05
