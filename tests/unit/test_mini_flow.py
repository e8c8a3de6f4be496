"""The bundled generator, and the way it is sampled."""

import numpy as np
import pytest
import torch

from auscult.core.errors import ConfigError, InvariantError, UnknownNameError, UserError
from auscult.models.base import MODELS
from auscult.models.generation import Prompt
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


def test_noise_is_a_prompts_own():
    torch.testing.assert_close(noise_of([5], 2, 3)[0], noise_of([4, 5], 2, 3)[1])
