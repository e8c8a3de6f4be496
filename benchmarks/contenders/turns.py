"""What every contender of ``bench_training.py`` shares: batches in turns, and one way to judge.

It runs in each contender's own environment: torch and NumPy, nothing else.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

BATCH = 4096

Coder = Callable[[torch.Tensor], torch.Tensor]


def said(**what: object) -> None:
    """One line to the referee."""
    sys.__stdout__.write("@" + json.dumps(what) + "\n")
    sys.__stdout__.flush()


def wait() -> None:
    """Until it is this contender's turn."""
    sys.stdin.readline()


def memory_mb(which: str) -> float:
    """Resident memory: ``VmRSS`` now, ``VmHWM`` at its highest; of this program alone."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which))


class Clock:
    """Times steps, and gives way to the others after each turn."""

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.n = 0

    def tick(self) -> None:
        """A step begins, and the one before has ended."""
        now = time.perf_counter(), time.process_time()
        if self.n:
            self.wall.append(now[0] - self.start[0])
            self.cpu.append(now[1] - self.start[1])
        if self.n % self.turn == 0:
            if self.n:
                said(turn=self.n)
            wait()
        self.n += 1
        self.start = time.perf_counter(), time.process_time()

    def medians(self) -> dict[str, float]:
        """Milliseconds a step, after a warm-up of a tenth, or of one step of a few.

        Of many steps, eight in a row are one figure: what is done once in a few steps, reading for
        instance, counts.
        """
        skip = max(1 if len(self.wall) < 5 else 2, len(self.wall) // 10)
        at_once = 8 if len(self.wall) >= 100 else 1

        def median(taken: list[float]) -> float:
            kept = taken[skip:] or taken
            groups = [kept[i : i + at_once] for i in range(0, len(kept), at_once)]
            return 1e3 * float(np.median([np.mean(group) for group in groups]))

        return {"step_ms": median(self.wall), "cpu_ms": median(self.cpu)}


class Batches:
    """The training vectors, batch by batch; peers draw from it as from a data loader."""

    def __init__(self, values: torch.Tensor, steps: int, clock: Clock) -> None:
        self.values, self.steps, self.clock, self.done = values, steps, clock, 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[torch.Tensor]:
        return self

    def __next__(self) -> torch.Tensor:
        if self.done >= self.steps:
            raise StopIteration
        self.clock.tick()
        start = self.done % (len(self.values) // BATCH) * BATCH
        self.done += 1
        return self.values[start : start + BATCH]


@torch.no_grad()
def quality(encode: Coder, decode: Coder, held: torch.Tensor) -> dict[str, float]:
    """Fraction of variance unexplained and mean number of active features on held-out vectors."""
    left = on = 0.0
    total = float((held - held.mean(0)).double().square().sum())
    for x in held.split(BATCH):
        acts = encode(x)
        left += float((x - decode(acts)).double().square().sum())
        on += float((acts != 0).sum())
    return {"fvu": left / total, "l0": on / len(held)}


@torch.inference_mode()
def encode_rate(encode: Coder, held: torch.Tensor, seconds: float = 1.0) -> float:
    """Vectors encoded a second: the median over batches of 4,096."""
    x, taken = held[:BATCH], []
    encode(x)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < 2:
        start = time.perf_counter()
        encode(x)
        taken.append(time.perf_counter() - start)
    return len(x) / float(np.median(taken))


def compete(train: Callable[..., tuple[Coder, Coder]]) -> None:
    """Train as the referee asks and tell how it went.

    ``train(asked, batches)`` gets the workload and returns how to encode and decode.
    """
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    torch.manual_seed(0)
    values = torch.from_numpy(np.load(asked["train"]))
    held = torch.from_numpy(np.load(asked["held"]))
    clock = Clock(asked["turn"])
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
    before = memory_mb("VmRSS")
    said(ready=True)
    encode, decode = train(asked, Batches(values, asked["steps"], clock))
    clock.tick() if clock.n % clock.turn else clock.wall
    peak = memory_mb("VmHWM") - before
    said(trained=True)
    wait()
    judged = quality(encode, decode, held) if asked["judge"] else {}
    rate = encode_rate(encode, held) if asked["judge"] else None
    said(done=True, memory_mb=peak, encode_rate=rate, **clock.medians(), **judged)
