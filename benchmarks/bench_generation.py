"""Tracing a generator against running it: ``python benchmarks/bench_generation.py``.

Time: every state, every clean estimate and a block of both guidance rows at all 32 states, against
generation alone, in turns, the fastest of each. Memory: peak resident set of tracing some prompts
and of four times as many, each in a process of its own.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence

import torch

from auscult.models.base import MODELS, AudioModel
from auscult.models.generation import Prompt
from auscult.taps.steps import BOTH, ESTIMATE, STATE, Seen, trace

PLACES = (STATE, ESTIMATE, "block.3")
N_PROMPTS, N_TURNS, N_BATCH = 8, 4, 8


def generator() -> AudioModel:
    """The bundled one."""
    cls, params = MODELS.parse({"type": "mini-flow"}, "model")
    return cls.build(params, "trained", 0)


def prompts(n: int) -> list[Prompt]:
    """Notes of one instrument."""
    wishes = {"instrument": "flute", "pitch_midi": 67}
    return [Prompt(str(i), wishes=wishes, seed=i) for i in range(n)]


def traced(model: AudioModel, n: int) -> int:
    """Trace; the number of values seen."""
    seen = 0

    def see(_: Sequence[Prompt], one: Seen) -> None:
        nonlocal seen
        seen += one.values.numel()

    for _ in trace(model, prompts(n), see, places=PLACES, rows=BOTH, n_batch=N_BATCH):
        pass
    return seen


def seconds() -> tuple[float, float]:
    """Of generation alone, and traced."""
    model, asked = generator(), prompts(N_PROMPTS)
    if model.generator is None:
        raise ValueError("mini-flow generates")
    times: dict[str, list[float]] = {"plain": [], "traced": []}
    for _ in range(N_TURNS):
        began = time.process_time()
        model.generator.generate(asked, None)
        times["plain"].append(time.process_time() - began)
        began = time.process_time()
        traced(model, N_PROMPTS)
        times["traced"].append(time.process_time() - began)
    return min(times["plain"]), min(times["traced"])


def peak_mb(n: int) -> float:
    """Peak resident set of a process that traces so many prompts, in units of a million bytes."""
    told = subprocess.run(
        [sys.executable, __file__, str(n)], check=True, capture_output=True, text=True
    )
    return float(told.stdout)


def main() -> None:
    """Print the figures; with a number, trace so many prompts and print the peak."""
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        traced(generator(), int(sys.argv[1]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
        return
    plain, watched = seconds()
    few, many = peak_mb(N_PROMPTS), peak_mb(4 * N_PROMPTS)
    print(f"generation of {N_PROMPTS} prompts  {plain:8.2f} s")
    print(f"traced at 32 states       {watched:8.2f} s, {watched / plain:.3f} times")
    print(f"peak memory, {N_PROMPTS} prompts    {few:8.0f} MB")
    print(f"peak memory, {4 * N_PROMPTS} prompts   {many:8.0f} MB, {many / few:.3f} times")


if __name__ == "__main__":
    main()
