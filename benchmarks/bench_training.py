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

_RELU = {"kind": "relu", "lr": 1e-3}
_TOPK = {"kind": "topk", "k": 32, "lr": 1e-3}

WORKLOADS = {
    "w1": _RELU
    | {"d": 32, "m": 128, "l1": 0.5, "rank": 7, "steps": (300, 3000), "turn": 50, "goal": 3.3},
    "w2a": _RELU | {"d": 128, "m": 512, "l1": 2.0, "steps": (100, 250), "turn": 20, "goal": 5.0},
    "w2b": _RELU | {"d": 128, "m": 4096, "l1": 2.0, "steps": (20, 30), "goal": 8.2},
    "w2c": _RELU | {"d": 128, "m": 32768, "l1": 2.0, "steps": (3, 3)},
    "q3": _TOPK | {"d": 256, "m": 2048, "steps": (30, 60), "goal": 3.6},
    "q3b": _TOPK | {"d": 256, "m": 2048, "kind": "batch-topk", "steps": (20, 30), "goal": 7.2},
    "w3": _TOPK | {"d": 768, "m": 24576, "lr": 3e-4, "steps": (3, 3), "goal": 4.3},
}
"""What they stand for: a first convolution; codec latents; a transformer's width, and the same kind
small enough to train to a quality. ``steps``: quick, and with ``--full``; ``turn``: steps in a row,
where 10 are over before the threads of the one before have come to rest; ``goal``: times the best
peer, as a prototype reached it on a processor with AMX."""

QUICK = ("w1", "w2a", "q3")

AS_GOOD = 1.1
"""Times our FVU, at as many active features, up to which a peer counts as being as good."""

UNJUDGED = ("w2c",)
"""What is trained for too few steps to speak of quality, and too wide to encode for long."""

ON_ONE_PASS = {"w1": 60, "w2a": 15, "q3": 4}
"""Where twelve dictionaries are trained at once as well, and for how many steps."""


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
    d, m = asked.get("rank", asked["d"]), asked["m"]
    per_vector = 10 * d * m if asked["kind"] == "relu" else 2 * d * m + 8 * d * asked["k"]
    return BATCH * per_vector / 1e9


def front(asked, n=12):
    """L0 and FVU of our dictionaries under L1 weights from a sixteenth to eight times the asked."""
    sys.path.insert(0, str(HERE))
    from ours import built, settings_of
    from turns import quality

    from auscult.dictionaries.train import TrainingJob, train
    from auscult.store.source import ArraySource

    source, held = ArraySource(np.load(asked["train"])), torch.from_numpy(np.load(asked["held"]))
    weights = asked["l1"] * np.geomspace(1 / 16, 8.0, n)
    jobs = [TrainingJob(built(asked | {"l1": w}, source), f"{w:.3g}") for w in weights]
    with tempfile.TemporaryDirectory() as folder:
        made = train(jobs, source, settings_of(asked, asked["steps"]), Path(folder))
    judged = [quality(each.encode, each.decode, held) for each in made]
    return sorted((got["l0"], got["fvu"]) for got in judged if got["l0"] > 1.0)


def fvu_at(l0, points):
    """Our FVU at as many active features, between two of a front; NaN beyond its ends."""
    l0s, fvus = (np.log([point[axis] for point in points]) for axis in (0, 1))
    return float(np.exp(np.interp(np.log(l0), l0s, fvus, left=np.nan, right=np.nan)))


def show(asked, results, peaks, points=None):
    """One table, and the ratios that matter; gives back a line of the table of all workloads.

    What L1 weighs differs from tool to tool: with ``points``, the front of ours, peers are judged
    beside ours of as many active features.
    """
    print(f"  {'':22}{'ms/step':>9}{'cpu ms':>9}{'vectors/s':>12}{'of peak':>9}{'FVU':>9}"
          f"{'l0':>8}{'memory':>10}{'encode/s':>13}")  # fmt: skip
    for name, got in results.items():
        share = needed_gflop(asked) / (got["step_ms"] / 1e3) / peaks[name == "ours bf16"]
        print(f"  {name:22}{got['step_ms']:9.2f}{got['cpu_ms']:9.2f}"
              f"{BATCH / got['step_ms'] * 1e3:12,.0f}{share:9.0%}{got.get('fvu', 0):9.4f}"
              f"{got.get('l0', 0):8.1f}{got['memory_mb']:7.0f} MB"
              f"{got.get('encode_rate') or 0:13,.0f}")  # fmt: skip
    peers = {name: got for name, got in results.items() if not name.startswith("ours")}
    mine = results.get("ours bf16")
    if not peers or mine is None:
        return None
    best = min(peers, key=lambda name: peers[name]["step_ms"])
    least_ms = 1e3 * needed_gflop(asked) / peaks[True]
    ours = {
        name: mine["fvu"] if points is None else fvu_at(got["l0"], points)
        for name, got in peers.items()
        if "fvu" in got
    }
    for name, fvu in ours.items() if points else ():
        print(f"  at the L0 of {name}, {peers[name]['l0']:.1f}: its FVU {peers[name]['fvu']:.4g}, "
              f"ours {fvu:.4g}")  # fmt: skip
    as_good = {
        name: peers[name]["step_ms"]
        for name, fvu in ours.items()
        if peers[name]["fvu"] <= AS_GOOD * fvu
    }
    rival = min(as_good, key=lambda name: as_good[name]) if as_good else None
    memory = max(1.0, min(got["memory_mb"] for got in peers.values()))
    fastest = max(got["encode_rate"] or 0 for got in peers.values())
    exact = results.get("ours float32", mine)
    cells = [
        best,
        f"{peers[best]['step_ms']:.3g}",
        f"{exact['step_ms']:.3g}",
        f"{mine['step_ms']:.3g}",
        f"**{peers[best]['step_ms'] / mine['step_ms']:.1f} ×**",
        f"{as_good[rival] / mine['step_ms']:.1f} × ({rival})" if rival else "–",
        f"{asked['goal']:.1f} ×" if "goal" in asked else "–",
        f"{peers[best]['step_ms'] / least_ms:.1f} ×",
        f"{least_ms / mine['step_ms']:.0%}",
    ]
    if fastest:
        fvu, l0 = (
            " / ".join(f"{got[figure]:.3g}" for got in (peers[best], exact, mine))
            for figure in ("fvu", "l0")
        )
        rates = (exact["encode_rate"] / fastest, mine["encode_rate"] / fastest)
        beside = f"{peers[rival]['fvu']:.3g} / {ours[rival]:.3g}" if rival else "–"
        cells += [fvu, l0, beside, " / ".join(f"{rate:.2f} ×" for rate in rates)]
    else:
        cells += ["–"] * 4
    return [*cells, f"{mine['memory_mb'] / memory:.2f} ×"]


