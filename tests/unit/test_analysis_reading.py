"""What analyses share: too little to measure is told from a damaged store."""

from typing import ClassVar

import numpy as np
import pytest

from auscult.analyses.base import BASE, ClipSound
from auscult.analyses.parts.answering import Gathered, in_turn, untested
from auscult.analyses.parts.reading import (
    chosen_tap,
    drawn_moves,
    longest_clips,
    moves_or_reason,
    spread_over_recordings,
)
from auscult.core.errors import (
    NothingToMeasureError,
    NoVectorsError,
    StoreError,
    UnknownNameError,
)
from auscult.testing.planted import TAP, PlantedContext


def planted(folder, n_frames=30):
    def plant(rng):
        return rng.standard_normal((n_frames, 4))

    return PlantedContext(folder, {BASE: plant}, {BASE: [np.eye(4)]})


def test_a_lag_longer_than_every_clip_leaves_no_vectors(tmp_path):
    with pytest.raises(NoVectorsError, match="no generators of lag 40"):
        drawn_moves(planted(tmp_path), TAP, 40, 100)
    assert "sample longer runs" in moves_or_reason(planted(tmp_path / "again"), TAP, 40, 100)


def test_a_selection_of_nothing_has_no_vectors(tmp_path):
    with pytest.raises(NoVectorsError, match="is selected"):
        planted(tmp_path).store(TAP).select(["nobody"])


def test_too_few_moves_are_counted_and_called_by_their_name(tmp_path):
    with pytest.raises(NothingToMeasureError, match=r"^only 174 of the drawn generators move$"):
        drawn_moves(planted(tmp_path), TAP, 1, 500, fewest=175, told="of the drawn generators")
    assert moves_or_reason(planted(tmp_path / "again"), TAP, 1, 50) == "only 50 generators move"


def test_a_damaged_shard_is_no_reason(tmp_path):
    context = planted(tmp_path)
    for shard in tmp_path.rglob("0*.safetensors"):
        shard.chmod(0o644)
        with shard.open("r+b") as file:
            file.write(b"\xff" * 16)
    with pytest.raises(StoreError) as caught:
        moves_or_reason(context, TAP, 1, 100)
    assert not isinstance(caught.value, NothingToMeasureError)


def test_what_cannot_be_tested_has_its_nulls_without_a_number():
    found = untested("Nobody knows.", "Too few.", "P1-06", "cosine", TAP, ["noise"], "0.9 (P1)")
    assert found.verdict == "cannot be tested here"
    assert (found.claim, found.reason) == ("P1-06", "Too few.")
    one = found.measurement
    assert (one.tap, one.published, list(one.controls)) == (TAP, "0.9 (P1)", ["noise"])
    assert np.isnan([one.value, one.controls["noise"]]).all()


class Sounds(PlantedContext):
    """Two recordings, the first of which ends with a sliver; and one more than is asked for."""

    lengths: ClassVar = {"a#0": 100, "a#1": 3, "b#0": 5, "b#1": 90, "c#0": 100}

    def __init__(self):
        self.seed = 0
        self.taps = [TAP]

    def clip_ids(self, split="test", condition=BASE):
        return list(self.lengths)

    def sound(self, clip_id, condition=BASE):
        return ClipSound(clip_id, clip_id[0], np.zeros(self.lengths[clip_id]), {})


def test_the_longest_clip_of_each_recording_is_taken():
    found = longest_clips(Sounds(), 2)
    assert [one.clip_id for one in found] == ["a#0", "b#1"]


def test_no_clip_is_a_reason():
    class Silent(Sounds):
        lengths: ClassVar = {}

    with pytest.raises(NothingToMeasureError, match="no clip"):
        longest_clips(Silent(), 2)


def test_a_tap_that_is_not_recorded_is_refused_with_those_that_are(tmp_path):
    context = planted(tmp_path)
    assert chosen_tap(context, None) == chosen_tap(context, TAP) == TAP
    with pytest.raises(UnknownNameError, match=f"no recorded tap '{TAP}x'; did you mean '{TAP}'"):
        chosen_tap(context, f"{TAP}x")


def test_how_much_is_done_is_said_after_each_one_passed_over_ones_included(tmp_path, monkeypatch):
    told, seen, context = [], [], planted(tmp_path)
    monkeypatch.setattr(context, "advance", told.append)
    for one in in_turn(context, ("a", "b", "c", "d")):
        if one == "b":
            continue
        seen.append((one, *told))
    assert seen == [("a",), ("c", 0.25, 0.5), ("d", 0.25, 0.5, 0.75)]
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_a_judged_number_is_told_once_and_first():
    found = Gathered()
    other, one = (untested(name, "Why.", "", name, TAP, ["noise"]) for name in ("other", "one"))
    found.measurements.append(other.measurement)
    found.add(one)
    found.judgements.append(untested("new", "Why.", "", "new", TAP, ["noise"]))
    told = [measured.name for measured in found.judged_first({}).measurements]
    assert told == ["new", "other", "one"]


def test_clips_are_of_as_many_recordings_as_there_are():
    ids = ["a#0", "a#1", "a#2", "b#0", "c d#0", "c d#1", "e"]
    assert spread_over_recordings(ids, 5) == ["a#0", "b#0", "c d#0", "e", "a#1"]
    assert spread_over_recordings(ids, 99) == [*ids[:1], "b#0", "c d#0", "e", "a#1", "c d#1", "a#2"]
    assert spread_over_recordings([], 3) == []
