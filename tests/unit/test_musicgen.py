"""MusicGen as a generator, on small instances of the real class."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from auscult.core.errors import CheckpointError, ConfigError
from auscult.models.base import MODELS
from auscult.models.delayed_codes import DelayPattern
from auscult.models.generation import Prompt
from auscult.models.musicgen import is_causal, make_causal
from auscult.models.stimulus import harmonic_noise
from auscult.models.structures import first_tensor
from tests import tiny_generators

pytest.importorskip("transformers")

N_FRAMES, N_LEVELS = 8, 2
N_STEPS = N_FRAMES + N_LEVELS - 1
PROMPTS = [Prompt("low", "a low flute", seed=1), Prompt("high", "high drum", seed=2)]


def build(n_channels=1, weights="trained", **more):
    section = {"type": "musicgen", "checkpoint": tiny_generators.musicgen(n_channels)}
    cls, params = MODELS.parse({**section, "seconds": 0.004, **more}, "model")
    return cls.build(params, weights, 0)


@pytest.fixture(scope="module", params=[1, 2])
def model(request):
    return build(request.param)


@pytest.fixture(scope="module")
def mono():
    return build()


def codes_of(model, prompts, watch=None):
    """Codes of the result, and the steps that were seen."""
    seen = []

    def see(step):
        seen.append(step)
        return None if watch is None else watch(step)

    result = model.generator.generate(prompts, see)
    return seen[-1].tokens, seen, result


def library_codes(model, prompts, **how):
    """Codes that ``generate`` of the library hands to its codec, both channels' together."""
    heard = []
    decode = model.module.audio_encoder.decode

    def listen(codes, *args, **kwargs):
        heard.append(codes[0])
        return decode(codes, *args, **kwargs)

    read = model.tokenizer([p.text for p in prompts], padding=True, return_tensors="pt")
    model.module.audio_encoder.decode = listen
    try:
        length = model.generator.n_frames + N_LEVELS
        model.module.generate(**read, max_length=length, **how)
    finally:
        del model.module.audio_encoder.decode
    return heard[0] if len(heard) == 1 else torch.stack(heard, 2).flatten(1, 2)


def test_codes_are_those_of_the_librarys_own_loop(model):
    torch.manual_seed(1)
    drawn = library_codes(model, PROMPTS[:1], do_sample=True, top_k=250, guidance_scale=3.0)
    assert torch.equal(codes_of(model, PROMPTS[:1])[0], drawn)
    assert drawn.unique().numel() > 5


def test_the_sound_is_the_librarys_channel_by_channel(model):
    read = model.tokenizer([PROMPTS[0].text], return_tensors="pt")
    torch.manual_seed(1)
    with torch.no_grad():
        length = model.generator.n_frames + N_LEVELS
        how = {"do_sample": True, "top_k": 250, "guidance_scale": 3.0, "max_length": length}
        expected = model.module.generate(**read, **how)
        sound = model.codec.decode(model.generator.generate(PROMPTS[:1], None))
    torch.testing.assert_close(sound, expected, rtol=1e-4, atol=1e-5)
    assert sound.std() > 1e-3


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_the_likeliest_codes_of_a_batch_are_those_of_the_library(guidance):
    model = build(sample=False, guidance=guidance)
    expected = library_codes(model, PROMPTS, do_sample=False, guidance_scale=guidance)
    assert torch.equal(codes_of(model, PROMPTS)[0], expected)


def test_few_candidates_are_kept_as_the_library_keeps_them():
    model = build(top_k=3, temperature=0.7)
    torch.manual_seed(1)
    how = {"do_sample": True, "top_k": 3, "temperature": 0.7, "guidance_scale": 3.0}
    expected = library_codes(model, PROMPTS[:1], **how)
    assert torch.equal(codes_of(model, PROMPTS[:1])[0], expected)


