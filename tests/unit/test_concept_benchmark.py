"""The benchmark of the concepts runs, and counts every frame."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_concepts.py"


def test_the_benchmark_labels_every_frame_of_its_sound():
    found = importlib.util.spec_from_file_location("bench_concepts", SCRIPT)
    bench = importlib.util.module_from_spec(found)
    found.loader.exec_module(bench)
    spent, n_frames = bench.measure(2.0, 2)
    assert set(spent) == set(bench.PUBLISHED)
    assert n_frames == 150
