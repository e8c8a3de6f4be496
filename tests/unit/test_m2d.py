"""M2D: checkpoints in the published layout, read without executing anything, into our own ViT."""

import argparse

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.testing import assert_close

from auscult.core.errors import AudioError, CheckpointError, ConfigError
from auscult.models.base import MODELS
from auscult.models.stimulus import harmonic_noise
from auscult.taps.capture import intervene, run_capture

D, ROWS, COLUMNS, BLOCKS = 64, 5, 4, 2


def published(seed=0):
    """Tensors under the names, and in the shapes, of `m2d_vit_base-80x608p16x16`, but smaller."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return 0.2 * torch.randn(shape, generator=rng)

    state = {
        "cls_token": draw(1, 1, D),
        "pos_embed": draw(1, 1 + ROWS * COLUMNS, D),
        "patch_embed.proj.weight": draw(D, 1, 16, 16) / 4,
        "patch_embed.proj.bias": draw(D),
    }
    for i in range(BLOCKS):
        state |= {
            f"blocks.{i}.norm1.weight": 1 + draw(D),
            f"blocks.{i}.norm1.bias": draw(D),
            f"blocks.{i}.attn.qkv.weight": draw(3 * D, D),
            f"blocks.{i}.attn.qkv.bias": draw(3 * D),
            f"blocks.{i}.attn.proj.weight": draw(D, D),
            f"blocks.{i}.attn.proj.bias": draw(D),
            f"blocks.{i}.norm2.weight": 1 + draw(D),
            f"blocks.{i}.norm2.bias": draw(D),
            f"blocks.{i}.mlp.fc1.weight": draw(4 * D, D),
            f"blocks.{i}.mlp.fc1.bias": draw(4 * D),
            f"blocks.{i}.mlp.fc2.weight": draw(D, 4 * D),
            f"blocks.{i}.mlp.fc2.bias": draw(D),
        }
    return state | {"norm.weight": 1 + draw(D), "norm.bias": draw(D)}


TRAINING = {
    "mask_token": torch.zeros(1, 1, 32),
    "decoder_pos_embed": torch.zeros(1, 21, 32),
    "decoder_blocks.0.attn.qkv.weight": torch.zeros(96, 32),
    "target_blocks.0.norm1.weight": torch.ones(D),
}


def load(file, weights="trained", seed=0):
    family, params = MODELS.parse({"type": "m2d", "checkpoint": str(file)}, "model")
    return family.build(params, weights, seed)


@pytest.fixture
def checkpoint(tmp_path):
    """As a training script saves it: tensors, step, and its own command line."""
    file = tmp_path / "checkpoint-300.pth"
    held = {"model": published() | TRAINING, "epoch": 300, "args": argparse.Namespace(lr=3e-4)}
    torch.save(held, file)
    return file


def slow_twin(state, spectrum):
    """The paper's encoder written out, one patch and one head at a time: ``[column row d]``."""
    n_columns = spectrum.shape[1] // 16
    tokens = [(state["cls_token"] + state["pos_embed"][:, :1])[0, 0]]
    for row in range(ROWS):
        for column in range(n_columns):
            patch = spectrum[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            weight = state["patch_embed.proj.weight"][:, 0]
            place = state["pos_embed"][0, 1 + row * COLUMNS + column]
            tokens.append((weight * patch).sum((1, 2)) + state["patch_embed.proj.bias"] + place)
    x = torch.stack(tokens)
    for i in range(BLOCKS):
        at = {key.removeprefix(f"blocks.{i}."): value for key, value in state.items()}
        x = x + _attended(at, F.layer_norm(x, (D,), at["norm1.weight"], at["norm1.bias"], 1e-6))
        y = F.layer_norm(x, (D,), at["norm2.weight"], at["norm2.bias"], 1e-6)
        hidden = F.gelu(y @ at["mlp.fc1.weight"].T + at["mlp.fc1.bias"])
        x = x + hidden @ at["mlp.fc2.weight"].T + at["mlp.fc2.bias"]
    x = F.layer_norm(x, (D,), state["norm.weight"], state["norm.bias"], 1e-6)
    return x[1:].reshape(ROWS, n_columns, D).transpose(0, 1)


def _attended(at, x):
    q, k, v = (x @ at["attn.qkv.weight"].T + at["attn.qkv.bias"]).split(D, 1)
    weights = (q @ k.T / 64**0.5).softmax(1)
    return weights @ v @ at["attn.proj.weight"].T + at["attn.proj.bias"]


@pytest.mark.parametrize("n_columns", [COLUMNS, 2])
def test_the_encoder_is_that_of_the_paper_also_for_a_short_clip(checkpoint, n_columns):
    model = load(checkpoint)
    sound = harmonic_noise(16_000, 1, 2560 * n_columns - 1, 1, 0)
    spectrum = model.vit.spectrum(sound)[0, 0]
    expected = slow_twin(published(), spectrum)
    with torch.no_grad():
        got = model.forward(sound)[0]
    assert_close(got, expected.flatten(1), rtol=1e-4, atol=1e-4)
    patches = run_capture(model, sound, ["final"])["final"].values[0]
    assert_close(patches, expected.flatten(0, 1), rtol=1e-4, atol=1e-4)


def test_the_spectrum_is_at_the_mean_and_deviation_of_2022(checkpoint):
    model = load(checkpoint)
    sound = harmonic_noise(16_000, 1, 8_000, 1, 0)
    log = (model.vit.mel(sound[:, 0]) + torch.finfo(torch.float32).eps).log()
    n_frames = log.shape[-1]
    spectrum = model.vit.spectrum(sound)[:, 0]
    assert_close(spectrum[..., :n_frames], (log + 7.1) / 4.2)
    assert spectrum.shape[-1] == 64
    assert bool((spectrum[..., n_frames:] == 0).all())


def test_sizes_come_from_the_tensors(checkpoint):
    model = load(checkpoint)
    shape = model.vit.shape
    assert (shape.n_frames, shape.patch, shape.d_model) == (64, (16, 16), D)
    assert (shape.n_blocks, shape.n_heads, shape.d_mlp) == (BLOCKS, 1, 4 * D)
    assert model.probe_samples == 64 * 160


@pytest.mark.parametrize("prefix", ["module.ar.runtime.backbone.", "backbone.", ""])
def test_names_of_evaluation_scripts_and_safetensors_give_the_same_network(
    checkpoint, tmp_path, prefix
):
    own = {f"{prefix}{key}": value for key, value in published().items()}
    own["module.head.mlp.mlp.0.weight"] = torch.zeros(3, D)
    save_file(own, tmp_path / "m2d.safetensors")
    one, other = load(checkpoint).module, load(tmp_path / "m2d.safetensors").module
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("lost", "added", "said"),
    [
        ("blocks.1.mlp.fc2.bias", None, r"missing keys blocks\.1\.mlp\.fc2\.bias"),
        (None, "blocks.1.ls1.gamma", r"unexpected keys blocks\.1\.ls1\.gamma"),
        ("cls_token", None, "missing keys cls_token"),
    ],
)
def test_keys_that_do_not_fit_are_named(tmp_path, lost, added, said):
    state = published()
    state.pop(lost, None)
    state |= {added: torch.ones(D)} if added else {}
    torch.save({"model": state}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=said):
        load(tmp_path / "other.pth")