HEAD = ("", "best peer", "its ms a step", "ours, float32", "ours, bfloat16", "faster by",
        "than the best as good", "goal", "this machine allows", "of its peak",
        "FVU: peer / float32 / bfloat16", "L0", "FVU at the L0 of the best as good: it / ours",
        "encodes, float32 / bfloat16", "memory")  # fmt: skip


def write_table(rows):
    """Markdown, to be pasted into docs/explanation/speed.md."""
    print("\n| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for name, cells in rows.items():
        print(f"| {name.upper()} | " + " | ".join(cells) + " |")


def on_one_pass(asked, peak, peers_ms=(), n=12, steps=40, rounds=3):
    """Twelve dictionaries on one pass over the data against twelve passes: the ratio of medians.

    ``peers_ms`` are what steps of others took in the same run, of which the fastest is shown.
    """
    sys.path.insert(0, str(HERE))
    from ours import built, settings_of

    from auscult.dictionaries.train import TrainingJob, train
    from auscult.store.source import ArraySource

    source = ArraySource(np.load(asked["train"]))
    settings = settings_of(asked | {"bf16": "auto"}, steps)
    taken = {"apart": [], "together": []}
    for _ in range(rounds):
        for way in taken:
            jobs = [TrainingJob(built(asked, source, seed), f"{seed}") for seed in range(n)]
            groups = [jobs] if way == "together" else [[job] for job in jobs]
            with tempfile.TemporaryDirectory() as folder:
                taken[way].append(
                    [steps_ms(train, group, source, settings, folder) for group in groups]
                )
    apart, together = (float(np.median([sum(each) for each in taken[way]])) for way in taken)
    least = n * 1e3 * needed_gflop(asked) / peak
    print(f"  {n} dictionaries: {apart:.1f} ms a step in {n} runs, {together:.1f} ms on one pass: "
          f"{apart / together:.2f} x; products at the peak alone take {least:.1f} ms: "
          f"at most {apart / least:.1f} x")  # fmt: skip
    if peers_ms:
        others = n * min(peers_ms)
        print(f"  {n} runs of the fastest peer: {others:.1f} ms a step: {others / together:.1f} x")
    return apart, together, least


def steps_ms(train, group, source, settings, folder):
    """Milliseconds that a step of all takes, without what comes before the first one."""
    times = []
    train(
        group,
        source,
        settings,
        Path(folder) / group[0].name,
        lambda *_: times.append(time.perf_counter()),
    )
    return 1e3 * float(np.median(np.diff(times)))


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every workload, longer trainings")
    parser.add_argument("--only", help="workloads by name, with commas between")
    parser.add_argument("--threads", type=int, default=2)
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
    rows, began = {}, time.perf_counter()
    for name in asked_for:
        asked = WORKLOADS[name] | {"threads": settings.threads, "bf16": "auto"}
        asked["judge"] = name not in UNJUDGED
        asked["steps"] = asked["steps"][settings.full]
        asked["turn"] = max(1, min(asked.get("turn", 10), asked["steps"] // 4))
        peaks = [peak_gflops(dtype) for dtype in (torch.float32, torch.bfloat16)]
        print(f"{name}: d {asked['d']}, {asked['m']} features, {asked['kind']}, {asked['steps']} steps; "
              f"peak {peaks[0]:.0f} GFLOP/s float32, {peaks[1]:.0f} bfloat16", flush=True)  # fmt: skip
        with tempfile.TemporaryDirectory() as scratch:
            asked |= write_vectors(name, Path(scratch))
            able = [each for each in there if asked["kind"] == "topk" or each != "sparsify"]
            contenders = [(each, str(pythons[each]), {}) for each in able]
            contenders += [
                (f"ours {label}", sys.executable, {"bf16": bf16})
                for label, bf16 in (("bf16", "on"), ("float32", "off"))
            ]
            results = race(asked, contenders)
            judged = asked["kind"] == "relu" and asked["judge"]
            row = show(asked, results, peaks, front(asked) if judged else None)
            if row:
                rows[name] = row
            if name in ON_ONE_PASS:
                peers_ms = [results[each]["step_ms"] for each in able if each in results]
                on_one_pass(asked, peaks[1], peers_ms, steps=ON_ONE_PASS[name])
    if rows:
        write_table(rows)
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
