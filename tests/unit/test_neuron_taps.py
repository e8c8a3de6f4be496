"""Neurons found by the part they play, and the counts of their firing."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from auscult.core.errors import NothingToMeasureError, StoreError, TapError, WidthError
from auscult.core.timebase import TimeBase
from auscult.measures.conditional import ConditionalFiring, gathered, largest_difference
from auscult.measures.firing import (
    FiringPass,
    Heard,
    clip_firing,
    counted,
    n_positive,
    valid_frames,
)
from auscult.taps.capture import run_capture
from auscult.taps.neurons import NeuronLayer, embedding_tap, neuron_layers, neuron_taps
from auscult.testing.known_answer import Attending, CalledThrice, InPlace, as_model
from auscult.testing.planted_neurons import planted_clips, planted_model

RATE = 8000


class Bert(nn.Module):
    """Frames, then two layers that keep their two linear layers in parts of different names."""

    def __init__(self):
        super().__init__()
        self.frames = nn.Conv1d(1, 8, 16, 16)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "attention": nn.Linear(8, 8),
                    "intermediate": nn.Sequential(nn.Linear(8, 32)),
                    "output": nn.Sequential(nn.Linear(32, 8)),
                }
            )
            for _ in range(2)
        )

    def forward(self, x):
        x = self.frames(x).transpose(1, 2)
        for layer in self.layers:
            x = layer["attention"](x)
            x = x + layer["output"](torch.relu(layer["intermediate"](x)))
        return x


class Squeeze(nn.Module):
    """Feature maps, a squeeze-and-excitation between them, and a head that widens."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3)])
        self.acts = nn.ModuleList([nn.ReLU(), nn.ReLU()])
        self.down = nn.ModuleList([nn.Linear(6, 2), nn.Linear(6, 2)])
        self.up = nn.ModuleList([nn.Linear(2, 6), nn.Linear(2, 6)])
        self.recurrent = nn.GRU(6, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        x = x[..., : 16 * 100].unflatten(-1, (100, 16)).transpose(2, 3)
        for conv, act, down, up in zip(self.convs, self.acts, self.down, self.up, strict=True):
            x = act(conv(x))
            x = x * torch.sigmoid(up(down(x.mean((2, 3)))))[..., None, None]
        return self.head(self.recurrent(x.mean(2).transpose(1, 2))[0].mean(1))


def test_mlps_are_read_where_their_second_layer_begins():
    assert neuron_taps(planted_model()) == ["first.narrow:in", "second.narrow:in"]


def test_parts_of_other_names_make_an_mlp_as_well():
    assert neuron_taps(as_model(Bert(), RATE)) == ["layers.0.output.0:in", "layers.1.output.0:in"]


def test_attention_is_no_mlp():
    with pytest.raises(TapError, match="no mlp neurons"):
        neuron_taps(as_model(Attending(), RATE), "mlp")


def test_feature_maps_and_recurrent_units_are_found_and_squeezes_are_not():
    model = as_model(Squeeze(), RATE)
    assert neuron_taps(model) == ["acts.0", "acts.1", "recurrent"]
    layers = neuron_layers(model, ["acts.0", "recurrent"])
    assert layers == [NeuronLayer("acts.0", 6, 14), NeuronLayer("recurrent", 5, 1)]
    assert embedding_tap(model) == "head:in"


def test_one_rectifier_of_many_layers_is_passed_over_for_what_comes_next():
    assert neuron_taps(as_model(CalledThrice(), RATE)) == ["convs.1:in", "convs.2:in"]


def test_a_network_without_neurons_is_refused():
    with pytest.raises(TapError, match="name the taps"):
        neuron_taps(as_model(nn.Conv1d(1, 4, 5), RATE))


def test_an_activation_in_place_counts_as_what_it_leaves():
    model = as_model(InPlace(), RATE)
    sound = torch.randn(2, 1, 400, generator=torch.Generator().manual_seed(0))
    counts = FiringPass(model, ["relu"]).count(sound, [400, 400])["relu"]
    expected = (model.module(sound) > 0).sum(-1)
    torch.testing.assert_close(counts.fired, expected)
    assert counts.n_tokens.tolist() == [396, 396]


def test_counting_in_pieces_is_counting():
    values = torch.randn(1000, 300, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(n_positive(values).long(), (values > 0).sum(0))


def test_a_feature_map_counts_once_for_each_place():
    values = torch.tensor([[[1.0, -1.0, 2.0, 3.0], [-1.0, -1.0, 1.0, -1.0]]])
    found = counted(values, NeuronLayer("map", 2, 2))
    assert found.fired.tolist() == [[1, 3]]
    assert found.total.tolist() == [[-2.0, 5.0]]
    assert found.n_tokens.tolist() == [4]


def test_padding_is_not_counted():
    time = TimeBase(RATE, hop=Fraction(160))
    assert valid_frames(10, time, [1600, 161, 0]).tolist() == [10, 2, 1]
    values = torch.ones(2, 4, 1)
    found = counted(values, NeuronLayer("tap", 1), np.array([4, 1]))
    assert found.fired[:, 0].tolist() == [4, 1]
    assert found.n_tokens.tolist() == [4, 1]


def test_rows_are_what_the_responses_say():
    model, clips = planted_model(), planted_clips(2, 3)
    taps = neuron_taps(model)
    table = clip_firing(FiringPass(model, taps), [clips.heard], 6)
    heard = run_capture(model, clips.heard.waveform, taps)
    expected = np.concatenate([(heard[tap].values > 0).sum(1).numpy() for tap in taps], axis=1)
    np.testing.assert_array_equal(table.fired, expected)
    means = np.concatenate([heard[tap].values.mean(1).numpy() for tap in taps], axis=1)
    np.testing.assert_allclose(table.means, means, atol=1e-6)
    assert table.name(205) == "second.narrow:in/5"


def test_features_of_a_dictionary_count_as_neurons():
    from auscult.dictionaries.base import DICTIONARIES
    from auscult.store.source import ArraySource

    model, clips = planted_model(), planted_clips(2, 3)
    tap = "first.narrow:in"
    values = run_capture(model, clips.heard.waveform, [tap])[tap].values
    source = ArraySource(values.flatten(0, 1).numpy())
    cls, params = DICTIONARIES.parse({"type": "random", "n_features": 16, "k": 4}, "test")
    dictionary = cls.build(params, values.shape[-1], 0, source.statistics)
    dictionary.fit_from(source, np.random.default_rng(0))
    counting = FiringPass(model, [tap], {tap: dictionary})
    found = counting.count(clips.heard.waveform, clips.heard.n_valid)[tap]
    acts = dictionary.encode(values.flatten(0, 1)).unflatten(0, values.shape[:2])
    torch.testing.assert_close(found.fired, (acts > 0).sum(1))
    assert counting.layers == (NeuronLayer(tap, 16),)


@pytest.fixture
def table():
    model, clips = planted_model(), planted_clips(2, 3)
    return clip_firing(FiringPass(model, neuron_taps(model)), [clips.heard], 6)


LABELS = np.array([0, 0, 1, 1, 2, 2])


def test_a_file_of_conditional_activations_comes_back(table, tmp_path):
    found = gathered(table, LABELS, ["a", "b", "c"])
    found.save(tmp_path)
    again = ConditionalFiring.load(tmp_path)
    assert largest_difference(found, again) == 0
    assert again.layers == found.layers
    assert again.clip_ids == found.clip_ids
    np.testing.assert_array_equal(again.labels, LABELS)
    np.testing.assert_array_equal(again.fired, found.fired)


def test_the_file_has_the_published_axes(table, tmp_path):
    from safetensors.numpy import load_file

    gathered(table, LABELS, ["a", "b", "c"]).save(tmp_path)
    arrays = load_file(tmp_path / "conditional.safetensors")
    assert arrays["over_zero"].shape == (2, 200, 3)
    np.testing.assert_array_equal(arrays["counts"], [2, 2, 2])
    probability = arrays["over_zero"] / arrays["counts"]
    assert probability.min() >= 0
    assert probability.max() <= 1


def test_files_are_compared_by_the_names_of_classes(table):
    one = gathered(table, LABELS, ["a", "b", "c"])
    other = gathered(table, np.array([2, 2, 0, 0, 1, 1]), ["b", "c", "a"])
    assert largest_difference(one, other) == 0
    with pytest.raises(WidthError):
        largest_difference(one, gathered(table, LABELS % 2, ["a", "b"]))


def test_another_file_is_refused(table, tmp_path):
    gathered(table, LABELS, ["a", "b", "c"]).save(tmp_path)
    path = tmp_path / "conditional.json"
    path.write_text(path.read_text().replace("activations 1", "activations 9"))
    with pytest.raises(StoreError, match="activations 9"):
        ConditionalFiring.load(tmp_path)


def test_a_class_without_clips_is_named(table):
    with pytest.raises(NothingToMeasureError, match="'d'"):
        gathered(table, LABELS, ["a", "b", "c", "d"])


def test_no_clip_at_all_is_said():
    model = planted_model()
    with pytest.raises(NothingToMeasureError, match="no clip"):
        clip_firing(FiringPass(model, neuron_taps(model)), [], 3)


def test_large_tables_lie_in_a_file_and_read_the_same(monkeypatch, table):
    monkeypatch.setattr("auscult.measures.firing._LARGEST_IN_MEMORY", 100)
    model, clips = planted_model(), planted_clips(2, 3)
    again = clip_firing(FiringPass(model, neuron_taps(model)), [clips.heard], 6)
    assert isinstance(again.fired, np.memmap)
    np.testing.assert_array_equal(again.fired, table.fired)
    np.testing.assert_array_equal(again.means, table.means)


def test_batches_of_any_size_give_the_same_rows(table):
    model, clips = planted_model(), planted_clips(2, 3)
    whole = clips.heard
    parts = [
        Heard(whole.waveform[i : i + 1], whole.clip_ids[i : i + 1], whole.recording_ids[i : i + 1],
              whole.n_valid[i : i + 1])
        for i in range(6)
    ]  # fmt: skip
    again = clip_firing(FiringPass(model, neuron_taps(model)), parts, 6)
    np.testing.assert_array_equal(again.fired, table.fired)
