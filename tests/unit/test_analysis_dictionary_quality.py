"""What the analysis says of dictionaries of which the answer is known."""

import json

import numpy as np
import pytest

from auscult.analyses.dictionary_quality import DictionaryQuality, DictionaryQualityParams
from auscult.analyses.parts.dictionaries.lineup import Entry, at_l0, beside, lacking
from auscult.analyses.parts.dictionaries.standing import Asked, measure_entries
from auscult.dictionaries.random import RandomDictionary
from auscult.experiment.run import Run, run
from tests.e2e.conftest import tiny_spec
from tests.known_dictionaries import EYE, D, Told, frozen, rotated, stretches, topk


def answer(tmp_path, entries, **params):
    parsed = DictionaryQualityParams(conditions=(), n_resamples=200, **params)
    return DictionaryQuality().run(Told(tmp_path, entries, stretches()), parsed)


def test_planted_directions_beat_frozen_ones_and_are_found_again(tmp_path):
    result = answer(tmp_path, {"true": [topk(EYE), topk(EYE[::-1].copy())], **frozen()})
    by_claim = [one for one in result.judgements if one.claim == "KO-03"]
    assert [one.verdict for one in by_claim] == ["holds"] * 3
    assert by_claim[0].measurement.value == pytest.approx(0.0, abs=1e-9)
    stable = next(one for one in result.judgements if one.claim == "AS-01")
    assert stable.measurement.value == pytest.approx(1.0)
    assert stable.verdict == "explained by control"  # the two frozen seeds are one and the same


def test_no_better_than_frozen_is_explained_by_it(tmp_path):
    entries = {"poor": [topk(rotated(5)), topk(rotated(6))], **frozen()}
    same = {**entries, "frozen decoder": [topk(rotated(5), "decoder")] * 2}
    result = answer(tmp_path, {**same, "poor": [topk(rotated(5))] * 2})
    verdicts = {one.sentence: one.verdict for one in result.judgements if one.claim == "KO-03"}
    told = next(v for s, v in verdicts.items() if "a frozen decoder" in s)
    assert told == "explained by control"


def test_worse_than_frozen_does_not_hold(tmp_path):
    entries = {"poor": [topk(rotated(5))], **frozen(), "frozen decoder": [topk(EYE, "decoder")]}
    result = answer(tmp_path, entries)
    assert result.judgements[0].verdict == "does not hold"


def test_one_test_recording_says_nothing_about_others(tmp_path):
    context = Told(tmp_path, {"true": [topk(EYE)], **frozen()}, stretches(n_clips=2))
    parsed = DictionaryQualityParams(conditions=(), n_resamples=200)
    result = DictionaryQuality().run(context, parsed)
    by_claim = [one for one in result.judgements if one.claim == "KO-03"]
    assert [one.verdict for one in by_claim] == ["cannot be tested here"] * 3
    assert by_claim[0].measurement.value == pytest.approx(0.0, abs=1e-9)
    assert all(one.interval is None for one in result.measurements)
    assert DictionaryQuality().view(result)


def test_different_seeds_that_agree_by_chance_only_do_not_hold(tmp_path):
    result = answer(tmp_path, {"poor": [topk(rotated(5)), topk(rotated(6))]})
    stable = next(one for one in result.judgements if one.claim == "AS-01")
    assert stable.measurement.value < 0.5
    assert stable.verdict == "does not hold"


