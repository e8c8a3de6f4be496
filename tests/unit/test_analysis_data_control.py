"""The control of data on planted movement: who is concentrated, and what explains it."""

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES, BASE, Condition
from auscult.testing.planted import PlantedContext, wandering

WIDTH = 16
CLS, PARAMS = ANALYSES.parse({"type": "data-control"}, "test")
NOISE, FLAT = Condition(sounds="noise"), Condition(sounds="flat")
RANDOM_REAL, RANDOM_NOISE = Condition(weights="random"), Condition("random", "noise")


def along(n_axes, size=1.0, n=300):
    """Steps along so many axes, each as likely."""

    def steps(rng):
        values = np.zeros((n, WIDTH))
        values[np.arange(n), rng.integers(0, n_axes, n)] = size * rng.choice([-1.0, 1.0], n)
        return values

    return wandering(steps)


def heard(folder, axes, **params):
    """What the analysis says where each condition moves along so many axes."""
    conditions = {BASE: 3, **dict.fromkeys(CLS.controls(PARAMS), 12), **axes}
    plants = {
        condition: along(n) if isinstance(n, int) else n for condition, n in conditions.items()
    }
    context = PlantedContext(folder, plants, {key: [np.eye(WIDTH)] for key in plants})
    _, parsed = ANALYSES.parse({"type": "data-control", **params}, "test")
    return CLS().run(context, parsed)


def test_noise_that_spreads_four_times_as_far_holds(tmp_path):
    found = heard(tmp_path, {}).judgements[0]
    assert found.measurement.value == pytest.approx(11 / 3, rel=0.15)
    assert found.verdict == "holds"
    assert found.claim == "P1-12"


def test_random_weights_that_spread_as_far_explain_it(tmp_path):
    found = heard(tmp_path, {RANDOM_REAL: 3}).judgements[0]
    assert found.verdict == "explained by control"


def test_a_spectrum_that_is_as_concentrated_explains_it(tmp_path):
    found = heard(tmp_path, {Condition(sounds="phase-randomised"): 3}).judgements[0]
    assert found.verdict == "explained by control"


def test_the_published_reading_asks_for_the_ratio_alone(tmp_path):
    found = heard(tmp_path, {RANDOM_REAL: 3}, reading="published").judgements[0]
    assert found.verdict == "holds"
    assert "archetypes of the real sounds" in found.sentence


def test_noise_as_concentrated_as_real_sounds_does_not_hold(tmp_path):
    assert heard(tmp_path, {NOISE: 3}).judgements[0].verdict == "does not hold"


def test_a_constant_that_moves_nothing_cannot_be_tested(tmp_path):
    found = heard(tmp_path, {FLAT: lambda rng: np.full((300, WIDTH), 0.5)})
    assert found.judgements[1].verdict == "cannot be tested here"
    assert found.judgements[1].measurement.value == 0
    assert found.judgements[0].verdict == "holds"


def test_a_constant_that_moves_by_rounding_alone_cannot_be_tested(tmp_path):
    found = heard(tmp_path, {FLAT: along(1, size=1e-4)}).judgements[1]
    assert found.verdict == "cannot be tested here"
    assert "dB below" in found.reason


def test_a_constant_that_moves_along_one_direction_collapses(tmp_path):
    found = heard(tmp_path, {FLAT: along(1, size=0.5)}).judgements[1]
    assert found.verdict == "holds"
    assert found.measurement.value == pytest.approx(0.5, rel=1e-3)
    assert not found.claim, "a constant must not decide what is claimed of noise"


def test_real_sounds_that_do_not_move_cannot_be_tested(tmp_path):
    still = {BASE: lambda rng: np.full((300, WIDTH), 0.5)}
    found = heard(tmp_path, still)
    assert [one.verdict for one in found.judgements] == ["cannot be tested here"] * 2
    assert CLS().view(found)


def test_the_level_of_an_input_does_not_change_its_usage_by_real_archetypes(tmp_path):
    def drifting(size):
        def steps(rng):
            values = rng.standard_normal((300, WIDTH))
            values[:, 0] += 3
            return size * values

        return wandering(steps)

    found = {}
    for size in (0.1, 10.0):
        plants = {key: drifting(1.0) for key in (BASE, *CLS.controls(PARAMS))}
        plants[NOISE] = drifting(size)
        atoms = {key: [np.eye(WIDTH)] for key in plants}
        context = PlantedContext(tmp_path / f"{size}", plants, atoms, centre=True)
        found[size] = CLS().run(context, PARAMS).arrays["planted/real/noise/rank"]
    np.testing.assert_allclose(found[0.1], found[10.0], atol=1e-3)


def test_both_pictures_of_figure_eight_are_drawn_for_both_sets_of_archetypes(tmp_path):
    titles = [block.title for block in CLS().view(heard(tmp_path, {})) if hasattr(block, "x_axis")]
    assert sum("Fig. 8, text" in title for title in titles) == 2
    assert sum("Fig. 8, caption" in title for title in titles) == 2


def test_an_input_that_rests_between_is_not_raised_above_the_real_sounds(tmp_path, monkeypatch):
    """What moves is brought to the size of what moves, however much stands still between."""
    from auscult.analyses import data_control

    sizes = []

    def measured(dictionary, values, *others):
        sizes.append(float(np.sqrt(np.square(values).sum(1).mean())))
        return found(dictionary, values, *others)

    found = data_control.concentration
    monkeypatch.setattr(data_control, "concentration", measured)

    def resting(rng):
        steps = np.zeros((300, WIDTH))
        steps[::3, 0] = 0.5
        return np.cumsum(steps, axis=0)

    heard(tmp_path, {Condition(sounds="sine"): resting})
    np.testing.assert_allclose([size for size in sizes if size != 0.5], 1.0, rtol=1e-3)
    assert sizes.count(0.5) == 1
