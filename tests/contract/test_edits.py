import pytest
import torch

from auscult.core.errors import ConfigError, WidthError
from auscult.interventions.base import EDITS
from auscult.testing.edits import TIME, EditContract

DIRECTION = [1.0, 0.0, -1.0, 0.5, 0.0, 2.0]


class TestAblateChannels(EditContract):
    name = "ablate"
    params = {"channels": [1, 4]}


class TestAblateDirection(EditContract):
    name = "ablate"
    params = {"direction": DIRECTION, "to": "mean"}


class TestSteer(EditContract):
    name = "steer"
    params = {"direction": DIRECTION}


class TestSteerRenormalised(EditContract):
    name = "steer"
    params = {"direction": DIRECTION, "renorm": "rms", "strength": 3.0}


def test_every_edit_has_a_contract_test():
    tested = {cls.name for cls in EditContract.__subclasses__()}
    assert {name for name in EDITS.names() if not name.startswith("example")} <= tested


def make(**section):
    cls, params = EDITS.parse(section, "edit")
    return cls(params)


@pytest.fixture
def values():
    return torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(3))


def test_steering_adds_exactly_alpha_times_the_direction(values):
    edited = make(type="steer", direction=DIRECTION, strength=2.5)(values, TIME)
    torch.testing.assert_close(edited, values + 2.5 * torch.tensor(DIRECTION), rtol=0, atol=0)


def test_renormalised_steering_keeps_the_level(values):
    edited = make(type="steer", direction=DIRECTION, renorm="rms", strength=9.0)(values, TIME)
    torch.testing.assert_close(edited.norm(dim=-1), values.norm(dim=-1), rtol=1e-5, atol=0)


def test_an_ablated_direction_is_gone_and_the_rest_stays(values):
    edited = make(type="ablate", direction=DIRECTION)(values, TIME)
    unit = torch.tensor(DIRECTION) / torch.tensor(DIRECTION).norm()
    torch.testing.assert_close(edited @ unit, torch.zeros(1, 5), rtol=0, atol=1e-6)
    across = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(edited @ across, values @ across)


@pytest.mark.parametrize(("strength", "gain"), [(1.0, 0.0), (0.5, 0.5), (-1.0, 2.0)])
def test_the_gain_of_ablated_channels_is_one_less_the_strength(values, strength, gain):
    edited = make(type="ablate", channels=[2], strength=strength)(values, TIME)
    torch.testing.assert_close(edited[..., 2], gain * values[..., 2])
    assert torch.equal(edited[..., :2], values[..., :2])


def test_ablation_to_the_mean_keeps_the_mean(values):
    edited = make(type="ablate", channels=[0], to="mean")(values, TIME)
    torch.testing.assert_close(edited[..., 0], values[..., 0].mean(1, keepdim=True).expand(1, 5))


@pytest.mark.parametrize(
    "section", [{}, {"channels": [0], "direction": DIRECTION}, {"channels": [6]}]
)
def test_contradictions_are_refused(values, section):
    with pytest.raises(ConfigError, match=r"one of the two|is not among"):
        make(type="ablate", **section)(values, TIME)


def test_a_direction_of_another_width_is_refused(values):
    with pytest.raises(WidthError, match="width 2, the tap has 6"):
        make(type="steer", direction=[1.0, 2.0])(values, TIME)
