"""Sharing and ablation as they are judged, on the planted network."""

import re

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES
from auscult.blocks import Curve, Heatmap, Missing, Table
from auscult.testing.planted_study import planted_spec
from auscult.testing.studies import answer

CLASS = {"label": "class", "name": "class", "classes": ["c0", "c3", "c4", "c6"]}


def blocks(name, result, kind):
    return [b for b in ANALYSES.get(name)().view(result) if isinstance(b, kind)]


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablated")
    params = {"share": 0.12, "n_random": 20, "most_random_clips": 3, "embedding": "classes:in"}
    spec = planted_spec(folder, [], n_each=20)
    return answer(spec, folder / "run", "neuron-ablation", task=CLASS, **params)


def test_silencing_planted_neurons_harms_their_class_alone(ablated):
    judged = ablated.judgements[0]
    assert (judged.claim, judged.verdict) == ("AA-04", "holds")
    assert judged.measurement.value < -50
    assert judged.measurement.controls["matched random sets"] == pytest.approx(0, abs=1)
    log_p = ablated.arrays["log_p"]
    others = log_p[~np.eye(4, dtype=bool)]
    assert np.diag(log_p).max() < others.min() - 0.5


def test_every_class_is_harmed_more_than_by_any_matched_set(ablated):
    assert all(p == pytest.approx(1 / 21) for p in ablated.facts["p_random"])


def test_dose_and_response_go_one_way(ablated):
    curve = next(b for b in blocks("neuron-ablation", ablated, Curve) if "Dose" in b.title)
    assert (np.diff(curve.series[0].y) > 0).all()
    assert curve.series[0].y[2] == 0
    assert np.abs(curve.series[1].y).max() < 0.3 * np.abs(curve.series[0].y).max()


def test_half_a_clip_harms_less_than_the_whole(ablated):
    ways = ablated.facts["ways"]
    assert ways["zero"][1] < ways["first half"][1] < 0
    assert ways["zero"][1] < ways["second half"][1] < 0
    assert ways["resample"][1] < 0


def test_the_page_shows_matrix_and_classes(ablated):
    titles = [b.title for b in blocks("neuron-ablation", ablated, Heatmap)]
    assert titles == ["Change of accuracy", "Change of the true class's log-probability"]
    heat = blocks("neuron-ablation", ablated, Heatmap)[0]
    assert sum(name.endswith("*") for name in heat.y_names) >= 3
    table = next(
        b for b in blocks("neuron-ablation", ablated, Table) if "class by class" in b.title
    )
    assert len(table.rows) == 4
    assert len(table.rows[0]) == len(table.columns) == len(table.units)


@pytest.fixture(scope="module")
def sharing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharing")
    tasks = [
        {"label": "class", "where": {"corpus": "one"}, "name": "one", "fewest": 2},
        {"label": "class", "where": {"corpus": "other"}, "name": "other", "fewest": 2},
    ]
    return answer(
        planted_spec(folder, [], n_each=20), folder / "run", "neuron-sharing",
        tasks=tasks, share=0.12, n_resamples=10, selector="mutual-information",
    )  # fmt: skip


def test_the_same_class_of_two_corpora_has_the_same_planted_neurons(sharing):
    judged = next(one for one in sharing.judgements if "classes of one name" in one.sentence)
    assert (judged.claim, judged.verdict) == ("AA-03", "holds")
    assert judged.measurement.value > 0.7
    assert judged.measurement.controls["other pairs of classes"] < 0.1


def test_classes_with_neurons_of_their_own_share_none(sharing):
    judged = next(one for one in sharing.judgements if one.sentence.startswith("within one"))
    assert judged.verdict != "holds"
    assert judged.measurement.value < 0.1


def test_its_page_shows_ratios_beside_their_null_and_the_tree(sharing):
    titles = [b.title for b in blocks("neuron-sharing", sharing, Heatmap)]
    assert "one: common-neuron ratio" in titles
    assert "one: the same of sets drawn layer by layer (control)" in titles
    assert any("joined" in b.title for b in blocks("neuron-sharing", sharing, Curve))


@pytest.mark.parametrize("name", ["neuron-sharing", "neuron-ablation"])
def test_classes_without_any_neuron_cannot_be_told_and_no_number_stands(name, tmp_path):
    task = {"label": "class", "fewest": 2}
    given = {"task": task} if name == "neuron-ablation" else {"tasks": [task]}
    result = answer(
        planted_spec(tmp_path, [], n_each=4), tmp_path / "run", name, share=1e-4, **given
    )
    (judged,) = result.judgements
    assert judged.verdict == "cannot be tested here"
    assert "nan" not in judged.sentence
    assert "no neuron" in judged.reason
    assert not any(np.isfinite(one.value) for one in result.measurements)


def test_classes_with_too_few_recordings_are_counted(tmp_path):
    task = {"label": "class", "fewest": 50}
    spec = planted_spec(tmp_path, [], n_each=3)
    result = answer(spec, tmp_path / "run", "neuron-ablation", task=task)
    told = (
        r"class has no two classes with 50 recordings on each side of the split \(train \+ test: "
    )
    assert re.match(told + r"\w+ \d+ \+ \d+, ", result.judgements[0].reason)


@pytest.mark.parametrize("name", ["neuron-sharing", "neuron-ablation"])
def test_labels_that_are_not_there_are_said(name, tmp_path):
    given = (
        {"task": {"label": "mood"}} if name == "neuron-ablation" else {"tasks": [{"label": "mood"}]}
    )
    result = answer(planted_spec(tmp_path, [], n_each=3), tmp_path / "run", name, **given)
    assert [one.verdict for one in result.judgements] == ["cannot be tested here"]
    told = "no recording has a label 'mood'; there are 'class', 'corpus', 'parity'"
    assert result.judgements[0].reason == told
    assert blocks(name, result, Missing)
