import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from auscult.models.initial import level_convolutions


def old_style(conv):
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(conv)


@pytest.mark.parametrize(
    "normed", [lambda c: c, parametrizations.weight_norm, old_style], ids=["plain", "new", "old"]
)
def test_every_convolution_is_levelled_in_one_pass(normed):
    torch.manual_seed(0)
    stack = nn.Sequential(normed(nn.Conv1d(1, 8, 5)), nn.Tanh(), normed(nn.Conv1d(8, 4, 3, 2)))
    sound = 0.01 * torch.randn(2, 1, 400)
    level_convolutions(stack, lambda: stack(sound))
    with torch.no_grad():
        first = stack[0](sound)
        assert float(first.std()) == pytest.approx(1, rel=1e-4)
        assert float(stack[2](torch.tanh(first)).std()) == pytest.approx(1, rel=1e-4)
    assert not stack[0]._forward_hooks


def test_a_convolution_that_says_nothing_stays_as_it_is():
    conv = nn.Conv1d(1, 2, 3, bias=False)
    before = conv.weight.detach().clone()
    level_convolutions(conv, lambda: conv(torch.zeros(1, 1, 50)))
    assert torch.equal(conv.weight, before)
