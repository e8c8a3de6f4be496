"""Train the miniature generator: a rectified flow over the latents of the miniature EnCodec.

    python recipes/mini_flow.py

renders notes, trains, and writes `mini-flow.safetensors`, `mini-flow.json` and, with
`python recipes/flow_card.py`, the model card. A training that was stopped goes on from
`build/flow/state.safetensors`.
"""

import argparse
import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from cards import BUNDLED
from flow_notes import (
    LEVELS_DB,
    N_FRAMES,
    PITCHES,
    PROGRAMS,
    SAMPLE_RATE,
    at_levels,
    latents_of,
    render_notes,
)
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from synth import Renderer
from torch import Tensor, nn

from auscult.models.mini_encodec import MiniEncodec
from auscult.models.networks.flow_transformer import FlowShape, FlowTransformer, Wishes

log = logging.getLogger("mini_flow")

SHAPE = FlowShape(
    d_latent=32,
    n_frames=N_FRAMES,
    patch=2,
    d_model=128,
    n_blocks=6,
    n_heads=4,
    d_mlp=512,
    n_instruments=len(PROGRAMS),
    n_pitches=len(PITCHES),
)
N_LEVELS = 2
OPEN, ALL_OPEN = 0.1, 0.1
"""Chance that one wish is left open, and that all are: what guidance subtracts."""

EMA = 0.999


@dataclass(frozen=True)
class Corpus:
    """Standardised latents and what they play.

    Attributes:
        latents: Each channel at mean 0 and deviation 1.
        mean, deviation: Of each channel as the codec says it.
        instruments, pitches: Indices.
        loudness: In standard units.
    """

    latents: Float[Tensor, "note d_latent frame"]
    mean: Float[Tensor, " d_latent"]
    deviation: Float[Tensor, " d_latent"]
    instruments: Int[Tensor, " note"]
    pitches: Int[Tensor, " note"]
    loudness: Float[Tensor, " note"]


def standard_loudness(level_db: Float[Tensor, " note"]) -> Float[Tensor, " note"]:
    """Decibels to about -1 ... 1."""
    middle, half = sum(LEVELS_DB) / 2, (LEVELS_DB[1] - LEVELS_DB[0]) / 2
    return (level_db - middle) / half


def make_corpus(args: argparse.Namespace) -> Corpus:
    """Render and encode every note at `N_LEVELS` levels, or take up what was encoded before."""
    kept = args.scratch / "latents.safetensors"
    if not kept.exists():
        notes = render_notes(Renderer(SAMPLE_RATE, args.font))
        codec = MiniEncodec.build(MiniEncodec.Params(), "trained", 0)
        rng = torch.Generator().manual_seed(args.seed)
        latents, levels = [], []
        for part in range(N_LEVELS):
            # The same share of all levels for every note, drawn anew within the share.
            place = (part + torch.rand(len(notes), generator=rng)) / N_LEVELS
            level = LEVELS_DB[0] + (LEVELS_DB[1] - LEVELS_DB[0]) * place
            latents.append(latents_of(codec, at_levels(notes.waveforms, level)))
            levels.append(level)
        tensors = {
            "latents": torch.cat(latents),
            "levels": torch.cat(levels),
            "instruments": notes.instruments.repeat(N_LEVELS),
            "pitches": notes.pitches.repeat(N_LEVELS),
        }
        save_file(tensors, kept)
    held = load_file(kept)
    frames = held["latents"].transpose(1, 2).flatten(0, 1)
    mean, deviation = frames.mean(0), frames.std(0)
    standard = (held["latents"] - mean[:, None]) / deviation[:, None]
    loudness = standard_loudness(held["levels"])
    return Corpus(standard, mean, deviation, held["instruments"], held["pitches"], loudness)


def draw_batch(corpus: Corpus, n: int, rng: torch.Generator) -> tuple[Tensor, Wishes]:
    """Clean latents and their wishes, some of them left open."""
    rows = torch.randint(len(corpus.latents), (n,), generator=rng)
    is_open = torch.rand(3, n, generator=rng) < OPEN
    is_open |= torch.rand(n, generator=rng) < ALL_OPEN
    wishes = Wishes(
        corpus.instruments[rows].masked_fill(is_open[0], -1),
        corpus.pitches[rows].masked_fill(is_open[1], -1),
        corpus.loudness[rows].masked_fill(is_open[2], math.nan),
    )
    return corpus.latents[rows], wishes


def flow_loss(net: FlowTransformer, clean: Tensor, wishes: Wishes, rng: torch.Generator) -> Tensor:
    """Mean squared error of the velocity; times logit-normal (Esser et al. 2024, section 3.1)."""
    time_ = torch.randn(len(clean), generator=rng).sigmoid()
    noise = torch.randn(clean.shape, generator=rng)
    between = torch.lerp(noise, clean, time_[:, None, None])
    return (net(between, time_, wishes) - (clean - noise)).square().mean()


