"""WavTokenizer: its published layout, its single codebook, and a decoder that is a Vocos."""

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, ConfigError
from auscult.models.base import MODELS
from auscult.models.networks.vocos import FrameAttention, InverseStft, SpectrumHead
from auscult.models.stimulus import harmonic_noise
from auscult.taps.capture import capture, intervene, run_capture

SIZES = {
    "n_filters": 4,
    "d_latent": 16,
    "n_codes": 32,
    "d_model": 32,
    "d_hidden": 48,
    "n_blocks": 2,
    "n_bandwidths": 3,
}
ENCODER = "feature_extractor.encodec.encoder.model."
TABLE = "feature_extractor.encodec.quantizer.vq.layers.0._codebook."


def build(weights="random", seed=0, **section):
    family, params = MODELS.parse({"type": "wavtokenizer", **section}, "model")
    return family.build(params, weights, seed)


@pytest.fixture(scope="module")
def model():
    """Random, with norms that differ between bit rates."""
    model = build(tokens_per_second=40, config=SIZES)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.module.named_parameters():
            if ".scale." in name or ".shift." in name:
                value.add_(0.3 * torch.randn(value.shape, generator=rng))
    return model


@pytest.fixture(scope="module")
def sound():
    return harmonic_noise(24_000, 1, 12_000, 2)


def published(model):
    """Its tensors under the names of the published checkpoints, with what training leaves there."""
    told = {}
    for key, value in model.module.state_dict().items():
        if key.startswith("encoder.layers."):
            inner = key.removeprefix("encoder.layers.")
            inner = inner.replace(".conv.parametrizations.weight.original0", ".conv.conv.weight_g")
            inner = inner.replace(".conv.parametrizations.weight.original1", ".conv.conv.weight_v")
            told[ENCODER + inner.replace(".conv.bias", ".conv.conv.bias")] = value
        elif key == "quantizer.embed":
            told[TABLE + "embed"] = value
        else:
            told[key] = value
    statistics = {"inited": torch.ones(1), "cluster_size": torch.ones(32)}
    told |= {TABLE + key: value for key, value in statistics.items()}
    return {
        **told,
        TABLE + "embed_avg": torch.zeros(32, 16),
        "feature_extractor.encodec.decoder.model.0.conv.conv.bias": torch.zeros(4),
        "multiperioddisc.discriminators.0.convs.0.bias": torch.zeros(4),
        "melspec_loss.mel_spec.spectrogram.window": torch.zeros(8),
    }


def settings(**changes):
    front = {"dowmsamples": [6, 5, 5, 4], "vq_bins": 32, "num_quantizers": 1}
    back = {"input_channels": 16, "dim": 32, "intermediate_dim": 48, "num_layers": 2}
    head = {"dim": 32, "n_fft": 2400, "hop_length": 600, "padding": "same"}
    parts = {
        "feature_extractor": front,
        "backbone": {**back, "adanorm_num_embeddings": 3},
        "head": head,
    }
    for part in parts.values():
        part.update({key: value for key, value in changes.items() if key in part})
    init = {name: {"class_path": "decoder.x", "init_args": args} for name, args in parts.items()}
    return yaml.safe_dump({"model": {"class_path": "decoder.y", "init_args": init}})


@torch.no_grad()
def test_a_published_checkpoint_gives_the_same_network(model, sound, tmp_path):
    torch.save({"state_dict": published(model), "epoch": 1}, tmp_path / "small.ckpt")
    (tmp_path / "small.yaml").write_text(settings())
    other = build(
        "trained", checkpoint=str(tmp_path / "small.ckpt"), settings=str(tmp_path / "small.yaml")
    )
    assert other.module.shape == model.module.shape.__class__(
        ratios=(6, 5, 5, 4), n_fft=2400, **SIZES
    )
    latents = model.codec.encode(sound)
    assert torch.equal(other.codec.encode(sound), latents)
    assert torch.equal(other.codec.codes(latents), model.codec.codes(latents))
    assert torch.equal(other.codec.decode(latents), model.codec.decode(latents))
    assert other.weights == "trained"


