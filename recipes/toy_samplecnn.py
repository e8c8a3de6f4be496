"""Train the bundled toy SampleCNN: eight instrument families at 22,050 Hz.

    python recipes/toy_samplecnn.py --stride 3
    python recipes/toy_samplecnn.py --stride 1

writes `toy-samplecnn.safetensors` (or `toy-samplecnn-stride1.safetensors`) and its model card.
Two of the eight programs of every family are never trained on; the card says how well the network
names their family, beside the majority rate and the same network with random weights.
"""

import argparse
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cards import BUNDLED, Estimate, bootstrap_mean, stamp, table, versions, write_card
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from synth import FAMILIES, Recording, Renderer, Split, held_out_programs, render_corpus
from torch import Tensor
from torch.nn.functional import cross_entropy

from auscult.models.networks.samplecnn import ToySampleCNN

log = logging.getLogger("toy_samplecnn")

SECONDS = 4.0
CROP_SAMPLES = ToySampleCNN.input_samples
CLASSES = tuple(FAMILIES)
SILENCE = 1e-3


@dataclass(frozen=True)
class Corpus:
    """Recordings of one split as arrays."""

    samples: Float[np.ndarray, "recording time"]
    labels: Int[np.ndarray, " recording"]
    programs: Int[np.ndarray, " recording"]


def as_corpus(recordings: list[Recording]) -> Corpus:
    """Stack recordings and number their families."""
    return Corpus(
        np.stack([r.samples for r in recordings]),
        np.array([CLASSES.index(r.score.family) for r in recordings]),
        np.array([r.score.program for r in recordings]),
    )


def draw_batch(corpus: Corpus, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random crops that are not silent, each at a random gain within 12 dB and a random sign."""
    crops: list[np.ndarray] = []
    labels: list[int] = []
    while len(crops) < n:
        which = int(rng.integers(len(corpus.samples)))
        start = int(rng.integers(corpus.samples.shape[1] - CROP_SAMPLES))
        crop = corpus.samples[which, start : start + CROP_SAMPLES]
        if np.abs(crop).mean() > SILENCE:
            crops.append(crop * np.float32(rng.choice([-1, 1]) * rng.uniform(0.35, 1.4)))
            labels.append(int(corpus.labels[which]))
    return torch.from_numpy(np.stack(crops)[:, None]), torch.tensor(labels)


def train(network: ToySampleCNN, corpus: Corpus, args: argparse.Namespace) -> float:
    """Adam under a one-cycle rate, cross-entropy with a little label smoothing; seconds taken."""
    rng = np.random.default_rng(np.random.SeedSequence([args.seed, 300]))
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, total_steps=args.steps)
    network.train()
    started, running, hits = time.monotonic(), 0.0, 0.0
    for step in range(args.steps):
        x, y = draw_batch(corpus, args.batch, rng)
        logits = network(x)
        loss = cross_entropy(logits, y, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        running += 0.02 * (loss.item() - running)
        hits += 0.02 * (float((logits.argmax(1) == y).float().mean()) - hits)
        if step % 50 == 0 or step == args.steps - 1:
            log.info(
                "%5d %5.0f s  loss %.3f  accuracy %.3f",
                step,
                time.monotonic() - started,
                running,
                hits,
            )
    return time.monotonic() - started


@torch.no_grad()
def is_right(network: ToySampleCNN, corpus: Corpus) -> Float[np.ndarray, " recording"]:
    """1 for each recording whose family has the highest mean logit over its four windows."""
    network.eval()
    right = np.zeros(len(corpus.labels))
    n_windows = corpus.samples.shape[1] // CROP_SAMPLES
    for i, samples in enumerate(corpus.samples):
        windows = samples[: n_windows * CROP_SAMPLES].reshape(n_windows, 1, CROP_SAMPLES)
        guess = network(torch.from_numpy(windows)).mean(dim=0).argmax()
        right[i] = float(int(guess) == corpus.labels[i])
    return right


@torch.no_grad()
def settle_statistics(network: ToySampleCNN, corpus: Corpus, seed: int) -> None:
    """Let the running statistics of the control see sounds, its weights staying random.

    Without this its batch normalisation would divide by the initial 1, which no sound ever met.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 400]))
    network.train()
    for _ in range(40):
        network(draw_batch(corpus, 32, rng)[0])
    network.eval()


def stored(network: ToySampleCNN) -> dict[str, Tensor]:
    """The state as it is written: filters in half precision, everything else as it is.

    `load_state_dict` widens them to float32 again. The rounded values are the model: all figures
    are measured after rounding.
    """
    state = {name: t.detach().contiguous().clone() for name, t in network.state_dict().items()}
    half = {n for n, t in state.items() if n.endswith("weight") and t.ndim > 1}
    return {name: t.half() if name in half else t for name, t in state.items()}


def command(args: argparse.Namespace) -> str:
    """The command line that repeats this run."""
    names = ("stride", "steps", "batch", "rate", "phrases", "seed")
    words = [f"--{name} {getattr(args, name):g}" for name in names]
    return " ".join(["python recipes/toy_samplecnn.py", *words])


