"""The contract of a sound source: parametrise a test over :data:`CHECKS` and over your sources.

::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_source_keeps_the_contract(check):
        check({"type": "my-source", "path": "..."})
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from auscult.core.errors import AudioError
from auscult.sounds.base import SOUNDS, SoundSource, split

Section = Mapping[str, Any]


def _made(section: Section, seed: int = 0) -> SoundSource:
    cls, params = SOUNDS.parse(section, "sounds")
    return cls(params, seed)


def ids_are_unique_and_sorted(section: Section) -> None:
    """Recordings come sorted by an id that only one of them has."""
    ids = [recording.recording_id for recording in _made(section).recordings()]
    assert ids, "there are no recordings"
    assert ids == sorted(set(ids))


def each_content_comes_once(section: Section) -> None:
    """No two recordings have one digest, and a digest is a SHA-256."""
    digests = [recording.digest for recording in _made(section).recordings()]
    assert len(digests) == len(set(digests))
    assert all(len(bytes.fromhex(digest)) == 32 for digest in digests)


def listing_twice_gives_equal_recordings(section: Section) -> None:
    """The same section and seed list the same recordings, also in another instance."""
    source = _made(section)
    first, skipped = source.recordings(), list(source.skipped)
    assert source.recordings() == first
    assert source.skipped == skipped, "listing again skips again"
    assert _made(section).recordings() == first


def labels_are_text_or_finite_numbers(section: Section) -> None:
    """Labels can be written as strict JSON."""
    for recording in _made(section).recordings():
        assert all(isinstance(value, str | float) for value in recording.labels.values())
        json.dumps(dict(recording.labels), allow_nan=False)


def loading_does_not_depend_on_order(section: Section) -> None:
    """A recording has the same samples whatever was loaded before, and in another instance."""
    one, other = _made(section), _made(section)
    forward = [one.load(recording).samples for recording in one.recordings()]
    backward = [other.load(recording).samples for recording in reversed(one.recordings())]
    for expected, actual in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(actual, expected)


def sounds_are_finite_float32(section: Section) -> None:
    """Samples are float32 ``[channel time]``, finite, at least one, and name their recording."""
    source = _made(section)
    for recording in source.recordings():
        audio = source.load(recording)
        assert audio.samples.dtype == np.float32
        assert audio.n_samples > 0
        assert np.isfinite(audio.samples).all()
        assert audio.source == recording.recording_id


def a_told_duration_is_true(section: Section) -> None:
    """A duration that is told before loading is the duration, within one sample."""
    source = _made(section)
    for recording in source.recordings():
        audio = source.load(recording)
        if recording.duration_s is not None:
            tolerance = 1.5 / audio.sample_rate
            assert math.isclose(recording.duration_s, audio.duration_s, abs_tol=tolerance)


def another_rate_is_delivered(section: Section) -> None:
    """Asked for a sample rate, a source delivers it at the same duration."""
    source = _made(section)
    recording = source.recordings()[0]
    audio = source.load(recording, 11_025)
    assert audio.sample_rate == 11_025
    assert math.isclose(audio.duration_s, source.load(recording).duration_s, abs_tol=2 / 11_025)


def a_strange_recording_is_refused(section: Section) -> None:
    """A recording of another source raises AudioError rather than giving some sound."""
    source = _made(section)
    strange = replace(source.recordings()[0], recording_id="of/another/source")
    try:
        source.load(strange)
    except AudioError:
        return
    raise AssertionError("a recording of another source was loaded")


def a_split_uses_every_recording_once(section: Section) -> None:
    """Train and test share nothing and leave nothing out."""
    recordings = _made(section).recordings()
    sides = split(recordings, {"train": 0.5, "test": 0.5}, seed=0)
    assert sorted(r.recording_id for side in sides.values() for r in side) == sorted(
        recording.recording_id for recording in recordings
    )


def parameters_survive_json(section: Section) -> None:
    """Parameters written to a manifest and read back make an equal source."""
    cls, params = SOUNDS.parse(section, "sounds")
    again = json.loads(params.model_dump_json())
    assert SOUNDS.parse({"type": cls.registered_name, **again}, "sounds")[1] == params


CHECKS: tuple[Callable[[Section], None], ...] = (
    ids_are_unique_and_sorted,
    each_content_comes_once,
    listing_twice_gives_equal_recordings,
    labels_are_text_or_finite_numbers,
    loading_does_not_depend_on_order,
    sounds_are_finite_float32,
    a_told_duration_is_true,
    another_rate_is_delivered,
    a_strange_recording_is_refused,
    a_split_uses_every_recording_once,
    parameters_survive_json,
)
"""Every promise of :class:`auscult.sounds.base.SoundSource`, as a function of a section."""
