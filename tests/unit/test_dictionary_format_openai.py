"""Files of openai/sparse_autoencoder, made here; what they encode is computed by their formulas in numpy."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import CheckpointError
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.exchange import convert
from auscult.dictionaries.openai import layer_norm, load_openai

D_IN, N_FEATURES, K = 5, 8, 3
RNG = np.random.default_rng(0)
PRE_BIAS, LATENT_BIAS = RNG.standard_normal(D_IN), RNG.standard_normal(N_FEATURES)
ENCODER = RNG.standard_normal((N_FEATURES, D_IN))
DECODER = RNG.standard_normal((D_IN, N_FEATURES))
X = 2.0 + 3.0 * RNG.standard_normal((60, D_IN))


def written(path, activation="ReLU", **changes):
    """A file as the package's ``state_dict`` has it; None takes an entry out."""
    said = {
        "pre_bias": PRE_BIAS,
        "latent_bias": LATENT_BIAS,
        "encoder.weight": ENCODER,
        "decoder.weight": DECODER,
        "stats_last_nonzero": np.zeros(N_FEATURES, np.int64),
        "latents_activation_frequency": np.ones(N_FEATURES),
        "latents_mean_square": np.zeros(N_FEATURES),
    }
    state = {
        name: torch.tensor(array, dtype=torch.int64 if array.dtype == np.int64 else torch.float32)
        for name, array in said.items()
    }
    state |= {"activation": activation}
    if activation == "TopK":
        state |= {"activation_state_dict": {"k": K, "postact_fn": "ReLU"}}
    state |= changes
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    return path


def by_formula(u, k=None):
    """Activations and what is given back, of vectors as the autoencoder sees them."""
    acts = np.maximum((u - PRE_BIAS) @ ENCODER.T + LATENT_BIAS, 0.0)
    if k is not None:
        for row in acts:
            row[np.argsort(-row, kind="stable")[k:]] = 0.0
    return acts, acts @ DECODER.T + PRE_BIAS


def assert_near(found, expected):
    assert_close(found, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("activation", ["ReLU", None])
def test_a_relu_encodes_vectors_as_they_are(tmp_path, activation):
    dictionary = Dictionary.load(written(tmp_path / "6.pt", activation))
    acts, estimate = by_formula(X)
    assert (acts > 0).any()
    assert (acts == 0).any()
    assert_near(dictionary.encode(torch.from_numpy(X)), acts)
    assert_near(dictionary(torch.from_numpy(X)), estimate)


def test_a_top_k_encodes_vectors_that_are_normed_one_by_one(tmp_path):
    dictionary = load_openai(written(tmp_path / "6.pt", "TopK"), normed=True)
    mean, deviation = X.mean(1, keepdims=True), X.std(1, ddof=1, keepdims=True)
    acts, inside = by_formula((X - mean) / (deviation + 1e-5), K)
    seen = layer_norm(torch.from_numpy(X))
    assert ((acts > 0).sum(1) <= K).all()
    assert_near(dictionary.encode(seen.u), acts)
    estimate = dictionary(seen.u) * seen.deviation + seen.mean
    assert_near(estimate.float(), inside * deviation + mean)


def test_silence_is_normed_to_nothing():
    assert_close(layer_norm(torch.zeros(2, D_IN)).u, torch.zeros(2, D_IN))


def test_it_can_be_written_in_another_format(tmp_path):
    convert(written(tmp_path / "6.pt"), "saelens", tmp_path / "out")
    assert_near(Dictionary.load(tmp_path / "out")(torch.from_numpy(X)), by_formula(X)[1])


@pytest.mark.parametrize(
    ("activation", "normed", "changes", "complaint"),
    [
        ("TopK", False, {}, "layer-normalises every vector.*normed=True"),
        ("ReLU", True, {}, "is no TopK"),
        ("Identity", False, {}, "activation 'Identity'; ReLU and TopK are known"),
        ("ReLU", False, {"decoder.weight": None}, r"missing \['decoder.weight'\]"),
        ("ReLU", False, {"more": torch.zeros(1)}, r"unexpected \['more'\]"),
        ("TopK", True, {"activation_state_dict": {"k": K, "postact_fn": "Identity"}}, "rectify"),
        ("TopK", True, {"activation_state_dict": {"postact_fn": "ReLU"}}, "lacks k"),
        ("ReLU", False, {"pre_bias": torch.zeros(D_IN + 1)}, r"shape \(6,\).*\(5,\)"),
    ],
    ids=str,
)
def test_what_is_open_or_unknown_is_refused(tmp_path, activation, normed, changes, complaint):
    path = written(tmp_path / "6.pt", activation, **changes)
    with pytest.raises(CheckpointError, match=complaint):
        load_openai(path, normed=normed)


class Evil:
    """Would run when unpickled."""

    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_of_it_is_executed(tmp_path, capsys):
    path = written(tmp_path / "6.pt", pre_bias=Evil())
    with pytest.raises(CheckpointError, match="nothing else of it is executed"):
        Dictionary.load(path)
    assert "executed" not in capsys.readouterr().out
