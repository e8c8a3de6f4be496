"""Pipelines of diffusers as generators, on small instances of the real classes."""

import json
import shutil
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from auscult.core.errors import CheckpointError, ConfigError
from auscult.models.base import MODELS
from auscult.models.generation import Prompt
from auscult.models.stimulus import harmonic_noise
from auscult.models.structures import first_tensor
from tests import tiny_generators

pytest.importorskip("diffusers")

N_STEPS = 3
ASKED = {
    "stable_audio": {"n_steps": N_STEPS, "seconds": 0.005},
    "audioldm2": {"n_steps": N_STEPS, "seconds": 0.05, "mel_window": 64},
    "audioldm": {"n_steps": N_STEPS, "seconds": 0.05, "mel_window": 64},
}
PROMPTS = [Prompt("low", "a low flute", seed=1), Prompt("high", "high drum", seed=2)]


def build(name, weights="trained", **more):
    checkpoint = more.pop("checkpoint", None) or getattr(tiny_generators, name)()
    section = {"type": "diffusers", "checkpoint": checkpoint}
    cls, params = MODELS.parse({**section, **ASKED.get(name, {}), **more}, "model")
    return cls.build(params, weights, 0)


@pytest.fixture(scope="module", params=ASKED)
def model(request):
    return build(request.param)


@pytest.fixture(scope="module")
def stable():
    return build("stable_audio")


