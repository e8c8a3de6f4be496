"""Folders of sparsify: golden ones of its own, and ours read by its documented formula."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, StoreError
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.sparsify import load_sparsify, save_sparsify
from auscult.store.source import ArraySource

GOLDEN = Path(__file__).parents[1] / "golden" / "dictionaries" / "sparsify"
VALUES = (3.0 + 5.0 * np.random.default_rng(0).standard_normal((200, 5))).astype(np.float32)
X = torch.from_numpy(VALUES)


def made(name="topk", **settings):
    if "k" in DICTIONARIES.get(name).Params.model_fields:
        settings = {"k": 3, **settings}
    cls, params = DICTIONARIES.parse({"type": name, "n_features": 7, **settings}, "here")
    dictionary = cls.build(params, 5, 0, ArraySource(VALUES).statistics)
    torch.manual_seed(0)
    for parameter in dictionary.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return dictionary.requires_grad_(False)


def copied(folder, **changes):
    said = json.loads((GOLDEN / "encoder.3" / "cfg.json").read_text()) | changes
    (folder / "cfg.json").write_text(json.dumps({k: v for k, v in said.items() if v is not None}))
    tensors = load_file(GOLDEN / "encoder.3" / "sae.safetensors")
    save_file(tensors, folder / "sae.safetensors")
    return tensors


@pytest.mark.parametrize("case", ["encoder.3", "square", "expanded", "transcoder", "skip"])
def test_activations_and_reconstructions_are_those_of_sparsify(case):
    expected = load_file(GOLDEN / case / "expected.safetensors")
    dictionary = Dictionary.load(GOLDEN / case)
    assert_close(dictionary.encode(expected["x"]), expected["acts"], rtol=1e-6, atol=3e-6)
    assert_close(dictionary(expected["x"]), expected["estimate"], rtol=1e-6, atol=1e-5)


def test_the_name_of_the_hook_point_is_the_tap():
    assert Dictionary.load(GOLDEN / "encoder.3").provenance == Provenance(tap="encoder.3")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"skip_connection": True}, "gives back its own input"),
        ({"signed": True}, "trained with signed"),
        ({"activation": "groupmax"}, "'groupmax'; only 'topk'"),
        ({"k": None}, "lacks k"),
        ({"d_in": None}, "lacks d_in"),
        ({"num_latents": 0, "expansion_factor": None}, "lacks expansion_factor"),
        ({"num_latents": 0}, r"shape \(6, 4\), its settings want \(128, 4\)"),
    ],
    ids=str,
)
def test_what_is_open_or_unknown_is_refused(change, complaint, tmp_path):
    copied(tmp_path, **change)
    with pytest.raises(CheckpointError, match=complaint):
        load_sparsify(tmp_path)


def test_a_skip_connection_without_its_flag_is_refused(tmp_path):
    tensors = copied(tmp_path)
    save_file(tensors | {"W_skip": torch.eye(4)}, tmp_path / "sae.safetensors")
    with pytest.raises(CheckpointError, match=r"unexpected \['W_skip'\]"):
        load_sparsify(tmp_path)


def test_what_is_written_computes_the_same_by_the_formula_of_sparsify(tmp_path):
    dictionary = made(k=3).double()
    save_sparsify(dictionary, tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text())
    own = load_file(tmp_path / "sae.safetensors")
    pre = ((X.double() - own["b_dec"]) @ own["encoder.weight"].T + own["encoder.bias"]).relu()
    values, indices = pre.topk(cfg["k"])
    acts = torch.zeros_like(pre).scatter(1, indices, values)
    assert (cfg["d_in"], cfg["num_latents"], cfg["transcode"]) == (5, 7, False)
    assert_close(acts, dictionary.encode(X), rtol=0, atol=1e-9)
    assert_close(acts @ own["W_dec"] + own["b_dec"], dictionary(X), rtol=0, atol=1e-9)


def test_what_is_written_and_read_encodes_as_before_and_knows_its_origin(tmp_path):
    dictionary = made(k=3)
    dictionary.provenance = Provenance("encodec", "abc", "conv.0", "generators", 3)
    save_sparsify(dictionary, tmp_path)
    again = Dictionary.load(tmp_path)
    assert again.provenance == dictionary.provenance
    assert_close(again.encode(X), dictionary.encode(X), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("length", "unit"), [(1.0, True), (2.0, False)], ids=["unit atoms", "longer atoms"]
)
def test_sparsify_is_told_whether_atoms_have_unit_length(length, unit, tmp_path):
    dictionary = made(centre=False, scale=False)
    dictionary.linear.normalise_rows()
    dictionary.linear.decoder *= length
    save_sparsify(dictionary, tmp_path)
    assert json.loads((tmp_path / "cfg.json").read_text())["normalize_decoder"] is unit


@pytest.mark.parametrize(
    "section", [{"name": "relu"}, {"signed": True}, {"name": "batch-topk"}], ids=str
)
def test_another_rule_than_its_only_one_is_refused(section, tmp_path):
    with pytest.raises(StoreError, match="sparsify has no encoding rule"):
        save_sparsify(made(**section), tmp_path)


def test_a_damaged_note_of_ours_is_named(tmp_path):
    copied(tmp_path, auscult={"model": "m"})
    with pytest.raises(StoreError, match=r"the key auscult in .* is damaged"):
        load_sparsify(tmp_path)


def transcoder(**settings):
    made = DICTIONARIES.parse({"type": "transcoder", "n_features": 7, "k": 3, **settings}, "here")
    cls, params = made
    statistics = ArraySource(VALUES).statistics
    other = ArraySource(VALUES[:, ::-1] * 0.3 - 4.0).statistics
    dictionary = cls.build(params, 5, 0, statistics, other)
    torch.manual_seed(0)
    for parameter in dictionary.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return dictionary.requires_grad_(False)


@pytest.mark.parametrize("skip", [False, True])
def test_a_transcoder_survives_the_way_there_and_back(tmp_path, skip):
    mine = transcoder(skip=skip)
    mine.provenance = Provenance(tap="conv.0", target="act.0", context=1)
    save_sparsify(mine, tmp_path)
    came = load_sparsify(tmp_path)
    assert_close(came.encode(X), mine.encode(X), rtol=1e-4, atol=1e-4)
    assert_close(came(X), mine(X), rtol=1e-4, atol=1e-4)
    assert came.provenance == mine.provenance
    assert json.loads((tmp_path / "cfg.json").read_text())["transcode"] is True


@pytest.mark.parametrize("settings", [{"rule": "relu"}, {"d_out": 3}])
def test_a_transcoder_that_sparsify_cannot_say_is_refused(tmp_path, settings):
    section = {"type": "transcoder", "n_features": 7, "k": 3, **settings}
    cls, params = DICTIONARIES.parse(section, "here")
    mine = cls.build(params, 5, 0, ArraySource(VALUES).statistics)
    with pytest.raises(StoreError, match="its own have a top-k and as many outputs as inputs"):
        save_sparsify(mine, tmp_path)
