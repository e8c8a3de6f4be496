"""Shapes of fragments: what a recording explains, and what the end of a clip does."""

import numpy as np
import pytest

from auscult.analyses.parts.cards import Places
from auscult.analyses.parts.dictionaries.fragment_shapes import (
    RANDOM_FRAGMENTS,
    SHAPES,
    Compared,
    ShapeBench,
    selective,
)
from auscult.analyses.parts.reading import Sample
from auscult.core.timebase import TimeBase

N = 400
NAMES = [f"rising-{i}" for i in range(4)] + [f"noise-{i}" for i in range(4)]


def wave(name):
    rng = np.random.default_rng(NAMES.index(name))
    noise = 0.1 * rng.standard_normal(N)
    ramps = (np.arange(N) % 40) / 40 - 0.5
    return (noise + ramps * name.startswith("rising")).astype(np.float32)


@pytest.fixture(scope="module")
def bench():
    ids, frames = np.repeat(NAMES, N), np.tile(np.arange(N), len(NAMES))
    own = Sample(np.zeros((len(ids), 1), np.float32), ids, frames, ids)
    places = Places(own, TimeBase(8000).after_conv(8), wave)
    rows = np.random.default_rng(0).choice(len(ids), 600, replace=False)
    return ShapeBench.of(places, rows, np.random.default_rng(1))


def test_a_feature_of_one_kind_of_recording_is_no_more_selective_than_these_recordings(bench):
    rng = np.random.default_rng(2)
    rising = np.flatnonzero(bench.numbers >= 4)
    rows = rng.choice(rising, 150, replace=False)
    own, null = bench.compare(rows), bench.compare(bench.matched(rows, rng))
    assert own.extreme > 0.15
    assert null.extreme == pytest.approx(own.extreme, abs=0.08)


def test_a_feature_that_marks_rises_exceeds_the_recordings_it_is_on_in(bench):
    rng = np.random.default_rng(3)
    frames = bench.places.own.frames
    rows = np.flatnonzero((bench.numbers >= 4) & (frames % 40 < 30) & (frames < N - 10))[:150]
    own, null = bench.compare(rows), bench.compare(bench.matched(rows, rng))
    assert own.areas["slope"] > 0.7
    assert own.extreme > null.extreme + 0.05
    one = selective("tap", [own], [null])
    assert one.interval[0] <= one.value <= one.interval[1] + 0.05
    assert one.controls == {RANDOM_FRAGMENTS: null.extreme}


def test_fragments_beyond_the_end_of_a_clip_are_left_out(bench):
    last = np.flatnonzero(bench.places.own.frames >= N - 4)
    found = bench.compare(last)
    assert np.isnan(list(found.areas.values())).all()
    assert np.isnan(selective("tap", [found], [found]).value)
    inside = np.flatnonzero(bench.places.own.frames == 100)
    mixed = bench.compare(np.concatenate([last, inside]))
    assert mixed.areas == bench.compare(inside).areas


def test_the_interval_is_over_recordings():
    """Where all that differs lies in one of two recordings, drawing the other one changes it."""
    ids, frames = np.repeat(["rising-0", "noise-0"], N), np.tile(np.arange(N), 2)
    own = Sample(np.zeros((len(ids), 1), np.float32), ids, frames, ids)
    places = Places(own, TimeBase(8000).after_conv(8), wave)
    rng = np.random.default_rng(0)
    bench = ShapeBench.of(places, rng.choice(2 * N, 300, replace=False), rng)
    rows = np.flatnonzero((frames % 40 < 30) & (frames < N - 10))
    found = bench.compare(rows)
    low, high = selective("tap", [found], [found]).interval
    assert high - low > 0.05


def test_a_feature_that_speaks_in_none_of_the_recordings_drawn_does_not_end_the_interval():
    nan = float("nan")
    areas = dict.fromkeys(SHAPES, 0.8)
    one = Compared(areas, 0.3, np.array([0.1, nan, 0.3, nan]))
    other = Compared(areas, 0.3, np.array([0.3, 0.4, nan, nan]))
    found = selective("tap", [one, other], [one, other])
    # The draws give 0.2, 0.4 and 0.3; of the last nothing is known.
    np.testing.assert_allclose(found.interval, np.quantile([0.2, 0.4, 0.3], [0.025, 0.975]))
