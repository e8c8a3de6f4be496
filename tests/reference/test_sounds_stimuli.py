"""Stimuli are what their labels say, as transforms, counting and other libraries measure them."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import hilbert

from auscult.core.audio import level_db
from auscult.core.errors import ConfigError
from auscult.sounds.base import SOUNDS
from auscult.sounds.chirps import chirp_frequency
from auscult.sounds.chords import chord_pitches
from auscult.sounds.mixtures import envelopes
from auscult.sounds.notes import harmonic_amplitudes, harmonic_tone
from auscult.sounds.tones import partial_frequencies

RATE = 16_000
FAMILIES = ("chirps", "chords", "flat", "mixtures", "noise", "notes", "onsets", "sine", "tones")


def source(kind, seed=0, **params):
    cls, parsed = SOUNDS.parse({"type": kind, "sample_rate": RATE, **params}, "sounds")
    return cls(parsed, seed)


def sounds(kind, seed=0, **params):
    """Labels and samples of each stimulus."""
    made = source(kind, seed, **params)
    return [(r.labels, made.load(r).samples[0]) for r in made.recordings()]


def power_spectrum(samples):
    """Power of each bin under a Hann window, and the bins' frequencies."""
    window = np.hanning(len(samples))
    power = np.abs(np.fft.rfft(samples.astype(np.float64) * window)) ** 2
    return power, np.fft.rfftfreq(len(samples), 1 / RATE)


def peaks_hz(samples, n):
    """Frequencies of the n strongest local maxima of the spectrum, ascending."""
    power, f_hz = power_spectrum(samples)
    local = 1 + np.flatnonzero((power[1:-1] > power[:-2]) & (power[1:-1] > power[2:]))
    return np.sort(f_hz[local[np.argsort(power[local])[-n:]]])


# All families


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_larger_set_begins_with_the_smaller_one(kind):
    few, many = source(kind, n=3).recordings(), source(kind, n=9).recordings()
    assert many[:3] == few


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_loaded_stimulus_does_not_depend_on_how_many_there_are(kind):
    few, many = source(kind, n=3, seconds=0.3), source(kind, n=9, seconds=0.3)
    last = few.recordings()[2]
    np.testing.assert_array_equal(many.load(last).samples, few.load(last).samples)


@pytest.mark.parametrize("kind", FAMILIES)
def test_another_seed_draws_other_stimuli(kind):
    digests = [{r.digest for r in source(kind, seed, n=5).recordings()} for seed in (0, 1)]
    assert not digests[0] & digests[1]


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_every_family_works_with_only_what_a_control_condition_sets(kind, rate):
    made = source(kind, n=3, seconds=0.5, sample_rate=rate, level_db=-20.0)
    assert {made.load(r).sample_rate for r in made.recordings()} == {rate}


@pytest.mark.parametrize("kind", ["chirps", "chords", "noise", "notes", "sine", "tones"])
@pytest.mark.parametrize("wanted_db", [-20.0, -40.0])
def test_the_level_is_the_one_asked_for(kind, wanted_db):
    for _, samples in sounds(kind, n=6, seconds=0.5, level_db=wanted_db):
        assert level_db(samples) == pytest.approx(wanted_db, abs=0.01)


@pytest.mark.parametrize("kind", FAMILIES)
def test_no_peak_exceeds_nine_tenths_however_loud(kind):
    peaks = [np.abs(samples).max() for _, samples in sounds(kind, n=8, seconds=0.5, level_db=0.0)]
    assert max(peaks) <= 0.9 + 1e-6


@pytest.mark.parametrize("kind", sorted({*FAMILIES} - {"flat"}))
def test_nothing_clicks_where_it_starts_and_stops(kind):
    for _, samples in sounds(kind, n=4, seconds=0.5):
        assert np.abs(samples[[0, -1]]).max() < 0.01 * np.abs(samples).max()


@pytest.mark.parametrize("kind", ["chirps", "chords", "mixtures", "notes", "tones"])
def test_no_component_comes_near_nyquist(kind):
    params = {"vibrato_cents": [0, 100]} if kind == "tones" else {}
    for _, samples in sounds(kind, n=12, seconds=0.5, **params):
        power, f_hz = power_spectrum(samples)
        assert power[f_hz > 0.48 * RATE].sum() < 1e-6 * power.sum()


