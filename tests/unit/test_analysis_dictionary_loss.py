"""Loss recovered: closed forms, and a codec through dictionaries whose answer is known."""

import json

import numpy as np
import pytest
import torch

from auscult.analyses.dictionary_loss import DictionaryLoss, DictionaryLossParams
from auscult.analyses.parts.dictionaries.lineup import Entry
from auscult.analyses.parts.dictionaries.loss_pictures import TapLosses, pictures
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.own_task import own_task
from auscult.dictionaries.splicing import levelled, silenced
from auscult.experiment.run import run
from auscult.measures.loss_recovered import MEAN, MODEL, ZERO, loss_recovered, task_losses
from auscult.models.base import MODELS
from auscult.testing.studies import answer

ONES = np.ones((1, 3))
PLAIN = {"centre": False, "scale": False}


@pytest.mark.parametrize(
    ("own", "expected"), [([1, 2, 3], 1.0), ([5, 6, 7], 0.0), ([3, 4, 5], 0.5), ([9, 10, 11], -1.0)]
)
def test_shares_by_hand(own, expected):
    model, ablated = np.array([1.0, 2, 3]), np.array([5.0, 6, 7])
    found = loss_recovered(np.array(own, float), ablated, model, ONES)
    assert found.value == pytest.approx(expected)
    assert found.resampled == pytest.approx([expected])


def test_what_is_better_when_higher_gives_the_same_share():
    model, ablated, own = np.array([10.0, 8]), np.array([-40.0, -50]), np.array([-15.0, -21])
    lower = loss_recovered(-own, -ablated, -model, np.ones((1, 2)))
    assert loss_recovered(own, ablated, model, np.ones((1, 2))).value == pytest.approx(lower.value)


def test_a_draw_weighs_clips():
    model, ablated = np.zeros(2), np.array([1.0, 3.0])
    own = np.array([0.0, 3.0])
    found = loss_recovered(own, ablated, model, np.array([[2.0, 0.0], [0.0, 2.0]]))
    assert found.value == pytest.approx(0.25)
    assert found.resampled == pytest.approx([1.0, 0.0])


def test_an_ablation_that_does_no_damage_leaves_nothing_to_recover():
    same = np.array([1.0, 2.0])
    assert np.isnan(loss_recovered(same + 1, same, same, np.ones((1, 2))).value)


def spec(**changes):
    topk = {"type": "topk", "n_features": 32, "k": 4}
    return {
        "name": "loss",
        "seed": 0,
        "model": {"type": "mini-encodec"},
        "sounds": {
            "type": "notes",
            "n": 8,
            "seconds": 0.5,
            "clip_seconds": 0.5,
            "split": {"train": 0.5, "test": 0.5},
        },
        "record": {"taps": ["latent"]},
        "dictionaries": [
            {"name": "own", **topk},
            {"name": "held", **topk, "frozen": "decoder"},
            {"name": "all of it", "type": "pca", "n_features": 32},
        ],
        "train": {"steps": 60, "batch": 256, "seeds": [0]},
        **changes,
    }


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loss")
    return answer(spec(), folder, "dictionary-loss", n_clips=3, n_resamples=100)


def test_a_dictionary_that_gives_everything_back_recovers_everything(result):
    bars = next(b for b in result.blocks if type(b).__name__ == "Bars")
    shares = dict(zip(bars.names, bars.values, strict=True))
    assert shares["all of it"] == pytest.approx(1.0, abs=1e-3)
    assert shares["own"] < 0.99


def test_the_table_has_the_intervals_of_the_bars(result):
    bars = next(b for b in result.blocks if type(b).__name__ == "Bars")
    table = next(b for b in result.blocks if type(b).__name__ == "Table")
    shown = {row[0]: row[3:6] for row in table.rows}
    assert table.columns[3:6] == ("recovered (mean)", "low", "high")
    for row in zip(bars.names, bars.values, bars.low, bars.high, strict=True):
        assert shown[row[0]] == pytest.approx(row[1:])
    assert shown["mean ablation"] == (None, None, None)


