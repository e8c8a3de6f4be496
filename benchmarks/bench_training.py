"""Training against other tools, in turns within one run.

    python benchmarks/bench_training.py [--full] [--threads 2] [--only w1,q3] [--peers FOLDER]

Each peer lives in an environment of its own, ``FOLDER/<name>/bin/python``; FOLDER is
``AUSCULT_PEERS``, or ``~/.cache/auscult-peers``. Make one with
``python -m venv FOLDER/saelens; FOLDER/saelens/bin/pip install torch==2.13.0 sae-lens``; the others
are ``dictionary_learning`` (``dictionary-learning``), ``overcomplete`` and ``sparsify``
(``eai-sparsify``). What is missing, or does not load, is left out and named.

All contenders of a workload are loaded at once and train a few steps each in turn, so that whatever
else the machine does slows all of them. Compare ratios; no single time means anything elsewhere.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent / "contenders"
PEERS = ("saelens", "dictionary_learning", "overcomplete", "sparsify")
BATCH = 4096

WORKLOADS = {
    "w1": {"d": 32, "m": 128, "kind": "relu", "l1": 0.5, "lr": 1e-3, "steps": 300},
    "w2a": {"d": 128, "m": 512, "kind": "relu", "l1": 2.0, "lr": 1e-3, "steps": 120},
    "w2b": {"d": 128, "m": 4096, "kind": "relu", "l1": 2.0, "lr": 1e-3, "steps": 40},
    "w2c": {"d": 128, "m": 32768, "kind": "relu", "l1": 2.0, "lr": 1e-3, "steps": 6},
    "q3": {"d": 256, "m": 2048, "kind": "topk", "k": 32, "lr": 1e-3, "steps": 40},
    "q3b": {"d": 256, "m": 2048, "kind": "batch-topk", "k": 32, "lr": 1e-3, "steps": 40},
    "w3": {"d": 768, "m": 24576, "kind": "topk", "k": 32, "lr": 3e-4, "steps": 5},
}
"""What they stand for: a first convolution; codec latents; a transformer's width, and the same kind
small enough to train to a quality."""

QUICK = ("w1", "w2a", "q3")


def first_convolution(rng, n):
    """Responses of 32 random kernels of length 7 to decaying harmonic notes: of rank 7."""
    n_samples = n + 6
    sound = 0.003 * rng.standard_normal(n_samples)
    for _ in range(n // 4000):
        start, length = int(rng.integers(n_samples)), int(rng.integers(3_000, 24_000))
        t = np.arange(min(length, n_samples - start)) / 24_000
        pitch_hz = 55.0 * 2.0 ** rng.uniform(0, 5)
        partials = np.arange(1, int(min(20, 12_000 / pitch_hz)) + 1)
        phases = rng.uniform(0, 2 * np.pi, len(partials))
        waves = np.sin(2 * np.pi * pitch_hz * partials[:, None] * t + phases[:, None])
        note = (waves / partials[:, None]).sum(0) * np.exp(-t * rng.uniform(1, 12))
        sound[start : start + len(t)] += rng.uniform(0.05, 1.0) * note
    windows = np.lib.stride_tricks.sliding_window_view(sound, 7)
    values = windows @ rng.uniform(-1, 1, (7, 32)) + 0.1 * rng.uniform(-1, 1, 32)
    return rng.permutation(values)


def sparse_mixtures(rng, n, d, n_atoms, l0, unit_rms):
    """Sums of about ``l0`` out of many directions, some far more frequent, and a little noise."""
    atoms = rng.standard_normal((n_atoms, d), dtype=np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    often = (np.arange(n_atoms) + 10.0) ** -0.7
    often = np.minimum(0.5, often * l0 / often.sum())
    values = np.empty((n, d), np.float32)
    for start in range(0, n, 8192):
        rows = values[start : start + 8192]
        shape = (len(rows), n_atoms)
        strengths = 0.5 + 0.7 * rng.standard_exponential(shape, dtype=np.float32)
        rows[:] = ((rng.random(shape, dtype=np.float32) < often) * strengths) @ atoms
        rows += 0.02 * rng.standard_normal(rows.shape, dtype=np.float32)
        if unit_rms:
            rows /= np.sqrt(np.square(rows).mean(1, keepdims=True))
    return values


def write_vectors(name, folder):
    """Training and held-out vectors of a workload, of mean square 1 a dimension."""
    rng = np.random.default_rng(0)
    if name == "w1":
        values = first_convolution(rng, 540_672)
    elif name.startswith("w2"):
        values = sparse_mixtures(rng, 147_456, 128, 2048, 12, True)
    elif name.startswith("q3"):
        values = sparse_mixtures(rng, 147_456, 256, 3072, 24, False)
    else:
        values = sparse_mixtures(rng, 36_864, 768, 8192, 24, False)
    values = (values / np.sqrt(np.square(values).mean())).astype(np.float32)
    paths = {"train": folder / f"{name}-train.npy", "held": folder / f"{name}-held.npy"}
    n_held = 16_384 if len(values) > 100_000 else 4_096
    np.save(paths["held"], values[:n_held])
    np.save(paths["train"], values[n_held:])
    return {side: str(path) for side, path in paths.items()}


class Contender:
    """A process that trains when told to."""

    def __init__(self, name, python, asked):
        self.name, self.result = name, None
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it lives as long as the process)
        script = HERE / ("ours.py" if name.startswith("ours") else f"peer_{name}.py")
        path = os.pathsep.join(p for p in (str(HERE), os.environ.get("PYTHONPATH", "")) if p)
        environment = os.environ | {"OMP_NUM_THREADS": str(asked["threads"]), "PYTHONPATH": path}
        self.process = subprocess.Popen(
            [python, str(script), json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
        )

    def hear(self):
        """The next thing that it says; None if it has died."""
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        self.log.seek(0)
        last = [line for line in self.log.read().splitlines() if line.strip()][-1:]
        print(f"  {self.name} is left out: {last[0] if last else 'it ended without a word'}")
        return None

    def go(self):
        """Let it have its turn; False once it is done."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        answer = self.hear()
        if answer is None:
            return False
        if answer.get("done"):
            self.result = answer
            self.process.wait()
            return False
        return True


