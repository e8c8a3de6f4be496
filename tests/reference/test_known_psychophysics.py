"""Psychophysics of a network whose tuning is known, and of one without any."""

import numpy as np
import pytest

from auscult.analyses.psychophysics import Psychophysics
from auscult.blocks import Gallery, Heatmap, SmallMultiples
from auscult.testing.planted_tuning import RATE, Planted
from auscult.testing.studies import answer

SETTINGS = {"sweeps": ["pitch", "level", "AM rate"], "n_steps": 16, "n_repeats": 6, "seconds": 0.5}
PITCHES, LEVEL, RATE_UNIT, DEAF = [0, 1], 2, 3, [4, 5, 6, 7]


def asked(folder, factory):
    spec = {
        "name": "known tuning",
        "seed": 0,
        "model": {
            "type": "python",
            "path": "auscult.testing.planted_tuning",
            "factory": factory,
            "weights_argument": "random",
            "layouts": {"units": "bct"},
        },
        "sounds": {
            "type": "notes",
            "n": 4,
            "seconds": 0.6,
            "sample_rate": RATE,
            "split": {"train": 0.5, "test": 0.5},
        },
        "record": {"taps": ["units"], "silence_db": None},
        "controls": {"recordings": 2},
    }
    return answer(spec, folder, "psychophysics", n_shown=8, **SETTINGS)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return asked(tmp_path_factory.mktemp("planted"), "planted_tuning")


@pytest.fixture(scope="module")
def null(tmp_path_factory):
    return asked(tmp_path_factory.mktemp("deaf"), "deaf_network")


def curve(result, sweep, unit):
    best = result.facts["taps"]["units"][sweep]["best"]
    return result.arrays[f"units/{sweep}/curves"][:, best.index(unit)]


def gallery_of(page):
    return next(one for one in page if isinstance(one, Gallery))


def share(result, sweep):
    name = f"{sweep}: share of channels that are tuned to it"
    return next(one.measurement for one in result.judgements if one.measurement.name == name)


@pytest.mark.parametrize(("unit", "hz"), list(zip(PITCHES, Planted().pitch_hz, strict=True)))
def test_the_best_pitch_is_the_planted_one(found, unit, hz):
    steps = found.arrays["units/pitch/steps"]
    said = steps[curve(found, "pitch", unit).argmax()]
    assert abs(np.log2(said / hz)) <= 0.51 * np.log2(steps[1] / steps[0])


def test_the_best_rate_of_modulation_is_the_planted_one(found):
    steps = found.arrays["units/AM rate/steps"]
    said = steps[curve(found, "AM rate", RATE_UNIT).argmax()]
    assert abs(np.log2(said / Planted().am_hz[0])) <= 0.51 * np.log2(steps[1] / steps[0])


def test_the_threshold_of_level_is_the_planted_one(found):
    known = found.facts["taps"]["units"]["level"]
    steps = found.arrays["units/level/steps"]
    change = known["thresholds"][known["best"].index(LEVEL)]
    assert steps[0] + change == pytest.approx(Planted().level_db[0], abs=steps[1] - steps[0])


def test_each_sweep_moves_its_own_units_most(found):
    sweeps = found.facts["taps"]["units"]
    assert set(sweeps["pitch"]["best"][:2]) == set(PITCHES)
    assert sweeps["level"]["best"][0] == LEVEL
    assert sweeps["AM rate"]["best"][0] == RATE_UNIT


@pytest.mark.parametrize(
    ("sweep", "tuned", "most"),
    [
        ("pitch", PITCHES, 3),  # slow beats of low notes reach the unit of modulation too
        ("level", [LEVEL], 1),
        ("AM rate", [RATE_UNIT], 3),  # and side bands the filters
    ],
)
def test_what_was_planted_counts_as_tuned_and_the_deaf_never_do(found, sweep, tuned, most):
    measured = share(found, sweep)
    assert len(tuned) / Planted().n_units <= measured.value <= most / Planted().n_units
    assert measured.controls["steps permuted"] == 0
    assert measured.controls["random weights"] == 0
    known = found.facts["taps"]["units"][sweep]
    explained = dict(zip(known["best"], known["explained"], strict=True))
    assert max(explained[unit] for unit in DEAF) < 0.5
    assert min(explained[unit] for unit in tuned) > 0.95


def test_curves_are_drawn_as_shares_of_their_own_greatest(found):
    cards = gallery_of(Psychophysics().view(found)).items
    drawn = [one for card in cards for one in card.blocks if isinstance(one, SmallMultiples)]
    assert len(drawn) == len(SETTINGS["sweeps"])
    for picture in drawn:
        for curve_ in picture.curves:
            for series in curve_.series:
                assert np.max(series.y) == pytest.approx(1)


def test_planted_tuning_is_told_from_random_weights(found):
    told = {one.measurement.name.split(":")[0]: one.verdict for one in found.judgements[1:]}
    assert told == {"pitch": "holds", "level": "holds", "AM rate": "holds"}


def test_the_first_answer_is_the_mean_of_all_and_names_where_training_adds_most(found):
    overall, *each = found.judgements
    assert overall.verdict == "holds"
    assert overall.measurement.value == pytest.approx(np.mean([o.measurement.value for o in each]))
    gains = [o.measurement.value - o.measurement.controls["random weights"] for o in each]
    most = each[int(np.argmax(gains))].measurement.name.partition(":")[0]
    assert f"adds most to {most} at units ({100 * max(gains):+.0f} points)" in overall.sentence


def test_the_picture_of_what_training_adds_has_every_tap_and_parameter(found):
    page = Psychophysics().view(found)
    adds = next(one for one in page if isinstance(one, Heatmap))
    assert (adds.y_names, adds.x_names) == (("units",), tuple(SETTINGS["sweeps"]))
    cards = {card.name: card.measures["training adds"] for card in gallery_of(page).items}
    for name, points in zip(adds.x_names, adds.values[0], strict=True):
        one = share(found, name)
        gain = 100 * (one.value - one.controls["random weights"])
        assert (points, cards[f"units: {name}"]) == (pytest.approx(gain), pytest.approx(gain))


def test_nothing_is_found_where_nothing_was_planted(null):
    for sweep in SETTINGS["sweeps"]:
        assert share(null, sweep).value == 0
    assert {one.verdict for one in null.judgements} == {"does not hold"}
