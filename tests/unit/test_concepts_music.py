"""Concepts of timbre, events and harmony on sounds whose truth is exact."""

from fractions import Fraction

import numpy as np
import pytest

from auscult.concepts.base import CONCEPTS
from auscult.concepts.chroma import chroma
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase
from auscult.sounds.base import SOUNDS
from auscult.sounds.synthetic import from_list

RATE = 16_000
TIME = TimeBase(RATE, hop=Fraction(320))


def label(name, samples, time=TIME, **params):
    cls, parsed = CONCEPTS.parse({"type": name, **params}, "concept")
    return cls(parsed).label(Audio(np.asarray(samples, np.float32)[None], RATE), time)


def stimuli(kind, **params):
    cls, parsed = SOUNDS.parse({"type": kind, "sample_rate": RATE, **params}, "sounds")
    source = cls(parsed, 0)
    return [(dict(one.labels), source.load(one).samples[0]) for one in source.recordings()]


def words(labels):
    return [labels.names[int(v)] if np.isfinite(v) else None for v in labels.values]


def stack(hz, seconds=1.0, n=8):
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * h * hz * t + h) / h for h in range(1, n + 1))


def sine(midi, seconds=1.0):
    return stack(440 * 2 ** ((midi - 69) / 12), seconds, n=1)


@pytest.mark.parametrize("decibels", [0.0, 10.0, 20.0])
def test_harmonic_to_noise_is_the_ratio_that_was_mixed(decibels):
    tone = stack(203.0)
    noise = np.random.default_rng(0).standard_normal(len(tone))
    noise *= np.std(tone) / np.std(noise) / 10 ** (decibels / 20)
    values = label("harmonic-to-noise", 0.1 * (tone + noise)).values
    assert np.median(values[5:-5]) == pytest.approx(decibels, abs=1.5)


@pytest.mark.parametrize("log_b", [-3.5, -3.0])
def test_inharmonicity_is_that_of_the_string(log_b):
    b = 10**log_b
    for told, samples in stimuli(
        "tones", n=2, seconds=1.0, timbres=["stack"], f0_hz=[150.0, 300.0], rolloff=[1.0, 1.0],
        inharmonicity=[b, b],
    ):  # fmt: skip
        assert told["inharmonicity"] == b
        values = label("inharmonicity", samples).values
        assert np.nanmedian(values) == pytest.approx(log_b, abs=0.1)


def test_partials_that_have_wandered_past_their_neighbours_are_followed():
    """The twelfth of B = 0.004 lies where the fifteenth would."""
    h, t = np.arange(1, 13), np.arange(RATE) / RATE
    hz = 150 * h * np.sqrt(1 + 0.004 * h**2)
    tone = np.sum(np.sin(2 * np.pi * hz[:, None] * t) / h[:, None], axis=0)
    values = label("inharmonicity", 0.2 * tone).values
    assert np.nanmedian(values) == pytest.approx(np.log10(0.004), abs=0.05)


def test_a_harmonic_tone_is_not_stretched_and_a_sine_has_too_few_partials():
    assert np.nanmedian(label("inharmonicity", 0.2 * stack(220.0, n=12)).values) < -5
    assert not label("inharmonicity", 0.2 * stack(440.0, n=1)).known.any()


def test_every_onset_lies_in_a_frame_that_is_called_one():
    hits = said = right = n = 0
    for told, samples in stimuli("onsets", n=6, seconds=2.0, n_onsets=[3, 5]):
        values = label("onset", samples).values
        truth = np.array(from_list(told["onset_s"]))
        frames = (truth * RATE / 320).astype(int)
        hits += int(sum(values[f] for f in frames))
        n += len(frames)
        called = np.flatnonzero(values)
        said += len(called)
        middles = (called + 0.5) * 320 / RATE
        right += int(np.sum(np.abs(middles[:, None] - truth).min(axis=1) < 0.05))
    assert hits / n > 0.85
    assert right / said > 0.85


@pytest.mark.parametrize(("tolerance_s", "n_frames"), [(0.0, 1), (0.02, 3), (0.04, 5)])
def test_an_onset_reaches_as_far_as_its_tolerance(tolerance_s, n_frames):
    values = label("onset", clicks(60, seconds=1.2)[0], tolerance_s=tolerance_s).values
    assert values.sum() == n_frames


