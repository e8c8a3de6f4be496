"""What bad input gets, from one end to the other."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.core.errors import AudioError, UserError
from auscult.experiment.run import run
from auscult.report.render import render
from tests.e2e.conftest import tiny_spec

RATE = 22_050
HOSTILE = "<img src=x onerror=alert(1)>.wav"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four good sounds of different kinds, and five that nobody can use."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.normal(size=RATE // 2)
    soundfile.write(sounds / "good.wav", noise, RATE)
    soundfile.write(sounds / "stereo.flac", np.stack([noise, noise[::-1]], 1), RATE)
    soundfile.write(sounds / "slow.wav", noise, 8_000)
    soundfile.write(sounds / HOSTILE, noise[::-1].copy(), RATE)
    soundfile.write(sounds / "nan.wav", np.full(999, np.nan, np.float32), RATE, subtype="FLOAT")
    soundfile.write(sounds / "empty.wav", np.zeros(0), RATE)
    (sounds / "broken.wav").write_bytes(b"RIFF\x00\x00 not a sound")
    (sounds / "zero.flac").write_bytes(b"")
    (sounds / "text.mp3").write_text("no music")
    return sounds


def spec_of(folder: Path, **changes):
    sounds = {
        "type": "folder",
        "path": str(folder),
        "clip_seconds": 0.5,
        "split": {"train": 0.5, "test": 0.5},
    }
    return tiny_spec(sounds=sounds, analyses=[{"type": "features", "most_vectors": 300}], **changes)


def test_unusable_sounds_are_listed_with_reasons_and_the_run_goes_on(folder: Path, tmp_path: Path):
    done = run(spec_of(folder), tmp_path / "r")
    skipped = {Path(one["name"]).name: one["reason"] for one in done.manifest["skipped"]}
    assert set(skipped) == {"nan.wav", "empty.wav", "broken.wav", "zero.flac", "text.mp3"}
    assert all(reason for reason in skipped.values())
    sides = done.manifest["sides"]["trained weights, real sounds"]
    heard = {name for side in sides.values() for name in side} - set(skipped)
    assert heard == {"good.wav", "stereo.flac", "slow.wav", HOSTILE}
    page = render(done.folder).read_text(encoding="utf-8")
    assert "broken.wav" in page
    assert "<img src=x" not in page


def test_a_folder_without_a_usable_sound_is_an_error(tmp_path: Path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "broken.wav").write_bytes(b"RIFF\x00\x00 not a sound")
    with pytest.raises(AudioError):
        run(spec_of(sounds), tmp_path / "r")


def test_a_folder_of_silence_is_an_error_that_says_so(tmp_path: Path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for i, seconds in enumerate((1, 2)):
        soundfile.write(sounds / f"{i}.wav", np.zeros(seconds * RATE), RATE, subtype="PCM_24")
    with pytest.raises(AudioError, match=r"every clip is silent \(below -60 dB"):
        run(spec_of(sounds), tmp_path / "r")


def test_a_missing_folder_is_a_sentence(tmp_path: Path):
    with pytest.raises(UserError, match="nowhere"):
        run(spec_of(tmp_path / "nowhere"), tmp_path / "r")


def test_clips_shorter_than_the_network_needs_are_refused_with_the_reason(tmp_path: Path):
    spec = tiny_spec(record={"taps": ["act.6"]})
    spec["sounds"] = {**spec["sounds"], "clip_seconds": 0.12, "seconds": 0.5}
    with pytest.raises(UserError, match=r"samples|span|short"):
        run(spec, tmp_path / "r")