def test_every_interval_holds_its_value(tmp_path):
    # Each recording has directions of its own: leaving one out lets their features die.
    clips = [(EYE[np.repeat([n // 2 % D, 0], 20)] * 1.5, {}) for n in range(2 * D)]
    context = Told(tmp_path, {"true": [topk(EYE)], **frozen()}, clips)
    parsed = DictionaryQualityParams(conditions=(), n_resamples=200)
    told = DictionaryQuality().run(context, parsed).measurements
    shown = {one.name.partition(": ")[2]: one for one in told if one.interval is not None}
    assert len(shown) > 5
    for name, one in shown.items():
        low, high = one.interval
        assert low - 1e-9 <= one.value <= high + 1e-9, name
    assert "share of dead features" not in shown


def test_dwell_time_is_that_of_the_planted_stretches(tmp_path):
    found, _ = measure_entries(
        Told(tmp_path, {"true": [topk(EYE)]}, stretches()),
        Asked(60_000, (), 0.7, 200),
        "tap",
        [Entry("true", "responses", 0, [topk(EYE)])],
    )
    # Two neighbouring stretches are of one direction in one case of eight.
    expected = 10 / (1 - 1 / 8) / 16_000
    assert found[0].value("dwell_s") == pytest.approx(expected, rel=0.05)
    low, high = found[0].interval("dwell_s")
    assert low < expected < high
    assert found[0].value("dwell_shuffled_s") == pytest.approx(1 / (1 - 1 / 8) / 16_000, rel=0.05)


def test_a_spec_without_baselines_is_warned_of(tmp_path):
    result = answer(tmp_path, {"true": [topk(EYE)]})
    assert result.facts["lacking"] == [
        "frozen decoder",
        "soft-frozen decoder",
        "frozen encoder",
    ]
    blocks = DictionaryQuality().view(result)
    told = [block for block in blocks if getattr(block, "tone", "") == "warning"]
    assert len(told) == 1
    assert 'frozen = "decoder"' in told[0].text
    assert {one.verdict for one in result.judgements if one.claim == "KO-03"} == {
        "cannot be tested here"
    }


def test_baselines_of_another_width_are_lacking():
    learned = Entry("a", "responses", 0, [topk(EYE)])
    narrow = Entry("b", "responses", 0, [topk(EYE[:4], "decoder")])
    assert "frozen decoder" in lacking([learned, narrow])
    wide = Entry("c", "responses", 0, [topk(EYE, "decoder")])
    assert "frozen decoder" not in lacking([learned, narrow, wide])


def test_roles():
    params = RandomDictionary.Params(n_features=8, k=1, centre=False, scale=False)
    kinds = [topk(EYE), topk(EYE, "soft-decoder"), RandomDictionary(params, 8)]
    roles = [Entry("x", "responses", 0, [one]).role for one in kinds]
    assert roles == ["learned", "soft-frozen decoder", "random directions"]


def test_baselines_are_read_at_the_same_l0():
    entries = [
        Entry("learned", "responses", 0, [topk(EYE)]),
        Entry("sparse", "responses", 0, [topk(EYE, "decoder")]),
        Entry("full", "responses", 0, [topk(EYE, "decoder", 4)]),
        Entry("narrow", "responses", 0, [topk(EYE[:4], "decoder")]),
    ]
    l0 = {"learned": 2.0, "sparse": 1.0, "full": 4.0, "narrow": 2.0}
    found = beside(entries[0], entries, lambda one: l0[one.name])
    assert [(one.name, weight) for one, weight in found["frozen decoder"]] == [
        ("sparse", 0.5),
        ("full", 0.5),
    ]


@pytest.mark.parametrize(
    ("wanted", "l0s", "expected"),
    [
        (3.0, [3.0], [(0, 1.0)]),
        (3.3, [3.0], [(0, 1.0)]),
        (4.0, [3.0], None),
        (3.0, [], None),
        (3.0, [float("nan")], None),
        (0.0, [3.0], None),
        (3.0, [3.0, 3.0, 9.0], [(0, 1.0)]),
    ],
)
def test_where_two_do_not_stand_around_one_may_be_near(wanted, l0s, expected):
    assert at_l0(wanted, l0s) == expected


def test_a_run_keeps_a_scorecard_of_each_dictionary_and_its_training(tmp_path):
    sections = [
        {"name": "own", "type": "topk", "n_features": 8, "k": 2},
        {"name": "held", "type": "topk", "n_features": 8, "k": 2, "frozen": "decoder"},
        {"name": "drawn", "type": "random", "n_features": 8, "k": 2},
    ]
    asked = [{"type": "dictionary-quality", "conditions": ["noise"], "n_resamples": 100}]
    spec = tiny_spec(
        dictionaries=sections,
        analyses=asked,
        train={"steps": 20, "batch": 256, "seeds": [0, 1], "log_every": 5},
    )
    done: Run = run(spec, tmp_path)
    cards = sorted((tmp_path / "results" / "dictionary-quality" / "saebench").glob("*.json"))
    assert len(cards) == 3
    for path in cards:
        card = json.loads(path.read_text())
        assert sorted(card) == [
            "eval_config",
            "eval_result_details",
            "eval_result_metrics",
            "eval_type_id",
        ]
        assert card["eval_type_id"] == "core"
        assert len(card["eval_result_details"]) == 8
    told = {one["name"]: one for one in done.result("dictionary-quality")["facts"]["dictionaries"]}
    card = json.loads(next(path for path in cards if "own" in path.name).read_text())
    assert card["eval_result_metrics"]["sparsity"]["l0"] == 2.0
    assert told["own"]["figures"]["l0"]["value"] == 2.0
    blocks = {getattr(b, "title", ""): b for b in done.blocks("dictionary-quality")}
    training = blocks["conv.0: loss while training"]
    assert [one.name for one in training.series] == ["own", "held"]
    assert training.series[0].x.tolist() == [5, 10, 15, 20]