def test_bars_that_could_only_be_numbered_are_left_to_the_table():
    names = [f"{i}" for i in range(31)]
    cls, params = DICTIONARIES.parse({"type": "random", "n_features": 4, **PLAIN}, "here")
    one = cls.build(params, 4, 0)
    entries = {name: Entry(name, "responses", 0, [one]) for name in names}
    losses = {name: {"part": np.ones(2)} for name in (*names, MODEL, MEAN, ZERO)}
    l0 = dict.fromkeys(names, 1.0)

    def kinds(n):
        some = dict(list(entries.items())[:n])
        found = TapLosses("conv", "part", some, l0, losses, np.ones((9, 2)))
        return [type(block).__name__ for block in pictures(found)]

    assert kinds(30) == ["Bars", "Curve", "Table"]
    assert kinds(31) == ["Curve", "Table"]


def test_ablations_and_the_model_stand_beside_each_part(result):
    told = {one.name: one for one in result.measurements}
    sdr = told["own: SI-SDR of the output"]
    assert sdr.unit == "dB"
    assert sdr.controls[MODEL] > sdr.value > sdr.controls[MEAN]
    assert told["own: convergence of the output"].controls[ZERO] == pytest.approx(1.0, abs=0.05)


def test_the_page_plays_what_was_decoded(result):
    labels = [one.label for one in result.sounds]
    assert len(labels) == 6
    went_in, through = result.sounds[:2]
    assert went_in.sample_rate == 24_000
    assert through.waveform.shape == went_in.waveform.shape
    silenced_sound = result.sounds[-1]
    assert "silenced" in silenced_sound.label
    level = [float(np.sqrt(np.mean(np.square(s.waveform)))) for s in (through, silenced_sound)]
    assert level[1] < level[0] / 5


def test_cards_have_both_ablations(result):
    card = result.scorecards["latent all of it"].to_json()
    assert card["eval_type_id"] == "own_task"
    shares = card["eval_result_metrics"]["model_performance_preservation"]
    assert shares["loss_score_zero_ablation"] == pytest.approx(1.0, abs=1e-3)


def test_a_model_without_a_task_is_told_and_the_run_goes_on(tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "def net():\n"
        "    made = torch.nn.Sequential(torch.nn.Conv1d(1, 8, 16, 4), torch.nn.ReLU())\n"
        "    made.sample_rate = 8000\n"
        "    return made\n"
    )
    model = {"type": "python", "path": str(tmp_path / "net.py"), "factory": "net"}
    asked = [{"type": "dictionary-loss"}]
    done = run(
        spec(
            model=model,
            record={"taps": ["1"]},
            dictionaries=spec()["dictionaries"][:1],
            analyses=asked,
        ),
        tmp_path / "run",
    )
    told = done.result("dictionary-loss")["judgements"]
    assert {one["verdict"] for one in told} == {"cannot be tested here"}
    assert "neither a codec nor has it labels" in told[0]["reason"]


def test_a_part_that_there_is_not_is_a_sentence(tmp_path):
    result = answer(spec(), tmp_path, "dictionary-loss", n_clips=2, part="loudness")
    assert "'loudness' is no part of this loss" in result.facts["missing"][0][2]


@torch.no_grad()
def test_the_ablations_do_what_they_say():
    cls, params = MODELS.parse({"type": "mini-encodec"}, "model")
    model = cls.build(params, "trained", 0)
    task = own_task(model)
    clip = torch.randn(1, 1, 12_000) * 0.1
    mean = torch.zeros(32)
    losses = task_losses(
        task,
        {
            ZERO: {"latent": silenced},
            MEAN: {"latent": levelled(mean)},
            "nothing": {"latent": lambda values, time: values},
        },
        [clip],
        lambda task, sound, own: own,
    )
    assert losses[ZERO]["total"] == pytest.approx(losses[MEAN]["total"])
    assert losses["nothing"]["total"] == pytest.approx(0.0, abs=1e-5)
    assert losses[MODEL]["total"] == pytest.approx(0.0, abs=1e-5)
    assert losses[ZERO]["total"] > 0.5


def test_its_settings_are_those_of_the_page():
    assert DictionaryLossParams().part is None
    assert DictionaryLoss.controls(DictionaryLossParams()) == ()


def test_cards_can_be_written(result):
    for card in result.scorecards.values():
        json.dumps(card.to_json())
