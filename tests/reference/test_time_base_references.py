"""Time bases against published tables, and the gradient probe against composition."""

from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional

from auscult.core.errors import TapError
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS
from auscult.taps.probe import measure_time_base
from auscult.testing.known_answer import as_model

RATE = 800


def random_model(kind, **section):
    cls, params = MODELS.parse({"type": kind, **section}, "model")
    return cls.build(params, "random", 0)


@pytest.fixture(scope="module")
def encodec():
    # Few filters, but kernels and strides of the published model.
    return random_model("encodec", config={"num_filters": 2, "hidden_size": 4, "codebook_size": 16})


@pytest.mark.parametrize(
    ("role", "hop", "span"),
    [
        ("conv.0", 1, 7),
        ("res.0", 1, 9),
        ("conv.1", 2, 12),
        ("res.1", 2, 16),
        ("conv.2", 8, 30),
        ("res.2", 8, 46),
        ("conv.3", 40, 118),
        ("res.3", 40, 198),
        ("conv.4", 320, 798),
        ("conv.5", 320, 2718),
    ],
)
def test_encodec_at_24_khz_hears_what_its_table_says(encodec, role, hop, span):
    tap = next(tap for tap in encodec.taps() if tap.role == role)
    time = encodec.time_base(tap)
    assert (time.hop, time.span) == (hop, span)
    assert time.causal


def test_encodec_frames_end_with_their_own_hop(encodec):
    latent = next(tap for tap in encodec.taps() if tap.role == "latent")
    time = encodec.time_base(latent)
    assert time.unbounded_past
    assert time.samples(3).stop == 320 * 4


@pytest.mark.parametrize(
    ("role", "hop", "span"),
    [("conv.0", 1, 7), ("conv.1", 2, 88), ("conv.2", 8, 258), ("conv.3", 64, 1002),
     ("conv.4", 512, 6954), ("latent", 512, 7978)],
)  # fmt: skip
def test_dac_at_44_khz_hears_what_its_table_says(role, hop, span):
    small = {"encoder_hidden_size": 2, "decoder_hidden_size": 16, "codebook_size": 16}
    dac = random_model("dac", config=small)
    time = dac.time_base(next(tap for tap in dac.taps() if tap.role == role))
    assert (time.hop, time.span) == (hop, span)


def test_dac_frames_are_centred_half_a_stride_off():
    small = {"encoder_hidden_size": 2, "decoder_hidden_size": 16, "codebook_size": 16}
    dac = random_model("dac", config=small)
    time = dac.time_base(next(tap for tap in dac.taps() if tap.role == "latent"))
    assert time.centre(2) == 512 * 2 + Fraction(511, 2)


class Awkward(nn.Module):
    """Rectifiers and maxima as functions, in place and out of place: each can hide the gradient."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(1, 2, 5, stride=2, padding=1)
        self.b = nn.Conv1d(2, 2, 3, dilation=3)
        self.c = nn.Conv1d(2, 3, 4, stride=3)

    def forward(self, x):
        x = functional.max_pool1d(functional.relu(self.a(x), inplace=True), 3, 2)
        return self.c(torch.relu(self.b(x)))


def test_the_probe_finds_what_maxima_and_rectifiers_hide():
    torch.manual_seed(0)
    expected = (
        TimeBase(RATE)
        .after_conv(5, 2, 1)
        .after_pool(3, 2)
        .after_conv(3, dilation=3)
        .after_conv(4, 3)
    )
    assert measure_time_base(as_model(Awkward(), RATE), "c") == expected


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [(4, 2, 1, 1), (7, 3, 0, 1), (3, 4, 0, 1), (5, 2, 3, 2)],
)
def test_the_probe_agrees_with_composition_through_a_transposed_convolution(
    kernel, stride, padding, dilation
):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv1d(1, 3, 6, 4),
        nn.ConvTranspose1d(3, 2, kernel, stride, padding, 0, 1, True, dilation),
    )
    expected = (
        TimeBase(RATE).after_conv(6, 4).after_transposed_conv(kernel, stride, padding, dilation)
    )
    assert measure_time_base(as_model(module, RATE), "1") == expected


class Windows(nn.Module):
    """Windows folded into the batch, ``hop`` samples apart, and three frames within each."""

    def __init__(self, hop):
        super().__init__()
        self.hop = hop
        self.conv = nn.Conv1d(1, 4, 8, 8)

    def forward(self, x):
        windows = x[:, 0].unfold(-1, 24, self.hop)
        return self.conv(windows.flatten(0, 1)[:, None])


def test_windows_that_abut_are_frames_in_a_row():
    torch.manual_seed(0)
    assert measure_time_base(as_model(Windows(24), RATE), "conv") == TimeBase(
        RATE, Fraction(8), Fraction(7, 2), Fraction(8)
    )


@pytest.mark.parametrize("hop", [12, 36])
def test_windows_that_overlap_or_leave_gaps_are_refused(hop):
    torch.manual_seed(0)
    with pytest.raises(TapError, match="pieces of a clip in its batch axis"):
        measure_time_base(as_model(Windows(hop), RATE), "conv")


class LongSighted(nn.Module):
    """Four dilated convolutions that hear 0.6 s, with gaps: more than the first clip tried."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Conv1d(1, 1, 2, dilation=d) for d in (1, 60, 120, 300)))

    def forward(self, x):
        return self.layers(functional.pad(x, (481, 0)))