def race(asked, contenders):
    """Give every contender its turns until all are done; results by name."""
    running = [Contender(name, python, asked | own) for name, python, own in contenders]
    running = [each for each in running if each.hear() is not None]
    all_of_them = list(running)
    while running:
        running = [each for each in running if each.go()]
    return {each.name: each.result for each in all_of_them if each.result}


def peak_gflops(dtype, n=2048, seconds=0.7):
    """The fastest square product that torch makes here."""
    a, b = (torch.randn(n, n).to(dtype) for _ in range(2))
    out, best = torch.empty(n, n, dtype=dtype), np.inf
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best / 1e9


def needed_gflop(asked):
    """Least arithmetic of a step: five products when dense, encoding and the entries when top-k."""
    d, m = asked["d"], asked["m"]
    per_vector = 10 * d * m if asked["kind"] == "relu" else 2 * d * m + 8 * d * asked["k"]
    return BATCH * per_vector / 1e9


def show(asked, results, peaks):
    """One table, and the ratios that matter."""
    print(f"  {'':22}{'ms/step':>9}{'cpu ms':>9}{'vectors/s':>12}{'of peak':>9}{'FVU':>9}"
          f"{'l0':>8}{'memory':>10}{'encode/s':>13}")  # fmt: skip
    for name, got in results.items():
        peak = peaks[torch.bfloat16 if name == "ours bf16" else torch.float32]
        share = needed_gflop(asked) / (got["step_ms"] / 1e3) / peak
        print(f"  {name:22}{got['step_ms']:9.2f}{got['cpu_ms']:9.2f}"
              f"{BATCH / got['step_ms'] * 1e3:12,.0f}{share:9.0%}{got.get('fvu', 0):9.4f}"
              f"{got.get('l0', 0):8.1f}{got['memory_mb']:7.0f} MB"
              f"{got.get('encode_rate') or 0:13,.0f}")  # fmt: skip
    peers = {name: got for name, got in results.items() if not name.startswith("ours")}
    if not peers:
        return
    best = min(peers, key=lambda name: peers[name]["step_ms"])
    for name in (name for name in results if name.startswith("ours")):
        mine = results[name]
        least = max(1.0, min(peers[each]["memory_mb"] for each in peers))
        fastest = max(peers[each]["encode_rate"] or 0 for each in peers)
        print(f"  {name} against {best}, the best peer: {peers[best]['step_ms'] / mine['step_ms']:.2f} x "
              f"({peers[best]['cpu_ms'] / mine['cpu_ms']:.2f} x processor time); encoding "
              f"{mine['encode_rate'] / fastest:.2f} x; memory {mine['memory_mb'] / least:.2f} x")  # fmt: skip


