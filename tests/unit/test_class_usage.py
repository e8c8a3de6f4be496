"""Lift by class: closed forms, every deal counted out, and the truth that was planted."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from auscult.analyses.class_usage import ClassUsageParams, UsageByClass
from auscult.analyses.parts.classes.units import classes_of, words
from auscult.blocks import Clip, ClipGrid, Heatmap, Table
from auscult.core.errors import NothingToMeasureError
from auscult.core.timebase import TimeBase
from auscult.measures.class_usage import class_usage, usage_by_recording
from auscult.models.python import PythonModel
from tests.known_dictionaries import EYE, D, Told, topk


def rng(seed=0):
    return np.random.default_rng(seed)


def shares_of(classes, n_units=12, n_frames=40, special=(), seed=0):
    """Multinomial usage; each ``(class, unit, factor)`` is used so many times as often there."""
    drawn = []
    for number, own in enumerate(classes):
        p = np.ones(n_units)
        for which, unit, factor in special:
            p[unit] *= factor if own == which else 1
        # Recordings differ by themselves, far more than their frames would.
        p *= rng([seed, number]).gamma(4, 1, n_units)
        drawn.append(rng([seed, number, 1]).multinomial(n_frames, p / p.sum()) / n_frames)
    return np.array(drawn)


def test_usage_counts_the_frames_of_each_recording_alike():
    units = np.array([0, 0, 1, -1, 2])
    shares, names = usage_by_recording(units, np.array(["b", "b", "b", "b", "a"]), 3)
    assert names.tolist() == ["a", "b"]
    assert shares.tolist() == [[0, 0, 1], [0.5, 0.25, 0]]


def test_lift_is_the_class_mean_over_that_of_all_recordings():
    shares = np.array([[0.6, 0.4], [0.8, 0.2], [0.1, 0.9]])
    found = class_usage(shares, np.array([0, 0, 1]), rng(), 200)
    assert found.lift == pytest.approx(np.array([[0.7 / 0.5, 0.3 / 0.5], [0.1 / 0.5, 0.9 / 0.5]]))
    assert found.n_recordings.tolist() == [2, 1]


def test_p_values_are_those_of_every_deal_there_is():
    classes = np.array([0] * 4 + [1] * 5)
    shares = shares_of(classes, 3, special=[(0, 0, 3.0)])
    found = class_usage(shares, classes, rng(), 10_000)
    every = np.array([shares[list(four)].mean(0) for four in combinations(range(9), 4)])
    above = (every >= every[0] - 1e-12).mean(0)
    below = (every <= every[0] + 1e-12).mean(0)
    exact = np.minimum(1, 2 * np.minimum(above, below))
    assert found.p_values[0] == pytest.approx(exact, abs=0.015)
    assert found.p_values[1] == pytest.approx(exact, abs=0.015)


def test_what_was_planted_is_marked_and_nothing_else():
    classes = np.repeat(np.arange(4), 25)
    shares = shares_of(classes, special=[(1, 5, 4.0), (3, 7, 0.1)])
    found = class_usage(shares, classes, rng(), 5_000)
    marked = set(zip(*map(np.ndarray.tolist, np.nonzero(found.marked)), strict=True))
    assert {(1, 5), (3, 7)} <= marked
    # What one class has more of, the others have less of.
    assert {unit for _, unit in marked} <= {5, 7}
    low, high = found.low[1, 5], found.high[1, 5]
    assert 1.5 < low < found.lift[1, 5] < high
    assert found.high[3, 7] < 0.5


def test_labels_that_mean_nothing_mark_nothing_though_recordings_differ():
    counts = []
    for seed in range(6):
        classes = rng(seed).permutation(np.repeat(np.arange(4), 10))
        found = class_usage(shares_of(classes, n_frames=2000, seed=seed), classes, rng(), 1000)
        counts.append(found.share)
        assert found.dealt < 0.02
    assert np.mean(counts) < 0.02


def test_units_that_nobody_uses_are_no_cells():
    shares = np.array([[0.5, 0.0, 0.5]] * 4)
    found = class_usage(shares, np.array([0, 0, 1, 1]), rng(), 100)
    for cells in (found.lift, found.low, found.high, found.p_values, found.q_values):
        assert np.isnan(cells[:, 1]).all()
        assert cells[:, [0, 2]] == pytest.approx(1)
    assert not found.marked.any()


@pytest.mark.parametrize(
    ("each", "n_units", "n_deals", "resolves"),
    [(4, 1, 9999, True), (4, 2, 9999, False), (5, 2, 9999, True), (5, 2, 60, False)],
)
def test_a_unit_is_resolved_where_some_deal_could_mark_it(each, n_units, n_deals, resolves):
    """2 / C(8, 4) is 0.029 and 2 / C(10, 5) 0.0079; of two units one needs 0.025."""
    classes = np.repeat([0, 1], each)
    shares = np.c_[np.full((2 * each, n_units), 1 / n_units), np.zeros(2 * each)]
    found = class_usage(shares, classes, rng(), n_deals, 100)
    assert found.smallest == pytest.approx(max(2 / math.comb(2 * each, each), 2 / (n_deals + 1)))
    assert found.resolves == resolves


def test_one_class_is_none():
    with pytest.raises(NothingToMeasureError, match="two classes"):
        class_usage(np.ones((3, 2)), np.zeros(3, int), rng())


def told(**labels):
    return {
        name: words(dict(zip(labels, own, strict=True)))
        for name, own in zip("abcdefghijkl", zip(*labels.values(), strict=True), strict=False)
    }


def test_labels_that_share_recordings_out_are_found():
    labels = told(
        kind=["x"] * 5 + ["y"] * 4 + ["z"] * 2,
        number=range(1, 12),
        only=["one"] * 11,
        few=["p", "p", "p", "q", "q", "q", *[""] * 5],
    )
    (found,) = classes_of(labels, list(labels), ())
    assert (found.label, found.names, len(found.recordings)) == ("kind", ("x", "y"), 9)
    assert found.classes.tolist() == [0] * 5 + [1] * 4
    with pytest.raises(NothingToMeasureError, match=r"asked for \(few\).*few, kind, number"):
        classes_of(labels, list(labels), ["few"])
    with pytest.raises(NothingToMeasureError, match="labels of the sounds: none"):
        classes_of({}, ["a"], ())


class Heard(Told):
    """Clips that can be pointed to, of a model that is no codec."""

    def time(self, tap):
        return TimeBase(16_000, hop=Fraction(1600))

    def model(self, weights="trained"):
        model = object.__new__(PythonModel)
        model.name = "net"
        return model

    def clip(self, clip_id, start_s, stop_s, label, condition=None):
        return Clip(clip_id, start_s, stop_s, label)


def clips(n=48, marked=True):
    """Four classes; a third of the frames of each lie along an axis of its own."""
    made = []
    for number in range(n):
        which = (number // 2) % 4
        draw = rng(number)
        along = draw.integers(4, D, 30)
        along[::3] = which if marked else draw.integers(0, 4)
        made.append((EYE[along] + 0.01 * draw.standard_normal((30, D)), {"kind": "abcd"[which]}))
    return made


def asked(tmp_path, made, untrained=None):
    entries = {"features": [topk(EYE)]}
    other = {"features": [topk(untrained)]} if untrained is not None else None
    context = Heard(tmp_path, entries, made, other)
    return UsageByClass().run(context, ClassUsageParams(n_deals=2000, n_resamples=200))


def test_the_feature_of_a_class_is_found_shown_and_can_be_heard(tmp_path):
    result = asked(tmp_path, clips(), untrained=np.ones((1, D), np.float32))
    (judged,) = result.judgements
    assert judged.verdict == "holds"
    # That a class has none of another's feature is no rarity among 48 recordings.
    assert judged.measurement.value == pytest.approx(4 / 32)
    assert judged.measurement.controls == pytest.approx(
        {"labels dealt out anew among recordings": 0, "random weights": 0}, abs=0.02
    )
    marked, every, table, grid = result.blocks
    assert isinstance(marked, Heatmap) and isinstance(every, Heatmap)
    assert marked.x_names == ("0", "1", "2", "3")
    assert np.diag(marked.values) == pytest.approx(2)
    assert np.isnan(marked.values[~np.eye(4, dtype=bool)]).all()
    assert every.values.shape == (4, 8)
    own = every.values[:, [every.x_names.index(str(unit)) for unit in range(4)]]
    assert (own[~np.eye(4, dtype=bool)] == -3).all()
    assert isinstance(table, Table)
    assert [row[:3] for row in table.rows] == [
        (kind, f"feature {unit}", 4.0) for unit, kind in enumerate("abcd")
    ]
    assert isinstance(grid, ClipGrid)
    assert [one.label[:12] for one in grid.clips][::2] == [
        f"feature {k}, {c}" for k, c in enumerate("abcd")
    ]


def test_moments_are_those_at_which_the_unit_speaks(tmp_path):
    result = asked(tmp_path, clips(), untrained=np.ones((1, D), np.float32))
    grid = result.blocks[-1]
    for one in grid.clips:
        middle = (one.start_s + one.stop_s) / 2
        assert int(middle / 0.1) % 3 == 0


def test_random_weights_that_tell_as_much_explain_it(tmp_path):
    (judged,) = asked(tmp_path, clips()).judgements
    assert judged.verdict == "explained by control"
    assert "1.25 times as many" in judged.reason


def test_classes_that_use_all_alike_do_not_hold(tmp_path):
    result = asked(tmp_path, clips(marked=False))
    (judged,) = result.judgements
    assert (judged.verdict, judged.measurement.value) == ("does not hold", 0)
    (every,) = result.blocks
    assert isinstance(every, Heatmap)


def test_too_few_recordings_to_mark_anything_are_no_answer(tmp_path):
    result = asked(tmp_path, clips(12, marked=False))
    (judged,) = result.judgements
    assert judged.verdict == "cannot be tested here"
    assert "hear more recordings" in judged.reason
    assert result.blocks


def test_sounds_without_labels_are_told_to_have_none(tmp_path):
    (judged,) = asked(tmp_path, [(values, {}) for values, _ in clips()]).judgements
    assert judged.verdict == "cannot be tested here"
    assert "labels of the sounds: none" in judged.reason
