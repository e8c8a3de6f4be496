"""Analyses of concepts on a network that knows the level of a sound, and nothing else."""

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES
from auscult.analyses.concept_probes import FEATURES, LOG_MEL, RAW
from auscult.analyses.parts.concepts.claims import UNTRAINED
from auscult.analyses.parts.concepts.labelling import Labeller, concepts_of
from auscult.core.errors import ConfigError
from auscult.testing.studies import answer, open_study

NETWORK = '''
import torch
from torch import nn


class Level(nn.Module):
    """Level in dB of each 160 samples, along ten directions, slightly noisy."""

    def forward(self, frames):
        level = 10 * torch.log10(frames.square().mean(-1) + 1e-9)
        scales = torch.linspace(0.5, 2, 10)
        return (level[:, None] * scales[:, None] + 0.3 * torch.sin(7 * frames[..., :10].mT * 1e3))


class Deaf(nn.Module):
    """Ten samples of each frame: no line through them tells anything that people name."""

    def forward(self, frames):
        return frames[..., 5:155:15].mT * 1.0


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.level, self.deaf = Level(), Deaf()

    def forward(self, waveform):
        frames = waveform[:, 0].unfold(-1, 160, 160)
        return self.level(frames) + self.deaf(frames)


def build():
    return Network()
'''


def spec(folder):
    (folder / "level.py").write_text(NETWORK)
    channels_first = {"level": "bct", "deaf": "bct"}
    return {
        "name": "level",
        "seed": 1,
        "model": {
            "type": "python",
            "path": str(folder / "level.py"),
            "factory": "build",
            "sample_rate": 8000,
            "layouts": channels_first,
        },
        "sounds": {
            "type": "notes",
            "n": 24,
            "seconds": 0.6,
            "sample_rate": 8000,
            "octaves": [3, 4],
            "envelopes": ["pluck", "swell"],
            "split": {"train": 0.6, "test": 0.4},
        },
        "record": {"taps": ["level", "deaf"], "silence_db": None},
        "controls": {"recordings": 8},
        "dictionaries": [
            {"name": "narrow", "type": "relu", "n_features": 4, "l1_weight": 0.0},
            {"name": "wide", "type": "relu", "n_features": 16, "l1_weight": 0.0},
        ],
        "train": {"steps": 150, "batch": 256, "seeds": [0]},
    }


