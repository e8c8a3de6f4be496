"""Audio encoders of the hub: what they hear, where their parts are, and how they are loaded."""

import importlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from auscult.core.errors import AudioError, CheckpointError, ConfigError, TapError
from auscult.models.base import MODELS, Tap, TokenGrid
from auscult.models.front_ends import Clap, SpectrogramTransformer, Waveform, Whisper
from auscult.models.stimulus import harmonic_noise
from auscult.models.structures import first_tensor
from auscult.models.transformer_roles import block_taps, convolutions, find_blocks
from auscult.taps.capture import capture, intervene, run_capture
from auscult.taps.table import receipt, tap_table
from auscult.testing.known_answer import as_model
from tests.contract.encoders import CONFIGS, section

transformers = importlib.import_module("transformers")


def make(of, weights="random", **changes):
    family, params = MODELS.parse({**section(of), **changes}, "model")
    return family.build(params, weights, 0)


def load(folder, weights="trained", **changes):
    family, params = MODELS.parse(
        {"type": "hf-audio", "checkpoint": str(folder), **changes}, "model"
    )
    return family.build(params, weights, 0)


def sound(model, n_clips=1, seed=0):
    return harmonic_noise(model.sample_rate, 1, model.probe_samples, n_clips, seed)


def output(model, wave):
    with torch.no_grad():
        return first_tensor(model.forward(wave))


@pytest.mark.filterwarnings("ignore:At least one mel filter")
@pytest.mark.parametrize(
    ("front", "extractor", "config", "n_samples"),
    [
        (Whisper, {"chunk_length": 2}, {"num_mel_bins": 80, "max_source_positions": 100}, 20_000),
        (SpectrogramTransformer, {}, {"num_mel_bins": 128, "max_length": 1024}, 20_000),
        (Clap, {"truncation": "rand_trunc"}, {"enable_fusion": False}, 150_000),
        (Clap, {"truncation": "fusion"}, {"enable_fusion": True}, 480_000),
        (Waveform, {}, {}, 20_000),
    ],
)
def test_a_front_end_hears_what_the_library_s_own_extractor_computes(
    front, extractor, config, n_samples
):
    names = {
        Whisper: ("WhisperFeatureExtractor", "WhisperConfig"),
        SpectrogramTransformer: ("ASTFeatureExtractor", "ASTConfig"),
        Clap: ("ClapFeatureExtractor", "ClapAudioConfig"),
        Waveform: ("Wav2Vec2FeatureExtractor", "Wav2Vec2Config"),
    }
    theirs = getattr(transformers, names[front][0])(**extractor)
    ours = front(theirs, getattr(transformers, names[front][1])(**config), None)
    wave = harmonic_noise(ours.sample_rate, 1, n_samples, 1, 0)[:, 0]
    rate = ours.sample_rate
    expected = theirs(wave[0].numpy(), sampling_rate=rate, return_tensors="np")
    name = next(iter(ours.inputs(wave)))
    got, wanted = ours.inputs(wave)[name].double(), torch.tensor(np.array(expected[name])).double()
    # Quiet bands of a float32 transform differ in their last digits; in dB that is a little more.
    assert_close(got, wanted, rtol=1e-4, atol=3e-3 if front is Clap else 1e-3)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_neurons_are_what_the_second_matrix_hears_behind_the_activation(architecture):
    model = make(architecture)
    block = find_blocks(model.module)[1]
    down = model.module.get_submodule(block.down)
    heard = []
    hook = down.register_forward_pre_hook(lambda _, args: heard.append(args[0].detach().clone()))
    caught = run_capture(model, sound(model), ["block.1.mlp.act", "block.1.mlp.out"])
    hook.remove()
    acts = caught["block.1.mlp.act"].values
    assert acts.shape[-1] == down.in_features
    # A GELU, which never falls below this; what goes into it does.
    assert -0.18 < float(acts.min()) < 0
    assert_close(acts.sum(1), heard[0][:, _prefix(model) :].sum(1), rtol=1e-4, atol=1e-3)
    assert_close(down(acts), caught["block.1.mlp.out"].values, rtol=1e-4, atol=1e-5)


def _prefix(model):
    order = model.front.order(0)
    return order.n_prefix if isinstance(order, TokenGrid) else 0


