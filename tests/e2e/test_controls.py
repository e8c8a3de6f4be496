"""Control conditions within a run: fitted when asked for, heard where pages play them."""

import numpy as np
import pytest

from auscult.analyses.base import BASE, Condition
from auscult.core.errors import ConfigError, UnknownNameError
from auscult.core.tensors import read_json
from auscult.experiment.run import Run, run
from auscult.testing.studies import open_study
from tests.e2e.conftest import tiny_spec

RARE = Condition(weights="rare")
NOISE = Condition(sounds="noise")


def generator_spec():
    return tiny_spec(
        dictionaries=[
            {"name": "features", "type": "topk", "n_features": 8, "k": 2},
            {
                "name": "archetypes",
                "of": "generators",
                "type": "topk",
                "n_features": 8,
                "k": 2,
                "signed": True,
                "grid": {"lag": [1, 3]},
            },
        ]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def study(folder):
    with open_study(generator_spec(), folder, [RARE, NOISE]) as context:
        yield context


def test_nothing_is_fitted_under_a_control_that_no_analysis_reads(finished):
    fits = [s["name"] for s in Run.open(finished).manifest["stages"] if s["name"].startswith("fit")]
    assert any("noise sounds" in name for name in fits)
    assert not any("shuffled weights" in name for name in fits)


def test_a_control_has_one_dictionary_and_the_base_one_a_seed(study):
    assert len(study.dictionaries("archetypes lag=1", "conv.0")) == 2
    assert len(study.dictionaries("archetypes lag=1", "conv.0", RARE)) == 1


def test_lags_are_known_by_the_dictionaries_name(study):
    assert [study.lag(n) for n in study.dictionary_names("generators")] == [1, 3]
    assert study.lag("features") == 0


def test_the_test_side_s_dictionary_starts_from_a_seed_of_its_own(study, folder):
    (other,) = study.dictionaries("features", "conv.0", split="test")
    own = study.dictionaries("features", "conv.0")
    assert all(not np.allclose(other.atoms.detach(), one.atoms.detach()) for one in own)
    fits = [read_json(path) for path in folder.glob("stages/fit-features*/stage.json")]
    seeds = {fit["params"]["split"]: fit["params"]["seeds"]["features"] for fit in fits}
    assert seeds == {"train": [0, 1], "test": [2]}


def test_a_handcrafted_layer_says_something_else_to_the_same_sounds(study):
    clip = study.clip_ids("train", RARE)[0]
    own, rare = (study.responses("conv.0", clip, which).values for which in (BASE, RARE))
    assert own.shape == rare.shape
    assert not np.allclose(own, rare)


def test_a_condition_that_was_not_recorded_is_named(study):
    with pytest.raises(UnknownNameError, match="flat sounds"):
        study.dictionaries("features", "conv.0", Condition(sounds="flat"))


def test_a_stimulus_can_be_played(study):
    noise = study.clip_ids("test", NOISE)[0]
    clip = study.clip(noise, 0.0, 0.25, "noise", NOISE)
    assert clip.clip_id == f"noise:{noise}"
    assert clip.stop_s == 0.25


def test_another_analysis_leaves_finished_ones_alone(tmp_path):
    run(tiny_spec(analyses=[{"type": "filters"}]), tmp_path)
    again = run(tiny_spec(analyses=[{"type": "filters"}, {"type": "responses"}]), tmp_path)
    stages = {stage["name"]: stage["reused"] for stage in again.manifest["stages"]}
    assert stages["analyse filters"]
    assert not stages["analyse responses"]


def test_a_dictionary_that_nobody_fits_is_named_before_anything_is_recorded(tmp_path):
    asked = tiny_spec(analyses=[{"type": "features", "dictionary": "featres"}])
    with pytest.raises(ConfigError, match="did you mean 'features'"):
        run(asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()