def test_an_attack_is_over_before_the_next_event():
    t = np.arange(2 * RATE) / RATE
    sound = 1e-5 * np.random.default_rng(1).standard_normal(len(t))
    for level, start_s, hz in ((0.15, 0.5, 800), (0.5, 0.8, 2500)):
        sound += level * np.clip((t - start_s) / 0.01, 0, 1) * np.sin(2 * np.pi * hz * t)
    values = label("attack-time", sound).values
    assert values[30] < -1.5  # at 0.61 s, in the first of two


def test_flux_tells_of_beginnings_and_not_of_ends():
    t = np.arange(RATE) / RATE
    on = np.clip((t - 0.3) / 0.02, 0, 1) * np.clip((0.8 - t) / 0.2, 0, 1)
    values = label("flux", 0.3 * on * np.sin(2 * np.pi * 500 * t)).values
    assert abs(int(values.argmax()) - 15) <= 1
    assert values.min() >= 0
    assert values[28:38].max() < 0.1 * values.max()


@pytest.mark.parametrize("attack_s", [0.02, 0.1, 0.3])
def test_attack_time_is_that_of_a_ramp(attack_s):
    """From 10 to 90 % of a straight ramp is four fifths of it."""
    noise = np.random.default_rng(1).standard_normal(2 * RATE)
    t = np.arange(2 * RATE) / RATE
    ramp = np.clip((t - 0.5) / attack_s, 0, 1)
    values = label("attack-time", 0.1 * ramp * np.sin(2 * np.pi * 800 * t) + 1e-6 * noise).values
    assert values[-20] == pytest.approx(np.log10(0.8 * attack_s), abs=0.15)
    assert not np.isfinite(values[:10]).any()


def test_the_strongest_pitch_class_is_that_of_the_note():
    right = []
    for told, samples in stimuli(
        "notes", n=24, seconds=0.6, octaves=[3, 4], timbres=["dull", "bright"],
        envelopes=["sustain"],
    ):  # fmt: skip
        right.append(np.mean([w == told["pitch_class"] for w in words(label("chroma", samples))]))
    assert np.mean(right) > 0.95


def test_the_confidence_of_a_pitch_class_is_its_share_of_energies_over_frequency():
    low, high = (440 * 2 ** ((note - 69) / 12) for note in (60, 67))
    labels = label("chroma", 0.1 * (stack(low, n=1) + stack(high, n=1)))
    assert set(words(labels)[5:-5]) == {"C"}
    share = (1 / low) / (1 / low + 1 / high)
    # The window smears each over the bell of its semitone, which is wider for the higher one.
    np.testing.assert_allclose(labels.confidence[5:-5], share, atol=0.06)


def test_what_lies_between_semitones_belongs_to_no_pitch_class():
    on, between = (
        chroma(Audio(sine(84 + by)[None].astype(np.float32), RATE), TIME, 0.2)[5:-5].sum()
        for by in (0.0, 0.5)
    )
    assert between < 0.1 * on


def test_a_chord_with_one_loud_note_is_still_that_chord():
    chord = sine(60) + 0.4 * sine(64) + 0.4 * sine(67)
    assert set(words(label("chord-quality", 0.2 * chord))[5:-5]) == {"major"}


def test_the_quality_of_a_chord_is_the_one_that_was_played():
    right = []
    for told, samples in stimuli(
        "chords", n=28, seconds=0.8, timbre="dull", octave=4,
        qualities=["major", "minor", "diminished", "dominant7", "major7"], inversions=[0, 1],
    ):  # fmt: skip
        said = words(label("chord-quality", samples))
        right.append(np.mean([word == told["quality"] for word in said]))
    assert np.mean(right) > 0.85


def test_noise_is_no_chord():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert np.mean(label("chord-quality", noise, least=0.9).known) < 0.3


