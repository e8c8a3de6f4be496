"""Paths through a plane: common frames, and the still."""

import numpy as np
import pytest

from auscult.blocks import Animation, Axis, Clip, Text
from auscult.report.motion import common_extents, still

CLIP = Clip("a#0", 0.0, 1.0, "a")
PLANE = (Axis("one"), Axis("two"))


def path(x, y, axes=PLANE):
    values = np.array(x, dtype=float)
    return Animation("p", CLIP, np.arange(len(x)) / 10, values, np.array(y, dtype=float), *axes)


def test_neighbours_in_one_plane_share_the_ends_of_both_axes():
    blocks = [Text("t"), path([0, 1], [5, 6]), path([-2, np.nan], [1, 2]), Text("t")]
    shared = {"extent": {"x": [-2.0, 1.0], "y": [1.0, 6.0]}}
    assert common_extents(blocks) == {1: shared, 2: shared}


@pytest.mark.parametrize(
    "blocks",
    [
        [path([0, 1], [0, 1])],
        [path([0, 1], [0, 1]), Text("between"), path([0, 9], [0, 9])],
        [path([0, 1], [0, 1]), path([0, 9], [0, 9], (Axis("other"), Axis("two")))],
    ],
    ids=["alone", "apart", "another plane"],
)
def test_other_paths_keep_a_frame_of_their_own(blocks):
    assert common_extents(blocks) == {}


def test_a_path_whose_parts_do_not_fit_is_left_to_say_so():
    broken = Animation("p", CLIP, np.arange(3.0), np.arange(3.0), np.arange(2.0), *PLANE)
    assert common_extents([broken, broken]) == {}


def test_a_still_fills_its_picture_with_up_at_the_top():
    assert still(path([0, 1, 2], [10, 30, 20]), 100.0, 60.0) == "12.0,48.0 50.0,12.0 88.0,30.0"


def test_a_still_passes_over_what_is_no_place():
    assert still(path([0, np.nan, 2], [0, 1, 2]), 100.0, 60.0) == "12.0,48.0 88.0,12.0"


def test_a_path_that_stands_still_is_a_point():
    assert still(path([3, 3], [4, 4]), 100.0, 60.0) == "12.0,48.0 12.0,48.0"
