"""Too few recordings, clips that are slivers, foretellings that do not vary."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from auscult.analyses import code_levels, codes, collapse, onsets, representations, responses, reuse
from auscult.analyses.base import ANALYSES, BASE, NOISE, RANDOM, ClipSound
from auscult.analyses.parts.answering import DRAWN, OWN, Gathered
from auscult.core.errors import NothingToMeasureError
from auscult.measures.collapse import Collapses, Signal
from auscult.measures.statistics import auc, bootstrap_interval, resampled_auc
from auscult.testing.planted import TAP, PlantedContext


def unchecked(function):
    """The function beneath the check of types: a stand-in is no whole context."""
    return getattr(function, "__wrapped__", function)


class Clips(PlantedContext):
    """Recordings whose clips have given lengths; a clip is named after its recording."""

    def __init__(self, folder, lengths, n_clips=3):
        def plant(rng):
            return rng.standard_normal((60, 4))

        plants = dict.fromkeys((BASE, RANDOM, NOISE), plant)
        super().__init__(folder, plants, {key: [np.eye(4)] for key in plants}, n_clips)
        self.lengths = lengths

    def clip_ids(self, split="test", condition=BASE):
        if self.lengths is None:
            return super().clip_ids(split, condition)
        return list(self.lengths) if split == "test" else []

    def sound(self, clip_id, condition=BASE):
        wave = 0.1 * np.ones(self.lengths[clip_id], dtype=np.float32)
        return ClipSound(clip_id, clip_id.split("#")[0], wave, {})


def test_peaks_are_held_against_onsets_of_other_recordings_only():
    recordings = np.array(["a", "a", "a", "b", "b", "c"])
    others = onsets._of_another_recording(recordings)
    assert all(recordings[i] != own for i, own in zip(others, recordings, strict=True))


@pytest.mark.parametrize("ids", [[], ["a#0", "a#1", "a#2"]])
def test_onsets_of_one_recording_have_no_control(tmp_path, ids):
    context = Clips(tmp_path, dict.fromkeys(ids, 800))
    _, params = ANALYSES.parse({"type": "onsets"}, "test")
    with pytest.raises(NothingToMeasureError, match="two or more"):
        onsets._tap(context, params, "features", TAP, ids, [np.zeros(0)] * len(ids))


@pytest.mark.parametrize("ids", [[], ["a#0"]])
def test_a_readout_of_one_recording_is_judged_on_none(tmp_path, ids):
    context = Clips(tmp_path, dict.fromkeys(ids, 800))
    _, params = ANALYSES.parse({"type": "representations"}, "test")
    if ids:
        with pytest.raises(NothingToMeasureError, match="test side two"):
            representations._read(context, TAP, ids)
        return
    found = representations.Representations().run(context, params)
    assert [one.verdict for one in found.judgements] == ["cannot be tested here"]
    assert representations.Representations().view(found)


def test_the_rest_behind_the_last_whole_clip_does_not_shorten_all(tmp_path):
    lengths = {"a#0": 2000, "a#1": 200, "b#0": 1900, "c#0": 300, "d#0": 1000}
    kept = code_levels._audible(Clips(tmp_path, lengths), 3)
    assert [one.clip_id for one in kept] == ["a#0", "b#0", "d#0"]
    first = {"a#0": 300, "b#0": 2000, "c#0": 1500}
    kept = code_levels._audible(Clips(tmp_path / "again", first), 2)
    assert [one.clip_id for one in kept] == ["b#0", "c#0"]


def test_frames_behind_the_last_hop_have_no_label():
    found = codes._of_frames(np.array([1.0, 2.0, 3.0]), 5)
    np.testing.assert_array_equal(found, [1, 2, 3, np.nan, np.nan])
    np.testing.assert_array_equal(codes._of_frames(np.arange(5.0), 3), [0, 1, 2])


def read_codes(n_codes, n_recordings=2, n=400):
    """Codes that decide the spectrum of their frames, and others that do not."""
    rng = np.random.default_rng(0)
    own, drawn = rng.integers(0, n_codes, (2, 1, n))
    tilt = np.linspace(-10, 10, 12)
    spectra = -40 + own[0][:, None] * tilt + rng.standard_normal((n, 12))
    recordings = np.repeat(np.arange(n_recordings).astype(str), n // n_recordings)
    reads = {}
    for name, held in ((OWN, own), (DRAWN, drawn)):
        reads[name] = SimpleNamespace(
            n_levels=1, codes=held, spectra=spectra, recordings=recordings, centres_hz=np.arange(12.0),
            of_notes=np.arange(8).reshape(4, 1, 2), notes=SimpleNamespace(waves=np.zeros((4, 9))),
            unread={}, note_labels=lambda: {"pitch class": np.repeat([0, 1, 0, 1], 2)},
            labels=dict.fromkeys(codes._CONCEPTS, own[0] % 2),
        )  # fmt: skip
    return reads


def test_spectra_of_codes_are_read_against_codes_of_other_recordings_and_weights():
    found = Gathered()
    unchecked(codes._spectra)(read_codes(4), 0, found)
    explained, flatness = found.measurements
    assert explained.value > 0.9
    assert max(explained.controls.values()) < 0.1
    assert set(flatness.controls) == {"codes of another recording", DRAWN}
    alone = Gathered()
    unchecked(codes._spectra)(read_codes(4, n_recordings=1), 0, alone)
    assert np.isnan(alone.measurements[0].controls["codes of another recording"])


def test_a_quantiser_that_gives_one_code_has_no_spectra_and_ends_no_run(tmp_path, monkeypatch):
    reads = read_codes(1)
    monkeypatch.setattr(codes, "code_readers", lambda context: dict(zip(reads, reads, strict=True)))
    monkeypatch.setattr(codes, "_Read", lambda context, params, name: reads[name])
    monkeypatch.setattr(codes, "_spectra", unchecked(codes._spectra))
    monkeypatch.setattr(codes, "_usage", lambda *told: None)
    monkeypatch.setattr(codes, "_information", lambda *told: None)
    _, params = ANALYSES.parse({"type": "codes"}, "test")
    found = codes.Codes().run(Clips(tmp_path, None), params)
    ((tap, what, why),) = found.facts["missing"]
    assert (tap, what) == ("level 1", "spectra of codes")
    assert "two codes" in why


@pytest.mark.parametrize("n_recordings", [1, 4])
def test_what_codes_tell_of_one_recording_cannot_be_tested(n_recordings):
    found = Gathered()
    unchecked(codes._information)(read_codes(4, n_recordings), 0, 0, found)
    told = {one.measurement.name: one for one in found.judgements}
    verdict = told["information on loudness"].verdict
    assert (verdict == "cannot be tested here") == (n_recordings == 1)
    assert told["information on pitch class"].verdict != "cannot be tested here"


def test_random_weights_are_read_on_the_recordings_that_the_own_ones_are(tmp_path):
    context = Clips(tmp_path, None)
    _, params = ANALYSES.parse({"type": "reuse"}, "test")
    heard = {
        condition: set(reuse._drawn(context, params, TAP, condition, 0).recording_ids)
        for condition in (BASE, RANDOM, NOISE)
    }
    assert heard[RANDOM] == heard[BASE] == {"test-0", "test-1", "test-2"}
    assert len(heard[NOISE]) == 6


def test_responses_of_random_weights_are_those_of_the_test_side(tmp_path):
    context = Clips(tmp_path, None)
    _, params = ANALYSES.parse({"type": "responses"}, "test")
    arrays = {}
    responses._tap(context, params, TAP, arrays)
    own, random, noise = (len(arrays[f"{TAP}/{k}/alignment"]) for k in ("own", RANDOM, NOISE))
    assert (random, noise) == (own, 2 * own)


def flat_study(predicted):
    n = len(predicted)
    stages = [
        SimpleNamespace(time=SimpleNamespace(hop=hop), address=f"{hop}", resolution_hz=1.0)
        for hop in (2, 4)
    ]
    rows = {name: np.zeros(n) for name in Collapses.__dataclass_fields__}
    rows |= {"signal": np.arange(n) // 2, "stage": np.arange(n) % 2}
    made = Collapses(**{**rows, "predicted": predicted, "observed": predicted})
    signals = [Signal("harmonic", f"{i}", np.arange(3)) for i in range(n // 2)]
    return SimpleNamespace(
        seed=0, stages=stages, signals=signals, own=made, drawn=made, last=stages[-1],
        depth=np.ones(n, dtype=np.bool_),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("predicted", "verdict"),
    [(np.zeros(8), "cannot be tested here"), (np.linspace(0, 1, 8), "holds")],
)
def test_a_foretelling_that_does_not_vary_foretells_nothing(predicted, verdict, monkeypatch):
    interval = unchecked(collapse._interval)
    monkeypatch.setattr(collapse, "_interval", interval)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = unchecked(collapse._foretold)(flat_study(predicted))
    assert found.verdict == verdict


def test_an_interval_of_nothing_is_unknown_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bootstrap_interval(
            lambda rows: float("nan"), np.array(["a", "b"]), np.random.default_rng(0), 20
        )
    assert np.isnan(found).all()


def test_an_area_over_resamples_is_that_of_values_that_stand_several_times():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 20).astype(float), rng.integers(1, 7, 30).astype(float)
    times_a, times_b = rng.integers(0, 3, (20, 5)), rng.integers(0, 3, (30, 5))
    found = resampled_auc(a, b, times_a, times_b)
    for i in range(5):
        drawn = np.repeat(a, times_a[:, i]), np.repeat(b, times_b[:, i])
        assert found[i] == pytest.approx(auc(*drawn))
    assert np.isnan(resampled_auc(a, b, 0 * times_a, times_b)).all()