def test_labels_that_were_changed_are_refused():
    made = source("sine", n=1)
    changed = replace(made.recordings()[0], labels={"f0_hz": 100.0})
    with pytest.raises(ValueError, match="drawn otherwise"):
        made.load(changed)


@pytest.mark.parametrize(
    ("kind", "params", "match"),
    [
        ("tones", {"f0_hz": [8_000, 9_000]}, "0.45 of the sample rate"),
        ("tones", {"f0_hz": [0, 100]}, "not between 0"),
        ("tones", {"f0_hz": [200, 100]}, "lowest ≤ highest"),
        ("sine", {"f_hz": [440, 7_900]}, "0.45 of the sample rate"),
        ("notes", {"octaves": [9]}, "0.45 of the sample rate"),
        ("mixtures", {"n_tones": [3, 2]}, "1 ≤ least ≤ most"),
        ("mixtures", {"n_tones": [2, 60]}, "do not fit"),
        ("mixtures", {"am_depth": [0.5, 1.5]}, "at most 1"),
        ("onsets", {"seconds": 0.1}, "too short"),
        ("onsets", {"decay_s": [0, 0.1]}, "above 0"),
        ("chords", {"qualities": ["major"], "inversions": [3]}, "none of the chords"),
        ("phase-randomised", {"of": {"type": "nois"}}, "did you mean 'noise'"),
    ],
)
def test_impossible_parameters_are_refused_with_the_spec(kind, params, match):
    rate = {} if kind == "phase-randomised" else {"sample_rate": RATE}
    with pytest.raises(ConfigError, match=match):
        SOUNDS.parse({"type": kind, **rate, **params}, "sounds")


# Tones


def test_the_peak_of_a_sine_is_its_label_within_a_bin():
    for labels, samples in sounds("tones", n=8, timbres=["sine"], seconds=1.0):
        assert peaks_hz(samples, 1)[0] == pytest.approx(labels["f0_hz"], abs=1.0)


def test_a_range_of_frequencies_is_cut_where_the_sample_rate_ends():
    made = source("tones", n=40, sample_rate=8_000, f0_hz=[3_000, 20_000]).recordings()
    assert max(r.labels["f0_hz"] for r in made) <= 0.45 * 8_000


def test_f0_is_uniform_in_its_logarithm():
    f0_hz = np.array([r.labels["f0_hz"] for r in source("tones", n=500).recordings()])
    octaves = np.log2(f0_hz / 40) / np.log2(100)
    # Kolmogorov–Smirnov distance to the uniform distribution; 1.95 / sqrt(n) is its 0.1 % point.
    distance = np.abs(np.sort(octaves) - (np.arange(500) + 0.5) / 500).max()
    assert distance < 1.95 / np.sqrt(500)


def test_the_partials_of_a_stack_fall_as_their_label_says():
    params = {"f0_hz": [200, 400], "timbres": ["stack"], "most_partials": 6, "seconds": 1.0}
    for labels, samples in sounds("tones", n=4, **params):
        # A least-squares fit of sines at the labelled frequencies, far from the fades.
        t = np.arange(len(samples))[1_000:-1_000] / RATE
        phase = 2 * np.pi * labels["f0_hz"] * np.arange(1, 7)[:, None] * t
        basis = np.concatenate([np.sin(phase), np.cos(phase)]).T
        fitted = np.linalg.lstsq(basis, samples[1_000:-1_000], rcond=None)[0]
        amplitudes = np.hypot(fitted[:6], fitted[6:])
        expected = np.arange(1, 7) ** -labels["rolloff"]
        np.testing.assert_allclose(amplitudes / amplitudes[0], expected, rtol=1e-3)


def test_inharmonic_partials_are_stretched_as_a_stiff_string():
    # f_h / f_1 = h sqrt((1 + B h²) / (1 + B)): for B = 0.01 the third is 3 sqrt(1.09 / 1.01).
    f_hz = partial_frequencies(100.0, 3, 0.01)
    np.testing.assert_allclose(f_hz, [100, 200 * (1.04 / 1.01) ** 0.5, 300 * (1.09 / 1.01) ** 0.5])


