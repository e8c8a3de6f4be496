"""Contract of every model family, on tiny instances of the real classes with weights drawn afresh."""

import functools
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from auscult.core.errors import CheckpointError, ConfigError, SilentTapError, UserError
from auscult.models.base import MODELS, AudioModel
from auscult.models.stimulus import harmonic_noise
from auscult.models.weights import effective_weight, first_conv, folded_conv
from auscult.taps.capture import capture, run_capture
from auscult.taps.probe import time_base
from auscult.testing.models import ModelContract
from tests import diffrhythm_stand_in, tiny_generators
from tests.contract.encoders import section
from tests.contract.exports import Rave, save_script

ENCODEC = {
    "num_filters": 4,
    "hidden_size": 16,
    "codebook_size": 32,
    "target_bandwidths": [1.5, 3.0],
}
DAC = {
    "encoder_hidden_size": 8,
    "downsampling_ratios": [2, 4],
    "upsampling_ratios": [4, 2],
    "decoder_hidden_size": 32,
    "n_codebooks": 2,
    "codebook_size": 16,
    "codebook_dim": 4,
    "sampling_rate": 16000,
}
OOBLECK = {
    "encoder_hidden_size": 8,
    "downsampling_ratios": [2, 4],
    "channel_multiples": [1, 2],
    "decoder_channels": 8,
    "decoder_input_channels": 4,
    "sampling_rate": 16000,
}
WAVTOKENIZER = {
    "n_filters": 4,
    "d_latent": 16,
    "n_codes": 32,
    "d_model": 32,
    "d_hidden": 48,
    "n_blocks": 2,
}
MIMI = {
    "num_filters": 4,
    "hidden_size": 16,
    "upsampling_ratios": [4, 5],
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "sliding_window": 3,
    "codebook_size": 32,
    "codebook_dim": 8,
    "vector_quantization_hidden_dimension": 8,
    "num_quantizers": 3,
    "upsample_groups": 16,
}
OWN_FILE = Path(__file__).parent / "own_network.py"
FAMILIES = {
    "encodec": {"type": "encodec", "config": ENCODEC},
    "encodec 48 kHz": {
        "type": "encodec",
        "checkpoint": "facebook/encodec_48khz",
        "config": ENCODEC,
    },
    "dac": {"type": "dac", "config": DAC},
    "oobleck": {"type": "oobleck", "config": OOBLECK},
    "wavtokenizer": {"type": "wavtokenizer", "config": WAVTOKENIZER},
    "wavtokenizer 40": {"type": "wavtokenizer", "tokens_per_second": 40, "config": WAVTOKENIZER},
    "mimi": {"type": "mimi", "config": MIMI},
    "samplecnn": {"type": "samplecnn"},
    "toy-samplecnn": {"type": "toy-samplecnn"},
    "toy-samplecnn stride 1": {"type": "toy-samplecnn", "stride": 1},
    "python": {"type": "python", "factory": "build", "path": str(OWN_FILE)},
}


def make(section: dict, weights: str = "random", seed: int = 0) -> AudioModel:
    cls, params = MODELS.parse(section, "model")
    return cls.build(params, weights, seed)


def sound(model: AudioModel, seed: int = 0) -> torch.Tensor:
    n = model.probe_samples or model.sample_rate // 2
    return harmonic_noise(model.sample_rate, model.n_channels, n, 1, seed)


