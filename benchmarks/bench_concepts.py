"""How many times faster than real time the three published concepts label a sound at 24 kHz.

usage: python benchmarks/bench_concepts.py [--seconds 120] [--threads 2]

The sound is cut in as many parts as there are threads, which label side by side, as a run over many
files would. Ten hours take as long as their share says: nothing grows with the length.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np

from auscult.concepts.base import CONCEPTS
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase

RATE = 24_000
TIME = TimeBase(RATE, hop=Fraction(320))  # 75 frames a second, as EnCodec
PUBLISHED = ("pitch", "loudness", "centroid")


def voice(seconds, rng):
    """A voice of ten harmonics that glides, with pauses and noise: something to follow."""
    n = round(seconds * RATE)
    steps = rng.uniform(45, 75, n // RATE * 4 + 2)
    midi = np.interp(np.arange(n), np.arange(len(steps)) * RATE / 4, steps)
    phase = 2 * np.pi * np.cumsum(440 * 2 ** ((midi - 69) / 12)) / RATE
    sound = sum(np.sin(h * phase) / h for h in range(1, 11)) * (np.arange(n) // RATE % 4 > 0)
    return (0.1 * sound + 0.003 * rng.standard_normal(n)).astype(np.float32)


def label(name, parts, pool):
    concept = CONCEPTS.get(name)()
    start = time.perf_counter()
    n_frames = sum(pool.map(lambda part: len(concept.label(part, TIME).values), parts))
    return time.perf_counter() - start, n_frames


def measure(seconds, threads):
    """Seconds spent by concept, and in all, for so many seconds of sound."""
    rng = np.random.default_rng(0)
    parts = [Audio(voice(seconds / threads, rng)[None], RATE) for _ in range(threads)]
    spent = {}
    with ThreadPoolExecutor(threads) as pool:
        for name in PUBLISHED:
            label(name, [Audio(part.samples[:, :RATE], RATE) for part in parts], pool)  # warm
            spent[name], n_frames = label(name, parts, pool)
    return spent, n_frames


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--threads", type=int, default=2)
    settings = parser.parse_args()
    spent, n_frames = measure(settings.seconds, settings.threads)
    for name, s in {**spent, "all three": sum(spent.values())}.items():
        print(f"{name}: {settings.seconds / s:.0f} x real time ({n_frames} frames, "
              f"{settings.threads} threads); ten hours in {36_000 * s / settings.seconds:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
