"""AUC of several classes against scikit-learn's, and its draws against rows drawn one by one."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from auscult.analyses.parts.dictionaries.probed import FIGURES, Answered
from auscult.measures.discrimination import AUC, discrimination, macro_auc, pair_counts
from auscult.measures.probe_families import Answers
from auscult.measures.probe_targets import categories
from auscult.measures.probes import CONTROL_TASK, MAJORITY, SHUFFLED, read
from auscult.measures.statistics import recording_draws


def rows(n=240, n_classes=3, n_recordings=8, seed=0):
    """Scores with many ties, of classes that recordings hold in several mixtures."""
    rng = np.random.default_rng(seed)
    where = rng.integers(0, n_recordings, n)
    labels = (where + rng.integers(0, 2, n)) % n_classes
    scores = np.round(rng.standard_normal((n, n_classes)) + 0.8 * np.eye(n_classes)[labels], 1)
    return scores, labels, where


def by_library(scores, labels):
    """One class against the rest, mean over those that occur beside others."""
    here = [k for k in range(scores.shape[1]) if 0 < (labels == k).sum() < len(labels)]
    return float(np.mean([roc_auc_score(labels == k, scores[:, k]) for k in here]))


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_area_is_that_of_an_independent_library(n_classes):
    scores, labels, _ = rows(n_classes=n_classes)
    assert macro_auc(scores, labels) == pytest.approx(by_library(scores, labels), abs=1e-12)


def test_rows_without_a_class_and_classes_without_rows_are_passed_over():
    scores, labels, _ = rows()
    told = np.where(labels == 2, -1, labels)
    assert macro_auc(scores, told) == pytest.approx(
        by_library(scores[labels != 2], labels[labels != 2])
    )
    assert np.isnan(macro_auc(scores, np.zeros(len(labels), int)))


def test_draws_of_recordings_are_those_of_their_rows():
    scores, labels, where = rows()
    draws = recording_draws(8, 20, np.random.default_rng(1))
    fast = pair_counts(scores, labels, where, 8).resampled(draws)
    for one, counts in zip(fast, draws.astype(int), strict=True):
        drawn = np.repeat(np.arange(len(labels)), counts[where])
        assert one == pytest.approx(by_library(scores[drawn], labels[drawn]), abs=1e-12)


def test_a_draw_in_which_a_class_is_alone_says_nothing():
    counts = pair_counts(np.eye(2), np.array([0, 1]), np.array([0, 1]), 2)
    told = counts.resampled(np.array([[1.0, 1.0], [2.0, 0.0]]))
    assert told[0] == 1 and np.isnan(told[1])


def test_a_further_score_is_told_of_the_probe_and_of_every_null():
    rng = np.random.default_rng(0)
    where = np.repeat(np.arange(40), 20)
    words = np.array(["a", "b", "b", "b"])[where % 4]
    x = rng.standard_normal((len(where), 4)) + 2.0 * (words == "a")[:, None] * np.eye(4)[0]
    found = read(
        x, categories(list(words)), where, where >= 30, rng, types=where, further=discrimination
    )
    assert found.scores.values[AUC] == pytest.approx(0.92, abs=0.03)
    assert found.controls[MAJORITY][AUC] == 0.5
    assert found.controls[SHUFFLED][AUC] < 0.75
    assert found.controls[CONTROL_TASK][AUC] < 0.75


def test_answers_are_ranked_by_their_probabilities():
    scores, labels, _ = rows()
    target = categories([str(one) for one in labels])
    told = discrimination(Answers(scores, np.zeros(len(labels))), target)
    assert told == {AUC: macro_auc(scores, labels)}


def test_figures_of_answers_are_those_of_an_independent_library_in_every_draw():
    scores, labels, where = rows()
    told = Answered.of(Answers(scores, np.zeros(len(labels))), labels, where, 8, draws=True)
    draws = recording_draws(8, 5, np.random.default_rng(2))
    answered = scores.argmax(1)
    for drawn, counts in enumerate(draws.astype(int)):
        kept = np.repeat(np.arange(len(labels)), counts[where])
        expected = {
            "accuracy": accuracy_score(labels[kept], answered[kept]),
            "balanced accuracy": balanced_accuracy_score(labels[kept], answered[kept]),
            "AUC": by_library(scores[kept], labels[kept]),
        }
        assert {f: told.resampled(f, draws)[drawn] for f in FIGURES} == pytest.approx(expected)
    assert {f: told.value(f) for f in FIGURES} == pytest.approx(
        {
            "accuracy": accuracy_score(labels, answered),
            "balanced accuracy": balanced_accuracy_score(labels, answered),
            "AUC": by_library(scores, labels),
        }
    )
