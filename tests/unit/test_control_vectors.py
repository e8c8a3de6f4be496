"""Control vectors: what strength does, an algebra, a file that keeps everything, and refusals."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from auscult.core.errors import CheckpointError, ConfigError, StoreError, TapError, WidthError
from auscult.core.tensors import read_json, write_json
from auscult.core.timebase import TimeBase
from auscult.experiment.start import build_model
from auscult.experiment.steer_file import Moved
from auscult.interventions.control import ControlProvenance, ControlVector, dictionary_digest
from auscult.interventions.controlled import control
from auscult.interventions.resynthesis import Resynthesis, fitted, resynthesise
from auscult.interventions.splice import Splice, SpliceParams
from auscult.interventions.steer import Steer, SteerParams
from auscult.models.weights import weights_digest
from auscult.testing.edits import TIME
from auscult.testing.known_answer import as_model
from tests.contract.test_edits import small_dictionary

DIRECTION = np.array([1.0, 0.0, -1.0, 0.5, 0.0, 2.0], np.float32)
TOLD = ControlProvenance(
    model="m",
    weights="w" * 64,
    tap="latent",
    time=TimeBase(24_000, hop=Fraction(320), offset=Fraction(1, 2)),
    concept="loudness",
    towards="more",
    made="difference of means",
    recordings=("a", "b"),
    figures={"effect": 0.5},
)


def raw(direction=DIRECTION, **changes):
    return ControlVector("loud", direction, replace(TOLD, **changes))


def of_features(direction, **rule):
    dictionary = small_dictionary()
    told = replace(TOLD, dictionary=dictionary_digest(dictionary))
    return ControlVector("f", direction, told, space="features", dictionary=dictionary, **rule)


@pytest.fixture
def values():
    return torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(3))


def test_of_responses_it_is_steering(values):
    steer = Steer(SteerParams(direction=tuple(DIRECTION.tolist()), strength=1.5))
    torch.testing.assert_close(control(raw(), 1.5)(values, TIME), steer(values, TIME))
    level = control(replace(raw(), renorm="rms"), 9.0)(values, TIME)
    torch.testing.assert_close(level.norm(dim=-1), values.norm(dim=-1), rtol=1e-5, atol=0)


def test_of_features_it_is_the_published_formula(values):
    w = np.linspace(-1, 1, 9).astype(np.float32)
    vector = of_features(w, renorm="rms")
    acts = vector.dictionary.encode(values)
    moved = acts + 10 * torch.from_numpy(w)
    norm = (
        moved.square().mean(-1, keepdim=True).sqrt() / acts.square().mean(-1, keepdim=True).sqrt()
    )
    expected = vector.dictionary.decode(moved / norm)
    torch.testing.assert_close(control(vector, 10.0)(values, TIME), expected)


def test_no_feature_is_negative_after_a_relu(values):
    vector = of_features(-np.ones(9, np.float32), clamp="relu")
    rebuilt = control(vector, 100.0)(values, TIME)
    torch.testing.assert_close(rebuilt, vector.dictionary.decode(torch.zeros(2, 5, 9)))


def test_keeping_the_error_adds_what_the_dictionary_says_of_the_change(values):
    w = np.eye(9, dtype=np.float32)[3]
    kept = control(of_features(w, keep_error=True), 2.0)(values, TIME)
    through = control(of_features(w), 2.0)(values, TIME)
    floor = Splice(SpliceParams(), small_dictionary())(values, TIME)
    torch.testing.assert_close(kept - values, through - floor, rtol=1e-4, atol=1e-5)


def test_setting_sets_features_and_leaves_the_others(values):
    w = np.zeros(9, np.float32)
    w[4] = 3.0
    vector = of_features(w, operation="set")
    acts = vector.dictionary.encode(values)
    acts[..., 4] = 1.5
    torch.testing.assert_close(control(vector, 0.5)(values, TIME), vector.dictionary.decode(acts))


def test_vectors_make_an_algebra(values):
    other = raw(DIRECTION[::-1].copy(), concept="brightness")
    both = raw() + 2 * other
    np.testing.assert_allclose(both.direction, DIRECTION + 2 * DIRECTION[::-1])
    assert both.provenance.concept == "loudness and brightness"
    assert both.provenance.parts == ("loud", "loud")
    assert both.provenance.recordings == ("a", "b")
    np.testing.assert_array_equal((-raw()).direction, -DIRECTION)
    assert (-raw()).provenance.towards == "the opposite of more"


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (raw(tap="conv.0"), "tap is latent and conv.0"),
        (raw(weights="v" * 64), "weights is wwwwwwwwwwww and vvvvvvvvvvvv"),
        (replace(raw(), renorm="rms"), "rule is add responses and add responses, renormalised"),
    ],
)
def test_vectors_that_do_not_belong_together_are_not_added(other, what):
    with pytest.raises(ConfigError, match=f"cannot be added: their {what}"):
        raw() + other


@pytest.mark.parametrize(
    "vector", [raw(), of_features(np.ones(9, np.float32), keep_error=True, clamp="relu")]
)
def test_a_saved_vector_does_the_same_and_knows_the_same(vector, tmp_path, values):
    vector.save(tmp_path / "v")
    loaded = ControlVector.load(tmp_path / "v")
    with torch.no_grad():  # what is loaded is frozen, and encodes by another way than what learns
        assert torch.equal(control(loaded, 0.7)(values, TIME), control(vector, 0.7)(values, TIME))
    assert loaded.provenance == vector.provenance
    assert loaded.rule == vector.rule


def test_damage_and_other_versions_are_told(tmp_path):
    with pytest.raises(StoreError, match="no control vector"):
        ControlVector.load(tmp_path)
    raw().save(tmp_path / "v")
    told = read_json(tmp_path / "v" / "control.json")
    write_json(tmp_path / "v" / "control.json", {**told, "version": 9})
    with pytest.raises(StoreError, match="another version"):
        ControlVector.load(tmp_path / "v")
    del told["provenance"]["tap"]
    write_json(tmp_path / "v" / "control.json", told)
    with pytest.raises(StoreError, match="is damaged"):
        ControlVector.load(tmp_path / "v")


def test_another_width_and_other_weights_are_refused(values):
    with pytest.raises(WidthError, match="'loud' has width 4, the tap has 6"):
        control(raw(np.ones(4, np.float32)))(values, TIME)
    model = as_model(nn.Sequential(nn.Conv1d(1, 6, 3)), 24_000)
    with pytest.raises(CheckpointError, match="made with other weights of m"):
        raw().check(model)
    raw(weights=weights_digest(model.module)).check(model)


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (lambda: raw(np.zeros(6, np.float32)), "is zero or not finite"),
        (lambda: replace(raw(), keep_error=True), "for features of a dictionary"),
        (lambda: replace(raw(), space="features"), "needs their dictionary"),
    ],
)
def test_a_vector_that_says_nothing_or_contradicts_itself_is_refused(made, what):
    with pytest.raises(ConfigError, match=what):
        made()


@pytest.fixture(scope="module")
def codec():
    return build_model({"type": "mini-encodec"})


@pytest.fixture(scope="module")
def sounds():
    return 0.1 * torch.randn(2, 1, 6_400, generator=torch.Generator().manual_seed(1))


def shifted(values, time):
    del time
    return values + 0.3


@pytest.mark.parametrize("requantise", [False, True])
def test_encoding_once_gives_what_encoding_anew_gives(codec, sounds, requantise):
    versions = Resynthesis(codec, "latent", sounds)
    slow = resynthesise(codec, sounds, {"latent": shifted}, requantise)
    assert torch.equal(versions(shifted, requantise), slow)
    assert not torch.equal(versions(None, requantise), slow)
    assert torch.equal(versions(None, requantise), resynthesise(codec, sounds, {}, requantise))


def test_at_latents_sounds_are_encoded_once_for_all_versions(codec, sounds):
    versions, told = Resynthesis(codec, "latent", sounds), []
    handle = codec.module.encoder.register_forward_hook(lambda *_: told.append(1))
    versions(shifted), versions(None), versions(shifted, True)
    handle.remove()
    assert not told


@pytest.mark.parametrize("tap", ["conv.0", "decoder.conv.0"])
def test_other_taps_are_edited_on_the_way(codec, sounds, tap):
    versions = Resynthesis(codec, tap, sounds)
    slow = resynthesise(codec, sounds, {tap: shifted})
    assert torch.equal(versions(shifted), slow)
    assert not torch.equal(slow, resynthesise(codec, sounds))


def test_a_round_trip_is_as_long_as_the_sound(codec):
    odd = torch.zeros(1, 1, 5_003)
    assert resynthesise(codec, odd).shape == odd.shape
    assert fitted(torch.ones(1, 1, 3), 5).tolist() == [[[1, 1, 1, 0, 0]]]


def test_a_model_without_a_way_back_is_refused(sounds):
    toy = build_model({"type": "toy-samplecnn"})
    with pytest.raises(TapError, match="cannot turn its activations back into sound"):
        resynthesise(toy, sounds)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"strength": float("nan")}, "strength: input should be a finite number"),
        ({"start_s": 2.0, "stop_s": 1.0}, "the span ends at 1 s, before it starts at 2 s"),
        ({"fade_s": -1.0}, "fade_s"),
    ],
)
def test_what_cannot_be_asked_of_a_vector_is_a_sentence(asked, what):
    with pytest.raises(ConfigError, match=what):
        control(raw(), **asked)


def test_what_has_no_value_moved_by_none():
    nan = float("nan")
    assert Moved("pitch", "Hz", nan, nan, nan, 1.0).cells() == ("pitch", "–", "–", "–", "–")
    told = Moved("pitch", "Hz", -0.25, 3.0, 0.5, 0.5).cells()
    assert told == ("pitch", "−0.25 Hz", "−0.5", "+3 Hz", "0.5 Hz")
