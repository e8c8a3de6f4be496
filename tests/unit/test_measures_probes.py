"""Probes: targets, families, scores, nulls."""

import numpy as np
import pytest

from auscult.core.errors import ConfigError
from auscult.measures.probe_families import (
    Answers,
    Linear,
    LinearReadout,
    Ridge,
    Sparse,
    forward_order,
)
from auscult.measures.probe_families_curved import Hidden, Neighbours
from auscult.measures.probe_scores import score
from auscult.measures.probe_targets import Target, binned, categories
from auscult.measures.probes import (
    CONTROL_TASK,
    MAJORITY,
    SHUFFLED,
    ProbeSettings,
    control_task,
    fit_probe,
    majority,
    read,
)

FAMILIES = ["linear", "ridge", "sparse", "hidden", "neighbours"]


def planted(n=3000, d=12, n_recordings=30, seed=0):
    """Channel 3 carries a value from 0 to 1, the others noise."""
    rng = np.random.default_rng(seed)
    value = rng.random(n)
    x = rng.standard_normal((n, d)).astype(np.float32)
    x[:, 3] = 5 * value + 2
    recordings = np.sort(rng.integers(0, n_recordings, n))
    return x, binned(value, np.linspace(0, 1, 6), "s"), recordings, rng


def by_hand() -> tuple[Answers, Target, np.ndarray]:
    """Six rows of two recordings: three classes at 1, 2, 4 s and one off the scale."""
    answered = [0, 1, 2, 2, 3, 0]
    labels = np.array([0, 0, 0, 1, 3, 3])
    log_p = np.full((6, 4), np.log(0.1))
    log_p[np.arange(6), answered] = np.log(0.7)
    values = np.array([1.0, 1.2, 0.8, 2.0, np.nan, np.nan])
    centres = np.array([1.0, 2.0, 4.0, np.nan])
    estimates = np.array([1.0, 2.0, 4.0, 4.0, 1.0, 1.0])
    target = Target(labels, ("a", "b", "c", "unvoiced"), values, centres, "s")
    return Answers(log_p, estimates), target, np.array(list("xxxyyy"))


def test_what_lies_beyond_the_edges_falls_in_the_outermost_bins():
    target = binned(np.array([-9.0, 0.0, 1.0, 99.0]), np.array([0.0, 1.0, 2.0]), "s")
    assert target.labels.tolist() == [0, 0, 1, 1]


def test_a_row_without_a_value_has_a_class_of_its_own_when_it_is_named():
    target = binned(np.array([0.5, np.nan]), np.array([0.0, 1.0, 2.0]), "s", absent="unvoiced")
    assert target.labels.tolist() == [0, 2]
    assert target.names[2] == "unvoiced"
    assert np.isnan(target.centres[2])


def test_a_word_that_is_no_class_is_refused():
    with pytest.raises(ConfigError, match="'tuba' is not among the classes"):
        categories(["oboe", "tuba"], ["flute", "oboe"])


def test_scores_by_hand():
    answers, target, recordings = by_hand()
    found = score(answers, target, recordings, np.random.default_rng(0)).values
    assert found["accuracy"] == pytest.approx(2 / 6)
    assert found["balanced accuracy"] == pytest.approx((1 / 3 + 0 + 1 / 2) / 3)
    assert found["accuracy within one bin"] == pytest.approx(4 / 6)
    assert found["absolute error"] == pytest.approx((0 + 0.8 + 3.2 + 2) / 4)
    values = np.array([1.0, 1.2, 0.8, 2.0])
    residual = np.square(np.array([1.0, 2.0, 4.0, 4.0]) - values).sum()
    total = np.square(values - values.mean()).sum()
    assert found["R²"] == pytest.approx(1 - residual / total)
    assert found["calibration error"] == pytest.approx(abs(2 / 6 - 0.7))


def test_calibration_is_judged_within_each_confidence_bin():
    log_p = np.log(np.array([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.55, 0.45]]))
    target = categories(["a", "b", "a", "a"])
    found = score(
        Answers(log_p, np.full(4, np.nan)), target, np.arange(4), np.random.default_rng(0)
    )
    assert found.values["calibration error"] == pytest.approx((2 * 0.45 + 2 * 0.45) / 4)


def test_classes_without_an_order_have_no_neighbours_and_no_error():
    log_p = np.log(np.array([[0.9, 0.1], [0.9, 0.1]]))
    target = categories(["a", "b"])
    found = score(
        Answers(log_p, np.full(2, np.nan)), target, np.arange(2), np.random.default_rng(0)
    )
    assert np.isnan(found.values["accuracy within one bin"])
    assert np.isnan(found.values["absolute error"])


def test_a_class_off_the_scale_is_nobodys_neighbour():
    centres = np.array([1.0, np.nan, 2.0, np.nan])
    target = Target(np.array([0, 1, 1]), tuple("abcd"), np.array([1.0, np.nan, np.nan]), centres)
    log_p = np.log(np.full((3, 4), 0.1) + 0.6 * np.eye(4)[[2, 0, 3]])
    found = score(Answers(log_p, np.ones(3)), target, np.arange(3), np.random.default_rng(0))
    assert found.values["accuracy within one bin"] == pytest.approx(1 / 3)


