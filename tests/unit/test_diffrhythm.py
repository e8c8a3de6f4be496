"""DiffRhythm from a checkout, with a stand-in for it that has its names and signatures."""

import json
import sys
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
import torch

from auscult.core.errors import CheckpointError, ConfigError, MissingExtraError, UserError
from auscult.models.base import MODELS
from auscult.models.diffrhythm_prompts import lines_of
from auscult.models.generation import Prompt
from tests.diffrhythm_stand_in import SIZES, write_checkout, write_vae, write_weights

pytest.importorskip("diffusers")

N_FRAMES, N_STATES = 12, 5
HOP_S = 2048 / 44_100


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkout, an autoencoder, weights of both lengths, a style."""
    folder = tmp_path_factory.mktemp("diffrhythm")
    write_checkout(folder / "code")
    write_vae(folder / "vae")
    np.save(folder / "style.npy", np.linspace(-1, 1, 512, dtype=np.float32)[None])
    for max_frames in (2048, 6144):
        made = build(folder, weights="random", max_frames=max_frames)
        write_weights(made.module.transformer, folder / f"cfm-{max_frames}.pt")
    return folder


def build(folder, weights="trained", **more):
    section = {
        "type": "diffrhythm",
        "checkout": str(folder / "code"),
        "vae": str(folder / "vae"),
        "n_frames": N_FRAMES,
        "n_states": N_STATES,
        **more,
    }
    if weights != "random" and "checkpoint" not in section:
        section["checkpoint"] = str(folder / f"cfm-{more.get('max_frames', 2048)}.pt")
    cls, params = MODELS.parse(section, "model")
    return cls.build(params, weights, 0)


def prompts(folder):
    sung = f"[00:00.10]abc\n[00:{5 * HOP_S:05.2f}]a.\n[00:00.50]b"
    asked = {"style": str(folder / "style.npy"), "lyrics": sung}
    return [Prompt("sung", wishes=asked, seed=3), Prompt("free", seed=4)]


@pytest.fixture(scope="module", params=[2048, 6144])
def model(request, files):
    return build(files, max_frames=request.param)


def watched(model, asked, change=lambda step: None):
    seen = []

    def watch(step):
        seen.append(step)
        return change(step)

    return model.generator.generate(asked, watch), seen


def published_loop(model, style, lyrics, seed):
    """As the published code samples: one prompt, the rows of guidance apart, dropped by flags."""
    network = model.module.transformer
    torch.manual_seed(seed)
    state = torch.randn(N_FRAMES, SIZES["mel_dim"])[None]
    states, times = [state], torch.linspace(0, 1, N_STATES)
    nothing = torch.from_numpy(np.load(f"{model.params.checkout}/infer/example/vocal.npy"))
    share = torch.tensor([N_FRAMES / model.params.max_frames])
    for now, then in pairwise(times):
        common = {"cond": torch.zeros_like(state), "text": lyrics[None], "time": now}
        common |= {"start_time": torch.tensor([0.0]), "duration": share}
        flags = {"drop_audio_cond": False, "drop_text": False, "style_prompt": style[None]}
        told = network(x=state, **common, **flags)
        flags = {"drop_audio_cond": True, "drop_text": True, "style_prompt": nothing}
        untold = network(x=state, **common, **flags)
        state = state + (then - now) * (told + 4.0 * (told - untold))
        states.append(state)
    return torch.cat(states)


@torch.no_grad()
def test_states_are_those_of_the_published_loop(model, files):
    asked = prompts(files)
    style = torch.from_numpy(np.load(files / "style.npy"))[0]
    lyrics = torch.zeros(N_FRAMES, dtype=torch.long)
    # 0.10 s is in frame 2, the next line in frame 5; letters are 10, 11, 12 and one more.
    lyrics[2:6] = torch.tensor([11, 12, 13, 2])
    lyrics[6:9] = torch.tensor([11, 1, 2])
    if model.params.max_frames == 6144:
        lyrics[10:12] = torch.tensor([12, 2])
    _, seen = watched(model, asked)
    states = torch.stack([step.state for step in seen if step.estimate is None]).transpose(2, 3)
    expected = published_loop(model, style, lyrics, 3)
    torch.testing.assert_close(states[:, 0], expected, rtol=1e-4, atol=1e-5)
    free = published_loop(model, torch.zeros(512), torch.zeros_like(lyrics), 4)
    torch.testing.assert_close(states[:, 1], free, rtol=1e-4, atol=1e-5)


def test_steps_are_seen_in_order_and_estimates_end_the_flow(model, files):
    asked = prompts(files)
    plain = model.generator.generate(asked, None)
    result, seen = watched(model, asked)
    assert torch.equal(result, plain)
    assert model.generator.n_steps == N_STATES - 1
    before = [step for step in seen if step.estimate is None]
    assert [step.index for step in before] == list(range(N_STATES))
    assert [step.progress for step in before] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert torch.equal(before[-1].state, result)
    heard = [step for step in seen if step.estimate is not None]
    for now, then in pairwise(before):
        velocity = (then.state - now.state) / 0.25
        clean = now.state + (1 - now.progress) * velocity
        torch.testing.assert_close(heard[now.index].estimate, clean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(heard[-1].estimate, result, rtol=1e-4, atol=1e-4)


def test_an_edit_acts_from_its_step_on(model, files):
    asked = prompts(files)
    plain, seen = watched(model, asked)
    assert torch.equal(watched(model, asked, lambda step: step.state)[0], plain)
    for index in range(N_STATES):
        edited, other = watched(
            model, asked, lambda step, at=index: step.state + 1 if step.index == at else None
        )
        assert not torch.equal(edited, plain)
        assert all(torch.equal(other[2 * i].state, seen[2 * i].state) for i in range(index))
    with pytest.raises(ConfigError, match="must have its shape"):
        watched(model, asked, lambda step: step.state[..., 1:])


def test_a_prompt_comes_out_as_it_would_alone(model, files):
    together = model.generator.generate(prompts(files), None)
    for index, prompt in enumerate(prompts(files)):
        alone = model.generator.generate([prompt], None)
        torch.testing.assert_close(alone[0], together[index], rtol=1e-4, atol=1e-5)


def block_rows(model, asked):
    found = []
    path = model.generator.taps[-1].path
    hook = model.module.get_submodule(path).register_forward_hook(
        lambda *call: found.append(call[2][0].clone())
    )
    try:
        model.generator.generate(asked, None)
    finally:
        hook.remove()
    return found


def test_conditional_rows_come_first_and_the_network_runs_once_a_step(files):
    model = build(files)
    assert model.generator.rows == ("conditional", "unconditional")
    asked = prompts(files)
    here = block_rows(model, asked)
    assert len(here) == model.generator.n_steps
    told = block_rows(model, [Prompt("other", seed=3), asked[1]])
    changed = [not torch.allclose(a, b) for a, b in zip(here[0], told[0], strict=True)]
    assert changed == [True, False, False, False]
    untold = block_rows(build(files, unconditional=""), asked)
    changed = [not torch.allclose(a, b) for a, b in zip(here[0], untold[0], strict=True)]
    assert changed == [False, False, True, True]
    assert build(files, guidance=0).generator.rows == ("conditional",)
    assert len(block_rows(build(files, guidance=0), asked)[0]) == 2


def test_importing_a_checkout_leaves_no_trace(files):
    mine = ModuleType("model")
    sys.modules["model"] = mine
    try:
        build(files)
        assert sys.modules["model"] is mine
    finally:
        del sys.modules["model"]
    assert not [name for name in sys.modules if name.startswith(("model.", "x_transformers"))]
    assert str(files / "code") not in sys.path


def test_what_generation_does_not_run_need_not_be_installed(files):
    model = build(files)
    called = type(model.module.transformer).forward.__globals__["rotate"]
    with pytest.raises(UserError, match="install it"):
        called(torch.zeros(1))


def test_weights_that_do_not_fit_are_listed(files, tmp_path):
    made = build(files).module.transformer
    other = write_weights(made, tmp_path / "more.pt", **{"transformer.extra": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="extra"):
        build(files, checkpoint=str(other))
    old = write_weights(
        made, tmp_path / "old.pt", **{"transformer.rotary_emb.inv_freq": torch.zeros(1)}
    )
    again = build(files, checkpoint=str(old)).module.transformer
    pairs = zip(again.state_dict().values(), made.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    wide = {"model_type": "diffrhythm", "model": {**SIZES, "mel_dim": 6}}
    (tmp_path / "wide.json").write_text(json.dumps(wide))
    with pytest.raises(CheckpointError, match="latents of 4 channels, the network makes 6"):
        build(files, weights="random", config=str(tmp_path / "wide.json"))
    with pytest.raises(CheckpointError, match="no file"):
        build(files, checkpoint=str(tmp_path / "nowhere.pt"))


def test_random_and_shuffled_weights_are_controls(files):
    asked = prompts(files)
    trained, drawn = build(files), build(files, weights="random")
    shuffled = build(files, weights="shuffled")
    results = [m.generator.generate(asked, None) for m in (trained, drawn, shuffled)]
    assert torch.equal(results[0], results[1])
    assert not torch.allclose(results[0], results[2])


def test_hearing_is_the_autoencoders(files):
    model = build(files)
    wave = torch.randn(1, 2, 800, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.no_grad():
        latents = model.forward(wave)
        assert latents.shape == (1, 4, 100)
        assert torch.equal(latents, model.module.vae.encode(wave).latent_dist.mean)
        made = model.codec.decode(model.generator.generate(prompts(files), None))
    assert made.shape[:2] == (2, 2)
    assert {tap.role for tap in model.taps()} >= {"latent", "conv.0", "posterior"}


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"checkout": "/nowhere"}, ConfigError, "no checkout of DiffRhythm"),
        ({"config": "/nowhere.json"}, ConfigError, r"nowhere\.json cannot be read"),
        ({"n_frames": 3000}, ConfigError, "more than the 2048"),
        ({"unconditional": "/nowhere.npy"}, ConfigError, r"nowhere\.npy cannot be read"),
        ({"checkpoint": None}, ConfigError, "needs weights"),
    ],
)
def test_a_wrong_setting_is_a_sentence(files, more, error, said):
    with pytest.raises(error, match=said):
        build(files, **more)


def test_a_wrong_prompt_is_a_sentence(files):
    generate = build(files).generator.generate
    with pytest.raises(ConfigError, match="no pitch_midi"):
        generate([Prompt("x", wishes={"pitch_midi": 60.0})], None)
    with pytest.raises(ConfigError, match="give either"):
        generate([Prompt("x", "jazz", {"style": str(files / "style.npy")})], None)
    with pytest.raises(MissingExtraError, match="muq"):
        generate([Prompt("x", "jazz")], None)


def test_code_that_fails_is_a_sentence(files, tmp_path):
    broken = write_checkout(tmp_path / "code")
    (broken / "model" / "dit.py").write_text("import a_package_that_is_not_there\n")
    with pytest.raises(UserError, match="a_package_that_is_not_there"):
        build(files, checkout=str(broken))
    (broken / "model" / "dit.py").write_text("class DiT:\n    pass\n")
    with pytest.raises(UserError, match="DiT of"):
        build(files, checkout=str(broken))
    (broken / "g2p" / "g2p_generation.py").write_text("import a_package_that_is_not_there\n")
    (broken / "model" / "dit.py").write_text((files / "code" / "model" / "dit.py").read_text())
    sys.modules.pop("g2p.g2p_generation", None)
    sys.modules.pop("g2p", None)
    with pytest.raises(UserError, match="phonemes"):
        build(files, checkout=str(broken)).generator.generate(prompts(files), None)


def test_lines_without_a_time_are_left_out():
    assert lines_of("[00:01.50]la\nla\n[xx:00.00]no\n[01:02.00] li ") == [(1.5, "la"), (62.0, "li")]
