"""Alignment of planted archetypes: found again, independent, or too crowded to tell."""

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES, BASE
from auscult.testing.planted import TAP, PlantedContext, wandering

WIDTH = 24
CLS, PARAMS = ANALYSES.parse({"type": "alignment"}, "test")
NOISE = next(one for one in CLS.controls(PARAMS) if one.sounds == "noise")


def directions(seed, n=30, width=WIDTH):
    rows = np.random.default_rng(seed).standard_normal((n, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def along(atoms, n=400):
    """Steps along the atoms, each as likely, either way."""

    def steps(rng):
        picks = rng.integers(0, len(atoms), n)
        return atoms[picks] * rng.choice([-1.0, 1.0], (n, 1))

    return wandering(steps)


def heard(folder, real, others, **params):
    """The analysis where every input moves along its own archetypes."""
    atoms = {BASE: [real, real], **{key: [directions(9)] for key in CLS.controls(PARAMS)}, **others}
    plants = {condition: along(found[0]) for condition, found in atoms.items()}
    context = PlantedContext(folder, plants, atoms)
    _, parsed = ANALYSES.parse({"type": "alignment", "repeats": 5, **params}, "test")
    return CLS().run(context, parsed)


def test_archetypes_found_again_hold_against_independent_ones_of_noise(tmp_path):
    result = heard(tmp_path, directions(1), {})
    found = result.judgements[0]
    assert found.verdict == "holds"
    # Identity is 1 after correction, independence about 0.
    assert found.measurement.value == pytest.approx(1, abs=0.1)
    assert found.claim == "P1-13"


def test_noise_with_the_same_archetypes_does_not_differ(tmp_path):
    real = directions(1)
    found = heard(tmp_path, real, {NOISE: [real]}).judgements[0]
    assert found.verdict == "does not hold"
    assert found.measurement.value == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("reading", "verdict"), [("sound", "cannot be tested here"), ("published", "holds")]
)
def test_in_two_dimensions_chance_is_all_there_is(tmp_path, reading, verdict):
    real, noise = (np.pad(directions(seed, 30, 2), ((0, 0), (0, WIDTH - 2))) for seed in (2, 3))
    found = heard(tmp_path, real, {NOISE: [noise]}, reading=reading).judgements[0]
    assert found.verdict == verdict


def test_a_missing_input_is_named(tmp_path):
    result = heard(tmp_path, directions(1), {NOISE: [np.zeros((30, WIDTH)) + 1e-30]})
    assert result.judgements[0].verdict == "cannot be tested here"
    assert "noise" in result.judgements[0].reason
    assert CLS().view(result)


def test_every_input_has_both_floors_and_its_ceiling(tmp_path):
    result = heard(tmp_path, directions(1), {})
    sine = next(one for one in result.measurements if one.name.startswith("sine"))
    assert set(sine.controls) == {
        "random, same covariances",
        "random, effective dimension",
        "real, another seed",
        "real, disjoint recordings",
    }
    assert sine.value == pytest.approx(sine.controls["random, same covariances"], abs=0.08)


def test_archetypes_that_are_never_on_are_not_compared(tmp_path):
    # Half of the archetypes lie where nothing moves; of two seeds only the used ones agree.
    real = directions(1, 10)
    unused = np.zeros((20, WIDTH))
    real[:, WIDTH // 2 :] = 0
    unused[:, WIDTH // 2 :] = directions(5, 20, WIDTH // 2)
    atoms = {BASE: [np.r_[real, unused], np.r_[real, unused[:, ::-1][:, np.r_[12:24, 0:12]]]]}
    plants = {BASE: along(real), NOISE: along(directions(7))}
    controls = CLS.controls(PARAMS)
    atoms |= {key: [directions(7)] for key in controls}
    plants |= {condition: along(directions(7)) for condition in controls}
    result = CLS().run(PlantedContext(tmp_path, plants, atoms), PARAMS)
    assert len(result.arrays[f"{TAP}/nearest/real, another seed"]) == 10
    assert result.arrays[f"{TAP}/nearest/real, another seed"].min() == pytest.approx(1, abs=1e-5)
