"""Colour maps, spectrograms, outlines and the PNG writer."""

import struct
import zlib

import numpy as np
import pytest

from auscult.report.colour import tables
from auscult.report.spectrogram import LOWEST_HZ, outline, png, spectrogram

RATE = 16_000


def luminance(table: np.ndarray) -> np.ndarray:
    share = table / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(
    ("name", "place", "colour"),
    [
        ("sequential", 0, (0, 0, 4)),
        ("sequential", 128, (183, 56, 121)),
        ("sequential", 255, (252, 253, 191)),
        ("diverging", 0, (59, 76, 192)),
        ("diverging", 64, (141, 176, 254)),
        ("diverging", 127, (221, 221, 221)),
        ("diverging", 191, (244, 154, 123)),
        ("diverging", 255, (180, 4, 38)),
        ("boolean", 0, (255, 255, 255)),
        ("boolean", 255, (0, 0, 0)),
        ("cyclic", 0, (47, 20, 55)),
    ],
)
def test_colours_are_those_that_readers_know(name, place, colour):
    np.testing.assert_allclose(tables()[name][place], colour, atol=2)


def test_the_sequential_map_only_grows_lighter():
    assert np.all(np.diff(luminance(tables()["sequential"])) > -1e-4)


def test_the_diverging_map_is_lightest_in_the_middle():
    light = luminance(tables()["diverging"])
    assert np.argmax(light) in (127, 128)
    assert np.all(np.diff(light[:128:8]) > 0)
    assert np.all(np.diff(light[128::8]) < 0)


def test_the_cyclic_map_ends_where_it_begins():
    np.testing.assert_array_equal(tables()["cyclic"][0], tables()["cyclic"][-1])


@pytest.mark.parametrize("hz", [200.0, 1000.0, 5000.0])
def test_a_tone_lies_in_the_row_of_its_frequency(hz):
    time = np.arange(RATE) / RATE
    picture = spectrogram(np.sin(2 * np.pi * hz * time).astype(np.float32), RATE)
    row = int(picture[:, 100].argmax())
    found_hz = RATE / 2 * (LOWEST_HZ / (RATE / 2)) ** (row / (picture.shape[0] - 1))
    assert abs(np.log2(found_hz / hz)) < 0.08


def test_an_onset_lies_in_the_column_of_its_time():
    rng = np.random.default_rng(0)
    samples = np.zeros(RATE, np.float32)
    samples[RATE // 4 :] = 0.1 * rng.standard_normal(3 * RATE // 4)
    loud = spectrogram(samples, RATE).mean(axis=0) > 120
    assert abs(int(loud.argmax()) / len(loud) - 0.25) < 0.02


def test_silence_is_black():
    assert spectrogram(np.zeros(RATE, np.float32), RATE).max() == 0


def test_a_sound_shorter_than_a_window_still_has_a_picture():
    assert spectrogram(np.ones(3, np.float32), RATE).shape == (128, 1)


def test_a_png_decodes_to_what_was_encoded():
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data = png(levels)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            kind + body
        )
        chunks[kind] = body
        at += 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (4, 3, 8, 3, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(rows[:, 1:], levels)
    np.testing.assert_array_equal(rows[:, 0], 0)
    assert chunks[b"PLTE"] == tables()["sequential"].tobytes()


def test_an_outline_holds_the_extremes_of_each_stretch():
    samples = np.zeros(400, np.float32)
    samples[5], samples[205] = 1.0, -0.5
    low, high = outline(samples, sample_rate=40_000)  # 4 points of 100 samples
    np.testing.assert_array_equal(high, [127, 0, 0, 0])
    np.testing.assert_array_equal(low, [0, 0, -64, 0])
