"""Layers of which it is known how compositional they are, heard through the whole test."""

import numpy as np
import pytest

from auscult.core.errors import NothingToMeasureError
from auscult.measures.company import Bench, chords, partials, pitches, timbres
from auscult.measures.compositionality import (
    ADDS,
    FOUND,
    STABLE,
    in_company,
    of_chords,
    of_timbres,
    standardised,
)
from auscult.measures.constant_q import constant_q

RATE = 16_000


@pytest.fixture(scope="module")
def bench():
    made = Bench(RATE, RATE // 2, seed=0)
    made.add(np.zeros(RATE // 2))
    parts = {
        "partial": partials(made, 2, 4),
        "pitch": pitches(made, 2, 4),
        "timbre": timbres(made),
        "chord": chords(made, 1),
    }
    return made.waves, parts


@pytest.fixture(scope="module")
def apart(bench):
    """What a log constant-Q spectrum says, averaged over time."""
    return standardised(constant_q(bench[0], RATE)[0].mean(1))


@pytest.fixture(scope="module")
def holistic(bench):
    """A layer that answers to the whole of each sound: nothing of its parts can be read off."""
    return standardised(np.random.default_rng(0).standard_normal((len(bench[0]), 40)))


def test_a_layer_that_keeps_partials_apart_scores_high(bench, apart):
    one = in_company(apart, bench[1]["partial"], 0)
    assert one.score > 0.8
    assert one.interval[0] > 0.7
    assert min(one.polyphony) > 0.75


def test_it_keeps_notes_and_chords_apart_too(bench, apart):
    assert in_company(apart, bench[1]["pitch"], 0).score > 0.55
    assert of_chords(apart, bench[1]["chord"], 0).score > 0.6
    assert of_timbres(apart, bench[1]["timbre"], 0).score > 0.3


def test_a_holistic_layer_scores_nothing(bench, holistic):
    for concept in ("partial", "pitch"):
        one = in_company(holistic, bench[1][concept], 0)
        assert one.score < 0.15
        assert abs(np.mean(one.polyphony - one.chance)) < 0.15
    assert of_chords(holistic, bench[1]["chord"], 0).score < 0.15
    assert of_timbres(holistic, bench[1]["timbre"], 0).score < 0.2


def test_a_linear_layer_of_envelopes_adds_up_and_a_saturating_one_does_not(bench):
    waves, parts = bench
    f_hz = np.geomspace(220.0, min(4000.0, 0.9 * 0.45 * RATE), 12)
    t = np.arange(waves.shape[1]) / RATE
    bank = np.exp(2j * np.pi * f_hz[:, None] * t) * np.hanning(len(t))
    level = np.abs(waves @ bank.T) / len(t)
    linear = in_company(standardised(level), parts["partial"], 0).parts
    squashed = in_company(
        standardised(np.tanh(300 * level.sum(1, keepdims=True)) + 1e-3 * level), parts["partial"], 0
    ).parts
    assert linear[ADDS].value > 0.98
    assert linear[FOUND].value > 0.98
    assert linear[STABLE].corrected > 0.8
    assert squashed[ADDS].value < linear[ADDS].value - 0.2


def test_a_tone_at_the_centre_of_a_band_reads_its_amplitude_there_and_nowhere_far():
    hz = 110.0 * 2 ** (48 / 24)
    tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
    values, time = constant_q(tone[None], RATE)
    inside = time.frames_within(0, RATE)
    read = np.expm1(values[0, inside.start : inside.stop]) * 1e-3
    np.testing.assert_allclose(read[:, 48], 0.3, rtol=0.01)
    assert read[:, np.abs(np.arange(read.shape[1]) - 48) > 4].max() < 0.01


def test_constant_q_agrees_with_librosa():
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(0)
    hz = 110.0 * 2 ** (np.array([10, 31, 55, 80]) / 24)
    t = np.arange(2 * RATE) / RATE
    wave = (rng.uniform(0.05, 0.2, 4) @ np.sin(2 * np.pi * hz[:, None] * t)).astype(np.float32)
    values, time = constant_q(wave[None], RATE)
    inside = time.frames_within(0, len(wave))
    own = np.expm1(values[0, inside.start : inside.stop]).mean(0) * 1e-3
    other = np.abs(
        librosa.cqt(
            wave,
            sr=RATE,
            fmin=110.0,
            n_bins=len(own),
            bins_per_octave=24,
            hop_length=256,
            scale=False,
        )
    )
    middle = other[:, 40:80].mean(1)
    lengths, _ = librosa.filters.wavelet_lengths(
        freqs=110.0 * 2 ** (np.arange(len(own)) / 24), sr=RATE
    )
    middle = 2 * middle / lengths
    peaks = [10, 31, 55, 80]
    np.testing.assert_allclose(own[peaks], middle[peaks], rtol=0.1)


def test_a_layer_that_says_the_same_to_everything_cannot_be_told():
    with pytest.raises(NothingToMeasureError, match="same to every sound"):
        standardised(np.ones((5, 3)))
    with pytest.raises(NothingToMeasureError, match="not finite"):
        standardised(np.array([[0.0], [np.nan]]))
