"""Probes against scikit-learn, closed forms and brute force."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SkRidge
from sklearn.metrics import balanced_accuracy_score, mean_absolute_error, r2_score
from sklearn.neighbors import KNeighborsClassifier

from auscult.measures.probe_families import Answers, Linear, Ridge, forward_order
from auscult.measures.probe_families_curved import Neighbours
from auscult.measures.probe_scores import score
from auscult.measures.probe_targets import Target, binned


def data(n=1500, d=8, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((n, d)) * rng.uniform(0.1, 10, d) + rng.uniform(-5, 5, d)).astype(
        np.float32
    )
    value = (x - x.mean(0)) @ rng.standard_normal(d) / 10 + rng.standard_normal(n)
    edges = np.quantile(value, np.linspace(0, 1, n_classes + 1))
    return x, binned(value, edges, "s"), rng


def scaled(x):
    return (x - x.mean(0)) / x.std(0)


@pytest.mark.parametrize("strength", [150.0, 1.5])
def test_the_linear_probe_is_scikit_learns_logistic_regression(strength):
    x, target, rng = data()
    reference = LogisticRegression(C=1 / strength, max_iter=2000, tol=1e-8)
    expected = reference.fit(scaled(x).astype(float), target.labels).predict_proba(scaled(x))
    found = Linear().fit(x, target, strength, rng).answers(x)
    assert np.abs(np.exp(found.log_probabilities) - expected).max() < 2e-3


@pytest.mark.parametrize("strength", [100.0, 1.0])
def test_a_probe_of_more_columns_than_rows_is_scikit_learns_as_well(strength):
    x, target, rng = data(n=80, d=300)
    reference = LogisticRegression(C=1 / strength, max_iter=5000, tol=1e-10)
    expected = reference.fit(scaled(x).astype(float), target.labels)
    found = Linear().fit(x, target, strength, rng)
    unseen = data(n=200, d=300, seed=1)[0]
    put = ((unseen - x.mean(0)) / x.std(0)).astype(float)
    told = np.exp(found.answers(unseen).log_probabilities)
    assert np.abs(told - expected.predict_proba(put)).max() < 5e-3
    again = Linear().fit(x, target, strength, rng, found)
    assert np.abs(again.weights - found.weights).max() < 1e-2 * np.abs(found.weights).max()


def test_the_balanced_probe_is_scikit_learns_too():
    x, target, rng = data()
    kept = np.flatnonzero((target.labels != 2) | (rng.random(len(x)) < 0.1))
    x, target = x[kept], target.rows(kept)
    reference = LogisticRegression(C=0.1, max_iter=2000, tol=1e-8, class_weight="balanced")
    expected = reference.fit(scaled(x).astype(float), target.labels).predict_proba(scaled(x))
    found = Linear(balanced=True).fit(x, target, 10.0, rng).answers(x)
    assert np.abs(np.exp(found.log_probabilities) - expected).max() < 2e-3


@pytest.mark.parametrize("strength", [200.0, 0.2])
def test_the_ridge_probe_is_scikit_learns(strength):
    x, target, rng = data()
    reference = SkRidge(alpha=strength).fit(scaled(x).astype(float), target.values)
    found = Ridge().fit(x, target, strength, rng).answers(x)
    assert np.abs(found.values - reference.predict(scaled(x).astype(float))).max() < 1e-3
    assert np.array_equal(
        found.classes, np.abs(found.values[:, None] - target.centres).argmin(axis=1)
    )


def test_nearest_neighbours_vote_as_scikit_learns_do():
    x, target, rng = data()
    readout = Neighbours().fit(x[:1000], target.rows(np.arange(1000)), 11.0, rng)
    shares = np.exp(readout.answers(x[1000:]).log_probabilities) * 12 - readout.prior
    mean, spread = x[:1000].mean(0), x[:1000].std(0)
    reference = KNeighborsClassifier(11).fit((x[:1000] - mean) / spread, target.labels[:1000])
    expected = reference.predict_proba((x[1000:] - mean) / spread)
    assert np.abs(shares / 11 - expected).max() < 1e-5


@pytest.mark.parametrize("seed", range(4))
def test_forward_order_is_brute_force(seed):
    """Every next column is the one whose least-squares fit leaves least of the labels."""
    x, target, rng = data(n=400, d=6, seed=seed)
    x = (x @ rng.standard_normal((6, 6))).astype(np.float32)  # columns that share much
    z = scaled(x.astype(float))
    wanted = (target.labels[:, None] == np.arange(4)).astype(float)
    wanted = (wanted - wanted.mean(0)) / wanted.std(0)
    chosen: list[int] = []
    for _ in range(5):
        left = {
            j: np.linalg.lstsq(z[:, [*chosen, j]], wanted, rcond=None)[1].sum()
            for j in range(6)
            if j not in chosen
        }
        chosen.append(min(left, key=left.__getitem__))
    assert forward_order(x, target.labels, 5, rng).tolist() == chosen


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 800)
    log_p = np.log(rng.dirichlet(np.ones(5), 800))
    values, centres = labels + rng.uniform(-0.5, 0.5, 800), np.arange(5.0)
    estimates = values + rng.standard_normal(800)
    target = Target(labels, tuple("abcde"), values, centres, "s")
    found = score(Answers(log_p, estimates), target, np.arange(800) // 20, rng).values
    answered = log_p.argmax(1)
    assert found["balanced accuracy"] == pytest.approx(balanced_accuracy_score(labels, answered))
    assert found["absolute error"] == pytest.approx(mean_absolute_error(values, centres[answered]))
    assert found["R²"] == pytest.approx(r2_score(values, estimates))


def test_the_bootstrap_draws_recordings_as_a_loop_over_rows_would():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    log_p = np.log(rng.dirichlet(np.ones(3), 600))
    target = Target(labels, tuple("abc"), np.full(600, np.nan), np.full(3, np.nan))
    recordings = np.arange(600) // 30
    found = score(Answers(log_p, np.full(600, np.nan)), target, recordings, rng, 4000)
    drawn = []
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(recordings == r) for r in rng.integers(0, 20, 20)])
        drawn.append(balanced_accuracy_score(labels[rows], log_p[rows].argmax(1)))
    expected = np.quantile(drawn, [0.025, 0.975])
    assert np.allclose(found.intervals["balanced accuracy"], expected, atol=0.006)
