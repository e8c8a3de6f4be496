"""SAELens folders: golden ones of SAELens itself, and ours read by its documented formulas."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, ConfigError, StoreError
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.saelens import load_saelens, save_saelens
from auscult.store.source import ArraySource

GOLDEN = Path(__file__).parents[1] / "golden" / "dictionaries" / "saelens"
TYPES = {
    "standard": "relu",
    "standard-plain-input": "relu",
    "topk": "topk",
    "topk-rescaled": "topk",
    "abstopk": "topk",
    "jumprelu": "jump-relu",
    "jumprelu-plain-input": "jump-relu",
    "gated": "gated",
    "gated-plain-input": "gated",
    "batchtopk": "jump-relu",
    "matryoshkabatchtopk": "jump-relu",
    "transcoder": "transcoder",
    "skip": "transcoder",
    "pursuit": "matching-pursuit",
    "pursuit-that-stops": "matching-pursuit",
    "pursuit-plain-input": "matching-pursuit",
}
WRITTEN = ("relu", "topk", "jump-relu", "gated", "batch-topk", "matryoshka")
VALUES = (3.0 + 5.0 * np.random.default_rng(0).standard_normal((200, 5))).astype(np.float32)
X = torch.from_numpy(VALUES)


def made(name, **settings):
    """A dictionary that centres and scales, with weights that are all different."""
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


def copied(case, folder, **changes):
    """A golden folder with other settings; None takes one out."""
    said = json.loads((GOLDEN / case / "cfg.json").read_text()) | changes
    folder.mkdir(exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps({k: v for k, v in said.items() if v is not None}))
    tensors = load_file(GOLDEN / case / "sae_weights.safetensors")
    save_file(tensors, folder / "sae_weights.safetensors")
    return tensors


class TestReading:
    @pytest.mark.parametrize("case", TYPES)
    def test_activations_and_reconstructions_are_those_of_saelens(self, case):
        expected = load_file(GOLDEN / case / "expected.safetensors")
        dictionary = Dictionary.load(GOLDEN / case)
        assert dictionary.registered_name == TYPES[case]
        assert_close(dictionary.encode(expected["x"]), expected["acts"], rtol=1e-6, atol=3e-6)
        assert_close(dictionary(expected["x"]), expected["estimate"], rtol=1e-6, atol=1e-5)

    @pytest.mark.parametrize("case", TYPES)
    def test_golden_vectors_turn_features_on_and_leave_others_off(self, case):
        on = load_file(GOLDEN / case / "expected.safetensors")["acts"] != 0
        assert on.any()
        assert not on.all()

    def test_what_was_read_is_saved_and_loaded_bit_for_bit(self, tmp_path):
        read = Dictionary.load(GOLDEN / "jumprelu")
        read.save(tmp_path)
        assert_close(
            Dictionary.load(tmp_path).encode(X[:, :4]), read.encode(X[:, :4]), rtol=0, atol=0
        )

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_read_as_the_float32_that_it_is(self, dtype, tmp_path):
        tensors = copied("standard", tmp_path)
        halves = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        save_file(halves, tmp_path / "sae_weights.safetensors")
        decoder = load_saelens(tmp_path).linear.decoder
        assert_close(decoder.data, halves["W_dec"].float(), rtol=0, atol=0)

    def test_double_precision_stays_double(self, tmp_path):
        tensors = copied("gated", tmp_path)
        doubles = {name: tensor.double() + 1e-12 for name, tensor in tensors.items()}
        save_file(doubles, tmp_path / "sae_weights.safetensors")
        decoder = load_saelens(tmp_path).linear.decoder
        assert_close(decoder.data, doubles["W_dec"], rtol=0, atol=0)

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"metadata": {}}, "no sae_lens_version"),
            ({"metadata": None}, "no sae_lens_version"),
            ({"metadata": {"sae_lens_version": "5.10.1"}}, "no sae_lens_version of at least 6"),
            ({"architecture": "batchtopk"}, "save_inference_model"),
            ({"k": None}, "lacks k"),
            ({"k": 0}, "whole number above 0 as k, not 0"),
            ({"k": True}, "whole number above 0 as k, not True"),
            ({"k": "2"}, "whole number above 0 as k, not '2'"),
            ({"d_sae": -6}, "whole number above 0 as d_sae"),
            ({"normalize_activations": "expected_average_only_in"}, "normalises"),
        ],
        ids=str,
    )
    def test_what_is_open_or_older_is_refused(self, change, complaint, tmp_path):
        copied("topk", tmp_path, **change)
        with pytest.raises(CheckpointError, match=complaint):
            load_saelens(tmp_path)

    def test_a_k_above_the_number_of_features_is_one_sentence(self, tmp_path):
        copied("topk", tmp_path, k=7)
        with pytest.raises(ConfigError, match="k = 7 is more than n_features = 6"):
            load_saelens(tmp_path)

    @pytest.mark.parametrize("case", ["standard", "standard-plain-input"])
    def test_weights_that_lie_transposed_are_refused(self, case, tmp_path):
        tensors = copied(case, tmp_path)
        tensors["W_enc"] = tensors["W_enc"].T.contiguous()
        save_file(tensors, tmp_path / "sae_weights.safetensors")
        with pytest.raises(CheckpointError, match=r"\(4, 6\).*\(6, 4\)"):
            load_saelens(tmp_path)

    def test_tensors_of_three_axes_are_refused(self, tmp_path):
        tensors = copied("standard", tmp_path)
        tensors["W_enc"] = tensors["W_enc"][None]
        save_file(tensors, tmp_path / "sae_weights.safetensors")
        with pytest.raises(CheckpointError, match="more than two axes"):
            load_saelens(tmp_path)

    def test_settings_that_are_no_object_are_damage(self, tmp_path):
        copied("topk", tmp_path)
        (tmp_path / "cfg.json").write_text("[]")
        with pytest.raises(StoreError, match="must hold an object"):
            load_saelens(tmp_path)


class TestWriting:
    @pytest.mark.parametrize("name", WRITTEN)
    def test_what_is_written_and_read_encodes_as_before(self, name, tmp_path):
        dictionary = made(name)
        save_saelens(dictionary, tmp_path)
        again = Dictionary.load(tmp_path)
        assert_close(again.encode(X), dictionary.encode(X), rtol=0, atol=1e-4)
        assert_close(again(X), dictionary(X), rtol=0, atol=1e-4)

    @pytest.mark.parametrize("name", ["batch-topk", "matryoshka"])
    def test_one_threshold_is_written_for_every_feature(self, name, tmp_path):
        save_saelens(made(name), tmp_path)
        threshold = load_file(tmp_path / "sae_weights.safetensors")["threshold"]
        assert_close(threshold, torch.full((7,), 0.3), rtol=0, atol=0)

    def test_only_the_files_of_saelens_are_written(self, tmp_path):
        save_saelens(made("topk"), tmp_path)
        written = sorted(path.name for path in tmp_path.iterdir())
        assert written == ["cfg.json", "sae_weights.safetensors"]
        assert "auscult" not in json.loads((tmp_path / "cfg.json").read_text())["metadata"]

    def test_what_saelens_has_no_rule_for_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match="SAELens has no encoding rule like that of this rms"):
            save_saelens(made("rms-norm"), tmp_path)
        assert not list(tmp_path.iterdir())

    def test_a_dictionary_that_was_not_fitted_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match="must be fitted"):
            save_saelens(made("pca", n_features=5), tmp_path)


class TestWhereItCameFrom:
    PROVENANCE = Provenance(
        "encodec",
        "abc",
        "conv.0",
        "generators",
        3,
        TimeBase(24_000, Fraction(320), Fraction(-7, 2), Fraction(641), unbounded_past=True),
    )

    def test_it_survives_without_any_file_of_ours(self, tmp_path):
        dictionary = made("topk")
        dictionary.provenance = self.PROVENANCE
        save_saelens(dictionary, tmp_path)
        assert Dictionary.load(tmp_path).provenance == self.PROVENANCE

    def test_a_time_base_that_is_told_in_part_is_left_out(self, tmp_path):
        audio = {"sample_rate": 24_000, "frame_rate": 75.0}
        copied("topk", tmp_path, metadata={"sae_lens_version": "6.0.0", "audio": audio})
        assert load_saelens(tmp_path).provenance == Provenance()

    def test_a_damaged_time_base_is_refused(self, tmp_path):
        audio = {"sample_rate": 24_000, "global": False}
        copied("topk", tmp_path, metadata={"sae_lens_version": "6.0.0", "audio": audio})
        with pytest.raises(CheckpointError, match=r"metadata\.audio .* is damaged"):
            load_saelens(tmp_path)


class TestPursuits:
    @staticmethod
    def by_hand(x, atoms, bias, k, stop_below, stop_on_repeat):
        """Matching pursuit vector by vector, in Python's own numbers."""
        acts = np.zeros((len(x), len(atoms)))
        for vector, row in zip(x.double().numpy() - bias, acts, strict=True):
            left = vector
            for _ in range(k):
                on = set(np.flatnonzero(row))
                products = np.maximum(atoms @ left, 0.0)
                pick = int(products.argmax())
                row[pick] += products[pick]
                left = left - products[pick] * atoms[pick]
                if stop_on_repeat and on == set(np.flatnonzero(row)):
                    break
                if np.linalg.norm(left) < stop_below:
                    break
        return acts

    @pytest.mark.parametrize("stop_below", [0.0, 4.0])
    @pytest.mark.parametrize("stop_on_repeat", [False, True])
    def test_each_vector_stops_for_itself(self, tmp_path, stop_below, stop_on_repeat):
        stops = {"k": 9, "stop_below": stop_below, "stop_on_repeat": stop_on_repeat}
        mine = made("matching-pursuit", scale=False, **stops)
        mine.after_step()
        save_saelens(mine, tmp_path)
        weights = load_file(tmp_path / "sae_weights.safetensors")
        atoms, bias = (weights[name].double().numpy() for name in ("W_dec", "b_dec"))
        expected = self.by_hand(X, atoms, bias, **stops)
        assert_close(mine.encode(X).double().numpy(), expected, rtol=0, atol=1e-3)
        n_stopped = (expected != self.by_hand(X, atoms, bias, 9, 0.0, False)).any(1).sum()
        assert (n_stopped > 0) == (stop_below > 0 or stop_on_repeat)
        assert_close(load_saelens(tmp_path).encode(X), mine.encode(X), rtol=0, atol=1e-4)

    def test_as_many_picks_as_dimensions_where_no_number_is_told(self):
        params = Dictionary.load(GOLDEN / "pursuit-that-stops").params
        assert (params.k, params.stop_below, params.stop_on_repeat) == (4, 0.5, True)

    def test_a_scale_has_no_place_there(self, tmp_path):
        with pytest.raises(StoreError, match="train it with scale = false"):
            save_saelens(made("matching-pursuit"), tmp_path)

    def test_when_it_stops_is_never_guessed(self, tmp_path):
        copied("pursuit", tmp_path, residual_threshold=None)
        with pytest.raises(CheckpointError, match="lacks residual_threshold"):
            load_saelens(tmp_path)


