"""The bundled generator, and the way it is sampled."""

import numpy as np
import pytest
import torch

from auscult.core.errors import ConfigError, InvariantError, UnknownNameError, UserError
from auscult.models.base import MODELS
from auscult.models.generation import Prompt
from auscult.models.mini_flow import Notes
from auscult.models.networks.flow_transformer import Wishes
from auscult.models.rectified_flow import euler, noise_of
from auscult.taps.steps import ESTIMATE, STATE, trace

NOTES = [("flute", 60), ("trumpet", 67), ("clarinet", 72), ("guitar", 55)]


def build(weights="trained", **params):
    family, parsed = MODELS.parse({"type": "mini-flow", **params}, "model")
    return family.build(parsed, weights, 0)


@pytest.fixture(scope="module")
def model():
    return build()


def asked(notes=NOTES):
    return [
        Prompt(f"{name} {pitch}", wishes={"instrument": name, "pitch_midi": pitch}, seed=pitch)
        for name, pitch in notes
    ]


def cents_off(model, prompts):
    import librosa

    with torch.no_grad():
        sounds = model.codec.decode(model.generator.generate(prompts, None))[:, 0].numpy()
    found = []
    for prompt, wave in zip(prompts, sounds, strict=True):
        hz = librosa.yin(wave, fmin=65, fmax=2000, sr=24_000, frame_length=1024, hop_length=320)
        midi = 69 + 12 * np.log2(np.median(hz[10:60]) / 440)
        found.append(100 * abs(midi - prompt.wishes["pitch_midi"]))
    return np.array(found)


def test_asked_for_notes_it_plays_those_notes_and_without_training_it_does_not(model):
    assert np.sum(cents_off(model, asked()) < 50) >= 3
    assert np.sum(cents_off(build("random"), asked()) < 50) == 0


@pytest.mark.parametrize("weights", ["random", "shuffled"])
def test_controls_change_all_of_the_flow_and_nothing_of_the_codec(model, weights):
    own, other = (
        dict(model.module.named_parameters()),
        dict(build(weights).module.named_parameters()),
    )
    for name, values in own.items():
        if name.startswith("codec."):
            assert torch.equal(values, other[name]), name
        elif values.std() > 0 or weights == "random":
            assert not torch.equal(values, other[name]), name
        if weights == "shuffled":
            assert torch.equal(values.flatten().sort().values, other[name].flatten().sort().values)


def test_asked_for_more_level_it_plays_louder(model):
    wishes = {"instrument": "guitar", "pitch_midi": 60}
    prompts = [Prompt("x", wishes=wishes | {"loudness_db": db}, seed=1) for db in (-32.0, -20.0)]
    with torch.no_grad():
        sounds = model.codec.decode(model.generator.generate(prompts, None))
    quiet, loud = (20 * sounds.square().mean((1, 2)).sqrt().log10()).tolist()
    assert loud - quiet > 6


def test_wishes_are_places_in_the_tables_and_standard_units_and_open_where_they_are_not_named():
    notes = Notes(("oboe", "harp", "lute"), (48, 49, 50), (-34.0, -18.0))
    asked = [
        Prompt("all", wishes={"instrument": "lute", "pitch_midi": 49, "loudness_db": -18.0}),
        Prompt("middle", wishes={"instrument": "oboe", "loudness_db": -26.0}),
        Prompt("none"),
    ]
    told = notes.wishes(asked)
    assert told.instrument.tolist() == [2, 0, -1]
    assert told.pitch.tolist() == [1, -1, -1]
    assert told.loudness[:2].tolist() == [1.0, 0.0]
    assert told.loudness[2].isnan()


