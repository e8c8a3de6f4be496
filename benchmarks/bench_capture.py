"""Capture of EnCodec's first convolution against the bare forward pass, and flat memory.

``python benchmarks/bench_capture.py`` interleaves bare passes, passes that capture to memory and passes
that capture to disk, and prints the ratios of their medians. The goals are 1.10 and 1.25.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from auscult.models.base import MODELS
from auscult.store.sampling import Sampling
from auscult.store.writer import StoreWriter
from auscult.taps.capture import capture
from auscult.taps.probe import time_base

SECONDS, BATCH = 5.0, 4


def encodec():
    """EnCodec 24 kHz in its full size, with random weights."""
    cls, params = MODELS.parse({"type": "encodec"}, "model")
    return cls.build(params, "random", 0)


def ratios(rounds: int = 7) -> dict[str, float]:
    """Medians of interleaved rounds, over the bare pass."""
    model = encodec()
    encoder = model.module.encoder
    wave = 0.1 * torch.randn(BATCH, 1, int(SECONDS * model.sample_rate))
    time_ = time_base(model, "conv.0")

    def bare() -> None:
        encoder(wave)

    def to_memory() -> None:
        with capture(model, ["conv.0"]) as captured:
            encoder(wave)
        del captured

    def to_disk() -> None:
        with tempfile.TemporaryDirectory() as folder:
            writer = StoreWriter(
                Path(folder) / "store",
                d_in=32,
                time=time_,
                sampling=Sampling(),
                seed=0,
                provenance={},
            )
            with capture(model, ["conv.0"], on_fire=lambda _, heard: keep(writer, heard)):
                encoder(wave)
            writer.finish()

    ways: dict[str, Callable[[], None]] = {"bare": bare, "memory": to_memory, "disk": to_disk}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with torch.no_grad():
        for number in range(rounds + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {name: medians[name] / medians["bare"] for name in ("memory", "disk")}


def keep(writer: StoreWriter, heard) -> None:
    """Write every clip of a batch."""
    for row, values in enumerate(heard.values):
        writer.add(f"clip-{row}", f"clip-{row}", values)


def peak_mb(n_clips: int) -> float:
    """Peak memory of a process that captures so many clips of 2 s to disk."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", str(n_clips)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def capture_clips(n_clips: int) -> None:
    """Capture clips of 2 s one after another, then print the peak memory in MB."""
    cls, params = MODELS.parse({"type": "toy-samplecnn"}, "model")
    model = cls.build(params, "random", 0)
    time_ = time_base(model, "conv.0")
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        writer = StoreWriter(
            Path(folder) / "store", d_in=32, time=time_, sampling=Sampling(), seed=0, provenance={}
        )
        for number in range(n_clips):
            with capture(model, ["conv.0"], stop=True) as captured:
                model.forward(0.1 * torch.randn(1, 1, 2 * model.sample_rate))
            writer.add(f"clip-{number}", f"clip-{number}", captured["conv.0"].values[0])
        writer.finish()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print the figures."""
    if "--memory" in sys.argv:
        capture_clips(int(sys.argv[-1]))
        return
    found = ratios()
    print(
        f"capture of EnCodec's first convolution to memory: {found['memory']:.3f} x bare (goal 1.10)"
    )
    print(
        f"capture of EnCodec's first convolution to disk:   {found['disk']:.3f} x bare (goal 1.25)"
    )
    few, many = peak_mb(40), peak_mb(400)
    print(f"peak memory, 80 s of sound: {few:.0f} MB; 800 s: {many:.0f} MB; ratio {many / few:.2f}")


if __name__ == "__main__":
    main()