def plainly(model, prompts, **more):
    """The pipeline loaded and called as its users do."""
    from diffusers import DiffusionPipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        pipe = DiffusionPipeline.from_pretrained(model.params.checkpoint, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    length = "audio_end_in_s" if "stable" in model.params.checkpoint else "audio_length_in_s"
    return pipe(
        [prompt.text for prompt in prompts],
        generator=[torch.Generator().manual_seed(prompt.seed) for prompt in prompts],
        num_inference_steps=N_STEPS,
        **{length: model.params.seconds, "output_type": "pt"},
        **more,
    ).audios


def watched(model, prompts=PROMPTS, change=lambda step: None):
    seen = []

    def watch(step):
        seen.append(step)
        return change(step)

    return model.generator.generate(prompts, watch), seen


def test_the_result_is_the_pipelines_own_bit_for_bit(model):
    """AudioLDM 2 by itself pads what it reads to the longest prompt of a batch: one at a time."""
    for asked in [PROMPTS[:1]] if "audioldm2" in model.name else [PROMPTS[:1], PROMPTS]:
        with torch.no_grad():
            sound = model.codec.decode(model.generator.generate(asked, None))
        plain = plainly(model, asked).reshape(len(asked), model.n_channels, -1)
        assert torch.equal(sound[..., : plain.shape[-1]], plain)
        assert plain.std() > 1e-4


def test_watching_shows_every_state_before_and_after_the_network_and_changes_nothing(model):
    plain = model.generator.generate(PROMPTS, None)
    result, seen = watched(model)
    assert torch.equal(result, plain)
    before = [step for step in seen if step.estimate is None]
    heard = [step for step in seen if step.estimate is not None]
    assert [step.index for step in before] == list(range(N_STEPS + 1))
    assert [step.index for step in heard] == list(range(N_STEPS))
    assert torch.equal(before[-1].state, result)
    for one, other in zip(before, heard, strict=False):
        assert torch.equal(one.state, other.state)
        assert one.progress == pytest.approx(other.progress)
    progress = [step.progress for step in before]
    assert progress[0] == 0
    assert progress[-1] == 1
    assert progress == sorted(progress)
    assert result.shape[-1] == model.generator.n_frames
    assert model.generator.n_steps == N_STEPS


def test_an_edit_of_a_state_acts_from_there_on_and_its_twin_does_not(model):
    plain, seen = watched(model)
    same, _ = watched(model, change=lambda step: step.state)
    assert torch.equal(same, plain)
    for index in range(N_STEPS + 1):
        edited, other = watched(
            model, change=lambda step, at=index: 1.1 * step.state if step.index == at else None
        )
        assert not torch.equal(edited, plain)
        states = {step.index: step.state for step in other if step.estimate is not None}
        assert all(torch.equal(states[i], seen[2 * i].state) for i in range(index))
        if index < N_STEPS:
            torch.testing.assert_close(states[index], 1.1 * seen[2 * index].state)


def test_what_is_returned_after_the_network_is_passed_over(stable):
    plain = stable.generator.generate(PROMPTS, None)
    late, _ = watched(stable, change=lambda s: None if s.estimate is None else 2 * s.state)
    assert torch.equal(late, plain)


def test_a_state_of_another_shape_is_refused(stable):
    with pytest.raises(ConfigError, match=r"its shape \[2, 4, 12\], this has \[2, 4, 11\]"):
        watched(stable, change=lambda step: step.state[..., 1:])
    assert torch.equal(stable.generator.generate(PROMPTS, None), watched(stable)[0])


def test_a_prompt_comes_out_as_it_would_alone(model):
    together = model.generator.generate(PROMPTS, None)
    for index, prompt in enumerate(PROMPTS):
        alone = model.generator.generate([prompt], None)
        torch.testing.assert_close(alone[0], together[index], rtol=1e-3, atol=1e-3)
    other = model.generator.generate([Prompt("low", "a low flute", seed=3)], None)
    assert not torch.allclose(other[0], together[0], atol=0.1)


@pytest.mark.filterwarnings("ignore:Should have:UserWarning")
def test_noise_that_stable_audio_adds_on_its_way_is_each_prompts_own():
    """Its published scheduler follows a stochastic equation, with noise from the prompts' seeds."""
    pytest.importorskip("torchsde", reason="newer than this environment: tests/SKIPS.md")
    folder = tiny_generators.stable_audio("CosineDPMSolverMultistepScheduler")
    model = build("stable_audio", checkpoint=folder)
    together, seen = watched(model)
    with torch.no_grad():
        sound = model.codec.decode(together)
    assert torch.equal(sound[..., :80], plainly(model, PROMPTS))
    alone = model.generator.generate(PROMPTS[1:], None)
    torch.testing.assert_close(alone[0], together[1], rtol=1e-3, atol=1e-3)
    assert [step.index for step in seen] == [0, 0, 1, 1, 2, 2, 3]


def block_rows(model, prompts):
    """What the first block says in the first step, row by row."""
    found = []
    module = model.module.get_submodule(model.generator.taps[-1].path)
    hook = module.register_forward_hook(lambda *call: found.append(first_tensor(call[2]).clone()))
    try:
        model.generator.generate(prompts, None)
    finally:
        hook.remove()
    assert len(found) == N_STEPS
    return found[0]


@pytest.mark.parametrize("name", ASKED)
def test_rows_of_guidance_are_told_apart(name):
    """Another negative prompt reaches the unconditional rows only, another prompt the others."""
    plain = build(name, negative="soft note")
    assert plain.generator.rows == ("unconditional", "conditional")
    here = block_rows(plain, PROMPTS)
    assert len(here) == 4
    negative = block_rows(build(name, negative="loud drum"), PROMPTS)
    assert torch.equal(here[2:], negative[2:])
    assert not torch.allclose(here[:2], negative[:2])
    told = block_rows(plain, [Prompt("x", "the loud note", seed=1), PROMPTS[1]])
    changed = [not torch.allclose(a, b) for a, b in zip(here, told, strict=True)]
    assert changed == [False, False, True, False]


def test_without_guidance_every_row_is_conditional():
    model = build("stable_audio", guidance=1.0)
    assert model.generator.rows == ("conditional",)
    assert len(block_rows(model, PROMPTS)) == 2


FRAMES_FIRST = {
    "longcat": ({"n_steps": N_STEPS, "seconds": 0.006}, "audio_duration_s"),
    "ace_step": ({"n_steps": N_STEPS, "seconds": 0.6, "guidance": 5.0}, "audio_duration"),
}


@pytest.mark.parametrize("name", FRAMES_FIRST)
def test_pipelines_whose_frames_come_first(name):
    """The result is their own, turned; flows go from 0 to 1, rising σ or falling."""
    asked, length = FRAMES_FIRST[name]
    model = build(name, **asked)
    result, seen = watched(model, PROMPTS[:1])
    guidance = {"guidance_scale": asked["guidance"]} if "guidance" in asked else {}
    plain = model.pipe(
        [PROMPTS[0].text],
        generator=[torch.Generator().manual_seed(1)],
        num_inference_steps=N_STEPS,
        output_type="latent",
        **{length: asked["seconds"]},
        **guidance,
    ).audios
    assert plain.shape == (1, 12, 4)
    assert torch.equal(result, plain.transpose(1, 2))
    assert model.generator.kind == "flow"
    before = [step for step in seen if step.estimate is None]
    heard = [step for step in seen if step.estimate is not None]
    assert [step.progress for step in before] == sorted(step.progress for step in before)
    for now, then in pairwise(before):
        moved = (then.state - now.state) / (then.progress - now.progress)
        clean = now.state + (1 - now.progress) * moved
        torch.testing.assert_close(heard[now.index].estimate, clean, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        latents = model.forward(harmonic_noise(model.sample_rate, model.n_channels, 320, 1))
        sound = model.codec.decode(result)
    assert latents.shape == (1, 4, 40)
    assert sound.shape == (1, model.n_channels, 96)


def test_rows_are_found_and_not_supposed():
    """ACE-Step puts the conditional row first; LongCat's network runs twice, once for each."""
    ace = build("ace_step", **FRAMES_FIRST["ace_step"][0])
    assert ace.generator.rows == ("conditional", "unconditional")
    one, other = (block_rows(ace, [Prompt("x", text, seed=1)]) for text in ("a drum", "low note"))
    assert not torch.allclose(one[0], other[0])
    assert torch.equal(one[1], other[1])
    longcat = build("longcat", **FRAMES_FIRST["longcat"][0])
    assert longcat.generator.taps == ()
    together = longcat.generator.generate(PROMPTS, None)
    alone = longcat.generator.generate(PROMPTS[1:], None)
    torch.testing.assert_close(alone[0], together[1], rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="one at a time"):
        ace.generator.generate(PROMPTS, None)


def test_words_that_are_sung_reach_the_network():
    model = build("ace_step", **FRAMES_FIRST["ace_step"][0])
    plain = model.generator.generate(PROMPTS[:1], None)
    sung = Prompt("low", PROMPTS[0].text, {"lyrics": "loud drum of note"}, seed=1)
    assert not torch.allclose(model.generator.generate([sung], None), plain)


def test_hearing_gives_latents_as_the_network_makes_them(model):
    wave = harmonic_noise(model.sample_rate, model.n_channels, 1600, 2)
    with torch.no_grad():
        latents = model.forward(wave)
        sound = model.codec.decode(latents)
    made = model.generator.generate(PROMPTS, None)
    assert latents.shape[1] == made.shape[1]
    assert sound.shape[1] == model.n_channels
    hop = next(model.time_base(tap) for tap in model.taps() if tap.role == "latent").hop
    assert latents.shape[-1] * hop == 1600


def test_latents_of_pictures_are_scaled_means_of_the_autoencoder():
    model = build("audioldm2")
    wave = harmonic_noise(16_000, 1, 1600, 2)
    with torch.no_grad():
        picture = model.module.mel(wave)
        mean = model.pipe.vae.encode(picture).latent_dist.mean * 0.9
        latents = model.codec.encode(wave)
        again = model.codec.decode(latents)
        painted = model.pipe.vae.decode(mean / 0.9).sample
        vocoded = model.pipe.mel_spectrogram_to_waveform(painted)
    torch.testing.assert_close(latents[:, 8:16, 3], mean[:, 1, 3])
    torch.testing.assert_close(again[:, 0], vocoded, rtol=1e-3, atol=1e-4)


def test_mel_pictures_are_those_that_librosa_makes():
    """Hann, magnitudes, Slaney's filters of equal area, ln of at least 1e-5, reflected ends."""
    librosa = pytest.importorskip("librosa")
    model = build("audioldm", mel_window=512)
    wave = harmonic_noise(16_000, 1, 3200, 1)
    here = model.module.mel(wave)[0, 0]
    padded = torch.nn.functional.pad(wave, (248, 248), mode="reflect")[0]
    window = torch.hann_window(512)
    spectrum = torch.stft(padded, 512, 16, window=window, center=False, return_complex=True).abs()
    filters = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=16, fmin=0, fmax=8000)
    expected = (torch.from_numpy(filters) @ spectrum[0]).clamp(min=1e-5).log().T
    torch.testing.assert_close(here, expected[: len(here)], rtol=1e-3, atol=1e-3)


def test_random_weights_are_a_control_that_still_generates():
    one, again = (build("stable_audio", "random") for _ in range(2))
    made = [m.generator.generate(PROMPTS, None) for m in (one, again, build("stable_audio"))]
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2])
    shuffled = build("audioldm", "shuffled").generator.generate(PROMPTS, None)
    assert not torch.allclose(shuffled, build("audioldm").generator.generate(PROMPTS, None))


