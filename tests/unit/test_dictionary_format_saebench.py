"""The folder for SAEBench: what its check of the decoder asks, and the same reconstructions."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from auscult.core.errors import StoreError
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.saebench import save_saebench
from auscult.store.source import ArraySource

VALUES = (3.0 + 5.0 * np.random.default_rng(0).standard_normal((300, 5))).astype(np.float32)
X = torch.from_numpy(VALUES)
LOCAL = ("relu", "jump-relu", "gated", "batch-topk", "matryoshka", "temporal")


def made(name, *, longer=False, **settings):
    """A dictionary that centres and scales; its atoms of unit length, or longer and unequal."""
    if "k" in DICTIONARIES.get(name).Params.model_fields:
        settings = {"k": 3, **settings}
    cls, params = DICTIONARIES.parse({"type": name, "n_features": 7, **settings}, "here")
    dictionary = cls.build(params, 5, 0, ArraySource(VALUES).statistics)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        dictionary.after_step()
        if longer:
            dictionary.linear.decoder *= torch.linspace(0.5, 2.0, 7)[:, None]
    if hasattr(dictionary, "running"):
        dictionary.running.threshold.fill_(0.3)
    return dictionary.requires_grad_(False)


def passes_saebench(rows):
    """Its own rule: lengths of 1 up to 1e-5, and torch's relative 1e-5 (custom_saes, 0.6.0)."""
    lengths = rows.norm(dim=1)
    return torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)


def by_formula(folder):
    """SAELens' documented formulas on the folder's own tensors, in float64."""
    cfg = json.loads((folder / "cfg.json").read_text())
    w = {
        name: tensor.double()
        for name, tensor in load_file(folder / "sae_weights.safetensors").items()
    }
    inner = (X.double() - w["b_dec"]) @ w["W_enc"]
    if cfg["architecture"] == "gated":
        acts = (inner * w["r_mag"].exp() + w["b_mag"]).relu() * (inner + w["b_gate"] > 0)
    elif cfg["architecture"] == "topk":
        pre = (inner + w["b_enc"]).relu()
        least = pre.topk(cfg["k"], dim=1).values[:, -1:]
        acts = pre * (pre >= least)
    else:
        pre = (inner + w["b_enc"]).relu()
        acts = pre * (pre > w["threshold"]) if "threshold" in w else pre
    return acts, acts @ w["W_dec"] + w["b_dec"]


@pytest.mark.parametrize("name", LOCAL)
def test_atoms_of_any_length_become_unit_and_nothing_else_changes(tmp_path, name):
    mine = made(name, longer=True)
    save_saebench(mine, tmp_path)
    assert passes_saebench(load_file(tmp_path / "sae_weights.safetensors")["W_dec"])
    acts, estimate = by_formula(tmp_path)
    lengths = mine.linear.decoder.norm(dim=1) / mine.preprocess.scale
    assert_close(acts.float(), mine.encode(X) * lengths, rtol=0, atol=1e-4)
    assert_close(estimate.float(), mine(X), rtol=0, atol=1e-4)
    assert (acts > 0).any()
    assert not (acts > 0).all()


def test_a_top_k_of_equal_atoms_selects_the_same(tmp_path):
    mine = made("topk")
    save_saebench(mine, tmp_path)
    assert passes_saebench(load_file(tmp_path / "sae_weights.safetensors")["W_dec"])
    acts, estimate = by_formula(tmp_path)
    assert_close((acts > 0), mine.encode(X) > 0)
    assert_close(estimate.float(), mine(X), rtol=0, atol=1e-4)


def test_a_top_k_whose_selection_would_change_is_refused(tmp_path):
    with pytest.raises(StoreError, match="its selection of features would be another"):
        save_saebench(made("topk", longer=True), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pursuit_has_nothing_that_takes_up_a_length(tmp_path):
    mine = made("matching-pursuit", scale=False)
    save_saebench(mine, tmp_path / "unit")
    assert_close(Dictionary.load(tmp_path / "unit")(X), mine(X), rtol=0, atol=1e-4)
    mine.rows *= 2.0
    with pytest.raises(StoreError, match="no encoder that could take up"):
        save_saebench(mine, tmp_path / "longer")


def test_a_feature_without_an_atom_is_counted(tmp_path):
    mine = made("relu")
    mine.linear.decoder[2:4] = 0.0
    with pytest.raises(StoreError, match="the atoms of 2 features are zero"):
        save_saebench(mine, tmp_path)


def test_what_gives_back_another_tap_is_refused(tmp_path):
    _, params = DICTIONARIES.parse(
        {"type": "transcoder", "rule": "relu", "n_features": 7, "centre": False, "scale": False},
        "it",
    )
    with pytest.raises(StoreError, match="judges what gives back its own input"):
        save_saebench(DICTIONARIES.get("transcoder").build(params, 5, 0), tmp_path)
