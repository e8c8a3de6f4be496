"""Every fast path of training beside its slow twin."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from auscult.dictionaries import dense_step
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.flat_adam import FlatAdam
from auscult.dictionaries.linear import read_bf16
from auscult.dictionaries.products import (
    affine_product,
    counted,
    laid_out,
    reads_bf16,
    switch_off,
    switch_type,
    switches,
    width_beside,
)
from auscult.dictionaries.sparse_acts import entries_at, largest_entries, places_above

GPU = torch.device("cuda")


def built(shift=0.0, d_in=24, dtype=torch.float64, **section):
    cls, params = DICTIONARIES.parse(
        {"n_features": 250, "centre": False, "scale": False} | section, "here"
    )
    dictionary = cls.build(params, d_in).to(dtype)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        dictionary.linear.encoder_bias.add_(shift)
    return dictionary


def both_ways(dictionary, n):
    """Gradients and objectives: by autograd, and by hand."""
    torch.manual_seed(2)
    vectors = torch.randn(n, dictionary.d_in, dtype=dictionary.linear.decoder.dtype)
    slow = Dictionary.differentiate(dictionary, vectors, vectors + 0.1)
    wanted = {name: p.grad.clone() for name, p in dictionary.named_parameters()}
    dictionary.zero_grad()
    fast = dictionary.differentiate(vectors, vectors + 0.1)
    found = {name: p.grad.clone() for name, p in dictionary.named_parameters()}
    return slow, wanted, fast, found


@pytest.mark.parametrize("n", [37, 9000], ids=["one piece", "two pieces"])
@pytest.mark.parametrize(
    ("section", "density"),
    [
        ({"type": "relu"}, (0.2, 0.9)),
        ({"type": "relu", "norm": "weighted"}, (0.2, 0.9)),
        ({"type": "relu", "l1_weight": 0.0}, (0.2, 0.9)),
        ({"type": "relu", "frozen": "decoder"}, (0.2, 0.9)),
        ({"type": "relu", "frozen": "encoder"}, (0.2, 0.9)),
        ({"type": "relu", "shift": -1.2}, (1e-4, 0.04)),
        ({"type": "relu", "shift": -1.2, "norm": "weighted"}, (1e-4, 0.04)),
        ({"type": "relu", "shift": -50.0}, (0.0, 0.0)),
        ({"type": "topk", "k": 4}, (0.01, 0.02)),
        ({"type": "topk", "k": 40}, (0.1, 0.2)),
        ({"type": "topk", "k": 4, "signed": True}, (0.01, 0.02)),
        ({"type": "topk", "k": 4, "frozen": "encoder"}, (0.01, 0.02)),
        ({"type": "topk", "k": 4, "shift": -50.0}, (0.0, 0.0)),
        ({"type": "batch-topk", "k": 4}, (0.01, 0.02)),
        ({"type": "batch-topk", "k": 4, "shift": -50.0}, (0.0, 0.0)),
        ({"type": "jump-relu"}, (0.2, 0.9)),
        ({"type": "jump-relu", "shift": -1.2, "target_l0": 3.0}, (0.1, 0.2)),
        ({"type": "matryoshka", "k": 4}, (0.01, 0.02)),
        ({"type": "matryoshka", "k": 4, "shift": -50.0}, (0.0, 0.0)),
    ],
    ids=str,
)
def test_gradients_by_hand_are_those_of_autograd(section, density, n):
    dictionary = built(**section)
    slow, wanted, fast, found = both_ways(dictionary, n)
    assert density[0] <= float(slow.fired.sum()) / (n * 250) <= density[1]
    assert_close(fast.fired, slow.fired, rtol=0, atol=0)
    for name, term in slow.terms.items():
        assert_close(fast.terms[name], term.detach(), rtol=1e-10, atol=1e-12)
    for name, gradient in wanted.items():
        assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("n", [37, 9000], ids=["one piece", "two pieces"])
@pytest.mark.parametrize("kind", ["relu", "jump-relu"])
def test_columns_that_only_a_gpu_needs_change_nothing(kind, n, monkeypatch):
    monkeypatch.setattr(dense_step, "width_beside", lambda d, _: width_beside(d, GPU))
    assert width_beside(24, GPU) == 32
    slow, wanted, fast, found = both_ways(built(type=kind), n)
    assert_close(dict(fast.terms), {name: term.detach() for name, term in slow.terms.items()})
    assert_close(found, wanted)


@pytest.mark.parametrize("n", [37, 9000], ids=["one piece", "two pieces"])
@pytest.mark.parametrize("frozen", ["no", "decoder"])
def test_what_need_not_be_counted_is_known_to_be_on(frozen, n):
    dictionary = built(type="relu", frozen=frozen)
    dictionary.linear.encoder_bias.data[:9] = -50.0
    _, _, by_count, wanted = both_ways(dictionary, n)
    dictionary.counting = False
    _, _, found, gradients = both_ways(dictionary, n)
    assert_close(gradients, wanted, rtol=0.0, atol=0.0)
    assert torch.equal(found.fired > 0, by_count.fired > 0)
    assert not torch.equal(found.fired, by_count.fired)


@pytest.mark.parametrize(
    "section",
    [
        {"type": "relu"},
        {"type": "relu", "shift": -1.2},
        {"type": "topk", "k": 4},
        {"type": "batch-topk", "k": 4},
        {"type": "jump-relu"},
        {"type": "matryoshka", "k": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [5000, 9000], ids=["one piece", "two pieces"])
def test_in_bfloat16_a_gradient_is_off_by_rounding_only(section, n):
    dictionary = built(dtype=torch.float32, **section)
    dictionary.linear.bf16 = True
    slow, wanted, fast, found = both_ways(dictionary, n)
    for name, term in slow.terms.items():
        assert fast.terms[name].dtype == torch.float32
        assert_close(fast.terms[name], term.detach(), rtol=2e-3, atol=0)
    for name, gradient in wanted.items():
        error = torch.linalg.vector_norm(found[name] - gradient) / torch.linalg.vector_norm(
            gradient
        )
        # A slope of a threshold is a sum over the few activations near it.
        assert 0.0 < float(error) < (0.1 if name == "log_threshold" else 0.06), name


TURNED = [{"type": "relu"}, {"type": "topk", "k": 4}, {"type": "batch-topk"}, {"type": "jump-relu"}]


@pytest.mark.parametrize("section", TURNED, ids=str)
@pytest.mark.parametrize("n", [0, 9, 9000])
def test_encoding_is_the_same_with_gradients_and_without(section, n):
    dictionary = built(**section)
    x = torch.randn(n, 24, dtype=torch.float64, generator=torch.manual_seed(0))
    slow = dictionary.encode(x.requires_grad_())
    assert slow.requires_grad
    with torch.no_grad():
        assert_close(dictionary.encode(x), slow.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("section", TURNED, ids=str)
def test_encoding_in_bfloat16_is_off_by_rounding_only(section):
    dictionary = built(dtype=torch.float32, **section)
    x = torch.randn(9000, 24, generator=torch.manual_seed(0))
    with torch.no_grad():
        exact = dictionary.encode(x)
        read_bf16(dictionary)
        rounded = dictionary.encode(x)
        read_bf16(dictionary, False)
        assert torch.equal(dictionary.encode(x), exact)
    assert rounded.dtype == torch.float32
    error = torch.linalg.vector_norm(rounded - exact) / torch.linalg.vector_norm(exact)
    # Where two of the k largest are nearly equal, another one may be kept.
    assert 1e-4 < float(error) < (0.15 if section["type"] == "topk" else 0.05)
    assert float((rounded != 0).sum()) == pytest.approx(float((exact != 0).sum()), rel=0.01)


def test_float64_never_reads_bfloat16():
    dictionary = built(type="topk", k=4)
    dictionary.linear.bf16 = True
    _, wanted, _, found = both_ways(dictionary, 37)
    assert_close(found["linear.encoder"], wanted["linear.encoder"], rtol=1e-9, atol=1e-12)


class TestLargest:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
    @pytest.mark.parametrize(
        ("n_features", "k"), [(9, 9), (250, 3), (2051, 32), (700, 300), (70_000, 8_000)]
    )
    def test_they_are_those_of_torch(self, n_features, k, dtype):
        torch.manual_seed(0)
        ranked = torch.randn(20, n_features).to(dtype)
        ranked[0].clamp_(max=0.0)
        found = ranked.gather(1, largest_entries(ranked, k)).relu().sort(1).values
        assert torch.equal(found, ranked.topk(k, dim=1).values.relu().sort(1).values)

    def test_none_comes_twice_though_all_are_equal(self):
        chosen = largest_entries(torch.ones(2, 1000), 20)
        assert [len(set(row)) for row in chosen.tolist()] == [20, 20]


class TestSparseActs:
    DENSE = torch.randn(50, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def acts(self):
        places = places_above(self.DENSE, 0.5)
        return entries_at(places, self.DENSE.flatten()[places], 50, 30)

    def test_decoding_is_a_product(self):
        atoms = torch.randn(30, 7, dtype=torch.float64)
        assert_close(self.acts().decode(atoms), (self.DENSE * (self.DENSE > 0.5)) @ atoms)

    def test_some_are_decoded_alone(self):
        atoms, acts = torch.randn(30, 7, dtype=torch.float64), self.acts()
        assert torch.equal(acts.decode(atoms, 20, 41), acts.decode(atoms)[20:41])

    def test_products_are_taken_where_the_entries_are(self):
        left, right = torch.randn(50, 7).double(), torch.randn(30, 7).double()
        wanted = (left @ right.T).T[self.DENSE.T > 0.5]
        assert_close(self.acts().by_feature.products(left, right), wanted)

    @pytest.mark.parametrize("block", [7, 1 << 20])
    def test_pulling_is_a_product_with_the_transpose(self, block, monkeypatch):
        monkeypatch.setattr("auscult.dictionaries.sparse_acts.BLOCK_FLOATS", block)
        entries, vectors = self.acts().by_feature, torch.randn(50, 7).double()
        pulled = entries.pulled(entries.values, vectors, torch.empty(30, 7, dtype=torch.float64))
        assert_close(pulled, (self.DENSE * (self.DENSE > 0.5)).T @ vectors)

    def test_entries_are_added_up_and_counted_by_feature(self):
        entries, kept = self.acts().by_feature, self.DENSE * (self.DENSE > 0.5)
        assert_close(entries.totals(entries.values), kept.sum(0))
        assert torch.equal(entries.count(), (kept > 0).sum(0))

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_what_exceeds_a_floor_is_found(self, dtype):
        pre = self.DENSE.to(dtype)
        wanted = (pre > 0.5).flatten().nonzero().squeeze(1)
        assert torch.equal(places_above(pre, 0.5), wanted)


class TestProducts:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("rectified", [True, False])
    def test_affine_products_are_those_of_the_plain_way(self, dtype, rectified):
        torch.manual_seed(0)
        x, weights, bias = (torch.randn(*shape).to(dtype) for shape in ((9, 4), (5, 4), (5,)))
        found = affine_product(x, weights, bias, rectified=rectified)
        wanted = x.double() @ weights.double().T + bias.double()
        wanted = wanted.relu() if rectified else wanted
        close = {torch.bfloat16: 2e-2, torch.float32: 1e-6, torch.float64: 1e-14}[dtype]
        assert_close(found.double(), wanted, rtol=close, atol=close)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("n", [64, 9])
    def test_weights_laid_out_for_some_rows_multiply_as_before(self, dtype, n):
        torch.manual_seed(0)
        x, weights, bias = (torch.randn(*shape).to(dtype) for shape in ((n, 24), (50, 24), (50,)))
        found = affine_product(x, laid_out(weights, 64), bias, rectified=True)
        wanted = affine_product(x, weights, bias, rectified=True)
        close = {torch.bfloat16: 1e-2, torch.float32: 1e-6, torch.float64: 0.0}[dtype]
        assert_close(found, wanted, rtol=close, atol=close)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
    def test_integers_switch_as_comparisons_do(self, dtype):
        torch.manual_seed(0)
        acts, values = torch.randn(300, 7).to(dtype).relu(), torch.randn(300, 7).to(dtype)
        acts[0] = -0.0
        wanted = values * (acts > 0)
        on = switches(acts, torch.empty(300, 7, dtype=switch_type(dtype)))
        switch_off(values, on)
        assert torch.equal(values, wanted)
        assert torch.equal(counted(on), (acts > 0).sum(0))

    def test_small_dictionaries_gain_nothing(self):
        cpu = torch.device("cpu")
        assert reads_bf16("on", cpu, 1)
        assert not reads_bf16("off", cpu, 1 << 20)
        assert not reads_bf16("auto", cpu, 100)


class TestFlatAdam:
    def parameters(self):
        torch.manual_seed(0)
        return {"a": nn.Parameter(torch.randn(5, 3)), "b": nn.Parameter(torch.randn(7))}

    def trained(self, flat, clip):
        """Five steps down a quadratic, by one Adam or the other."""
        parameters = self.parameters()
        adam = FlatAdam(parameters) if flat else torch.optim.Adam(parameters.values(), lr=0.1)
        for _ in range(5):
            for parameter in parameters.values():
                parameter.grad = 3.0 * parameter.detach() - 1.0
            if flat:
                adam.gather()
                adam.clip(clip)
                adam.step(0.1)
            else:
                nn.utils.clip_grad_norm_(parameters.values(), clip)
                adam.step()
        return parameters, adam

    @pytest.mark.parametrize("clip", [0.5, 1e9])
    def test_it_is_adam(self, clip):
        flat, slow = self.trained(True, clip)[0], self.trained(False, clip)[0]
        for name in flat:
            assert_close(flat[name], slow[name], rtol=1e-5, atol=1e-6)

    def test_its_state_goes_on_in_another(self):
        first, adam = self.trained(True, 1.0)
        second = {name: nn.Parameter(p.detach().clone()) for name, p in first.items()}
        other = FlatAdam(second)
        other.restore(adam.state())
        for one, parameters in ((adam, first), (other, second)):
            for parameter in parameters.values():
                parameter.grad.fill_(0.3)
            one.step(0.1)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_afterwards_parameters_own_their_memory(self):
        parameters, adam = self.trained(True, 1.0)
        adam.release()
        assert parameters["a"].untyped_storage().nbytes() == 4 * 15
        assert parameters["a"].grad is None
