"""What the analyses of archetypes are made of: order, nearness, likeness, nulls."""

import numpy as np
import pytest

from auscult.dictionaries.metrics import evaluate
from auscult.measures import fragment_alignment, null_dictionaries, transitions
from auscult.measures.matching import matched_cosine
from auscult.store.source import ArraySource


def rng(seed=0):
    return np.random.default_rng(seed)


class TestTransitions:
    def test_blocks_are_unbroken_and_spread_over_all_rows(self):
        rows = transitions.spread_blocks(1000, 30, 10)
        assert rows.tolist() == [*range(10), *range(495, 505), *range(990, 1000)]

    def test_few_rows_are_all_taken(self):
        assert transitions.spread_blocks(5, 30, 10).tolist() == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("frames", "apart", "step", "pairs"),
        [
            ([0, 1, 2, 3], 1, 1, [(0, 1), (2, 3)]),
            ([0, 2, 3, 4], 1, 1, [(2, 3)]),
            ([0, 2, 4, 6], 2, 2, [(0, 1), (2, 3)]),
            ([0, 1, 2, 9], 2, 1, []),
        ],
    )
    def test_successors_lie_in_one_clip_and_one_stretch(self, frames, apart, step, pairs):
        clips = np.array([0, 0, 1, 1])
        first, later = transitions.successive(clips, np.array(frames), apart, step)
        assert list(zip(first.tolist(), later.tolist(), strict=True)) == pairs

    def test_counts_by_hand(self):
        labels, clips = np.array([0, 1, 0, -1, 1, 1]), np.zeros(6, dtype=np.int64)
        pairs = transitions.successive(clips, np.arange(6), 1)
        found = transitions.measure_transitions(labels, pairs, clips, 2, rng())
        assert found.counts.tolist() == [[0, 1], [1, 1]]
        assert found.probability.tolist() == [[0.0, 1.0], [0.5, 0.5]]

    def test_shuffling_stays_within_recordings(self):
        labels = np.repeat([0, 1], 50)
        pairs = transitions.successive(labels, np.tile(np.arange(50), 2), 1)
        found = transitions.measure_transitions(labels, pairs, labels, 2, rng())
        # Each recording has one label only: no shuffle within it can part them.
        assert found.shuffled.tolist() == [[49.0, 0.0], [0.0, 49.0]]

    def test_an_alternating_order_is_certain_and_its_shuffle_is_not(self):
        labels, one = np.tile([0, 1], 200), np.zeros(400, dtype=np.int64)
        pairs = transitions.successive(one, np.arange(400), 1)
        found = transitions.measure_transitions(labels, pairs, one, 2, rng())
        assert found.predictability == pytest.approx(1.0)
        assert found.shuffled_predictability < 0.02
        assert found.log_ratio[0, 1] > 0.9
        assert found.log_ratio[0, 0] < -5

    def test_independence_has_the_information_of_its_definition(self):
        counts = np.array([[30, 10], [20, 40]])
        joint = counts / 100
        information = sum(
            joint[i, j] * np.log2(joint[i, j] / joint[i].sum() / joint[:, j].sum())
            for i in range(2)
            for j in range(2)
        )
        entropy = -sum(p * np.log2(p) for p in (0.5, 0.5))
        assert transitions.predictability(counts) == pytest.approx(information / entropy)


