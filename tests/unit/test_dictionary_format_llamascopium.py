"""Folders of Llamascopium 2, made here; what they encode is computed by its formulas in numpy."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from auscult.core.errors import CheckpointError
from auscult.dictionaries.base import Dictionary

D_IN, N_FEATURES, K = 5, 8, 3
HOOK, MEAN_LENGTH = "blocks.3.hook_resid_post", 7.0
RNG = np.random.default_rng(0)
W = {
    "W_E": RNG.standard_normal((D_IN, N_FEATURES)),
    "b_E": RNG.standard_normal(N_FEATURES),
    "W_D": RNG.standard_normal((N_FEATURES, D_IN)),
    "b_D": RNG.standard_normal(D_IN),
}
LOG_THRESHOLD = 0.3 * RNG.standard_normal(N_FEATURES)
X = 2.0 + 3.0 * RNG.standard_normal((80, D_IN))
CONFIG = {
    "sae_type": "sae",
    "d_model": D_IN,
    "expansion_factor": N_FEATURES / D_IN,
    "hook_point_in": HOOK,
    "hook_point_out": HOOK,
    "use_glu_encoder": False,
    "use_decoder_bias": True,
    "act_fn": "relu",
    "norm_activation": "dataset-wise",
    "sparsity_include_decoder_norm": True,
    "top_k": K,
}


def written(folder, tensors=None, **changes):
    """A folder; None takes a setting out."""
    cfg = {key: value for key, value in (CONFIG | changes).items() if value is not None}
    arrays = dict(W) | {f"dataset_average_activation_norm.{HOOK}": np.asarray(MEAN_LENGTH)}
    if cfg.get("act_fn") == "jumprelu":
        arrays["activation_function.log_jumprelu_threshold"] = LOG_THRESHOLD
    if not cfg.get("use_decoder_bias"):
        del arrays["b_D"]
    arrays |= tensors or {}
    held = {
        name: torch.tensor(array, dtype=torch.float32)
        for name, array in arrays.items()
        if array is not None
    }
    (folder / "config.json").write_text(json.dumps(cfg))
    save_file(held, folder / "sae_weights.safetensors")
    return folder


def by_formula(act_fn, norm, with_lengths, bias=True):
    """Its class: normalise, encode, decode, undo; and the lengths of the decoder's rows."""
    s = D_IN**0.5 / MEAN_LENGTH if norm == "dataset-wise" else 1.0
    lengths = np.linalg.norm(W["W_D"], axis=1)
    gating = lengths if with_lengths else np.ones(N_FEATURES)
    pre = (s * X) @ W["W_E"] + W["b_E"]
    scored = np.maximum(pre * gating, 0.0)
    if act_fn == "jumprelu":
        scored *= scored > np.exp(LOG_THRESHOLD)
    if act_fn == "topk":
        for row in scored:
            row[np.argsort(-row, kind="stable")[K:]] = 0.0
    acts = scored / gating
    return acts, (acts @ W["W_D"] + (W["b_D"] if bias else 0.0)) / s, gating


@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("norm", ["dataset-wise", "inference"])
@pytest.mark.parametrize(
    ("act_fn", "name"), [("relu", "relu"), ("jumprelu", "jump-relu"), ("topk", "topk")]
)
def test_it_encodes_as_its_class_does(tmp_path, act_fn, name, norm, with_lengths):
    said = {"act_fn": act_fn, "norm_activation": norm}
    folder = written(tmp_path, **said, sparsity_include_decoder_norm=with_lengths)
    dictionary = Dictionary.load(folder)
    acts, estimate, gating = by_formula(act_fn, norm, with_lengths)
    assert 0 < (acts > 0).mean() < 1
    longer = gating if act_fn == "topk" else 1.0
    found = dictionary.encode(torch.from_numpy(X))
    assert_close(found, torch.from_numpy(acts * longer).float(), rtol=1e-5, atol=1e-4)
    assert_close(
        dictionary(torch.from_numpy(X)), torch.from_numpy(estimate).float(), rtol=1e-5, atol=1e-4
    )
    assert dictionary.registered_name == name
    assert dictionary.provenance.tap == HOOK


def test_a_bias_that_it_has_not_is_zero(tmp_path):
    dictionary = Dictionary.load(written(tmp_path, use_decoder_bias=False))
    _, estimate, _ = by_formula("relu", "dataset-wise", True, bias=False)
    assert_close(
        dictionary(torch.from_numpy(X)), torch.from_numpy(estimate).float(), rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"act_fn": "batchtopk"}, "act_fn = 'batchtopk'; known here is 'relu', 'jumprelu', 'topk'"),
        ({"norm_activation": "token-wise"}, "norm_activation = 'token-wise'"),
        ({"use_glu_encoder": True}, "use_glu_encoder = True"),
        ({"sae_type": "crosscoder"}, "sae_type = 'crosscoder'"),
        ({"hook_point_out": "elsewhere"}, "it is a transcoder"),
        ({"sparsity_include_decoder_norm": None}, "lacks sparsity_include_decoder_norm"),
        ({"d_model": 6}, "d_model = 6, its weights 5"),
        ({"tensors": {f"dataset_average_activation_norm.{HOOK}": None}}, "fold_activation_scale"),
        ({"tensors": {"encoder.weight": np.zeros(2)}}, r"unexpected \['encoder.weight'\]"),
    ],
    ids=str,
)
def test_what_is_open_or_unknown_is_refused(tmp_path, changes, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        Dictionary.load(written(tmp_path, **changes))
