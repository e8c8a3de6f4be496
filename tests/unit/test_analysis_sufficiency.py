"""Sufficiency as it is judged: at the floor for everybody, or for planted archetypes alone."""

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES, BASE
from auscult.testing.planted import PlantedContext, wandering

CLS, PARAMS = ANALYSES.parse({"type": "sufficiency"}, "test")
SMALL = {"most_vectors": 400, "most_pursued": 120, "n_draws": 2}
WIDTH = 32


def along(atoms, n=200, n_on=1):
    """Steps along a few of the atoms at a time."""

    def steps(rng):
        on = np.argsort(rng.random((n, len(atoms))), axis=1)[:, :n_on]
        sizes = np.zeros((n, len(atoms)))
        np.put_along_axis(sizes, on, rng.standard_normal((n, n_on)), 1)
        return sizes @ atoms

    return wandering(steps)


def answered(folder, atoms, plant, **params):
    """The analysis where every condition moves alike."""
    conditions = (BASE, *CLS.controls(PARAMS))
    context = PlantedContext(
        folder, dict.fromkeys(conditions, plant), {key: [atoms] for key in conditions}, 3
    )
    _, parsed = ANALYSES.parse({"type": "sufficiency", **SMALL, **params}, "test")
    return CLS().run(context, parsed)


def directions(seed, n, width=WIDTH):
    return np.random.default_rng(seed).standard_normal((n, width))


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A layer of rank 7, and archetypes within it."""
    basis = directions(0, 7)
    atoms = directions(1, 24, 7) @ basis
    return answered(tmp_path_factory.mktemp("linear"), atoms, along(basis, n_on=7))


@pytest.mark.parametrize("place", range(4))
def test_at_a_linear_tap_the_published_errors_are_explained_by_its_rank(linear, place):
    assert linear.judgements[place].verdict == "explained by control"
    assert linear.judgements[place].claim == "P1-09"


def test_its_rank_is_told(linear):
    known = linear.facts["taps"]["planted"]
    assert (known["rank"], known["span"]) == (7, 7)


def test_random_directions_leave_what_arithmetic_says(linear):
    found = linear.judgements[3].measurement
    assert found.controls["1 − m / d, whatever the network"] == pytest.approx(0.375)
    assert found.value == pytest.approx(0.375, abs=0.15)


def test_four_archetypes_of_a_linear_tap_do_no_better_than_others(linear):
    assert linear.judgements[4].claim == "P1-10"
    assert linear.judgements[4].verdict == "explained by control"


def test_its_page_shows_both_figures(linear):
    titles = [getattr(block, "title", "") for block in CLS().view(linear)]
    assert sum("Fig. 7a" in title for title in titles) == 2
    assert sum("Fig. 7b" in title for title in titles) == 2


def test_diffuse_motion_is_not_rebuilt_by_twenty(tmp_path):
    atoms = directions(2, 24, 64)
    result = answered(tmp_path, atoms, along(np.eye(64), n_on=64))
    verdicts = [one.verdict for one in result.judgements]
    assert verdicts[:3] == ["does not hold"] * 3
    assert verdicts[4] == "does not hold"


def test_planted_archetypes_hold_where_nothing_else_comes_near(tmp_path):
    # Four on at a time of forty: no forty random directions keep the shape of 48 channels.
    atoms = directions(3, 40, 48)
    context_atoms = {BASE: [atoms]}
    plants = {BASE: along(atoms, n_on=2, n=400)}
    for condition in CLS.controls(PARAMS):
        context_atoms[condition] = [directions(4, 40, 48)]
        plants[condition] = along(np.eye(48), n_on=48)
    _, parsed = ANALYSES.parse({"type": "sufficiency", **SMALL}, "test")
    result = CLS().run(PlantedContext(tmp_path, plants, context_atoms, 3), parsed)
    assert result.judgements[4].verdict == "holds"
    assert result.judgements[4].measurement.value > 0.95


def test_the_published_reading_asks_for_less(tmp_path):
    basis = directions(0, 7)
    atoms = directions(1, 24, 7) @ basis
    result = answered(tmp_path, atoms, along(basis, n_on=7), reading="published")
    assert [one.verdict for one in result.judgements] == ["holds"] * 5


def test_a_tap_that_does_not_move_is_told(tmp_path):
    result = answered(tmp_path, np.eye(8), lambda rng: np.ones((60, 8)))
    assert [one.verdict for one in result.judgements] == ["cannot be tested here"] * 5
    assert all(np.isnan(one.measurement.value) for one in result.judgements)
    kinds = [type(block).__name__ for block in CLS().view(result)]
    assert kinds == ["Finding"] * 5 + ["Text", "Missing"]


@pytest.mark.parametrize(("n_atoms", "width"), [(3, 1), (12, 4)])
def test_any_width_and_number_of_archetypes_will_do(tmp_path, n_atoms, width):
    atoms = directions(5, n_atoms, width)
    result = answered(tmp_path, atoms, along(np.eye(width), n_on=width))
    assert len(result.judgements) == 5
    assert CLS().view(result)