class TestNeighbourhood:
    def around(self, apart=1.0):
        angles = np.radians([0, 10, 20, 90, 5])
        vectors = 3.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        names = np.array(["a", "a", "a", "b", "b"])
        frames = np.array([0, 1, 9, 0, 9])
        return fragment_alignment.Neighbourhood.of(vectors, names, frames, apart)

    def test_the_closest_come_first_with_their_cosines(self):
        rows, cosines = self.around().closest(np.array([2.0, 0.0]), 3)
        assert rows.tolist() == [0, 4, 1]
        assert cosines == pytest.approx(np.cos(np.radians([0, 5, 10])))

    def test_generators_that_share_samples_count_once(self):
        assert self.around(apart=2.0).closest(np.array([1.0, 0.0]), 3)[0].tolist() == [0, 4, 2]

    def test_many_vectors_are_searched_in_full(self):
        vectors = rng().standard_normal((20_000, 5))
        around = fragment_alignment.Neighbourhood.of(
            vectors, np.array(["a"] * 20_000), np.arange(20_000), 1.0
        )
        direction = rng(1).standard_normal(5)
        cosines = vectors @ direction / np.linalg.norm(vectors, axis=1) / np.linalg.norm(direction)
        assert around.closest(direction, 12)[0].tolist() == np.argsort(-cosines)[:12].tolist()

    def test_random_directions_have_the_covariance_and_the_subspace(self):
        x = rng().standard_normal((5000, 3)) * [3.0, 1.0, 0.0]
        shaped, within = fragment_alignment.random_like(x, 4000, rng(1))
        assert np.cov(shaped.T)[[0, 1], [0, 1]] == pytest.approx([9.0, 1.0], rel=0.1)
        assert np.abs(shaped[:, 2]).max() < 1e-6
        assert np.abs(within[:, 2]).max() < 1e-6
        assert np.mean(within[:, 0] ** 2) == pytest.approx(0.5, abs=0.03)


class TestLikeness:
    def test_shifted_copies_are_alike_once_aligned(self):
        shape = np.concatenate([np.zeros(20), [-1.0, -3.0, 2.0], np.zeros(21)])
        shifts = np.array([np.roll(shape, k) for k in (-3, -1, 0, 2, 4)])
        found = fragment_alignment.fragment_likeness(shifts)
        assert found.by_trough == pytest.approx(1.0)
        assert found.by_correlation == pytest.approx(1.0)
        assert found.as_cut < 0.3

    def test_aligning_noise_by_trough_makes_it_alike(self):
        found = fragment_alignment.fragment_likeness(rng().standard_normal((400, 16)))
        assert abs(found.as_cut) < 0.01
        assert found.by_trough > 0.1

    def test_controls_have_as_many_fragments_and_the_energy(self):
        pool = rng().standard_normal((2000, 8)) * np.geomspace(0.01, 10, 2000)[:, None]
        own = 5 * rng(1).standard_normal((6, 8))
        drawn = fragment_alignment.matched_on_energy(own, pool, rng(2))
        assert np.square(drawn).sum(1) == pytest.approx(np.square(own).sum(1), rel=0.5)

    @pytest.mark.parametrize("n", [0, 1])
    def test_one_fragment_is_like_nothing(self, n):
        found = fragment_alignment.fragment_likeness(np.ones((n, 8)))
        assert np.isnan([found.as_cut, found.by_trough, found.by_correlation]).all()

    def test_the_mean_leaves_out_what_is_not_known(self):
        one = fragment_alignment.Likeness(0.5, 0.7, float("nan"))
        other = fragment_alignment.Likeness(0.1, float("nan"), float("nan"))
        found = fragment_alignment.mean_likeness([one, other])
        assert (found.as_cut, found.by_trough) == (pytest.approx(0.3), pytest.approx(0.7))
        assert np.isnan(found.by_correlation)


class TestNullDictionaries:
    def test_the_null_of_rank_lies_in_the_subspace_and_the_other_does_not(self):
        x = rng().standard_normal((500, 2)) @ rng(1).standard_normal((2, 8)) + 3.0
        found = null_dictionaries.unlearned(x, 20, 2, False, rng(2))
        axes = np.linalg.svd(x - x.mean(0))[2][:2]
        within, anywhere = (
            null_dictionaries.atoms_of(found[label]) @ axes.T
            for label in (null_dictionaries.SUBSPACE, null_dictionaries.AMBIENT)
        )
        assert np.linalg.norm(within, axis=1) == pytest.approx(1.0, abs=1e-4)
        assert np.linalg.norm(anywhere, axis=1).max() < 0.99

    def test_they_are_as_sparse_as_they_were_told(self):
        x = rng().standard_normal((300, 8))
        for one in null_dictionaries.unlearned(x, 20, 3, True, rng(2)).values():
            assert evaluate(one, ArraySource(x)).l0 <= 3

    def test_learning_from_nothing_agrees_more_than_chance(self):
        x = rng().standard_normal((2000, 4))
        one, other = (null_dictionaries.gaussian_centres(x, 12, rng(seed)) for seed in (1, 2))
        random = rng(3).standard_normal((2, 12, 4))
        assert matched_cosine(one, other) > matched_cosine(*random) + 0.05
