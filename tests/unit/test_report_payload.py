"""Blocks as data for scripts: packed, shortened and saying so, and named where they are wrong."""

import base64
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.blocks import (
    Animation,
    Axis,
    Bars,
    Clip,
    ClipGrid,
    Curve,
    Gallery,
    GalleryItem,
    Graph,
    Heatmap,
    Histogram,
    Lanes,
    Scatter,
    Series,
    Table,
)
from auscult.core.errors import InvariantError
from auscult.report.exports import Exporter
from auscult.report.layout import circle, drawable
from auscult.report.media import SoundLibrary
from auscult.report.payload import Payloads, packed, pooled

AXIS = Axis("x")
X = np.arange(4.0)
RATE = 16_000


class Desk:
    """Payloads over one sound of two seconds, and what they wrote."""

    def __init__(self, folder: Path) -> None:
        time = np.arange(2 * RATE) / RATE
        (folder / "clips").mkdir()
        soundfile.write(folder / "clips" / "a.flac", 0.1 * np.sin(2 * np.pi * 440 * time), RATE)
        index = {"a#0": {"file": "clips/a.flac", "label": "a"}}
        self.written: dict[str, bytes] = {}
        self.library = SoundLibrary(folder, index, folder / "report")
        self.exporter = Exporter("page", self.library, self.written.__setitem__)
        self.payloads = Payloads(self.library, self.exporter, self.written.__setitem__)

    def of(self, block: object) -> dict:
        return self.payloads.of(block, "key")


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def unpacked(told: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(told["f32"]), "<f4").reshape(told["shape"])


def test_a_short_array_stays_readable_and_nan_is_null():
    assert packed(np.array([1.0, 2.5, np.nan, np.inf])) == [1, 2.5, None, None]


def test_a_long_array_is_packed_row_by_row():
    values = np.arange(60.0).reshape(3, 20)
    np.testing.assert_array_equal(unpacked(packed(values)), values)


def test_pooling_keeps_the_largest_magnitude_of_each_stretch():
    values = np.random.default_rng(0).standard_normal((3, 23))
    slow = [[max(row[i : i + 5], key=abs) for i in range(0, 23, 5)] for row in values.tolist()]
    np.testing.assert_allclose(pooled(values, 5, axis=1), slow)


def test_pooling_passes_over_what_is_no_number():
    np.testing.assert_array_equal(
        pooled(np.array([np.nan, -2.0, 1.0, 3.0]), 2, axis=0), [-2.0, 3.0]
    )


def test_many_frames_are_pooled_and_the_note_says_so(desk):
    times = np.linspace(0, 2, 4001)
    lanes = Lanes("map", Clip("a#0", 0.0, 2.0, "a"), times, times[None], ("one",), AXIS)
    told = desk.of(lanes)
    assert told["values"]["shape"] == [1, 1334]
    assert told["note"] == "Drawn with the largest magnitude of every 3 frames."


def test_a_large_matrix_is_pooled_and_the_note_says_so(desk):
    size = np.arange(2000.0)
    told = desk.of(Heatmap("m", np.outer(size, size), size, size, AXIS, AXIS, AXIS, note="Big."))
    assert told["values"]["shape"] == [1000, 1000]
    assert told["note"] == "Big. Drawn with the largest magnitude of every 2 × 2 cells."


def test_many_points_are_thinned_and_the_note_says_so(desk):
    points = np.arange(9000.0)
    told = desk.of(Scatter("s", points, points, AXIS, AXIS))
    assert told["x"]["shape"] == [3000]
    assert told["note"] == "One in 3 of 9,000 points is drawn."


def path(n_frames: int, **more: object) -> Animation:
    times = np.linspace(0, 2, n_frames)
    return Animation("p", Clip("a#0", 0.0, 2.0, "a"), times, times, -times, AXIS, AXIS, **more)


def test_a_long_path_is_thinned_and_its_lanes_keep_their_peaks(desk):
    activity = np.zeros((1, 12_001))
    activity[0, 4] = -7.0
    told = desk.of(path(12_001, lanes=("one",), lane_values=activity, value_axis=AXIS))
    assert told["x"]["shape"] == [4001]
    assert told["lane_values"]["shape"] == [1, 4001]
    assert unpacked(told["lane_values"])[0, 1] == -7.0
    assert told["note"] == "One in 3 of 12,001 frames is drawn."


def test_a_path_without_lanes_stays_as_it_was(desk):
    told = desk.of(path(50))
    assert (told["lanes"], told["lane_values"], told["note"]) == ([], None, "")


