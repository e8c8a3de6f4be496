"""Every registered sound source keeps the contract."""

import numpy as np
import pytest
import soundfile

from auscult.sounds.base import SOUNDS
from auscult.testing.sounds import CHECKS
from tests.copies import surge

SHORT = {"n": 4, "seconds": 0.3, "sample_rate": 8_000}
SECTIONS = {
    "bundled": {"limit": 2},
    "chirps": SHORT,
    "chords": SHORT,
    "flat": SHORT,
    "mixtures": {**SHORT, "f_hz": [80, 3_500]},
    "noise": SHORT,
    "notes": SHORT,
    "onsets": SHORT,
    "sine": SHORT,
    "tones": SHORT,
    "phase-randomised": {"of": {"type": "chords", **SHORT}},
    "time-shuffled": {"of": {"type": "tones", **SHORT}},
}


@pytest.fixture(scope="module")
def sound_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for name, rate in [("a.wav", 8_000), ("b.flac", 16_000), ("c.ogg", 22_050)]:
        soundfile.write(folder / name, 0.1 * rng.standard_normal((rate // 4, 2)), rate)
    return folder


@pytest.fixture(scope="module")
def copy_of_a_data_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("surge")
    surge(folder)
    return folder


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted({*SECTIONS, "folder", "task"}))
def test_a_sound_source_keeps_the_contract(name, check, sound_folder, copy_of_a_data_set):
    on_disk = {
        "folder": {"path": str(sound_folder)},
        "task": {"name": "surge-octave", "path": str(copy_of_a_data_set)},
    }
    check({"type": name, **(on_disk.get(name) or SECTIONS[name])})


def test_every_registered_source_is_under_contract():
    assert SOUNDS.names() == sorted({*SECTIONS, "folder", "task"})