def test_intervals_are_over_recordings_and_not_over_rows():
    """Two recordings, one all right and one all wrong: any accuracy from 0 to 1 may be drawn."""
    labels = np.zeros(2000, dtype=np.int64)
    log_p = np.log(np.where(np.arange(2000)[:, None] < 1000, [[0.9, 0.1]], [[0.1, 0.9]]))
    target = Target(labels, ("a", "b"), np.full(2000, np.nan), np.full(2, np.nan))
    found = score(
        Answers(log_p, np.full(2000, np.nan)), target, labels + (np.arange(2000) < 1000),
        np.random.default_rng(0),
    )  # fmt: skip
    assert found.intervals["accuracy"] == (0.0, 1.0)
    assert found.n_recordings == 2


def test_rows_without_a_class_are_neither_fitted_to_nor_judged_on():
    x, target, recordings, rng = planted()
    x[:100] = 1e6
    target = target.relabelled(np.where(np.arange(len(x)) < 100, -1, target.labels))
    reading = read(x, target, recordings, recordings >= 20, rng)
    assert reading.scores.values["accuracy"] > 0.8
    assert reading.scores.n_rows == np.sum(recordings >= 20)
    assert fit_probe(x, target, recordings, rng).n_rows == len(x) - 100


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_reads_what_was_planted_and_nothing_under_its_nulls(family):
    x, target, recordings, rng = planted()
    settings = ProbeSettings(family=family, k=1)
    reading = read(x, target, recordings, recordings >= 20, rng, settings)
    found = reading.scores.values["accuracy"]
    assert found > {"neighbours": 0.45, "hidden": 0.75}.get(family, 0.85)
    assert reading.controls[SHUFFLED]["accuracy"] < 0.3
    assert reading.controls[MAJORITY]["accuracy"] < 0.3
    low, high = reading.scores.intervals["accuracy"]
    assert low <= found <= high


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_finds_anything_in_noise(family):
    x, target, recordings, rng = planted()
    x[:, 3] = rng.standard_normal(len(x))
    reading = read(x, target, recordings, recordings >= 20, rng, ProbeSettings(family=family))
    assert reading.scores.values["accuracy"] < 0.27
    assert reading.scores.values["R²"] < 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_a_probe_owns_its_standardisation(family):
    """Other units of the input, and another zero, change no answer."""
    x, target, recordings, _ = planted(n=1200)
    moved = x * np.float32(1000) + np.float32(7)
    settings = ProbeSettings(family=family)
    fits = [
        fit_probe(some, target, recordings, np.random.default_rng(1), settings).answers(some)
        for some in (x, moved)
    ]
    assert np.mean(fits[0].classes == fits[1].classes) > 0.99


def test_a_hidden_layer_reads_what_no_line_can():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 4)).astype(np.float32)
    labels = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    target = Target(labels, ("apart", "alike"), np.full(4000, np.nan), np.full(2, np.nan))
    recordings = np.arange(4000) // 100
    found = {
        family: read(x, target, recordings, recordings >= 30, rng, ProbeSettings(family=family))
        for family in ("linear", "hidden", "neighbours")
    }
    accuracy = {name: one.scores.values["accuracy"] for name, one in found.items()}
    assert accuracy["linear"] < 0.6
    assert accuracy["hidden"] > 0.9
    assert accuracy["neighbours"] > 0.9


def test_a_recording_on_both_sides_is_refused():
    x, target, recordings, rng = planted()
    with pytest.raises(ConfigError, match="both fitted to and judged on"):
        read(x, target, recordings, np.arange(len(x)) % 2 == 0, rng)


def test_one_class_cannot_be_learned():
    x, _, recordings, rng = planted()
    target = binned(np.full(len(x), 0.5), np.array([0.0, 1.0, 2.0]), "s")
    with pytest.raises(ConfigError, match="only one class"):
        fit_probe(x, target, recordings, rng)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("of_test", [False, True])
def test_vectors_that_are_not_finite_are_refused(value, of_test):
    x, target, recordings, rng = planted()
    test = recordings >= np.median(recordings)
    x[np.flatnonzero(test == of_test)[3], 1] = value
    with pytest.raises(ConfigError, match="NaN or an infinite value"):
        read(x, target, recordings, test, rng)


def test_ridge_needs_values():
    x, target, recordings, rng = planted()
    target = Target(target.labels, target.names, np.full(len(x), np.nan), np.full(5, np.nan))
    with pytest.raises(ConfigError, match="ridge reads values"):
        fit_probe(x, target, recordings, rng, ProbeSettings(family="ridge"))