def graph(n: int, *links: tuple[int, int, float]) -> Graph:
    sources, targets, weights = (np.array(part) for part in zip(*links, strict=True))
    names = tuple(f"node {i}" for i in range(n))
    sizes = np.arange(n, 0, -1.0)
    return Graph("g", names, sizes, sources, targets, weights, AXIS)


def test_a_graph_comes_with_the_places_of_its_nodes(desk):
    told = desk.of(graph(4, (0, 2, 0.5), (2, 1, 0.2)))
    assert told["type"] == "Graph"
    assert unpacked(told["places"]).shape == (4, 2)


def test_the_largest_node_is_at_the_top_and_its_strongest_partner_beside_it():
    places = circle(graph(4, (0, 2, 0.5), (2, 1, 0.2), (3, 1, 0.1)))
    # Clockwise from the top: 0, then 2, then 1, then 3, a quarter turn each.
    np.testing.assert_allclose(places, [[0, -1], [0, 1], [1, 0], [-1, 0]], atol=1e-12)


def test_links_in_both_directions_count_together():
    places = circle(graph(3, (0, 1, 0.5), (0, 2, 0.3), (2, 0, 0.3)))
    angles = np.degrees(np.arctan2(places[:, 0], -places[:, 1])) % 360
    np.testing.assert_allclose(angles, [0, 240, 120], atol=1e-9)


def test_a_large_graph_keeps_the_largest_nodes_and_the_note_says_so():
    links = [(i, i + 1, 1.0) for i in range(59)]
    kept = drawable(graph(60, *links))
    assert kept.nodes == tuple(f"node {i}" for i in range(48))
    assert len(kept.weights) == 47
    assert kept.note == (
        "The 48 largest of 60 nodes are drawn. The 47 strongest of 59 links are drawn."
    )


def test_many_links_keep_the_strongest_with_their_ends():
    links = [(i % 20, (7 * i + i // 20) % 20, float(i)) for i in range(300)]
    kept = drawable(graph(20, *links))
    assert kept.weights.tolist() == [float(i) for i in range(299, 59, -1)]
    assert (kept.sources[0], kept.targets[0]) == (299 % 20, (7 * 299 + 14) % 20)


LONGER = np.arange(5.0)


@pytest.mark.parametrize(
    "block",
    [
        Curve("c", X, (Series("s", LONGER),), AXIS, AXIS),
        Curve("c", X, (Series("s", X, low=LONGER),), AXIS, AXIS),
        Histogram("h", X, (Series("s", X),), AXIS),
        Heatmap("m", np.ones((4, 5)), X, X, AXIS, AXIS, AXIS),
        Heatmap("m", np.ones((4, 5)), LONGER, LONGER, AXIS, AXIS, AXIS),
        Scatter("s", X, LONGER, AXIS, AXIS),
        Scatter("s", X, X, AXIS, AXIS, labels=("a",)),
        Bars("b", ("a", "b"), X, AXIS, AXIS),
        Table("t", ("a", "b"), ((1,),)),
        Lanes("l", Clip("a#0", 0.0, 1.0, ""), X, np.ones((1, 5)), ("a",), AXIS),
        Lanes("l", Clip("a#0", 0.0, 1.0, ""), X, np.ones((1, 4)), ("a", "b"), AXIS),
        Animation("p", Clip("a#0", 0.0, 1.0, ""), X, X, LONGER, AXIS, AXIS),
    ],
    ids=[
        "curve",
        "band of a curve",
        "histogram",
        "columns",
        "rows",
        "points",
        "labels of points",
        "bars",
        "cells",
        "frames",
        "lanes",
        "a path",
    ],
)
def test_parts_that_do_not_fit_are_named_and_not_drawn(block, desk):
    told = desk.of(block)
    assert told["type"] == "Missing"
    assert "do not fit" in told["reason"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: path(4, lanes=("a",), lane_values=np.ones((1, 5))), "1 lanes over 4 frames"),
        (lambda: path(4, lanes=("a", "b"), lane_values=np.ones((1, 4))), "2 lanes over 4 frames"),
        (lambda: path(4, lanes=("a",)), "its values have shape"),
        (lambda: graph(3, (0, 3, 1.0)), "a node that is not there"),
        (lambda: graph(3, (-1, 0, 1.0)), "a node that is not there"),
        (
            lambda: Graph("g", ("a",), X, np.array([0]), np.array([0]), np.array([1.0]), AXIS),
            "do not fit its nodes",
        ),
        (
            lambda: Graph("g", ("a",), X[:1], np.array([0, 0]), np.array([0]), X[:1], AXIS),
            "do not fit its nodes",
        ),
    ],
    ids=["frames", "lanes", "no values", "past the end", "before the start", "sizes", "links"],
)
def test_graphs_and_lanes_that_contradict_themselves_cannot_be_made(make, said):
    with pytest.raises(InvariantError, match=said):
        make()


def test_a_clip_says_what_a_player_needs(desk):
    told = desk.of(Clip("a#0", 0.5, 1.25, "top fragment 1", (0.6, 0.7)))
    assert told["say"] == "top fragment 1, 0.50 to 1.25 s of a"
    assert (told["start"], told["stop"], told["duration"], told["rate"]) == (0.5, 1.25, 2.0, RATE)
    # 0.1 amplitude is -23.01 LUFS at 997 Hz; the K curve takes a little less than 1 dB at 440 Hz.
    assert told["gain"] == pytest.approx(0.7, abs=0.3)
    assert told["mark"] == [0.6, 0.7]


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (Clip("b#0", 0.0, 1.0, ""), "does not list this clip"),
        (Clip("a#0", 2.5, 3.0, ""), "outside the clip of 2.000 s"),
        (Clip("a#0", 1.0, 1.0, ""), "outside the clip of 2.000 s"),
    ],
)
def test_a_clip_that_cannot_be_played_says_why(clip, reason, desk):
    assert reason in desk.of(clip)["missing"]


