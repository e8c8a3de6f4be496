"""RAVE's exports: means, no state, no surprise; and what they must not get away with."""

import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, ConfigError
from auscult.models.base import MODELS
from auscult.models.stimulus import harmonic_noise
from auscult.models.weights import weights_digest
from auscult.taps.capture import capture, intervene, run_capture
from auscult.taps.probe import measure_time_base, time_base
from tests.contract.exports import HOP, N_KEPT, Discrete, Rave, save_script


def load(path, weights="trained", seed=0, **settings):
    section = {"type": "rave", "checkpoint": str(path), "trusted": True, **settings}
    family, params = MODELS.parse(section, "model")
    return family.build(params, weights, seed)


@pytest.fixture(scope="module")
def source():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Rave().eval()


@pytest.fixture(scope="module")
def file(source, tmp_path_factory):
    return save_script(source, tmp_path_factory.mktemp("rave") / "voice.ts")


@pytest.fixture(scope="module")
def model(file):
    return load(file)


@pytest.fixture
def sound():
    return harmonic_noise(16_000, 1, 40 * HOP, 2)


def test_it_is_what_the_export_says(model):
    assert (model.sample_rate, model.n_channels, model.hop, model.d_latent) == (16_000, 1, HOP, 4)
    assert "voice.ts" in model.name


@torch.no_grad()
def test_latents_are_means_whatever_the_random_state(model, source, sound):
    torch.manual_seed(1)
    latents = model.codec.encode(sound)
    assert_close(latents, source.means(sound)[:, :N_KEPT], rtol=1e-5, atol=1e-5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(model.codec.encode(sound), latents)
    assert torch.equal(torch.get_rng_state(), state)


@torch.no_grad()
def test_the_noise_of_the_decoder_is_the_same_for_every_clip(model, source, sound):
    latents = model.codec.encode(sound)
    torch.manual_seed(1)
    one = model.codec.decode(latents)
    torch.manual_seed(2)
    assert torch.equal(model.codec.decode(latents[1:]), one[1:])
    full = torch.cat([latents, torch.zeros(2, 2, latents.shape[-1])], 1)
    turned = torch.einsum("io,bit->bot", source.latent_pca, full) + source.latent_mean[:, None]
    noise = one - source.decoder(turned)
    assert_close(noise[0], noise[1], rtol=0, atol=1e-6)
    assert noise.min() >= 0
    assert noise.std() > 0.002


def test_a_streaming_export_begins_each_clip_in_silence(tmp_path, source, sound):
    streaming = Rave(streaming=True)
    streaming.load_state_dict(source.state_dict())
    model = load(save_script(streaming, tmp_path / "live.ts"))
    first, again = model.codec.encode(sound), model.codec.encode(sound)
    assert torch.equal(first, again)
    assert_close(first, source.means(sound)[:, :N_KEPT], rtol=1e-5, atol=1e-5)
    assert not model.module.tensors.pad.any()
    for _ in range(2):
        heard = sound[:1].clone().requires_grad_(True)
        model.codec.encode(heard).sum().backward()
        assert heard.grad.any()
    assert not model.module.tensors.pad.requires_grad
    assert measure_time_base(model, "latent").span == 8 + 3 * 4


def test_frames_hear_what_the_layers_reach(model):
    """Eight samples with a stride of four, four frames of those; a clip begins four samples early."""
    time = measure_time_base(model, "latent")
    assert (time.hop, time.span) == (HOP, 8 + 3 * 4)
    assert time.samples(2) == range(2 * HOP - 4, 2 * HOP + 16)


def test_filters_that_fade_below_rounding_are_heard_to_their_ends(tmp_path):
    """Moving a latent moves fewer samples than it reaches, and not as many for each latent."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = load(save_script(Rave(fading=True), tmp_path / "fading.ts"))
    latent, sound = time_base(model, "latent"), measure_time_base(model, "sound")
    expected = latent.after_transposed_conv(3 * HOP, HOP)
    assert (sound.hop, sound.span, sound.offset) == (1, expected.span, expected.offset)


def test_clips_are_filled_up_to_whole_frames(model, sound):
    assert model.codec.encode(sound[..., :-3]).shape[-1] == 40
    filled = torch.nn.functional.pad(sound[..., :-3], (0, 3))
    assert torch.equal(model.codec.encode(sound[..., :-3]), model.codec.encode(filled))


def test_an_edit_of_the_latents_is_heard(model, sound):
    def silenced(values, time):
        return values * 0

    with intervene(model, {"latent": silenced}):
        heard = model.forward(sound)
    assert not heard.any()
    with torch.no_grad(), capture(model, ["sound"]) as captured:
        decoded = model.codec.decode(heard)
    assert torch.equal(captured["sound"].values[..., 0], decoded[:, 0])


def test_random_weights_keep_what_nobody_learned(file, model, sound):
    drawn, other = load(file, "random", 1), load(file, "random", 2)
    before = dict(model.module.tensors.named_parameters())
    after = dict(drawn.module.tensors.named_parameters())
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {"pqmf.weight"}
    latents = [m.codec.encode(sound) for m in (model, drawn, other)]
    assert not torch.equal(latents[0], latents[1])
    assert not torch.equal(latents[1], latents[2])


def test_shuffled_weights_keep_their_values(file, model):
    shuffled = load(file, "shuffled")
    plain, moved = (m.module.tensors.encoder.get_submodule("0").weight for m in (model, shuffled))
    assert torch.equal(plain.flatten().sort().values, moved.flatten().sort().values)
    assert not torch.equal(plain, moved)


def test_inner_layers_are_no_taps(model, sound):
    with pytest.raises(Exception, match="did not fire"):
        run_capture(model, sound, ["tensors.encoder.0"])


def test_a_models_digest_knows_its_program(file, model, source, tmp_path):
    """Another program with the same tensors is another model."""

    class Louder(Rave):
        def forward(self, x):
            return 2 * self.decode(self.encode(x))

    louder = Louder()
    louder.load_state_dict(source.state_dict())
    other = load(save_script(louder, tmp_path / "louder.ts"))
    assert weights_digest(load(file).module) == weights_digest(model.module)
    assert weights_digest(other.module) != weights_digest(model.module)
    assert weights_digest(load(file, "random").module) != weights_digest(model.module)


def test_nobody_runs_a_program_unasked(file):
    with pytest.raises(ConfigError, match="trusted = true"):
        load(file, trusted=False)


def test_what_is_no_rave_is_refused(tmp_path, file):
    with pytest.raises(ConfigError, match="no bundled weights"):
        MODELS.parse({"type": "rave"}, "model")[0].build(
            MODELS.parse({"type": "rave"}, "model")[1], "trained", 0
        )
    (tmp_path / "no.ts").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="not a TorchScript file"):
        load(tmp_path / "no.ts")
    with pytest.raises(ConfigError, match="says 8000 Hz"):
        load(file, sample_rate=8000)
    with pytest.raises(CheckpointError, match="no latents"):
        load(save_script(Discrete(), tmp_path / "codes.ts"))
    with pytest.raises(CheckpointError, match="promises 4 latents every 32 samples"):
        load(save_script(Rave(promised=32), tmp_path / "liar.ts"))
    plain = save_script(torch.nn.Conv1d(1, 1, 1), tmp_path / "plain.ts")
    with pytest.raises(CheckpointError, match="encode_params"):
        load(plain)
