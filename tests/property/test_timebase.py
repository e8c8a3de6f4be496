"""The time base against the input gradient of random convolution stacks.

The oracle is torch itself.
"""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase

LAYER = st.tuples(
    st.sampled_from(["conv", "pool", "transposed"]),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 2),
    st.integers(1, 3),
)


def build(layers) -> tuple[nn.Sequential, TimeBase]:
    """A stack with positive weights (no path cancels another) and its composed time base."""
    modules, time = [], TimeBase(1000)
    for kind, kernel, stride, padding, dilation in layers:
        if kind == "conv":
            module = nn.Conv1d(1, 1, kernel, stride, padding, dilation, bias=False)
            time = time.after_conv(kernel, stride, padding, dilation)
        elif kind == "pool":
            padding = min(padding, kernel // 2)
            module = nn.AvgPool1d(kernel, stride, padding)
            time = time.after_pool(kernel, stride, padding)
        else:
            module = nn.ConvTranspose1d(
                1, 1, kernel, stride, padding, dilation=dilation, bias=False
            )
            time = time.after_transposed_conv(kernel, stride, padding, dilation)
        for parameter in module.parameters():
            nn.init.uniform_(parameter, 0.5, 1.0)
        modules.append(module)
    return nn.Sequential(*modules).double(), time


def support(network: nn.Module, frame: int, n_samples: int) -> list[int]:
    wave = torch.rand(1, 1, n_samples, dtype=torch.float64).add_(1.0).requires_grad_()
    network(wave)[0, 0, frame].backward()
    return wave.grad[0, 0].nonzero()[:, 0].tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYER, min_size=1, max_size=4), st.integers(0, 10**6))
def test_every_frame_hears_only_what_the_time_base_says(layers, pick):
    network, time = build(layers)
    n_samples = 400
    try:
        n_frames = network(torch.zeros(1, 1, n_samples, dtype=torch.float64)).shape[-1]
    except RuntimeError:
        return  # a kernel longer than what is left
    frame = pick % n_frames
    heard = support(network, frame, n_samples)
    assert set(heard) <= set(time.samples(frame))


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYER.filter(lambda layer: layer[0] != "transposed"), min_size=1, max_size=4))
def test_convolutions_and_pools_hear_exactly_the_ends_of_their_span(layers):
    network, time = build(layers)
    n_samples = int(2 * time.span + 4 * time.hop) + 50
    frame = time.frames_within(0, n_samples)[0]
    heard = support(network, frame, n_samples)
    said = time.samples(frame)
    assert (heard[0], heard[-1]) == (said[0], said[-1])


def test_the_encodec_encoder_has_the_published_receptive_fields():
    """METHODS 2.3: 7, 12, 30, 118, 798, 2718 samples and a frame every 320."""
    time = TimeBase(24_000).after_conv(7, padding=6)
    spans = [time.span]
    for stride in (2, 4, 5, 8):
        time = time.after_conv(3, padding=2).after_conv(1)
        time = time.after_conv(2 * stride, stride, padding=stride)
        spans.append(time.span)
    time = time.after_conv(7, padding=6)
    assert [*spans, time.span] == [7, 12, 30, 118, 798, 2718]
    assert (time.hop, time.frame_rate, time.causal) == (320, 75, True)
    assert time.samples(10)[-1] == 320 * 11 - 1


def test_a_look_ahead_is_not_causal():
    assert not TimeBase(8000).after_conv(3, padding=1).causal
    assert TimeBase(8000).after_conv(3, padding=2).causal
    assert not TimeBase(8000).after_conv(3, padding=2).after_global().causal


def test_a_recurrence_both_ways_hears_the_whole_clip():
    time = TimeBase(8000).after_recurrence(bidirectional=True)
    assert time.global_
    assert not TimeBase(8000).after_recurrence().global_


@given(st.lists(LAYER, max_size=4))
def test_plain_data_gives_the_time_base_back(layers):
    time = build(layers)[1].after_recurrence()
    assert TimeBase.from_json(time.to_json()) == time


@given(st.integers(0, 300), st.integers(1, 300))
def test_frames_within_hear_nothing_outside(start, length):
    time = TimeBase(8000).after_conv(7, 3, padding=2).after_transposed_conv(4, 2)
    stop = start + length
    inside = time.frames_within(start, stop)
    for frame in inside:
        assert start <= time.samples(frame)[0] and time.samples(frame)[-1] < stop
    for frame in (inside.start - 1, inside.stop):
        said = time.samples(frame)
        reach = (time.span - 1) / 2
        centre = time.centre(frame)
        assert centre - reach < start or centre + reach > stop - 1 or not said


def test_seconds_are_exact_where_floats_are():
    assert TimeBase(24_000, hop=Fraction(320), offset=Fraction(-1, 2)).seconds(75) == 1.0


@pytest.mark.parametrize(
    "wrong", [{"hop": Fraction(0)}, {"span": Fraction(1, 2)}, {"sample_rate": 0}]
)
def test_an_impossible_time_base_is_refused(wrong):
    with pytest.raises(ConfigError, match="impossible time base"):
        TimeBase(**{"sample_rate": 1, **wrong})
