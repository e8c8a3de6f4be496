"""Sounds that an analysis makes: kept with the run, played by its page."""

import numpy as np
import pytest
import soundfile

from auscult.analyses.base import ANALYSES, MadeSound, Measurement, Result
from auscult.analyses.base import Analysis as Question
from auscult.core.config import Config
from auscult.core.errors import InvariantError
from auscult.core.manifest import digests_below
from auscult.core.tensors import read_json
from auscult.experiment.run import run
from auscult.report.render import render
from tests.e2e.conftest import tiny_spec

RATE = 16_000


class Params(Config):
    """How loud the tone is, and whether the analysis forgets to hand it over."""

    peak: float = 0.5
    forgets: bool = False


def tone(peak):
    seconds = np.arange(RATE // 2) / RATE
    return MadeSound(peak * np.sin(2 * np.pi * 440 * seconds), RATE, "a tone of 440 Hz")


@ANALYSES.register("example-tone")
class ExampleTone(Question):
    """Plays a tone that no recording holds."""

    Params = Params
    title = "A tone"
    question = "Can it be heard?"

    @classmethod
    def controls(cls, params):
        return ()

    def run(self, context, params):
        sound = tone(params.peak)
        spare = MadeSound(np.zeros(100), RATE, "nobody plays this")
        number = Measurement("peak", params.peak, "", {"silence": 0.0}, tap=context.taps[0])
        sounds = () if params.forgets else (sound, spare)
        return Result((number,), blocks=(sound.clip(stop_s=0.25),), sounds=sounds)

    def view(self, result):
        return list(result.blocks)


def asked(**params):
    return tiny_spec(analyses=[{"type": "example-tone", **params}])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    run(asked(peak=2.0), folder)
    return folder


def test_the_sound_that_a_page_plays_is_kept_and_no_other(kept):
    index = read_json(kept / "clips" / "index.json")
    assert list(index) == [tone(2.0).clip_id]
    (entry,) = index.values()
    samples, rate = soundfile.read(kept / entry["file"])
    assert rate == RATE
    peak_hz = np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples)
    assert peak_hz == pytest.approx(440, abs=2)
    np.testing.assert_allclose(samples / entry["gain"], tone(2.0).waveform, atol=2e-4)


def test_the_page_offers_it(kept):
    index = render(kept)
    assert "a tone of 440 Hz" in (index.parent / "example-tone.html").read_text()
    assert list((index.parent / "clips").glob("*tone*440*"))


def test_another_run_keeps_the_same_bytes(kept, tmp_path):
    run(asked(peak=2.0), tmp_path / "again")
    assert digests_below(tmp_path / "again", ["clips"]) == digests_below(kept, ["clips"])


def test_a_sound_that_was_not_handed_over_is_a_bug(tmp_path):
    with pytest.raises(InvariantError, match="did not keep"):
        run(asked(forgets=True), tmp_path / "run")


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros((1, 1, 4)), np.array([0.0, np.nan])])
def test_what_is_no_sound_is_refused(waveform):
    with pytest.raises(InvariantError):
        MadeSound(waveform, RATE, "broken")
