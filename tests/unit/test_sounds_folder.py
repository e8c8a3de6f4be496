"""Folders of recordings: formats, broken files, hostile names."""

import hashlib
import os
import sys

import numpy as np
import pytest
import soundfile

from auscult.core.errors import AudioError, ConfigError
from auscult.sounds.base import SOUNDS, clips
from auscult.sounds.decoding import decode

RATE = 8_000


def noise(seconds=0.5, seed=0, n_channels=1):
    rng = np.random.default_rng(seed)
    return 0.1 * rng.standard_normal((round(seconds * RATE), n_channels))


def source(folder, **params):
    cls, parsed = SOUNDS.parse({"type": "folder", "path": str(folder), **params}, "sounds")
    return cls(parsed, 0)


def names(found):
    return [recording.recording_id for recording in found.recordings()]


@pytest.fixture
def folder(tmp_path):
    """One good recording, so that a bad one beside it is skipped rather than the end."""
    soundfile.write(tmp_path / "good.wav", noise(), RATE)
    return tmp_path


def reason(folder, name):
    """Why a file was left out while the folder was scanned."""
    found = source(folder)
    assert names(found) == ["good.wav"]
    return {skipped.name: skipped.reason for skipped in found.skipped}[name]


def reason_when_cut(folder, name):
    """Why a file was left out when it was decoded."""
    found, skipped = source(folder), []
    stream = clips(
        found,
        found.recordings(),
        sample_rate=RATE,
        n_channels=1,
        clip_seconds=None,
        on_skip=skipped.append,
    )
    assert [clip.recording_id for clip in stream] == ["good.wav"]
    return {skip.name: skip.reason for skip in skipped}[name]


# What can be decoded


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "FLOAT", 1e-7),
        ("a.flac", "PCM_16", 1e-4),
        ("a.aiff", "PCM_16", 1e-4),
        ("a.AIF", "PCM_24", 1e-6),
    ],
)
def test_a_lossless_file_gives_its_samples_back(tmp_path, name, subtype, tolerance):
    samples = noise(n_channels=2)
    kind = {"AIF": "AIFF"}.get(name.split(".")[1])
    soundfile.write(tmp_path / name, samples, RATE, subtype=subtype, format=kind)
    found = source(tmp_path)
    audio = found.load(found.recordings()[0])
    assert (audio.sample_rate, audio.source) == (RATE, name)
    np.testing.assert_allclose(audio.samples, samples.T, atol=tolerance)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3", "a.opus"])
def test_a_lossy_file_keeps_its_tone_and_its_length(tmp_path, name):
    rate = 48_000
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate)
    soundfile.write(tmp_path / name, tone, rate, format="OGG" if name == "a.opus" else None,
                    subtype="OPUS" if name == "a.opus" else None)  # fmt: skip
    found = source(tmp_path)
    audio = found.load(found.recordings()[0])
    assert audio.samples.shape == (1, rate)
    spectrum = np.abs(np.fft.rfft(audio.samples[0]))
    assert np.argmax(spectrum) == 1_000
    assert spectrum[1_000] / (rate / 2) == pytest.approx(0.5, rel=0.05)


def test_a_long_vorbis_file_is_read_to_its_end(tmp_path):
    # More frames than one block of the reader; libsndfile writes long Vorbis only in pieces.
    rate, n_frames = 16_000, 2**20 + 12_345
    with soundfile.SoundFile(tmp_path / "long.ogg", "w", rate, 1) as file:
        for start in range(0, n_frames, 2**16):
            n_piece = min(2**16, n_frames - start)
            file.write(0.3 * np.sin(2 * np.pi * 440 * (start + np.arange(n_piece)) / rate))
    found = source(tmp_path)
    samples = found.load(found.recordings()[0]).samples
    assert samples.shape == (1, n_frames)
    assert np.abs(samples[0, -8_000:]).max() == pytest.approx(0.3, rel=0.05)


def test_an_extension_does_not_have_to_tell_the_format(tmp_path):
    soundfile.write(tmp_path / "really.flac", noise(), RATE)
    (tmp_path / "really.flac").rename(tmp_path / "said.wav")
    found = source(tmp_path)
    assert found.load(found.recordings()[0]).n_samples == RATE // 2


def test_a_header_tells_the_duration(folder):
    assert source(folder).recordings()[0].duration_s == 0.5


def test_a_digest_is_that_of_the_bytes(folder):
    content = (folder / "good.wav").read_bytes()
    assert source(folder).recordings()[0].digest == hashlib.sha256(content).hexdigest()


def test_only_the_first_seconds_are_read_if_asked(folder):
    found = source(folder, max_seconds=0.125)
    recording = found.recordings()[0]
    assert (recording.duration_s, found.load(recording).n_samples) == (0.125, 1_000)


