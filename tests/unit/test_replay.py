"""Passes that begin at the first edited tap say the very bits of whole ones."""

import pytest
import torch
from torch import nn

from auscult.interventions.base import EDITS
from auscult.taps.capture import capture, intervene
from auscult.taps.replay import replaying
from auscult.testing.known_answer import CalledThrice, CellPerFrame, InPlace, Windowed, as_model
from auscult.testing.planted_neurons import planted_clips, planted_model

RATE = 8000


class Functional(nn.Module):
    """Rectifies a layer's output in place behind its back, and adds a skip."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = (nn.Conv1d(c, 4, 3, padding=1) for c in (1, 4, 4))

    def forward(self, x):
        x = self.one(x)
        torch.relu_(x)
        return self.three(torch.relu_(self.two(x)) + x)


def negated(values, time):
    del time
    return -values


def outputs(model, sound, taps, edits):
    with torch.no_grad(), intervene(model, edits), capture(model, taps) as heard:
        said = model.forward(sound)
    return said, {tap: heard[tap].values for tap in taps}


CASES = [
    (InPlace, "relu"),
    (CalledThrice, "convs.2"),
    (Functional, "three"),
    (Functional, "two"),
    (Windowed, "conv"),
]


@pytest.mark.parametrize(("kind", "tap"), CASES)
def test_a_pass_from_a_tap_on_says_what_a_whole_one_does(kind, tap):
    torch.manual_seed(0)
    model = as_model(kind(), RATE)
    sound = torch.randn(2, 1, 320)
    for edits in ({}, {tap: negated}):
        whole = outputs(model, sound, [tap], edits)
        with replaying(model, sound, [tap]):
            again = [outputs(model, sound, [tap], edits) for _ in range(2)]
        for one in again:
            assert torch.equal(one[0], whole[0])
            assert torch.equal(one[1][tap], whole[1][tap])
    assert torch.equal(outputs(model, sound, [tap], {})[0], model.module(sound))


def test_what_stands_before_is_not_computed_again():
    torch.manual_seed(0)
    model = as_model(Functional(), RATE)
    sound = torch.randn(1, 1, 64)
    with replaying(model, sound, ["three"]) as n_calls, torch.no_grad():
        assert n_calls == 2
        model.module.one.weight.zero_()
        said = model.forward(sound)
    assert said.abs().max() > model.module.three.bias.abs().max()


def test_a_module_that_also_runs_later_is_computed_there():
    torch.manual_seed(1)
    model = as_model(CalledThrice(), RATE)
    sound = torch.randn(1, 1, 64)
    whole = model.module(sound)
    with replaying(model, sound, ["convs.1"]) as n_calls, torch.no_grad():
        # The first convolution and the first call of the one rectifier.
        assert n_calls == 2
        assert torch.equal(model.forward(sound), whole)
        assert torch.equal(model.forward(sound), whole)


def test_a_cell_that_is_itself_watched_is_never_replayed():
    torch.manual_seed(2)
    model = as_model(CellPerFrame(), RATE)
    sound = torch.randn(1, 1, 64)
    with replaying(model, sound, ["cell@*"]) as n_calls, torch.no_grad():
        assert n_calls == 0
        assert torch.equal(model.forward(sound), model.module(sound))


def test_the_model_is_clean_after_an_error_in_the_block():
    model = planted_model()
    sound = planted_clips(1, 2).heard.waveform
    before = model.module(sound)
    with pytest.raises(ZeroDivisionError), replaying(model, sound, ["second.narrow:in"]):
        raise ZeroDivisionError
    assert all("forward" not in module.__dict__ for module in model.module.modules())
    assert torch.equal(model.module(sound), before)


def make(**section):
    cls, params = EDITS.parse({"type": "gain", **section}, "edit")
    return cls(params)


def test_silencing_around_a_mean_leaves_the_mean():
    from auscult.testing.edits import TIME

    values = torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(3))
    edited = make(channels=[1, 4], around=[[2.0, -1.0]])(values, TIME)
    assert torch.equal(edited[..., 1], torch.full((1, 5), 2.0))
    assert torch.equal(edited[..., 4], torch.full((1, 5), -1.0))
    assert torch.equal(edited[..., [0, 2, 3, 5]], values[..., [0, 2, 3, 5]])


def test_frames_of_other_sounds_come_one_after_another():
    from auscult.testing.edits import TIME

    values = torch.zeros(2, 5, 6)
    edited = make(channels=[2], around=[[1.0], [2.0]])(values, TIME)
    assert edited[1, :, 2].tolist() == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("gain", [0.0, 0.5, 2.0, 4.0])
def test_a_gain_multiplies(gain):
    from auscult.testing.edits import TIME

    values = torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(4))
    edited = make(channels=[3], gain=gain)(values, TIME)
    torch.testing.assert_close(edited[..., 3], gain * values[..., 3])


def test_columns_and_channels_that_do_not_fit_are_refused():
    from auscult.core.errors import ConfigError
    from auscult.testing.edits import TIME

    with pytest.raises(ConfigError, match="needs 2 values"):
        make(channels=[1, 2], around=[[1.0]])
    with pytest.raises(ConfigError, match="is not among"):
        make(channels=[9])(torch.zeros(1, 2, 6), TIME)
