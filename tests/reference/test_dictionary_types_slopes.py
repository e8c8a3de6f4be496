"""Pseudo-derivatives, fast ways and shared files against finite differences and slow twins."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.testing import assert_close

from auscult.core.tensors import read_arrays
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.selection import RunningThreshold
from auscult.testing.dictionaries import planted
from tests.known_dictionaries import dense, untouched

SOURCE, _ = planted(2000, n_active=2)
X = torch.from_numpy(SOURCE.rows(np.arange(2000))).double()
WIDTH = 0.1


def jump_relu(**settings):
    cls, params = DICTIONARIES.parse(
        {
            "type": "jump-relu",
            "n_features": 12,
            "bandwidth": WIDTH,
            "start_threshold": 0.2,
            **settings,
        },
        "here",
    )
    return cls.build(params, 16, 0, SOURCE.statistics).double()


def moved(dictionary, feature, by):
    """The losses with the threshold of one feature moved."""
    before = dictionary.log_threshold.detach().clone()
    with torch.no_grad():
        dictionary.log_threshold[feature] = (before[feature].exp() + by).log()
        losses = {name: float(term) for name, term in dictionary.losses(X).items()}
        dictionary.log_threshold.copy_(before)
    return losses


def slopes(dictionary, name):
    """The pseudo-derivative of one term by each threshold."""
    dictionary.zero_grad()
    dictionary.losses(X)[name].backward()
    return dictionary.log_threshold.grad / dictionary.thresholds.detach()


@pytest.mark.parametrize(
    "section",
    [
        {"type": "relu"},
        {"type": "topk", "k": 3},
        {"type": "jump-relu", "bandwidth": WIDTH, "start_threshold": 0.2},
        {"type": "rms-norm"},
        {"type": "matching-pursuit", "k": 3},
    ],
    ids=str,
)
def test_a_loss_on_what_it_gives_back_teaches_what_its_own_error_teaches(section):
    """As end-to-end training asks it to: through ``encode`` and ``decode``."""
    cls, params = DICTIONARIES.parse({"n_features": 12} | section, "here")
    dictionary = cls.build(params, 16, 0, SOURCE.statistics).double()
    dictionary.losses(X)["mse"].backward()
    own = {key: p.grad.clone() for key, p in dictionary.named_parameters() if p.grad is not None}
    dictionary.zero_grad()
    missed = (dictionary(X) - X) * dictionary.preprocess.scale
    missed.square().sum(1).mean().backward()
    assert own
    for key, parameter in dictionary.named_parameters():
        assert parameter.grad is not None, key
        assert_close(parameter.grad, own[key], rtol=1e-7, atol=1e-10, msg=key)


class TestPseudoDerivatives:
    """They are the slopes of the loss averaged over a threshold ± half a bandwidth.

    The average ``(1/ε) ∫ L`` over ``θ ± ε/2`` has the derivative ``(L(θ + ε/2) - L(θ - ε/2)) / ε``,
    a finite difference of the loss itself, which is not smooth.
    """

    def test_of_the_number_of_active_features_exactly(self):
        dictionary = jump_relu(l0_weight=1.0)
        pseudo = slopes(dictionary, "l0")
        for feature in range(12):
            up, down = (moved(dictionary, feature, by)["l0"] for by in (WIDTH / 2, -WIDTH / 2))
            assert float(pseudo[feature]) == pytest.approx((up - down) / WIDTH, abs=1e-9)

    def test_of_the_error_up_to_what_a_window_blurs(self):
        dictionary = jump_relu()
        pseudo = slopes(dictionary, "mse")
        finite = []
        for feature in range(12):
            up, down = (moved(dictionary, feature, by)["mse"] for by in (WIDTH / 2, -WIDTH / 2))
            finite.append((up - down) / WIDTH)
        finite = torch.tensor(finite, dtype=torch.float64)
        assert float(torch.corrcoef(torch.stack([pseudo, finite]))[0, 1]) > 0.98
        assert float((pseudo - finite).norm() / finite.norm()) < 0.15

    def test_of_a_target_by_the_chain_rule(self):
        towards = jump_relu(l0_weight=0.5, target_l0=2.0)
        alone = jump_relu(l0_weight=1.0)
        l0 = float(alone.losses(X)["l0"].detach())
        chained = slopes(alone, "l0") * 0.5 * 2.0 * (l0 / 2.0 - 1.0) / 2.0
        assert_close(slopes(towards, "l0"), chained)


class TestKeepFast:
    @given(
        st.integers(1, 20),
        st.sampled_from([0.0, 0.4, 1.0, 9.0]),
        # Few different values, so that ties are common.
        arrays(np.float32, (4, 5), elements=st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])),
    )
    def test_it_keeps_what_the_slow_way_keeps(self, n_kept, threshold, values):
        pre, running = torch.from_numpy(values), RunningThreshold(0.9)
        running.threshold.fill_(threshold)
        slow = running.keep(pre, n_kept)
        smallest = running.smallest
        fast = dense(running.keep_entries(untouched(5), pre, n_kept))
        # Which of equal ones is kept is open.
        assert_close(fast.flatten().sort().values, slow.flatten().sort().values, rtol=0, atol=0)
        assert running.smallest == pytest.approx(smallest, nan_ok=True)


def encoded_by_saelens(folder, x):
    """What SAELens 6 computes from its two files, by its documented formulas."""
    cfg = json.loads((folder / "cfg.json").read_text())
    tensors = read_arrays(folder / "sae_weights.safetensors")
    t = {name: torch.from_numpy(array) for name, array in tensors.items()}
    centred = x - t["b_dec"]
    if cfg["architecture"] == "jumprelu":
        pre = centred @ t["W_enc"] + t["b_enc"]
        acts = pre.relu() * (pre > t["threshold"])
    elif cfg["architecture"] == "gated":
        gates = centred @ t["W_enc"] + t["b_gate"]
        strengths = centred @ (t["W_enc"] * t["r_mag"].exp()) + t["b_mag"]
        acts = (gates > 0) * strengths.relu()
    elif cfg["architecture"] == "matching_pursuit":
        assert (cfg["residual_threshold"], cfg["stop_on_duplicate_support"]) == (0.0, False)
        acts, left = torch.zeros(len(x), len(t["W_dec"]), dtype=x.dtype), centred
        for _ in range(cfg["max_iterations"]):
            values, picks = (left @ t["W_dec"].T).relu().max(1, keepdim=True)
            acts.scatter_add_(1, picks, values)
            left = left - values * t["W_dec"][picks[:, 0]]
    else:
        pre = centred @ t["W_enc"] + t["b_enc"]
        signed = cfg["architecture"] == "abstopk"
        picks = (pre.abs() if signed else pre.relu()).topk(cfg["k"], dim=1).indices
        kept = pre if signed else pre.relu()
        acts = torch.zeros_like(pre).scatter(1, picks, kept.gather(1, picks))
    return cfg["architecture"], acts, acts @ t["W_dec"] + t["b_dec"]


SHARED = {
    "batch-topk": ({"type": "batch-topk", "k": 2}, "jumprelu"),
    "matryoshka": ({"type": "matryoshka", "k": 2}, "jumprelu"),
    "jump-relu": ({"type": "jump-relu"}, "jumprelu"),
    "gated": ({"type": "gated"}, "gated"),
    "archetypal": ({"type": "archetypal", "k": 3}, "topk"),
    "matching-pursuit": ({"type": "matching-pursuit", "k": 3, "scale": False}, "matching_pursuit"),
    "ica": ({"type": "ica", "k": 4, "centre": False}, "abstopk"),
    "topk frozen": ({"type": "topk", "k": 3, "frozen": "soft-decoder"}, "topk"),
}


class TestSharedFolder:
    @pytest.mark.parametrize("name", SHARED)
    def test_saelens_encodes_and_decodes_raw_vectors_as_we_do(self, name, tmp_path):
        section, architecture = SHARED[name]
        cls, params = DICTIONARIES.parse({"n_features": 12, **section}, "here")
        dictionary = cls.build(params, 16, 0, SOURCE.statistics)
        if not dictionary.trainable:
            dictionary.fit_from(SOURCE, np.random.default_rng(0))
        else:
            dictionary.prepare(SOURCE, np.random.default_rng(0))
        torch.manual_seed(0)
        for parameter in dictionary.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        if hasattr(dictionary, "running"):
            dictionary.running.threshold.fill_(0.2)
        dictionary.after_step()
        dictionary = dictionary.requires_grad_(False).double()
        dictionary.save(tmp_path)
        theirs, acts, estimate = encoded_by_saelens(tmp_path, X)
        assert theirs == architecture
        assert_close(acts, dictionary.encode(X), rtol=0, atol=1e-9)
        assert_close(estimate, dictionary(X), rtol=0, atol=1e-9)
        assert bool((acts != 0).any())
        assert bool((acts == 0).any())
