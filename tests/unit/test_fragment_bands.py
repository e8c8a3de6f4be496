"""Spectra around fragments: a unit that marks one band, and one that marks nothing."""

import numpy as np
import pytest

from auscult.analyses.base import BASE, ClipSound
from auscult.analyses.parts.dictionaries.fragment_bands import (
    DRAWN_FRAGMENTS,
    BandSettings,
    band_measurements,
    unit_bands,
)
from auscult.core.errors import NothingToMeasureError
from auscult.measures.fragment_spectra import band_of
from auscult.testing.planted import TAP, PlantedContext

RATE, TONE_HZ = 16_000, 1_000.0
SETTINGS = BandSettings(n_units=2, n_fragments=40, n_samples=2048, most_vectors=20_000)


def drawn(number):
    """White noise with bursts of a tone, and the frames at which each of two units is on."""
    rng = np.random.default_rng(number)
    t = np.arange(RATE)
    wave = 0.05 * rng.standard_normal(RATE)
    tone = t // 2000 == 3
    wave += 0.1 * np.sin(2 * np.pi * TONE_HZ * t / RATE) * tone
    marks = tone & (np.abs(t % 2000 - 1000) < 200)
    return wave.astype(np.float32), np.stack([marks, ~marks & (rng.random(RATE) < 0.05)], 1)


class Bursts(PlantedContext):
    def __init__(self, folder, quiet=False):
        count = iter(range(100))
        self.quiet = quiet
        plant = lambda rng: drawn(next(count))[1] * (0.0 if quiet else 1.0)  # noqa: E731
        super().__init__(folder, {BASE: plant}, {BASE: [np.eye(2, dtype=np.float32)]}, 4)

    def sound(self, clip_id, condition=BASE):
        side, number = clip_id.split("-")
        wave = drawn(int(number) + 4 * (side == "test"))[0]
        return ClipSound(clip_id, clip_id, wave, {})


@pytest.fixture(scope="module")
def bands(tmp_path_factory):
    context = Bursts(tmp_path_factory.mktemp("bursts"))
    dictionary = context.dictionaries("features", TAP)[0]
    return unit_bands(context, TAP, BASE, dictionary, 0, SETTINGS)


def test_a_unit_that_marks_a_tone_has_a_narrow_spectrum_and_random_fragments_have_none(bands):
    tone, nothing = (int(np.flatnonzero(bands.units == unit)[0]) for unit in (0, 1))
    own, null = bands.own[tone], bands.drawn[tone]
    assert own.width_octaves < 1 / 3 < null.width_octaves
    assert own.half_energy_hz < 60
    assert null.half_energy_hz > 10 * own.half_energy_hz
    assert own.flatness < 0.5 * null.flatness
    idle, idle_null = bands.own[nothing], bands.drawn[nothing]
    assert idle.width_octaves > 1
    assert idle.flatness == pytest.approx(idle_null.flatness, rel=0.6)


def test_the_shown_spectrum_is_that_of_the_narrowest_unit_and_peaks_at_its_tone(bands):
    assert bands.hz[bands.narrowest.argmax()] == pytest.approx(TONE_HZ, rel=0.03)
    assert bands.narrowest.max() > 3 * bands.beside.max()


def test_every_number_stands_beside_random_fragments(bands):
    numbers = band_measurements(TAP, "features", {"own": bands, "random": bands}, 1 / 3)
    assert [one.unit for one in numbers] == ["", "Hz", "octaves", ""]
    for one in numbers:
        assert set(one.controls) == {DRAWN_FRAGMENTS, "random"}
        assert one.controls["random"] == pytest.approx(one.value, nan_ok=True)
    assert numbers[-1].value == 0.5
    assert numbers[-1].controls[DRAWN_FRAGMENTS] == 0.0


def test_units_that_are_never_on_have_no_spectra(tmp_path):
    context = Bursts(tmp_path, quiet=True)
    with pytest.raises(NothingToMeasureError, match="on at two frames"):
        unit_bands(context, TAP, BASE, context.dictionaries("features", TAP)[0], 0, SETTINGS)


def test_silent_fragments_have_no_band():
    silent = np.full(9, np.nan)
    assert np.isnan(band_of(np.arange(9.0), silent, np.ones(9)).flatness)
