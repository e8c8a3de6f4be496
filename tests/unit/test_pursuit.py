import pytest
import torch

from auscult.core.errors import ConfigError
from auscult.dictionaries import pursuit


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_orthogonal_atoms_are_picked_by_size():
    found = pursuit.omp(torch.tensor([[1.0, -5.0, 3.0]]), torch.eye(3), 2)
    torch.testing.assert_close(found.picks, torch.tensor([[1, 2]]))
    torch.testing.assert_close(found.coefficients, torch.tensor([[-5.0, 3.0]]))
    expected = torch.tensor([1, 10 / 35, 1 / 35], dtype=torch.float64)
    torch.testing.assert_close(found.errors, expected)


def test_the_first_of_equal_atoms_is_picked():
    atoms = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert pursuit.omp(torch.tensor([[1.0, 0.0]]), atoms, 1).picks.item() == 1


def test_coefficients_are_in_the_scale_of_the_atoms():
    x, atoms = gaussian(50, 8), gaussian(12, 8, seed=1)
    plain, scaled = pursuit.omp(x, atoms, 3), pursuit.omp(x, 10 * atoms, 3)
    torch.testing.assert_close(plain.picks, scaled.picks)
    torch.testing.assert_close(plain.coefficients, 10 * scaled.coefficients)


def test_the_errors_are_those_of_the_reconstruction():
    x, atoms = gaussian(100, 8), gaussian(20, 8, seed=1)
    found = pursuit.omp(x, atoms, 5)
    error = pursuit.relative_error(x, found.reconstruct(atoms))
    assert found.errors[-1].item() == pytest.approx(error, rel=1e-9)


def test_dense_coefficients_reconstruct_too():
    x, atoms = gaussian(30, 8), gaussian(20, 8, seed=1)
    found = pursuit.omp(x, atoms, 4)
    torch.testing.assert_close(found.dense(20) @ atoms, found.reconstruct(atoms))


def test_chunks_do_not_change_a_pursuit(monkeypatch):
    x, atoms = gaussian(1000, 6), gaussian(9, 6, seed=1)
    whole = pursuit.omp(x, atoms, 3)
    monkeypatch.setattr(pursuit, "_CHUNK_BYTES", 1)
    torch.testing.assert_close(pursuit.omp(x, atoms, 3).coefficients, whole.coefficients)


def test_dependent_atoms_get_no_coefficient():
    # Vectors and atoms of a linear layer with 7 taps: rank 7 in 32 dimensions (METHODS A-0).
    basis = gaussian(7, 32)
    x, atoms = gaussian(200, 7) @ basis, gaussian(40, 7, seed=1) @ basis
    found = pursuit.omp(x, atoms, 12)
    assert found.errors[7] < 1e-20
    assert found.coefficients[:, 7:].abs().max() == 0


def test_no_atom_is_picked_twice_even_when_nothing_is_left():
    x = torch.eye(3)[[0, 0, 2]]
    picks = pursuit.omp(x, torch.eye(3), 3).picks
    torch.testing.assert_close(picks.sort(dim=1).values, torch.arange(3).expand(3, 3))


def test_silence_is_rebuilt_by_nothing():
    found = pursuit.omp(torch.zeros(3, 4), torch.eye(4), 4)
    assert found.coefficients.abs().max() == 0
    assert found.errors.isnan().all()


def test_more_picks_than_atoms_are_refused():
    with pytest.raises(ConfigError, match="5 picks are asked of 4 atoms"):
        pursuit.omp(torch.zeros(1, 4), torch.eye(4), 5)


def test_random_directions_leave_what_their_number_leaves():
    # 20 random directions of an isotropic cloud in 32 dimensions leave 1 - 20/32 (METHODS A-0).
    x, atoms = gaussian(20000, 32), gaussian(20, 32, seed=1)
    curve = pursuit.least_squares_curve(x, atoms)
    torch.testing.assert_close(
        curve, 1 - torch.arange(21) / 32.0, rtol=0, atol=0.01, check_dtype=False
    )


@pytest.mark.parametrize(("dtype", "floor"), [(torch.float64, 1e-28), (torch.float32, 1e-12)])
def test_a_full_basis_leaves_the_precision(dtype, floor):
    x, atoms = gaussian(500, 16, dtype=dtype), gaussian(20, 16, seed=1, dtype=dtype)
    curve = pursuit.least_squares_curve(x, atoms)
    assert 0 < curve[16] < floor
    assert curve[20] == curve[16]


def test_non_negative_coefficients_are_not_negative():
    x, atoms = gaussian(100, 8), gaussian(12, 8, seed=1)
    found = pursuit.non_negative_least_squares(x, atoms)
    assert found.min() == 0
    assert 0 < pursuit.relative_error(x, found @ atoms) < 1


def test_non_negative_coefficients_recover_a_planted_mixture():
    atoms = gaussian(6, 16)
    planted = gaussian(50, 6, seed=1).relu()
    found = pursuit.non_negative_least_squares(planted @ atoms, atoms, tolerance=1e-12)
    torch.testing.assert_close(found, planted, rtol=0, atol=1e-9)


def test_threads_change_neither_a_pursuit_nor_the_setting():
    x, atoms = gaussian(12000, 8), gaussian(12, 8, seed=1)
    one = pursuit.omp(x, atoms, 8)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = pursuit.omp(x, atoms, 8)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(two.coefficients, one.coefficients, rtol=0, atol=0)