@pytest.mark.parametrize(
    "name", ["../../secret.flac", "clips/../manifest.json", "/etc/hostname", "clips"]
)
def test_a_clip_outside_the_clips_folder_is_never_read(name, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "manifest.json").write_text("{}")
    library = SoundLibrary(tmp_path, {"a": {"file": name}}, tmp_path / "report")
    assert library.find("a") is None
    assert list(tmp_path.rglob("*.mp3")) == []


def test_a_damaged_sound_is_missing_and_not_fatal(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.flac").write_bytes(b"fLaC and then nothing")
    library = SoundLibrary(tmp_path, {"a": {"file": "clips/a.flac"}}, tmp_path / "report")
    assert library.find("a") is None
    assert library.missing["a"]


def test_a_sound_that_was_forgotten_is_read_again(desk, monkeypatch):
    monkeypatch.setattr("auscult.report.media._REMEMBERED", 0)
    sound = desk.library.find("a#0")
    assert desk.library.gain(sound, 0.0, 2.0) == sound.whole


def test_a_clip_is_encoded_once_for_all_its_excerpts(desk):
    clips = tuple(Clip("a#0", i / 10, i / 10 + 0.5, str(i)) for i in range(10))
    desk.of(ClipGrid("grid", clips))
    assert len(desk.library.written) == 4


def test_items_of_a_gallery_are_left_in_files_of_eight(desk):
    items = tuple(GalleryItem(f"item {i}", {"usage": i / 4, "peak_hz": 1.0}, ()) for i in range(20))
    told = desk.of(Gallery("g", items, {"peak_hz": "Hz"}, "usage"))
    assert sorted(desk.written) == ["data/key-0.js", "data/key-1.js", "data/key-2.js"]
    assert told["measures"][0]["name"] == "usage"
    assert told["measures"][0]["values"][:3] == [0, 0.25, 0.5]
    assert told["measures"][1]["label"] == "peak"


def test_fragments_of_an_item_are_exported_with_its_band(desk):
    grid = ClipGrid("top", (Clip("a#0", 0.5, 1.0, "top fragment 1"),))
    measures = {"band_low_hz": 400.0, "band_high_hz": 500.0}
    desk.of(Gallery("g", (GalleryItem("feature 7", measures, (grid,)),), {}, "band_low_hz"))
    (sound,) = desk.exporter.finish()
    assert [link.label for link in sound.links] == [
        "Audacity labels",
        "Sonic Visualiser CSV",
        "JAMS",
    ]
    assert desk.written["exports/page/a.labels.txt"].decode() == (
        "0.500000\t1.000000\tfeature 7: top fragment 1\n\\\t400.000000\t500.000000\n"
    )


def test_lanes_are_exported_whole_though_they_are_drawn_pooled(desk):
    times = np.linspace(0, 2, 4001)
    told = desk.of(Lanes("map", Clip("a#0", 0.0, 2.0, "a"), times, times[None], ("one",), AXIS))
    assert [link["label"] for link in told["exports"]] == [
        "Audacity labels",
        "Sonic Visualiser CSV",
    ]
    assert desk.written[told["exports"][1]["href"]].count(b"\n") == 4001