def test_notes_at_once_are_counted():
    """Two to four random notes, and one: far above the quarter that any constant gets."""
    rng = np.random.default_rng(3)
    right = {n: [] for n in (1, 2, 3, 4)}
    for _ in range(12):
        for n, told in right.items():
            notes = rng.choice(np.arange(48, 77), n, replace=False)
            samples = sum(
                rng.uniform(0.5, 1) * stack(440 * 2 ** ((note - 69) / 12), 0.3, 8) for note in notes
            )
            said = label("polyphony", 0.05 * samples).values[4:-4]
            told.append(np.mean(said == n))
    assert np.mean([np.mean(told) for told in right.values()]) > 0.75
    assert min(np.mean(told) for told in right.values()) > 0.6


def test_chords_of_three_and_of_four_notes_are_told_apart():
    said, truth = [], []
    for told, samples in stimuli(
        "chords", n=24, seconds=0.4, timbre="bright", octave=4, qualities=["minor", "major7"],
        inversions=[0],
    ):  # fmt: skip
        said.append(np.median(label("polyphony", samples).values))
        truth.append(len(from_list(told["pitches_midi"])))
    said, truth = np.array(said), np.array(truth)
    assert set(truth) == {3, 4}
    assert said[truth == 4].mean() > said[truth == 3].mean() + 0.5
    assert np.mean(np.abs(said - truth) <= 1) > 0.9


def test_noise_is_counted_with_less_confidence_than_a_note():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    note = 0.1 * stack(220.0) + 0.001 * noise
    found = [np.median(label("polyphony", samples).confidence) for samples in (noise, note)]
    assert found[0] < found[1] - 0.1


@pytest.mark.parametrize(
    ("root", "steps", "name"),
    [(60, (0, 4, 7), "C major"), (62, (0, 4, 7), "D major"), (69, (0, 3, 7), "A minor")],
)
def test_the_key_of_a_cadence_is_its_tonic(root, steps, name):
    """Tonic, subdominant, dominant (major), tonic."""
    third = steps[1]
    chords = [steps, tuple(5 + s for s in (0, third, 7)), (7, 11, 14), steps, steps]
    sound = [
        sum(stack(440 * 2 ** ((root - 12 + s - 69) / 12), 0.5, 4) for s in chord)
        for chord in chords
    ]
    labels = label("key", 0.05 * np.concatenate(sound))
    assert set(words(labels)) == {name}
    assert labels.confidence[0] > 0.7


def test_a_key_of_all_pitch_classes_alike_is_told_with_little_confidence():
    cluster = sum(sine(note) * 2 ** ((note - 60) / 24) for note in range(60, 72))
    assert label("key", 0.02 * cluster).confidence[0] < 0.5


def clicks(per_minute, seconds=8.0):
    samples = 1e-4 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    burst = np.exp(-np.arange(800) / 80) * np.random.default_rng(1).standard_normal(800)
    at = (np.arange(0.25, seconds - 0.1, 60 / per_minute) * RATE).astype(int)
    for start in at:
        samples[start : start + 800] += 0.3 * burst
    return samples, at


@pytest.mark.parametrize("per_minute", [100, 132])
def test_the_tempo_of_clicks_is_theirs(per_minute):
    values = label("tempo", clicks(per_minute)[0]).values
    assert values[0] == pytest.approx(per_minute, rel=0.03)
    assert len(np.unique(values)) == 1


def test_a_beat_begins_at_its_click():
    samples, at = clicks(120)
    values = label("beat-phase", samples).values
    at_clicks = values[(at // 320)[3:-3]]
    halfway = values[((at + RATE // 4) // 320)[3:-3]]
    assert not np.isfinite(values[[0, -1]]).any()  # before the first beat, and behind the last
    assert np.mean(np.isin(at_clicks, [0, 7])) > 0.9
    assert np.mean(np.isin(halfway, [3, 4])) > 0.9


@pytest.mark.parametrize(
    "name",
    ["harmonic-to-noise", "inharmonicity", "attack-time", "chroma", "chord-quality", "key", "polyphony", "tempo", "beat-phase"],
)  # fmt: skip
def test_silence_has_none_of_these(name):
    labels = label(name, np.zeros(RATE))
    assert len(labels.values) == 50
    assert not labels.known.any()


def test_silence_has_no_onset():
    assert not label("onset", np.zeros(RATE)).values.any()
