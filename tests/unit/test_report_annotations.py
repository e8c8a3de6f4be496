"""Annotation files, letter by letter."""

import numpy as np
import pytest

from auscult.report.annotations import (
    Region,
    Track,
    active_regions,
    audacity_labels,
    cell,
    jams,
    sonic_visualiser_regions,
    sonic_visualiser_values,
)

REGION = Region(0.5, 1.25, "feature 3\tof\nall", 2.5, (440.0, 880.0))
TRACK = Track(
    "feature 3", "", np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([0.0, 1.0, 3.0, 0.0, 2.0])
)


def test_audacity_labels_have_six_decimals_and_a_line_for_the_band():
    written = audacity_labels([REGION, Region(2.0, 2.0, "end")])
    assert written == (
        "0.500000\t1.250000\tfeature 3 of all\n"
        "\\\t440.000000\t880.000000\n"
        "2.000000\t2.000000\tend\n"
    )


def test_sonic_visualiser_values_leave_out_what_is_no_number():
    track = Track("a", "", np.array([0.0, 0.01, 0.02]), np.array([1.5, np.nan, -2.0]))
    assert sonic_visualiser_values(track) == "0.000000,1.5\n0.020000,-2\n"


def test_sonic_visualiser_regions_are_time_value_duration_label():
    assert sonic_visualiser_regions([REGION]) == "0.500000,2.5,0.750000,feature 3 of all\n"


def test_labels_with_commas_and_quotes_stay_one_cell():
    region = Region(0.0, 1.0, 'a, "b"')
    assert sonic_visualiser_regions([region]) == '0.000000,0,1.000000,"a, ""b"""\n'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_a_label_is_never_a_formula(text):
    assert cell(text) == f"'{text}"


def test_a_curve_is_active_from_halfway_to_halfway():
    first, second = active_regions(TRACK)
    assert (first.start_s, first.stop_s, first.value) == (
        pytest.approx(0.15),
        pytest.approx(0.35),
        3.0,
    )
    assert (second.start_s, second.stop_s, second.value) == (
        pytest.approx(0.45),
        pytest.approx(0.55),
        2.0,
    )


def test_a_curve_that_is_never_on_has_no_regions():
    assert active_regions(Track("a", "", np.array([0.0, 1.0]), np.array([0.0, -1.0]))) == []


def test_jams_keeps_to_its_schema():
    document = jams("piano", 2.0, [REGION], [TRACK], "auscult")
    assert set(document) == {"annotations", "file_metadata", "sandbox"}
    assert document["file_metadata"]["duration"] == 2.0
    tags, curve = document["annotations"]
    assert tags["namespace"] == "tag_open"
    assert tags["data"] == [
        {"time": 0.5, "duration": 0.75, "value": "feature 3 of all", "confidence": 2.5}
    ]
    assert curve["namespace"] == "vector"
    assert curve["data"][1] == {"time": 0.2, "duration": 0.0, "value": [1.0], "confidence": None}
    required = {"namespace", "data", "annotation_metadata", "time", "duration", "sandbox"}
    assert all(set(one) == required for one in document["annotations"])
    metadata = {"curator", "version", "corpus", "annotator", "annotation_tools"}
    metadata |= {"annotation_rules", "validation", "data_source"}
    assert all(set(one["annotation_metadata"]) == metadata for one in document["annotations"])
