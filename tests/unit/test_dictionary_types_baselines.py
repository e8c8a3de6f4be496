"""Dictionaries of which parts stay at their random start (Korznikov et al. 2026)."""

import pytest
import torch
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from auscult.core.errors import ConfigError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.linear import LinearCoder
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.testing.dictionaries import planted

SOURCE, _ = planted(1000, n_active=2)
SETTINGS = TrainSettings(steps=60, batch=64, lr=5e-2, warm_up=5)
WEIGHTS = ("encoder", "encoder_bias", "decoder", "decoder_bias")


def built(type_, frozen, **section):
    cls, params = DICTIONARIES.parse(
        {"type": type_, "frozen": frozen, "n_features": 12, **section}, "here"
    )
    return cls.build(params, 16, 0, SOURCE.statistics)


def start_and_end(type_, frozen, folder):
    dictionary = built(type_, frozen)
    start = {name: getattr(dictionary.linear, name).detach().clone() for name in WEIGHTS}
    train([TrainingJob(dictionary, "it")], SOURCE, SETTINGS, folder)
    return start, {name: getattr(dictionary.linear, name) for name in WEIGHTS}


@pytest.mark.parametrize("type_", ["relu", "topk"])
class TestFrozen:
    @pytest.mark.parametrize(
        ("frozen", "held"),
        [
            ("no", set()),
            ("decoder", {"decoder"}),
            ("soft-decoder", set()),
            ("encoder", {"encoder"}),
        ],
    )
    def test_what_is_frozen_keeps_its_bits_and_nothing_else_does(
        self, frozen, held, type_, tmp_path
    ):
        start, end = start_and_end(type_, frozen, tmp_path)
        assert {name for name in WEIGHTS if torch.equal(start[name], end[name])} == held

    def test_a_soft_frozen_atom_stays_near_its_start(self, type_, tmp_path):
        start, end = start_and_end(type_, "soft-decoder", tmp_path)
        cosines = cosine_similarity(start["decoder"], end["decoder"])
        assert float(cosines.min()) == pytest.approx(0.8, abs=1e-5)

    def test_a_free_atom_does_not(self, type_, tmp_path):
        start, end = start_and_end(type_, "no", tmp_path)
        assert float((start["decoder"] * end["decoder"]).sum(1).min()) < 0.7

    def test_all_start_alike(self, type_):
        starts = [built(type_, frozen).linear for frozen in ("no", "decoder", "encoder")]
        assert torch.equal(starts[0].decoder, starts[1].decoder)
        # But for the length of encoders: it decides nothing about which of them are the largest.
        alike = cosine_similarity(starts[0].encoder, starts[2].encoder)
        assert alike.tolist() == pytest.approx([1.0] * len(alike), abs=1e-6)


def test_an_encoder_of_topk_that_cannot_grow_is_as_long_as_its_atoms():
    # A shorter one could only rebuild too little, and the baseline would be easy to beat.
    rows = built("topk", "encoder").linear.encoder
    lengths = torch.linalg.vector_norm(rows, dim=1)
    assert lengths.tolist() == pytest.approx([1.0] * len(rows), abs=1e-6)


class TestBack:
    def test_the_nearest_direction_within_reach_is_taken(self):
        linear = LinearCoder(2, 2, "soft-decoder")
        linear.start.copy_(torch.eye(2))
        with torch.no_grad():
            linear.decoder.copy_(torch.tensor([[0.0, 2.0], [0.1, 3.0]]))
        linear.normalise_rows()
        # The first has turned by a right angle; the second hardly.
        expected = torch.tensor([[0.8, 0.6], [0.1 / 9.01**0.5, 3.0 / 9.01**0.5]])
        assert_close(linear.decoder.detach(), expected)


def test_free_lengths_of_frozen_atoms_are_refused():
    with pytest.raises(ConfigError, match="keeps unit atoms"):
        built("relu", "decoder", norm="weighted")