class TestTranscoders:
    @staticmethod
    def made(**settings):
        section = {"type": "transcoder", "rule": "relu", "n_features": 7, "d_out": 3, **settings}
        cls, params = DICTIONARIES.parse(section, "here")
        rng = np.random.default_rng(0)
        x = ArraySource((3.0 + 5.0 * rng.standard_normal((200, 4))).astype(np.float32))
        y = ArraySource((0.3 * rng.standard_normal((200, 3)) - 4.0).astype(np.float32))
        dictionary = cls.build(params, 4, 0, x.statistics, y.statistics)
        torch.manual_seed(0)
        for parameter in dictionary.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        return dictionary.requires_grad_(False), torch.from_numpy(x.rows(np.arange(50)))

    @pytest.mark.parametrize("skip", [False, True])
    def test_the_tensors_do_on_raw_vectors_what_saelens_computes(self, tmp_path, skip):
        mine, x = self.made(skip=skip)
        mine.save(tmp_path)
        cfg = json.loads((tmp_path / "cfg.json").read_text())
        assert cfg["architecture"] == ("skip_transcoder" if skip else "transcoder")
        assert cfg["apply_b_dec_to_input"] is False
        assert cfg["d_out"] == 3
        w = load_file(tmp_path / "sae_weights.safetensors")
        acts = (x @ w["W_enc"] + w["b_enc"]).relu()
        y = acts @ w["W_dec"] + w["b_dec"] + (x @ w["W_skip"].T if skip else 0.0)
        torch.testing.assert_close(acts, mine.encode(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(y, mine(x), rtol=1e-4, atol=1e-4)
        assert (acts > 0).any()

    @pytest.mark.parametrize("skip", [False, True])
    def test_a_transcoder_survives_the_way_there_and_back(self, tmp_path, skip):
        mine, x = self.made(skip=skip)
        save_saelens(mine, tmp_path)
        came = load_saelens(tmp_path)
        torch.testing.assert_close(came(x), mine(x), rtol=1e-4, atol=1e-4)
        assert came.d_out == 3

    def test_a_bias_of_the_output_is_never_taken_from_the_input(self, tmp_path):
        mine, _ = self.made()
        save_saelens(mine, tmp_path)
        cfg = json.loads((tmp_path / "cfg.json").read_text())
        (tmp_path / "cfg.json").write_text(json.dumps(cfg | {"apply_b_dec_to_input": True}))
        with pytest.raises(CheckpointError, match="set apply_b_dec_to_input to false"):
            load_saelens(tmp_path)

    def test_a_number_of_features_has_no_place_there(self, tmp_path):
        mine, _ = self.made(rule="topk", k=2)
        with pytest.raises(StoreError, match="SAELens has no encoding rule"):
            save_saelens(mine, tmp_path)
