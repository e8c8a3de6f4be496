"""Dictionaries of more than one tap or one set of weights, from the spec to the run folder."""

import numpy as np
import pytest

from auscult.analyses.joint_dictionaries import AFFINE, UNPAIRED
from auscult.analyses.parts.answering import DRAWN
from auscult.core.errors import ConfigError, UnknownNameError
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.metrics import evaluate
from auscult.experiment.run import listening_to, run
from auscult.experiment.spec import Spec, read_spec
from auscult.store.source import ArraySource
from tests.e2e.conftest import tiny_spec

TAPS = ["conv.0", "act.0", "conv.2"]
SOUNDS = {"type": "notes", "n": 4, "seconds": 0.5, "clip_seconds": 0.5}
SOUNDS["split"] = {"train": 0.5, "test": 0.5}
ENTRIES = [
    {"name": "plain", "type": "topk", "n_features": 8, "k": 2},
    {"name": "slow", "type": "temporal", "n_features": 8, "k": 2},
    {"name": "norm", "type": "transcoder", "n_features": 8, "k": 2, "skip": True}
    | {"tap": "conv.0", "target": "act.0", "context": 1},
    {"name": "depth", "type": "crosscoder", "n_features": 8, "k": 2, "taps": ["conv.0", "act.0"]},
    {"name": "training", "type": "crosscoder", "n_features": 8, "k": 2, "rule": "relu"}
    | {"taps": ["conv.0"], "weights": ["trained", "random"]},
    {"name": "whole", "type": "topk", "n_features": 8, "k": 2, "tap": "conv.2"}
    | {"end_to_end": {"clips": 1, "local_weight": 0.1, "downstream": ["act.2"]}},
]


def joint_spec(**changes):
    spec = tiny_spec(
        model={"type": "toy-samplecnn"},
        sounds=SOUNDS,
        record={"taps": TAPS, "sampling": {"policy": "runs", "frames_per_clip": 256, "run_frames": 64}},
        dictionaries=ENTRIES,
        train={"steps": 100, "batch": 128, "seeds": [0], "checkpoint_every": 50, "lr": 5e-3},
        analyses=[{"type": "joint-dictionaries"}],
    )  # fmt: skip
    return spec | changes


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(joint_spec(), tmp_path_factory.mktemp("joint"))


def fitted(finished, name):
    """Those of the base condition; the analysis fits others to random weights."""
    stages = sorted(finished.folder.glob(f"stages/fit-*/dictionaries/{name}-seed-0"))
    made = [Dictionary.load(folder) for folder in stages if "--random-w" not in str(folder)]
    assert len(made) == len({(one.provenance.weights, one.provenance.tap) for one in made})
    return made


def test_each_entry_is_fitted_where_it_says(finished):
    counts = {entry["name"]: len(fitted(finished, entry["name"])) for entry in ENTRIES}
    assert counts == {"plain": 3, "slow": 3, "norm": 1, "depth": 1, "training": 1, "whole": 1}


def test_the_page_of_joint_dictionaries_has_them_all_with_their_controls(finished):
    result = finished.result("joint-dictionaries")
    by_name = {one["measurement"]["name"]: one for one in result["judgements"]}
    assert len(by_name) == 3
    shared = by_name["depth: how evenly a feature lies in its parts, mean over live features"][
        "measurement"
    ]
    assert set(shared["controls"]) == {UNPAIRED, DRAWN}
    # Of two sets of weights one is the other's control: it is not fitted to random weights again.
    training = by_name["training: how evenly a feature lies in its parts, mean over live features"][
        "measurement"
    ]
    assert set(training["controls"]) == {UNPAIRED}
    norm = by_name["norm: fraction of variance unexplained"]["measurement"]
    assert set(norm["controls"]) == {AFFINE, UNPAIRED, DRAWN}
    parts = [one["name"] for one in result["measurements"] if one["name"].startswith("training: f")]
    assert parts == [
        f"training: fraction of variance unexplained of conv.0, {weights} weights"
        for weights in ("trained", "random")
    ]


def test_a_transcoder_knows_its_two_taps_and_their_widths(finished):
    (made,) = fitted(finished, "norm")
    assert (made.d_in, made.d_out) == (96, 32)
    said = made.provenance
    assert (said.tap, said.target, said.context) == ("conv.0", "act.0", 1)


def test_a_crosscoder_knows_its_parts(finished):
    (depth,), (training,) = fitted(finished, "depth"), fitted(finished, "training")
    assert depth.provenance.parts == ("conv.0", "act.0")
    assert training.provenance.parts == ("conv.0, trained weights", "conv.0, random weights")
    assert depth.params.widths == training.params.widths == (32, 32)
    assert depth.shares.shape == (8, 2)


def test_what_is_trained_end_to_end_logs_what_the_model_loses(finished):
    (log,) = finished.folder.glob("stages/fit-*/training/whole-seed-0.jsonl")
    line = log.read_text().splitlines()[-1]
    for name in ("task", "downstream", "mse"):
        assert f'"{name}"' in line


