"""Oobleck in the layouts of stable-audio-tools and DiffRhythm, beside diffusers' own."""

import json
import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, ConfigError, UnknownNameError
from auscult.models.base import MODELS
from auscult.models.stimulus import harmonic_noise
from auscult.taps.capture import capture, run_capture
from auscult.taps.probe import time_base
from tests.contract.exports import StableAudio, save_script, save_traced

SMALL = {
    "encoder_hidden_size": 8,
    "downsampling_ratios": [2, 5],
    "channel_multiples": [1, 2],
    "decoder_channels": 6,
    "decoder_input_channels": 4,
    "sampling_rate": 44_100,
}
STAGE = {"type": "oobleck", "config": {"use_snake": True, "final_tanh": False}}
SETTINGS = {
    "sample_rate": 32_000,
    "model": {"encoder": STAGE, "decoder": STAGE, "bottleneck": {"type": "vae"}},
}


def build(weights="trained", seed=0, **section):
    family, params = MODELS.parse({"type": "oobleck", **section}, "model")
    return family.build(params, weights, seed)


@pytest.fixture(scope="module")
def model():
    """Diffusers' own, with slopes and biases that matter."""
    model = build("random", config=SMALL)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if name.endswith(("alpha", "beta", "bias")):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    return model


@pytest.fixture(scope="module")
def official(model):
    return StableAudio(model.module)


@pytest.fixture(scope="module")
def sound():
    return harmonic_noise(44_100, 2, 3_000, 1)


def inputs(model, sound):
    latents = model.codec.encode(sound).detach()
    return {"encode_export": sound, "decode_export": latents}


def prefixed(official, prefix):
    return {prefix + key: value for key, value in official.published().items()}


@torch.no_grad()
def check(model, other, sound, exact=True):
    for name in ("latent", "posterior"):
        one, two = (run_capture(m, sound, [name])[name].values for m in (model, other))
        assert_close(two, one, rtol=0, atol=0 if exact else 2e-5)
    latents = model.codec.encode(sound)
    one, two = (m.codec.decode(latents) for m in (model, other))
    assert_close(two, one, rtol=0, atol=0 if exact else 2e-5)


@pytest.mark.parametrize("prefix", ["", "autoencoder.", "pretransform.model."])
def test_safetensors_give_the_same_network(model, official, sound, tmp_path, prefix):
    save_file(prefixed(official, prefix), tmp_path / "vae.safetensors")
    other = build(checkpoint=str(tmp_path / "vae.safetensors"))
    check(model, other, sound)
    assert [tap.role for tap in other.taps()] == [tap.role for tap in model.taps()]
    assert time_base(other, "latent") == time_base(model, "latent")


def test_of_a_training_run_the_running_average_is_taken(model, official, sound, tmp_path):
    late = {key: torch.zeros_like(v) for key, v in prefixed(official, "autoencoder.").items()}
    tensors = {**late, **prefixed(official, "autoencoder_ema.ema_model."), "loss.x": torch.ones(1)}
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "model.ckpt")
    (tmp_path / "model_config.json").write_text(json.dumps(SETTINGS))
    other = build(checkpoint=str(tmp_path))
    check(model, other, sound)
    assert other.sample_rate == 32_000


def test_random_weights_take_a_files_sizes(model, official, sound, tmp_path):
    save_file(prefixed(official, ""), tmp_path / "vae.safetensors")
    drawn = build("random", 3, checkpoint=str(tmp_path / "vae.safetensors"))
    assert drawn.module.config.decoder_channels == 6
    assert not torch.equal(drawn.codec.encode(sound), model.codec.encode(sound))
    again = build("random", 3, config={**SMALL})
    assert torch.equal(drawn.codec.encode(sound), again.codec.encode(sound))


@pytest.mark.parametrize("normed", [True, False])
def test_an_export_becomes_the_network_that_it_is(model, sound, tmp_path, normed):
    source = build("random", config=SMALL)
    source.module.load_state_dict(model.module.state_dict())
    official = StableAudio(source.module)
    for layer in official.modules() if not normed else ():
        if hasattr(layer, "weight_g"):
            nn.utils.remove_weight_norm(layer)
    path = save_traced(official, tmp_path / "vae.pt", inputs(model, sound), frozen=False)
    other = build(checkpoint=str(path), trusted=True)
    check(source, other, sound)
    assert [tap.role for tap in other.taps()] == [tap.role for tap in model.taps()]


