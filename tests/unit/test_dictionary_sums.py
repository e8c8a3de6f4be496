import numpy as np
import pytest
import torch

from auscult.dictionaries.metrics import evaluate
from auscult.dictionaries.relu import ReluDictionary
from auscult.dictionaries.sums import Sums
from auscult.measures.quality import Frames, interval_of, measure_quality
from auscult.store.source import ArraySource


def shrinking(gain=0.6):
    """A feature for each end of two axes: x̂ = gain · x."""
    dictionary = ReluDictionary(ReluDictionary.Params(n_features=4, centre=False, scale=False), 2)
    ends = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    with torch.no_grad():
        dictionary.linear.encoder.copy_(ends)
        dictionary.linear.decoder.copy_(gain * ends)
    return dictionary.eval()


def sums_of(dictionary, values, groups, batch=7):
    sums = Sums(values.mean(0, dtype=np.float64), dictionary.n_features, int(groups.max()) + 1)
    for start in range(0, len(values), batch):
        part = slice(start, start + batch)
        acts = dictionary.encode(torch.from_numpy(values[part]))
        sums.add(values[part], acts, dictionary.decode(acts), groups[part])
    return sums


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], [5, 12, 8])
    values = (rng.standard_normal((25, 2)) * np.array([1.0, 3.0]) + groups[:, None]).astype("f4")
    return values, groups


@pytest.mark.parametrize("weights", [[1, 1, 1], [0, 1, 0], [2, 0, 1], [0, 3, 1]])
@torch.no_grad()
def test_a_resampling_gives_what_the_drawn_vectors_give(vectors, weights):
    values, groups = vectors
    drawn = np.concatenate([np.tile(values[groups == g], (w, 1)) for g, w in enumerate(weights)])
    expected = evaluate(shrinking(), ArraySource(drawn))
    sums = sums_of(shrinking(), values, groups)
    found = sums.figures(np.array([weights], float))
    # What compares with the mean compares with that of the sample, not of each draw.
    for name in ("fvu", "l0", "dead_fraction", "dense_share", "cosine", "hoyer"):
        assert found[name][0] == pytest.approx(getattr(expected, name), rel=1e-6), name
    explained = sums.explained_variance(np.array([weights], float))[0]
    assert explained == pytest.approx(expected.explained_variance, rel=1e-6)


@torch.no_grad()
def test_groups_that_come_back_are_added_to():
    values = np.random.default_rng(1).standard_normal((12, 2)).astype("f4")
    groups = np.array([0, 1] * 6)
    mixed = sums_of(shrinking(), values, groups)
    order = np.argsort(groups, kind="stable")
    sorted_ = sums_of(shrinking(), values[order], groups[order])
    assert mixed.n.tolist() == [6, 6]
    assert mixed.figures()["fvu"] == pytest.approx(sorted_.figures()["fvu"])
    assert (mixed.on == sorted_.on).all()


@pytest.mark.parametrize(
    ("acts", "expected"),
    [([3.0, 0, 0, 0], 1.0), ([1.0, 1, 1, 1], 0.0), ([1.0, 1, 0, 0], 2 - 2**0.5)],
)
def test_hoyer_by_hand(acts, expected):
    sums = Sums(np.zeros(2), 4)
    sums.add(np.ones((1, 2), "f4"), torch.tensor([acts]), torch.ones(1, 2))
    assert sums.figures()["hoyer"][0] == pytest.approx(expected, abs=1e-12)


def test_hoyer_leaves_out_vectors_without_a_feature():
    sums = Sums(np.zeros(2), 4)
    acts = torch.tensor([[0.0, 0, 0, 0], [2.0, 0, 0, 0]])
    sums.add(np.ones((2, 2), "f4"), acts, torch.ones(2, 2))
    assert sums.figures()["hoyer"][0] == pytest.approx(1.0)


def frames(values, groups):
    ids = np.array([f"clip-{g}" for g in groups])
    numbers = np.concatenate([np.arange(n) for n in np.bincount(groups)])
    return Frames.of(values, ids, numbers, ids, frame_rate=50.0)


def test_quality_measures_what_evaluate_does(vectors):
    values, groups = vectors
    sample = frames(values, groups)
    quality = measure_quality(shrinking(), sample, sample.draws(np.random.default_rng(0), 100))
    expected = evaluate(shrinking(), ArraySource(values))
    assert quality.metrics.fvu == pytest.approx(expected.fvu, rel=1e-9)
    assert quality.metrics.reconstruction_bias == pytest.approx(expected.reconstruction_bias)
    assert quality.metrics.usage == pytest.approx(expected.usage)


def test_one_recording_has_no_interval():
    values = np.random.default_rng(0).standard_normal((30, 2)).astype("f4")
    sample = frames(values, np.zeros(30, int))
    quality = measure_quality(shrinking(), sample, sample.draws(np.random.default_rng(0), 100))
    assert quality.interval("fvu") is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Recordings differ in level, as sounds do: that is what a bootstrap over frames would miss.
    rng = np.random.default_rng(0)
    dictionary = shrinking()
    with torch.no_grad():
        dictionary.linear.encoder_bias.fill_(-0.5)
    inside = 0
    for _ in range(60):
        levels = np.exp(0.5 * rng.standard_normal(30))
        groups = np.repeat(np.arange(30), 20)
        values = (rng.standard_normal((600, 2)) * levels[groups, None]).astype("f4")
        sample = frames(values, groups)
        quality = measure_quality(dictionary, sample, sample.draws(rng, 300))
        low, high = quality.interval("fvu")
        inside += low <= TRUTH <= high
    assert 45 <= inside <= 60


def _truth():
    rng = np.random.default_rng(9)
    levels = np.exp(0.5 * rng.standard_normal((200_000, 1)))
    x = rng.standard_normal((200_000, 2)) * levels
    estimate = 0.6 * (np.maximum(x - 0.5, 0) - np.maximum(-x - 0.5, 0))
    return float(np.square(x - estimate).sum() / np.square(x - x.mean(0)).sum())


TRUTH = _truth()


def test_an_interval_of_hardly_any_draw_is_none():
    assert interval_of(np.array([1.0, np.nan, np.nan, np.nan])) is None
