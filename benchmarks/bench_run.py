"""Whole commands: import, demonstration, rendering. ``python benchmarks/bench_run.py`` prints seconds and memory."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def measured(words: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of a command and its children."""
    began = time.perf_counter()
    child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {status}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def import_seconds(rounds: int = 5) -> float:
    """Median of ``import auscult`` over that of an interpreter that imports nothing."""
    empty = [measured([sys.executable, "-c", ""])[0] for _ in range(rounds)]
    full = [measured([sys.executable, "-c", "import auscult"])[0] for _ in range(rounds)]
    return statistics.median(full) - statistics.median(empty)


def render_seconds(n_features: int = 128) -> float:
    """Render a fabricated run with so many features, in a process that must not import torch."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from auscult.testing.runs import fabricated_run\n"
        "from auscult.report.render import render; import time\n"
        f"fabricated_run(Path(sys.argv[1]), n_features={n_features}); began = time.perf_counter()\n"
        "render(Path(sys.argv[1])); print(time.perf_counter() - began)"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
        )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the figures."""
    print(f"import auscult: {import_seconds():.3f} s over an empty interpreter (goal 0.2)")
    print(f"rendering 128 features, without torch: {render_seconds():.1f} s (goal 10)")
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "auscult.cli", "run", "examples/demo.toml", "--out", folder]
        seconds, memory = measured(words)
        again, _ = measured(words)
    print(
        f"demonstration: {seconds:.0f} s (goal 120), peak {memory:.0f} MB (goal 1500); found again in {again:.0f} s"
    )


if __name__ == "__main__":
    main()
