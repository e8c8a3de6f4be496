"""Sparse probes, absorption and recovery on taps and dictionaries of which the answer is known."""

import numpy as np
import pytest
import torch

from auscult.analyses import dictionary_recovery
from auscult.analyses.base import RANDOM
from auscult.analyses.dictionary_absorption import DictionaryAbsorption, DictionaryAbsorptionParams
from auscult.analyses.dictionary_probing import DictionaryProbing, DictionaryProbingParams
from auscult.analyses.dictionary_recovery import DictionaryRecovery, DictionaryRecoveryParams
from auscult.analyses.parts.dictionaries.labelled import labelled_rows
from auscult.blocks import Table
from auscult.core.errors import DivergedError, StoreError, UserError
from auscult.dictionaries.temporal import TemporalDictionary
from auscult.measures import recovery
from tests.known_dictionaries import EYE, D, Told, frozen, rotated, topk

TURN = np.linalg.qr(np.random.default_rng(3).standard_normal((D, D)))[0].astype("f4")
TRUE = EYE @ TURN


def classes(n_clips=64, n_frames=24, basis=TRUE):
    """Clips of four classes: one frame in six holds the mark of the class, the others anything."""
    rng = np.random.default_rng(0)
    clips = []
    for number in range(n_clips):
        # Every second clip is of the test side: pairs of neighbours share a class.
        which = (number // 2) % 4
        along = np.where(np.arange(n_frames) % 6 == 0, which, rng.integers(4, D, n_frames))
        loud = np.exp(rng.standard_normal((n_frames, 1)))
        values = loud * basis[along] + 0.05 * rng.standard_normal((n_frames, D))
        clips.append((values, {"kind": "abcd"[which], "number": float(number)}))
    return clips


def probed(tmp_path, entries, **params):
    context = Told(tmp_path, entries, classes())
    return DictionaryProbing().run(context, DictionaryProbingParams(n_resamples=200, **params))


def accuracies(result, name, k):
    told = next(
        one
        for one in result.measurements
        if one.name.startswith(f"{name}: accuracy of kind from {k} features of a clip")
    )
    return told.value, told.controls


def test_a_feature_for_each_class_tells_more_than_random_directions(tmp_path):
    result = probed(tmp_path, {"true": [topk(TRUE)], **frozen()})
    by_claim = [one for one in result.judgements if one.claim == "KO-01"]
    assert [one.verdict for one in by_claim] == ["holds"] * 3
    value, controls = accuracies(result, "true", 5)
    assert value > 0.9
    assert controls["majority class"] == pytest.approx(0.25)
    assert controls["shuffled labels"] < 0.6


def test_the_same_dictionary_of_random_weights_stands_beside_it(tmp_path):
    entries = {"true": [topk(TRUE)], **frozen()}
    context = Told(tmp_path, entries, classes(), {"true": [topk(rotated(5))]})
    told = {}
    for asked in (True, False):
        params = DictionaryProbingParams(n_resamples=200, untrained=asked)
        assert DictionaryProbing.controls(params) == ((RANDOM,) if asked else ())
        told[asked] = DictionaryProbing().run(context, params)
    value, controls = accuracies(told[True], "true", 5)
    assert controls["random weights"] < value - 0.1
    assert told[True].judgements[0].measurement.controls["random weights"] < value - 0.1
    assert "random weights" not in accuracies(told[False], "true", 5)[1]


def test_one_feature_tells_one_class_from_the_rest(tmp_path):
    value, _ = accuracies(probed(tmp_path, {"true": [topk(TRUE)]}), "true", 1)
    assert value == pytest.approx(0.5, abs=0.05)


def test_channels_that_tell_as_much_explain_it(tmp_path):
    context = Told(tmp_path, {"true": [topk(EYE)], **frozen()}, classes(basis=EYE))
    result = DictionaryProbing().run(context, DictionaryProbingParams(n_resamples=200))
    assert {one.verdict for one in result.judgements[:3]} == {"explained by control"}


def test_the_same_directions_frozen_explain_it(tmp_path):
    entries = {"true": [topk(TRUE)], "frozen decoder": [topk(TRUE, "decoder")]}
    result = probed(tmp_path, entries)
    assert result.judgements[0].verdict == "explained by control"
    assert result.judgements[1].verdict == "cannot be tested here"


def test_features_of_their_own_are_more_complete_than_channels(tmp_path):
    result = probed(
        tmp_path, {"true": [topk(TRUE)], "frozen decoder": [topk(rotated(1), "decoder")]}
    )
    complete = next(one for one in result.judgements if one.claim == "MA-01")
    assert complete.measurement.value > complete.measurement.controls["channels of the tap"] + 0.02


def test_labels_that_name_each_clip_are_not_read(tmp_path):
    rows = labelled_rows(Told(tmp_path, {}, classes()), "tap")
    assert sorted(rows.labels) == ["kind", "number"]
    assert rows.target("number") is None
    assert rows.target("kind").names == ("a", "b", "c", "d")


def test_classes_of_one_side_alone_are_left_out(tmp_path):
    clips = [
        (values, {**labels, "kind": "z"} if n in (1, 3) else labels)
        for n, (values, labels) in enumerate(classes())
    ]
    target = labelled_rows(Told(tmp_path, {}, clips), "tap").target("kind")
    assert "z" not in target.names
    assert (target.labels == -1).sum() == 2


def test_sounds_without_labels_are_a_sentence(tmp_path):
    clips = [(values, {}) for values, _ in classes()]
    context = Told(tmp_path, {"true": [topk(TRUE)]}, clips)
    result = DictionaryProbing().run(context, DictionaryProbingParams())
    assert "labels of the sounds: none" in result.facts["missing"][0][2]
    assert {one.verdict for one in result.judgements} == {"cannot be tested here"}


def test_pooling_is_a_mean_over_the_frames_of_each_clip(tmp_path):
    rows = labelled_rows(Told(tmp_path, {}, classes(8)), "tap")
    expected = [rows.values[rows.clips == c].mean(0) for c in range(8)]
    assert rows.pooled(rows.values) == pytest.approx(np.array(expected), abs=1e-5)


def test_a_scorecard_has_the_names_of_saebench(tmp_path):
    card = probed(tmp_path, {"true": [topk(TRUE)]}).scorecards["tap true"].to_json()
    assert card["eval_type_id"] == "sparse_probing"
    assert card["eval_result_metrics"]["sae"]["sae_top_5_test_accuracy"] > 0.9
    assert card["eval_result_metrics"]["llm"]["llm_top_1_test_accuracy"] < 0.8


def hierarchy(n_clips=400, n_frames=4):
    """A general class of every second pair of clips, with a sub-class in one of 25 of them."""
    rng = np.random.default_rng(0)
    clips = []
    for number in range(n_clips):
        pair = number // 2
        family = "strings" if pair % 2 else "winds"
        sub = ("harp" if pair % 50 == 1 else "violin") if family == "strings" else "flute"
        along = TRUE[0] if family == "strings" else TRUE[3]
        along = along + {"harp": TRUE[1], "violin": TRUE[2], "flute": 0}[sub]
        values = along + 0.05 * rng.standard_normal((n_frames, D))
        clips.append((values, {"family": family, "instrument": sub}))
    return clips


def test_absorption_of_a_rare_sub_class_is_found_and_named(tmp_path):
    # "strings" has its own feature except on harps, where one along both speaks alone.
    harp = (TRUE[0] + TRUE[1]) * 2**-0.5
    violin = (TRUE[0] + TRUE[2]) * 2**-0.5
    rows = np.stack([violin, harp, TRUE[3], *rotated(9, 5) * 1e-3]).astype("f4")
    entries = {"absorbs": [topk(rows)]}
    entries |= {
        key: [
            topk(np.stack([TRUE[0], TRUE[3], *rotated(4, 6) * 1e-3]).astype("f4"), key.split()[1])
        ]
        for key in frozen()
    }
    whole = np.stack([TRUE[0], TRUE[3], *rotated(4, 6) * 1e-3]).astype("f4")
    context = Told(tmp_path, entries, hierarchy(), {"absorbs": [topk(whole)]})
    result = DictionaryAbsorption().run(context, DictionaryAbsorptionParams(n_resamples=300))
    judged = result.judgements[0]
    assert judged.measurement.value > 0.01
    assert judged.measurement.controls["random weights"] == 0
    assert judged.verdict == "holds"
    # 8 of 200 string pairs... one in 25 of the recognised strings; winds have no sub-class.
    table = next(b for b in result.blocks if "by class" in getattr(b, "title", ""))
    strings = next(row for row in table.rows if row[0] == "family strings")
    assert strings[3] == pytest.approx(1 / 25, abs=0.015)
    assert "family > instrument" in judged.sentence


def test_a_feature_carries_what_it_writes_however_long_its_atom_is(tmp_path):
    harp = (TRUE[0] + TRUE[1]) * 2**-0.5
    violin = (TRUE[0] + TRUE[2]) * 2**-0.5
    rows = np.stack([violin, harp, TRUE[3], *rotated(9, 5) * 1e-3]).astype("f4")
    same, long = topk(rows), topk(rows)
    with torch.no_grad():
        long.linear.decoder.mul_(10.0)
        long.linear.encoder.mul_(0.1)
    context = Told(tmp_path, {"unit": [same], "long": [long]}, hierarchy(n_clips=100))
    params = DictionaryAbsorptionParams(n_resamples=100, untrained=False)
    result = DictionaryAbsorption().run(context, params)
    table = next(b for b in result.blocks if b.title == "tap: absorption")
    found = {row[0]: row[3:5] for row in table.rows}
    assert found["unit"][0] > 0.01
    assert found["long"] == pytest.approx(found["unit"], abs=1e-6)


def test_without_a_hierarchy_absorption_cannot_be_tested(tmp_path):
    clips = [(values, {"kind": labels["kind"]}) for values, labels in classes()]
    context = Told(tmp_path, {"true": [topk(TRUE)]}, clips)
    result = DictionaryAbsorption().run(context, DictionaryAbsorptionParams())
    assert result.judgements[0].verdict == "cannot be tested here"
    assert "no label that determines another" in result.judgements[0].reason


def test_a_hierarchy_of_unknown_labels_is_a_sentence(tmp_path):
    context = Told(tmp_path, {"true": [topk(TRUE)]}, classes())
    params = DictionaryAbsorptionParams(hierarchies=(("kind", "colour"),))
    assert "no label 'colour'" in DictionaryAbsorption().run(context, params).judgements[0].reason


def recovered(tmp_path, entries, **params):
    context = Told(tmp_path, entries, classes())
    asked = DictionaryRecoveryParams(n_vectors=2000, batch=256, **params)
    return DictionaryRecovery().run(context, asked)


@pytest.fixture
def told_the_truth(monkeypatch):
    """A training that gives learned dictionaries the truth, and leaves the others as they are."""
    planted = []

    def plant(*args):
        planted.append(recovery.plant(*args))
        return planted[-1]

    def train(jobs, source, settings, folder):
        for job in jobs:
            if job.dictionary.params.frozen == "no":
                atoms = torch.from_numpy(planted[-1].atoms)
                with torch.no_grad():
                    job.dictionary.linear.decoder.copy_(atoms)
                    job.dictionary.linear.encoder.copy_(atoms)
            job.dictionary.requires_grad_(False).eval()
        return [job.dictionary for job in jobs]

    monkeypatch.setattr(dictionary_recovery, "plant", plant)
    monkeypatch.setattr(dictionary_recovery, "train", train)


@pytest.mark.usefixtures("told_the_truth")
def test_a_recipe_that_finds_the_truth_is_told_from_one_that_cannot(tmp_path):
    result = recovered(tmp_path, {"own": [topk(TRUE)], **frozen()})
    judged = result.judgements[0]
    assert judged.verdict == "holds"
    assert judged.measurement.value == pytest.approx(1.0)
    assert max(judged.measurement.controls.values()) < 0.5
    table = next(b for b in result.blocks if type(b).__name__ == "Table")
    roles = ["learned", "frozen decoder", "soft-frozen decoder", "frozen encoder"]
    assert [row[2] for row in table.rows] == roles


def test_a_recipe_that_is_not_trained_recovers_nothing(tmp_path):
    result = recovered(tmp_path, {"own": [topk(TRUE)]}, steps=1)
    assert result.judgements[0].verdict == "does not hold"


@pytest.mark.usefixtures("told_the_truth")
def test_a_recipe_that_needs_neighbours_is_not_tried_on_vectors_without_time(tmp_path):
    params = TemporalDictionary.Params(n_features=D, k=1, centre=False, scale=False)
    moving = TemporalDictionary(params, D).requires_grad_(False).eval()
    result = recovered(tmp_path, {"moving": [moving], "own": [topk(TRUE)]})
    assert "own" in result.judgements[0].sentence
    assert "moving" not in result.judgements[0].sentence
    assert result.judgements[0].verdict == "holds"


def test_nothing_that_learns_leaves_nothing_to_try(tmp_path):
    result = recovered(tmp_path, frozen(), steps=1)
    assert result.judgements[0].verdict == "cannot be tested here"


def failing(error):
    def train(*args, **settings):
        raise error

    return train


def test_a_recipe_that_diverges_says_so_and_is_no_finding(tmp_path, monkeypatch):
    diverged = DivergedError("the loss is not finite at step 3")
    monkeypatch.setattr(dictionary_recovery, "train", failing(diverged))
    (judged,) = recovered(tmp_path, {"own": [topk(TRUE)]}, steps=1).judgements
    assert judged.verdict == "cannot be tested here"
    assert "not finite at step 3" in judged.reason


@pytest.mark.parametrize("error", [StoreError("a shard is damaged"), UserError("vectors hold NaN")])
def test_damage_is_never_told_as_a_recipe_that_cannot_be_tried(error, tmp_path, monkeypatch):
    monkeypatch.setattr(dictionary_recovery, "train", failing(error))
    with pytest.raises(type(error), match=str(error)):
        recovered(tmp_path, {"own": [topk(TRUE)]}, steps=1)


def test_balanced_accuracy_and_area_stand_beside_accuracy_with_the_same_controls(tmp_path):
    """Three quarters of the clips are of one class: to answer it always is right so often."""
    kinds = np.array(["a", "b", "b", "b"])
    clips = [
        (values, {"kind": str(kinds["abcd".index(str(labels["kind"]))])})
        for values, labels in classes()
    ]
    entries = {"true": [topk(TRUE)], **frozen()}
    context = Told(tmp_path, entries, clips, {"true": [topk(rotated(5))]})
    result = DictionaryProbing().run(context, DictionaryProbingParams(n_resamples=200))
    told = {
        figure: next(
            one
            for one in result.measurements
            if one.name == f"true: {figure} of kind from 1 features of a clip, "
            "means over its frames"
        )
        for figure in ("accuracy", "balanced accuracy", "AUC")
    }
    majority = {figure: one.controls["majority class"] for figure, one in told.items()}
    assert majority == pytest.approx({"accuracy": 0.75, "balanced accuracy": 0.5, "AUC": 0.5})
    assert len({tuple(one.controls) for one in told.values()}) == 1
    for one in told.values():
        assert one.value > 0.9
        assert one.controls["random weights"] < one.value - 0.05
        low, high = one.interval
        assert low <= one.value <= high
    card = result.scorecards["tap true"].to_json()
    assert card["eval_result_details"][0]["sae_test_auc"] == told["AUC"].value


def test_the_table_of_every_figure_is_shown(tmp_path):
    result = probed(tmp_path, {"true": [topk(TRUE)]}, ks=(1,))
    tables = [block for block in result.blocks if isinstance(block, Table)]
    assert [one.title for one in tables] == [
        f"tap: {figure} of every probe" for figure in ("accuracy", "balanced accuracy", "AUC")
    ]
    values = [dict(zip(one.columns, one.rows[1], strict=True)) for one in tables]
    measured = {one.name: one.value for one in result.measurements}
    for figure, row in zip(("accuracy", "balanced accuracy", "AUC"), values, strict=True):
        for level, words in (("clip", "a clip, means over its frames"), ("frame", "single frames")):
            name = f"true: {figure} of kind from 1 features of {words}"
            assert row[f"kind, {level}, 1"] == measured[name]
