"""Motion with a true answer: sines, white noise, a machine of states, Gaussian blobs (A-17–A-19)."""

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES, BASE, Condition
from auscult.measures.directions import foretell
from auscult.measures.paths import common_plane, equivalent_sine_hz, measure_paths, sine_roughness
from auscult.measures.prediction import noise_responses, shuffled_successors
from auscult.measures.reuse import spherical_centres
from tests.planted_dynamics import CELLS, SPREAD, Fixed, Planted, machine, wandering

NOISE, RANDOM = Condition(sounds="noise"), Condition(weights="random")
RATE = 8000


def layer(waveform, filters, stride):
    windows = np.lib.stride_tricks.sliding_window_view(waveform, filters.shape[1])[::stride]
    return windows @ filters.T


def sine(hz, n_samples=RATE):
    return np.sin(2 * np.pi * hz * np.arange(n_samples) / RATE + 0.3)


def measured(path):
    return measure_paths([path], common_plane([path]), 1)


@pytest.mark.parametrize("hz", [97.0, 440.0, 1234.0])
@pytest.mark.parametrize("stride", [1, 3])
def test_a_sine_through_a_linear_layer_is_as_rough_as_its_phase_advance_says(hz, stride):
    filters = np.random.default_rng(0).normal(size=(16, 7))
    found = measured(layer(sine(hz), filters, stride))
    theta = 2 * np.pi * hz * stride / RATE
    assert found.roughness == pytest.approx(2 - 2 * np.cos(theta), rel=0.01)
    assert sine_roughness(hz, stride / RATE) == pytest.approx(2 - 2 * np.cos(theta))


def test_a_sine_through_a_linear_layer_lies_in_a_plane():
    filters = np.random.default_rng(1).normal(size=(16, 7))
    assert measured(layer(sine(441.7), filters, 1)).plane_share == pytest.approx(1, abs=1e-9)


def test_a_closed_circle_comes_back_as_often_as_its_arc_is_long():
    # Distance 2R sin(Δ/2) with Δ uniform, limit 0.1 √2 R: a share 2 asin(0.1 / √2) / π.
    phases = 2 * np.pi * 0.0618034 * np.arange(2000)
    circle = np.stack([np.cos(phases), np.sin(phases)], axis=1)
    expected = 2 * np.arcsin(0.1 / np.sqrt(2)) / np.pi
    assert measured(circle).recurrence == pytest.approx(expected, rel=0.03)


def test_a_slow_sine_comes_back_and_noise_in_many_dimensions_does_not():
    filters = np.random.default_rng(2).normal(size=(16, 7))
    noise = noise_responses(filters, 2000, 7, np.random.default_rng(3))
    assert measured(layer(sine(441.7, 4000), filters, 1)).recurrence > 0.03
    assert measured(noise).recurrence < 0.001


def test_white_noise_through_windows_that_share_no_sample_has_roughness_three():
    # States are independent: E‖g[t+1] − g[t]‖² = (1 + 4 + 1) σ² and E‖g[t]‖² = 2 σ².
    filters = np.random.default_rng(4).normal(size=(16, 7))
    path = noise_responses(filters, 20_000, 7, np.random.default_rng(5))
    found = measured(path)
    assert found.roughness == pytest.approx(3, abs=0.05)
    assert np.sum(found.turning_shares) == pytest.approx(1)
    assert found.turning_deg == pytest.approx(120, abs=8)


def test_noise_that_is_averaged_over_seven_samples_has_roughness_two():
    # Autocovariances 7, 6, 5: (6 · 7 - 8 · 6 + 2 · 5) / (2 · 7 - 2 · 6); steps are differences of
    # samples that no other step shares, but for those seven frames away.
    path = noise_responses(np.ones((1, 7)), 20_000, 1, np.random.default_rng(7))
    assert measured(path).roughness == pytest.approx(2, abs=0.05)


def test_the_sine_that_is_as_rough_is_found_again():
    assert equivalent_sine_hz(sine_roughness(441.0, 1e-4), 1e-4) == pytest.approx(441.0)


