"""Capture and edit beyond the traps: streaming, gradients, several passes, odd values, exact cost."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from auscult.core.errors import TapError
from auscult.core.timebase import TimeBase
from auscult.models.base import Method, Tap
from auscult.taps.capture import capture, intervene, run_capture
from auscult.testing.known_answer import CalledThrice, InPlace, KnownModel, Windowed, as_model

RATE = 800


def sound(batch=2, n=RATE, seed=5):
    return torch.randn(batch, 1, n, generator=torch.Generator().manual_seed(seed))


def built(cls):
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return as_model(cls(), RATE)


def test_a_stream_hands_over_each_pass_and_keeps_nothing():
    model, seen = built(InPlace), []
    with capture(model, ["conv"], on_fire=lambda a, r: seen.append((a, r.values))) as captured:
        for seed in range(3):
            model.forward(sound(seed=seed))
    assert [address for address, _ in seen] == ["conv"] * 3
    assert_close(seen[2][1], model.module.conv(sound(seed=2)).transpose(1, 2).detach())
    assert len(captured) == 0


def test_of_several_passes_the_last_is_kept():
    model = built(InPlace)
    with torch.no_grad(), capture(model, ["conv"]) as captured:
        for seed in range(2):
            model.forward(sound(seed=seed))
    assert_close(captured["conv"].values, model.module.conv(sound(seed=1)).transpose(1, 2).detach())


def test_several_taps_come_from_one_pass():
    model = built(InPlace)
    heard = run_capture(model, sound(), ["conv:in", "conv", "relu"])
    assert_close(heard["conv:in"].values, sound().transpose(1, 2))
    assert_close(heard["relu"].values, heard["conv"].values.relu())
    assert (heard["conv:in"].time.span, heard["conv"].time.span) == (1, 5)


def test_gradients_stay_attached_on_request():
    model, x = built(InPlace), sound().requires_grad_()
    with capture(model, ["conv"], detach=False) as captured:
        model.forward(x)
    captured["conv"].values[0, 10].sum().backward()
    assert x.grad[0, 0].nonzero().flatten().tolist() == [10, 11, 12, 13, 14]


def test_a_capture_is_cut_off_from_the_gradient_otherwise():
    model = built(InPlace)
    with capture(model, ["conv"]) as captured:
        model.forward(sound())
    assert not captured["conv"].values.requires_grad


def test_what_is_captured_in_inference_mode_can_be_trained_on():
    model = built(InPlace)
    with torch.inference_mode(), capture(model, ["conv"]) as captured:
        model.forward(sound())
    weight = torch.ones(4, requires_grad=True)
    (captured["conv"].values * weight).sum().backward()
    assert weight.grad is not None


def test_values_are_contiguous_copies_in_single_precision():
    class Precise(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Identity()

        def forward(self, x):
            return self.last(x.double().expand(-1, 3, -1))

    values = run_capture(built(Precise), sound(), ["last"])["last"].values
    assert values.is_contiguous()
    assert values.dtype == torch.float32


class Divides(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 1, bias=False)
        self.last = nn.Identity()

    def forward(self, x):
        return self.last(1 / self.conv(x))


def test_values_that_are_not_numbers_name_the_tap():
    x = sound()
    x[0, 0, 7] = 0
    with pytest.raises(TapError, match=r"last said values that are not finite"):
        run_capture(built(Divides), x, ["last"])


def test_large_values_are_numbers_even_where_their_sum_is_not():
    model = as_model(nn.Sequential(nn.Identity()), RATE)
    x = torch.full((1, 1, 64), 3e38)
    assert_close(run_capture(model, x, ["0"])["0"].values, x.transpose(1, 2))


def test_what_is_not_captured_is_said_so():
    model = built(InPlace)
    with capture(model, ["conv"]) as captured:
        with pytest.raises(TapError, match="conv has not fired yet"):
            captured["conv"]
        with pytest.raises(TapError, match="relu is not captured here"):
            captured["relu"]
        model.forward(sound())
    assert "conv" in captured
    assert "relu" not in captured


def test_a_stopped_pass_returns_nothing_and_the_block_goes_on():
    model, after = built(InPlace), []
    with capture(model, ["conv"], stop=True) as captured:
        after.append(model.forward(sound()))
    assert after == [None]
    assert len(captured) == 1


def test_an_exception_in_the_network_is_not_covered_up():
    model = built(InPlace)
    with pytest.raises(RuntimeError, match=r"Kernel size"), capture(model, ["conv", "relu"]):
        model.forward(torch.zeros(1, 1, 2))
    assert "forward" not in vars(model)


def test_calls_of_different_widths_have_no_common_order():
    class Widths(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv1d(1, 2, 1), nn.Conv1d(2, 3, 1)
            self.act = nn.Identity()

        def forward(self, x):
            return self.act(self.two(self.act(self.one(x))))

    with pytest.raises(TapError, match=r"different widths \(2, 3\)"):
        run_capture(built(Widths), sound(), ["act@*"])


def test_a_call_that_does_not_exist_is_refused():
    with pytest.raises(TapError, match=r"relu@5 does not exist: 'relu' was called 3 times"):
        run_capture(built(CalledThrice), sound(), ["relu@5"])


def test_an_edit_of_one_call_leaves_the_others():
    model = built(CalledThrice)
    plain = run_capture(model, sound(), ["relu@0", "relu@1"])
    with (
        torch.no_grad(),
        intervene(model, {"relu@1": lambda values, time: values * 0}),
        capture(model, ["relu@0", "relu@1"]) as captured,
    ):
        model.forward(sound())
    assert torch.equal(captured["relu@0"].values, plain["relu@0"].values)
    assert captured["relu@1"].values.abs().max() == 0


def test_an_edit_gets_its_own_copy_and_the_time_base():
    model, got = built(InPlace), []

    def spoil(values, time):
        got.append(time)
        values.zero_()
        return values + 1

    with torch.no_grad(), intervene(model, {"conv:in": spoil}):
        x = sound()
        model.forward(x)
    assert torch.equal(x, sound())
    assert got[0].hop == 1


def test_an_edit_sees_folded_frames_in_the_order_of_time():
    model = built(Windowed)

    def ramp(values, time):
        return torch.arange(values.shape[1])[None, :, None].expand_as(values).to(values.dtype)

    with torch.no_grad(), intervene(model, {"conv": ramp}):
        out = model.forward(sound(n=640))
    # Eight frames a window: their mean is 3.5, 11.5, …
    assert_close(out[0, :, 0], torch.arange(20) * 8 + 3.5)


def test_an_edit_that_returns_no_tensor_is_refused():
    model = built(InPlace)
    with (
        pytest.raises(TapError, match="returned a NoneType"),
        intervene(model, {"conv": lambda values, time: None}),
    ):
        model.forward(sound())


class Level(nn.Module):
    def decode(self, codes):
        return codes


class Residual(nn.Module):
    """A quantiser that decodes once to find what is left over, and once for good."""

    def __init__(self):
        super().__init__()
        self.level = Level()

    def encode(self, z):
        return z - self.level.decode(z.round())

    def decode(self, z):
        return self.level.decode(2 * z.round())

    def forward(self, x):
        self.encode(x)
        return self.decode(x)


class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.quantiser = Residual()

    def forward(self, x):
        return self.quantiser(x)


class Scoped(KnownModel):
    """Names the level's ``decode``, within the quantiser's own if so told."""

    scope = ""

    def taps(self):
        out = Method("decode", during=self.scope)
        return [Tap("quantiser.level", "level", "bct", {"out": out})]

    def time_base(self, tap, side="out"):
        return TimeBase(RATE)


def test_a_method_that_is_called_twice_is_refused():
    with pytest.raises(TapError, match="level was called 2 times"), torch.no_grad():
        model = Scoped(Coder(), RATE)
        with capture(model, ["level"]):
            model.forward(sound())


def test_a_method_is_read_only_within_the_method_that_its_family_names():
    model = Scoped(Coder(), RATE)
    model.scope = "quantiser.decode"
    with torch.no_grad(), capture(model, ["level"]) as captured:
        model.forward(sound())
    assert_close(captured["level"].values, 2 * sound().round().transpose(1, 2))
    assert not {"decode", "encode"} & vars(model.module.quantiser).keys()
