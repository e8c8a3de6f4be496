"""State dependence of white noise against the known 0.78 at lag 1, 0.32 at lag 7 (METHODS A-17)."""

import numpy as np
import pytest

from auscult.measures.prediction import noise_responses, overlap_null
from auscult.measures.reuse import spherical_centres


def nulls(lag):
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        filters = rng.normal(size=(32, 7))
        clip = noise_responses(filters, 5000, 1, rng)
        archetypes = spherical_centres(clip[lag:] - clip[:-lag], 20, rng)
        found.append(overlap_null(filters, archetypes, rng, lag=lag, n_frames=500))
    return found


@pytest.mark.parametrize(("lag", "accuracy", "r_squared"), [(1, 0.78, 0.94), (7, 0.32, 0.50)])
def test_white_noise_looks_state_dependent(lag, accuracy, r_squared):
    found = nulls(lag)
    assert np.mean([n.prediction.accuracy for n in found]) == pytest.approx(accuracy, abs=0.06)
    assert np.mean([n.linear_r_squared for n in found]) == pytest.approx(r_squared, abs=0.04)
    assert np.mean([n.prediction.majority for n in found]) == pytest.approx(0.06, abs=0.03)