def foretold(states, generators, rng, atoms=None):
    archetypes = spherical_centres(generators, 20, rng) if atoms is None else atoms
    recordings = np.repeat(np.arange(10), len(states) // 10 + 1)[: len(states)]
    return foretell(Fixed(archetypes), states, generators, recordings, 20, 5000, rng)


@pytest.mark.parametrize(("lag", "accuracy"), [(1, 0.78), (7, 0.32)])
def test_white_noise_is_foretold_as_well_as_the_overlap_null_says(lag, accuracy):
    found = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        clip = noise_responses(rng.normal(size=(32, 7)), 7_000, 1, rng)
        found.append(foretold(clip[:-lag], clip[lag:] - clip[:-lag], rng).accuracy)
    assert np.mean(found) == pytest.approx(accuracy, abs=0.06)


def test_without_overlap_white_noise_is_foretold_no_better_than_with_shuffled_successors():
    rng = np.random.default_rng(8)
    filters = rng.normal(size=(32, 7))
    clip = noise_responses(filters, 20_000, 7, rng)
    archetypes = spherical_centres(np.diff(clip, axis=0), 20, rng)
    own = foretold(clip[:-1], np.diff(clip, axis=0), rng, archetypes)
    null = foretold(clip[:-1], shuffled_successors(clip[:-1], rng), rng, archetypes)
    assert own.accuracy == pytest.approx(null.accuracy, abs=0.03)
    assert own.accuracy > own.majority + 0.1


def answer(name, context, **params):
    cls, parsed = ANALYSES.parse({"type": name, **params}, "analysis")
    return cls().run(context, parsed)


def of(result, start):
    return next(one for one in result.measurements if one.name.startswith(start))


@pytest.fixture(scope="module")
def machinery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    moves = {BASE: machine, NOISE: wandering, RANDOM: wandering}
    return Planted(folder, moves, lags=(1, 2, 3))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    moves = {BASE: wandering, NOISE: wandering, RANDOM: wandering}
    return Planted(folder, moves, lags=(1, 2))


@pytest.fixture(scope="module")
def told(machinery):
    return answer("state-dependence", machinery)


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_a_machine_whose_state_decides_is_foretold_at_every_lag(told, lag):
    result = told
    accuracy = of(result, f"accuracy at lag {lag}")
    assert accuracy.value == pytest.approx(1, abs=0.01)
    assert accuracy.controls["most frequent archetype"] == pytest.approx(1 / CELLS, abs=0.05)
    beyond = of(result, f"accuracy beyond the overlap null at lag {lag}")
    assert beyond.value > 0.3
    assert beyond.interval[0] > 0.2
    assert result.judgements[lag - 1].verdict == "holds"


def test_independent_states_are_foretold_but_not_beyond_the_controls(noisy):
    result = answer("state-dependence", noisy)
    assert of(result, "accuracy at lag 1").value > 0.25
    assert {judgement.verdict for judgement in result.judgements} == {"explained by control"}


def test_a_walk_whose_steps_forget_where_it_is_is_not_foretold(tmp_path):
    steps = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])

    def walk(n_frames, rng):
        return np.cumsum(steps[rng.integers(4, size=n_frames)], axis=0)

    context = Planted(tmp_path, {BASE: walk, NOISE: wandering, RANDOM: wandering}, atoms=steps)
    judgement = answer("state-dependence", context).judgements[0]
    assert judgement.verdict == "does not hold"
    assert (
        abs(judgement.measurement.controls["most frequent archetype"] - judgement.measurement.value)
        < 0.06
    )


def test_the_published_reading_takes_independent_states_for_state_dependence(noisy):
    result = answer("state-dependence", noisy, reading="published")
    first = result.judgements[0]
    assert (first.claim, first.verdict) == ("P1-14", "holds")
    assert [j.verdict for j in result.judgements[1:]] == ["explained by control"] * 2
    assert {judgement.claim for judgement in result.judgements[1:]} == {""}


def test_the_cells_of_a_machine_have_the_planted_radius(machinery):
    result = answer("locality", machinery)
    rows = result.facts["tables"]["layer"]
    assert len(rows) == CELLS
    # Mean length of a two-dimensional Gaussian vector: σ √(π / 2). The ring has radius 5.
    for row in rows:
        assert row[2] == pytest.approx(SPREAD * np.sqrt(np.pi / 2), rel=0.1)
        assert row[3] == pytest.approx(5, rel=0.05)
    assert of(result, "median radius relative to states of the same norms").value < 0.05
    assert result.judgements[0].verdict == "holds"


def test_independent_states_are_no_more_local_than_noise(noisy):
    result = answer("locality", noisy)
    assert result.judgements[0].verdict in ("explained by control", "does not hold")


def test_states_that_are_only_quiet_are_local_as_published_but_not_after_norm_matching(tmp_path):
    def loud_or_quiet(n_frames, rng):
        # From quiet states it goes right, from loud ones left; direction of the state is random.
        phases = rng.uniform(0, 2 * np.pi, n_frames)
        radii = np.where(np.arange(n_frames) % 2, 8.0, 1.0) * rng.uniform(0.9, 1.1, n_frames)
        lift = np.where(np.arange(n_frames) % 2, 100.0, -100.0)
        return np.stack([radii * np.cos(phases), radii * np.sin(phases), lift / 50], axis=1)

    atoms = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    moves = {BASE: loud_or_quiet, NOISE: loud_or_quiet, RANDOM: loud_or_quiet}
    context = Planted(tmp_path, moves, atoms)
    result = answer("locality", context)
    ratios = {row[0]: (row[4], row[6]) for row in result.facts["tables"]["layer"]}
    plain, matched = ratios["archetype 0"]
    assert plain < 0.3
    assert matched == pytest.approx(1, abs=0.1)
