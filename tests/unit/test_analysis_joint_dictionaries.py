"""Crosscoders and transcoders over taps of which it is known what they share."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from auscult.analyses.base import Joint
from auscult.analyses.joint_dictionaries import (
    AFFINE,
    UNPAIRED,
    JointDictionaries,
    JointDictionariesParams,
    _Rows,
    _twin,
)
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.measures.crosscoding import (
    affine_map,
    errors_by_part,
    spread_by_part,
    unpaired,
)
from auscult.store.source import ArraySource
from auscult.testing.planted import PlantedContext

D, N = 12, 4000
PARAMS = JointDictionariesParams(untrained=False)
TRAINING = TrainSettings(steps=1200, batch=256, lr=5e-3, seed=0)
SHORT = TrainSettings(steps=3, batch=64)


def directions(seed, n):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((D, D)))[0][:n].astype("f4")


def sparse(rng, n, m):
    """Sources of which one in six is on."""
    return ((rng.random((n, m)) < 1 / 6) * np.exp(0.3 * rng.standard_normal((n, m)))).astype("f4")


def two_taps(seed, shared):
    """Rows of two taps that have some of six sources in common."""
    rng = np.random.default_rng(seed)
    first, second = sparse(rng, N, 6), sparse(rng, N, 6)
    second[:, :shared] = first[:, :shared]
    return np.concatenate([first @ directions(1, 6), second @ directions(2, 6)], axis=1)


class Told(PlantedContext):
    """A context of one joint dictionary whose vectors are given."""

    seed, taps = 0, ("tap",)

    def __init__(self, dictionary, train, test, targets=None):
        self.joints = [
            Joint(
                "tap",
                ("here", "there"),
                [dictionary],
                lambda split: (
                    ArraySource(train if split == "train" else test),
                    None if targets is None else ArraySource(targets[split]),
                ),
                TRAINING,
            )
        ]

    def joint_names(self):
        return ["joint"]

    def joint(self, name, condition=None):
        return self.joints

    def advance(self, share):
        self.done = share

    def store(self, tap, condition=None):
        clips = [SimpleNamespace(clip_id="array", recording_id="array")]
        return SimpleNamespace(clips=clips)


def trained(tmp_path, values, section, targets=None):
    cls, params = DICTIONARIES.parse(section, "test")
    source = ArraySource(values)
    built = cls.build(params, values.shape[1], 0, source.statistics)
    goal = None if targets is None else ArraySource(targets)
    return train([TrainingJob(built, "one", 0)], source, TRAINING, tmp_path, targets=goal)[0]


def crosscoder(tmp_path, shared):
    values = two_taps(0, shared)
    section = {"type": "crosscoder", "n_features": 12, "k": 2, "widths": [D, D]}
    made = trained(tmp_path, values, section)
    return JointDictionaries().run(Told(made, values, two_taps(1, shared)), PARAMS).judgements[0]


def test_taps_with_common_sources_share_features(tmp_path):
    judged = crosscoder(tmp_path, 6)
    assert judged.verdict == "holds"
    assert judged.measurement.value > 0.6
    assert judged.measurement.controls[UNPAIRED] < 0.35


def test_taps_without_a_common_source_share_no_more_than_the_recipe_finds_by_itself(tmp_path):
    assert crosscoder(tmp_path, 0).verdict != "holds"


def transcoded(tmp_path, bend):
    rng = np.random.default_rng(0)
    values = {split: sparse(rng, N, 6) @ directions(1, 6) for split in ("train", "test")}
    targets = {
        split: bend(x @ directions(1, 6).T) @ directions(3, 6) for split, x in values.items()
    }
    section = {"type": "transcoder", "n_features": 24, "k": 4, "d_out": D}
    made = trained(tmp_path, values["train"], section, targets["train"])
    context = Told(made, values["train"], values["test"], targets)
    return JointDictionaries().run(context, PARAMS).judgements[0]


def test_what_a_shortcut_gives_back_counts():
    cls, params = DICTIONARIES.parse(
        {"type": "transcoder", "n_features": 8, "skip": True, "centre": False, "scale": False}, "t"
    )
    straight = cls(params, D).requires_grad_(False)
    straight.skip.copy_(torch.eye(D))
    values = np.random.default_rng(0).standard_normal((50, D)).astype("f4")
    errors, _ = errors_by_part(straight, values, values, [D])
    assert errors.max() < 1e-9


def test_the_recipe_on_frames_out_of_order_knows_the_scale_of_its_targets(tmp_path):
    rng = np.random.default_rng(0)
    values = sparse(rng, 500, 6) @ directions(1, 6)
    targets = 1000.0 * values + 50.0
    section = {"type": "transcoder", "n_features": 8, "k": 2, "d_out": D}
    cls, params = DICTIONARIES.parse(section, "test")
    source, goal = ArraySource(values), ArraySource(targets)
    own = cls.build(params, D, 0, source.statistics, goal.statistics)
    joint = Joint("tap", ("here", "there"), [own], lambda split: (source, goal), SHORT)
    rows = _Rows(values, targets, np.zeros(500, dtype=int))
    twin = _twin(Told(own, values, values), "joint", joint, rows, (D,))
    torch.testing.assert_close(twin.target.scale, own.target.scale)
    torch.testing.assert_close(twin.target.mean, own.target.mean)


def test_a_transcoder_explains_what_bends_beyond_an_affine_map(tmp_path):
    # Only what exceeds 1 passes: of a source that is on or off, no affine function.
    judged = transcoded(tmp_path, lambda x: np.maximum(x - 1, 0).astype("f4"))
    assert judged.verdict == "holds"
    assert judged.measurement.value < 0.5 * judged.measurement.controls[AFFINE]
    assert judged.measurement.controls[UNPAIRED] > 0.9


def test_a_transcoder_of_an_affine_map_adds_nothing_to_it(tmp_path):
    judged = transcoded(tmp_path, lambda x: 2 * x)
    assert judged.measurement.controls[AFFINE] < 1e-3
    assert judged.verdict != "holds"


def test_a_spec_without_joint_dictionaries_is_told_so():
    class Plain(PlantedContext):
        seed, taps = 0, ("tap",)

        def __init__(self):
            pass

    (judged,) = JointDictionaries().run(Plain(), PARAMS).judgements
    assert judged.verdict == "cannot be tested here"
    assert "the spec has none" in judged.reason


def test_shuffled_parts_keep_their_rows_and_lose_their_partners():
    values = np.arange(40, dtype="f4").reshape(10, 4)
    mixed = unpaired(values, (2, 2), np.random.default_rng(0))
    np.testing.assert_array_equal(mixed[:, :2], values[:, :2])
    assert sorted(mixed[:, 2]) == sorted(values[:, 2])
    assert (mixed[:, 2] != values[:, 2]).any()


def test_an_affine_map_is_found_exactly_and_a_mean_leaves_the_spread():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3))
    truth, constant = rng.standard_normal((3, 2)), np.array([1.0, -2.0])
    weights, found = affine_map(x, x @ truth + constant, ridge=0.0)
    np.testing.assert_allclose(weights, truth, atol=1e-8)
    np.testing.assert_allclose(found, constant, atol=1e-8)
    y = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).numpy()
    expected = 50 * y[:, :1].var(0).sum()
    assert spread_by_part(y, (1, 3))[:, 0].sum() == pytest.approx(expected, rel=1e-5)
