"""Where a first-layer study listens, and the control layers that it listens to instead."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, weight_norm
from torch.testing import assert_close

from auscult.core.errors import ConfigError, TapError
from auscult.experiment.first_layer import redraw_first_layer
from auscult.models.weights import effective_weight, set_effective_weight
from auscult.taps.first_layer import first_layer_taps
from auscult.testing.known_answer import as_model

RATE = 800
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")


class Front(nn.Module):
    """A bank of filters, a norm on request, a rectifier as a module or as a function."""

    def __init__(self, norm=False, module=True, stride=2):
        super().__init__()
        self.conv = nn.Conv1d(1, 6, 8, stride)
        self.norm = nn.BatchNorm1d(6) if norm else nn.Identity()
        self.act = nn.ReLU() if module else None
        self.then = nn.Conv1d(6, 3, 3)

    def forward(self, x):
        y = self.norm(self.conv(x))
        return self.then(self.act(y) if self.act is not None else functional.relu(y))


def built(cls, **options):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return as_model(cls(**options), RATE)


def sounds(n=6, seconds=2):
    """Slow oscillations: fast alternation is what they have least of."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((n, 1, RATE * seconds))
    return [np.cumsum(one, axis=1).astype(np.float32) * 0.01 for one in noise]


def test_the_rectifier_behind_the_convolution_is_the_second_tap():
    found = first_layer_taps(built(Front))
    assert (found.pre, found.post, found.n_frames) == ("conv", "act", 4)


def test_a_batch_norm_belongs_to_the_convolution():
    assert first_layer_taps(built(Front, norm=True)).pre == "norm"


def test_what_a_function_made_is_read_where_the_next_module_gets_it():
    assert first_layer_taps(built(Front, module=False)).post == "then:in"


def test_a_convolution_in_a_container_has_the_rectifier_behind_the_container():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.front = nn.Sequential(nn.Conv1d(1, 4, 5))
            self.act = nn.ELU()

        def forward(self, x):
            return self.act(self.front(x))

    found = first_layer_taps(built(Wrapped))
    assert (found.pre, found.post, found.n_frames) == ("front.0", "act", 5)


def test_a_network_that_hears_a_spectrogram_has_no_first_layer():
    class Spectral(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return self.conv(x.unfold(2, 16, 8))

    with pytest.raises(TapError, match="waveform"):
        first_layer_taps(built(Spectral))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Conv1d(1, 3, 5),
        lambda: weight_norm(nn.Conv1d(1, 3, 5)),
        lambda: parametrizations.weight_norm(nn.Conv1d(1, 3, 5)),
        lambda: nn.Conv2d(1, 3, (1, 5)),
    ],
    ids=["plain", "old weight norm", "weight norm", "two axes"],
)
def test_filters_that_are_set_are_the_filters_that_act(layer):
    conv = layer()
    wanted = torch.randn(3, 1, 5, generator=torch.Generator().manual_seed(1))
    set_effective_weight(conv, wanted)
    assert_close(effective_weight(conv), wanted, rtol=1e-5, atol=1e-6)
    x = torch.zeros(1, 1, 9)
    x[0, 0, 4] = 1
    heard = conv(x[:, :, None] if isinstance(conv, nn.Conv2d) else x).reshape(3, 5)
    assert_close(heard - conv.bias[:, None], wanted[:, 0].flip(1), rtol=1e-5, atol=1e-6)


def test_filters_of_another_shape_are_refused():
    with pytest.raises(TapError, match=r"\[3, 1, 4\] do not fit"):
        set_effective_weight(nn.Conv1d(1, 3, 5), torch.zeros(3, 1, 4))


def filters(model):
    return effective_weight(model.module.conv)[:, 0].double().numpy()


@pytest.mark.parametrize("weights", ["random-matched", "rare-matched"])
def test_matched_layers_have_the_trained_singular_values_and_other_filters(weights):
    model = built(Front)
    trained = filters(model)
    redraw_first_layer(model, weights, sounds(), 0)
    values = [np.linalg.svd(bank, compute_uv=False) for bank in (trained, filters(model))]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4)
    assert not np.allclose(filters(model), trained, atol=1e-2)


@pytest.mark.parametrize("weights", ["rare", "tail"])
def test_handcrafted_layers_have_the_trained_norms(weights):
    model = built(Front)
    norms = np.sort(np.linalg.norm(filters(model), axis=1))
    redraw_first_layer(model, weights, sounds(), 0)
    np.testing.assert_allclose(np.sort(np.linalg.norm(filters(model), axis=1)), norms, rtol=1e-4)


@pytest.mark.parametrize("weights", ["rare", "rare-matched"])
def test_rare_shapes_answer_less_to_the_sounds_than_trained_ones(weights):
    model = built(Front)
    wave = torch.from_numpy(np.stack(sounds()))
    before = float(functional.conv1d(wave, model.module.conv.weight.detach()).var())
    redraw_first_layer(model, weights, sounds(), 0)
    assert float(functional.conv1d(wave, model.module.conv.weight.detach()).var()) < 0.3 * before


def test_only_the_first_layer_changes():
    model = built(Front)
    before = {name: p.clone() for name, p in model.module.named_parameters()}
    redraw_first_layer(model, "rare", sounds(), 0)
    changed = {n for n, p in model.module.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"conv.weight"}


def test_a_norm_behind_it_learns_what_it_now_hears():
    model = built(Front, norm=True)
    loud = [100 * one for one in sounds()]
    redraw_first_layer(model, "rare", loud, 0)
    said = model.module.norm(model.module.conv(torch.from_numpy(np.stack(loud[:4]))))
    assert_close(said.var((0, 2)).detach(), torch.ones(6), rtol=0.05, atol=0.05)


def test_the_same_seed_draws_the_same_layer():
    banks = []
    for seed in (1, 1, 2):
        model = built(Front)
        redraw_first_layer(model, "tail", sounds(), seed)
        banks.append(filters(model))
    np.testing.assert_array_equal(banks[0], banks[1])
    assert not np.allclose(banks[0], banks[2])


def test_sounds_shorter_than_a_filter_are_not_enough():
    with pytest.raises(ConfigError, match="as long as a filter of 8"):
        redraw_first_layer(built(Front), "rare", [np.zeros((1, 5), np.float32)], 0)
