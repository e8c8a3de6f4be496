"""Tones that share a sound, peaks at the end of the range, and filters that are not there."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from auscult.analyses.base import BASE, Measurement
from auscult.analyses.filters import _bound_verdict
from auscult.analyses.narrow_band import _judgement, _played
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.measures.tones import (
    COMPANY,
    gammatone_bank,
    narrow_bank,
    tones_in_company,
    widths_octaves,
)


class Plain:
    """A context whose tap gives every fourth sample."""

    def __init__(self, probe_samples, global_):
        self.base = TimeBase(8000, Fraction(4), global_=global_)
        self.probe_samples = probe_samples
        self.lengths = []

    def time(self, tap):
        return self.base

    def model(self, weights):
        return SimpleNamespace(probe_samples=self.probe_samples)

    def hear(self, tap, waves, weights):
        self.lengths.append(waves.shape[1])
        return Responses(torch.from_numpy(waves[:, ::4, None].copy()), self.base)


def heard(context):
    # The stand-in is no whole context: ask the function beneath the check of types.
    played = getattr(_played, "__wrapped__", _played)
    waves = np.repeat(np.arange(1.0, 8.0, dtype=np.float32)[:, None], 100, axis=1)
    return [
        set(values[inside.start : inside.stop].ravel().tolist())
        for values, inside in played(context, "tap", BASE, waves)
    ]


@pytest.mark.parametrize(("probe", "global_", "length"), [(250, False, 300), (250, True, 100)])
def test_each_tone_is_heard_alone_also_where_tones_share_a_sound(probe, global_, length):
    context = Plain(probe, global_)
    assert heard(context) == [{float(i)} for i in range(1, 8)]
    assert set(context.lengths) == {length}


def test_a_peak_at_the_end_of_the_range_counts_both_halves():
    tones = 100 * 2 ** (np.arange(25) / 12)
    middle = np.exp(-0.5 * ((np.arange(25) - 12) / 3) ** 2)
    end = np.exp(-0.5 * ((np.arange(25) - 24) / 3) ** 2)
    widths = widths_octaves(tones, np.stack([middle, end, np.zeros(25)])[None])[0]
    assert widths[1] == pytest.approx(widths[0], rel=0.02)
    assert np.isnan(widths[2])


@pytest.mark.parametrize("company", COMPANY)
def test_a_narrow_filter_answers_to_its_tone_in_any_company(company):
    tones = np.array([500.0, 1000.0, 2000.0])
    waves = tones_in_company(company, tones, 8000, 8000, np.random.default_rng(0))
    assert narrow_bank(waves, tones, 8000)[1].argmax() == 1


def test_gammatones_pass_their_centre_unchanged_in_level():
    t = np.arange(8000) / 8000
    wave = np.sin(2 * np.pi * 1000 * t)[None]
    filtered = gammatone_bank(wave, np.array([500.0, 1000.0, 2000.0]), 8000)[0, 2000:]
    level = filtered.std(0) * 2**0.5
    assert level[1] == pytest.approx(1.0, abs=0.05)
    assert level[[0, 2]].max() < 0.05


@pytest.mark.parametrize(
    ("value", "bank", "verdict"),
    [
        (0.0, 1.0, "holds"),
        (0.05, 1.0, "does not hold"),
        (0.0, 0.8, "cannot be tested here"),
        (float("nan"), 1.0, "cannot be tested here"),
    ],
)
def test_few_narrow_units_are_what_the_claim_asks_where_the_bank_passes(value, bank, verdict):
    nulls = {"filter bank of 1/6 octave (must pass)": bank, "random weights, real sounds": 0.0}
    one = Measurement("share", value, "", nulls, tap="conv.0")
    assert _judgement("archetypes", one).verdict == verdict


@pytest.mark.parametrize(
    ("own", "random", "verdict"),
    [
        (900.0, 1000.0, "holds"),
        (400.0, 1000.0, "does not hold"),
        (900.0, 400.0, "does not hold"),
        (float("nan"), 900.0, "cannot be tested here"),
    ],
)
def test_the_resolution_holds_unless_filters_are_far_narrower(own, random, verdict):
    nulls = {
        "these filters' median bandwidth at -3 dB": own,
        "random weights, median": random,
    }
    assert _bound_verdict(Measurement("f_s / K", 1000.0, "Hz", nulls)) == verdict