@torch.no_grad()
def played_row_by_row(model, wish, seed, n_steps, guidance):
    """The slow twin of `generate`: one prompt, one row at a time, in standard units throughout."""
    net, rows = model.module, (Wishes(*wish), Wishes(*wish).open())
    x = noise_of([seed], net.flow.shape.d_latent, net.flow.shape.n_frames)
    for step in range(n_steps):
        time = torch.tensor([step / n_steps])
        wished, without = (net.flow(x, time, row) for row in rows)
        x = x + (without + guidance * (wished - without)) / n_steps
    return x * net.deviation[:, None] + net.mean[:, None]


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
def test_rows_together_in_the_codecs_units_are_rows_alone_in_standard_units(guidance):
    model = build(steps=3, guidance=guidance)
    fast = model.generator.generate(asked()[:2], None)
    for (name, pitch), one in zip(NOTES[:2], fast, strict=True):
        wish = ([model.notes.instruments.index(name)], [model.notes.pitches.index(pitch)], [np.nan])
        slow = played_row_by_row(model, [torch.tensor(w) for w in wish], pitch, 3, guidance)
        torch.testing.assert_close(one[None], slow, rtol=1e-4, atol=1e-4)


def test_a_prompt_does_not_depend_on_its_batch(model):
    together = model.generator.generate(asked(), None)
    alone = model.generator.generate(asked()[2:3], None)
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-4)


def test_blocks_inside_are_seen_in_both_rows_with_a_token_for_two_frames(model):
    seen = []
    list(
        trace(
            model, asked()[:1], lambda _, one: seen.append(one), places=("block.2.mlp.act",),
            steps=[5], rows=("conditional", "unconditional"),
        )
    )  # fmt: skip
    assert [one.row for one in seen] == ["conditional", "unconditional"]
    assert seen[0].values.shape == (1, 40, 512)
    assert not torch.equal(seen[0].values, seen[1].values)
    assert (seen[0].time.hop, seen[0].time.global_) == (640, True)


def test_at_the_last_step_the_clean_estimate_is_the_result(model):
    seen = {}
    ((_, result),) = trace(
        model, asked()[:1], lambda _, one: seen.__setitem__((one.place, one.step), one.values)
    )
    last = model.generator.n_steps
    torch.testing.assert_close(seen[ESTIMATE, last - 1], seen[STATE, last], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen[STATE, last].transpose(1, 2), result)


@pytest.mark.parametrize(
    ("wishes", "error", "words"),
    [
        ({"instrument": "oboe"}, UnknownNameError, "oboe"),
        ({"pitch_midi": 20}, ConfigError, "48 to 83"),
        ({"loudness_db": 3.0}, ConfigError, "lies between"),
        ({"tempo": 3.0}, UnknownNameError, "wish"),
    ],
)
def test_a_wish_out_of_reach_is_refused(model, wishes, error, words):
    with pytest.raises(error, match=words) as caught:
        model.generator.generate([Prompt("x", wishes=wishes)], None)
    assert isinstance(caught.value, UserError)


def test_along_a_straight_flow_every_estimate_is_the_end():
    noise, end, seen = noise_of([1, 2], 3, 4), torch.ones(2, 3, 4), []
    result = euler(lambda x, t: end - noise, noise, 7, lambda step: seen.append(step))
    torch.testing.assert_close(result, end)
    estimates = [step.estimate for step in seen if step.estimate is not None]
    assert len(estimates) == 7
    for one in estimates:
        torch.testing.assert_close(one, end)


def test_euler_halves_its_error_with_half_the_step():
    noise = torch.ones(1, 1, 1)
    errors = [float((euler(lambda x, t: x, noise, n) - torch.e).abs()) for n in (200, 400)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02)


def test_a_changed_state_must_keep_its_shape():
    with pytest.raises(InvariantError, match="cannot take the place"):
        euler(lambda x, t: x, torch.ones(1, 2, 3), 2, lambda step: torch.ones(1, 2, 4))


@pytest.mark.parametrize("step", [0, 2, 3])
def test_a_changed_state_is_where_it_goes_on_from(step):
    noise = noise_of([1], 2, 3)

    def raised(seen):
        return seen.state + 1 if seen.estimate is None and seen.index == step else None

    found = euler(lambda x, t: torch.zeros_like(x), noise, 3, raised)
    torch.testing.assert_close(found, noise + 1)


def test_noise_is_a_prompts_own():
    two = noise_of([4, 5], 2, 3)
    torch.testing.assert_close(noise_of([5], 2, 3)[0], two[1])
    assert not torch.equal(two[0], two[1])
