"""Training in the subspace that vectors take up is training in the whole space."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import StoreError
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.side_by_side import Preprocessed
from auscult.dictionaries.span import Span, may_turn, span_of, within
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.store.source import ArraySource
from auscult.testing.dictionaries import files

TYPES = [
    {"type": "relu"},
    {"type": "relu", "norm": "weighted"},
    {"type": "topk", "k": 3},
    {"type": "topk", "k": 3, "signed": True},
    {"type": "batch-topk", "k": 3},
    {"type": "jump-relu"},
    {"type": "matryoshka", "k": 3},
    {"type": "gated"},
]


def flat_vectors(n=2000, d_in=24, rank=5, offset=2.0):
    """Vectors of a plane that does not pass through 0."""
    rng = np.random.default_rng(0)
    sources = rng.laplace(size=(n, rank))
    return (sources @ rng.standard_normal((rank, d_in)) + offset).astype(np.float32)


def built(section, source, seed=0):
    cls, params = DICTIONARIES.parse({"n_features": 40} | section, "here")
    return cls.build(params, source.d_in, seed, source.statistics)


def loss_of(dictionary, x):
    return {name: term.detach() for name, term in dictionary.losses(x).items()}


def test_every_type_that_turns_is_tried():
    known = {name for name in DICTIONARIES.names() if DICTIONARIES.get(name).rotates}
    assert known == {section["type"] for section in TYPES}


@pytest.mark.parametrize("section", TYPES, ids=str)
def test_inside_and_afterwards_the_loss_is_the_same(section):
    source = ArraySource(flat_vectors())
    dictionary = built(section, source).double()
    # More dead features than half of the width, so that the auxiliary term has to choose.
    dictionary.dead_after, dictionary.vectors_since_fired[:30] = 1, 1
    x = torch.from_numpy(flat_vectors()[:300]).double()
    span = span_of(source.statistics, centred=True)
    assert span is not None
    with within(dictionary, span):
        assert dictionary.linear.encoder.shape == (40, 16)
        inside = loss_of(dictionary, x)
    assert dictionary.linear.encoder.shape == (40, 24)
    afterwards = loss_of(dictionary, x)
    for name, term in inside.items():
        assert_close(afterwards[name], term, rtol=1e-5, atol=1e-9, msg=name)


@pytest.mark.parametrize("section", TYPES, ids=str)
def test_inside_gradients_are_those_of_the_whole_space_in_its_coordinates(section):
    source = ArraySource(flat_vectors())
    whole, turned = built(section, source).double(), built(section, source).double()
    x = torch.from_numpy(flat_vectors()[:300]).double()
    span = span_of(source.statistics, centred=True)
    rows = torch.from_numpy(span.rows)
    with within(turned, span):
        Dictionary.gradients(turned, x)
        found = {name: each.grad.clone() for name, each in turned.named_parameters()}
        turned.zero_grad()
    whole.load_state_dict(turned.state_dict())
    Dictionary.gradients(whole, x)
    for name, each in whole.named_parameters():
        wanted = each.grad @ rows.T if each.shape[-1] == 24 else each.grad
        assert_close(found[name], wanted, rtol=1e-4, atol=1e-7, msg=name)


@pytest.mark.parametrize("section", TYPES, ids=str)
def test_encoders_say_the_same_at_the_start(section):
    source = ArraySource(flat_vectors())
    dictionary = built(section, source).double()
    v = dictionary.preprocess(torch.from_numpy(flat_vectors()[:100]).double())
    before = v @ dictionary.linear.encoder.T
    lengths = torch.linalg.vector_norm(dictionary.linear.decoder, dim=1)
    with within(dictionary, span_of(source.statistics, centred=True)):
        pass
    assert_close(v @ dictionary.linear.encoder.T, before, rtol=1e-5, atol=1e-6)
    after = torch.linalg.vector_norm(dictionary.linear.decoder, dim=1)
    assert_close(after, lengths, rtol=1e-6, atol=0)


class TestSpan:
    def test_it_holds_the_vectors_and_a_multiple_of_eight(self):
        values = flat_vectors()
        rows = span_of(ArraySource(values).statistics, centred=True).rows
        assert rows.shape == (16, 24)
        assert rows @ rows.T == pytest.approx(np.eye(16), abs=1e-12)
        centred = values - values.mean(0, dtype=np.float64)
        assert centred @ rows.T @ rows == pytest.approx(centred, abs=1e-5)

    def test_without_centring_it_holds_the_mean(self):
        values = flat_vectors(rank=7)
        rows = span_of(ArraySource(values).statistics, centred=False).rows
        assert rows.shape == (16, 24)
        assert values @ rows.T @ rows == pytest.approx(values, abs=1e-4)

    def test_a_little_more_than_rounding_counts(self):
        values = flat_vectors()
        noisy = values + 1e-4 * np.random.default_rng(1).standard_normal(values.shape)
        assert span_of(ArraySource(values).statistics, centred=True) is not None
        assert span_of(ArraySource(noisy).statistics, centred=True) is None

    @pytest.mark.parametrize("rank", [9, 24])
    def test_a_large_one_does_not_pay(self, rank):
        assert span_of(ArraySource(flat_vectors(rank=rank)).statistics, centred=True) is None


def test_frozen_weights_are_not_turned():
    source = ArraySource(flat_vectors())
    assert may_turn(built({"type": "topk"}, source))
    assert not may_turn(built({"type": "topk", "frozen": "decoder"}, source))
    assert not may_turn(built({"type": "temporal"}, source))


def unexplained(trained, values):
    x = torch.from_numpy(values)
    return float((trained(x) - x).square().sum() / (x - x.mean(0)).square().sum())


@pytest.mark.parametrize("section", [{"type": "relu"}, {"type": "topk", "k": 3}], ids=str)
def test_what_was_trained_lies_in_the_span_and_is_about_as_good(section, tmp_path):
    values = flat_vectors()
    source = ArraySource(values)
    fvu = {}
    for rotate in (True, False):
        settings = TrainSettings(steps=300, batch=500, lr=3e-3, bf16="off", rotate=rotate)
        job = TrainingJob(built(section, source), "it")
        (trained,) = train([job], source, settings, tmp_path / f"{rotate}")
        fvu[rotate] = unexplained(trained, values)
        rows = torch.from_numpy(span_of(source.statistics, centred=True).rows).float()
        across = trained.atoms - trained.atoms @ rows.T @ rows
        assert (float(across.abs().max()) < 1e-5) is rotate
    # Another start is another local optimum: as good, give or take.
    assert fvu[True] < 1.3 * fvu[False]
    assert fvu[True] < 0.15


def test_what_was_trained_within_is_as_sparse(tmp_path):
    """Fewer coordinates than weights once had made it denser by a fifth, at the same loss."""
    values = flat_vectors(n=4000)
    source, x = ArraySource(values), torch.from_numpy(values)
    l0, fvu = {}, {}
    for rotate in (True, False):
        settings = TrainSettings(
            steps=600, batch=500, warm_up=0, decay="none", bf16="off", rotate=rotate
        )
        sections = {"type": "relu", "l1_weight": 0.1, "n_features": 96}
        jobs = [TrainingJob(built(sections, source, seed), f"{seed}") for seed in range(4)]
        trained = train(jobs, source, settings, tmp_path / f"{rotate}")
        l0[rotate] = np.mean([float((each.encode(x) > 0).sum()) / len(x) for each in trained])
        fvu[rotate] = np.mean([unexplained(each, values) for each in trained])
    assert l0[True] < 1.12 * l0[False]
    assert fvu[True] < 1.08 * fvu[False]


def test_atoms_keep_what_lies_along_the_vectors_and_spare_directions_the_rest():
    source = ArraySource(flat_vectors())
    dictionary = built({"type": "relu"}, source).double()
    span = span_of(source.statistics, centred=True)
    assert (len(span.held), len(span.spare)) == (5, 11)
    held, before = torch.from_numpy(span.held), dictionary.linear.decoder.detach().clone()
    with within(dictionary, span):
        pass
    after = dictionary.linear.decoder.detach()
    assert_close(after @ held.T, before @ held.T, rtol=1e-6, atol=1e-7)
    assert 0.5 < float((after - after @ held.T @ held).norm(dim=1).mean()) < 0.95


def test_no_coordinate_is_special():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2000, 5)) * [30.0, 10.0, 3.0, 1.0, 0.3]
    values = (values @ rng.standard_normal((5, 24))).astype(np.float32)
    span = span_of(ArraySource(values).statistics, centred=True)
    along, mixed = (((values - values.mean(0)) @ rows.T).std(0) for rows in (span.held, span.rows))
    assert along.max() > 50.0 * along.min()
    assert mixed.max() < 20.0 * mixed.min()


class Stopped(Exception):
    """What ends a training half way."""


def test_stopped_inside_it_goes_on_to_the_same_bytes(tmp_path):
    source = ArraySource(flat_vectors())
    settings = TrainSettings(steps=9, batch=300, checkpoint_every=4)

    def stop(step, steps):
        if step == 6:
            raise Stopped

    whole = train([TrainingJob(built(TYPES[0], source), "it")], source, settings, tmp_path / "1")
    halved = built(TYPES[0], source)
    with pytest.raises(Stopped):
        train([TrainingJob(halved, "it")], source, settings, tmp_path / "2", stop)
    assert halved.linear.encoder.shape == (40, 24)
    assert halved.preprocess.span is None
    again = train([TrainingJob(built(TYPES[0], source), "it")], source, settings, tmp_path / "2")
    assert files(tmp_path / "1") == files(tmp_path / "2")
    for name, weights in whole[0].state_dict().items():
        assert torch.equal(again[0].state_dict()[name], weights), name


def test_without_rotating_it_is_another_training(tmp_path):
    source = ArraySource(flat_vectors())
    settings = TrainSettings(steps=3, batch=300)
    train([TrainingJob(built(TYPES[0], source), "it")], source, settings, tmp_path)
    other = settings.model_copy(update={"rotate": False})
    with pytest.raises(StoreError, match="holds a training with other settings"):
        train([TrainingJob(built(TYPES[0], source), "it")], source, other, tmp_path)


class TestPreprocessed:
    def test_what_is_alike_is_made_once(self):
        source, x = ArraySource(flat_vectors()), torch.from_numpy(flat_vectors()[:50])
        one, two, raw = (
            built(section, source) for section in (TYPES[0], TYPES[2], TYPES[0] | {"centre": False})
        )
        made = Preprocessed([one, raw, two])(x)
        assert made[0] is made[2]
        for dictionary, vectors in zip((one, raw, two), made, strict=True):
            assert torch.equal(vectors, dictionary.preprocess(x))

    def test_what_sees_another_space_is_not_alike(self):
        source, x = ArraySource(flat_vectors()), torch.from_numpy(flat_vectors()[:50])
        inside, outside = built(TYPES[0], source), built(TYPES[0], source)
        with within(inside, span_of(source.statistics, centred=True)):
            shapes = [vectors.shape for vectors in Preprocessed([inside, outside])(x)]
        assert shapes == [(50, 16), (50, 24)]

    def test_neither_is_what_is_scaled_otherwise_or_sees_another_span_of_as_many_dimensions(self):
        source, x = ArraySource(flat_vectors()), torch.from_numpy(flat_vectors()[:50])
        scaled, plain = built(TYPES[0], source), built(TYPES[0] | {"scale": False}, source)
        one, other = built(TYPES[0], source), built(TYPES[0], source)
        span = span_of(source.statistics, centred=True)
        with within(one, span), within(other, Span(span.held[::-1].copy(), span.spare)):
            dictionaries = (scaled, plain, one, other)
            for dictionary, vectors in zip(
                dictionaries, Preprocessed(dictionaries)(x), strict=True
            ):
                assert torch.equal(vectors, dictionary.preprocess(x))
