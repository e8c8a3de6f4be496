"""Pitch: classes, voicing, time, and estimators that agree."""

import sys
from fractions import Fraction

import numpy as np
import pytest

from auscult.concepts import pitch_estimators
from auscult.concepts.agreement import pitch_agreement
from auscult.concepts.base import Labels
from auscult.concepts.pitch import Pitch, PitchParams
from auscult.concepts.pitch_estimators import ESTIMATORS, PitchTrack
from auscult.core.audio import Audio
from auscult.core.errors import UserError
from auscult.core.timebase import TimeBase

RATE = 24_000
TIME = TimeBase(RATE, hop=Fraction(320))
INSTALLED = [
    "swift-f0",
    "yin",
    pytest.param("pyin", marks=pytest.mark.slow),
]  # torchcrepe is an extra of its own: tests/SKIPS.md


def voice(midi, seconds=1.0, rate=RATE):
    """Six harmonics that fall as 1 / h, at a constant or a moving pitch."""
    n = round(seconds * rate)
    hz = 440 * 2 ** ((np.broadcast_to(midi, n) - 69) / 12)
    phase = 2 * np.pi * np.cumsum(hz) / rate
    return 0.2 * sum(np.sin(h * phase) / h for h in range(1, 7))


def audio(samples, rate=RATE):
    return Audio(np.asarray(samples, np.float32)[None], rate)


@pytest.mark.parametrize("estimator", INSTALLED)
@pytest.mark.parametrize("midi", [45, 57.3, 69, 81])
def test_every_estimator_hears_the_pitch_of_a_voice(estimator, midi):
    labels = Pitch(PitchParams(estimator=estimator)).label(audio(voice(midi, 0.5)), TIME)
    inner = labels.values[8:-8]
    assert np.mean(np.abs(inner - midi) < 0.5) > 0.95


@pytest.mark.parametrize("estimator", INSTALLED)
def test_an_estimate_lies_where_it_was_heard(estimator):
    """A glide of an octave a second: 10 ms of delay are an eighth of a semitone."""
    seconds = np.arange(2 * RATE) / RATE
    labels = Pitch(PitchParams(estimator=estimator)).label(audio(voice(50 + 12 * seconds, 2)), TIME)
    truth = 50 + 12 * (np.arange(len(labels.values)) + 0.5) * 320 / RATE
    late = np.nanmedian((truth - labels.values)[15:-15])
    assert abs(late) < 0.12


@pytest.mark.parametrize("estimator", INSTALLED)
def test_noise_and_silence_are_unvoiced(estimator):
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    labels = Pitch(PitchParams(estimator=estimator)).label(audio(noise), TIME)
    assert np.mean(labels.known) < 0.1
    assert (
        not Pitch(PitchParams(estimator=estimator)).label(audio(np.zeros(RATE)), TIME).known.any()
    )


def test_what_is_quieter_than_the_gate_is_unvoiced():
    quiet = Pitch(PitchParams(level_db=-30.0)).label(audio(0.05 * voice(69)), TIME)
    assert not quiet.known.any()
    assert Pitch(PitchParams(level_db=-60.0)).label(audio(0.05 * voice(69)), TIME).known.any()


@pytest.mark.parametrize("unvoiced", ["class", "left out"])
def test_there_are_66_classes_either_way(unvoiced):
    pitch = Pitch(PitchParams(unvoiced=unvoiced))
    values = np.array([31.0, 60.2, 95.0, np.nan])
    target = pitch.target([Labels(values, np.ones(4))], np.ones(4, dtype=bool))
    assert target.n_classes == 66
    expected = [0, 29, 64, 65] if unvoiced == "class" else [1, 30, 65, -1]
    assert target.labels.tolist() == expected
    assert target.centres[target.labels[1]] == 60


def test_a_long_hop_takes_the_median_of_what_is_heard_within_it(monkeypatch):
    track = PitchTrack(np.arange(10) * 0.1, np.full(10, 440.0), np.ones(10))
    track.hz[2] = 880.0
    monkeypatch.setitem(ESTIMATORS, "yin", lambda samples, rate: track)
    time = TimeBase(RATE, hop=Fraction(RATE // 2))
    labels = Pitch(PitchParams(estimator="yin")).label(audio(voice(69)), time)
    assert labels.values.tolist() == [69.0, 69.0]


def test_agreement_by_hand():
    a = Labels(np.array([60.0, 60.0, 72.0, np.nan, np.nan]), np.ones(5))
    b = Labels(np.array([60.2, 61.0, 60.0, np.nan, 50.0]), np.ones(5))
    found = pitch_agreement(a, b, np.array([0, 0, 1, 1, 2]), np.random.default_rng(0))
    assert found.within_half_a_semitone == pytest.approx(1 / 3)
    assert found.octaves_forgiven == pytest.approx(2 / 3)
    assert found.voicing == pytest.approx(4 / 5)
    assert found.same_class == pytest.approx(2 / 5)
    assert found.interval[0] <= 0.4 <= found.interval[1]


def test_agreement_is_what_mir_eval_calls_raw_pitch_and_chroma_accuracy():
    melody = pytest.importorskip("mir_eval").melody
    rng = np.random.default_rng(0)
    a = rng.uniform(50, 70, 400)
    b = a + rng.choice([0.1, 0.7, 12.0, -24.2], 400)
    voiced = np.ones(400, dtype=bool)
    cents = [100 * (one - 9) for one in (a, b)]  # above 10 Hz is near MIDI 3.5: any zero does
    found = pitch_agreement(Labels(a, a * 0), Labels(b, b * 0), np.arange(400), rng)
    raw = melody.raw_pitch_accuracy(voiced, cents[0], voiced, cents[1])
    chroma = melody.raw_chroma_accuracy(voiced, cents[0], voiced, cents[1])
    assert found.within_half_a_semitone == pytest.approx(raw, abs=1e-9)
    assert found.octaves_forgiven == pytest.approx(chroma, abs=1e-9)


def test_estimators_agree_on_a_voice_and_a_probe_of_one_may_hope_for_no_more():
    sound = audio(voice(52 + 2 * np.round(3 * np.arange(2 * RATE) / RATE), 2))
    a, b = (Pitch(PitchParams(estimator=e)).label(sound, TIME) for e in ("swift-f0", "yin"))
    found = pitch_agreement(a, b, np.zeros(len(a.values)), np.random.default_rng(0))
    assert found.within_half_a_semitone > 0.9
    assert 0.7 < found.same_class <= 1


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    with pytest.raises(UserError, match="needs torchcrepe: pip install"):
        ESTIMATORS["crepe"](np.zeros(16_000, np.float32), 16_000)
    assert "torchaudio" not in sys.modules


def test_crepe_hears_the_pitch_of_a_voice():
    pytest.importorskip("torchcrepe", reason="an extra of its own: tests/SKIPS.md")
    track = ESTIMATORS["crepe"](voice(69, 0.5, 16_000), 16_000)
    assert np.median(track.hz) == pytest.approx(440, rel=0.02)


def test_an_estimator_is_loaded_once():
    assert pitch_estimators._swift_f0() is pitch_estimators._swift_f0()
