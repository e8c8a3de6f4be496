"""The benchmark runs, small, so that it cannot rot; its figures are not looked at here."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_store.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_store", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_random_rows_are_compared_with_a_memory_map(bench, tmp_path, capsys):
    bench.bench_rows(tmp_path, 1, 1)
    told = capsys.readouterr().out
    assert told.count("memmap") == told.count("store.rows") + told.count("vectors") == 9


def test_writing_is_compared_with_a_raw_file(bench, tmp_path, capsys):
    bench.bench_write(tmp_path, 1, 1)
    assert capsys.readouterr().out.count("raw file") == 2


def test_times_of_contenders_are_medians_of_rounds(bench):
    calls = []
    times = bench.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert set(times) == {"a", "b"}