def test_a_transcoder_explains_its_target_and_not_its_target_out_of_order(finished):
    with listening_to(joint_spec(), finished.folder) as context:
        a, b = (context.store(tap, split="train") for tap in ("conv.0", "act.0"))
        made = context.dictionaries("norm", "conv.0")[0]
        source, targets = a.windows([-1, 0, 1]), b.windows([0], (-1, 1))
        assert evaluate(made, source, targets=targets).fvu < 0.6
        order = np.random.default_rng(0).permutation(targets.n_vectors)
        shuffled = ArraySource(targets.rows(order))
        assert evaluate(made, source, targets=shuffled).fvu > 0.95


def test_only_what_every_tap_has_is_offered_to_every_analysis(finished):
    with listening_to(joint_spec(), finished.folder) as context:
        assert context.dictionary_names("responses") == ["plain", "slow"]
        with pytest.raises(ConfigError, match=r"'norm' is of conv\.0, not of act\.0"):
            context.dictionaries("norm", "act.0")


def test_taps_of_two_frame_rates_are_refused_by_name_before_anything_is_recorded(tmp_path):
    entry = {
        "name": "t",
        "type": "transcoder",
        "n_features": 8,
        "tap": "conv.0",
        "target": "conv.2",
    }
    with pytest.raises(ConfigError, match=r"conv\.0 beside conv\.2 .* frames/s and .* frames/s"):
        run(joint_spec(dictionaries=[entry]), tmp_path / "r")
    assert not list((tmp_path / "r" / "stages").glob("record*"))


def test_a_tap_that_is_not_recorded_is_refused_by_name(tmp_path):
    entry = {"name": "t", "type": "topk", "n_features": 8, "tap": "conv.5"}
    with pytest.raises(UnknownNameError, match=r"'conv\.5'"):
        run(joint_spec(dictionaries=[entry]), tmp_path / "r")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"type": "transcoder", "tap": "conv.0"}, "needs a tap to read and a target"),
        ({"type": "topk", "target": "conv.0"}, "only a transcoder gives back another tap"),
        ({"type": "topk", "context": 1}, "only a transcoder"),
        ({"type": "crosscoder"}, "needs taps = "),
        ({"type": "crosscoder", "taps": ["conv.0"]}, "needs taps = "),
        ({"type": "topk", "taps": ["conv.0", "act.0"]}, "taps and weights are for a crosscoder"),
        ({"type": "crosscoder", "taps": ["conv.0", "conv.0"]}, "twice"),
        ({"type": "temporal", "of": "generators"}, "of = 'generators' does not go with it"),
        ({"type": "pca", "k": 1, "end_to_end": {}}, "cannot be trained end to end"),
        ({"type": "topk", "k": [2, 4]}, r"several values write grid = { k = \[2, 4\] }"),
        ({"type": "gated", "end_to_end": {}}, "set end_to_end.local_weight above 0"),
        ({"type": "topk", "of": "generators", "end_to_end": {}}, "cannot be trained end to end"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(entry, said):
    with pytest.raises(ConfigError, match=said):
        read_spec(joint_spec(dictionaries=[{"name": "t", "n_features": 8, **entry}]))


def test_frames_beside_each_need_frames_that_are_recorded():
    kept = {"record": joint_spec()["record"] | {"sampling": {"policy": "stride", "stride": 2}}}
    entry = {"name": "t", "type": "transcoder", "n_features": 8, "tap": "conv.0"}
    entry |= {"target": "act.0", "context": 1}
    with pytest.raises(ConfigError, match=r"one frame in 2 is recorded"):
        read_spec(joint_spec(dictionaries=[entry], **kept))
    assert read_spec(joint_spec(dictionaries=[entry | {"context": 0}], **kept))


@pytest.mark.parametrize(
    ("entry", "train", "said"),
    [
        ({"type": "topk"}, {"target_l0": 2.0}, "topk dictionaries such as 't' have none"),
        ({"type": "jump-relu", "target_l0": 3.0}, {"target_l0": 2.0}, "own k or target_l0"),
        ({"type": "temporal"}, {"resample_every": 9}, "such as 't' have no way to"),
    ],
)
def test_what_a_type_has_nothing_for_is_refused_before_anything_is_recorded(entry, train, said):
    entry = {"name": "t", "n_features": 8, **entry}
    with pytest.raises(ConfigError, match=said):
        read_spec(joint_spec(dictionaries=[entry], train=joint_spec()["train"] | train))


def test_end_to_end_training_needs_clips_of_one_length():
    sounds = {key: value for key, value in SOUNDS.items() if key != "clip_seconds"}
    with pytest.raises(ConfigError, match=r"set sounds\.clip_seconds"):
        read_spec(joint_spec(sounds=sounds, dictionaries=[ENTRIES[-1]]))


def test_a_spec_with_joint_entries_survives_being_changed():
    spec = read_spec(joint_spec())
    assert read_spec(spec, ["train.steps=7"]).dictionaries == spec.dictionaries
    assert Spec.model_validate(joint_spec()).resolved() == spec.resolved()