def output(model: AudioModel, wave: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        out = model.forward(wave)
    return out if isinstance(out, torch.Tensor) else out[0]


class TestEncodec(ModelContract):
    section = FAMILIES["encodec"]
    verified = ("conv.0", "res.1", "conv.4", "latent", "rvq.1", "latent.q", "decoder.up.0")


class TestEncodecAt48kHz(ModelContract):
    section = FAMILIES["encodec 48 kHz"]
    verified = ("conv.0", "conv.2")


class TestDac(ModelContract):
    section = FAMILIES["dac"]
    verified = ("conv.0", "res.0.2", "conv.2", "latent", "rvq.1", "decoder.up.0", "decoder.res.0.0")


class TestOobleck(ModelContract):
    section = FAMILIES["oobleck"]
    verified = (
        "conv.0",
        "res.0.2",
        "conv.2",
        "conv.3",
        "posterior",
        "latent",
        "decoder.up.0",
        "decoder.res.0.0",
        "decoder.conv.1",
    )


class TestMimi(ModelContract):
    section = FAMILIES["mimi"]
    verified = (
        "conv.0",
        "res.1",
        "block.0.attn.out",
        "block.1",
        "latent",
        "rvq.0",
        "rvq.2",
        "latent.q",
        "decoder.up",
        "decoder.block.0",
        "decoder.up.0",
    )


class TestWavTokenizer(ModelContract):
    section = FAMILIES["wavtokenizer"]
    verified = (
        "conv.0",
        "res.1",
        "conv.4",
        "lstm",
        "latent",
        "rvq.0",
        "latent.q",
        "decoder.conv.0",
        "decoder.block.1.mlp.act",
        "sound",
    )


class TestWavTokenizerAt40(ModelContract):
    section = FAMILIES["wavtokenizer 40"]
    verified = ("conv.2", "conv.4", "latent", "decoder.conv.0")


@functools.cache
def exported_rave() -> tempfile.TemporaryDirectory:
    """A folder that lives as long as the tests."""
    folder = tempfile.TemporaryDirectory()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_script(Rave(), Path(folder.name) / "voice.ts")
    return folder


class TestRave(ModelContract):
    section: ClassVar = {"type": "rave", "trusted": True}

    @classmethod
    def build(cls, weights="random", seed=0):
        file = str(Path(exported_rave().name) / "voice.ts")
        return make({**cls.section, "checkpoint": file}, weights, seed)


class TestStableAudio(ModelContract):
    section: ClassVar = {"type": "diffusers", "n_steps": 2}
    verified = ("conv.0", "conv.2", "latent")

    @classmethod
    def build(cls, weights="random", seed=0):
        return make({**cls.section, "checkpoint": tiny_generators.stable_audio()}, weights, seed)


class TestAudioLdm2(ModelContract):
    section: ClassVar = {"type": "diffusers", "n_steps": 2, "seconds": 0.05, "mel_window": 64}
    n_samples = 3200
    verified = ("mel", "conv.0", "latent")

    @classmethod
    def build(cls, weights="random", seed=0):
        return make({**cls.section, "checkpoint": tiny_generators.audioldm2()}, weights, seed)


class TestMusicgen(ModelContract):
    section: ClassVar = {"type": "musicgen", "seconds": 0.01}
    verified = ("conv.0", "conv.2", "latent", "rvq.1", "latent.q")

    @classmethod
    def build(cls, weights="random", seed=0):
        return make({**cls.section, "checkpoint": tiny_generators.musicgen()}, weights, seed)


class TestDiffRhythm(ModelContract):
    section: ClassVar = {"type": "diffrhythm", "n_frames": 16}
    verified = ("conv.0", "latent")

    @classmethod
    def build(cls, weights="random", seed=0):
        checkout, vae = diffrhythm_stand_in.once()
        return make({**cls.section, "checkout": checkout, "vae": vae}, weights, seed)


class TestSampleCnn(ModelContract):
    section = FAMILIES["samplecnn"]
    n_samples = 59_049
    verified = ("conv.0", "pool.2")


class TestToySampleCnn(ModelContract):
    section = FAMILIES["toy-samplecnn"]
    verified = ("conv.0", "pool.1", "conv.7", "block.8", "logits")


class TestToySampleCnnStride1(ModelContract):
    section = FAMILIES["toy-samplecnn stride 1"]
    verified = ("conv.0", "pool.0", "conv.7")


class TestMiniEncodec(ModelContract):
    section: ClassVar = {"type": "mini-encodec"}
    verified = ("conv.0", "lstm", "decoder.up.0")


class TestMiniFlow(ModelContract):
    section: ClassVar = {"type": "mini-flow"}
    verified = ("conv.0", "lstm")


class TestPython(ModelContract):
    section = FAMILIES["python"]


class TestAst(ModelContract):
    section = section("audio-spectrogram-transformer")
    verified = ("conv.0", "block.0:in", "block.0.mlp.act", "final")


class TestHubert(ModelContract):
    section = section("hubert")
    verified = ("act.0", "block.1.mlp.act")


class TestWav2Vec2(ModelContract):
    section = section("wav2vec2")
    verified = ("conv.0", "act.2", "position", "block.0:in", "block.0.attn.out")


class TestWavLM(ModelContract):
    section = section("wavlm")
    verified = ("block.1",)


class TestWhisper(ModelContract):
    section = section("whisper")
    verified = ("block.1.mlp.act", "final")


class TestClap(ModelContract):
    section = section("clap")
    verified = ("block.1.mlp.act", "final")


class TestM2D(ModelContract):
    section: ClassVar = {"type": "m2d", "n_frames": 96, "d_model": 64, "n_blocks": 2}
    verified = ("conv.0", "block.0:in", "block.1.mlp.act", "columns")


class TestMiniAudioVit(ModelContract):
    section: ClassVar = {"type": "mini-audio-vit"}
    verified = ("conv.0", "block.0:in", "block.3.mlp.act", "columns")


class TestMiniAudioVitSupervised(ModelContract):
    section: ClassVar = {"type": "mini-audio-vit", "training": "supervised"}
    verified = ("conv.0",)


def test_every_family_has_a_contract_test():
    tested = {cls.section["type"] for cls in ModelContract.__subclasses__()}
    assert {name for name in MODELS.names() if not name.startswith("example")} <= tested


@pytest.mark.parametrize("name", FAMILIES)
def test_the_first_filters_are_as_they_act(name):
    model = make(FAMILIES[name])
    found = first_conv(model)
    weight = effective_weight(found.conv)
    assert weight.ndim == 3
    torch.testing.assert_close(weight.reshape(-1), found.conv.weight.detach().reshape(-1))


@pytest.mark.parametrize("name", ["toy-samplecnn", "python"])
def test_shuffled_weights_keep_their_values_and_lose_their_places(name):
    plain, shuffled = (make(FAMILIES[name], w) for w in ("trained", "shuffled"))
    a, b = (first_conv(m).conv.weight.detach().flatten() for m in (plain, shuffled))
    assert torch.equal(a.sort().values, b.sort().values)
    assert not torch.equal(a, b)


@pytest.mark.parametrize("name", ["encodec", "dac", "mimi", "wavtokenizer"])
def test_an_untrained_quantiser_uses_many_codes(name):
    """A randomly initialised EnCodec has tables of zeros: whatever one tests on it passes."""
    model = make(FAMILIES[name])
    codes = run_capture(model, sound(model), ["rvq.0:codes"])["rvq.0:codes"].values
    assert codes.unique().numel() >= 5


@pytest.mark.parametrize("name", ["encodec", "dac"])
def test_the_levels_of_a_quantiser_add_up(name):
    model = make(FAMILIES[name])
    heard = run_capture(model, sound(model), ["rvq.0:in", "rvq.0", "rvq.1:in", "latent"])
    torch.testing.assert_close(heard["rvq.0:in"].values, heard["latent"].values)
    left = heard["rvq.0:in"].values - heard["rvq.0"].values
    torch.testing.assert_close(heard["rvq.1:in"].values, left, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["encodec", "dac", "mimi", "oobleck"])
def test_a_saved_codec_comes_back_from_its_folder(name, tmp_path):
    model = make(FAMILIES[name])
    model.module.save_pretrained(tmp_path)
    section = {"type": FAMILIES[name]["type"], "checkpoint": str(tmp_path)}
    again = make(section, "trained")
    assert torch.equal(output(model, sound(model)), output(again, sound(model)))


def test_latents_of_an_autoencoder_are_its_means():
    model = make(FAMILIES["oobleck"])
    wave = sound(model)
    posterior = model.module.encode(wave).latent_dist
    torch.testing.assert_close(model.codec.encode(wave), posterior.mean)
    heard = run_capture(model, wave, ["latent", "posterior"])
    assert torch.equal(heard["latent"].values, heard["posterior"].values[..., :4])


def test_an_autoencoder_is_found_where_its_pipeline_keeps_it(tmp_path):
    model = make(FAMILIES["oobleck"])
    model.module.save_pretrained(tmp_path / "vae")
    again = make({"type": "oobleck", "checkpoint": str(tmp_path)}, "trained")
    assert torch.equal(output(model, sound(model)), output(again, sound(model)))
    drawn = make({"type": "oobleck", "checkpoint": str(tmp_path)})
    assert drawn.module.config.encoder_hidden_size == 8


def test_an_autoencoder_refuses_a_decoder_that_does_not_fit():
    config = {**OOBLECK, "decoder_input_channels": 8}
    with pytest.raises(ConfigError, match="half of encoder_hidden_size"):
        make({"type": "oobleck", "config": config})
    with pytest.raises(ConfigError, match="encodre_hidden_size"):
        make({"type": "oobleck", "config": {"encodre_hidden_size": 8}})


def test_a_folder_without_safetensors_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="safetensors"):
        make({"type": "oobleck", "checkpoint": str(tmp_path)}, "trained")


