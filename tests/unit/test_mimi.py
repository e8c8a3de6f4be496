"""Mimi: two quantisers side by side, causal attention with a window, clips of whole frames."""

import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import ConfigError
from auscult.models.base import MODELS
from auscult.models.stimulus import harmonic_noise
from auscult.taps.capture import capture, run_capture
from auscult.taps.probe import time_base

SMALL = {
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
    "num_quantizers": 4,
    "upsample_groups": 16,
}
SEMANTIC = "quantizer.semantic_residual_vector_quantizer"
ACOUSTIC = "quantizer.acoustic_residual_vector_quantizer"


def build(weights="random", seed=0, **section):
    family, params = MODELS.parse({"type": "mimi", **section}, "model")
    return family.build(params, weights, seed)


@pytest.fixture(scope="module")
def model():
    return build(config=SMALL)


@pytest.fixture(scope="module")
def sound():
    return harmonic_noise(24_000, 1, 4_000, 2)


@torch.no_grad()
def test_it_says_what_the_library_says(model, sound):
    """Codes and sound of whole frames are those of `MimiModel`, which knows no latents."""
    assert model.module.config.head_dim == 16 // 2
    latents = model.codec.encode(sound)
    codes = model.codec.codes(latents)
    assert torch.equal(codes, model.module.encode(sound).audio_codes)
    assert codes.shape == (2, 4, 100)
    decoded = model.codec.decode(model.codec.quantise(latents))
    assert_close(decoded, model.module(sound).audio_values)


@torch.no_grad()
def test_semantic_and_acoustic_levels_hear_the_same_latents(model, sound):
    names = ["latent", "rvq.0:in", "rvq.1:in", "rvq.1", "rvq.2:in", "rvq.0:codes", "latent.q:codes"]
    heard = {name: found.values for name, found in run_capture(model, sound, names).items()}
    latents = heard["latent"].transpose(1, 2)
    for path, address in ((SEMANTIC, "rvq.0:in"), (ACOUSTIC, "rvq.1:in")):
        projected = model.module.get_submodule(path).input_proj(latents)
        assert_close(heard[address], projected.transpose(1, 2))
    assert_close(heard["rvq.2:in"], heard["rvq.1:in"] - heard["rvq.1"])
    assert torch.equal(heard["latent.q:codes"][..., :1], heard["rvq.0:codes"])


@torch.no_grad()
def test_the_entries_of_all_levels_make_up_the_quantised_latents(model, sound):
    names = [f"rvq.{i}" for i in range(4)]
    heard = run_capture(model, sound, [*names, "latent.q"])
    parts = (
        (SEMANTIC, heard["rvq.0"].values),
        (ACOUSTIC, sum(heard[name].values for name in names[1:])),
    )
    projected = [
        model.module.get_submodule(path).output_proj(values.transpose(1, 2))
        for path, values in parts
    ]
    assert_close(sum(projected).transpose(1, 2), heard["latent.q"].values, rtol=1e-4, atol=1e-5)
    codes = heard["rvq.2"].values[..., None, :] - model.codec.codebooks["rvq.2"]
    assert float(codes.norm(dim=-1).amin(-1).max()) < 1e-6


@torch.no_grad()
def test_fewer_levels_are_the_first_ones(model, sound):
    fewer = build(config=SMALL, n_levels=2)
    latents = model.codec.encode(sound)
    assert torch.equal(fewer.codec.encode(sound), latents)
    codes = model.codec.codes(latents)
    assert torch.equal(fewer.codec.codes(latents), codes[:, :2])
    assert_close(fewer.codec.quantise(latents), model.codec.from_codes(codes[:, :2]))
    assert [tap.role for tap in fewer.taps() if tap.role.startswith("rvq")] == ["rvq.0", "rvq.1"]
    with pytest.raises(ConfigError, match="n_levels"):
        build(config=SMALL, n_levels=5)


@torch.no_grad()
def test_a_clip_is_filled_up_to_whole_frames(model, sound):
    """And not layer by layer, which makes another last frame."""
    cut = sound[..., :-13]
    filled = torch.nn.functional.pad(cut, (0, 13))
    assert torch.equal(model.codec.encode(cut), model.codec.encode(filled))
    library = model.module.encoder(cut).latents
    assert_close(library[..., :-1], model.codec.encode(cut)[..., :-1])
    assert not torch.allclose(library[..., -1], model.codec.encode(cut)[..., -1], rtol=0.01)


def test_a_long_window_has_no_beginning_within_a_clip():
    """The published one of 250 frames, 10 s, beside one that ends."""
    short, long = build(config=SMALL), build(config={**SMALL, "sliding_window": 4_800})
    assert not time_base(short, "latent").unbounded_past
    assert time_base(long, "latent").unbounded_past
    assert time_base(long, "latent").hop == time_base(short, "latent").hop == 40
    hops = time_base(short, "block.1").span - time_base(short, "block.0:in").span
    assert hops == 2 * (3 - 1) * 20


@torch.no_grad()
def test_shuffled_weights_have_tables_of_their_own(model, sound, tmp_path):
    model.module.save_pretrained(tmp_path)
    shuffled = build("shuffled", checkpoint=str(tmp_path))
    plain = build("trained", checkpoint=str(tmp_path))
    assert torch.equal(plain.codec.codebooks["rvq.1"], model.codec.codebooks["rvq.1"])
    codes = shuffled.codec.codes(shuffled.codec.encode(sound))
    assert all(codes[:, level].unique().numel() > 5 for level in range(4))
    with capture(shuffled, ["decoder.block.0.mlp.act"]) as heard:
        shuffled.codec.decode(shuffled.codec.encode(sound))
    assert heard["decoder.block.0.mlp.act"].values.shape == (2, 200, 24)