@pytest.fixture(scope="module")
def probes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes")
    return answer(
        spec(folder), folder / "study", "concept-probes", families=("linear", "ridge", "sparse"),
        sparse_k=(1,), concepts=("loudness", "centroid", "pitch", {"type": "user", "label": "timbre"}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def dictionaries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dictionaries")
    return answer(
        spec(folder), folder / "study", "concept-dictionaries", n_top=3,
        concepts=("pitch", "loudness", "centroid"),
    )  # fmt: skip


def row(result, tap, concept, representation=RAW, family="linear"):
    return next(
        one
        for one in result.facts["rows"]
        if (one["tap"], one["concept"], one["representation"], one["family"])
        == (tap, concept, representation, family)
    )


def test_loudness_is_read_where_it_was_planted(probes):
    found = row(probes, "level", "loudness")
    assert found["accuracy within one bin"] > 0.9
    assert found["accuracy"] > max(found["majority"], found["shuffled"]) + 0.2
    assert found["selectivity"] > 0.2
    ridge = row(probes, "level", "loudness", family="ridge")
    assert ridge["R²"] > 0.95
    assert ridge["absolute error"] < 2


def test_one_column_is_enough_where_every_column_says_it(probes):
    sparse = row(probes, "level", "loudness", family="1-sparse")
    assert sparse["accuracy within one bin"] > 0.6


@pytest.mark.parametrize("concept", ["loudness", "centroid", "pitch", "timbre"])
def test_nothing_is_read_where_only_samples_are_left(probes, concept):
    found = row(probes, "deaf", concept)
    assert found["accuracy"] < found["majority"] + 0.15


def test_level_alone_tells_neither_timbre_nor_pitch(probes):
    assert (
        row(probes, "level", "timbre")["accuracy"]
        < row(probes, "level", "timbre", LOG_MEL)["accuracy"]
    )
    assert row(probes, "level", "pitch")["accuracy"] < 0.35


def test_pitch_is_not_read_best_by_a_network_that_knows_the_level(probes, dictionaries):
    for result in (probes, dictionaries):
        judged = [one for one in result.judgements if one.claim == "PK-01"]
        assert len(judged) == 2
        assert judged[0].verdict == "does not hold"
        assert judged[1].verdict != "holds"


def test_every_score_names_family_pooling_and_tap(probes):
    named = [one for one in probes.measurements if "accuracy of the" in one.name]
    assert named
    assert all("probe, one frame" in one.name and one.tap for one in named)


def test_agreement_of_two_pitch_estimators_is_reported_with_its_null(probes):
    found = [one for one in probes.measurements if "give one class" in one.name]
    assert len(found) == 2
    assert found[0].value > found[0].controls["frames shuffled"] + 0.2


def test_training_adds_nothing_where_any_direction_tells_the_level(probes):
    judged = next(one for one in probes.judgements if one.claim == "PK-01b")
    assert judged.measurement.controls[UNTRAINED] > 0
    assert FEATURES in judged.measurement.name


def test_of_a_wide_and_a_narrow_dictionary_every_figure_is_told(dictionaries):
    entries = dictionaries.facts["taps"]["level"]["entries"]
    assert [one["n_features"] for one in entries] == [4, 16]
    for one in entries:
        assert 0 <= one["zeros"] <= 1
        assert one["l0"] == pytest.approx((1 - one["zeros"]) * one["n_features"])
        assert one["l0 per second"] == pytest.approx(50 * one["l0"])
        assert 0 < one["alive"] <= 1
    assert entries[1]["fvu"] < 0.1
    assert entries[1]["accuracy"]["loudness"] > entries[1]["majority"]["loudness"] + 0.2


def test_width_is_judged_where_dictionaries_differ_in_width_alone(dictionaries):
    judged = next(one for one in dictionaries.judgements if one.claim == "PK-02")
    entries = dictionaries.facts["taps"]["level"]["entries"]
    assert judged.measurement.value == pytest.approx(entries[0]["fvu"] - entries[1]["fvu"])
    assert judged.verdict != "cannot be tested here"


def test_overlap_of_carriers_stands_beside_chance(dictionaries):
    found = [one for one in dictionaries.measurements if "overlap of" in one.name]
    assert found
    for one in found:
        assert 0 <= one.value <= 1
        assert list(one.controls) == ["sets drawn from the features alive"]


@pytest.mark.parametrize("name", ["concept-probes", "concept-dictionaries"])
def test_pages_begin_with_findings_and_show_pictures(name, probes, dictionaries):
    result = probes if name == "concept-probes" else dictionaries
    blocks = ANALYSES.get(name)().view(result)
    kinds = [type(block).__name__ for block in blocks]
    assert kinds[0] == "Finding"
    assert {"Heatmap", "Table"} <= set(kinds)


def test_labels_are_those_of_the_frames_own_hop(tmp_path):
    """The level at a frame, as the network took it, is the label of that frame."""
    with open_study(spec(tmp_path), tmp_path / "study") as context:
        labelled = Labeller(context, concepts_of(["loudness"])).frames("level", 2_000)
    level = labelled.x[:, 0] / 0.5
    said = labelled.labels["loudness"].values
    heard = said > -60
    assert np.corrcoef(level[heard], said[heard])[0, 1] > 0.995


def test_a_clip_is_one_row_when_pooled(tmp_path):
    with open_study(spec(tmp_path), tmp_path / "study") as context:
        concepts = concepts_of(["loudness", {"type": "user", "label": "timbre"}])
        labelled = Labeller(context, concepts).frames("level", 2_000, pooling="clip")
    assert len(labelled.x) == len(np.unique(labelled.recording_ids)) == 24
    assert set(labelled.targets) == {"loudness", "timbre"}


def test_what_is_read_of_a_clip_is_pooled_after_it_was_encoded(tmp_path):
    with open_study(spec(tmp_path), tmp_path / "study") as context:
        labeller = Labeller(context, concepts_of(["loudness"]))
        frames, clips = (labeller.frames("level", 2_000, pooling=p) for p in ("frame", "clip"))
    np.testing.assert_array_equal(clips.every, frames.x)
    bent = clips.through(np.square)
    for row, name in enumerate(clips.recording_ids):
        own = np.square(frames.x[frames.recording_ids == name]).mean(0)
        np.testing.assert_allclose(bent[row], own, rtol=1e-5)
    assert not np.allclose(bent, np.square(clips.x), rtol=1e-3)
    assert len(clips.training) == (~frames.test).sum()
    np.testing.assert_array_equal(frames.through(np.square), np.square(frames.x))


def test_two_concepts_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two concepts are called 'pitch'"):
        concepts_of(["pitch", {"type": "pitch", "estimator": "yin"}])
