"""Class-specific neurons where the answer is known: by hand, by another library, or planted."""

import numpy as np
import pytest

from auscult.measures.conditional import ConditionalCounter, gathered
from auscult.measures.firing import ClipFiring, FiringPass, Heard, clip_firing
from auscult.measures.selection_nulls import (
    benjamini_hochberg,
    coverage,
    deal_labels,
    rule_under_dealing,
    significance,
)
from auscult.measures.selectors import (
    SELECTORS,
    Rule,
    by_entropy,
    entropy,
    kth_value,
    n_selected,
    scored,
    selector,
)
from auscult.taps.neurons import NeuronLayer, neuron_taps
from auscult.testing.planted_neurons import planted_clips, planted_model

PLANTED_SHARE = 48 / 400


def table_of(rates, means=None, n_tokens=1000):
    """A table whose neurons are on at these shares of the tokens of each clip."""
    rates = np.asarray(rates, dtype=np.float64)
    names = np.array([f"clip-{i}" for i in range(len(rates))])
    return ClipFiring(
        (NeuronLayer("tap", rates.shape[1]),),
        names,
        names,
        np.rint(rates * n_tokens).astype(np.uint32),
        np.asarray(rates if means is None else means, dtype=np.float32),
        np.full((len(rates), 1), n_tokens),
    )


# Three neurons, three classes: on in one class alone, on alike in all, on in two of them.
BY_HAND = np.array([[0.8, 0.0, 0.0], [0.5, 0.5, 0.5], [0.6, 0.3, 0.0]])


def test_the_entropy_of_three_neurons_is_that_of_the_hand():
    two_thirds = -(2 / 3) * np.log(2 / 3) - (1 / 3) * np.log(1 / 3)
    np.testing.assert_allclose(entropy(BY_HAND), [0, np.log(3), two_thirds], atol=1e-12)


def test_aape_of_three_neurons_is_that_of_the_hand():
    # Nine probabilities: rank round(9 · 0.75) = 7 is 0.5, so the bar lies there.
    rule = Rule(share=2 / 3, bar=0.75, floor=0.05)
    # Largest: 0.8, 0.5, 0.6; the floor is the first, 0.5, and its neuron is out.
    found = by_entropy(BY_HAND, rule)
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 0], [1, 0, 0]])


def test_lape_of_three_neurons_is_that_of_the_hand():
    # The bar at rank round(9 · 0.9) = 8 is 0.6: only the first neuron has a class above it.
    found = by_entropy(BY_HAND, Rule(share=2 / 3, bar=0.9, floor=None))
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 0], [0, 0, 0]])


def test_a_neuron_may_belong_to_several_classes():
    found = by_entropy(BY_HAND, Rule(share=2 / 3, bar=0.5, floor=0.05))
    # The bar at rank round(9 · 0.5) = 4 is 0.3, which does not exceed itself.
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 0], [1, 0, 0]])
    found = by_entropy(BY_HAND, Rule(share=1.0, bar=0.35, floor=0.05))
    np.testing.assert_array_equal(found[2], [1, 1, 0])


def test_a_neuron_that_is_never_on_has_no_entropy_and_is_never_taken():
    silent = np.array([[0.0, 0.0], [0.2, 0.3]])
    assert entropy(silent)[0] == 0
    assert not by_entropy(silent, Rule(share=1.0, bar=0.01, floor=0.05))[0].any()


def test_the_published_counts():
    assert n_selected(0.01, 12 * 3072) == 369
    assert n_selected(0.02, 12 * 3072) == 737


def test_the_bar_is_the_value_that_torch_takes():
    import torch

    values = np.random.default_rng(0).random(997)
    for quantile in (0.05, 0.5, 0.95):
        expected = torch.from_numpy(values).kthvalue(round(997 * quantile)).values.item()
        assert kth_value(values, quantile) == expected


def test_clips_and_tokens_are_two_averages():
    # One clip of 10 tokens always on, one of 90 never: half of the clips, a tenth of the tokens.
    table = ClipFiring(
        (NeuronLayer("tap", 1),),
        np.array(["a", "b", "c"]),
        np.array(["a", "b", "c"]),
        np.array([[10], [0], [0]], dtype=np.uint32),
        np.zeros((3, 1), dtype=np.float32),
        np.array([[10], [90], [5]]),
    )
    found = gathered(table, np.array([0, 0, 1]), ["x", "y"])
    assert found.probabilities("clip")[0, 0] == pytest.approx(0.5)
    assert found.probabilities("token")[0, 0] == pytest.approx(0.1)


def test_mutual_information_agrees_with_the_counts_of_scikit_learn():
    from sklearn.metrics import mutual_info_score

    fires = np.array([1, 1, 1, 0, 0, 0, 1, 0])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    table = table_of(fires[:, None], n_tokens=1)
    found = scored(selector("mutual-information"), table, labels[None], 2)[0]
    expected = mutual_info_score(labels, fires) / np.log(2)
    assert found[0, 0] == pytest.approx(expected, abs=1e-9)
    assert found[0, 1] == pytest.approx(-expected, abs=1e-9)


def test_probe_weights_are_those_of_a_ridge_head():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(1)
    means, labels = rng.standard_normal((20, 50)), np.repeat([0, 1], 10)
    table = table_of(np.full((20, 50), 0.5), means)
    z = (means - means.mean(0)) / means.std(0)
    head = Ridge(alpha=np.trace(z @ z.T) / 20).fit(z, labels == 1)
    found = scored(selector("probe"), table, labels[None], 2)[0]
    np.testing.assert_allclose(found[:, 1], head.coef_, atol=1e-5)