def test_random_weights_take_a_checkpoints_sizes(model, sound, tmp_path):
    tensors = {key: value.contiguous() for key, value in published(model).items()}
    save_file(tensors, tmp_path / "small.safetensors")
    drawn = build("random", 1, checkpoint=str(tmp_path / "small.safetensors"))
    assert drawn.codec.codes(drawn.codec.encode(sound)).shape == (2, 1, 20)
    assert not torch.equal(drawn.codec.encode(sound), model.codec.encode(sound))
    shuffled = build("shuffled", 1, checkpoint=str(tmp_path / "small.safetensors"))
    codes = shuffled.codec.codes(shuffled.codec.encode(sound))
    assert codes.unique().numel() > 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dowmsamples": [8, 5, 4, 2]}, r"dowmsamples is \(8, 5, 4, 2\)"),
        ({"num_quantizers": 2}, "num_quantizers is 2"),
        ({"padding": "center"}, "padding is center"),
        ({"hop_length": 320}, "hop_length is 320 and the tensors say 600"),
    ],
)
def test_settings_of_another_network_are_refused(model, tmp_path, change, said):
    torch.save({"state_dict": published(model)}, tmp_path / "small.ckpt")
    (tmp_path / "small.yaml").write_text(settings(**change))
    section = {"checkpoint": str(tmp_path / "small.ckpt"), "settings": str(tmp_path / "small.yaml")}
    with pytest.raises(CheckpointError, match=said):
        build("trained", **section)
    (tmp_path / "small.yaml").write_text("trainer: {}")
    with pytest.raises(CheckpointError, match="not the settings file"):
        build("trained", **section)


def test_other_checkpoints_are_refused(model, tmp_path):
    tensors = published(model)
    second = TABLE.replace("layers.0", "layers.1") + "embed"
    for lost, added, said in (
        ("head.out.bias", None, r"missing keys head\.out\.bias"),
        ("head.out.weight", None, r"missing keys head\.out\.weight"),
        (None, second, "unexpected keys feature_extractor"),
        (None, "backbone.convnext.0.extra", r"unexpected keys backbone\.convnext\.0\.extra"),
    ):
        told = {key: value for key, value in tensors.items() if key != lost}
        told |= {added: torch.zeros(32, 16)} if added else {}
        torch.save({"state_dict": told}, tmp_path / "other.ckpt")
        with pytest.raises(CheckpointError, match=said):
            build("trained", checkpoint=str(tmp_path / "other.ckpt"))
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "none.ckpt")
    with pytest.raises(CheckpointError, match="nothing of a WavTokenizer"):
        build("trained", checkpoint=str(tmp_path / "none.ckpt"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"config": {"n_fitlers": 4}}, "n_fitlers"),
        ({"config": {"d_model": 40}}, "multiple of 32"),
        ({"config": SIZES, "bandwidth_id": 3}, "bandwidth_id"),
    ],
)
def test_impossible_settings_are_a_sentence(section, said):
    with pytest.raises(ConfigError, match=said):
        build(**section)


def test_weights_that_are_not_there_are_asked_for():
    with pytest.raises(ConfigError, match="no bundled weights"):
        build("trained")
    with pytest.raises(ConfigError, match="leave it out"):
        build("trained", checkpoint="x.ckpt", config=SIZES)


@torch.no_grad()
def test_the_codebook_gives_the_nearest_entry(model, sound):
    latents, table = model.codec.encode(sound), model.codec.codebooks["rvq.0"]
    codes = model.codec.codes(latents)
    vectors = latents.transpose(1, 2)
    assert torch.equal(codes[:, 0], torch.cdist(vectors, table.expand(2, -1, -1)).argmin(-1))
    heard = run_capture(model, sound, ["rvq.0:in", "rvq.0:codes", "rvq.0", "latent.q"])
    assert torch.equal(heard["rvq.0:in"].values, vectors)
    assert torch.equal(heard["rvq.0:codes"].values, codes.transpose(1, 2))
    assert torch.equal(heard["rvq.0"].values, table[codes[:, 0]])
    assert torch.equal(heard["latent.q"].values, heard["rvq.0"].values)
    assert torch.equal(model.codec.from_codes(codes), model.codec.quantise(latents))


