"""Train the miniature EnCodec at several sizes on several amounts of sound, and question each.

    python recipes/mini_encodec_scale.py train
    python recipes/mini_encodec_scale.py ask

leaves a folder a network in `build/scale/networks` and a run each in `build/scale/runs`;
`python docs/studies/scale.py build/scale` writes the page. What is there is not made again: both
commands resume, and several may share the work by `--filters`.
"""

import argparse
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cards import bootstrap_mean
from jaxtyping import Float
from mini_encodec import condition, miniature_config, train, training_sounds
from synth import Renderer, render_corpus
from transformers import EncodecModel

from auscult.core.distances import si_sdr_db
from auscult.experiment.run import run

log = logging.getLogger("mini_encodec_scale")

FILTERS, RECORDINGS, STEPS = (3, 6, 12), (8, 32, 128), 500
"""Filters of the first layer, recordings of four seconds, and optimiser steps of every network."""
FIRST, RATE, PHRASES = 150, 2e-3, 1
QUESTIONS: list[dict[str, Any]] = [
    {"type": "selectivity", "n_units": 16, "n_references": 8, "n_heard": 0, "most_stages": 2},
    {"type": "compositionality", "n_draws": 1, "n_mixtures": 6},
]


@dataclass(frozen=True)
class Member:
    """One network of the sweep; of 0 recordings it is as training finds it."""

    n_filters: int
    n_recordings: int
    n_steps: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folders."""
        return f"filters-{self.n_filters}-recordings-{self.n_recordings}-seed-{self.seed}"


def members(args: argparse.Namespace) -> list[Member]:
    """Every size with every amount, and every size untrained; each has a seed of its own."""
    found = []
    for n_filters in args.filters:
        for n_recordings in (0, *args.recordings):
            for draw in range(args.seeds):
                seed = 10_000 * n_filters + 10 * n_recordings + draw
                steps = args.steps if n_recordings else 0
                found.append(Member(n_filters, n_recordings, steps, seed))
    return found


def make(
    member: Member, sounds: Float[np.ndarray, "recording time"], held_out: np.ndarray
) -> tuple[EncodecModel, dict[str, Any]]:
    """Train one network; also its facts. The quantiser stays out: latents are asked about."""
    torch.manual_seed(member.seed)
    model = EncodecModel(miniature_config(member.n_filters))
    heard = sounds[: member.n_recordings] if member.n_recordings else sounds
    settings = argparse.Namespace(
        steps=member.n_steps, horizon=None, first=FIRST, unquantised=member.n_steps, rate=RATE,
        seed=member.seed, start=None,
    )  # fmt: skip
    if member.n_steps:
        seconds = train(model, heard, settings)
    else:
        seconds = 0.0
        condition(model, heard, np.random.default_rng(member.seed))
    told = reconstruction(model.eval(), held_out)
    facts = asdict(member) | {
        "n_parameters": sum(p.numel() for p in model.encoder.parameters()),
        "sound_s": member.n_recordings * sounds.shape[1] / 24_000,
        "seconds": seconds,
        "si_sdr_db": told,
    }
    return model, facts


@torch.no_grad()
def reconstruction(model: EncodecModel, held_out: Float[np.ndarray, "clip time"]) -> list[float]:
    """SI-SDR of every held-out clip after the way through the latents, without the quantiser."""
    told = []
    for x in torch.from_numpy(held_out)[:, None].split(8):
        y = model.decoder(model.encoder(x))[..., : x.shape[-1]]
        told.append(si_sdr_db(x[:, 0], y[:, 0]))
    return [float(v) for v in torch.cat(told)]


def train_all(args: argparse.Namespace) -> None:
    """Every network that is not there yet."""
    renderer = Renderer(24_000, args.font)
    sounds = training_sounds(renderer, n_per_program=PHRASES, seed=0)
    sounds = sounds[np.random.default_rng(0).permutation(len(sounds))]
    if max(args.recordings) > len(sounds):
        raise SystemExit(
            f"{max(args.recordings)} recordings are asked for, there are {len(sounds)}"
        )
    phrases = render_corpus(renderer, "programs", n_per_program=2, seconds=2.0, seed=0)
    held_out = np.stack([r.samples for r in phrases])
    for member in members(args):
        folder = args.out / "networks" / member.name
        if (folder / "facts.json").is_file():
            continue
        model, facts = make(member, sounds, held_out)
        model.save_pretrained(folder)
        (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        reached = bootstrap_mean(np.array(facts["si_sdr_db"])).number(1)
        log.info(
            "%s: %d parameters, %.0f s, SI-SDR %s dB",
            member.name,
            facts["n_parameters"],
            facts["seconds"],
            reached,
        )


def spec(member: Member, networks: Path) -> dict[str, Any]:
    """The same questions for every network."""
    return {
        "name": member.name,
        "seed": 0,
        "model": {"type": "encodec", "checkpoint": str((networks / member.name).resolve())},
        "sounds": {"type": "bundled", "clip_seconds": 2.0},
        "record": {"taps": ["latent"]},
        "analyses": QUESTIONS,
    }


def ask_all(args: argparse.Namespace) -> None:
    """Selectivity and compositionality of every network, beside random weights of its own size."""
    networks = args.out / "networks"
    for member in members(args):
        if (networks / member.name / "facts.json").is_file():
            run(spec(member, networks), args.out / "runs" / member.name)
            log.info("asked %s", member.name)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("train", "ask"))
    parser.add_argument("--filters", type=int, nargs="+", default=FILTERS)
    parser.add_argument("--recordings", type=int, nargs="+", default=RECORDINGS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=1, help="networks of each size and amount")
    parser.add_argument("--font", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path("build/scale"))
    return parser.parse_args()


def main() -> None:
    """Train or ask."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    {"train": train_all, "ask": ask_all}[args.what](args)


if __name__ == "__main__":
    main()