def main() -> None:
    """Render, train, round, evaluate, write."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(ToySampleCNN.sample_rate, args.font)

    def corpus(split: Split, n_per_program: int) -> Corpus:
        recordings = render_corpus(
            renderer, split, n_per_program=n_per_program, seconds=SECONDS, seed=args.seed
        )
        return as_corpus(recordings)

    training = corpus("train", args.phrases)
    log.info("%d training recordings", len(training.samples))
    torch.manual_seed(args.seed + 1)
    control = ToySampleCNN(args.stride)
    settle_statistics(control, training, args.seed)
    torch.manual_seed(args.seed)
    network = ToySampleCNN(args.stride)
    name = "toy-samplecnn" if args.stride == 3 else "toy-samplecnn-stride1"
    weights = args.out / f"{name}.safetensors"
    if not args.card_only:
        minutes = train(network, training, args) / 60
        save_file(stored(network), weights, {"recipe": command(args), "minutes": f"{minutes:.1f}"})
        weights.chmod(0o644)
    network.load_state_dict(load_file(weights))

    phrases, programs = corpus("phrases", 6), corpus("programs", 24)
    rows = [
        ("this network", is_right(network, programs), is_right(network, phrases)),
        ("random weights (control)", is_right(control, programs), is_right(control, phrases)),
        ("largest class (control)", *(_majority(c) for c in (programs, phrases))),
    ]
    write_card(args.out / f"{name}.md", card(weights, args, rows, programs))
    log.info("%s: %s on held-out programs", name, bootstrap_mean(rows[0][1]).percent())


def _majority(corpus: Corpus) -> Float[np.ndarray, " recording"]:
    return (corpus.labels == np.bincount(corpus.labels).argmax()).astype(float)


def origin(weights: Path, args: argparse.Namespace) -> str:
    """How a network was made; the command and the time come from the file's metadata."""
    with safe_open(weights, "pt") as opened:
        made = opened.metadata()
    return f"""## How it was made

`{made["recipe"]}`

Random melodies, broken chords and chords ({SECONDS:.0f} s) of 48 programs, {args.phrases} each,
rendered with FluidR3 through tinysoundfont, all families in the same register and at levels from
-28 to -14 dB. Cross-entropy with label smoothing 0.05 on crops of {CROP_SAMPLES} samples; AdamW
(weight decay 0.02), one-cycle rate up to {args.rate:g}, {args.steps} steps of {args.batch};
dropout 0.5. {made["minutes"]} minutes by the clock on one thread of a busy processor;
{versions("torch", "numpy", "tinysoundfont")}.

Classes in the order of the logits: {", ".join(CLASSES)}.

## File

`{weights.name}`, {stamp(weights)}. Filter and class weights are stored in half precision and
load into float32; the figures above are those of the stored values. Licence: Apache-2.0. The
sounds it learned from were rendered with FluidR3 GM (Frank Wen, MIT licence).
"""


def card(
    weights: Path,
    args: argparse.Namespace,
    rows: list[tuple[str, np.ndarray, np.ndarray]],
    programs: Corpus,
) -> str:
    """The model card."""
    over_programs: Estimate = bootstrap_mean(rows[0][1], groups=programs.programs.tolist())
    accuracy = table(
        ["", "held-out programs", "training programs, other phrases"],
        [[who, bootstrap_mean(a).percent(), bootstrap_mean(b).percent()] for who, a, b in rows],
    )
    held = held_out_programs()
    per_family = table(
        ["family", "programs (held out in brackets)", "accuracy on the held-out programs"],
        [
            [
                f,
                " ".join(f"[{p}]" if p in held[f] else str(p) for p in FAMILIES[f]),
                bootstrap_mean(rows[0][1][programs.labels == i]).percent(),
            ]
            for i, f in enumerate(CLASSES)
        ],
    )
    first = (
        "three, so that\nfilters do not overlap"
        if args.stride == 3
        else "one, with\nmax pooling by three after it: the overlap control of toy-samplecnn"
    )
    return f"""
# {weights.stem}

A toy SampleCNN (`ToySampleCNN(stride={args.stride})`): waveform at 22,050 Hz in, logits of eight
instrument families out. The first convolution has 32 filters of length three and a hop of {first}.

It exists so that analyses, tests and tutorials have a trained network at hand. It knows rendered
General MIDI sounds only and is no instrument classifier for recorded music.

## How well it hears

Share of recordings whose family is named (mean logit over four windows of 0.89 s), with 95 %
bootstrap intervals over recordings:

{accuracy}

The held-out programs are few: drawing programs instead of recordings, the interval on them is
{100 * over_programs.low:.1f} - {100 * over_programs.high:.1f} %.

{per_family}

The random-weight control has its batch normalisation settled on the training sounds. Held-out
programs: {len(rows[0][1])} recordings; other phrases: {len(rows[0][2])} recordings.

{origin(weights, args)}
"""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stride", type=int, choices=(3, 1), default=3)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--phrases", type=int, default=32, help="phrases per training program")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--font", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    parser.add_argument(
        "--card-only", action="store_true", help="measure the weights that are there"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