@pytest.mark.parametrize("architecture", CONFIGS)
def test_silencing_a_neuron_takes_away_its_row_and_nothing_else(architecture):
    model = make(architecture)
    down = model.module.get_submodule(find_blocks(model.module)[0].down)
    wave = sound(model)
    before = run_capture(model, wave, ["block.0.mlp.act", "block.0.mlp.out"])

    def silence(values, time):
        return values * (torch.arange(values.shape[-1]) != 7)

    edited, looked = {"block.0.mlp.act": silence}, ["block.0.mlp.out"]
    with torch.no_grad(), intervene(model, edited), capture(model, looked) as after:
        model.forward(wave)
    lost = before["block.0.mlp.act"].values[..., 7:8] * down.weight[:, 7]
    change = before["block.0.mlp.out"].values - after["block.0.mlp.out"].values
    assert_close(change, lost.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_listed_tap_has_a_place_in_time_and_a_receipt(architecture):
    model = make(architecture)
    rows = tap_table(model, verify=False)
    assert [row.address for row in rows if row.time is None] == []
    roles = {row.address for row in rows}
    assert {"conv.0", "block.0.mlp.act", "block.1.mlp.act", "block.1", "final"} <= roles
    proof = receipt(model, "block.1.mlp.act")
    shapes = {row.address: row.shape for row in rows}
    assert (proof.kind, proof.shape) == ("Linear", shapes["block.1.mlp.act"])
    assert proof.library.startswith("torch ")


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_frames_of_a_clip_fill_it(architecture):
    """Where every frame hears everything, only their number tells whether their hop is true."""
    model = make(architecture)
    for row in tap_table(model, verify=False):
        filled = row.shape[0] * row.time.hop
        assert abs(filled - model.probe_samples) <= row.time.span + row.time.hop, row.address


def test_patches_come_in_the_order_of_time_without_the_class_tokens():
    model = make("audio-spectrogram-transformer")
    wave = sound(model)
    patches = model.module.embeddings.patch_embeddings.projection
    images = []
    hook = patches.register_forward_hook(lambda *call: images.append(call[2].detach()))
    values = run_capture(model, wave, ["conv.0"])["conv.0"].values
    hook.remove()
    n_rows, n_columns = images[0].shape[2:]
    for column in range(n_columns):
        for row in range(n_rows):
            frame = values[0, column * n_rows + row]
            assert torch.equal(frame, images[0][0, :, row, column])


def test_an_edit_of_patches_leaves_the_class_tokens_alone():
    model = make("audio-spectrogram-transformer")
    seen = []
    with torch.no_grad(), intervene(model, {"block.0": lambda values, time: values * 0}):
        following = model.module.get_submodule(find_blocks(model.module)[1].path)
        second = following.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
        model.forward(sound(model))
        second.remove()
    assert bool((seen[0][:, 2:] == 0).all())
    assert bool((seen[0][:, :2] != 0).all())


def test_clap_unfolds_its_square_into_time():
    """A click late in the clip is heard by late frames, wherever they lie in the square."""
    model = make("clap")
    quiet, loud = (0.01 * sound(model) for _ in range(2))
    place = int(0.8 * model.probe_samples)
    loud[..., place : place + 200] += 1.0
    one, other = (run_capture(model, wave, ["conv.0"])["conv.0"] for wave in (quiet, loud))
    moved = (one.values - other.values).abs().sum((0, 2))
    heard = np.array([int(one.time.centre(i)) for i in range(len(moved))])
    assert abs(int(heard[int(moved.argmax())]) - place) < one.time.span


@pytest.mark.parametrize("architecture", ["whisper", "clap", "wav2vec2"])
def test_an_encoder_is_loaded_out_of_a_larger_model_without_its_head(architecture, tmp_path):
    small = CONFIGS[architecture]
    if architecture == "whisper":
        tokens = {"vocab_size": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
        rest = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8}
        config = transformers.WhisperConfig(
            **small, **tokens, **rest, decoder_start_token_id=1, max_target_positions=8
        )
        whole = transformers.WhisperForConditionalGeneration(config)
        part, extractor = whole.model.encoder, transformers.WhisperFeatureExtractor(20)
    elif architecture == "clap":
        text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        text |= {"intermediate_size": 8, "vocab_size": 9, "max_position_embeddings": 8}
        config = transformers.ClapConfig(text_config=text, audio_config=small, projection_dim=4)
        whole = transformers.ClapModel(config)
        part = whole.audio_model
        extractor = transformers.ClapFeatureExtractor(16, max_length_s=2, truncation="rand_trunc")
    else:
        whole = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**small, vocab_size=9))
        part, extractor = whole.wav2vec2, transformers.Wav2Vec2FeatureExtractor()
    whole.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    model = load(tmp_path)
    ours, theirs = model.module.state_dict(), part.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    wave = sound(model)
    expected = first_tensor(part.eval()(**model.front.inputs(wave[:, 0])))
    assert torch.equal(output(model, wave), expected.detach())