def initialise(net: FlowTransformer, seed: int) -> None:
    """Matrices by Xavier; every gate, and the velocity, begin at nothing."""
    torch.manual_seed(seed)
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, std=0.5)
    nn.init.normal_(net.conditioning.any_loudness, std=0.5)
    for block in net.blocks:
        nn.init.zeros_(block.modulation.weight)
    nn.init.zeros_(net.velocity.weight)


class Training:
    """What must be kept to go on: weights, their moving average, the optimiser's moments."""

    def __init__(self, net: FlowTransformer, args: argparse.Namespace) -> None:
        self.net, self.args = net, args
        self.parameters = dict(net.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(), lr=args.rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.step, self.seconds = 0, 0.0
        self.path: Path = args.scratch / "state.safetensors"

    def rate(self) -> float:
        """A warm-up of 100 steps, then a cosine to a hundredth."""
        share = self.step / self.args.steps
        fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
        return float(self.args.rate * min(1.0, (self.step + 1) / 100) * fall)

    def update(self, loss: Tensor) -> None:
        """One step of the optimiser and of the average."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimiser.step()
        kept = min(EMA, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - kept)
        self.step += 1

    def save(self) -> None:
        """Write aside, then rename: a stop in between loses nothing."""
        state = {f"average.{name}": t for name, t in self.average.items()}
        for name, parameter in self.parameters.items():
            state[f"weight.{name}"] = parameter.detach()
            for moment in ("exp_avg", "exp_avg_sq"):
                state[f"{moment}.{name}"] = self.optimiser.state[parameter][moment]
        aside = self.path.with_suffix(".part")
        save_file(state, aside, {"step": str(self.step), "seconds": f"{self.seconds:.1f}"})
        aside.replace(self.path)

    def resume(self) -> None:
        """Take up what was saved, if anything was."""
        if not self.path.exists():
            return
        with safe_open(self.path, "pt") as opened:
            told = opened.metadata()
        self.step, self.seconds = int(told["step"]), float(told["seconds"])
        state = load_file(self.path)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(state[f"weight.{name}"])
                self.average[name] = state[f"average.{name}"].clone()
                self.optimiser.state[parameter] = {
                    "step": torch.tensor(float(self.step)),
                    "exp_avg": state[f"exp_avg.{name}"].clone(),
                    "exp_avg_sq": state[f"exp_avg_sq.{name}"].clone(),
                }


def train(training: Training, corpus: Corpus) -> None:
    """Until `args.steps`, from wherever it stands."""
    args, started, before = training.args, time.process_time(), training.seconds
    running, last = 0.0, args.steps
    if args.only is not None:
        last = min(last, training.step + args.only)
    while training.step < last:
        # A generator of its own for every step: a training that goes on draws what it would have.
        rng = torch.Generator().manual_seed(args.seed * 1_000_000 + training.step)
        clean, wishes = draw_batch(corpus, args.batch, rng)
        loss = flow_loss(training.net, clean, wishes, rng)
        training.update(loss)
        running = loss.item() if running == 0 else running + 0.02 * (loss.item() - running)
        training.seconds = before + time.process_time() - started
        if training.step % 100 == 0 or training.step == last:
            log.info("%5d %5.0f s  loss %.4f", training.step, training.seconds, running)
        if training.step % 200 == 0 or training.step == last:
            training.save()


def stored(training: Training, corpus: Corpus) -> dict[str, Tensor]:
    """The averaged weights, matrices in half precision, and the codec's statistics."""
    state = {
        name: t.half() if t.ndim > 1 and t.numel() > 5000 else t
        for name, t in training.average.items()
    }
    return {**state, "mean": corpus.mean, "deviation": corpus.deviation}


def write(training: Training, corpus: Corpus, args: argparse.Namespace) -> None:
    """The bundled files."""
    names = ("steps", "batch", "rate", "seed")
    words = " ".join(f"--{name} {getattr(args, name)}" for name in names)
    told = {
        "recipe": f"python recipes/mini_flow.py {words}",
        "minutes": f"{training.seconds / 60:.1f}",
        "notes": str(len(corpus.latents)),
    }
    weights = args.out / "mini-flow.safetensors"
    save_file(stored(training, corpus), weights, told)
    weights.chmod(0o644)
    settings = {
        "shape": asdict(SHAPE),
        "instruments": list(PROGRAMS),
        "pitches_midi": list(PITCHES),
        "levels_db": list(LEVELS_DB),
    }
    text = json.dumps(settings, indent=2) + "\n"
    (args.out / "mini-flow.json").write_text(text, encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--only", type=int, help="stop after so many; the next call goes on")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--font", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    parser.add_argument("--scratch", type=Path, default=Path("build/flow"))
    return parser.parse_args()


def main() -> None:
    """Render, encode, train, write."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    args.scratch.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    corpus = make_corpus(args)
    log.info("%d notes of %d frames", *corpus.latents.shape[::2])
    net = FlowTransformer(SHAPE)
    initialise(net, args.seed)
    training = Training(net, args)
    training.resume()
    train(training, corpus)
    if training.step >= args.steps:
        write(training, corpus, args)


if __name__ == "__main__":
    main()
