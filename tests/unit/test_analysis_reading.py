"""What analyses share: too little to measure is told from a damaged store."""

import numpy as np
import pytest

from auscult.analyses.base import BASE
from auscult.analyses.reading import drawn_moves, moves_or_reason, untested
from auscult.core.errors import NothingToMeasureError, NoVectorsError, StoreError
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