@pytest.fixture
def folder(tmp_path):
    transformers.HubertModel(transformers.HubertConfig(**CONFIGS["hubert"])).save_pretrained(
        tmp_path
    )
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    return tmp_path


def test_the_checkpoint_s_own_preprocessor_decides_what_is_heard(folder):
    assert load(folder).front.normalise is False
    assert load(folder, normalise=True).front.normalise is True


def test_random_and_shuffled_controls_have_the_checkpoint_s_architecture(folder):
    trained, random, shuffled = (load(folder, w) for w in ("trained", "random", "shuffled"))
    wave = sound(trained)
    shapes = [[tuple(p.shape) for p in m.module.parameters()] for m in (trained, random, shuffled)]
    assert shapes[0] == shapes[1] == shapes[2]
    assert not torch.equal(output(trained, wave), output(random, wave))
    assert not torch.equal(output(trained, wave), output(shuffled, wave))


def test_lost_weights_of_the_encoder_are_named(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layers.1.feed_forward.output_dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing keys encoder\.layers\.1\.feed_forward"):
        load(folder)


def test_a_folder_that_does_not_say_how_it_hears_is_refused(folder):
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="preprocessor_config"):
        load(folder)


def test_what_is_no_audio_encoder_is_refused_by_name(tmp_path):
    transformers.EncodecConfig().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is a encodec; hf-audio knows audio-spectrogram"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "weights", "said"),
    [
        ({"architecture": None, "config": {}}, "random", "needs a checkpoint"),
        ({}, "trained", 'weights = "random"'),
        ({"config": {"hiden_size": 3}}, "random", "hiden_size"),
    ],
)
def test_contradictory_settings_are_a_sentence(changes, weights, said):
    with pytest.raises(ConfigError, match=said):
        make("hubert", weights, **changes)


@pytest.mark.parametrize("architecture", ["audio-spectrogram-transformer", "whisper", "clap"])
def test_what_would_be_cut_off_is_refused(architecture):
    model = make(architecture)
    with pytest.raises(AudioError, match="at most"):
        model.forward(torch.zeros(1, 1, model.front.longest_samples + 1))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.joined, self.out = nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, x):
        q, k, v = self.joined(x).chunk(3, -1)
        return self.out((q @ k.transpose(1, 2)).softmax(-1) @ v), None


class Layer(nn.Module):
    """A layer of no library: joined projections, an activation in place that is no module."""

    def __init__(self):
        super().__init__()
        self.mix, self.wide, self.narrow = Attention(), nn.Linear(4, 10), nn.Linear(10, 4)

    def forward(self, x):
        x = x + self.mix(x)[0]
        hidden = self.wide(x)
        return (x + self.narrow(nn.functional.relu_(hidden)),)


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.cut = nn.Conv1d(1, 4, 8, 8)
        self.things = nn.ModuleList(Layer() for _ in range(2))

    def forward(self, x):
        x = self.cut(x).transpose(1, 2)
        for thing in self.things:
            (x,) = thing(x)
        return x


def test_parts_are_found_by_structure_in_a_network_of_no_library():
    network = Stack().eval()
    blocks = find_blocks(network)
    assert [(b.path, b.attention, b.down) for b in blocks] == [
        (f"things.{i}", f"things.{i}.mix", f"things.{i}.narrow") for i in range(2)
    ]
    assert convolutions(network, blocks) == (["cut"], [])
    model = as_model(network, 800)
    model.taps = lambda: block_taps(blocks, lambda stage: "btc")
    heard = run_capture(model, sound_of(800), ["block.1.mlp.act", "block.1.mlp.out", "block.0"])
    assert float(heard["block.1.mlp.act"].values.min()) == 0
    expected = network.things[1].narrow(heard["block.1.mlp.act"].values)
    assert_close(heard["block.1.mlp.out"].values, expected.detach())


def sound_of(n_samples):
    return harmonic_noise(800, 1, n_samples, 1, 0)


def test_a_tensor_without_such_patches_is_refused():
    model = as_model(Stack().eval(), 800)
    model.taps = lambda: [Tap("things.0", "block.0", TokenGrid(n_rows=7))]
    with pytest.raises(TapError, match="holds no patches in 7 rows"):
        run_capture(model, sound_of(800), ["block.0"])
