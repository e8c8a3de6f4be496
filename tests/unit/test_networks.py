"""SampleCNN, its toy version, and the weights that come with the package."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from auscult.models.networks.samplecnn import Block, SampleCNN, ToySampleCNN

BUNDLED = Path(__file__).parents[2] / "src" / "auscult" / "models" / "bundled"
CORPUS = Path(__file__).parents[2] / "src" / "auscult" / "sounds" / "bundled"
TOYS = {3: "toy-samplecnn", 1: "toy-samplecnn-stride1"}


def linearised(network: nn.Module) -> nn.Module:
    """The same sampling of time with every path open: means for maxima, no rectifier.

    A maximum passes the gradient of one input only, so the support of one gradient would be smaller
    than what the frame can hear.
    """
    network = network.double().eval()
    for block in network.blocks:
        block.conv.weight.data.fill_(1.0 / block.conv.weight[0].numel())
        block.act = nn.Identity()
        if isinstance(block.pool, nn.MaxPool1d):
            block.pool = nn.AvgPool1d(block.pool.kernel_size, block.pool.stride)
    return network


def span_samples(network: nn.Module, n_blocks: int, n_samples: int) -> int:
    """Samples that a middle frame after `n_blocks` blocks hears: the support of its gradient."""
    x = torch.ones(1, 1, n_samples, dtype=torch.float64, requires_grad=True)
    y = x
    for block in network.blocks[:n_blocks]:
        y = block(y)
    (gradient,) = torch.autograd.grad(y[0, 0, y.shape[-1] // 2], x)
    heard = gradient[0, 0].nonzero().flatten()
    return int(heard[-1] - heard[0]) + 1


def test_samplecnn_follows_the_published_table():
    network = SampleCNN().eval()
    x = torch.randn(1, 1, SampleCNN.input_samples)
    shapes, logits = [], []
    network.tags.register_forward_hook(lambda _m, _a, out: logits.append(out))
    with torch.no_grad():
        y = x
        for block in network.blocks:
            y = block(y)
            shapes.append((y.shape[2], y.shape[1]))
        probabilities = network(x)
    frames = [3**9, 3**8, 3**7, 729, 243, 81, 27, 9, 3, 1, 1]
    channels = [128] * 3 + [256] * 6 + [512] * 2
    assert shapes == list(zip(frames, channels, strict=True))
    assert probabilities.shape == (1, 50)
    assert torch.equal(probabilities, logits[0].sigmoid())


def test_samplecnn_has_about_1_9_million_parameters():
    n_parameters = sum(p.numel() for p in SampleCNN().parameters())
    assert 1.8e6 < n_parameters < 1.95e6


@pytest.mark.parametrize(("n_blocks", "span"), [(1, 3), (2, 15), (3, 51), (4, 159), (5, 483)])
def test_first_layers_of_samplecnn_hear_what_the_strides_say(n_blocks, span):
    # Each block after the first adds two hops of its convolution and two of its pooling: 4 * 3^i.
    assert span_samples(linearised(SampleCNN(n_tags=2)), n_blocks, 3**7) == span


@pytest.mark.parametrize(("stride", "span"), [(3, 13_119), (1, 13_121)])
def test_last_pooling_of_the_toy_hears_what_the_strides_say(stride, span):
    network = linearised(ToySampleCNN(stride))
    assert span_samples(network, 8, 5 * 3**8) == span


def test_stride_decides_whether_first_filters_overlap():
    x = torch.randn(1, 1, 3**9)
    apart, overlapping = ToySampleCNN(3).blocks[0], ToySampleCNN(1).blocks[0]
    assert apart.conv(x).shape[-1] == 3**8
    assert overlapping.conv(x).shape[-1] == 3**9
    assert apart.eval()(x).shape == overlapping.eval()(x).shape


def test_other_strides_are_refused():
    with pytest.raises(ValueError, match="stride 3 and stride 1, not 2"):
        ToySampleCNN(2)


@pytest.mark.parametrize("stride", [3, 1])
@pytest.mark.parametrize("n_samples", [3**8, 3**9, 3**9 + 1000, 50_000])
def test_toy_takes_clips_of_other_lengths(stride, n_samples):
    with torch.no_grad():
        logits = ToySampleCNN(stride).eval()(torch.randn(2, 1, n_samples))
    assert logits.shape == (2, 8)


def test_a_longer_clip_is_the_average_over_its_frames():
    network = ToySampleCNN(3).eval()
    maps = []
    network.blocks[-1].register_forward_hook(lambda _m, _a, out: maps.append(out))
    with torch.no_grad():
        logits = network(torch.randn(1, 1, 4 * 3**8))
    assert maps[0].shape[-1] == 4
    torch.testing.assert_close(logits, network.classes(maps[0].mean(dim=-1)))


def test_activations_do_not_write_into_their_input():
    block = Block(1, 4).eval()
    kept = []
    for module in (block.conv, block.norm):
        module.register_forward_hook(lambda _m, _a, out: kept.append((out, out.clone())))
    with torch.no_grad():
        block(torch.randn(1, 1, 90))
    assert all(torch.equal(seen, copy) for seen, copy in kept)
    assert any((seen < 0).any() for seen, _ in kept)


def test_initial_filters_keep_the_variance_of_rectified_input():
    torch.manual_seed(0)
    weight = SampleCNN().blocks[5].conv.weight
    bound = (6 / (256 * 3)) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_batching_changes_nothing():
    network = ToySampleCNN(1).eval().double()
    x = torch.randn(3, 1, 3**9, dtype=torch.float64)
    with torch.no_grad():
        together = network(x)
        apart = torch.cat([network(one[None]) for one in x])
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("stride", [3, 1])
def test_bundled_toys_load_strictly_and_are_trained(stride):
    network = ToySampleCNN(stride).eval()
    before = network.blocks[0].conv.weight.clone()
    network.load_state_dict(load_file(BUNDLED / f"{TOYS[stride]}.safetensors"), strict=True)
    state = network.state_dict()
    assert not torch.equal(before, network.blocks[0].conv.weight)
    assert all(t.dtype == torch.float32 for t in network.parameters())
    assert int(state["blocks.0.norm.num_batches_tracked"]) > 100
    assert all(t.isfinite().all() for t in state.values())


@pytest.mark.parametrize("stride", [3, 1])
def test_bundled_toys_name_the_families_of_bundled_notes(stride):
    # Chance is one in eight; the cards say about half for programs that were not trained on.
    import csv

    import soundfile
    import soxr

    families = ("piano", "mallets", "organ", "guitar", "strings", "brass", "reed", "pipe")
    network = ToySampleCNN(stride).eval()
    network.load_state_dict(load_file(BUNDLED / f"{TOYS[stride]}.safetensors"), strict=True)
    with (CORPUS / "labels.csv").open(encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["family"] in families]
    right = 0
    for row in rows:
        samples, rate = soundfile.read(CORPUS / row["path"], dtype="float32")
        samples = soxr.resample(samples, rate, network.sample_rate)
        with torch.no_grad():
            guess = network(torch.from_numpy(samples)[None, None]).argmax()
        right += families[int(guess)] == row["family"]
    assert len(rows) == 28
    assert right / len(rows) > 0.3


def test_bundled_codec_loads_strictly_and_its_output_follows_the_input():
    transformers = pytest.importorskip("transformers")
    import json

    config = transformers.EncodecConfig.from_dict(
        json.loads((BUNDLED / "mini-encodec.json").read_text(encoding="utf-8"))
    )
    model = transformers.EncodecModel(config).eval()
    model.load_state_dict(load_file(BUNDLED / "mini-encodec.safetensors"), strict=True)
    assert len(model.quantizer.layers) == 8
    assert all(layer.codebook.embed.std() > 0 for layer in model.quantizer.layers)
    time_s = torch.arange(24_000) / 24_000
    tone = 0.1 * sum(torch.sin(2 * torch.pi * 220.0 * h * time_s) / h for h in range(1, 6))
    with torch.no_grad():
        passed = model(tone[None, None], bandwidth=6.0).audio_values[0, 0, : len(tone)]
        silence = model(torch.zeros(1, 1, 24_000), bandwidth=6.0).audio_values
    assert torch.nn.functional.cosine_similarity(tone, passed, dim=0) > 0.5
    assert silence.square().mean() < 0.1 * passed.square().mean()


def test_what_is_bundled_stays_small():
    each = {f.name: f.stat().st_size for f in BUNDLED.iterdir()}
    sounds = sum(f.stat().st_size for f in CORPUS.iterdir())
    assert max(each.values()) < 5_700_000  # the largest: 2.7 million weights in float16
    assert sum(each.values()) < 20_500_000  # six networks and their cards
    assert sounds < 2_500_000