def test_the_peaks_of_an_inharmonic_stack_are_its_partials():
    params = {"f0_hz": [300, 300], "timbres": ["stack"], "most_partials": 5, "seconds": 1.0}
    for labels, samples in sounds("tones", n=2, inharmonicity=[0.001, 0.01], **params):
        expected = partial_frequencies(300.0, 5, labels["inharmonicity"])
        np.testing.assert_allclose(peaks_hz(samples, 5), expected, atol=1.0)


def test_vibrato_swings_up_by_its_cents_at_its_rate():
    params = {"f0_hz": [1_000, 1_000], "timbres": ["sine"], "seconds": 2.0}
    ((labels, samples),) = sounds("tones", n=1, vibrato_cents=[50, 50], vibrato_hz=[5, 5], **params)
    phase = np.unwrap(np.angle(hilbert(samples.astype(np.float64))))
    f_hz = (np.diff(phase) * RATE / (2 * np.pi))[RATE // 10 : -RATE // 10]
    assert labels["vibrato_hz"] == 5.0
    assert 1200 * np.log2(f_hz.max() / 1_000) == pytest.approx(50, abs=1)
    swing = np.abs(np.fft.rfft(f_hz - f_hz.mean()))
    assert np.argmax(swing) * RATE / len(f_hz) == pytest.approx(5, abs=0.6)


def test_a_chirp_has_the_frequency_that_is_told_at_every_instant():
    for labels, samples in sounds("chirps", n=6, seconds=2.0, f_hz=[300, 6_000]):
        phase = np.unwrap(np.angle(hilbert(samples.astype(np.float64))))
        f_hz = np.diff(phase) * RATE / (2 * np.pi)
        told = chirp_frequency(labels, (np.arange(len(f_hz)) + 0.5) / RATE, 2.0)
        inner = slice(RATE // 5, -RATE // 5)
        np.testing.assert_allclose(f_hz[inner], told[inner], rtol=0.01)


# Mixtures


def test_the_peaks_of_a_mixture_are_its_tones():
    for labels, samples in sounds("mixtures", n=6, seconds=1.0, am_depth=[0, 0]):
        n = int(labels["n_tones"])
        np.testing.assert_allclose(peaks_hz(samples, n), json.loads(labels["f_hz"]), atol=1.0)


def test_the_tones_of_a_mixture_keep_their_distance():
    for recording in source("mixtures", n=60, least_ratio=1.5).recordings():
        f_hz = json.loads(recording.labels["f_hz"])
        assert all(high / low >= 1.5 - 1e-9 for low, high in pairwise(f_hz))


def test_envelopes_are_those_of_the_partials():
    params = {"n_tones": [2, 2], "f_hz": [1_000, 4_000], "least_ratio": 2.0, "am_hz": [1, 4]}
    for labels, samples in sounds("mixtures", n=4, seconds=1.0, **params):
        told = envelopes(labels, len(samples), RATE)
        spectrum = np.fft.fft(samples.astype(np.float64))
        f_hz = np.fft.fftfreq(len(samples), 1 / RATE)
        for tone_hz, envelope in zip(json.loads(labels["f_hz"]), told, strict=True):
            # The analytic signal of the band around one tone: nothing of the other one is in it.
            band = np.fft.ifft(2 * spectrum * (np.abs(f_hz - tone_hz) < 0.3 * tone_hz))
            inner = slice(RATE // 20, -RATE // 20)
            np.testing.assert_allclose(np.abs(band)[inner], envelope[inner], atol=2e-3)


def test_the_partials_of_a_mixture_move_independently():
    made = sounds("mixtures", n=30, seconds=1.0, n_tones=[2, 2], am_hz=[1, 8])
    correlations = [np.corrcoef(envelopes(labels, len(x), RATE))[0, 1] for labels, x in made]
    assert abs(np.mean(correlations)) < 0.15


# Notes and chords


def test_every_note_comes_once_before_any_comes_again():
    params = {"octaves": [3, 4], "timbres": ["bright"], "envelopes": ["sustain"], "n": 48}
    pitches = [r.labels["pitch_midi"] for r in source("notes", **params).recordings()]
    assert sorted(pitches[:24]) == sorted(pitches[24:]) == list(range(48, 72))


def test_the_a_above_middle_c_is_note_69_at_440_hz():
    one_octave = {"octaves": [4], "timbres": ["bright"], "envelopes": ["sustain"], "n": 12}
    found = {r.labels["pitch_midi"]: r.labels for r in source("notes", **one_octave).recordings()}
    a4 = found[69.0]
    assert (a4["pitch_class"], a4["octave"], a4["f0_hz"]) == ("A", 4.0, 440.0)


@pytest.mark.parametrize("timbre", ["sine", "dull", "bright", "odd", "formant"])
def test_the_partials_of_a_note_are_multiples_of_its_pitch(timbre):
    params = {"octaves": [4], "timbres": [timbre], "envelopes": ["sustain"]}
    for labels, samples in sounds("notes", n=3, seconds=1.0, **params):
        power, f_hz = power_spectrum(samples)
        number = f_hz / labels["f0_hz"]
        near = np.abs(number - np.round(number)) * labels["f0_hz"] < 10
        assert power[near & (number > 0.5)].sum() > 0.999 * power.sum()


def test_an_odd_timbre_lacks_even_harmonics():
    params = {"octaves": [4], "timbres": ["odd"], "envelopes": ["sustain"]}
    ((labels, samples),) = sounds("notes", n=1, seconds=1.0, **params)
    power, f_hz = power_spectrum(samples)
    second = np.abs(f_hz - 2 * labels["f0_hz"]) < 10
    assert power[second].sum() < 1e-6 * power.sum()


def rise_db(envelope):
    """How much louder a note of one second is around 0.9 s than around 0.1 s."""
    params = {"envelopes": [envelope], "octaves": [5], "timbres": ["sine"], "seconds": 1.0}
    ((_, samples),) = sounds("notes", n=1, **params)
    early, late = (samples[round(s * RATE) :][: RATE // 10] for s in (0.05, 0.85))
    return level_db(late) - level_db(early)


def test_a_plucked_note_decays_by_e_to_the_five():
    # Over 0.8 s: 20 log10 e^-4 = -34.7 dB.
    assert rise_db("pluck") == pytest.approx(-34.7, abs=0.2)


def test_a_swelling_note_rises_as_a_raised_cosine():
    # The mean of sin(πt)^4 over 0.05 ≤ t ≤ 0.15 is 0.01325: 18.8 dB below 1.
    assert rise_db("swell") == pytest.approx(18.8, abs=0.1)


def test_a_sustained_note_stays():
    assert rise_db("sustain") == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(
    ("quality", "inversion", "expected"),
    [
        ("major", 0, (60, 64, 67)),
        ("minor", 1, (63, 67, 72)),
        ("diminished", 2, (66, 72, 75)),
        ("augmented", 0, (60, 64, 68)),
        ("dominant7", 3, (70, 72, 76, 79)),
        ("major7", 0, (60, 64, 67, 71)),
        ("minor7", 2, (67, 70, 72, 75)),
    ],
)
def test_chords_are_spelled_as_in_a_harmony_book(quality, inversion, expected):
    assert chord_pitches(quality, inversion, 60) == expected


def test_the_peaks_of_a_chord_of_sines_are_its_notes():
    for labels, samples in sounds("chords", n=8, seconds=1.0, timbre="sine"):
        pitches = np.array(json.loads(labels["pitches_midi"]))
        expected = 440 * 2 ** ((pitches - 69) / 12)
        np.testing.assert_allclose(peaks_hz(samples, len(pitches)), expected, atol=1.0)


def test_all_chords_are_distinct_before_any_comes_again():
    # 4 triads × 3 inversions × 12 roots + 3 seventh chords × 4 × 12.
    found = source("chords", n=288).recordings()
    names = {(r.labels["root"], r.labels["quality"], r.labels["inversion"]) for r in found}
    assert len(names) == 288


@pytest.mark.parametrize("f0_hz", [61.7, 440.0, 3000.0])
def test_harmonics_as_powers_are_the_sum_of_their_sines(f0_hz):
    fast = harmonic_tone(f0_hz, "bright", 4000, RATE, np.random.default_rng(3))
    f_hz = f0_hz * np.arange(1, min(40, int(0.45 * RATE / f0_hz)) + 1)
    amplitudes = harmonic_amplitudes("bright", f_hz)
    phases = np.random.default_rng(3).uniform(0, 2 * np.pi, len(f_hz))
    t = np.arange(4000) / RATE
    slow = amplitudes @ np.sin(2 * np.pi * f_hz[:, None] * t + phases[:, None])
    np.testing.assert_allclose(fast, slow / np.sqrt(np.sum(amplitudes**2) / 2), atol=1e-10)
