import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, StoreError, UnknownNameError
from auscult.core.tensors import read_arrays, write_arrays
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.provenance import Provenance
from auscult.store.source import ArraySource

VALUES = (3.0 + 5.0 * np.random.default_rng(0).standard_normal((200, 6))).astype(np.float32)
SOURCE = ArraySource(VALUES)
X = torch.from_numpy(VALUES)

SHARED = {
    "relu": {"type": "relu", "n_features": 9},
    "topk": {"type": "topk", "n_features": 9, "k": 3},
    "topk signed": {"type": "topk", "n_features": 9, "k": 3, "signed": True},
    "pca": {"type": "pca", "n_features": 6},
    "pca of two": {"type": "pca", "n_features": 6, "k": 2},
    "kmeans": {"type": "kmeans", "n_features": 9},
    "random": {"type": "random", "n_features": 9, "k": 1},
}
OWN = {
    "random": {"type": "random", "n_features": 9, "k": 3},
    "codebook": {"type": "codebook", "n_features": 9},
}


def made(section):
    """A dictionary with weights that are all different."""
    cls, params = DICTIONARIES.parse(section, "here")
    dictionary = cls.build(params, 6, 0, SOURCE.statistics)
    if not dictionary.trainable:
        dictionary.fit_from(SOURCE, np.random.default_rng(0))
    torch.manual_seed(0)
    for parameter in dictionary.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return dictionary.requires_grad_(False)


def encoded_by_saelens(folder, x):
    """What SAELens 6 computes from its two files, by its documented formulas, in float64."""
    cfg = json.loads((folder / "cfg.json").read_text())
    tensors = {
        k: torch.from_numpy(v).double()
        for k, v in read_arrays(folder / "sae_weights.safetensors").items()
    }
    pre = (x.double() - tensors["b_dec"]) @ tensors["W_enc"] + tensors["b_enc"]
    if cfg["architecture"] == "standard":
        acts = pre.relu()
    else:
        signed = cfg["architecture"] == "abstopk"
        ranked = pre.abs() if signed else pre
        chosen = ranked.topk(cfg["k"], dim=1).indices
        values = pre.gather(1, chosen)
        acts = torch.zeros_like(pre).scatter(1, chosen, values if signed else values.relu())
    return acts, acts @ tensors["W_dec"] + tensors["b_dec"]


class TestSharedFolder:
    @pytest.mark.parametrize("name", SHARED)
    def test_saelens_encodes_and_decodes_raw_vectors_as_we_do(self, name, tmp_path):
        dictionary = made(SHARED[name]).double()
        dictionary.save(tmp_path)
        acts, estimate = encoded_by_saelens(tmp_path, X)
        assert_close(acts, dictionary.encode(X), rtol=0, atol=1e-9)
        assert_close(estimate, dictionary(X), rtol=0, atol=1e-9)

    def test_settings_are_those_saelens_asks_for(self, tmp_path):
        made(SHARED["topk"]).save(tmp_path)
        cfg = json.loads((tmp_path / "cfg.json").read_text())
        asked = {
            "architecture": "topk",
            "d_in": 6,
            "d_sae": 9,
            "dtype": "float32",
            "k": 3,
            "apply_b_dec_to_input": True,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "rescale_acts_by_decoder_norm": False,
        }
        assert asked.items() <= cfg.items()
        assert int(cfg["metadata"]["sae_lens_version"].split(".")[0]) >= 6

    def test_the_time_base_travels_in_the_metadata(self, tmp_path):
        dictionary = made(SHARED["relu"])
        time = TimeBase(24_000, hop=Fraction(320), offset=Fraction(-7, 2), span=Fraction(641))
        dictionary.provenance = Provenance("encodec", "abc", "conv.0", "generators", 3, time)
        dictionary.save(tmp_path)
        metadata = json.loads((tmp_path / "cfg.json").read_text())["metadata"]
        assert metadata["model_name"] == "encodec"
        assert metadata["hook_name"] == "conv.0"
        assert metadata["audio"] == {
            "model": "encodec",
            "weights": "abc",
            "tap": "conv.0",
            "of": "generators",
            "lag": 3,
            "target": "",
            "context": 0,
            "sample_rate": 24_000,
            "frame_rate": 75.0,
            "hop": "320",
            "offset": "-7/2",
            "span": "641",
            "unbounded_past": False,
            "global": False,
        }
        assert Dictionary.load(tmp_path).provenance == dictionary.provenance

    @pytest.mark.parametrize("name", OWN)
    def test_what_saelens_has_no_rule_for_it_cannot_misread(self, name, tmp_path):
        made(OWN[name]).save(tmp_path)
        cfg = json.loads((tmp_path / "cfg.json").read_text())
        assert cfg["architecture"] == f"auscult-{name}"
        assert cfg["metadata"]["auscult"] == {"type": name, "exact": False, "file": "auscult.json"}
        assert not (tmp_path / "sae_weights.safetensors").exists()

    def test_the_same_dictionary_is_saved_as_the_same_bytes(self, tmp_path):
        made(SHARED["topk"]).save(tmp_path / "1")
        made(SHARED["topk"]).save(tmp_path / "2")
        for path in (tmp_path / "1").iterdir():
            assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()


