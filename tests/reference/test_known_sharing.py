"""Overlaps, trees and ablations whose answer is known."""

from itertools import combinations

import numpy as np
import pytest

from auscult.core.errors import NothingToMeasureError
from auscult.measures.ablation import (
    Outcome,
    effect,
    lower_share,
    matched,
    next_indices,
    self_minus_cross,
)
from auscult.measures.acoustics import class_distances, clip_spectra
from auscult.measures.firing import ClipFiring
from auscult.measures.sharing import branches, mantel, overlap_chances, shared, tree
from auscult.taps.neurons import NeuronLayer


def members(*sets, n=12):
    found = np.zeros((n, len(sets)), dtype=bool)
    for column, one in enumerate(sets):
        found[list(one), column] = True
    return found


def test_the_ratio_is_shared_over_all():
    one = members({0, 1, 2}, {1, 2, 3, 4}, set())
    found = shared(one, one, np.zeros(12, int))
    assert found.jaccard[0, 1] == pytest.approx(2 / 5)
    assert found.jaccard[0, 0] == 1
    assert found.jaccard[0, 2] == 0
    assert np.isnan(found.jaccard[2, 2])


def test_chance_is_that_of_every_pair_of_sets():
    # All subsets of 2 against all of 3, of 6.
    pairs = [
        len(set(a) & set(b)) / len(set(a) | set(b))
        for a in combinations(range(6), 2)
        for b in combinations(range(6), 3)
    ]
    found = shared(members({0, 1}, n=6), members({0, 1, 2}, n=6), np.zeros(6, int))
    assert found.anywhere[0, 0] == pytest.approx(np.mean(pairs))
    assert found.p_anywhere[0, 0] == pytest.approx(np.mean(np.array(pairs) >= 2 / 3))


def test_chance_within_layers_is_that_of_draws_layer_by_layer():
    rng = np.random.default_rng(0)
    layer_of = np.repeat([0, 1], [4, 8])
    draws = []
    for _ in range(20_000):
        a = {*rng.permutation(4)[:2].tolist(), *(4 + rng.permutation(8)[:1]).tolist()}
        b = {*rng.permutation(4)[:3].tolist(), *(4 + rng.permutation(8)[:2]).tolist()}
        draws.append(len(a & b))
    chances = overlap_chances(np.array([4, 8]), np.array([2, 1]), np.array([3, 2]))
    np.testing.assert_allclose(chances, np.bincount(draws) / len(draws), atol=0.015)
    found = shared(members({0, 1, 4}), members({0, 1, 2, 4, 5}), layer_of)
    assert found.within[0, 0] > found.anywhere[0, 0]


def test_sets_that_share_more_than_their_layers_explain_stand_out():
    layer_of = np.repeat([0, 1], [100, 100])
    one = members({*range(10)}, {*range(5, 15)}, {*range(100, 110)}, n=200)
    found = shared(one, one, layer_of)
    assert found.p_within[0, 1] < 0.001
    assert found.p_within[0, 2] == 1


def test_matrices_that_agree_correlate_and_classes_in_another_order_do_not():
    rng = np.random.default_rng(1)
    distance = np.abs(rng.random(9)[:, None] - rng.random(9)[None])
    distance = distance + distance.T
    assert mantel(distance, distance**3, rng, 200).correlation == pytest.approx(1)
    assert mantel(distance, distance**3, rng, 200).p_value < 0.01
    order = rng.permutation(9)
    assert mantel(distance, distance[np.ix_(order, order)], rng, 200).p_value > 0.05


@pytest.mark.parametrize("matrix", [np.ones((5, 5)), np.eye(3)])
def test_matrices_without_differences_are_refused(matrix):
    with pytest.raises(NothingToMeasureError):
        mantel(matrix, matrix, np.random.default_rng(0))


FAMILIES = np.array(
    [[1, 0.8, 0.1, 0.1], [0.8, 1, 0.1, 0.1], [0.1, 0.1, 1, 0.6], [0.1, 0.1, 0.6, 1]]
)


def test_families_are_joined_and_stand_again():
    rng = np.random.default_rng(2)

    def again(draws):
        noise = draws.normal(0, 0.05, (4, 4))
        return FAMILIES + noise + noise.T

    found = tree(FAMILIES, again, rng, 50)
    assert found.clades[:2] == (frozenset({0, 1}), frozenset({2, 3}))
    assert found.support.min() > 0.9