def test_every_pass_is_a_step_and_frames_come_complete_behind_it(model):
    _, seen, result = codes_of(model, PROMPTS)
    assert model.generator.n_steps == N_STEPS
    assert [step.index for step in seen] == list(range(N_STEPS + 1))
    frames = [0, *range(N_FRAMES + 1)]
    assert [step.state.shape[-1] for step in seen] == frames
    assert [step.progress for step in seen] == [n / N_FRAMES for n in frames]
    assert torch.equal(seen[-1].state, result)
    assert torch.equal(result, model.generator.generate(PROMPTS, None))
    for step in seen:
        assert torch.equal(step.tokens, seen[-1].tokens[..., : step.tokens.shape[-1]])
        assert torch.equal(step.state, result[..., : step.state.shape[-1]])


def test_a_prompt_comes_out_as_it_would_alone(model):
    together = codes_of(model, PROMPTS)[0]
    for index, prompt in enumerate(PROMPTS):
        assert torch.equal(codes_of(model, [prompt])[0][0], together[index])
    torch.manual_seed(99)
    assert torch.equal(codes_of(model, PROMPTS)[0], together)
    other = codes_of(model, [Prompt("low", "a low flute", seed=5)])[0]
    assert not torch.equal(other[0], together[0])


def test_an_edit_writes_other_codes_and_what_follows_hears_them(model):
    plain, seen, _ = codes_of(model, PROMPTS)
    same, _, _ = codes_of(model, PROMPTS, lambda step: step.state)
    assert torch.equal(same, plain)

    def silence_frame_1(step):
        if step.state.shape[-1] != 4:
            return None
        new = step.state.clone()
        new[..., 1] = -new[..., 1]
        return new

    edited = codes_of(model, PROMPTS, silence_frame_1)[0]
    assert torch.equal(edited[..., [0, 2, 3]], plain[..., [0, 2, 3]])
    assert not torch.equal(edited[..., 1], plain[..., 1])
    assert torch.equal(edited[..., 1], model.codec.codes(-seen[-1].state[..., 1:2])[..., 0])
    assert not torch.equal(edited[..., 4:], plain[..., 4:])
    with pytest.raises(ConfigError, match="must have its shape"):
        codes_of(model, PROMPTS, lambda step: step.state[:, 1:])


def test_after_an_edit_the_decoder_has_read_all_codes_anew(mono):
    """The logits behind an edit are those of the edited codes in one pass from the start."""
    heard = []
    hook = mono.module.decoder.register_forward_hook(
        lambda *call: heard.append(call[2].logits[:, -1])
    )
    try:
        codes_of(mono, PROMPTS, lambda s: -s.state if s.state.shape[-1] == 4 else None)
        after = heard[5].clone()
        heard.clear()
        edited = codes_of(mono, PROMPTS, lambda s: -s.state if s.state.shape[-1] == 4 else None)
    finally:
        hook.remove()
    pattern = DelayPattern(N_FRAMES, 2, 1, 32)
    written = torch.full((2, 2, 6), 32)
    # Behind five passes: four frames, and the first level of the fifth.
    written[:, 0, 1:6] = edited[0][:, 0, :5]
    written[:, 1, 2:6] = edited[0][:, 1, :4]
    assert torch.equal(pattern.frames(written), edited[0][..., :4])
    with torch.no_grad():
        told = mono._told([prompt.text for prompt in PROMPTS])
        logits = mono.module(
            encoder_outputs=(told.hidden,),
            attention_mask=told.mask,
            decoder_input_ids=written.flatten(0, 1).repeat(2, 1),
        ).logits[:, -1]
    torch.testing.assert_close(after, logits, rtol=1e-4, atol=1e-5)


def layer_rows(model, prompts):
    found = []
    layer = model.module.get_submodule(model.generator.taps[-1].path)
    hook = layer.register_forward_hook(lambda *call: found.append(first_tensor(call[2]).clone()))
    try:
        model.generator.generate(prompts, None)
    finally:
        hook.remove()
    return found