class Touch:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_a_checkpoint_that_would_execute_is_refused_and_does_not(tmp_path):
    file, mark = tmp_path / "evil.pth", tmp_path / "owned"
    torch.save({"model": published(), "args": Touch(mark)}, file)
    with pytest.raises(CheckpointError, match="nothing else of it is executed"):
        load(file)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_what_is_no_checkpoint_is_a_sentence(tmp_path, content):
    if content is None:
        torch.save([1, 2], tmp_path / "x.pth")
    else:
        (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pth"):
        load(tmp_path / "x.pth")


@pytest.mark.parametrize("weights", ["random", "shuffled"])
def test_controls_keep_the_checkpoint_s_sizes_and_nothing_learned(checkpoint, weights):
    trained, control = load(checkpoint), load(checkpoint, weights)
    names = dict(trained.module.named_parameters())
    for name, parameter in control.module.named_parameters():
        assert parameter.shape == names[name].shape
        if parameter.ndim > 1:
            assert not torch.equal(parameter, names[name]), name
    assert torch.equal(control.module.norm_stats, trained.module.norm_stats)


def heard_by_the_stream(model, edit):
    """What the first MLP adds to every token, without and with an edit."""
    seen = []
    fc2 = model.module.blocks[0].mlp.fc2
    hook = fc2.register_forward_hook(lambda *call: seen.append(call[2].detach().clone()))
    sound = harmonic_noise(16_000, 1, 8_000, 1, 0)
    with torch.no_grad():
        model.forward(sound)
        with intervene(model, edit):
            model.forward(sound)
    hook.remove()
    return seen[0], seen[-1]


def test_silenced_neurons_are_silent_for_every_patch_and_the_class_token_keeps_them(checkpoint):
    """Tokens without a place in time are not frames: an edit leaves theirs as it is."""
    model = load(checkpoint)
    edit = {"block.0.mlp.act": lambda values, time: values * 0}
    before, after = heard_by_the_stream(model, edit)
    bias = model.module.blocks[0].mlp.fc2.bias.detach()
    assert_close(after[:, 1:], bias.expand_as(after[:, 1:]))
    assert torch.equal(after[:, 0], before[:, 0])
    assert not torch.equal(after[:, 1:], before[:, 1:])


def test_at_the_module_s_own_path_they_are_silent_for_the_class_token_too(checkpoint):
    model = load(checkpoint)
    edit = {"blocks.0.mlp.act": lambda values, time: values * 0}
    _, after = heard_by_the_stream(model, edit)
    assert_close(after, model.module.blocks[0].mlp.fc2.bias.detach().expand_as(after))


def test_what_is_too_long_or_too_short_is_refused(checkpoint):
    model = load(checkpoint)
    with pytest.raises(AudioError, match=r"clip_seconds to 0\.64"):
        model.forward(torch.zeros(1, 1, 64 * 160 + 1))
    with pytest.raises(AudioError, match="at least"):
        model.forward(torch.zeros(1, 1, 100))


def test_trained_weights_need_a_checkpoint():
    family, params = MODELS.parse({"type": "m2d"}, "model")
    with pytest.raises(ConfigError, match="no bundled weights"):
        family.build(params, "trained", 0)
