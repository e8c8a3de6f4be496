"""The recipe of the bundled generator in small, and what the cards of bundled networks say."""

import hashlib
import re
import sys
from argparse import Namespace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from safetensors import safe_open

from auscult.models.networks.flow_transformer import FlowShape, FlowTransformer

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "src/auscult/models/bundled"
OWN = ("cards", "synth", "flow_notes", "mini_flow", "flow_card")
TINY = FlowShape(
    d_latent=32, n_frames=80, patch=2, d_model=16, n_blocks=1, n_heads=2, d_mlp=32,
    n_instruments=6, n_pitches=36,
)  # fmt: skip


class Sines:
    """In the synthesiser's place, which the default environment lacks: the pitch as a sine."""

    def __init__(self, sample_rate, font):
        del font
        self.sample_rate = sample_rate

    def render(self, score):
        (note,) = score.notes
        hz = 440 * 2 ** ((note.pitch_midi - 69) / 12)
        times = np.arange(round(score.seconds * self.sample_rate)) / self.sample_rate
        return SimpleNamespace(samples=np.sin(2 * np.pi * hz * times).astype(np.float32))


@pytest.fixture
def recipe(monkeypatch):
    """The recipe's modules, with six sines for its 1,728 notes and a network of one block."""
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    if find_spec("tinysoundfont") is None:
        monkeypatch.setitem(sys.modules, "tinysoundfont", MagicMock())
    for name in OWN:
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = SimpleNamespace(**{name: import_module(name) for name in OWN})
    monkeypatch.setattr(found.flow_notes, "PROGRAMS", {"piano": 0, "flute": 73})
    monkeypatch.setattr(found.flow_notes, "PITCHES", (60, 67, 74))
    monkeypatch.setattr(found.mini_flow, "Renderer", Sines)
    few = partial(found.flow_notes.render_notes, cuts=[0])
    monkeypatch.setattr(found.mini_flow, "render_notes", few)
    yield found
    for name in OWN:
        sys.modules.pop(name, None)


def asked(scratch, **changes):
    scratch.mkdir(exist_ok=True)
    told = {"steps": 4, "only": None, "batch": 3, "rate": 1e-3, "seed": 0, "font": None}
    return Namespace(**told | {"scratch": scratch, "out": scratch} | changes)


def training(recipe, args):
    net = FlowTransformer(TINY)
    recipe.mini_flow.initialise(net, args.seed)
    begun = recipe.mini_flow.Training(net, args)
    begun.resume()
    return begun


def test_a_training_that_was_stopped_ends_in_the_same_bits_and_is_written(recipe, tmp_path):
    args = asked(tmp_path / "at once")
    corpus = recipe.mini_flow.make_corpus(args)
    frames = corpus.latents.transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(frames.mean(0), torch.zeros(32), atol=1e-5, rtol=0)
    torch.testing.assert_close(frames.std(0), torch.ones(32))
    assert corpus.loudness.abs().max() <= 1
    whole = training(recipe, args)
    recipe.mini_flow.train(whole, corpus)
    for _ in range(2):
        halves = training(recipe, asked(tmp_path / "halves", only=2))
        recipe.mini_flow.train(halves, corpus)
    assert halves.step == 4
    for name, values in whole.average.items():
        assert torch.equal(values, halves.average[name]), name
    recipe.mini_flow.write(whole, corpus, args)
    with safe_open(args.out / "mini-flow.safetensors", "pt") as written:
        assert written.metadata()["notes"] == "12"
        assert "--steps 4 --batch 3" in written.metadata()["recipe"]
        assert torch.equal(written.get_tensor("mean"), corpus.mean)


def test_the_card_counts_notes_in_tune_rightly_named_and_off_in_level(recipe):
    pitches, levels = np.array([60, 67, 72, 79]), np.array([-20.0, -22.0, -24.0, -26.0])
    times = np.arange(25_600) / 24_000
    waves = np.sin(2 * np.pi * 440 * 2 ** ((pitches[:, None] - 69) / 12) * times)
    waves *= np.sqrt(2) * 10 ** (levels[:, None] / 20)
    wanted = recipe.flow_card.Asked(
        np.array([0, 1, 0, 1]), pitches + np.array([0, 0, 0, 1]), levels + 3
    )
    says_first = SimpleNamespace(predict=lambda rows: np.zeros(len(rows), dtype=int))
    found = recipe.flow_card.figures(waves.astype(np.float32), wanted, says_first)
    assert found["pitch"].mean == 0.75
    assert found["instrument"].mean == 0.5
    assert found["level"].mean == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("weights", sorted(BUNDLED.glob("*.safetensors")), ids=lambda p: p.stem)
def test_a_card_is_the_card_of_the_weights_beside_it(weights):
    card = weights.with_suffix(".md").read_text()
    assert re.findall(r"SHA-256 `([0-9a-f]{64})`", card) == [
        hashlib.sha256(weights.read_bytes()).hexdigest()
    ]
    assert f"{weights.stat().st_size / 1e6:.2f} MB" in card


def test_the_generators_card_says_what_its_weights_say_of_their_making():
    card = " ".join((BUNDLED / "mini-flow.md").read_text().split())
    with safe_open(BUNDLED / "mini-flow.safetensors", "pt") as opened:
        told = opened.metadata()
    assert told["recipe"] in card
    assert f"{told['notes']} renderings" in card
    assert f"{told['minutes']} minutes" in card
