"""The gradient finds of any stack of convolutions what composition says."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from auscult.core.timebase import TimeBase
from auscult.taps.probe import measure_time_base
from auscult.testing.known_answer import as_model

RATE = 1_000
layers = st.tuples(
    st.integers(1, 6), st.integers(1, 3), st.integers(0, 3), st.integers(1, 2), st.booleans()
)


@settings(max_examples=12, deadline=None)
@given(st.lists(layers, min_size=1, max_size=3))
def test_the_gradient_agrees_with_composition(stack):
    modules: list[nn.Module] = []
    expected = TimeBase(RATE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for kernel, stride, padding, dilation, pooled in stack:
            channels = 2 if modules else 1
            modules += [nn.Conv1d(channels, 2, kernel, stride, padding, dilation), nn.ReLU()]
            expected = expected.after_conv(kernel, stride, padding, dilation)
            if pooled:
                modules.append(nn.MaxPool1d(2))
                expected = expected.after_pool(2)
    model = as_model(nn.Sequential(*modules), RATE)
    assert measure_time_base(model, str(len(modules) - 1)) == expected
