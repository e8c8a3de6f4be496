"""Folders of dictionary_learning: golden ones of its own, and ours read by its formulas."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, StoreError, UnknownNameError
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.dictionary_learning import (
    load_dictionary_learning,
    save_dictionary_learning,
)
from auscult.dictionaries.provenance import Provenance
from auscult.store.source import ArraySource

GOLDEN = Path(__file__).parents[1] / "golden" / "dictionaries" / "dictionary_learning"
TYPES = {
    "autoencoder": "relu",
    "autoencodernew": "relu",
    "gated": "gated",
    "jumprelu": "jump-relu",
    "topk": "topk",
    "batchtopk": "batch-topk",
    "matryoshka": "matryoshka",
}
WRITTEN = {
    "relu": "AutoEncoderNew",
    "gated": "GatedAutoEncoder",
    "jump-relu": "JumpReluAutoEncoder",
    "topk": "AutoEncoderTopK",
    "batch-topk": "BatchTopKSAE",
    "matryoshka": "MatryoshkaBatchTopKSAE",
}
VALUES = (3.0 + 5.0 * np.random.default_rng(0).standard_normal((200, 5))).astype(np.float32)
X = torch.from_numpy(VALUES)


def made(name, **settings):
    """A dictionary with weights that are all different; it centres and scales unless told not to."""
    if "k" in DICTIONARIES.get(name).Params.model_fields:
        settings = {"k": 3, **settings}
    cls, params = DICTIONARIES.parse({"type": name, "n_features": 7, **settings}, "here")
    dictionary = cls.build(params, 5, 0, ArraySource(VALUES).statistics)
    torch.manual_seed(0)
    for parameter in dictionary.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    if hasattr(dictionary, "running"):
        dictionary.running.threshold.fill_(0.3)
    return dictionary.requires_grad_(False)


def copied(case, folder, tensors=(), **changes):
    """A golden folder with other tensors, and other settings of its trainer."""
    said = json.loads((GOLDEN / case / "config.json").read_text())
    said["trainer"] |= changes
    (folder / "config.json").write_text(json.dumps(said))
    state = load_file(GOLDEN / case / "ae.safetensors") | dict(tensors)
    save_file(state, folder / "ae.safetensors")
    return state


def encoded_by_the_package(folder, x):
    """The package's formulas in float64: what is subtracted, what is a threshold, what is on."""
    name = json.loads((folder / "config.json").read_text())["trainer"]["dict_class"]
    own = {key: tensor.double() for key, tensor in load_file(folder / "ae.safetensors").items()}
    W_enc = own["W_enc"] if "W_enc" in own else own["encoder.weight"].T
    W_dec = own["W_dec"] if "W_dec" in own else own["decoder.weight"].T
    x = x.double()
    if name == "GatedAutoEncoder":
        products = (x - own["decoder_bias"]) @ W_enc
        strengths = (own["r_mag"].exp() * products + own["mag_bias"]).relu()
        acts = strengths * (products + own["gate_bias"] > 0)
        return acts, acts @ W_dec + own["decoder_bias"]
    if name == "AutoEncoderNew":
        acts = (x @ W_enc + own["encoder.bias"]).relu()
        return acts, acts @ W_dec + own["decoder.bias"]
    if name == "JumpReluAutoEncoder":
        pre = x @ W_enc + own["b_enc"]
        acts = (pre * (pre > own["threshold"])).relu()
        return acts, acts @ W_dec + own["b_dec"]
    bias = own["b_enc"] if "b_enc" in own else own["encoder.bias"]
    acts = ((x - own["b_dec"]) @ W_enc + bias).relu()
    if name == "AutoEncoderTopK":
        values, indices = acts.topk(int(own["k"]))
        acts = torch.zeros_like(acts).scatter(1, indices, values)
    else:
        acts = acts * (acts > own["threshold"])
    return acts, acts @ W_dec + own["b_dec"]