def test_scanning_decodes_nothing(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", refuse)
    assert names(source(folder)) == ["good.wav"]


# What is chosen


def test_folders_are_searched_in_depth_and_sorted(tmp_path):
    for index, name in enumerate(["b/x.wav", "a/deep/y.wav", "z.wav"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, noise(seed=index), RATE)
    assert names(source(tmp_path)) == ["a/deep/y.wav", "b/x.wav", "z.wav"]


def test_a_pattern_chooses_files(folder):
    (folder / "sub").mkdir()
    soundfile.write(folder / "sub" / "other.wav", noise(seed=1), RATE)
    assert names(source(folder, pattern="sub/*.wav")) == ["sub/other.wav"]


def test_extensions_choose_files(folder):
    soundfile.write(folder / "other.flac", noise(seed=1), RATE)
    assert names(source(folder, extensions=[".FLAC"])) == ["other.flac"]


def test_files_that_are_no_sound_are_passed_over(folder):
    (folder / "notes.txt").write_text("not a sound")
    found = source(folder)
    assert (names(found), found.skipped) == (["good.wav"], [])


def test_a_limit_chooses_by_content_and_keeps_the_order(tmp_path):
    for index in range(6):
        soundfile.write(tmp_path / f"{index}.wav", noise(seed=index), RATE)
    drawn = names(source(tmp_path, limit=3))
    assert len(drawn) == 3
    assert drawn == sorted(drawn)
    assert drawn != ["0.wav", "1.wav", "2.wav"]


def test_the_same_content_comes_once(folder):
    (folder / "copy.wav").write_bytes((folder / "good.wav").read_bytes())
    found = source(folder)
    assert names(found) == ["copy.wav"]
    assert found.skipped[0].reason == "has the same content as 'copy.wav'"


# What cannot be used


@pytest.mark.parametrize("name", ["bad.wav", "bad.flac", "bad.ogg", "bad.mp3", "bad.aiff"])
def test_random_bytes_are_skipped(folder, name):
    (folder / name).write_bytes(np.random.default_rng(0).bytes(4_000))
    assert reason(folder, name).startswith("cannot be decoded")


def test_an_empty_file_is_skipped(folder):
    (folder / "bad.wav").touch()
    assert reason(folder, "bad.wav") == "is an empty file"


@pytest.mark.parametrize("name", ["bad.wav", "bad.ogg", "bad.aiff"])
def test_a_file_without_samples_is_skipped(folder, name):
    soundfile.write(folder / name, np.zeros((0, 1)), RATE)
    assert reason(folder, name) == "has no samples"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_file_with_a_value_that_is_no_number_is_skipped_when_cut(folder, value):
    samples = noise()
    samples[100] = value
    soundfile.write(folder / "bad.wav", samples, RATE, subtype="FLOAT")
    assert "not numbers" in reason_when_cut(folder, "bad.wav")


def test_integers_stored_as_floats_are_skipped_when_cut(folder):
    soundfile.write(folder / "bad.wav", 32_768 * noise(), RATE, subtype="FLOAT")
    assert "scale its samples" in reason_when_cut(folder, "bad.wav")


@pytest.mark.parametrize("name", ["bad.flac", "bad.mp3", "bad.wav"])
def test_a_file_that_breaks_off_is_skipped_when_cut(folder, name):
    soundfile.write(folder / "whole.bin", noise(4), RATE, format=name[4:].upper())
    content = (folder / "whole.bin").read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    assert reason_when_cut(folder, name).startswith(("breaks off", "cannot be decoded"))


@pytest.mark.parametrize("name", ["bad.m4a", "bad.WMA", "bad.aac"])
def test_a_format_that_is_not_decoded_is_named(folder, name):
    (folder / name).write_bytes(b"whatever")
    assert "convert it to WAV or FLAC" in reason(folder, name)


def test_a_format_that_hides_under_another_extension_is_named(folder):
    (folder / "bad.wav").write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(100))
    assert reason(folder, "bad.wav").startswith("is MPEG-4 audio")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>", "is HTML or XML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"PK\x03\x04", "is a ZIP archive"),
    ],
)
def test_what_only_looks_like_a_sound_is_named(folder, content, what):
    (folder / "bad.wav").write_bytes(content + bytes(200))
    assert reason(folder, "bad.wav").startswith(what)


