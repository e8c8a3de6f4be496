"""The benchmark runs, small, so that it cannot rot; its figures are not looked at here."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_training.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_training", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_convolution_is_of_rank_seven(bench):
    values = bench.first_convolution(np.random.default_rng(0), 2000)
    shares = np.linalg.svd(values - values.mean(0), compute_uv=False) ** 2
    assert values.shape == (2000, 32)
    assert shares[6] > 1e-6 * shares[0] > 1e6 * shares[7]


def test_mixtures_are_sparse_sums_of_unit_mean_square(bench):
    values = bench.sparse_mixtures(np.random.default_rng(0), 500, 16, 64, 4, True)
    assert np.square(values).mean(1) == pytest.approx(1.0, rel=1e-3)


def test_a_dense_step_needs_five_products_and_a_sparse_one_its_entries(bench):
    assert bench.needed_gflop({"d": 10, "m": 100, "kind": "relu"}) == 4096 * 10_000 / 1e9
    assert bench.needed_gflop({"d": 10, "m": 100, "kind": "topk", "k": 2}) == 4096 * 2160 / 1e9


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_contenders_train_in_turns_and_a_broken_one_is_left_out(
    bench, tmp_path, capsys, monkeypatch
):
    values = np.random.default_rng(0).standard_normal((4096, 6), dtype=np.float32)
    paths = {side: str(tmp_path / f"{side}.npy") for side in ("train", "held")}
    for path in paths.values():
        np.save(path, values)
    asked = {"d": 6, "m": 8, "kind": "relu", "l1": 0.1, "lr": 1e-3, "steps": 5, "turn": 2}
    asked |= {"threads": 1, "judge": False, "bf16": "off"} | paths
    source = str(SCRIPT.parents[1] / "src")
    monkeypatch.setenv("PYTHONPATH", source)
    contenders = [("ours float32", sys.executable, {}), ("nobody", sys.executable, {})]
    results = bench.race(asked, contenders)
    assert list(results) == ["ours float32"]
    assert results["ours float32"]["step_ms"] > 0.0
    assert bench.show(asked, results, [1.0, 1.0]) is None
    told = capsys.readouterr().out
    assert "nobody is left out" in told
    assert "ours float32" in told


def test_a_peer_is_as_good_where_ours_is_no_better_at_as_many_features(bench, capsys):
    asked = {"d": 10, "m": 100, "kind": "relu"}
    got = {"cpu_ms": 9.0, "memory_mb": 50.0, "encode_rate": 100.0}
    points = [(2.0, 0.8), (8.0, 0.2), (32.0, 0.05)]
    results = {
        "sparse": got | {"step_ms": 3.0, "fvu": 0.42, "l0": 4.0},
        "dense": got | {"step_ms": 2.0, "fvu": 0.2, "l0": 16.0},
        "beyond": got | {"step_ms": 1.0, "fvu": 0.01, "l0": 64.0},
        "ours bf16": got | {"step_ms": 1.0, "fvu": 0.2, "l0": 8.0},
    }
    row = bench.show(asked, results, [50.0, 100.0], points)
    assert row[5] == "3.0 × (sparse)"
    assert "0.42 / 0.4" in row
    assert "at the L0 of dense, 16.0: its FVU 0.2, ours 0.1\n" in capsys.readouterr().out


def test_the_front_gets_worse_with_fewer_features(bench, tmp_path):
    values = bench.sparse_mixtures(np.random.default_rng(0), 8192, 8, 16, 2, True)
    paths = {side: str(tmp_path / f"{side}.npy") for side in ("train", "held")}
    for path in paths.values():
        np.save(path, values)
    asked = {"d": 8, "m": 16, "kind": "relu", "l1": 0.5, "lr": 1e-2, "bf16": "off", "steps": 60}
    points = bench.front(asked | paths, n=4)
    assert len(points) >= 3
    assert points[0][1] > 2.0 * points[-1][1]


def test_the_table_compares_with_the_fastest_peer_and_with_what_the_machine_allows(bench, capsys):
    asked = {"d": 10, "m": 100, "kind": "relu", "goal": 3.0}
    # Five products of 4,096 vectors are 0.04096 GFLOP: 0.4096 ms at a peak of 100 GFLOP/s.
    got = {"cpu_ms": 9.0, "fvu": 0.5, "l0": 4.0, "memory_mb": 50.0, "encode_rate": 100.0}
    results = {
        "slow": got | {"step_ms": 9.0},
        "fast": got | {"step_ms": 4.096, "fvu": 0.56},
        "ours bf16": got | {"step_ms": 1.024, "memory_mb": 25.0, "encode_rate": 300.0},
        "ours float32": got | {"step_ms": 2.0, "encode_rate": 120.0},
    }
    row = bench.show(asked, results, [50.0, 100.0])
    assert row[0] == "fast"
    assert row[4:9] == ["**4.0 ×**", "8.8 × (slow)", "3.0 ×", "10.0 ×", "40%"]
    assert row[-2:] == ["1.20 × / 3.00 ×", "0.50 ×"]
    bench.write_table({"w1": row})
    assert capsys.readouterr().out.splitlines()[-1].count("|") == len(bench.HEAD) + 1
