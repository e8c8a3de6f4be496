"""What training within the span of rank-deficient vectors ends as, beside the whole space.

    python benchmarks/bench_span.py [--full]

Vectors are W1's of ``bench_training.py``: responses of a first convolution, of rank 7 in 32
dimensions. Each type is trained from the same starts in both; printed are the fraction of variance
unexplained and the features on at once, on held-out vectors, as means over the starts with their
range. The two columns should say the same.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from bench_training import first_convolution
from contenders.turns import quality

from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.store.source import ArraySource

SECTIONS = (
    {"type": "relu", "l1_weight": 0.088},
    {"type": "topk", "k": 4},
    {"type": "batch-topk", "k": 4},
    {"type": "jump-relu", "target_l0": 4.0},
)
"""The weight of L1 is W1's 0.5 in units of vectors of unit mean square length."""


def ended(section, source, held, steps, n_seeds, rotate):
    """FVU and L0 of each start."""
    cls, params = DICTIONARIES.parse(section | {"n_features": 128}, "benchmark")
    jobs = [
        TrainingJob(cls.build(params, source.d_in, seed, source.statistics), f"{seed}")
        for seed in range(n_seeds)
    ]
    settings = TrainSettings(
        steps=steps, batch=4096, lr=1e-3, warm_up=0, decay="none", rotate=rotate
    )
    with tempfile.TemporaryDirectory() as folder:
        made = train(jobs, source, settings, Path(folder))
    judged = [quality(each.encode, each.decode, held) for each in made]
    return np.array([[got["fvu"], got["l0"]] for got in judged])


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="3,000 steps and five starts")
    full = parser.parse_args().full
    steps, n_seeds = (3000, 5) if full else (600, 2)
    torch.set_num_threads(2)
    values = first_convolution(np.random.default_rng(0), 540_672)
    values = (values / np.sqrt(np.square(values).mean())).astype(np.float32)
    source, held = ArraySource(values[16_384:]), torch.from_numpy(values[:16_384])
    print(f"{steps} steps, {n_seeds} starts: FVU at L0, mean (lowest to highest)")
    for section in SECTIONS:
        cells = []
        for rotate in (True, False):
            each = ended(section, source, held, steps, n_seeds, rotate)
            (fvu, l0), low, high = each.mean(0), each.min(0), each.max(0)
            cells.append(f"{fvu:.4f} ({low[0]:.4f} to {high[0]:.4f}) at "
                         f"{l0:.1f} ({low[1]:.1f} to {high[1]:.1f})")  # fmt: skip
        print(f"  {section['type']:11} within {cells[0]}; whole {cells[1]}", flush=True)


if __name__ == "__main__":
    main()
