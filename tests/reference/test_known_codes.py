"""Codecs whose codes stand for a band, or for a place within the period."""

from pathlib import Path

import pytest

from auscult.testing.studies import answer

CODECS = Path(__file__).parents[1] / "contract" / "own_codecs.py"


def spec(factory):
    return {
        "name": "known",
        "model": {
            "type": "python",
            "path": str(CODECS),
            "factory": factory,
            "encode": "encode",
            "quantise": ["quantize", "dequantize"],
            "decode": "decode",
        },
        "sounds": {"type": "notes", "n": 12, "seconds": 0.5, "clip_seconds": 0.5},
        "record": {"taps": ["latent"]},
    }


def judged(tmp_path, factory, name, **params):
    return answer(spec(factory), tmp_path, name, **params)


@pytest.fixture(scope="module")
def bands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bands")
    return judged(folder, "bands", "code-stability", n_shifts=4, n_pairs=24)


def test_codes_of_bands_stay_when_a_note_begins_later(bands):
    first = bands.judgements[0]
    assert first.measurement.value > 0.95
    assert first.verdict == "holds"


def test_codes_of_bands_are_foretold_in_company(bands):
    second = bands.judgements[1]
    assert second.measurement.value > second.measurement.controls["codes of other notes"] + 0.1


def test_codes_of_phases_do_not_stay(tmp_path):
    first = judged(tmp_path, "phases", "code-stability", n_shifts=4, n_pairs=8).judgements[0]
    assert first.measurement.value < 0.8
    assert first.verdict == "does not hold"


def test_codes_of_bands_tell_pitch_and_one_level_is_all_there_is(tmp_path):
    result = judged(tmp_path, "bands", "codes", n_clips=6, n_shown=2)
    assert result.facts["levels"] == 1
    told = {one.claim or one.measurement.name: one for one in result.judgements}
    octave = told["information on octave"]
    assert octave.measurement.value > 0.4
    assert octave.measurement.controls["labels of another recording"] < 0.2
    # nothing in this codec is learned: random weights tell as much, and the verdict says so
    assert octave.verdict == "explained by control"
    assert len(result.sounds) == 2


def test_with_its_only_level_exchanged_everything_goes(tmp_path):
    result = judged(tmp_path, "bands", "code-levels", n_clips=4)
    by = {(one.name, one.tap): one for one in result.measurements}
    # Behind the only level there is nothing to leave out, and so nothing to measure.
    assert not any("left out" in name for name, _ in by)
    swapped = by["log-mel distance: this level exchanged", "level 1"]
    assert swapped.value > 3
    assert result.judgements[0].measurement.value > 0.4


@pytest.mark.parametrize("name", ["codes", "code-levels", "code-stability"])
def test_codes_that_are_no_levels_cannot_be_read_level_by_level(name, tmp_path):
    result = judged(tmp_path, "scalars", name)
    assert {one.verdict for one in result.judgements} == {"cannot be tested here"}
    assert "24 codes a frame, and the first of them alone" in result.judgements[0].reason
