"""A model's own task: what an output lacks, and what a change at a tap costs."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from auscult.core.errors import AudioError, ConfigError, UnknownNameError, UserError, WidthError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.own_task import ClassTask, CodecTask, own_task
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.splicing import (
    levelled,
    silenced,
    splice_losses,
    spliced,
    with_neighbours,
)
from auscult.models.base import MODELS, Codec
from auscult.models.stimulus import harmonic_noise
from auscult.taps.capture import capture
from auscult.testing.known_answer import TinyCodec, as_model


@pytest.fixture(scope="module")
def codec():
    cls, params = MODELS.parse({"type": "mini-encodec"}, "model")
    return cls.build(params, "trained", 0)


@pytest.fixture(scope="module")
def classifier():
    cls, params = MODELS.parse({"type": "toy-samplecnn"}, "model")
    return cls.build(params, "trained", 0)


def dictionary_of(d_in, n_features=48):
    cls, params = DICTIONARIES.parse(
        {
            "type": "topk",
            "n_features": n_features,
            "k": n_features,
            "centre": False,
            "scale": False,
        },
        "dictionary",
    )
    made = cls.build(params, d_in, 0)
    made.requires_grad_(True)
    return made


def identity_of(d_in):
    """A dictionary that gives back what it gets: every direction and its opposite."""
    made = dictionary_of(d_in, 2 * d_in)
    with torch.no_grad():
        made.linear.decoder.copy_(torch.cat([torch.eye(d_in), -torch.eye(d_in)]))
        made.linear.encoder.copy_(made.linear.decoder)
    return made


def sound_for(model, n_clips=2, seed=0):
    n = model.probe_samples or model.sample_rate // 2
    return harmonic_noise(model.sample_rate, model.n_channels, n, n_clips, seed)


def test_a_codec_compares_sounds_and_a_classifier_classes(codec, classifier):
    assert isinstance(own_task(codec), CodecTask)
    task = own_task(classifier)
    assert isinstance(task, ClassTask)
    assert task.scores == "logits"


def test_what_is_neither_is_refused_with_its_name():
    with pytest.raises(ConfigError, match="Conv1d is neither a codec nor"):
        own_task(as_model(nn.Conv1d(1, 4, 5), 1000))


@pytest.mark.parametrize("tap", ["conv.0", "latent", "latent.q", "decoder.up.0"])
def test_a_dictionary_that_gives_back_all_costs_a_codec_nothing(codec, tap):
    waveform, task = sound_for(codec, 1), own_task(codec)
    with torch.no_grad():
        own = task.output(waveform)
        d_in = {"conv.0": 8, "latent": 32, "latent.q": 32, "decoder.up.0": 64}[tap]
        output = task.output(waveform, spliced(identity_of(d_in), tap))
        lost = task.loss(output, own)
        silent = task.loss(task.output(waveform, {tap: silenced}), own)
    assert lost.total.item() < 1e-2 < 1 < silent.total.item()
    assert lost.parts["SI-SDR"].item() > 40


def test_the_whole_way_is_encode_quantise_decode(codec):
    waveform = sound_for(codec, 1)
    with torch.no_grad():
        by_hand = codec.codec.decode(codec.codec.quantise(codec.codec.encode(waveform)))
        torch.testing.assert_close(own_task(codec).output(waveform), by_hand, rtol=0, atol=0)


def test_the_total_is_the_sum_of_its_parts_in_nepers(codec):
    waveform, task = sound_for(codec), own_task(codec)
    with torch.no_grad():
        lost = task.loss(task.output(waveform), task.truth(waveform))
    parts = lost.parts
    assert set(parts) == set(task.units)
    torch.testing.assert_close(
        lost.total,
        parts["log mel"] * math.log(10) / 20 + parts["convergence"] + parts["log magnitude"],
    )


@pytest.mark.parametrize(("name", "tap", "d_in"), [("codec", "conv.0", 8), ("codec", "latent", 32)])
def test_slopes_pass_the_quantiser_and_reach_the_dictionary_alone(name, tap, d_in, request):
    model = request.getfixturevalue(name)
    model.module.requires_grad_(True)
    waveform, task, dictionary = sound_for(model, 1), own_task(model), dictionary_of(d_in)
    with torch.no_grad():
        own = task.output(waveform)
    task.loss(task.output(waveform, spliced(dictionary, tap)), own).total.sum().backward()
    assert all(bool(p.grad.any()) for p in dictionary.parameters())
    assert all(p.grad is None for p in model.module.parameters())
    assert all(p.requires_grad for p in model.module.parameters())


def test_slopes_are_those_of_differences_where_there_is_no_quantiser():
    torch.manual_seed(0)
    model = as_model(TinyCodec(), 4000)
    module = model.module
    model.codec = Codec(module.encoder, module.decoder)
    waveform, task = sound_for(model, 1), own_task(model)
    dictionary = dictionary_of(4, 6)
    with torch.no_grad():
        task.output(waveform, spliced(dictionary, "encoder"))  # the probes of taps are float32
    model.module.double()
    dictionary.double()
    with torch.no_grad():
        own = task.output(waveform.double())

    def lost():
        output = task.output(waveform.double(), spliced(dictionary, "encoder"))
        return task.loss(output, own).total.sum()

    lost().backward()
    slope = dictionary.linear.decoder.grad
    along = torch.randn(slope.shape, dtype=torch.float64)
    with torch.no_grad():
        start, step = dictionary.linear.decoder.clone(), 1e-6
        dictionary.linear.decoder.copy_(start + step * along)
        ahead = lost()
        dictionary.linear.decoder.copy_(start - step * along)
        behind = lost()
    assert (slope * along).sum().item() == pytest.approx(
        ((ahead - behind) / (2 * step)).item(), rel=1e-4
    )


def test_against_labels_the_divergence_is_the_cross_entropy(classifier):
    waveform, task = sound_for(classifier, 3), own_task(classifier)
    labels = ["organ", "piano", "pipe"]
    with torch.no_grad():
        logits = classifier.forward(waveform)
        lost = task.loss(task.output(waveform), task.truth(waveform, labels))
    rows = torch.tensor([classifier.labels.index(label) for label in labels])
    expected = functional.cross_entropy(logits, rows, reduction="none")
    torch.testing.assert_close(lost.total, expected)


class Head(nn.Module):
    """Scores of three classes that need no training."""

    def __init__(self, last):
        super().__init__()
        self.frames = nn.Conv1d(1, 3, 64, 64)
        self.last = last

    def forward(self, x):
        return self.last(self.frames(x).mean(-1))


@pytest.mark.parametrize(
    ("last", "scores"),
    [
        (nn.Identity(), "logits"),
        (nn.Softmax(-1), "probabilities"),
        (nn.Sigmoid(), "independent"),
    ],
)
def test_scores_are_told_apart_and_give_the_same_divergence_as_by_hand(last, scores):
    torch.manual_seed(0)
    model = as_model(Head(last), 2000)
    model.labels = ("a", "b", "c")
    task = own_task(model)
    assert task.scores == scores
    one, other = sound_for(model, 2), sound_for(model, 2, seed=1)
    with torch.no_grad():
        lost = task.loss(task.output(one), task.output(other)).total
        a = torch.distributions
        kind = a.Bernoulli if scores == "independent" else a.Categorical
        by_hand = a.kl_divergence(
            kind(logits=model.module.frames(other).mean(-1)),
            kind(logits=model.module.frames(one).mean(-1)),
        )
    torch.testing.assert_close(
        lost, by_hand.sum(-1) if scores == "independent" else by_hand, rtol=1e-3, atol=1e-6
    )
    with torch.no_grad():
        certain = task.loss(task.output(one), task.truth(one, ["a", "c"])).total
    assert bool(torch.isfinite(certain).all())


def test_classes_of_frames_are_averaged():
    torch.manual_seed(0)
    model = as_model(nn.Conv1d(1, 3, 64, 64), 2000)
    model.labels = ("a", "b", "c")
    task = own_task(model)
    one, other = sound_for(model, 2), sound_for(model, 2, seed=1)
    with torch.no_grad():
        lost = task.loss(task.output(one), task.output(other)).total
        p, q = (model.forward(x).log_softmax(1) for x in (other, one))
    torch.testing.assert_close(lost, (p.exp() * (p - q)).sum(1).mean(-1))


def test_splice_losses_are_those_of_four_runs(classifier):
    waveform, task = sound_for(classifier, 2), own_task(classifier)
    mean = torch.full((32,), 0.1)
    dictionary = dictionary_of(32, 8)
    lost = splice_losses(task, "conv.0", dictionary, waveform, mean)
    assert lost.model.total.abs().max().item() < 1e-6
    with torch.no_grad():
        own = task.output(waveform)
        for edits, found in (
            (spliced(dictionary, "conv.0"), lost.dictionary),
            ({"conv.0": silenced}, lost.zero),
            ({"conv.0": levelled(mean)}, lost.mean),
        ):
            expected = task.loss(task.output(waveform, edits), own).total
            torch.testing.assert_close(found.total, expected)
            assert bool((expected > 1e-4).all())
    truth = task.truth(waveform, ["organ", "piano"])
    worse = splice_losses(task, "conv.0", dictionary, waveform, mean, truth)
    torch.testing.assert_close(worse.model.total, task.loss(own, truth).total)


def transcoder_of(d_in, d_out, context=0):
    cls, params = DICTIONARIES.parse(
        {"type": "transcoder", "n_features": 6, "k": 6, "d_out": d_out, "skip": True}
        | {"centre": False, "scale": False},
        "dictionary",
    )
    made = cls.build(params, d_in * (2 * context + 1), 0)
    made.provenance = Provenance(tap="conv.0", target="norm.0", context=context)
    return made


def test_a_transcoder_speaks_in_place_of_its_target_and_leaves_its_own_tap(classifier):
    waveform, task = sound_for(classifier, 2), own_task(classifier)
    norm = classifier.module.blocks[0].norm
    made = transcoder_of(32, 32, context=1)
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    with torch.no_grad():
        # What a batch norm does is linear: the shortcut alone can take its place.
        made.decoder.zero_()
        made.skip.copy_(torch.cat([torch.zeros(32, 32), gain.diag(), torch.zeros(32, 32)], 1))
        made.decoder_bias.copy_(norm.bias - norm.running_mean * gain)
        own = task.output(waveform)
        with capture(classifier, ["conv.0", "norm.0"]) as heard:
            said = task.output(waveform, spliced(made, "conv.0"))
        torch.testing.assert_close(said, own, rtol=1e-4, atol=1e-4)
        made.skip.zero_()
        made.decoder_bias.zero_()
        with capture(classifier, ["conv.0"]) as again:
            silent = task.output(waveform, spliced(made, "conv.0"))
        assert torch.equal(again["conv.0"].values, heard["conv.0"].values)
        expected = task.output(waveform, {"norm.0": silenced})
    torch.testing.assert_close(silent, expected)
    lost = splice_losses(task, "conv.0", made, waveform, torch.zeros(32))
    torch.testing.assert_close(lost.dictionary.total, lost.zero.total)
    torch.testing.assert_close(lost.mean.total, lost.zero.total)


def test_neighbours_are_put_beside_each_frame_in_time():
    values = torch.arange(4.0).reshape(1, 4, 1)
    expected = [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert with_neighbours(values, 1)[0].tolist() == expected


def test_a_transcoder_whose_target_comes_first_is_refused(classifier):
    made = transcoder_of(32, 32)
    with pytest.raises(UserError, match=r"norm\.0 speaks before norm\.1"):
        own_task(classifier).output(sound_for(classifier, 1), spliced(made, "norm.1"))


def test_what_cannot_be_spliced_compared_or_known_is_refused(classifier, codec):
    dictionary = dictionary_of(8)
    dictionary.provenance = Provenance(of="generators")
    with pytest.raises(UserError, match="dictionary of generators"):
        spliced(dictionary, "conv.0")
    waveform, task = sound_for(classifier, 1), own_task(classifier)
    with pytest.raises(WidthError, match="has width 5, the tap has 32"):
        task.output(waveform, {"conv.0": levelled(torch.zeros(5))})
    with pytest.raises(ConfigError, match="1 clips need as many labels, got 0"):
        task.truth(waveform)
    with pytest.raises(UnknownNameError, match="guitar"):
        task.truth(waveform, ["guitra"])
    with pytest.raises(AudioError, match="decodes 500 samples where 1000"):
        own_task(codec).loss(torch.randn(1, 1, 500), torch.randn(1, 1, 1000))
