"""Interventions on a codec whose frames are its samples: every answer is known."""

from pathlib import Path

import numpy as np
import pytest

from auscult.core.errors import NothingToMeasureError
from auscult.measures.partial_levels import level_db, own_partials_hz, path_roughness
from auscult.sounds.synthetic import hz_of
from auscult.testing.studies import answer

CEILING = "ceiling: frames of the other note alone"
CODECS = Path(__file__).parents[1] / "contract" / "own_codecs.py"
RATE = 16_000


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    spec = {
        "name": "known",
        "model": {
            "type": "python",
            "path": str(CODECS),
            "factory": "frames",
            "encode": "encode",
            "decode": "decode",
        },
        "sounds": {"type": "notes", "n": 6, "seconds": 0.5, "clip_seconds": 0.5},
        "record": {"taps": ["latent"]},
    }
    params = {"n_pairs": 6, "n_companies": 2, "seconds": 0.6}
    return answer(spec, tmp_path_factory.mktemp("frames"), "note-interventions", **params)


def number(told, beginning):
    return next(one for one in told.measurements if one.name.startswith(beginning))


def test_samples_have_no_direction_of_a_note_but_frames_of_the_other_note_take_it_out(told):
    one = told.judgements[0]
    assert abs(one.measurement.value) < 1
    assert one.measurement.controls[CEILING] > 40
    assert one.verdict == "holds"


def test_a_claim_outlives_every_way_of_taking_the_direction_out(told):
    """The mean of a note's samples is nothing: subtracting it is no intervention, projecting is."""
    one = told.judgements[0].measurement
    by_way = [
        told.arrays[f"latent/direction {way}/gap/own"][-1 if way != "subtracted" else 2]
        for way in ("subtracted", "projected out", "set to its mean without the note")
    ]
    assert one.value == pytest.approx(max(by_way))
    names = [sound.label for sound in told.sounds]
    assert len(names) == len(set(names)) == 8


def test_what_a_clip_is_called_is_what_it_sounds_like(told):
    """The partials of the note that is taken out, read on the very sounds that the page plays."""
    sounds = {sound.label: sound.waveform for sound in told.sounds}
    both = next(label for label in sounds if label.endswith("(MIDI)"))
    first, second = (int(word) for word in both.split() if word.isdigit())
    rate = told.sounds[0].sample_rate
    partials = own_partials_hz(hz_of(first), hz_of(second), rate)
    level = {label: level_db(wave, partials, rate) for label, wave in sounds.items()}
    assert level[f"{second} alone, round trip"] < level[both] - 30
    assert level[f"{first}: walk to the other note alone"] < level[both] - 30
    # The mean of samples is no note: what is subtracted leaves the note where it was.
    assert level[f"{first}: direction subtracted"] == pytest.approx(level[both], abs=0.1)


def test_a_patch_of_samples_changes_nothing_outside_its_span(told):
    assert number(told, "patch: share").value > 0.97


def test_doses_end_where_the_other_note_is_alone(told):
    """Samples are frames: all channels patched are the other note itself, and none of it moves."""
    arrays = told.arrays
    for way in ("patched from the other note alone", "walk to the other note alone"):
        gap = arrays[f"latent/{way}/gap/own"]
        assert gap[0] == 0
        assert gap[-1] == pytest.approx(told.judgements[0].measurement.controls[CEILING], abs=1e-6)
    brought = arrays["latent/patched into the other note alone/gap/own"]
    assert brought[-1] > 40
    isolation = {row[0]: row[5] for row in told.facts["rows"]}
    assert isolation["latent: walk to the other note alone"] > 0.9


def test_the_floor_of_a_codec_that_changes_nothing_is_zero(told):
    one = number(told, "direction projected out")
    assert one.controls["floor: the round trip moves partials by"] == pytest.approx(0, abs=1e-6)


def test_a_walk_through_a_linear_codec_is_the_walk_of_waveforms(told):
    walk = number(told, "walk")
    assert walk.value == pytest.approx(walk.controls["waveforms mixed in as many steps"], abs=1e-3)


def test_a_level_is_that_of_the_sine_and_not_of_its_neighbour():
    t = np.arange(RATE) / RATE
    wave = 0.1 * np.sin(2 * np.pi * 440 * t) + 0.5 * np.sin(2 * np.pi * 660 * t)
    assert level_db(wave, np.array([440.0]), RATE) == pytest.approx(-20, abs=0.2)
    assert level_db(wave, np.array([660.0]), RATE) == pytest.approx(20 * np.log10(0.5), abs=0.2)
    assert level_db(wave, np.array([1500.0]), RATE) < -80


def test_shared_partials_belong_to_neither_note():
    # a fifth: every third partial of the lower note meets every second of the upper one
    own = own_partials_hz(200.0, 300.0, RATE)
    np.testing.assert_allclose(own, [200, 400, 800, 1000, 1400, 1600])
    with pytest.raises(NothingToMeasureError):
        own_partials_hz(400.0, 100.0, RATE)


def test_a_straight_path_is_not_rough():
    assert path_roughness(np.linspace([0.0, 10], [10.0, 0], 5)) == pytest.approx(0)
    bent = np.array([[0.0], [6.0], [0.0]])
    assert path_roughness(bent) == pytest.approx(np.sqrt(36 / 3))
