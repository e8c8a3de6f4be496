"""Twelve small dictionaries on one pass: stacks that share their calls beside each by itself.

    python benchmarks/bench_stacks.py [--full]

Both ways are ``train``, in turns; what they end as is compared by the tests. Printed are
milliseconds a step of all twelve, medians over the turns.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bench_training import sparse_mixtures

from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.store.source import ArraySource

SHAPES = ((8, 128), (32, 128), (64, 256), (32, 512), (64, 512))
N_AT_ONCE = 12


def step_ms(source, steps, cls, params):
    """Milliseconds of each step but the first two."""
    jobs = [
        TrainingJob(cls.build(params, source.d_in, seed, source.statistics), f"{seed}")
        for seed in range(N_AT_ONCE)
    ]
    settings = TrainSettings(steps=steps, batch=4096, bf16="on", warm_up=0, decay="none")
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        train(jobs, source, settings, Path(folder), lambda *_: ends.append(time.perf_counter()))
    return list(1e3 * np.diff(ends)[2:])


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every shape")
    shapes = SHAPES if parser.parse_args().full else SHAPES[:2]
    torch.set_num_threads(2)
    relu = DICTIONARIES.get("relu")
    stacked = relu.stacked
    for d, m in shapes:
        values = sparse_mixtures(np.random.default_rng(0), 65_536, d, 4 * d, max(3, d // 10), True)
        source = ArraySource(values / np.float32(np.sqrt(np.square(values).mean())))
        cls, params = DICTIONARIES.parse({"type": "relu", "n_features": m}, "benchmark")
        steps = max(8, min(60, 60 * 4096 // (d * m)))
        taken = {"apart": [], "stacks": []}
        for _ in range(3):
            for way in taken:
                relu.stacked = stacked if way == "stacks" else None
                taken[way] += step_ms(source, steps, cls, params)
        relu.stacked = stacked
        apart, together = (float(np.median(taken[way])) for way in taken)
        print(f"  width {d}, {m} features: each by itself {apart:.1f} ms, in stacks "
              f"{together:.1f} ms: {apart / together:.2f} x", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
