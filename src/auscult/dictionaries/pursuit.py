"""Coding on given atoms: how much of the vectors some directions can rebuild (METHODS A-13).

All functions take millions of rows; they work on chunks that stay near the processor, with vectors
along the columns, so that every step is one operation over the whole chunk.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auscult.core.errors import ConfigError

_CHUNK_BYTES = 6 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class Pursuit:
    """What orthogonal matching pursuit found.

    Attributes:
        picks: Index of each atom in the order of choice; no atom twice for one vector.
        coefficients: Least squares on the picked atoms, in the atoms' own scale.
        errors: Share of the energy that is left after 0 … k picks, Σ‖x − x̂‖² / Σ‖x‖².
    """

    picks: Int[Tensor, "n k"]
    coefficients: Float[Tensor, "n k"]
    errors: Float[Tensor, " k_plus_1"]

    def reconstruct(self, atoms: Float[Tensor, "m d"]) -> Float[Tensor, "n d"]:
        """Sum of the picked atoms."""
        return torch.einsum("nk,nkd->nd", self.coefficients, atoms[self.picks])

    def dense(self, n_atoms: int) -> Float[Tensor, "n m"]:
        """Coefficients of all atoms, zero for those not picked."""
        zeros = self.coefficients.new_zeros(len(self.picks), n_atoms)
        return zeros.scatter_(1, self.picks, self.coefficients)


@torch.no_grad()
def omp(x: Float[Tensor, "n d"], atoms: Float[Tensor, "m d"], n_picks: int) -> Pursuit:
    """Orthogonal matching pursuit of every row with a fixed number of atoms (Pati et al. 1993).

    Each step picks the atom of highest absolute correlation with the residual (the first of equals)
    and makes the residual orthogonal to it, by Gram–Schmidt. Signed coefficients. An atom that
    depends linearly on those picked before gets the coefficient 0. Works in the precision of ``x``.

    Args:
        x: Vectors.
        atoms: Directions of any norm; one of zeros is picked last.
        n_picks: Atoms per vector.

    Raises:
        ConfigError: There are fewer atoms than picks.
    """
    if not 1 <= n_picks <= len(atoms):
        raise ConfigError(f"{n_picks} picks are asked of {len(atoms)} atoms")
    norms = torch.linalg.vector_norm(atoms, dim=1).to(x.dtype)
    directions = torch.where(norms[:, None] > 0, atoms.to(x.dtype) / norms[:, None], 0.0)
    picks = torch.empty(len(x), n_picks, dtype=torch.int64, device=x.device)
    coefficients = x.new_empty(len(x), n_picks)

    def work(rows: slice) -> Tensor:
        found, solved, left = _pursue(x[rows].t().contiguous(), directions, n_picks)
        picks[rows], coefficients[rows] = found.t(), solved.t()
        return left

    chunks = _chunks(len(x), n_picks * x.shape[1] * x.element_size())
    energy = torch.zeros(n_picks + 1, dtype=torch.float64, device=x.device)
    for left in _in_threads(work, chunks):
        energy += left
    scale = norms[picks]
    coefficients = torch.where(scale > 0, coefficients / scale, 0.0)
    return Pursuit(picks, coefficients, _share(energy))


def _chunks(n: int, bytes_each: int) -> list[slice]:
    step = min(max(_CHUNK_BYTES // max(bytes_each, 1), 256), 8192)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _in_threads(work: Callable[[slice], T], chunks: list[slice]) -> Iterable[T]:
    """Work on whole chunks in parallel, as many as torch has threads, each with one thread.

    Hundreds of short operations a chunk would each wait for all threads; so nothing waits, and the
    answer does not depend on the number of threads.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1 or len(chunks) == 1:
        return [work(chunk) for chunk in chunks]
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(work, chunks))
    finally:
        torch.set_num_threads(n_threads)