def test_difference_and_margin_by_hand():
    means = np.array([[3.0], [1.0], [0.0], [3.0], [1.0], [0.0]])
    table = table_of(np.full((6, 1), 0.5), means)
    labels = np.array([0, 1, 2, 0, 1, 2])[None]
    spread = means.std()
    difference = scored(selector("mean-difference"), table, labels, 3)[0, 0]
    margin = scored(selector("margin"), table, labels, 3)[0, 0]
    np.testing.assert_allclose(difference, [2.5 / spread, -0.5 / spread, -2 / spread], rtol=1e-5)
    np.testing.assert_allclose(margin, [2 / spread, -2 / spread, -3 / spread], rtol=1e-5)


@pytest.mark.parametrize("name", list(SELECTORS))
def test_blocks_do_not_change_a_score(name):
    rng = np.random.default_rng(2)
    table = table_of(rng.random((12, 40)))
    labels = np.repeat([0, 1, 2], 4)[None]
    one = selector(name)
    whole = scored(one, table, labels, 3)
    one.prepare(table)
    parts = [one.scores(block, labels, 3) for block in table.blocks(widest=7)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)


def test_false_discoveries_are_controlled_as_statsmodels_or_scipy_do():
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(3).random(200) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))


def test_clips_of_one_recording_keep_one_label():
    recordings = np.repeat(["a", "b", "c", "d"], 3)
    dealt = deal_labels(np.repeat([0, 0, 1, 1], 3), recordings, np.random.default_rng(4), 50)
    assert all(len(set(row[recordings == name])) == 1 for row in dealt for name in "abcd")
    assert len({tuple(row) for row in dealt}) > 3
    np.testing.assert_array_equal(dealt[0], np.repeat([0, 0, 1, 1], 3))


@pytest.fixture(scope="module")
def heard():
    model, clips = planted_model(), planted_clips()
    counting = FiringPass(model, neuron_taps(model))
    return clip_firing(counting, [clips.heard], len(clips.labels)), clips, model


@pytest.fixture(scope="module")
def dealt(heard):
    table, clips, _ = heard
    rng = np.random.default_rng(5)
    return deal_labels(clips.labels, table.recording_ids, rng, 200)


def precision_and_recall(found, truth):
    hits = int((found & truth).sum())
    return hits / max(int(found.sum()), 1), hits / int(truth.sum())


@pytest.mark.parametrize("name", list(SELECTORS))
def test_planted_neurons_are_found(name, heard):
    table, clips, model = heard
    per_class = selector(name).per_class
    rule = Rule(share=6 / 400 if per_class else PLANTED_SHARE)
    found = selector(name).members(table, clips.labels, 8, rule)
    precision, recall = precision_and_recall(found, model.module.truth())
    assert precision >= 0.95
    assert recall >= 0.95


@pytest.mark.parametrize("name", list(SELECTORS))
def test_planted_neurons_are_significant_and_others_are_not(name, heard, dealt):
    table, _, model = heard
    truth = model.module.truth()
    found = significance(selector(name), table, dealt, 8).found(0.05)
    wanted = truth if found.shape[1] > 1 else truth.any(1, keepdims=True)
    precision, recall = precision_and_recall(found, wanted)
    assert precision >= 0.95
    assert recall >= 0.95


@pytest.mark.parametrize("name", list(SELECTORS))
def test_nothing_is_found_under_dealt_labels(name, heard, dealt):
    table, _, _ = heard
    discoveries, below = [], []
    for deal in range(1, 7):
        null = np.concatenate([dealt[deal : deal + 1], np.delete(dealt, [0, deal], axis=0)])
        tested = significance(selector(name), table, null, 8)
        discoveries.append(tested.found(0.05).any())
        below.append((tested.p_values <= 0.05).mean())
    # One deal in twenty may find something; two of six do so once in thirty times.
    assert np.sum(discoveries) <= 1
    assert np.mean(below) <= 0.06


def test_the_published_rule_covers_few_classes_under_dealt_labels(heard, dealt):
    table, clips, _ = heard
    rule = Rule(share=PLANTED_SHARE)
    assert coverage(selector("aape").members(table, clips.labels, 8, rule)) == 1
    null = rule_under_dealing(selector("aape"), table, dealt[:21], 8, rule)
    assert len(null.coverage) == 20
    assert null.coverage.mean() < 0.2
    assert null.n_memberships.max() < 5


def test_streaming_gives_the_numbers_that_kept_rows_give(heard):
    table, clips, model = heard
    counting = FiringPass(model, neuron_taps(model))
    names = [str(i) for i in range(8)]
    counter = ConditionalCounter(counting, names)
    whole = clips.heard
    for start in range(0, len(clips.labels), 7):
        rows = slice(start, start + 7)
        part = Heard(
            whole.waveform[rows],
            whole.clip_ids[rows],
            whole.recording_ids[rows],
            whole.n_valid[rows],
        )
        counter.add(part, clips.labels[rows].tolist())
    streamed, kept = counter.result(), gathered(table, clips.labels, names)
    np.testing.assert_array_equal(streamed.fired, kept.fired)
    np.testing.assert_array_equal(streamed.n_tokens, kept.n_tokens)
    np.testing.assert_allclose(streamed.probabilities(), kept.probabilities(), atol=1e-9)
    np.testing.assert_allclose(streamed.means(), kept.means(), atol=1e-5)
