import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from auscult.core.errors import UserError, WidthError
from auscult.core.timebase import TimeBase
from auscult.dictionaries.codebook import CodebookDictionary
from auscult.dictionaries.metrics import evaluate
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.relu import ReluDictionary
from auscult.store.source import ArraySource


def axes(gain=1.0, shift=0.0):
    """Two dimensions, a feature for each end of each axis: x̂ = gain · x + shift."""
    params = ReluDictionary.Params(n_features=4, centre=False, scale=False)
    dictionary = ReluDictionary(params, 2)
    ends = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    with torch.no_grad():
        dictionary.linear.encoder.copy_(ends)
        dictionary.linear.decoder.copy_(gain * ends)
        dictionary.linear.decoder_bias.fill_(shift)
    return dictionary


SQUARE = ArraySource(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]))


def test_a_perfect_dictionary():
    metrics = evaluate(axes(), SQUARE)
    assert (metrics.fvu, metrics.cosine, metrics.centred_cosine) == (0.0, 1.0, 1.0)
    assert (metrics.reconstruction_bias, metrics.relative_norm) == (1.0, 1.0)
    assert metrics.explained_variance.tolist() == [1.0, 1.0]


def test_one_that_shrinks_by_half():
    metrics = evaluate(axes(gain=0.5), SQUARE)
    assert metrics.fvu == pytest.approx(0.25)
    assert metrics.reconstruction_bias == pytest.approx(0.5)
    assert metrics.relative_norm == pytest.approx(0.5)
    assert metrics.centred_cosine == pytest.approx(1.0)


def test_one_that_gives_back_the_mean_explains_nothing():
    source = ArraySource(np.array([[3.0, 1.0], [5.0, 1.0], [4.0, 4.0]]))
    dictionary = axes(gain=0.0)
    with torch.no_grad():
        dictionary.linear.decoder_bias.copy_(torch.tensor([4.0, 2.0]))
    metrics = evaluate(dictionary, source)
    assert metrics.fvu == pytest.approx(1.0)
    assert metrics.explained_variance == pytest.approx([0.0, 0.0])


def test_an_offset_earns_cosine_but_not_centred_cosine():
    rng = np.random.default_rng(0)
    source = ArraySource(rng.standard_normal((500, 2)) + 100.0)
    dictionary = axes(gain=0.0)
    with torch.no_grad():
        dictionary.linear.decoder_bias.copy_(torch.from_numpy(source.statistics.mean))
    metrics = evaluate(dictionary, source)
    assert metrics.cosine > 0.999
    assert abs(metrics.centred_cosine) < 0.2


def test_usage_and_its_summaries():
    metrics = evaluate(axes(), ArraySource(np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])))
    assert metrics.usage.tolist() == [0.9, 0.0, 0.1, 0.0]
    assert metrics.l0 == pytest.approx(1.0)
    assert metrics.dead_fraction == 0.5
    assert metrics.dense_share == 0.25


def test_l0_per_second_follows_the_frame_rate():
    dictionary = axes()
    assert math.isnan(evaluate(dictionary, SQUARE).l0_per_second)
    time = TimeBase(24_000, hop=Fraction(320))
    dictionary.provenance = Provenance(time=time)
    assert evaluate(dictionary, SQUARE).l0_per_second == pytest.approx(75.0)


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_batches_change_nothing(batch):
    values = np.random.default_rng(0).standard_normal((50, 2)) + 3.0
    whole, parts = (evaluate(axes(0.7), ArraySource(values), b) for b in (50, batch))
    expected, found = ({**metrics.to_json(), "l0_per_second": 0.0} for metrics in (whole, parts))
    assert found == {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}


def test_a_large_offset_costs_no_digits():
    values = np.random.default_rng(0).standard_normal((1000, 2)) + 1000.0
    values = values.astype(np.float32).astype(np.float64)
    table = np.sort(values[::10], axis=0)
    dictionary = CodebookDictionary.from_table(torch.from_numpy(table).float())
    metrics = evaluate(dictionary, ArraySource(values), batch=64)
    estimate = dictionary(torch.from_numpy(values)).double().numpy()
    expected = np.square(values - estimate).sum() / np.square(values - values.mean(0)).sum()
    assert metrics.fvu == pytest.approx(expected, rel=1e-9)


def test_what_constant_vectors_leave_open_is_nan_and_can_be_written():
    metrics = evaluate(axes(), ArraySource(np.full((7, 2), 0.1)))
    assert math.isnan(metrics.fvu)
    written = json.loads(json.dumps(metrics.to_json(), allow_nan=False))
    assert written["fvu"] is None
    assert written["explained_variance"] == [None, None]


def test_silent_vectors_are_left_out_of_the_cosine():
    metrics = evaluate(axes(), ArraySource(np.array([[0.0, 0.0], [1.0, 2.0]])))
    assert metrics.cosine == pytest.approx(1.0)


def test_targets_are_what_is_judged():
    metrics = evaluate(axes(), SQUARE, targets=ArraySource(2.0 * SQUARE.rows(np.arange(4))))
    assert metrics.fvu == pytest.approx(0.25)


def test_another_width_is_refused():
    with pytest.raises(WidthError, match=r"width 2.*width 3"):
        evaluate(axes(), ArraySource(np.ones((4, 3))))


def test_fewer_targets_than_vectors_are_refused():
    with pytest.raises(UserError, match="2 targets for 4 vectors"):
        evaluate(axes(), SQUARE, targets=ArraySource(np.ones((2, 2))))
