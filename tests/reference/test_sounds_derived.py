"""Controls made from other sounds, and sounds on disk, keep what they promise to keep."""

import numpy as np
import pytest

from auscult.sounds.base import SOUNDS, split
from auscult.sounds.corpus import write_corpus
from auscult.sounds.derived import phase_randomised, time_shuffled

RATE = 16_000


def source(kind, **params):
    cls, parsed = SOUNDS.parse({"type": kind, "sample_rate": RATE, **params}, "sounds")
    return cls(parsed, 0)


# Derived sounds


@pytest.mark.parametrize("n_samples", [1_000, 1_001])
def test_random_phases_keep_the_magnitude_spectrum(n_samples):
    samples = np.random.default_rng(0).standard_normal((2, n_samples)).astype(np.float32)
    turned = phase_randomised(samples, np.random.default_rng(1))
    before, after = np.abs(np.fft.rfft(samples)), np.abs(np.fft.rfft(turned))
    np.testing.assert_allclose(after, before, atol=1e-4 * before.max())


def test_random_phases_keep_what_channels_have_in_common():
    one = np.random.default_rng(0).standard_normal(1_000).astype(np.float32)
    turned = phase_randomised(np.stack([one, -0.5 * one]), np.random.default_rng(1))
    np.testing.assert_allclose(turned[1], -0.5 * turned[0], atol=1e-5)


def test_random_phases_spread_a_click_over_the_whole_sound():
    click = np.zeros((1, 1_000), np.float32)
    click[0, 500] = 1
    power = phase_randomised(click, np.random.default_rng(0))[0] ** 2
    assert power.max() < 0.05 * power.sum()


def test_a_mean_stays_where_phases_are_random():
    turned = phase_randomised(np.full((1, 100), 0.25, np.float32), np.random.default_rng(0))
    np.testing.assert_allclose(turned, 0.25, atol=1e-6)


def test_shuffling_moves_whole_blocks():
    shuffled = time_shuffled(np.arange(22, dtype=np.float32)[None], 5, np.random.default_rng(0))[0]
    blocks = shuffled[:20].reshape(4, 5)
    np.testing.assert_array_equal(np.diff(blocks), 1)
    np.testing.assert_array_equal(np.sort(blocks[:, 0]), [0, 5, 10, 15])
    assert blocks[:, 0].tolist() != [0, 5, 10, 15]
    np.testing.assert_array_equal(shuffled[20:], [20, 21])


@pytest.mark.parametrize("kind", ["phase-randomised", "time-shuffled"])
def test_a_derived_source_is_split_as_its_original(kind):
    of = {"type": "sine", "n": 30, "sample_rate": RATE, "seconds": 0.1}
    original = SOUNDS.parse(of, "sounds")
    shares = {"train": 0.5, "test": 0.5}
    before = split(original[0](original[1], 0).recordings(), shares, 0)
    cls, params = SOUNDS.parse({"type": kind, "of": of}, "sounds")
    after = split(cls(params, 0).recordings(), shares, 0)
    for side, recordings in before.items():
        expected = [f"{kind}/{r.recording_id}" for r in recordings]
        assert [r.recording_id for r in after[side]] == expected


def test_a_derived_source_passes_on_what_was_skipped(tmp_path):
    write_corpus(source("sine", n=2, seconds=0.1), tmp_path)
    (tmp_path / "bad.wav").touch()
    of = {"type": "folder", "path": str(tmp_path)}
    cls, params = SOUNDS.parse({"type": "time-shuffled", "of": of}, "sounds")
    derived = cls(params, 0)
    derived.recordings()
    assert [skipped.name for skipped in derived.skipped] == ["bad.wav"]


# On disk


@pytest.mark.parametrize(("form", "tolerance"), [("WAV", 0), ("FLAC", 2e-7)])
def test_a_corpus_on_disk_has_the_samples_and_labels_of_its_source(tmp_path, form, tolerance):
    made = source("mixtures", n=3, seconds=0.2)
    write_corpus(made, tmp_path, form)
    section = {"type": "folder", "path": str(tmp_path), "labels": {"table": "labels.csv"}}
    cls, params = SOUNDS.parse(section, "sounds")
    stored = cls(params, 0)
    for before, after in zip(made.recordings(), stored.recordings(), strict=True):
        assert after.labels == {**before.labels, "recording_id": before.recording_id}
        expected, actual = made.load(before).samples, stored.load(after).samples
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_a_corpus_is_written_inside_its_folder_whatever_the_names(tmp_path):
    import soundfile

    (tmp_path / "in").mkdir()
    samples = 0.1 * np.random.default_rng(0).standard_normal(800)
    soundfile.write(tmp_path / "in" / "a\\..\\evil \x1b[31m<b>.wav", samples, 8_000)
    cls, params = SOUNDS.parse({"type": "folder", "path": str(tmp_path / "in")}, "sounds")
    write_corpus(cls(params, 0), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "000000-a_.._evil_31m_b_.wav.flac",
        "labels.csv",
    ]