def on_one_pass(asked, n=12, steps=40, rounds=3):
    """Twelve dictionaries on one pass over the data against twelve passes: the ratio of medians."""
    sys.path.insert(0, str(HERE))
    from ours import built, settings_of

    from auscult.dictionaries.train import TrainingJob, train
    from auscult.store.source import ArraySource

    torch.set_num_threads(asked["threads"])
    source = ArraySource(np.load(asked["train"]))
    settings = settings_of(asked | {"bf16": "auto"}, steps)
    taken = {"apart": [], "together": []}
    for _ in range(rounds):
        for way in taken:
            jobs = [TrainingJob(built(asked, source, seed), f"{seed}") for seed in range(n)]
            groups = [jobs] if way == "together" else [[job] for job in jobs]
            start = time.perf_counter(), time.process_time()
            for number, group in enumerate(groups):
                with tempfile.TemporaryDirectory() as folder:
                    train(group, source, settings, Path(folder) / f"{number}")
            spent = time.perf_counter() - start[0], time.process_time() - start[1]
            taken[way].append(spent)
    (apart, apart_cpu), (together, together_cpu) = (
        1e3 * np.median(taken[way], axis=0) / steps for way in taken
    )
    print(f"  {n} dictionaries: {apart:.1f} ms a step in {n} runs, {together:.1f} ms on one pass: "
          f"{apart / together:.2f} x ({apart_cpu / together_cpu:.2f} x processor time)")  # fmt: skip


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every workload, longer trainings")
    parser.add_argument("--only", help="workloads by name, with commas between")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turn", type=int, default=10, help="steps in a turn, at most")
    parser.add_argument("--peers", type=Path, default=os.environ.get("AUSCULT_PEERS"))
    settings = parser.parse_args()
    folder = Path(settings.peers or Path.home() / ".cache" / "auscult-peers")
    pythons = {name: folder / name / "bin" / "python" for name in PEERS}
    there = [name for name in PEERS if pythons[name].exists()]
    print(f"peers: {', '.join(there) or f'none in {folder}'}; {settings.threads} threads")
    torch.set_num_threads(settings.threads)
    asked_for = (
        settings.only.split(",") if settings.only else list(WORKLOADS if settings.full else QUICK)
    )
    for name in asked_for:
        asked = WORKLOADS[name] | {"threads": settings.threads, "judge": True, "bf16": "auto"}
        asked["steps"] *= 3 if settings.full and asked["steps"] > 20 else 1
        asked["turn"] = max(1, min(settings.turn, asked["steps"] // 4))
        peaks = {dtype: peak_gflops(dtype) for dtype in (torch.float32, torch.bfloat16)}
        print(f"{name}: d {asked['d']}, {asked['m']} features, {asked['kind']}, {asked['steps']} steps; "
              f"peak {peaks[torch.float32]:.0f} GFLOP/s float32, "
              f"{peaks[torch.bfloat16]:.0f} bfloat16")  # fmt: skip
        with tempfile.TemporaryDirectory() as scratch:
            asked |= write_vectors(name, Path(scratch))
            able = [each for each in there if asked["kind"] == "topk" or each != "sparsify"]
            contenders = [(each, str(pythons[each]), {}) for each in able]
            contenders += [
                (f"ours {label}", sys.executable, {"bf16": bf16})
                for label, bf16 in (("bf16", "on"), ("float32", "off"))
            ]
            show(asked, race(asked, contenders), peaks)
            if name in ("w1", "w2a"):
                on_one_pass(asked, steps=40 if name == "w1" else 15)


if __name__ == "__main__":
    main()