def test_a_long_past_is_not_taken_for_an_endless_one():
    torch.manual_seed(0)
    time = measure_time_base(as_model(LongSighted(), RATE), "layers.3")
    assert (time.hop, time.span, time.unbounded_past) == (1, 482, False)
    assert time.causal


class Fading(nn.Module):
    """A recurrence at 250 frames a second: within a second its gradient is smaller than any float."""

    def __init__(self, both=False):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 7, 4)
        self.gru = nn.GRU(4, 4, batch_first=True, bidirectional=both)
        self.head = nn.Linear(8 if both else 4, 2)

    def forward(self, x):
        return self.head(self.gru(self.conv(x).transpose(1, 2))[0].mean(1))


def test_a_past_that_fades_has_no_end():
    torch.manual_seed(0)
    time = measure_time_base(as_model(Fading(), RATE), "gru")
    assert time == TimeBase(RATE, Fraction(4), Fraction(6), unbounded_past=True)


def test_a_recurrence_both_ways_hears_all_however_it_fades():
    torch.manual_seed(0)
    time = measure_time_base(as_model(Fading(both=True), RATE), "gru")
    assert (time.hop, time.global_) == (4, True)


@pytest.mark.parametrize("both", [False, True])
def test_one_vector_of_a_clip_hears_all_but_what_the_stride_leaves(both):
    torch.manual_seed(0)
    time = measure_time_base(as_model(Fading(both=both), RATE), "head")
    assert time.global_


class Blocks(nn.Module):
    """Frames of 50 samples written out again as 50 samples each: one step every 50 outputs."""

    def __init__(self):
        super().__init__()
        self.analysis = nn.Conv1d(1, 3, 80, 50)
        self.synthesis = nn.Conv1d(3, 50, 1)
        self.last = nn.Identity()

    def forward(self, x):
        return self.last(self.synthesis(self.analysis(x)).transpose(1, 2).flatten(1)[:, None])


def test_samples_that_step_in_blocks_have_the_period_of_a_block():
    torch.manual_seed(0)
    time = measure_time_base(as_model(Blocks(), RATE), "last")
    # Output j hears samples 50 ⌊j / 50⌋ to 50 ⌊j / 50⌋ + 79, that is from j − 49 to j + 79.
    assert time == TimeBase(RATE, Fraction(1), Fraction(15), Fraction(129))


class Repeats(nn.Module):
    """Repeats what is shorter than a second, as taggers do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 5)

    def forward(self, x):
        return self.conv(x.repeat(1, 1, -(-RATE // x.shape[-1]))[..., :RATE])


def test_a_repeated_clip_is_not_taken_for_a_later_place():
    torch.manual_seed(0)
    model = as_model(Repeats(), RATE)
    model.probe_samples = RATE
    assert measure_time_base(model, "conv") == TimeBase(RATE).after_conv(5)
    model = as_model(Repeats(), RATE)
    model.probe_samples = RATE // 3
    with pytest.raises(TapError, match="repeats"):
        measure_time_base(model, "conv")


class RowNorm(nn.Module):
    """A two-dimensional batch norm over one row, whose gradient torch misreads when transposed."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 7, (1, 9), (1, 2), bias=False)
        self.norm = nn.BatchNorm2d(7)

    def forward(self, x):
        return self.norm(self.conv(x[:, None]))


def test_a_norm_over_one_row_hears_what_its_convolution_hears():
    torch.manual_seed(0)
    assert measure_time_base(as_model(RowNorm(), RATE), "norm") == TimeBase(RATE).after_conv(9, 2)
