"""Folds against transforms of decimated sines; collapse against counts by hand."""

import numpy as np
import pytest

from auscult.core.timebase import TimeBase
from auscult.measures.collapse import Signal, collapses, correlation, signals, tone_grid
from auscult.measures.folding import alias_classes, alike, collapse_of, folded_hz, near
from auscult.measures.stages import Stage
from auscult.measures.tone_sweep import Lines, lines_of


@pytest.mark.parametrize("stride", [2, 3, 8, 40])
@pytest.mark.parametrize("hz", [130.0, 1_111.0, 3_333.0, 7_000.0])
def test_a_decimated_sine_has_its_line_where_the_fold_says(stride, hz):
    fs, n = 24_000, 24_000
    kept = np.sin(2 * np.pi * hz * np.arange(n) / fs)[::stride]
    spectrum = np.abs(np.fft.rfft(kept * np.hanning(len(kept))))
    seen = spectrum.argmax() * fs / stride / len(kept)
    assert seen == pytest.approx(folded_hz(np.array([hz]), fs / stride)[0], abs=1.0)


def test_classes_chain_and_pairs_do_not():
    folded = np.array([100.0, 108.0, 116.0, 300.0])
    assert alias_classes(folded, 10.0).tolist() == [0, 0, 0, 1]
    found = collapse_of(near(folded, 10.0))
    assert found.rate == 0.5
    assert found.pairs == pytest.approx(2 / 6)


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_the_components_of_meeting(seed):
    folded = np.random.default_rng(seed).uniform(0, 100, 20)
    n_classes = len(set(alias_classes(folded, 4.0).tolist()))
    assert collapse_of(near(folded, 4.0)).rate == pytest.approx(1 - n_classes / 20)


def test_a_common_phase_does_not_part_two_patterns():
    pattern = np.array([1.0 + 1j, 2.0, -0.5j])
    other = np.array([2.0, -1.0 - 1j, 0.3])
    met = alike(np.stack([pattern, 3 * np.exp(0.7j) * pattern, other, 0 * pattern]))
    assert met.tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, False],
    ]


def test_lines_hold_amplitude_place_and_shift():
    """Two channels: 0.3 cos on a folded line over a shift of 2, and a harmonic in the other."""
    fs, rate, n = 24_000, 600.0, 300
    hz = 7_040.0
    t = np.arange(n) / rate
    first = 2.0 + 0.3 * np.cos(2 * np.pi * 160 * t)
    second = 0.1 * np.cos(2 * np.pi * folded_hz(np.array([2 * hz]), rate)[0] * t)
    found = lines_of(np.stack([first, second], 1)[None], np.array([hz]), rate, np.zeros(2))
    assert found.predicted_hz[0] == pytest.approx(160.0)
    assert found.peak_hz[0] == pytest.approx(160.0, abs=0.01)
    assert abs(found.amplitudes[0, 0]) == pytest.approx(0.3, rel=1e-3)
    assert found.shift[0] == pytest.approx([2.0, 0.0], abs=1e-3)
    assert found.at_fold[0] == pytest.approx(0.9, abs=2e-3)
    assert found.at_harmonics[0] == pytest.approx(0.1, abs=2e-3)
    assert fs / rate == 40


def test_silence_has_no_line():
    found = lines_of(np.zeros((1, 64, 2)), np.array([440.0]), 600.0, np.zeros(2))
    assert np.isnan(found.peak_hz[0])
    assert np.isnan(found.at_fold[0])


def test_signals_lie_in_the_grid_and_harmonics_are_exact():
    grid = tone_grid(24_000, 96)
    some = signals(96, 6, 8, np.random.default_rng(0))
    assert {one.kind for one in some} == {"harmonic", "stretched", "octaves", "random", "cluster"}
    for one in some:
        assert len(set(one.partials.tolist())) == len(one.partials) >= 3
        if one.kind == "harmonic":
            hz = grid[one.partials]
            np.testing.assert_allclose(hz / hz[0], np.arange(1, len(hz) + 1))


def test_a_correlation_of_what_does_not_vary_is_none():
    assert np.isnan(correlation(np.ones(5), np.arange(5.0)))


def test_identity_is_lost_only_where_line_and_pattern_meet():
    """Partials 0 and 1 share a line and no pattern, 0 and 2 a pattern and no line, 3 and 4 both."""
    patterns = np.array([[1, 0], [0, 1], [1, 0], [1, 1], [1j, 1j]], complex)
    peaks = np.array([100.0, 100.0, 300.0, 500.0, 500.0])
    none = np.zeros(5)
    heard = Lines(peaks, peaks, 1.0, patterns, np.zeros((5, 2)), none, none, none)
    stage = Stage("x", "Conv1d", TimeBase(16_000).after_conv(1_600, 16), 2)
    signal = Signal("random", "planted", np.arange(5))
    found = collapses(
        [signal], [stage], np.array([100.0, 110.0, 300.0, 500.0, 505.0]), {"x": heard}
    )
    assert stage.resolution_hz == 10.0
    assert found.observed.tolist() == [pytest.approx(2 / 5)]
    assert found.lost.tolist() == [pytest.approx(1 / 5)]
    assert found.pairs.tolist() == [pytest.approx(2 / 10)]
    assert found.predicted.tolist() == [pytest.approx(1 / 5)]