@torch.no_grad()
@pytest.mark.parametrize(("hop", "n_fft"), [(320, 1280), (600, 2400), (7, 28)])
def test_the_inverse_transform_gives_back_what_was_transformed(hop, n_fft):
    """Frames of `torch.stft`, half of the overlap before the first hop, sum up to the sound."""
    n_frames, cut = 9, (n_fft - hop) // 2
    sound = torch.randn(2, n_frames * hop, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(sound, (cut, n_fft - hop - cut))
    window = torch.hann_window(n_fft)
    spectra = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)[
        ..., :n_frames
    ]
    again = InverseStft(n_fft, hop)(spectra)
    assert again.shape[-1] >= n_frames * hop
    assert_close(again[:, : n_frames * hop], sound, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_head_turns_log_magnitudes_and_phases_into_tones():
    """A bin at log magnitude log(n_fft / 2) with a phase that runs on is a cosine of that bin.

    Frames are windowed once and divided by the squared windows: 2 / 1.5 for a Hann window of four
    hops.
    """
    hop, n_fft, k, n_frames = 8, 32, 3, 12
    head = SpectrumHead(n_fft + 2, n_fft, hop)
    head.out.weight.copy_(torch.eye(n_fft + 2))
    head.out.bias.zero_()
    frames = torch.zeros(1, n_frames, n_fft + 2)
    frames[..., : n_fft // 2 + 1] = -30.0
    frames[..., k] = torch.log(torch.tensor(n_fft / 2))
    start = hop * torch.arange(n_frames) - (n_fft - hop) / 2
    frames[..., n_fft // 2 + 1 + k] = 2 * torch.pi * k * start / n_fft
    sound = head(frames)[0, 0]
    expected = torch.cos(2 * torch.pi * k * torch.arange(len(sound)) / n_fft)
    inside = slice(n_fft, -n_fft)
    assert_close(sound[inside], 4 / 3 * expected[inside], rtol=0, atol=1e-4)


@torch.no_grad()
def test_attention_is_that_of_the_paper():
    """Beside the plain formula, written out."""
    layer = FrameAttention(32)
    x = torch.randn(2, 32, 7, generator=torch.Generator().manual_seed(0))
    q, k, v = (said(layer.norm(x)) for said in (layer.q, layer.k, layer.v))
    weights = torch.softmax(torch.einsum("bci,bcj->bij", q, k) / 32**0.5, -1)
    expected = x + layer.proj_out(torch.einsum("bij,bcj->bci", weights, v))
    assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_each_bit_rate_has_its_own_decoder(model, sound):
    latents = model.codec.quantise(model.codec.encode(sound))
    decoded = [model.network.decode(latents, bandwidth) for bandwidth in range(3)]
    assert decoded[0].shape == (2, 1, 12_000)
    assert torch.equal(model.codec.decode(latents), decoded[0])
    assert not torch.allclose(decoded[0], decoded[1], atol=1e-3)


@torch.no_grad()
def test_taps_of_the_decoder_are_where_they_say(model, sound):
    """Neurons are what the second matrix hears; silencing a block leaves the stream before it."""
    latents = model.codec.encode(sound)
    names = ["decoder.block.0", "decoder.block.1", "decoder.block.1.mlp.act", "decoder.spectrum"]
    with capture(model, names) as heard:
        model.codec.decode(latents)
    before, after = (heard[name].values for name in names[:2])
    block = model.network.backbone.convnext[1]
    assert_close(after, before + block.gamma * block.pwconv2(heard[names[2]].values))
    assert heard["decoder.spectrum"].values.shape[-1] == 2402

    def silenced(values, time):
        return values * 0

    with (
        intervene(model, {"decoder.block.1.mlp.act": silenced}),
        capture(model, ["decoder.block.1"]) as silent,
    ):
        model.codec.decode(latents)
    expected = before + block.gamma * block.pwconv2.bias
    assert_close(silent["decoder.block.1"].values, expected)