def test_validation_prefers_weight_decay_where_there_is_little_to_learn_from():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 200)).astype(np.float32)
    labels = (x[:, 0] + 2 * rng.standard_normal(400) > 0).astype(np.int64)
    target = Target(labels, ("low", "high"), np.full(400, np.nan), np.full(2, np.nan))
    few = fit_probe(x, target, np.arange(400) // 20, rng).strength
    x, target, recordings, rng = planted(n=6000)
    assert few >= 100 > fit_probe(x, target, recordings, rng).strength


def test_a_control_task_gives_every_type_one_class_and_keeps_unknown_rows():
    target = categories(["a", "b", "b", None, "b", "b"])
    task = control_task(target, np.array([0, 0, 1, 1, 2, 2]), np.random.default_rng(3))
    assert task.labels[3] == -1
    assert task.labels[0] == task.labels[1]
    assert task.labels[4] == task.labels[5]


def test_a_control_task_keeps_the_shares_of_the_classes():
    labels = np.repeat([0, 1], [9000, 1000])
    target = Target(labels, ("a", "b"), np.full(10_000, np.nan), np.full(2, np.nan))
    task = control_task(target, np.arange(10_000), np.random.default_rng(0))
    assert np.mean(task.labels == 1) == pytest.approx(0.1, abs=0.02)


def test_selectivity_is_what_a_probe_reads_beyond_what_it_can_learn_by_heart():
    """Types lie far apart: anything about them can be memorised, so nothing here is selective."""
    rng = np.random.default_rng(0)
    types = rng.integers(0, 30, 6000)
    x = (rng.standard_normal((30, 40)) * 5)[types] + rng.standard_normal((6000, 40))
    labels = (types % 5).astype(np.int64)
    target = Target(labels, tuple("abcde"), np.full(6000, np.nan), np.full(5, np.nan))
    recordings = np.arange(6000) // 100
    reading = read(x.astype(np.float32), target, recordings, recordings >= 40, rng, types=types)
    assert reading.scores.values["accuracy"] > 0.99
    assert reading.controls[CONTROL_TASK]["accuracy"] > 0.99
    assert abs(reading.selectivity) < 0.01


def test_the_majority_answers_with_the_most_frequent_class_of_training():
    train, test = categories(["a", "b", "b"]), categories(["a", "a", "a", "b"])
    assert majority(train, test, np.arange(4), np.random.default_rng(0))["accuracy"] == 0.25


def test_forward_order_starts_with_what_explains_most_and_passes_over_copies():
    x, target, _, rng = planted()
    x[:, 7] = x[:, 3]
    x[:, 5] = x[:, 3] + 3 * x[:, 5]
    chosen = forward_order(x, target.labels, 3, rng)
    assert chosen[0] in (3, 7)
    assert not {3, 7} <= set(chosen.tolist())


def test_a_sparse_probe_reads_so_many_columns_and_no_more():
    x, target, _, rng = planted()
    readout = Sparse(2).fit(x, target, 1.0, rng)
    used = np.flatnonzero(np.any(readout.weights != 0, axis=0))
    assert len(used) == 2
    assert 3 in used


def test_a_linear_readout_gives_its_weights_in_the_units_of_what_it_reads():
    x, target, _, rng = planted()
    readout = Linear().fit(x, target, 1.0, rng)
    assert isinstance(readout, LinearReadout)
    assert np.allclose(np.exp(readout.answers(x).log_probabilities).sum(axis=1), 1)
    step = 1e-3 * readout.weights[4]
    grown = readout.logits(x + step) - readout.logits(x)
    assert np.allclose(grown[:, 4], 1e-3 * np.square(readout.weights[4]).sum(), rtol=1e-6)


@pytest.mark.parametrize("family", [Linear(), Ridge(), Sparse(2), Hidden(n_passes=1), Neighbours()])
def test_fitting_twice_gives_the_same_answers(family):
    x, target, _, _ = planted(n=1000)
    answers = [
        family.fit(x, target, family.strengths[0], np.random.default_rng(5)).answers(x)
        for _ in range(2)
    ]
    assert np.array_equal(answers[0].log_probabilities, answers[1].log_probabilities)


def test_fitting_leaves_the_random_state_of_torch_alone():
    import torch

    x, target, _, rng = planted(n=600)
    before = torch.get_rng_state()
    Hidden(n_passes=1).fit(x, target, 0.01, rng)
    assert torch.equal(before, torch.get_rng_state())


def test_columns_that_never_vary_are_not_chosen():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    x = np.zeros((100, 6))
    x[:, 4] = labels + 0.1 * rng.standard_normal(100)
    assert forward_order(x, labels, 3, rng).tolist() == [4]


def test_nothing_but_dead_columns_reads_like_the_majority():
    rng = np.random.default_rng(0)
    target = categories(["a"] * 30 + ["b"] * 10)
    readout = Sparse(2).fit(np.zeros((40, 5)), target, 1.0, rng)
    assert not readout.weights.any()
    assert set(readout.answers(np.zeros((3, 5))).classes) == {0}
