"""Every edit keeps the contract, and each does what its sentence says."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.core.errors import ConfigError, WidthError
from auscult.core.tensors import write_arrays
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.interventions.base import EDITS, span_share
from auscult.interventions.clamp import Clamp, ClampParams
from auscult.interventions.control import ControlProvenance, ControlVector
from auscult.interventions.patch import Patch, PatchParams
from auscult.interventions.splice import Splice, SpliceParams
from auscult.testing.edits import TIME, EditContract

DIRECTION = [1.0, 0.0, -1.0, 0.5, 0.0, 2.0]


def small_dictionary(d_in: int = 6, n_features: int = 9) -> Dictionary:
    """A sparse autoencoder that was never trained: it rebuilds badly, which is what floors show."""
    section = {"type": "relu", "n_features": n_features, "centre": False, "scale": False}
    cls, params = DICTIONARIES.parse(section, "dictionary")
    made = cls.build(params, d_in)
    # As drawn, encoders have no bias: a third of the features is on for a vector.
    return made.eval()


class TestLowPass(EditContract):
    name = "low-pass"
    params = {"factor": 2, "n_zeros": 2}


class TestAblateChannels(EditContract):
    name = "ablate"
    params = {"channels": [1, 4]}


class TestAblateDirection(EditContract):
    name = "ablate"
    params = {"direction": DIRECTION, "to": "mean"}


class TestClamp(EditContract):
    name = "clamp"
    params = {"features": [2, 5], "to": 3.0}

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path):
        small_dictionary().save(tmp_path / "d")
        self.params = {**self.params, "dictionary": str(tmp_path / "d")}


class TestClampThroughTheDictionary(TestClamp):
    params = {"features": [2, 5], "to": 3.0, "keep_error": False}


class TestSplice(EditContract):
    name = "splice"

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path):
        small_dictionary().save(tmp_path / "d")
        self.params = {"dictionary": str(tmp_path / "d")}


class TestControl(EditContract):
    name = "control"

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path):
        told = ControlProvenance("m", "w", "t", TIME, "loudness", "more", "by hand")
        direction = np.array(DIRECTION, np.float32)
        ControlVector("loud", direction, told, renorm="rms").save(tmp_path / "v")
        self.params = {"vector": str(tmp_path / "v"), "strength": 2.0}


class TestControlOfFeatures(TestControl):
    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path):
        told = ControlProvenance("m", "w", "t", TIME, "loudness", "more", "by hand")
        direction = np.linspace(-1, 1, 9).astype(np.float32)
        rule = {"space": "features", "dictionary": small_dictionary(), "renorm": "rms"}
        ControlVector("loud", direction, told, **rule).save(tmp_path / "v")
        self.params = {"vector": str(tmp_path / "v"), "strength": 2.0}


class TestPatch(EditContract):
    name = "patch"

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path):
        rng = np.random.default_rng(5)
        write_arrays(
            tmp_path / "12.safetensors", {"values": rng.standard_normal((12, 6), np.float32)}
        )
        self.params = {"source": str(tmp_path / "12.safetensors")}

    def test_the_model_is_restored(self, values):
        """Its sounds have 62 frames, and what is copied must have as many."""
        rng = np.random.default_rng(5)
        write_arrays(
            Path(self.params["source"]), {"values": rng.standard_normal((62, 6), np.float32)}
        )
        super().test_the_model_is_restored(values)


class TestGain(EditContract):
    name = "gain"
    params = {"channels": [1, 4], "around": [[0.5, -2.0]]}


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


@pytest.mark.parametrize("channel", [6, -1])
def test_the_channel_that_there_is_not_is_named(values, channel):
    with pytest.raises(ConfigError, match=rf"channel {channel} is not among"):
        make(type="gain", channels=[0, channel])(values, TIME)


def test_a_direction_without_a_length_is_refused(values):
    with pytest.raises(ConfigError, match="this one has none"):
        make(type="ablate", direction=[0.0] * len(DIRECTION))(values, TIME)


def test_a_direction_of_another_width_is_refused(values):
    with pytest.raises(WidthError, match="width 2, the tap has 6"):
        make(type="steer", direction=[1.0, 2.0])(values, TIME)


def test_a_crossfade_is_a_raised_cosine_inside_the_span():
    # Hops are centred at 0.005 s, 0.015 s, …: 0.02 s of fade hold two of them on each side.
    share = span_share(12, TIME, 0.03, 0.09, 0.02)
    rising = [(1 - math.cos(math.pi * since / 0.02)) / 2 for since in (0.005, 0.015)]
    falling = [(1 - math.cos(math.pi * left / 0.02)) / 2 for left in (0.015, 0.005)]
    expected = [0, 0, 0, *rising, 1, 1, *falling, 0, 0, 0]
    np.testing.assert_allclose(share, expected, atol=1e-12)


def test_a_fade_longer_than_half_of_the_span_is_half_of_it():
    share = span_share(12, TIME, 0.02, 0.06, 1.0)
    np.testing.assert_allclose(share, span_share(12, TIME, 0.02, 0.06, 0.02))
    assert share.max() < 1


def test_frames_count_by_their_own_hop_however_far_they_look_back():
    looking_back = TIME.after_conv(kernel=9, padding=8)
    assert looking_back.seconds(5) < 0.02  # the middle of what frame 5 heard
    np.testing.assert_array_equal(span_share(6, looking_back, 0.03, 0.05), [0, 0, 0, 1, 1, 0])


def test_an_open_end_is_not_faded():
    np.testing.assert_array_equal(span_share(4, TIME, None, 0.03, 0.0), [1, 1, 1, 0])
    assert span_share(12, TIME, 0.03, None, 0.02)[-1] == 1
    assert span_share(12, TIME, None, None, 0.02) is None


def test_a_faded_edit_mixes_by_its_share(values):
    edit = make(
        type="steer", direction=DIRECTION, strength=2.0, start_s=0.0, stop_s=0.05, fade_s=0.02
    )
    share = span_share(5, TIME, 0.0, 0.05, 0.02).float()
    expected = values + 2 * share[None, :, None] * torch.tensor(DIRECTION)
    torch.testing.assert_close(edit(values, TIME), expected)


def test_a_span_that_ends_before_it_starts_is_refused():
    with pytest.raises(ConfigError, match=r"ends at 0.2 s, before it starts at 0.5 s"):
        make(type="steer", direction=DIRECTION, start_s=0.5, stop_s=0.2)


def test_splicing_is_the_dictionary_itself(values):
    dictionary = small_dictionary()
    edited = Splice(SpliceParams(), dictionary)(values, TIME)
    assert torch.equal(edited, dictionary(values))
    half = Splice(SpliceParams(strength=0.5), dictionary)(values, TIME)
    torch.testing.assert_close(half, (values + dictionary(values)) / 2)


def test_splicing_some_features_leaves_what_they_rebuild(values):
    dictionary = small_dictionary()
    acts = dictionary.encode(values)
    acts[..., [0, 1, 2, 4, 5, 6, 7, 8]] = 0
    edited = Splice(SpliceParams(features=(3,)), dictionary)(values, TIME)
    torch.testing.assert_close(edited, dictionary.decode(acts))


def test_a_clamped_feature_moves_vectors_along_its_atom_alone(values):
    dictionary = small_dictionary()
    edited = Clamp(ClampParams(features=(4,), to=2.5), dictionary)(values, TIME)
    atom = dictionary.decode(torch.eye(9)[4]) - dictionary.decode(torch.zeros(9))
    step = 2.5 - dictionary.encode(values)[..., 4]
    torch.testing.assert_close(edited - values, step[..., None] * atom, rtol=1e-4, atol=1e-5)


def test_clamping_through_the_dictionary_gives_up_what_it_cannot_say(values):
    dictionary = small_dictionary()
    acts = dictionary.encode(values)
    acts[..., 4] = 2.5
    edited = Clamp(ClampParams(features=(4,), to=2.5, keep_error=False), dictionary)(values, TIME)
    torch.testing.assert_close(edited, dictionary.decode(acts))


def test_a_feature_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="feature 9 is not among the dictionary's 9"):
        Clamp(ClampParams(features=(9,)), small_dictionary())
    with pytest.raises(ConfigError, match="needs a dictionary"):
        Splice(SpliceParams())


def test_patching_copies_and_patches_channels_alone(values):
    source = torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(4))
    assert torch.equal(Patch(PatchParams(), source)(values, TIME), source)
    some = Patch(PatchParams(channels=(1, 4)), source)(values, TIME)
    assert torch.equal(some[..., [1, 4]], source[..., [1, 4]])
    assert torch.equal(some[..., [0, 2, 3, 5]], values[..., [0, 2, 3, 5]])


def test_a_source_of_another_length_or_width_is_refused(values):
    with pytest.raises(ConfigError, match="copy between sounds of one length"):
        Patch(PatchParams(), torch.zeros(4, 6))(values, TIME)
    with pytest.raises(WidthError, match="width 7, the tap has 6"):
        Patch(PatchParams(), torch.zeros(5, 7))(values, TIME)
    with pytest.raises(ConfigError, match="needs a source"):
        Patch(PatchParams())
