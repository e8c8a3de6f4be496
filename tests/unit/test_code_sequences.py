"""Entropies of known chains, surrogates that keep every transition, and a codec whose codes are told."""

from collections import Counter
from itertools import pairwise, permutations
from math import log

import numpy as np
import pytest
import soundfile

from auscult.analyses.code_sequences import CodeSequences
from auscult.blocks import ClipGrid, Curve, Heatmap, Table
from auscult.core.errors import NothingToMeasureError
from auscult.measures.code_sequences import (
    commonest,
    entropy_bits,
    order_of,
    order_one_surrogate,
    pair_share,
    shuffled,
    told_interval,
)
from auscult.testing.studies import answer
from tests.contract.own_codecs import HOP, RATE
from tests.reference.test_known_codes import spec


def rng(seed=0):
    return np.random.default_rng(seed)


def plain(counts):
    p = counts / counts.sum()
    return float(-(p[p > 0] * np.log2(p[p > 0])).sum())


def chain(n, draw, stay=0.7, m=5):
    """One step up with a given probability, else any: its entropies are known."""
    codes = [int(draw.integers(m))]
    for _ in range(n - 1):
        up = draw.random() < stay
        codes.append((codes[-1] + 1) % m if up else int(draw.integers(m)))
    return np.array(codes)


def entropy_of_step(stay=0.7, m=5):
    rest = (1 - stay) / m
    return -(stay + rest) * np.log2(stay + rest) - (m - 1) * rest * np.log2(rest)


@pytest.mark.parametrize(
    "counts", [[5, 3, 2, 2, 1, 1, 1], [4, 3, 1, 1], [2, 2, 2], [1, 1, 1, 1, 2]]
)
def test_the_estimate_is_the_published_sum(counts):
    """Chao, Wang and Jost 2013, eq. 7, term by term."""
    n, once, twice = sum(counts), counts.count(1), counts.count(2)
    found = sum(c / n * sum(1 / k for k in range(c, n)) for c in counts)
    if once:
        a = 2 * twice / ((n - 1) * once + 2 * twice) if twice else 2 / ((n - 1) * (once - 1) + 2)
        inner = -log(a) - sum((1 - a) ** r / r for r in range(1, n))
        found += once / n * (1 - a) ** (1 - n) * inner
    assert entropy_bits(np.array(counts)) == pytest.approx(found / log(2), rel=1e-9)


def test_few_draws_of_many_things_are_not_taken_for_few_things():
    draws = [np.bincount(rng(seed).integers(0, 64, 100)) for seed in range(40)]
    assert np.mean([plain(one) for one in draws]) < 5.5
    assert np.mean([entropy_bits(one) for one in draws]) == pytest.approx(6, abs=0.1)


def test_many_draws_need_no_correction():
    counts = np.bincount(rng().integers(0, 8, 50_000))
    assert entropy_bits(counts) == pytest.approx(plain(counts), abs=1e-3)
    assert entropy_bits(np.array([7])) == 0
    assert entropy_bits(np.array([], int)) == 0


def test_everything_seen_once_is_finite():
    assert 10 < entropy_bits(np.ones(3000, int)) < 40


def test_the_entropies_of_a_chain_are_those_of_its_steps():
    found = order_of([chain(4000, rng(s)) for s in range(5)], 5)
    assert found.alone == pytest.approx(np.log2(5), abs=0.01)
    assert found.after_one == pytest.approx(entropy_of_step(), abs=0.02)
    assert found.after_two == pytest.approx(entropy_of_step(), abs=0.02)
    assert found.told_more == pytest.approx(0, abs=0.01)
    assert found.n == 20_000


def test_order_that_is_not_there_is_not_told_in_a_large_codebook():
    """Counted plainly, the code before would seem to remove a third."""
    codes = [rng(s).integers(0, 128, 400) for s in range(10)]
    pairs = np.concatenate([one[:-1] * 128 + one[1:] for one in codes])
    told = 1 - (plain(np.bincount(pairs)) - 7) / 7
    assert told > 0.25
    assert order_of(codes, 128).told == pytest.approx(0, abs=0.05)


def two_steps(n, draw, m=5):
    codes = [0, 1]
    for _ in range(n):
        codes.append((codes[-1] + codes[-2]) % m if draw.random() < 0.8 else int(draw.integers(m)))
    return np.array(codes)


def test_what_follows_from_two_steps_back_is_gone_in_the_surrogate():
    codes = [two_steps(2000, rng(s)) for s in range(4)]
    again = [order_one_surrogate(one, rng(s)) for s, one in enumerate(codes)]
    assert order_of(codes, 5).told_more > 0.4
    assert order_of(again, 5).told_more == pytest.approx(0, abs=0.03)
    assert order_of(again, 5).after_one == order_of(codes, 5).after_one


@pytest.mark.parametrize("seed", range(6))
def test_the_surrogate_has_the_same_transitions_and_ends(seed):
    codes = chain(60, rng(seed), m=7) * 3
    again = order_one_surrogate(codes, rng(seed))
    assert Counter(pairwise(again.tolist())) == Counter(pairwise(codes.tolist()))
    assert (again[0], again[-1]) == (codes[0], codes[-1])
    assert not np.array_equal(again, codes)


