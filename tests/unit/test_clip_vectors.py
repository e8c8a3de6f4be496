"""What a network says once a clip: where it lies, and when it is heard."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from auscult.core.audio import Audio
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.experiment.listening import Listening
from auscult.experiment.spec import read_spec
from auscult.experiment.stages import valid_frames
from auscult.sounds.base import SoundClip
from auscult.taps.capture import intervene, run_capture
from auscult.taps.table import tap_table

RATE, CLIP = 8_000, 12_000
ONCE = TimeBase(RATE, Fraction(CLIP), Fraction(CLIP - 1, 2), Fraction(CLIP), global_=True)
NET = """
import torch
class Listener(torch.nn.Module):
    sample_rate = 8000
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 4, 32, 16)
        self.head = torch.nn.Linear(4, 2)
    def forward(self, x):
        return self.head(self.conv(x).mean(-1))
"""


MIXED = """
class Slow(torch.nn.Module):
    sample_rate = 8000
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 4, 4000, 4000, padding=2000)
        self.mixed = torch.nn.Identity()
    def forward(self, x):
        slow = self.conv(x)
        return self.mixed(slow + slow.mean(-1, keepdim=True))
"""


def listening_to(folder, factory="Listener", taps=("conv", "head"), **more):
    (folder / "net.py").write_text(NET + MIXED)
    return Listening(
        read_spec(
            {
                "name": "once",
                "model": {"type": "python", "path": str(folder / "net.py"), "factory": factory},
                "sounds": {"type": "noise", "n": 2, "seconds": 3.0, **more},
                "record": {"taps": list(taps)},
            }
        )
    )


@pytest.fixture
def listening(tmp_path):
    return listening_to(tmp_path, clip_seconds=1.5)


def test_what_is_said_once_a_clip_lies_in_the_middle_of_the_run_s_clips(listening):
    assert listening.times() == {"conv": TimeBase(RATE).after_conv(32, 16), "head": ONCE}


def test_of_whole_recordings_nothing_can_be_said_once_a_clip(tmp_path):
    with pytest.raises(ConfigError, match=r"^head speaks once a clip.*sounds\.clip_seconds"):
        listening_to(tmp_path).times()
    assert list(listening_to(tmp_path, taps=["conv"]).times()) == ["conv"]


def test_what_is_said_once_of_a_waveform_lies_in_the_middle_of_it(tmp_path):
    model, seen = listening_to(tmp_path).model(), []

    def look(values, time):
        seen.append(time)
        return values

    with intervene(model, {"head": look}):
        heard = run_capture(model, torch.zeros(2, 1, CLIP), ["head", "conv"])
    assert [heard["head"].time, *seen] == [ONCE, ONCE]
    assert heard["conv"].time == TimeBase(RATE).after_conv(32, 16)


def test_a_short_clip_s_only_frame_is_not_once_a_clip(tmp_path):
    time = listening_to(tmp_path, "Slow", ["mixed"]).times()["mixed"]
    assert (time.hop, time.global_) == (4000, True)


def test_the_table_of_taps_does_not_tell_the_length_of_its_own_probe(listening):
    (head,) = tap_table(listening.model(), "head")
    assert head.cells()[3:8] == ("1 x 2", "clip", "clip", "one a clip", "whole clip")


@pytest.mark.parametrize(("sounding", "kept"), [(slice(6_000, None), True), (slice(0, 0), False)])
def test_a_clip_that_begins_in_silence_is_no_silent_clip(sounding, kept):
    samples = np.zeros((1, CLIP), np.float32)
    samples[:, sounding] = 0.1
    clip = SoundClip("a#0", "a", Audio(samples, RATE, "a"), CLIP, {}, 0.0)
    assert valid_frames(clip, 1, ONCE, -60.0).tolist() == [kept]


@pytest.mark.parametrize(
    ("sounding", "kept"),
    [
        ((1_000, 1_080), [False, True, False, False]),
        ((1_599, 1_601), [False, True, True, False]),
        ((0, 0), [False] * 4),
    ],
)
def test_a_long_hop_is_silent_only_if_all_of_it_is(sounding, kept):
    samples = np.zeros((1, 3_200), np.float32)
    samples[:, slice(*sounding)] = 0.5
    clip = SoundClip("a#0", "a", Audio(samples, RATE, "a"), 3_200, {}, 0.0)
    assert valid_frames(clip, 4, TimeBase(RATE, Fraction(800)), -60.0).tolist() == kept


def test_a_short_hop_is_as_silent_as_its_block():
    samples = np.zeros((1, 320), np.float32)
    samples[:, 80:160] = 0.5
    clip = SoundClip("a#0", "a", Audio(samples, RATE, "a"), 320, {}, 0.0)
    kept = valid_frames(clip, 8, TimeBase(RATE, Fraction(40)), -60.0)
    assert kept.tolist() == [False, False, True, True, False, False, False, False]