def test_wishes_and_unknown_arguments_are_refused(stable):
    with pytest.raises(ConfigError, match="pitch_midi"):
        stable.generator.generate([Prompt("x", wishes={"pitch_midi": 60.0})], None)
    with pytest.raises(ConfigError, match="knows no etaa"):
        build("stable_audio", arguments={"etaa": 0.5})
    with pytest.raises(ConfigError, match="refuses to be called this way"):
        build("stable_audio", seconds=99.0)
    with pytest.raises(ConfigError, match=r"model.mel_window: 63 samples"):
        build("audioldm", mel_window=63)


def test_a_pipeline_that_its_own_library_cannot_run_says_so():
    """MusicLDM of diffusers 0.42 takes CLAP's text features as transformers 4 returns them."""
    section = {"type": "diffusers", "checkpoint": tiny_generators.musicldm(), "mel_window": 64}
    cls, params = MODELS.parse(section, "model")
    with pytest.raises(ConfigError, match="MusicLDMPipeline does not run"):
        cls.build(params, "trained", 0)


def copied(tmp_path, change):
    folder = Path(shutil.copytree(tiny_generators.stable_audio(), tmp_path / "pipe"))
    index = json.loads((folder / "model_index.json").read_text())
    change(folder, index)
    (folder / "model_index.json").write_text(json.dumps(index))
    cls, params = MODELS.parse({"type": "diffusers", "checkpoint": str(folder)}, "model")
    return cls.build(params, "trained", 0)


def test_code_and_pickles_of_a_checkpoint_are_refused(tmp_path):
    def own_class(folder, index):
        del folder
        index["_class_name"] = ["pipeline", "Mine"]

    def own_part(folder, index):
        del folder
        index["transformer"] = ["mine", "Mine"]

    def no_safetensors(folder, index):
        del index
        for file in (folder / "transformer").glob("*.safetensors"):
            file.rename(file.with_suffix(".bin"))

    for number, (change, said) in enumerate(
        [(own_class, "own code"), (own_part, r"mine\.Mine"), (no_safetensors, "safetensors")]
    ):
        with pytest.raises(CheckpointError, match=said):
            copied(tmp_path / str(number), change)


def test_a_folder_that_is_no_pipeline_is_a_sentence(tmp_path):
    cls, params = MODELS.parse({"type": "diffusers", "checkpoint": str(tmp_path)}, "model")
    with pytest.raises(CheckpointError, match=r"model_index\.json"):
        cls.build(params, "trained", 0)
