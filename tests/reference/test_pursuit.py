"""Pursuit and least squares against scikit-learn, SciPy and NumPy."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.linear_model import orthogonal_mp_gram

from auscult.dictionaries import pursuit


def planted(n=400, m=128, d=32, seed=0):
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(m, d))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = (rng.random((n, m)) < 6 / m) * rng.normal(size=(n, m))
    return torch.from_numpy(codes @ atoms + 0.02 * rng.normal(size=(n, d))), torch.from_numpy(atoms)


@pytest.mark.parametrize("n_picks", [1, 4, 20])
def test_pursuit_equals_scikit_learn(n_picks):
    x, atoms = planted()
    expected = orthogonal_mp_gram(
        (atoms @ atoms.T).numpy(), (atoms @ x.T).numpy(), n_nonzero_coefs=n_picks
    ).T
    found = pursuit.omp(x, atoms, n_picks)
    np.testing.assert_array_equal(found.dense(128).numpy() != 0, expected.reshape(400, 128) != 0)
    np.testing.assert_allclose(found.dense(128).numpy(), expected.reshape(400, 128), atol=1e-8)


def test_float32_pursuit_is_as_good_as_float64():
    x, atoms = planted()
    fine, coarse = pursuit.omp(x, atoms, 20), pursuit.omp(x.float(), atoms.float(), 20)
    torch.testing.assert_close(coarse.errors, fine.errors, rtol=0.02, atol=1e-6)


def test_non_negative_least_squares_equals_scipy():
    x, atoms = planted(n=40, m=20)
    expected = np.stack([nnls(atoms.numpy().T, row)[0] for row in x.numpy()])
    found = pursuit.non_negative_least_squares(x, atoms, tolerance=1e-10)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)


def test_more_atoms_than_dimensions_reach_scipys_error():
    x, atoms = planted(n=20, m=60, d=16)
    expected = np.stack([nnls(atoms.numpy().T, row)[0] for row in x.numpy()]) @ atoms.numpy()
    found = pursuit.non_negative_least_squares(x, atoms, n_sweeps=5000, tolerance=1e-9) @ atoms
    assert pursuit.relative_error(x, found) == pytest.approx(
        pursuit.relative_error(x, torch.from_numpy(expected)), rel=1e-3, abs=1e-9
    )


def test_least_squares_equals_numpy():
    x, atoms = planted(m=20)
    expected = np.linalg.lstsq(atoms.numpy().T, x.numpy().T)[0].T
    np.testing.assert_allclose(pursuit.least_squares_on(x, atoms).numpy(), expected, atol=1e-10)


def test_the_curve_equals_least_squares_on_each_prefix():
    x, atoms = planted(m=20)
    expected = [
        pursuit.relative_error(x, pursuit.least_squares_on(x, atoms[:m]) @ atoms[:m])
        for m in range(1, 21)
    ]
    found = pursuit.least_squares_curve(x, atoms)
    np.testing.assert_allclose(found[1:].numpy(), expected, rtol=1e-9)
