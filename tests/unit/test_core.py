import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import auscult
from auscult.blocks import (
    Axis,
    Clip,
    ClipGrid,
    Curve,
    Finding,
    Gallery,
    GalleryItem,
    Series,
    clips_in,
    load_blocks,
    save_blocks,
)
from auscult.core.audio import Audio, level_db
from auscult.core.errors import AudioError, StoreError, suggestion
from auscult.core.manifest import digest_of_file, environment
from auscult.core.rng import named_rng, seed_of
from auscult.core.tensors import read_arrays, read_json, write_arrays, write_bytes, write_json


def tone(rate: int, hz: float, seconds: float = 0.5) -> Audio:
    t = np.arange(int(rate * seconds)) / rate
    return Audio(np.sin(2 * np.pi * hz * t, dtype=np.float32)[None], rate, "tone")


def peak_hz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples[0] * np.hanning(audio.n_samples)))
    return float(np.argmax(spectrum) * audio.sample_rate / audio.n_samples)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000])
def test_resampling_keeps_the_pitch_of_a_tone(rate):
    heard = tone(44_100, 1000.0).resampled(rate)
    assert heard.sample_rate == rate
    assert abs(peak_hz(heard) - 1000.0) <= 2.0


def test_resampling_removes_what_the_new_rate_cannot_hold():
    inside = tone(44_100, 6000.0).resampled(8_000).excerpt(400, 3600)  # the ends ring
    assert level_db(inside.samples) < -80


def test_mixing_down_averages_the_channels():
    stereo = Audio(np.stack([np.ones(4), -np.ones(4) * 0.5]).astype(np.float32), 10)
    np.testing.assert_allclose(stereo.with_channels(1).samples, np.full((1, 4), 0.25))


def test_there_is_no_mapping_from_two_channels_to_six():
    with pytest.raises(AudioError, match="has 2 channels, the model wants 6"):
        Audio(np.zeros((2, 4), np.float32), 10).with_channels(6)


def test_an_excerpt_remembers_where_it_lies():
    cut = tone(100, 1.0, seconds=1).excerpt(30, 60).excerpt(5, 100)
    assert (cut.offset_samples, cut.n_samples) == (35, 25)


@pytest.mark.parametrize(("start", "stop"), [(60, 60), (200, 300), (-5, 0)])
def test_an_empty_excerpt_is_refused(start, stop):
    with pytest.raises(AudioError, match="hold nothing"):
        tone(100, 1.0, seconds=1).excerpt(start, stop)


def test_a_name_decides_the_draw_and_the_order_of_draws_does_not():
    first = named_rng(7, "store", "clip-3").random(4)
    named_rng(7, "other").random(9)
    np.testing.assert_array_equal(first, named_rng(7, "store", "clip-3").random(4))
    assert seed_of(7, "a", "b") != seed_of(7, "ab")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"a": 1})

    def full_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"other")
    assert read_json(path) == {"a": 1}
    assert list(path.parent.iterdir()) == [path]


def test_equal_arrays_are_equal_bytes_whatever_their_order(tmp_path):
    a, b = np.arange(6.0).reshape(2, 3), np.arange(3)
    write_arrays(tmp_path / "1", {"a": a, "b": b})
    write_arrays(tmp_path / "2", {"b": b, "a": np.asfortranarray(a)})
    assert digest_of_file(tmp_path / "1") == digest_of_file(tmp_path / "2")
    np.testing.assert_array_equal(read_arrays(tmp_path / "2")["a"], a)


def test_arrays_are_written_from_where_they_lie(tmp_path):
    arrays = {name: np.full(2_000_000, 1.5, np.float32) for name in "ab"}
    tracemalloc.start()
    try:
        write_arrays(tmp_path / "all.safetensors", arrays)
        _, highest = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert highest < arrays["a"].nbytes / 4
    assert all((read_arrays(tmp_path / "all.safetensors")[name] == 1.5).all() for name in "ab")


def test_others_may_read_arrays_as_they_may_read_any_file(tmp_path):
    (tmp_path / "plain").touch()
    write_arrays(tmp_path / "all.safetensors", {"a": np.zeros(3)})
    assert (tmp_path / "all.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_where_nothing_can_be_written_nothing_is_left(tmp_path):
    (tmp_path / "all.safetensors").mkdir()
    with pytest.raises(OSError, match=r"all\.safetensors"):
        write_arrays(tmp_path / "all.safetensors", {"a": np.zeros(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["all.safetensors"]


@pytest.mark.parametrize("damage", [b"", b"not safetensors at all", b"\xff" * 64])
def test_a_damaged_file_is_a_sentence(tmp_path, damage):
    (tmp_path / "x").write_bytes(damage)
    with pytest.raises(StoreError, match="cannot be read"):
        read_arrays(tmp_path / "x")
    with pytest.raises(StoreError, match="cannot be read"):
        read_json(tmp_path / "x")


def test_blocks_come_back_as_they_were(tmp_path):
    curve = Curve(
        "c", np.arange(3.0), (Series("s", np.ones(3)),), Axis("time", "s"), Axis("level", "dB")
    )
    blocks = [
        Finding("It hears.", "0.9", "0.1", "holds"),
        curve,
        Gallery(
            "g",
            (GalleryItem("f0", {"usage": float("nan")}, (Clip("a#0", 0.0, 1.0, "x"),)),),
            {},
            "usage",
        ),
    ]
    save_blocks(tmp_path, blocks)
    again = load_blocks(tmp_path)
    assert again[0] == blocks[0]
    np.testing.assert_array_equal(again[1].series[0].y, curve.series[0].y)
    assert np.isnan(again[2].items[0].measures["usage"])
    assert again[2].items[0].blocks == blocks[2].items[0].blocks


def test_clips_are_found_however_deep():
    clip = Clip("a#0", 0.0, 1.0, "x")
    gallery = Gallery("g", (GalleryItem("f", {}, (ClipGrid("t", (clip, clip)),)),), {}, "usage")
    assert clips_in(gallery) == [clip, clip]


def test_suggestions_come_nearest_first():
    assert suggestion("tpk", ["topk", "relu"]) == "; did you mean 'topk'?"


def test_the_public_names_are_those_that_exist():
    assert len(auscult.__all__) <= 25
    assert set(auscult.__all__) == set(auscult._HOMES)
    for name in auscult.__all__:
        assert getattr(auscult, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'torch'"):
        _ = auscult.torch


def test_importing_auscult_loads_neither_torch_nor_numpy():
    code = "import auscult, sys, json; print(json.dumps([m for m in ('torch', 'numpy') if m in sys.modules]))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == []


def test_the_environment_names_what_numbers_depend_on():
    told = environment()
    assert told["packages"]["torch"].startswith("2.")
    assert told["threads"] >= 1
