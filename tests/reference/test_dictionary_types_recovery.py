"""Each type finds planted atoms; those whose atoms cannot move do not."""

import numpy as np
import pytest

from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.store.source import ArraySource
from auscult.testing.dictionaries import planted, recovered

ONE, ONE_ATOMS = planted(2000, n_active=1)
TWO, TWO_ATOMS = planted(2000, n_active=2)
SETTINGS = TrainSettings(steps=200, batch=128, lr=2e-2, warm_up=20)


def found(section, source, atoms, folder):
    cls, params = DICTIONARIES.parse({"n_features": 24, **section}, "here")
    dictionary = cls.build(params, source.d_in, 0, source.statistics)
    train([TrainingJob(dictionary, "it")], source, SETTINGS, folder)
    return recovered(dictionary.atoms.numpy(), atoms)


@pytest.mark.parametrize(
    ("section", "at_least"),
    [
        ({"type": "batch-topk", "k": 2}, 0.98),
        ({"type": "jump-relu", "l0_weight": 0.04}, 0.93),
        ({"type": "gated", "l1_weight": 0.3}, 0.93),
        ({"type": "matryoshka", "k": 1}, 0.95),
        ({"type": "rms-norm"}, 0.94),
        ({"type": "rms-norm", "l1_on": "f"}, 0.94),
        ({"type": "rms-norm", "l1_on": "topk", "k": 2}, 0.93),
        ({"type": "matching-pursuit", "k": 2}, 0.98),
        ({"type": "archetypal", "k": 2}, 0.98),
        ({"type": "archetypal", "k": 2, "relaxation": 0.0}, 0.97),
    ],
    ids=str,
)
def test_atoms_of_which_two_are_on_are_found(section, at_least, tmp_path):
    assert found(section, TWO, TWO_ATOMS, tmp_path) > at_least


@pytest.mark.parametrize("type_", ["relu", "topk"])
def test_frozen_atoms_are_not_the_planted_ones(type_, tmp_path):
    assert found({"type": type_, "frozen": "decoder"}, TWO, TWO_ATOMS, tmp_path) < 0.65


def test_a_decoder_learns_the_atoms_of_a_frozen_encoder_less_well_than_of_a_free_one(tmp_path):
    frozen = found({"type": "topk", "k": 2, "frozen": "encoder"}, TWO, TWO_ATOMS, tmp_path / "a")
    free = found({"type": "topk", "k": 2}, TWO, TWO_ATOMS, tmp_path / "b")
    assert frozen < free - 0.05


def test_a_dimension_that_is_far_off_in_every_vector_does_not_hide_the_atoms(tmp_path):
    # Networks have such dimensions, and they have killed trainings of others.
    values = TWO.rows(np.arange(2000)).copy()
    values[:, 3] += 1000.0
    far = ArraySource(values)
    section = {"type": "topk", "k": 2}
    assert found(section, far, TWO_ATOMS, tmp_path / "centred") > 0.97
    raw = {**section, "centre": False}
    assert found(raw, far, TWO_ATOMS, tmp_path / "raw") < 0.9
