"""Weights as they act, drawn afresh, shuffled, and read from disk."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, TapError
from auscult.models.initial import fill_codebooks, recalibrate_norms, redraw_weights
from auscult.models.weights import (
    effective_weight,
    first_conv,
    folded_conv,
    load_strict,
    read_checkpoint,
    shuffle_weights,
)
from auscult.testing.known_answer import as_model


def response(conv, kernel):
    """The filters of a convolution, read off what an impulse gives."""
    impulses = torch.zeros(1, 1, 2 * kernel - 1)
    impulses[0, 0, kernel - 1] = 1
    bias = 0 if conv.bias is None else conv.bias[:, None]
    return (conv(impulses)[0] - bias).flip(-1)[:, None].detach()


class OldStyle(nn.Conv1d):
    """Weight normalisation as older codecs store it: a stale ``weight`` beside ``weight_g``, ``weight_v``."""

    def __init__(self):
        super().__init__(1, 3, 5)
        self.weight_g = nn.Parameter(torch.tensor([1.0, 2.0, 0.5])[:, None, None])
        self.weight_v = nn.Parameter(torch.randn(3, 1, 5))

    def forward(self, x):
        direction = self.weight_v / self.weight_v.flatten(1).norm(dim=1)[:, None, None]
        return nn.functional.conv1d(x, self.weight_g * direction, self.bias)


@pytest.mark.parametrize(
    "make",
    [lambda: nn.Conv1d(1, 3, 5), lambda: weight_norm(nn.Conv1d(1, 3, 5)), OldStyle],
    ids=["plain", "parametrised", "old style"],
)
def test_effective_weights_are_what_an_impulse_shows(make):
    torch.manual_seed(0)
    conv = make()
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.mul_(1.7)
    assert_close(effective_weight(conv), response(conv, 5), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel", [(1, 9), (9, 1)])
def test_two_dimensions_of_which_one_is_a_dummy_are_one(kernel):
    conv = nn.Conv2d(2, 3, kernel)
    assert_close(effective_weight(conv).flatten(), conv.weight.detach().flatten())
    assert effective_weight(conv).shape == (3, 2, 9)


def test_filters_over_two_axes_are_refused():
    with pytest.raises(TapError, match="runs over two axes"):
        effective_weight(nn.Conv2d(1, 3, (3, 3)))


def test_a_layer_without_filters_is_refused():
    with pytest.raises(TapError, match="ReLU has no filters"):
        effective_weight(nn.ReLU())


def test_a_folded_norm_acts_as_the_norm_did():
    torch.manual_seed(0)
    conv, norm = nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4).eval()
    norm.running_mean = torch.randn(4)
    norm.running_var = torch.rand(4) + 0.1
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    weight, bias = folded_conv(conv, norm)
    x = torch.randn(1, 2, 40)
    assert_close(nn.functional.conv1d(x, weight, bias), norm(conv(x)), rtol=1e-4, atol=1e-5)


class Between(nn.Module):
    """A norm that seems to follow its convolution, but for a rectifier in place in between."""

    def __init__(self, between):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4)
        self.between = between

    def forward(self, x):
        x = self.conv(x)
        if self.between:
            nn.functional.relu(x, inplace=True)
        return self.norm(x)


@pytest.mark.parametrize(("between", "norm_path"), [(False, "norm"), (True, "")])
def test_only_a_norm_that_directly_follows_is_taken(between, norm_path):
    assert first_conv(as_model(Between(between), 800)).norm_path == norm_path


class OnSpectrogram(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, (3, 3))

    def forward(self, x):
        return self.conv(x.unfold(-1, 16, 8))


def test_a_convolution_on_a_spectrogram_is_no_filter_on_the_waveform():
    with pytest.raises(TapError, match="and not a waveform"):
        first_conv(as_model(OnSpectrogram(), 800))


def test_a_redrawn_weight_norm_really_changes():
    torch.manual_seed(0)
    conv = weight_norm(nn.Conv1d(1, 3, 5))
    before = effective_weight(conv)
    redraw_weights(conv, 1)
    assert not torch.equal(effective_weight(conv), before)
    assert_close(effective_weight(conv), response(conv, 5), rtol=1e-5, atol=1e-6)


def test_redrawing_leaves_torch_s_own_random_state():
    layer = nn.Linear(2, 2)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    redraw_weights(layer, 0)
    assert torch.equal(torch.rand(2), expected)


def test_recalibrated_norms_have_the_statistics_of_the_pass():
    norm = nn.BatchNorm1d(2, momentum=0.3).eval()
    x = torch.randn(8, 2, 500) * 3 + 5
    recalibrate_norms(norm, lambda: norm(x))
    assert_close(norm.running_mean, x.mean((0, 2)), rtol=1e-4, atol=1e-4)
    assert_close(norm.running_var, x.var((0, 2)), rtol=1e-3, atol=1e-3)
    assert (norm.training, norm.momentum) == (False, 0.3)


def test_filled_codebooks_leave_less_at_every_level():
    latents = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    books = [torch.zeros(32, 4) for _ in range(3)]
    fill_codebooks(books, latents, 0)
    left, energy = latents, []
    for book in books:
        left = left - book[torch.cdist(left, book).argmin(-1)]
        energy.append(float(left.square().mean()))
    assert 1 > energy[0] > energy[1] > energy[2]


def test_shuffled_weights_keep_their_distribution_and_their_seed():
    one, same, other = (nn.Linear(20, 20) for _ in range(3))
    same.load_state_dict(one.state_dict())
    other.load_state_dict(one.state_dict())
    before = one.weight.detach().clone()
    for layer, seed in ((one, 1), (same, 1), (other, 2)):
        shuffle_weights(layer, seed)
    assert torch.equal(one.weight.flatten().sort().values, before.flatten().sort().values)
    assert torch.equal(one.weight, same.weight)
    assert not torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("name", ["net.pt", "net.bin", "net.ckpt", "net.pth"])
def test_formats_that_could_run_as_code_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match=r"safetensors"):
        read_checkpoint(tmp_path / name)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"not at all")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "net.safetensors")


def test_keys_that_do_not_fit_are_listed(tmp_path):
    save_file({"weight": torch.zeros(2, 2), "scale": torch.zeros(2)}, tmp_path / "a.safetensors")
    tensors = read_checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"missing keys bias; unexpected keys scale"):
        load_strict(nn.Linear(2, 2), tensors, "a.safetensors")


def test_shapes_that_do_not_fit_are_named():
    tensors = {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}
    with pytest.raises(CheckpointError, match=r"weight is \[3, 2\] and should be \[2, 2\]"):
        load_strict(nn.Linear(2, 2), tensors, "a.safetensors")