FULL_SIZE = {
    "encodec": ("conv.0", 7, "conv.5", 2718),
    "dac": ("conv.0", 7, "latent", 7978),
    "oobleck": ("conv.0", 7, "latent", 31818),
    "wavtokenizer": ("conv.0", 7, "conv.5", 2718),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_SIZE)
def test_spans_of_the_published_encoders(name):
    """METHODS 2.3, 2.5, 2.6."""
    first, at_first, last, at_last = FULL_SIZE[name]
    model = make({"type": name})
    assert time_base(model, first).span == at_first
    assert time_base(model, last).span == at_last


def test_a_decoder_tap_says_when_it_fires():
    model = make(FAMILIES["encodec"])
    with pytest.raises(SilentTapError, match=r"decoder\.conv\.0"):
        run_capture(model, sound(model), ["decoder.conv.0"])
    with torch.no_grad(), capture(model, ["decoder.conv.0"]) as captured:
        model.codec.decode(model.codec.encode(sound(model)))
    assert captured["decoder.conv.0"].values.shape[0] == 1


def test_a_batch_norm_is_folded_as_it_acts():
    model = make(FAMILIES["python"])
    found = first_conv(model)
    assert found.norm_path == "norm"
    weight, bias = folded_conv(found.conv, found.norm)
    wave = sound(model)
    expected = model.module.norm(model.module.front(wave))
    got = torch.nn.functional.conv1d(wave, weight, bias, stride=4)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"path": "nowhere.py"}, UserError, "nowhere.py"),
        ({"factory": "buidl"}, UserError, "build"),
        ({"factory": "broken"}, UserError, r"returned a str and not a torch\.nn\.Module"),
        ({"args": {"wdith": 3}}, UserError, "wdith"),
    ],
)
def test_a_wrong_factory_is_a_sentence(change, error, said):
    section = {"type": "python", "path": str(OWN_FILE), "factory": "build", **change}
    cls, params = MODELS.parse(section, "model")
    with pytest.raises(error, match=said):
        cls.build(params, "trained", 0)


def test_another_architectures_weights_are_refused_with_their_keys(tmp_path):
    model = make(FAMILIES["encodec"])
    model.module.save_pretrained(tmp_path)
    from safetensors.torch import load_file, save_file

    tensors = load_file(tmp_path / "model.safetensors")
    lost = sorted(tensors)[0]
    del tensors[lost]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=lost.split(".")[0]):
        make({"type": "encodec", "checkpoint": str(tmp_path)}, "trained")


def test_a_pickled_checkpoint_is_refused_and_not_executed(tmp_path):
    model = make(FAMILIES["encodec"])
    model.module.config.save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(
        b"cos\nsystem\n(S'touch " + bytes(tmp_path) + b"/owned'\ntR."
    )
    with pytest.raises(CheckpointError):
        make({"type": "encodec", "checkpoint": str(tmp_path)}, "trained")
    assert not (tmp_path / "owned").exists()


def test_changes_of_the_architecture_do_not_go_with_trained_weights():
    with pytest.raises(ConfigError, match="random"):
        make(FAMILIES["encodec"], "trained")
