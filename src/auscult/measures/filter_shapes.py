"""Every measure of a set of filters at once (METHODS A-1, A-2)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from auscult.measures.spectra import (
    bandwidth_hz,
    dc_gain,
    dominant_frequency_hz,
    first_null_width_hz,
    gabor_product,
    sign_changes,
    symmetry_index,
)


@dataclass(frozen=True)
class FilterShapes:
    """Every measure of one set of filters, one value a filter; filters of zeros are left out."""

    dominant_hz: Float[np.ndarray, " n"]
    width_3db_hz: Float[np.ndarray, " n"]
    null_width_hz: Float[np.ndarray, " n"]
    gabor: Float[np.ndarray, " n"]
    norm: Float[np.ndarray, " n"]
    dc: Float[np.ndarray, " n"]
    symmetry: Float[np.ndarray, " n"]
    sign_changes: Float[np.ndarray, " n"]


def filter_shapes(filters: Float[np.ndarray, "n k"], sample_rate: int) -> FilterShapes:
    """Measure filters (METHODS A-1, A-2)."""
    alive = filters[np.linalg.norm(filters, axis=1) > 1e-8 * np.abs(filters).max(initial=0.0)]
    return FilterShapes(
        dominant_hz=dominant_frequency_hz(alive, sample_rate),
        width_3db_hz=bandwidth_hz(alive, sample_rate),
        null_width_hz=first_null_width_hz(alive, sample_rate),
        gabor=gabor_product(alive),
        norm=np.linalg.norm(alive, axis=1),
        dc=dc_gain(alive),
        symmetry=symmetry_index(alive),
        sign_changes=sign_changes(alive).astype(np.float64),
    )
