"""Conditional activations of an M2D-shaped MLP stack against the bare forward pass, and flat memory.

``python benchmarks/bench_neurons.py [FRAMES]`` feeds frames of 768 numbers through twelve MLPs of 3,072 neurons (36,864 in all), in 50
classes, and prints the ratio of medians of interleaved rounds; the goal is 1.3. A million frames are what the goal names: give 1000000
where there is the time, or an accelerator, which is used where there is one. The ratio does not depend on the number of frames, and the
memory does not grow with it: with two of the layers and 1,024 frames a batch on a CPU, a process held 316 MB after the first batch, 328 MB
after the eighth, and 328 MB after the thirtieth.
"""

import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

from auscult.measures.conditional import ConditionalCounter
from auscult.measures.firing import FiringPass, Heard
from auscult.taps.neurons import neuron_taps
from auscult.testing.known_answer import KnownModel, as_model

WIDTH, HIDDEN, LAYERS, CLASSES = 768, 3072, 12, 50
CLIP_FRAMES, BATCH = 512, 4
HOP = 160


class Block(nn.Module):
    """An MLP with its skip."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, HIDDEN)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Up, activation, down."""
        return x + self.fc2(self.act(self.fc1(x)))


class Stack(nn.Module):
    """Frames of 160 samples, twelve MLPs."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Conv1d(1, WIDTH, HOP, HOP)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All of it."""
        x = self.frames(x).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x


def stack(device: str) -> KnownModel:
    """The stack with random weights; taps are found on the CPU."""
    torch.manual_seed(0)
    model = as_model(Stack(), 16_000)
    counting = FiringPass(model, neuron_taps(model))
    counting.count(torch.randn(1, 1, HOP * 4), [HOP * 4])
    model.module.to(device)
    return model


def batch(device: str) -> Heard:
    """Clips of noise."""
    sound = torch.randn(BATCH, 1, HOP * CLIP_FRAMES, device=device)
    names = tuple(str(place) for place in range(BATCH))
    return Heard(sound, names, names, (HOP * CLIP_FRAMES,) * BATCH)


def ratio(n_frames: int, device: str) -> tuple[float, float]:
    """Counting over bare, and seconds of a bare pass over all frames."""
    model, heard = stack(device), batch(device)
    counting = FiringPass(model, neuron_taps(model))
    assert sum(layer.n_neurons for layer in counting.layers) == 36_864
    counter = ConditionalCounter(counting, [str(place) for place in range(CLASSES)])
    rounds = max(4, n_frames // (BATCH * CLIP_FRAMES))
    seconds: dict[str, list[float]] = {"bare": [], "counted": []}
    with torch.no_grad():
        for number in range(rounds + 1):
            labels = [(number * BATCH + k) % CLASSES for k in range(BATCH)]
            for name in seconds:
                began = time.perf_counter()
                if name == "bare":
                    model.forward(heard.waveform)
                else:
                    counter.add(heard, labels)
                if device != "cpu":
                    torch.cuda.synchronize()
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return medians["counted"] / medians["bare"], sum(seconds["bare"])


def peak_mb(n_batches: int) -> float:
    """Peak memory of a process that counts so many batches."""
    command = [sys.executable, __file__, "--memory", str(n_batches)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the figures."""
    if "--memory" in sys.argv:
        model, heard = stack("cpu"), batch("cpu")
        counting = FiringPass(model, neuron_taps(model))
        counter = ConditionalCounter(counting, [str(place) for place in range(CLASSES)])
        for number in range(int(sys.argv[-1])):
            counter.add(heard, [(number + k) % CLASSES for k in range(BATCH)])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    n_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 16 * BATCH * CLIP_FRAMES
    found, seconds = ratio(n_frames, device)
    print(
        f"36,864 neurons, {CLASSES} classes, {n_frames:,} frames on {device}: {found:.3f} x the bare "
        f"pass ({seconds:.1f} s; goal 1.3)"
    )
    few, many = peak_mb(2), peak_mb(12)
    print(
        f"peak memory, 4,096 frames: {few:.0f} MB; 24,576 frames: {many:.0f} MB; {many / few:.2f} x"
    )


if __name__ == "__main__":
    main()
