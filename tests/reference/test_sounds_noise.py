"""Onsets, noises and constants are what their labels say."""

import json
from itertools import pairwise

import numpy as np
import pytest

from auscult.sounds.base import SOUNDS

RATE = 16_000


def sounds(kind, **params):
    """Labels and samples of each stimulus."""
    cls, parsed = SOUNDS.parse({"type": kind, "sample_rate": RATE, **params}, "sounds")
    source = cls(parsed, 0)
    return [(r.labels, source.load(r).samples[0]) for r in source.recordings()]


def power_spectrum(samples):
    """Power of each bin under a Hann window, and the bins' frequencies."""
    window = np.hanning(len(samples))
    power = np.abs(np.fft.rfft(samples.astype(np.float64) * window)) ** 2
    return power, np.fft.rfftfreq(len(samples), 1 / RATE)


# Onsets


@pytest.mark.parametrize("kind", ["burst", "tone"])
def test_energy_jumps_where_onsets_are_labelled(kind):
    for labels, samples in sounds("onsets", n=8, seconds=1.5, kinds=[kind]):
        # The level over the next 1 ms against that over the 5 ms before, at every sample.
        power = np.concatenate([np.zeros(80), samples.astype(np.float64) ** 2, np.zeros(16)])
        total = np.concatenate([[0], np.cumsum(power)])
        after = (total[96:] - total[80:-16])[: len(samples)] / 16
        before = (total[80:-16] - total[:-96])[: len(samples)] / 80
        jump = after / (before + 1e-3 * samples.max() ** 2 * 0.1)
        found = []
        for sample in np.argsort(jump)[::-1]:
            if all(abs(sample - other) > 0.05 * RATE for other in found):
                found.append(sample)
            if len(found) == labels["n_onsets"]:
                break
        np.testing.assert_allclose(np.sort(found) / RATE, json.loads(labels["onset_s"]), atol=1e-3)


def test_before_the_first_onset_there_is_silence():
    for labels, samples in sounds("onsets", n=6, seconds=1.0):
        first = round(json.loads(labels["onset_s"])[0] * RATE)
        assert np.all(samples[:first] == 0)
        assert np.any(samples[first : first + 16] != 0)


def test_onsets_keep_their_distance_and_lie_on_samples():
    for labels, _ in sounds("onsets", n=60, seconds=1.0):
        onset_s = np.array(json.loads(labels["onset_s"]))
        assert np.all(np.diff(onset_s) >= 0.15 - 1 / RATE)
        np.testing.assert_allclose(onset_s * RATE, np.round(onset_s * RATE), atol=1e-9)


def test_an_event_decays_as_its_label_says():
    ((labels, samples),) = sounds(
        "onsets", n=1, n_onsets=[1, 1], kinds=["tone"], f_hz=[2_000, 2_000]
    )
    start = round(json.loads(labels["onset_s"])[0] * RATE)
    n = round(labels["decay_s"] * RATE)
    early, late = np.abs(samples[start:][:n]).max(), np.abs(samples[start + n :][:n]).max()
    assert late / early == pytest.approx(np.exp(-1), rel=0.05)


# Noise and constants


def slope_db_per_octave(samples, low_hz, high_hz):
    """Slope of the mean power density of octave-wide bands."""
    power, f_hz = power_spectrum(samples)
    edges = low_hz * 2.0 ** np.arange(round(np.log2(high_hz / low_hz)) + 1)
    density = [power[(f_hz >= a) & (f_hz < b)].mean() for a, b in pairwise(edges)]
    return np.polyfit(np.arange(len(density)), 10 * np.log10(density), 1)[0]


@pytest.mark.parametrize(("colour", "expected"), [("pink", -3.01), ("white", 0.0)])
def test_noise_falls_as_its_colour_says(colour, expected):
    ((_, samples),) = sounds("noise", n=1, seconds=20.0, colours=[colour])
    assert slope_db_per_octave(samples, 40, 5_120) == pytest.approx(expected, abs=0.5)


def test_the_energy_of_band_noise_lies_in_its_band():
    for labels, samples in sounds("noise", n=8, colours=["band"]):
        power, f_hz = power_spectrum(samples)
        inside = (f_hz >= labels["low_hz"] - 1) & (f_hz <= labels["high_hz"] + 1)
        assert power[inside].sum() > 0.99 * power.sum()


def test_white_noise_is_gaussian():
    ((_, samples),) = sounds("noise", n=1, seconds=10.0, colours=["white"])
    inner = samples[RATE:-RATE] / samples[RATE:-RATE].std()
    # Standard error of the kurtosis of n normal numbers: sqrt(24 / n) = 0.013.
    assert np.mean(inner**4) == pytest.approx(3.0, abs=0.06)


def test_noise_does_not_mirror_itself():
    # A spectrum whose phases are not drawn makes x[t] = x[-t].
    ((_, samples),) = sounds("noise", n=1, seconds=1.0, colours=["white"])
    assert abs(np.corrcoef(samples[1:], samples[:0:-1])[0, 1]) < 0.05


def test_noises_do_not_repeat_each_other():
    (_, one), (_, other) = sounds("noise", n=2, colours=["white"])
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


def test_a_flat_sound_is_its_label_from_the_first_sample_to_the_last():
    for labels, samples in sounds("flat", n=4):
        np.testing.assert_array_equal(samples, np.float32(labels["value"]))


def test_flat_sounds_have_both_signs():
    values = [labels["value"] for labels, _ in sounds("flat", n=4)]
    assert min(values) < 0 < max(values)