@pytest.mark.parametrize("size", [0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_stream_that_did_not_know_its_length_is_heard_whole(folder, size):
    soundfile.write(folder / "stream.wav", noise(), RATE, subtype="PCM_16")
    content = bytearray((folder / "stream.wav").read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")
    (folder / "stream.wav").write_bytes(content)
    assert decode(folder / "stream.wav")[0].shape == (1, len(noise()))


def test_an_impossible_sample_rate_is_skipped(folder):
    soundfile.write(folder / "bad.wav", noise(), 1)
    assert "samples per second" in reason(folder, "bad.wav")


def test_a_header_that_promises_more_than_there_is_allocates_nothing(folder):
    soundfile.write(folder / "bad.flac", noise(), RATE)
    content = bytearray((folder / "bad.flac").read_bytes())
    # STREAMINFO: bytes 21 to 25 hold the lower 36 bits of 64 as the number of samples.
    content[21] |= 0x0F
    content[22:26] = b"\xff\xff\xff\xff"
    (folder / "bad.flac").write_bytes(content)
    assert reason_when_cut(folder, "bad.flac").startswith(("breaks off", "cannot be decoded"))


def test_a_hidden_file_is_skipped(folder):
    soundfile.write(folder / "._good.wav", noise(seed=1), RATE)
    assert reason(folder, "._good.wav") == "is hidden"


def test_a_named_pipe_is_skipped_without_opening_it(folder):
    os.mkfifo(folder / "pipe.wav")
    assert reason(folder, "pipe.wav") == "is not a plain file"


def test_a_link_out_of_the_folder_is_skipped(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.wav"
    soundfile.write(outside, noise(seed=1), RATE)
    (folder / "link.wav").symlink_to(outside)
    assert (
        reason(folder, "link.wav")
        == "is a link that leads out of the folder: put the file itself there"
    )


def test_a_link_to_a_folder_is_not_followed(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    soundfile.write(outside / "secret.wav", noise(seed=1), RATE)
    (folder / "link").symlink_to(outside)
    assert "not followed" in reason(folder, "link")


def test_a_file_behind_a_linked_folder_is_skipped(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    soundfile.write(outside / "secret.wav", noise(seed=1), RATE)
    (folder / "link").symlink_to(outside)
    with pytest.raises(AudioError, match="leads out of the folder"):
        source(folder, pattern="link/*.wav").recordings()


@pytest.mark.parametrize("target", ["loop.wav", "missing.wav"])
def test_a_link_that_leads_nowhere_is_skipped(folder, target):
    (folder / "loop.wav").symlink_to(folder / target)
    assert reason(folder, "loop.wav").startswith("cannot be read")


def test_a_folder_named_like_a_sound_is_searched(folder):
    (folder / "album.wav").mkdir()
    soundfile.write(folder / "album.wav" / "one.wav", noise(seed=1), RATE)
    found = source(folder)
    assert names(found) == ["album.wav/one.wav", "good.wav"]
    assert found.skipped == []


def test_a_file_that_changed_since_the_scan_is_skipped_when_cut(folder):
    found = source(folder)
    recording = found.recordings()[0]
    soundfile.write(folder / "good.wav", noise(1), RATE)
    with pytest.raises(AudioError, match=r"'good.wav' has changed"):
        found.load(recording)


def test_a_file_that_vanished_since_the_scan_is_an_audio_error(folder):
    found = source(folder)
    recording = found.recordings()[0]
    (folder / "good.wav").unlink()
    with pytest.raises(AudioError, match=r"'good.wav' cannot be read"):
        found.load(recording)


def test_a_folder_without_usable_sound_is_an_error_with_the_first_reason(tmp_path):
    (tmp_path / "bad.wav").touch()
    with pytest.raises(AudioError, match=r"no usable sound; 1 were skipped.*is an empty file"):
        source(tmp_path).recordings()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere does not exist"):
        source(tmp_path / "nowhere").recordings()


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "a/../../*", ""])
def test_a_pattern_cannot_leave_the_folder(folder, pattern):
    with pytest.raises(ConfigError, match="must be a glob below the folder"):
        source(folder, pattern=pattern)


# Hostile names


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>".replace("/", "∕") + ".wav",
        "\x1b[31mred\x07.wav",
        "line\nbreak.wav",
        "a\\..\\b.wav",
        "-rf $(touch x); .wav",
        "#0.wav",
        "%00.wav",
    ],
)
def test_a_hostile_name_is_text(tmp_path, name):
    soundfile.write(tmp_path / name, noise(), RATE)
    found = source(tmp_path)
    assert names(found) == [name]
    assert found.load(found.recordings()[0]).n_samples == RATE // 2


@pytest.mark.skipif(sys.platform != "linux", reason="only here are file names bytes")
def test_a_name_that_is_no_unicode_can_be_written_as_text(tmp_path):
    soundfile.write(tmp_path / "ok.wav", noise(), RATE)
    os.rename(tmp_path / "ok.wav", os.fsencode(tmp_path) + b"/caf\xe9.wav")  # noqa: PTH104
    found = source(tmp_path)
    assert names(found) == ["caf\\xe9.wav"]
    assert found.recordings()[0].recording_id.encode()
    assert found.load(found.recordings()[0]).n_samples == RATE // 2
