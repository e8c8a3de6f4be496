"""The corpus that comes with the package is found, labelled and chosen from."""

import pytest

from auscult.core.errors import AudioError
from auscult.sounds.base import SOUNDS


def bundled(**params):
    cls, parsed = SOUNDS.parse({"type": "bundled", **params}, "sounds")
    return cls(parsed, 0)


def test_every_bundled_file_is_usable_and_labelled():
    source = bundled()
    assert all(r.labels["family"] and r.labels["kind"] for r in source.recordings())
    assert source.skipped == []


def test_a_kind_can_be_chosen():
    assert {r.labels["kind"] for r in bundled(kinds=["note"]).recordings()} == {"note"}


def test_notes_know_their_pitch():
    assert all(21 <= r.labels["pitch_midi"] <= 108 for r in bundled(kinds=["note"]).recordings())


def test_a_limit_holds_within_the_chosen_kind():
    assert len(bundled(kinds=["note"], limit=2).recordings()) == 2


def test_a_kind_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(AudioError, match=r"of kind \['nots'\]; there are .*'note'"):
        bundled(kinds=["nots"]).recordings()
