"""Adapters under the tracer: every place inside the networks speaks once a step, of the rows asked."""

from fractions import Fraction

import pytest
import torch

from auscult.models.base import MODELS
from auscult.models.generation import Prompt
from auscult.taps.steps import StepEdit, trace
from tests import diffrhythm_stand_in, tiny_generators

pytest.importorskip("diffusers")

PROMPTS = [Prompt("low", "a low flute", seed=1), Prompt("high", "high drum", seed=2)]
FREE = [Prompt("low", seed=1), Prompt("high", seed=2)]


def stable_audio():
    return {"type": "diffusers", "checkpoint": tiny_generators.stable_audio(), "n_steps": 3}


def audioldm2():
    asked = {"n_steps": 2, "seconds": 0.048, "mel_window": 64}
    return {"type": "diffusers", "checkpoint": tiny_generators.audioldm2(), **asked}


def musicgen():
    return {"type": "musicgen", "checkpoint": tiny_generators.musicgen(), "seconds": 0.004}


def diffrhythm():
    checkout, vae = diffrhythm_stand_in.once()
    asked = {"n_frames": 12, "n_states": 4}
    return {"type": "diffrhythm", "checkout": checkout, "vae": vae, **asked}


CASES = {
    "stable audio": (stable_audio, PROMPTS, Fraction(8), 12),
    "audioldm 2": (audioldm2, PROMPTS, Fraction(32), 24),
    "musicgen": (musicgen, PROMPTS, Fraction(8), 1),
    "diffrhythm": (diffrhythm, FREE, Fraction(8), 12),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    section, prompts, hop, n_frames = CASES[request.param]
    cls, params = MODELS.parse(section(), "model")
    return cls.build(params, "random", 0), prompts, hop, n_frames


def test_every_place_inside_speaks_once_a_step_where_the_sound_will_be(case):
    model, prompts, hop, n_frames = case
    places = [tap.role for tap in model.generator.taps]
    seen = []
    rows = ("conditional", "unconditional")
    [(_, latents)] = trace(
        model, prompts, lambda _, said: seen.append(said), places=["state", *places], rows=rows
    )
    assert torch.equal(latents, model.generator.generate(prompts, None))
    assert len(set(places)) == len(places)
    n_steps = model.generator.n_steps
    for place in places:
        said = [one for one in seen if one.place == place]
        told = [(one.step, one.row) for one in said]
        assert sorted(told) == sorted((step, row) for step in range(n_steps) for row in rows)
        n_samples = {one.time.hop * one.values.shape[1] for one in said}
        assert n_samples == {hop * n_frames}
    deep = [one.values for one in seen if one.place == places[-1]]
    assert not torch.allclose(deep[0], deep[1])
    states = [one for one in seen if one.place == "state"]
    assert [one.step for one in states] == list(range(n_steps + 1))
    assert {one.time.hop for one in states} == {hop}


def test_an_edit_inside_reaches_the_result_by_the_rows_that_it_names(case):
    model, prompts, _, _ = case
    place = next(tap.role for tap in model.generator.taps if tap.role.endswith("1"))

    def result(rows):
        edit = StepEdit(place, lambda values, _: -values, {0, 1}, rows)
        [(_, latents)] = trace(model, prompts, places=[], edits=[edit])
        return latents

    plain = model.generator.generate(prompts, None)
    one, other = result(("conditional",)), result(("unconditional",))
    assert not torch.equal(one, plain)
    assert torch.equal(result(()), plain)
    assert model.generator.kind == "tokens" or not torch.allclose(one, other)
