"""What a network says once a clip: where it lies, and when it is heard."""

from fractions import Fraction

import numpy as np
import pytest

from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase
from auscult.experiment.listening import Listening
from auscult.experiment.spec import read_spec
from auscult.experiment.stages import valid_frames
from auscult.sounds.base import SoundClip
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


@pytest.fixture
def listening(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    return Listening(
        read_spec(
            {
                "name": "once",
                "model": {
                    "type": "python",
                    "path": str(tmp_path / "net.py"),
                    "factory": "Listener",
                },
                "sounds": {"type": "noise", "n": 2, "seconds": 3.0, "clip_seconds": 1.5},
                "record": {"taps": ["conv", "head"]},
            }
        )
    )


def test_what_is_said_once_a_clip_lies_in_the_middle_of_the_run_s_clips(listening):
    assert listening.times() == {"conv": TimeBase(RATE).after_conv(32, 16), "head": ONCE}


def test_the_table_of_taps_does_not_tell_the_length_of_its_own_probe(listening):
    (head,) = tap_table(listening.model(), "head")
    assert head.cells()[3:8] == ("1 x 2", "clip", "clip", "one a clip", "whole clip")


@pytest.mark.parametrize(("sounding", "kept"), [(slice(6_000, None), True), (slice(0, 0), False)])
def test_a_clip_that_begins_in_silence_is_no_silent_clip(sounding, kept):
    samples = np.zeros((1, CLIP), np.float32)
    samples[:, sounding] = 0.1
    clip = SoundClip("a#0", "a", Audio(samples, RATE, "a"), CLIP, {}, 0.0)
    assert valid_frames(clip, 1, ONCE, -60.0).tolist() == [kept]