def test_the_decoder_runs_once_a_step_and_its_first_rows_are_conditional(mono):
    assert mono.generator.rows == ("conditional", "unconditional")
    here = layer_rows(mono, PROMPTS)
    assert len(here) == N_STEPS
    assert all(said.shape == (4, 1, 16) for said in here)
    told = layer_rows(mono, [Prompt("x", "the loud note", seed=1), PROMPTS[1]])
    changed = [not torch.allclose(a, b) for a, b in zip(here[0], told[0], strict=True)]
    assert changed == [True, False, False, False]
    assert len(layer_rows(build(guidance=1.0), PROMPTS)[0]) == 2


def test_a_change_of_conditional_rows_alone_reaches_the_codes(mono):
    """Steering both kinds of rows alike cancels most of it where guidance takes their difference."""
    plain = codes_of(mono, PROMPTS)[0]
    layer = mono.module.get_submodule(mono.generator.taps[-1].path)

    def changed(rows):
        def steer(module, args, output):
            del module, args
            said = first_tensor(output).clone()
            said[rows] += 3.0 * torch.linspace(-1, 1, 16)
            return said if isinstance(output, torch.Tensor) else (said, *output[1:])

        hook = layer.register_forward_hook(steer)
        try:
            return codes_of(mono, PROMPTS)[0]
        finally:
            hook.remove()

    only_first = changed(slice(0, 1))
    assert not torch.equal(only_first[0], plain[0])
    assert torch.equal(only_first[1], plain[1])


def test_a_decoder_assembled_from_parts_hears_what_is_to_come_until_it_is_mended():
    module = tiny_generators.assembled_musicgen()
    assert not is_causal(module)
    make_causal(module, "assembled")
    assert is_causal(module)
    assert is_causal(build().module)
    assert is_causal(build(weights="random").module)


def test_a_decoder_that_cannot_be_mended_is_refused(monkeypatch):
    module = tiny_generators.assembled_musicgen()
    monkeypatch.setattr(module, "set_attn_implementation", lambda _: None)
    with pytest.raises(CheckpointError, match="yet to come"):
        make_causal(module, "mine")


def test_hearing_is_the_codecs_channel_by_channel(model):
    wave = harmonic_noise(16_000, model.n_channels, 1600, 2)
    with torch.no_grad():
        codes = model.codec.codes(model.codec.encode(wave))
        sound = model.codec.decode(model.forward(wave))
        alone = model.module.audio_encoder.encode(wave[:, :1], bandwidth=20.0).audio_codes[0]
    assert codes.shape == (2, N_LEVELS * model.n_channels, 200)
    assert sound.shape == wave.shape
    assert torch.equal(codes[:, :: model.n_channels], alone[:, :N_LEVELS])


def test_random_weights_write_many_codes():
    control = codes_of(build(weights="random"), PROMPTS)[0]
    assert control.unique().numel() > 5
    assert not torch.equal(control, codes_of(build(), PROMPTS)[0])


def test_what_cannot_be_asked_is_refused(mono, tmp_path):
    with pytest.raises(ConfigError, match="pitch_midi"):
        mono.generator.generate([Prompt("x", wishes={"pitch_midi": 60.0})], None)
    with pytest.raises(ConfigError, match="2 are needed"):
        build(seconds=0.0005)
    folder = Path(shutil.copytree(tiny_generators.musicgen(), tmp_path / "other"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "encodec"}))
    cls, params = MODELS.parse({"type": "musicgen", "checkpoint": str(folder)}, "model")
    with pytest.raises(CheckpointError, match="and no musicgen"):
        cls.build(params, "trained", 0)


def test_the_delay_pattern_is_the_librarys():
    """Blank and free places as in ``build_delay_pattern_mask``, mono and stereo."""
    for n_channels in (1, 2):
        decoder = build(n_channels).module.decoder
        pattern = DelayPattern(5, N_LEVELS * n_channels, n_channels, 32)
        start = torch.full((pattern.n_books, 1), 32)
        _, mask = decoder.build_delay_pattern_mask(start, 32, max_length=pattern.n_passes + 1)
        free = [pattern.holds(position) for position in range(pattern.n_passes + 1)]
        assert torch.equal(torch.tensor(free).T, mask == -1)