class Loud(StableAudio):
    """The same tensors and another way back, as DiffRhythm is said to have."""

    def decode_export(self, z):
        return torch.tanh(self.decoder(z))


@torch.no_grad()
def test_a_half_that_says_something_else_is_run_as_exported(model, sound, tmp_path):
    loud = Loud(model.module)
    path = save_traced(loud, tmp_path / "vae.pt", inputs(model, sound), frozen=False)
    other = build(checkpoint=str(path), trusted=True)
    latents = other.codec.encode(sound)
    assert torch.equal(latents, model.codec.encode(sound))
    assert_close(other.codec.decode(latents), torch.tanh(model.codec.decode(latents)))
    roles = [tap.role for tap in other.taps()]
    assert "res.1.2" in roles
    assert roles[-2:] == ["latent", "sound"]
    with capture(other, ["sound"]) as captured:
        decoded = other.codec.decode(latents)
    assert torch.equal(captured["sound"].values, decoded.transpose(1, 2))
    drawn = build("random", 1, checkpoint=str(path), trusted=True)
    assert not torch.equal(drawn.codec.decode(latents), other.codec.decode(latents))


@torch.no_grad()
def test_a_program_without_tensors_is_run_as_exported(model, official, sound, tmp_path):
    path = save_traced(official, tmp_path / "vae.pt", inputs(model, sound), frozen=True)
    other = build(checkpoint=str(path), trusted=True)
    check(model, other, sound, exact=False)
    assert [tap.role for tap in other.taps()] == ["posterior", "latent", "sound"]
    assert (time_base(other, "latent").hop, time_base(other, "latent").span) == (
        time_base(model, "latent").hop,
        time_base(model, "latent").span,
    )
    with pytest.raises(UnknownNameError):
        run_capture(other, sound, ["conv.0"])


def test_nobody_runs_a_program_unasked(model, official, sound, tmp_path):
    path = save_traced(official, tmp_path / "vae.pt", inputs(model, sound), frozen=False)
    with pytest.raises(ConfigError, match="trusted = true"):
        build(checkpoint=str(path))


def test_an_export_of_something_else_is_refused(tmp_path):
    path = save_script(nn.Conv1d(2, 2, 1), tmp_path / "vae.pt")
    with pytest.raises(CheckpointError, match="no method encode_export"):
        build(checkpoint=str(path), trusted=True)


def changed(stage=None, **settings):
    other = json.loads(json.dumps(SETTINGS))
    for half in ("encoder", "decoder"):
        other["model"][half]["config"].update(stage or {})
    other["model"].update(settings)
    return other


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (changed({"final_tanh": True}), "final_tanh"),
        (changed({"use_snake": False}), "without snakes"),
        (changed({"antialias_activation": True}), "antialias_activation"),
        (changed(bottleneck={"type": "tanh"}), "bottleneck of type tanh"),
        (changed(encoder={"type": "seanet"}), "encoder of type seanet"),
        ({"model": {}}, "does not tell"),
    ],
)
def test_settings_of_another_network_are_refused(official, tmp_path, told, said):
    save_file(prefixed(official, ""), tmp_path / "vae.safetensors")
    (tmp_path / "told.json").write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match=said):
        build(checkpoint=str(tmp_path / "vae.safetensors"), settings=str(tmp_path / "told.json"))


def test_settings_of_a_whole_pipeline_tell_of_its_autoencoder(official, tmp_path):
    save_file(prefixed(official, "pretransform.model."), tmp_path / "model.safetensors")
    whole = {"sample_rate": 22_050, "model": {"pretransform": {"config": SETTINGS["model"]}}}
    (tmp_path / "model_config.json").write_text(json.dumps(whole))
    assert build(checkpoint=str(tmp_path)).sample_rate == 22_050


def test_a_lost_tensor_is_named(official, tmp_path):
    tensors = prefixed(official, "")
    del tensors["decoder.layers.1.layers.2.layers.3.bias"]
    save_file(tensors, tmp_path / "vae.safetensors")
    with pytest.raises(CheckpointError, match=r"decoder\.block\.0\.res_unit1\.conv2\.bias"):
        build(checkpoint=str(tmp_path / "vae.safetensors"))
    save_file({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no autoencoder"):
        build(checkpoint=str(tmp_path / "other.safetensors"))


def test_a_folder_without_tensors_is_refused(tmp_path):
    (tmp_path / "model_config.json").write_text(json.dumps(SETTINGS))
    with warnings.catch_warnings(), pytest.raises(CheckpointError, match="name the file itself"):
        build(checkpoint=str(tmp_path))
