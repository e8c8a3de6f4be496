"""Equal loudness against BS.1770: its coefficients, its test tone, its gates."""

import numpy as np
import pytest

from auscult.core import loudness
from auscult.report.loudness import Loudness


def tone(level_dbfs: float, seconds: float = 3.0, rate: int = 48_000, hz: float = 997.0):
    time = np.arange(round(seconds * rate)) / rate
    return (10 ** (level_dbfs / 20) * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def test_coefficients_at_48_khz_are_those_of_the_standard():
    # BS.1770, tables 1 and 2.
    shelf = [
        1.53512485958697,
        -2.69169618940638,
        1.19839281085285,
        1,
        -1.69065929318241,
        0.73248077421585,
    ]
    high_pass = [1.0, -2.0, 1.0, 1, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(loudness._shelf(48_000), shelf, atol=1e-10)
    np.testing.assert_allclose(loudness._high_pass(48_000), high_pass, atol=1e-10)


@pytest.mark.parametrize("rate", [48_000, 44_100, 24_000, 16_000])
def test_the_standard_tone_at_full_scale_reads_minus_3_01(rate):
    assert Loudness(tone(0.0, rate=rate), rate).integrated() == pytest.approx(-3.01, abs=0.05)


def test_the_reading_follows_the_level_decibel_by_decibel():
    assert Loudness(tone(-20.0), 48_000).integrated() == pytest.approx(-23.01, abs=0.02)


def test_silence_around_a_tone_does_not_change_its_reading():
    quiet = np.zeros(48_000 * 5, np.float32)
    padded = np.concatenate([quiet, tone(-20.0, 20.0), quiet])
    assert Loudness(padded, 48_000).integrated() == pytest.approx(-23.01, abs=0.1)


def test_a_quiet_stretch_falls_below_the_relative_gate():
    # EBU Tech 3341, case 3, shortened: -36, -23, -36 LUFS reads -23.
    tones = [tone(-33.0, 4.0), tone(-20.0, 24.0), tone(-33.0, 4.0)]
    assert Loudness(np.concatenate(tones), 48_000).integrated() == pytest.approx(-23.0, abs=0.1)


def test_an_excerpt_is_measured_on_its_own():
    both = Loudness(np.concatenate([tone(-10.0), tone(-30.0)]), 48_000)
    assert both.gain(0.0, 3.0).db == pytest.approx(-23 + 13.01, abs=0.05)
    assert both.gain(3.5, 6.0).db == pytest.approx(-23 + 33.01, abs=0.05)


def test_below_400_ms_the_level_is_root_mean_square():
    gain = Loudness(tone(-20.0), 48_000).gain(1.0, 1.3)
    assert gain.unit == "dBFS RMS"
    assert gain.loudness == pytest.approx(-23.01, abs=0.01)


def test_the_peak_stays_below_minus_1_dbfs():
    clicks = np.zeros(48_000, np.float32)
    clicks[::4800] = 0.5
    gain = Loudness(clicks, 48_000).gain(0.0, 1.0)
    assert gain.limited
    assert 0.5 * 10 ** (gain.db / 20) == pytest.approx(10 ** (-1 / 20))


def test_silence_is_not_turned_up():
    assert Loudness(np.zeros(48_000, np.float32), 48_000).gain(0.0, 1.0).db == 0.0
