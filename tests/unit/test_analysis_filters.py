"""What is said of first filters follows the verdict, not one of its controls."""

import pytest

from auscult.analyses.base import Measurement
from auscult.analyses.filters import _judgements

GABOR = Measurement("median Gabor product", 0.10, "", {"random weights": 0.14})
BOUND = Measurement(
    "resolution f_s / K",
    7350.0,
    "Hz",
    {"these filters' median bandwidth at -3 dB": 8000.0, "random weights, median": 8500.0},
)


def said(width, **controls):
    measured = Measurement("median bandwidth at -3 dB", width, "Hz", controls)
    return _judgements((BOUND, measured, GABOR), 3, 22050)[1]


@pytest.mark.parametrize(
    ("shuffled", "denied", "verdict"),
    [
        (9000.0, False, "holds"),
        (8100.0, True, "explained by control"),
        (7000.0, True, "does not hold"),
    ],
)
def test_filters_are_called_narrower_only_when_no_control_is_as_narrow(shuffled, denied, verdict):
    one = said(8000.0, **{"random weights": 9000.0, "shuffled weights": shuffled})
    assert ("did not make" in one.sentence) == denied
    assert one.verdict == verdict