class TestReading:
    @pytest.mark.parametrize("case", TYPES)
    def test_activations_and_reconstructions_are_those_of_the_package(self, case):
        expected = load_file(GOLDEN / case / "expected.safetensors")
        dictionary = Dictionary.load(GOLDEN / case)
        assert dictionary.registered_name == TYPES[case]
        assert_close(dictionary.encode(expected["x"]), expected["acts"], rtol=1e-6, atol=3e-6)
        assert_close(dictionary(expected["x"]), expected["estimate"], rtol=1e-6, atol=1e-5)

    def test_model_and_tap_are_kept(self):
        provenance = Dictionary.load(GOLDEN / "topk").provenance
        assert provenance == Provenance(model="some/model", tap="encoder.3")

    def test_group_sizes_become_prefixes(self):
        params = Dictionary.load(GOLDEN / "matryoshka").params
        assert (params.k, params.sizes) == (2, [2, 6])

    def test_a_pickle_is_refused_unopened_with_the_line_that_turns_it(self, tmp_path):
        copied("topk", tmp_path)
        (tmp_path / "ae.safetensors").rename(tmp_path / "ae.pt")
        with pytest.raises(CheckpointError, match=r"could execute code; .*weights_only=True"):
            Dictionary.load(tmp_path)

    def test_a_pickle_beside_safetensors_is_passed_over(self, tmp_path):
        copied("topk", tmp_path)
        (tmp_path / "ae.pt").write_bytes(b"anything")
        assert Dictionary.load(tmp_path).registered_name == "topk"

    @pytest.mark.parametrize("case", ["batchtopk", "matryoshka"])
    def test_a_threshold_that_was_never_set_is_refused(self, case, tmp_path):
        copied(case, tmp_path, {"threshold": torch.tensor(-1.0)})
        with pytest.raises(CheckpointError, match=r"never set \(-1\.0\)"):
            load_dictionary_learning(tmp_path)

    def test_a_top_k_needs_no_threshold(self, tmp_path):
        copied("topk", tmp_path, {"threshold": torch.tensor(-1.0)})
        assert load_dictionary_learning(tmp_path).params.k == 2

    def test_atoms_of_unit_length_are_left_as_they_are(self, tmp_path):
        state = load_file(GOLDEN / "autoencoder" / "ae.safetensors")
        decoder = state["decoder.weight"] / state["decoder.weight"].norm(dim=0)
        copied("autoencoder", tmp_path, {"decoder.weight": decoder})
        read = load_dictionary_learning(tmp_path).linear
        assert_close(read.decoder.data, decoder.T, rtol=0, atol=0)

    def test_two_answers_about_k_are_refused(self, tmp_path):
        copied("topk", tmp_path, k=3)
        with pytest.raises(CheckpointError, match="says k = 3, but the weights say 2"):
            load_dictionary_learning(tmp_path)

    def test_an_unknown_class_is_answered_with_the_nearest(self, tmp_path):
        copied("topk", tmp_path, dict_class="AutoEncoderTopk")
        with pytest.raises(UnknownNameError, match="did you mean 'AutoEncoderTopK'"):
            load_dictionary_learning(tmp_path)

    def test_tensors_of_another_class_are_listed(self, tmp_path):
        copied("autoencoder", tmp_path, dict_class="AutoEncoderNew")
        with pytest.raises(CheckpointError, match=r"missing \['decoder.bias'\].*\['bias'\]"):
            load_dictionary_learning(tmp_path)

    def test_settings_without_a_trainer_are_refused(self, tmp_path):
        copied("topk", tmp_path)
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(CheckpointError, match="lacks trainer"):
            load_dictionary_learning(tmp_path)


class TestWriting:
    @pytest.mark.parametrize("name", WRITTEN)
    def test_the_formulas_of_the_package_give_what_we_encode(self, name, tmp_path):
        dictionary = made(name).double()
        save_dictionary_learning(dictionary, tmp_path)
        trainer = json.loads((tmp_path / "config.json").read_text())["trainer"]
        acts, estimate = encoded_by_the_package(tmp_path, X)
        assert trainer["dict_class"] == WRITTEN[name]
        # The scalar threshold is float32 in the file.
        assert_close(acts, dictionary.encode(X), rtol=0, atol=1e-9)
        assert_close(estimate, dictionary(X), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("name", WRITTEN)
    def test_what_is_written_and_read_is_the_same_type_and_encodes_as_before(self, name, tmp_path):
        dictionary = made(name)
        dictionary.provenance = Provenance("encodec", "abc", "conv.0", "generators", 3)
        save_dictionary_learning(dictionary, tmp_path)
        again = Dictionary.load(tmp_path)
        assert again.registered_name == name
        assert again.provenance == dictionary.provenance
        assert_close(again.encode(X), dictionary.encode(X), rtol=0, atol=1e-4)

    def test_unit_atoms_are_written_as_the_class_that_subtracts_the_bias(self, tmp_path):
        dictionary = made("relu", centre=False, scale=False)
        dictionary.linear.normalise_rows()
        save_dictionary_learning(dictionary, tmp_path)
        trainer = json.loads((tmp_path / "config.json").read_text())["trainer"]
        bias = load_file(tmp_path / "ae.safetensors")["bias"]
        assert trainer["dict_class"] == "AutoEncoder"
        assert_close(bias, dictionary.linear.decoder_bias, rtol=0, atol=0)
        assert_close(Dictionary.load(tmp_path).encode(X), dictionary.encode(X), rtol=0, atol=1e-5)

    def test_what_other_readers_ask_for_is_there(self, tmp_path):
        dictionary = made("matryoshka", k=3)
        dictionary.provenance = Provenance("encodec", "abc", "conv.0")
        save_dictionary_learning(dictionary, tmp_path)
        said = json.loads((tmp_path / "config.json").read_text())
        asked = {
            "k": 3,
            "lm_name": "encodec",
            "submodule_name": "conv.0",
            "group_sizes": [1, 1, 2, 3],
        }
        assert asked.items() <= said["trainer"].items()
        assert said["buffer"] == {"ctx_len": 1, "d_submodule": 5}
        assert load_file(tmp_path / "ae.safetensors")["group_sizes"].tolist() == [1, 1, 2, 3]

    def test_nothing_pickled_is_written(self, tmp_path):
        save_dictionary_learning(made("topk"), tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ae.safetensors", "config.json"]

    def test_signed_activations_are_refused(self, tmp_path):
        with pytest.raises(StoreError, match="dictionary_learning has no encoding rule"):
            save_dictionary_learning(made("topk", signed=True), tmp_path)
