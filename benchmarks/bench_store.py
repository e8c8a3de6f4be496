"""Store against raw files: ratios of medians out of rounds in which both took turns.

    python benchmarks/bench_store.py [--mib 256] [--rounds 9] [--encodec]

Other work on the machine slows both sides of a ratio; no single time here means anything elsewhere.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from auscult.core.timebase import TimeBase
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.store.writer import StoreWriter

Contenders = Mapping[str, Callable[[], object]]


def interleaved(contenders: Contenders, rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of each, after one round that does not count."""
    taken = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, work in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            if number:
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: tuple(np.median(times, axis=0).tolist()) for name, times in taken.items()}


def show(what: str, amount: float, unit: str, times: Mapping[str, tuple[float, float]]) -> None:
    """Print the rate of each contender and its time relative to the first one's."""
    first_wall, first_cpu = next(iter(times.values()))
    for name, (wall, cpu) in times.items():
        rate = f"{amount / wall:12,.0f} {unit}/s"
        ratios = f"{wall / first_wall:6.2f} x wall {cpu / max(first_cpu, 1e-9):6.2f} x cpu"
        print(f"{what:34} {name:14} {rate:22} {ratios}")


def values_of(n: int, d_in: int, dtype: str) -> np.ndarray:
    """Vectors that no page is shared by."""
    return np.random.default_rng(0).standard_normal((n, d_in), dtype=np.float32).astype(dtype)


def written(folder: Path, values: np.ndarray, clip_frames: int) -> ActivationStore:
    """Store an array clip by clip."""
    tensor = torch.from_numpy(values)
    dtype = "float16" if values.dtype == np.float16 else "float32"
    with StoreWriter(
        folder,
        d_in=values.shape[1],
        time=TimeBase(24_000),
        sampling=Sampling(),
        seed=0,
        provenance={"benchmark": "store"},
        dtype=dtype,
    ) as writer:
        for number, start in enumerate(range(0, len(values), clip_frames)):
            writer.add(f"{number}", "benchmark", tensor[start : start + clip_frames])
        return writer.finish()


def raw_written(path: Path, values: np.ndarray, clip_frames: int) -> None:
    """The twin: the same bytes appended to one file, fsync at the end."""
    with path.open("wb") as file:
        for start in range(0, len(values), clip_frames):
            file.write(values[start : start + clip_frames].data)
        file.flush()
        os.fsync(file.fileno())


def bench_write(folder: Path, mib: int, rounds: int) -> None:
    """Whole captures: sampling, statistics, hashing, shards, index; against appending raw bytes."""
    for d_in, clip_frames, dtype in ((32, 48_000, "float32"), (128, 750, "float32")):
        n = mib * (1 << 20) // (d_in * np.dtype(dtype).itemsize)
        values = values_of(n, d_in, dtype)

        def store(values: np.ndarray = values, clip_frames: int = clip_frames) -> None:
            target = folder / "written"
            written(target, values, clip_frames)
            shutil.rmtree(target)

        def raw(values: np.ndarray = values, clip_frames: int = clip_frames) -> None:
            raw_written(folder / "raw", values, clip_frames)

        times = interleaved({"raw file": raw, "store": store}, max(1, rounds // 3))
        show(f"write {dtype} d={d_in}", values.nbytes / 1e6, "MB", times)


def bench_rows(folder: Path, mib: int, rounds: int) -> None:
    """Random rows, page cache warm; against fancy indexing of one raw memory map, to float32."""
    rng = np.random.default_rng(1)
    for d_in, dtype in ((512, "float16"), (512, "float32"), (32, "float32")):
        n = mib * (1 << 20) // (d_in * np.dtype(dtype).itemsize)
        values = values_of(n, d_in, dtype)
        path = folder / f"raw-{d_in}-{dtype}"
        raw_written(path, values, 4096)
        raw = np.memmap(path, dtype, "r", shape=values.shape)
        store = written(folder / f"store-{d_in}-{dtype}", values, 4096)
        for batch in (1024, 4096):
            indices = [rng.integers(0, n, batch) for _ in range(max(1, 65_536 // batch))]
            contenders = {
                "memmap": lambda raw=raw, indices=indices: [
                    raw[i].astype(np.float32, copy=False) for i in indices
                ],
                "store.rows": lambda store=store, indices=indices: [store.rows(i) for i in indices],
            }
            times = interleaved(contenders, rounds)
            show(f"rows {dtype} d={d_in} of {batch}", batch * len(indices), "rows", times)
        bench_pass(store, raw, f"shuffled pass {dtype} d={d_in}", max(1, rounds // 3))


def bench_pass(store: ActivationStore, raw: np.ndarray, what: str, rounds: int) -> None:
    """One shuffled pass in batches of 4,096."""

    def twin() -> None:
        order = np.random.default_rng(0).permutation(len(raw))
        for start in range(0, len(order), 4096):
            raw[order[start : start + 4096]].astype(np.float32, copy=False)

    def passed(prefetch: int) -> None:
        for _ in store.vectors(4096, np.random.default_rng(0), prefetch=prefetch):
            pass

    contenders = {
        "memmap": twin,
        "vectors": lambda: passed(0),
        "prefetch=2": lambda: passed(2),
    }
    show(what, store.n_vectors, "rows", interleaved(contenders, rounds))


def bench_encodec(folder: Path, rounds: int, clips: int = 10, clip_s: float = 2.0) -> None:
    """EnCodec's encoder alone, with its first convolution copied to memory, and stored on disk."""
    from transformers import EncodecConfig, EncodecModel

    encoder = EncodecModel(EncodecConfig()).eval().encoder
    sound = torch.randn(1, 1, int(24_000 * clip_s))
    kept = torch.empty(sound.shape[-1], 32)

    def listen(take: Callable[[torch.Tensor], object] | None) -> None:
        def hook(*given: torch.Tensor) -> None:
            take(given[-1][0].t())

        handle = take and encoder.layers[0].register_forward_hook(hook)
        with torch.inference_mode():
            for _ in range(clips):
                encoder(sound)
        if handle:
            handle.remove()

    def to_disk() -> None:
        target = folder / "encodec"
        with StoreWriter(
            target,
            d_in=32,
            time=TimeBase(24_000),
            sampling=Sampling(),
            seed=0,
            provenance={"benchmark": "encodec"},
        ) as writer:
            names = iter(range(10**6))
            listen(lambda values: writer.add(f"{next(names)}", "r", values))
            writer.finish()
        shutil.rmtree(target)

    contenders = {
        "bare forward": lambda: listen(None),
        "to memory": lambda: listen(kept.copy_),
        "to disk": to_disk,
    }
    show("EnCodec conv.0, audio", clips * clip_s, "s", interleaved(contenders, rounds))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the data")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--encodec", action="store_true", help="needs transformers")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch:
        bench_rows(Path(scratch), asked.mib, asked.rounds)
        bench_write(Path(scratch), asked.mib, asked.rounds)
        if asked.encodec:
            bench_encodec(Path(scratch), asked.rounds)


if __name__ == "__main__":
    main()