def _share(energy: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    return energy / energy[0] if energy[0] > 0 else torch.full_like(energy, torch.nan)


@torch.no_grad()
def _pursue(
    residual: Float[Tensor, "d n"], directions: Float[Tensor, "m d"], n_picks: int
) -> tuple[Int[Tensor, "k n"], Float[Tensor, "k n"], Float[Tensor, " k_plus_1"]]:
    """Pursue one chunk, vectors in columns; the residual is overwritten."""
    (n_atoms, d), n = directions.shape, residual.shape[1]
    columns = directions.t().contiguous()
    # The first of equal atoms must win, so earlier atoms have higher ranks.
    ranks = torch.arange(n_atoms, 0, -1, device=residual.device, dtype=residual.dtype)[:, None]
    correlation, taken = residual.new_empty(n_atoms, n), residual.new_zeros(n_atoms, n)
    basis, scratch = residual.new_empty(n_picks, d, n), residual.new_empty(n_picks, d, n)
    triangle, projection = residual.new_zeros(n_picks, n_picks, n), residual.new_empty(n_picks, n)
    picks = torch.empty(n_picks, n, dtype=torch.int64, device=residual.device)
    energy = [residual.square().sum(dtype=torch.float64)]
    smallest = torch.finfo(residual.dtype).eps ** 0.75
    for j in range(n_picks):
        torch.mm(directions, residual, out=correlation)
        correlation.abs_().sub_(taken)
        # argmax does not vectorise: mark the maxima, then take the highest rank among them.
        torch.ge(correlation, correlation.amax(0), out=correlation)
        pick = n_atoms - correlation.mul_(ranks).amax(0).long()
        picks[j] = pick
        taken.scatter_(0, pick[None], torch.inf)
        q = torch.index_select(columns, 1, pick, out=basis[j])
        if j:
            torch.mul(basis[:j], q, out=scratch[:j])
            overlap = torch.sum(scratch[:j], 1, out=triangle[:j, j])
            torch.mul(basis[:j], overlap[:, None], out=scratch[:j])
            q.sub_(scratch[:j].sum(0))
        norm = torch.mul(q, q, out=scratch[0]).sum(0).sqrt_()
        new = norm > smallest
        q.mul_(torch.where(new, 1 / norm, 0.0))
        triangle[j, j] = torch.where(new, norm, 1.0)
        projection[j] = torch.mul(q, residual, out=scratch[0]).sum(0)
        residual.addcmul_(q, projection[j], value=-1)
        energy.append(residual.square().sum(dtype=torch.float64))
    return picks, _solve_upper(triangle, projection), torch.stack(energy)


def _solve_upper(
    triangle: Float[Tensor, "k k n"], right: Float[Tensor, "k n"]
) -> Float[Tensor, "k n"]:
    """Solve n upper triangular systems in place; for small k faster than the batched routine."""
    for j in range(len(right) - 1, -1, -1):
        right[j].div_(triangle[j, j])
        if j:
            right[:j].addcmul_(triangle[:j, j], right[j], value=-1)
    return right


@torch.no_grad()
def least_squares_on(x: Float[Tensor, "n d"], atoms: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Coefficients of the unrestricted least squares on all given atoms, the smallest if several.

    Singular values below ``max(m, d) * eps`` of the largest count as zero.
    """
    cutoff = max(atoms.shape) * torch.finfo(x.dtype).eps
    inverse: Tensor = torch.linalg.pinv(atoms.to(x.dtype), rtol=cutoff)
    return x @ inverse


@torch.no_grad()
def least_squares_curve(
    x: Float[Tensor, "n d"], atoms: Float[Tensor, "m d"]
) -> Float[Tensor, " m_plus_1"]:
    """Relative error of unrestricted least squares on the first 0, 1, … m atoms (METHODS A-13).

    From 1 at no atom down to the precision of ``x``: about 1e-31 in float64, 1e-14 in float32.
    Residuals are updated rather than energies subtracted, which would end at 1e-16.
    """
    basis: list[Tensor] = []
    smallest = torch.finfo(x.dtype).eps ** 0.75
    for atom in atoms.to(torch.float64):
        norm = torch.linalg.vector_norm(atom)
        q = atom / norm if norm > 0 else atom
        for _ in range(2):  # Once leaves rounding errors of nearly dependent atoms.
            for earlier in basis:
                q = q - (q @ earlier) * earlier
        length = torch.linalg.vector_norm(q)
        basis.append(q / length if length > smallest else torch.zeros_like(q))
    rows = torch.stack(basis).to(x.dtype) if basis else x.new_zeros(0, x.shape[1])
    energy = torch.zeros(len(rows) + 1, dtype=torch.float64, device=x.device)
    for part in _chunks(len(x), x.shape[1] * x.element_size()):
        residual = x[part].clone()
        energy[0] += residual.square().sum(dtype=torch.float64)
        for j, q in enumerate(rows):
            residual.addr_(residual @ q, q, alpha=-1)
            energy[j + 1] += residual.square().sum(dtype=torch.float64)
    return _share(energy)


@torch.no_grad()
def non_negative_least_squares(
    x: Float[Tensor, "n d"],
    atoms: Float[Tensor, "m d"],
    n_sweeps: int = 1000,
    tolerance: float = 1e-6,
) -> Float[Tensor, "n m"]:
    """Non-negative coefficients of least squares, by cyclic coordinate descent (METHODS A-13).

    The error never rises from sweep to sweep and converges to the optimum; with more atoms than
    dimensions the coefficients themselves need not be unique.

    Args:
        x: Vectors.
        atoms: Directions of any norm; one of zeros keeps the coefficient 0.
        n_sweeps: At most so many passes over the atoms.
        tolerance: Stop when no coefficient changes by more than this share of its vector's norm.
    """
    norms = torch.linalg.vector_norm(atoms, dim=1).to(x.dtype)
    directions = torch.where(norms[:, None] > 0, atoms.to(x.dtype) / norms[:, None], 0.0)
    coefficients = x.new_zeros(len(x), len(atoms))

    def work(rows: slice) -> None:
        coefficients[rows] = _descend(x[rows].t().contiguous(), directions, n_sweeps, tolerance).t()

    _in_threads(work, _chunks(len(x), 4 * x.shape[1] * x.element_size()))
    return torch.where(norms > 0, coefficients / norms, 0.0)


@torch.no_grad()
def _descend(
    residual: Float[Tensor, "d n"],
    directions: Float[Tensor, "m d"],
    n_sweeps: int,
    tolerance: float,
) -> Float[Tensor, "m n"]:
    limit = tolerance * torch.linalg.vector_norm(residual, dim=0)
    coefficients = residual.new_zeros(len(directions), residual.shape[1])
    for _ in range(n_sweeps):
        largest = torch.zeros_like(limit)
        for direction, coefficient in zip(directions, coefficients, strict=True):
            change = torch.maximum(direction @ residual, -coefficient)
            coefficient.add_(change)
            residual.addr_(direction, change, alpha=-1)
            torch.maximum(largest, change.abs(), out=largest)
        if bool((largest <= limit).all()):
            break
    return coefficients


def relative_error(x: Float[Tensor, "n d"], x_hat: Float[Tensor, "n d"]) -> float:
    """Σ‖x − x̂‖² / Σ‖x‖²: 0 perfect, 1 as good as nothing, NaN for silence (METHODS A-13)."""
    energy = float(x.square().sum(dtype=torch.float64))
    error = float((x - x_hat).square().sum(dtype=torch.float64))
    return error / energy if energy > 0 else float("nan")
