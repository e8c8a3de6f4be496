"""Orthogonal matching pursuit against scikit-learn: 20 of 128 atoms at d = 32, interleaved.

usage: python benchmarks/bench_pursuit.py [--threads 2] [--rounds 5]
"""

import argparse
import time

import numpy as np
import torch
from sklearn.linear_model import orthogonal_mp_gram

from auscult.dictionaries.pursuit import omp

N_OURS, N_THEIRS, N_ATOMS, D, N_PICKS = 65_536, 500, 128, 32, 20


def planted(rng):
    atoms = rng.normal(size=(N_ATOMS, D))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = (rng.random((N_OURS, N_ATOMS)) < 6 / N_ATOMS) * rng.normal(size=(N_OURS, N_ATOMS))
    return codes @ atoms + 0.02 * rng.normal(size=(N_OURS, D)), atoms


def seconds(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare(n_rounds):
    x, atoms = planted(np.random.default_rng(0))
    gram, products = atoms @ atoms.T, atoms @ x[:N_THEIRS].T
    ours = {
        dtype: (torch.from_numpy(x).to(dtype), torch.from_numpy(atoms).to(dtype))
        for dtype in (torch.float32, torch.float64)
    }
    ratios = {dtype: [] for dtype in ours}
    for _ in range(n_rounds):
        theirs, codes = seconds(lambda: orthogonal_mp_gram(gram, products, n_nonzero_coefs=N_PICKS))
        for dtype, (vectors, directions) in ours.items():
            spent, _ = seconds(lambda v=vectors, a=directions: omp(v, a, N_PICKS))
            ratios[dtype].append((theirs / N_THEIRS) / (spent / N_OURS))
            few = omp(vectors[:N_THEIRS], directions, N_PICKS).errors[-1]
            print(f"{dtype}: {1e6 * spent / N_OURS:.2f} µs a vector, scikit-learn "
                  f"{1e6 * theirs / N_THEIRS:.0f} µs, error {few:.3e}", end="")  # fmt: skip
            error = np.square(x[:N_THEIRS] - codes.T @ atoms).sum() / np.square(x[:N_THEIRS]).sum()
            print(f" against {error:.3e}")
    return {str(dtype): float(np.median(ratio)) for dtype, ratio in ratios.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    for dtype, ratio in compare(settings.rounds).items():
        print(
            f"{dtype}: {ratio:.0f} x scikit-learn per vector (median, {settings.threads} threads)"
        )


if __name__ == "__main__":
    main()