def test_joins_of_noise_do_not_stand_again():
    def again(draws):
        noise = draws.random((6, 6))
        return (noise + noise.T) / 2

    rng = np.random.default_rng(3)
    assert tree(again(rng), again, rng, 60).support[:-1].mean() < 0.35


def test_a_tree_is_drawn_with_its_names_and_heights():
    found = tree(FAMILIES, lambda _: FAMILIES, np.random.default_rng(4), 10)
    lines = branches(found, ["de", "en", "es", "fr"])
    x, y, told = lines[0]
    assert told == "de + en (100%)"
    np.testing.assert_allclose(y, [0, 0.2, 0.2, 0])
    assert abs(x[3] - x[0]) == 1


def test_tones_of_other_frequencies_sound_farther_apart_than_louder_ones():
    time = np.arange(8000) / 8000
    sounds = [np.sin(2 * np.pi * 300 * time), 0.3 * np.sin(2 * np.pi * 300 * time),
              np.sin(2 * np.pi * 2000 * time)]  # fmt: skip
    waves = np.array(sounds, dtype=np.float32)[:, None]
    spectra = clip_spectra(waves, 8000, (8000,) * 3)
    found = class_distances(spectra, np.arange(3), 3)
    assert found[0, 1] < found[0, 2] / 3
    np.testing.assert_allclose(np.diag(found), 0)


def rows(layers=(50, 70), n_clips=6, seed=0):
    rng = np.random.default_rng(seed)
    width = sum(layers)
    return ClipFiring(
        tuple(NeuronLayer(f"tap{i}", n) for i, n in enumerate(layers)),
        np.array([f"c{i}" for i in range(n_clips)]),
        np.array([f"c{i}" for i in range(n_clips)]),
        rng.integers(0, 100, (1, width)).repeat(n_clips, 0).astype(np.uint32),
        np.zeros((n_clips, width), np.float32),
        np.full((n_clips, len(layers)), 100),
    )


def test_matched_sets_have_the_layers_and_rates_of_their_own():
    table, rng = rows(), np.random.default_rng(5)
    neurons = np.array([3, 11, 60, 90, 110])
    drawn = [matched(neurons, table, rng) for _ in range(30)]
    for one in drawn:
        assert not np.isin(one, neurons).any()
        assert len(set(one.tolist())) == 5
        assert np.bincount(table.layer_of[one]).tolist() == [2, 3]
    off = np.mean([table.rate[one].mean() for one in drawn]) - table.rate[neurons].mean()
    assert abs(off) < 0.05
    assert len({tuple(one) for one in drawn}) > 20


def test_a_layer_that_is_taken_whole_has_nothing_to_match():
    assert len(matched(np.arange(50), rows(), np.random.default_rng(6))) == 0


def test_the_published_control_is_one_set_of_neighbours_within_their_layers():
    assert next_indices(np.array([3, 49, 119]), rows()).tolist() == [0, 4, 50]


def test_effects_are_counted_class_by_class():
    labels = np.array([0] * 10 + [1] * 10)
    before = Outcome(np.ones(20, bool), np.full(20, -0.1))
    right = np.ones(20, bool)
    right[:6] = False
    after = Outcome(right, np.r_[np.full(10, -1.1), np.full(10, -0.1)])
    found = effect(before, after, labels, 3)
    np.testing.assert_allclose(found.accuracy, [-60, 0, np.nan])
    np.testing.assert_allclose(found.log_p, [-1, 0, np.nan])
    assert found.p_values[0] == pytest.approx(2 * 0.5**6)
    assert found.p_values[1] == 1
    assert self_minus_cross(found.log_p, 0) == pytest.approx(-1)


def test_the_published_change_of_four_clips_is_within_chance():
    # Anger: four of 265 turn wrong, its control one.
    before, after = np.ones(265, bool), np.ones(265, bool)
    after[:4] = False
    zero = np.zeros(265, int)
    found = effect(Outcome(before, np.zeros(265)), Outcome(after, np.zeros(265)), zero, 1)
    assert found.accuracy[0] == pytest.approx(-1.51, abs=0.005)
    assert found.p_values[0] == pytest.approx(0.125)


def test_a_value_counts_among_its_own_null():
    assert lower_share(-1.0, np.zeros(99)) == 0.01
    assert lower_share(0.0, np.zeros(99)) == 1