class TestForeignFolder:
    """Folders as SAELens leaves them."""

    def foreign(self, folder, section, **cfg):
        made(section).save(folder)
        (folder / "auscult.json").unlink()
        path = folder / "cfg.json"
        said = json.loads(path.read_text()) | cfg
        path.write_text(json.dumps({k: v for k, v in said.items() if v is not None}))

    @pytest.mark.parametrize("name", SHARED)
    def test_it_encodes_as_saelens_does(self, name, tmp_path):
        self.foreign(tmp_path, SHARED[name])
        dictionary = Dictionary.load(tmp_path)
        acts, estimate = encoded_by_saelens(tmp_path, X)
        assert_close(dictionary.encode(X).double(), acts, rtol=0, atol=1e-4)
        assert_close(dictionary(X).double(), estimate, rtol=0, atol=1e-4)

    def test_an_input_bias_that_is_not_applied_is_not_applied(self, tmp_path):
        self.foreign(tmp_path, SHARED["relu"], apply_b_dec_to_input=False)
        tensors = read_arrays(tmp_path / "sae_weights.safetensors")
        acts = np.maximum(VALUES @ tensors["W_enc"] + tensors["b_enc"], 0)
        assert_close(Dictionary.load(tmp_path).encode(X).numpy(), acts, rtol=0, atol=1e-4)

    def test_its_name_and_tap_are_kept(self, tmp_path):
        metadata = {"sae_lens_version": "6.1.0", "model_name": "m", "hook_name": "encoder.0"}
        self.foreign(tmp_path, SHARED["relu"], metadata=metadata)
        assert Dictionary.load(tmp_path).provenance == Provenance(model="m", tap="encoder.0")

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"apply_b_dec_to_input": None}, "lacks apply_b_dec_to_input"),
            ({"k": None}, "lacks k"),
            ({"normalize_activations": "layer_norm"}, "normalises or reshapes"),
            ({"reshape_activations": "hook_z"}, "normalises or reshapes"),
            ({"architecture": "temporal"}, "'temporal'; there are 'standard'"),
            ({"architecture": "jumprelu"}, "missing \\['threshold'\\]"),
        ],
        ids=str,
    )
    def test_what_is_left_open_or_unknown_is_refused(self, change, complaint, tmp_path):
        self.foreign(tmp_path, SHARED["topk"], **change)
        with pytest.raises(CheckpointError, match=complaint):
            Dictionary.load(tmp_path)

    def test_tensors_of_another_architecture_are_listed(self, tmp_path):
        self.foreign(tmp_path, SHARED["relu"])
        path = tmp_path / "sae_weights.safetensors"
        arrays = read_arrays(path)
        arrays["threshold"] = arrays.pop("b_enc")
        write_arrays(path, arrays)
        with pytest.raises(CheckpointError, match=r"missing \['b_enc'\].*\['threshold'\]"):
            Dictionary.load(tmp_path)


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path):
        made(SHARED["relu"]).save(tmp_path)
        return tmp_path

    def change(self, folder, **changes):
        path = folder / "auscult.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def test_an_unknown_type_is_answered_with_the_nearest(self, folder):
        self.change(folder, type="rellu")
        with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
            Dictionary.load(folder)

    def test_another_format_is_refused(self, folder):
        self.change(folder, format=1)
        with pytest.raises(CheckpointError, match="format 1"):
            Dictionary.load(folder)

    def test_missing_settings_are_damage(self, folder):
        (folder / "auscult.json").write_text('{"format": 2}')
        with pytest.raises(StoreError, match="'type' is missing"):
            Dictionary.load(folder)

    def test_missing_and_unexpected_tensors_are_listed(self, folder):
        path = folder / "weights.safetensors"
        arrays = read_arrays(path)
        arrays["surprise"] = arrays.pop("linear.encoder")
        write_arrays(path, arrays)
        with pytest.raises(
            CheckpointError, match=r"\['linear.encoder'\], unexpected \['surprise'\]"
        ):
            Dictionary.load(folder)

    def test_another_shape_is_named(self, folder):
        self.change(folder, d_in=7)
        with pytest.raises(CheckpointError, match=r"\(6,\).*\(7,\)"):
            Dictionary.load(folder)

    def test_a_dictionary_that_was_not_fitted_is_not_saved(self, tmp_path):
        cls, params = DICTIONARIES.parse(SHARED["pca"], "here")
        with pytest.raises(StoreError, match="must be fitted"):
            cls.build(params, 6, 0, SOURCE.statistics).save(tmp_path)