def test_every_order_of_the_same_transitions_is_as_likely():
    codes = np.array([0, 1, 0, 2, 1, 0, 1, 2])
    wanted = Counter(pairwise(codes.tolist()))
    every = {
        (0, *middle, 2)
        for middle in set(permutations(codes[1:-1].tolist()))
        if Counter(pairwise((0, *middle, 2))) == wanted
    }
    drawn = Counter(
        tuple(order_one_surrogate(codes, rng(seed)).tolist()) for seed in range(200 * len(every))
    )
    assert set(drawn) == every and len(every) >= 4
    assert min(drawn.values()) > 145 and max(drawn.values()) < 255


def test_shuffling_keeps_the_codes_of_a_recording():
    codes = chain(50, rng())
    assert sorted(shuffled(codes, rng())) == sorted(codes)


def test_the_commonest_transitions_are_counted():
    found = commonest([np.array([0, 1, 0, 1, 1]), np.array([2, 0, 1])], 3, 2)
    assert (found.before[0], found.after[0]) == (0, 1)
    assert found.share == pytest.approx([3 / 6, 1 / 6])
    assert found.repeats == pytest.approx(1 / 6)
    assert found.covered == pytest.approx(4 / 6)
    assert pair_share([np.array([0, 1, 0, 1])], 3, np.array([0, 2]), np.array([1, 1])) == (
        pytest.approx([2 / 3, 0])
    )


def test_the_jackknife_holds_the_truth_about_as_often_as_it_says():
    truth = (np.log2(5) - entropy_of_step()) / np.log2(5)
    held = 0
    for seed in range(12):
        codes = [chain(150, rng([seed, one])) for one in range(10)]
        low, high = told_interval(codes, [str(i) for i in range(10)], 5)
        assert 0.03 < high - low < 0.2
        held += low < truth < high
    assert held >= 10


def test_two_recordings_have_no_interval_and_two_codes_no_order():
    codes = [chain(50, rng(s)) for s in range(4)]
    assert told_interval(codes, ["a", "a", "b", "b"], 5) is None
    with pytest.raises(NothingToMeasureError, match="three codes"):
        order_of([np.array([0, 1])], 2)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Ten recordings whose codes are a chain, of which one ends in silence."""
    folder = tmp_path_factory.mktemp("steps")
    for number in range(10):
        codes = chain(200, rng(number))
        wave = np.repeat((codes + 0.5) / 2.5 - 1, HOP) + 1e-3 * rng(number).standard_normal(
            200 * HOP
        )
        wave[np.abs(wave) < 2e-2] += 0.1  # the middle fifth must not be silent
        if number == 0:
            wave[120 * HOP :] = 0
        soundfile.write(folder / f"{number}.wav", wave, RATE, "PCM_24")
    section = spec("steps")
    section["model"]["weights_argument"] = "random"
    section["sounds"] = {"type": "folder", "path": str(folder), "clip_seconds": 2.0}
    return answer(section, folder / "run", "code-sequences", repeats=3)


def test_the_order_of_planted_codes_is_found_and_no_more(told):
    first, further = told.judgements
    truth = (np.log2(5) - entropy_of_step()) / np.log2(5)
    assert (first.verdict, further.verdict) == ("holds", "does not hold")
    assert first.measurement.value == pytest.approx(truth, abs=0.04)
    assert first.measurement.interval[0] < truth < first.measurement.interval[1]
    assert max(map(abs, first.measurement.controls.values())) < 0.05
    numbers = {one.name: one for one in told.measurements}
    given = numbers["entropy of a code, given the one before"]
    assert given.value == pytest.approx(entropy_of_step(), abs=0.08)
    assert given.controls["order shuffled within clips"] == pytest.approx(np.log2(5), abs=0.05)
    beyond = numbers["entropy of a code, given the two before"]
    assert beyond.controls["another order of the same transitions"] == pytest.approx(
        entropy_of_step(), abs=0.12
    )
    stays = numbers["share of transitions at which the code stays"]
    assert stays.value == pytest.approx(0.06, abs=0.02)
    # A silent end would be one code, over and over.
    assert stays.controls["order shuffled within clips"] == pytest.approx(0.2, abs=0.03)


def test_transitions_are_shown_beside_the_shuffled_order_and_can_be_heard(told):
    blocks = CodeSequences().view(told)
    (entropies,) = [one for one in blocks if isinstance(one, Curve)]
    assert [one.control for one in entropies.series] == [False] * 3 + [True] * 2
    (matrix,) = [one for one in blocks if isinstance(one, Heatmap)]
    up = [
        matrix.values[matrix.y_names.index(str(a)), matrix.x_names.index(str((a + 1) % 5))]
        for a in range(5)
    ]
    assert min(up) > 1.5
    assert np.sort(matrix.values.ravel())[:20].max() < 0
    (table,) = [one for one in blocks if isinstance(one, Table)]
    assert {(row[0] + 1) % 5 == row[1] for row in table.rows[:5]} == {True}
    (grid,) = [one for one in blocks if isinstance(one, ClipGrid)]
    assert len(grid.clips) == 12
    for one in grid.clips:
        change, place = one.label.split(" at ")
        before, after = map(int, change.split(" → "))
        at, name = place.split(" s of ")
        codes = chain(200, rng(int(name.partition(".")[0])))
        # Two decimals of a second and a hop of 10 ms.
        boundary = round(float(at) * RATE / HOP)
        assert (codes[boundary - 1], codes[boundary]) == (before, after)


def test_a_model_without_codes_is_told_so(tmp_path):
    section = spec("frames")
    del section["model"]["quantise"]
    result = answer(section, tmp_path, "code-sequences")
    assert {one.verdict for one in result.judgements} == {"cannot be tested here"}
    assert "tells no codes" in result.judgements[0].reason
