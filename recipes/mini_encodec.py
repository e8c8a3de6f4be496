"""Train the bundled miniature EnCodec: 24 kHz, mono, causal, up to 6 kbit/s, no adversary.

    python recipes/mini_encodec.py

writes `mini-encodec.safetensors`, `mini-encodec.json` and the model card `mini-encodec.md`.
"""

import argparse
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cards import BUNDLED
from codec_card import evaluate, write_codec_card
from jaxtyping import Float
from rvq_training import fill_codebooks, quantise
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from synth import (
    WOOD_PROGRAMS,
    Renderer,
    at_level,
    draw_drums,
    draw_note,
    draw_onsets,
    render_corpus,
    training_programs,
)
from torch import Tensor
from transformers import EncodecConfig, EncodecModel

from auscult.core.distances import stft_distance

log = logging.getLogger("mini_encodec")

SECONDS = 4.0
BATCHES, BATCH_WEIGHTS = ((5, 30 * 320), (2, 75 * 320)), (0.8, 0.2)
WINDOWS = (256, 512, 1024, 2048)
N_CODEBOOKS, N_CODEBOOKS_WEIGHTS = (1, 2, 4, 8), (0.1, 0.15, 0.25, 0.5)
WEIGHTS = {"angle": 1.0, "waveform": 1.0, "linear": 1.0, "log": 0.2, "commitment": 0.5}
INPUT_GAIN = 5.0


def miniature_config(n_filters: int = 8) -> EncodecConfig:
    """EnCodec 24 kHz with few filters, one LSTM layer and a 32-dimensional latent."""
    return EncodecConfig(
        target_bandwidths=[0.75, 1.5, 3.0, 6.0],
        sampling_rate=24_000,
        audio_channels=1,
        num_filters=n_filters,
        upsampling_ratios=[8, 5, 4, 2],
        hidden_size=32,
        codebook_size=1024,
        num_lstm_layers=1,
        use_causal_conv=True,
    )


# ---------------------------------------------------------------------------------------- sounds


def training_sounds(
    renderer: Renderer, *, n_per_program: int, seed: int
) -> Float[np.ndarray, "recording time"]:
    """Phrases and held notes of the training programs, percussive strokes and drum patterns."""
    recordings = render_corpus(
        renderer, "train", n_per_program=n_per_program, seconds=SECONDS, seed=seed
    )
    rng = np.random.default_rng(np.random.SeedSequence([seed, 100]))
    scores = [
        draw_note(rng, family, program, SECONDS, int(pitch_midi))
        for family, members in training_programs().items()
        for program in members
        for pitch_midi in rng.integers(40, 92, size=n_per_program // 2)
    ]
    scores += [draw_onsets(rng, name, SECONDS) for name in WOOD_PROGRAMS for _ in range(10)]
    scores += [draw_drums(rng, SECONDS) for _ in range(40)]
    recordings += [
        at_level(renderer.render(score), float(rng.uniform(-28.0, -14.0))) for score in scores
    ]
    return np.stack([r.samples for r in recordings])


def draw_crops(
    sounds: Float[np.ndarray, "recording time"], n: int, n_samples: int, rng: np.random.Generator
) -> Float[Tensor, "batch 1 time"]:
    """Random crops, each at a random gain within 6 dB and a random sign; silent ones redrawn."""
    crops: list[np.ndarray] = []
    while len(crops) < n:
        start = int(rng.integers(sounds.shape[1] - n_samples))
        crop = sounds[rng.integers(len(sounds)), start : start + n_samples]
        if np.abs(crop).mean() > 1e-3:
            crops.append(crop * np.float32(rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)))
    return torch.from_numpy(np.stack(crops)[:, None])


# ---------------------------------------------------------------------------------------- losses


def spectral_distances(
    x: Float[Tensor, "batch time"], y: Float[Tensor, "batch time"]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Linear and logarithmic magnitude distance per clip, mean over `WINDOWS`."""
    distance = stft_distance(x, y, WINDOWS, order=1)
    return distance.convergence, distance.log_magnitude


def losses(x: Float[Tensor, "batch 1 time"], y: Float[Tensor, "batch 1 time"]) -> dict[str, Tensor]:
    """Distances between a sound and its reconstruction, mean over the batch.

    Waveform: L1 relative to the clip. Angle: one minus the cosine between the two waveforms. L1
    alone is least at silence until the network has found the phase, and stays there; the angle
    knows no amplitude and leads out.
    """
    waveform = (x - y).abs().sum(dim=(1, 2)) / x.abs().sum(dim=(1, 2))
    angle = 1 - torch.nn.functional.cosine_similarity(x[:, 0], y[:, 0], dim=1)
    linear, logarithmic = spectral_distances(x[:, 0], y[:, 0])
    return {
        "angle": angle.mean(),
        "waveform": waveform.mean(),
        "linear": linear.mean(),
        "log": logarithmic.mean(),
    }


def first_losses(
    x: Float[Tensor, "batch 1 time"], y: Float[Tensor, "batch 1 time"]
) -> dict[str, Tensor]:
    """What the first steps train on: the angle, and a little on the level."""
    angle = 1 - torch.nn.functional.cosine_similarity(x[:, 0], y[:, 0], dim=1)
    powers = y.square().mean(dim=(1, 2)) / x.square().mean(dim=(1, 2))
    return {"angle": angle.mean(), "level": 0.05 * powers.log().abs().mean()}


# -------------------------------------------------------------------------------------- training


@torch.no_grad()
def condition(model: EncodecModel, sounds: np.ndarray, rng: np.random.Generator) -> None:
    """Set initial values from which a small codec finds the phase of its input within minutes.

    Orthogonal filters, identity shortcuts, weak residual branches, no biases; input and output
    scaled to the sounds.
    """
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            continue
        weight = torch.empty_like(module.weight)
        if "shortcut" in name:
            torch.nn.init.dirac_(weight)
        else:
            torch.nn.init.orthogonal_(weight)
        if isinstance(module, torch.nn.ConvTranspose1d):
            weight *= 0.7 * module.stride[0] ** 0.5
        if "block.3" in name:
            weight *= 0.3
        module.weight = weight
        module.bias.zero_()
    first, last = model.encoder.layers[0].conv, model.decoder.layers[-1].conv
    first.weight = first.weight * INPUT_GAIN
    x = draw_crops(sounds, 16, BATCHES[0][1], rng)
    last.weight = last.weight * (x.std() / model.decoder(model.encoder(x)).std())


def latents_of(
    model: EncodecModel, sounds: np.ndarray, rng: np.random.Generator, n_batches: int = 160
) -> list[Tensor]:
    """Latents of random crops, as material for k-means.

    Some 38,000 frames, 38 for each codeword: centres of a few frames each would fit them and not
    the sounds, and the levels behind the first would then add noise.
    """
    with torch.no_grad():
        return [model.encoder(draw_crops(sounds, 8, BATCHES[0][1], rng)) for _ in range(n_batches)]


def train(
    model: EncodecModel,
    sounds: np.ndarray,
    args: argparse.Namespace,
    keep: Callable[[float], object] | None = None,
) -> float:
    """Train in place; returns the seconds it took; `keep` is told them every 200 steps.

    Adam with a warm-up of a hundred steps and a cosine to a hundredth of the rate. The first
    `args.first` steps train on `first_losses`; up to `args.unquantised` the autoencoder trains
    alone; then k-means fills the codebooks, and a random number of them is used in each step.
    """
    rng = np.random.default_rng(
        np.random.SeedSequence([args.seed, 200 if args.start is None else 201])
    )
    torch_rng = torch.Generator().manual_seed(args.seed)
    if args.start is None:
        condition(model, sounds, rng)
    else:
        model.load_state_dict(load_file(args.start))
    optimiser = torch.optim.Adam(model.parameters(), lr=args.rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: (
            min(1.0, (step + 1) / 100)
            * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / (args.horizon or args.steps))))
        ),
    )
    started = time.monotonic()
    for step in range(args.steps):
        if step == args.unquantised:
            fill_codebooks(model, latents_of(model, sounds, rng), torch_rng)
        n, n_samples = BATCHES[int(rng.choice(len(BATCHES), p=BATCH_WEIGHTS))]
        x = draw_crops(sounds, n, n_samples, rng)
        latents, parts, n_codebooks = model.encoder(x), {}, 0
        if step >= args.unquantised:
            n_codebooks = int(rng.choice(N_CODEBOOKS, p=N_CODEBOOKS_WEIGHTS))
            latents, parts["commitment"] = quantise(model, latents, n_codebooks, torch_rng)
        measure = first_losses if step < args.first else losses
        parts |= measure(x, model.decoder(latents))
        total = sum((WEIGHTS.get(k, 1.0) * v for k, v in parts.items()), torch.zeros(()))
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == args.steps - 1:
            shown = " ".join(f"{name} {value.item():.3f}" for name, value in parts.items())
            log.info(
                "%5d %5.0f s %d codebooks %s", step, time.monotonic() - started, n_codebooks, shown
            )
        if keep is not None and step % 200 == 199:
            keep(time.monotonic() - started)
    return time.monotonic() - started


def stored(model: EncodecModel) -> dict[str, Tensor]:
    """The state as it is written: codebooks in half precision, everything else in single.

    `load_state_dict` widens them to float32 again. The rounded values are the model: all figures
    are measured after rounding.
    """
    state = {name: t.detach().contiguous().clone() for name, t in model.state_dict().items()}
    half = (".embed", ".embed_avg")
    return {name: t.half() if name.endswith(half) else t for name, t in state.items()}


def fill_controls(
    library: EncodecModel, sounds: Float[np.ndarray, "recording time"], seed: int
) -> dict[str, EncodecModel]:
    """The controls with filled quantisers: what training starts from, and what the library does."""
    torch.manual_seed(seed + 1)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 202]))
    controls = {
        "starting values (control)": EncodecModel(miniature_config()).eval(),
        "library's random weights (control)": library.eval(),
    }
    condition(controls["starting values (control)"], sounds, rng)
    for control in controls.values():
        latents = latents_of(control, sounds, rng)
        fill_codebooks(control, latents, torch.Generator().manual_seed(seed))
    return controls


def save(model: EncodecModel, args: argparse.Namespace, seconds: float) -> None:
    """Write the weights, with the command and the time as metadata, and the configuration."""
    weights = args.out / "mini-encodec.safetensors"
    recipe, minutes = command(args), seconds / 60
    if args.start is not None:
        with safe_open(args.start, "pt") as opened:
            before = opened.metadata()
        recipe, minutes = f"{before['recipe']}\n{recipe}", float(before["minutes"]) + minutes
    save_file(stored(model), weights, {"recipe": recipe, "minutes": f"{minutes:.1f}"})
    weights.chmod(0o644)
    own = {"model_type", *EncodecConfig.__annotations__}
    config = {name: value for name, value in model.config.to_dict().items() if name in own}
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (args.out / "mini-encodec.json").write_text(text, encoding="utf-8")


def command(args: argparse.Namespace) -> str:
    """The command line that repeats this run."""
    names = ("steps", "horizon", "first", "unquantised", "rate", "phrases", "seed")
    given = {name: getattr(args, name) for name in names}
    words = [f"--{name} {value:g}" for name, value in given.items() if value is not None]
    words += [] if args.start is None else [f"--start {args.start.as_posix()}"]
    words += [] if args.out == BUNDLED else [f"--out {args.out.as_posix()}"]
    return " ".join(["python recipes/mini_encodec.py", *words])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5500)
    parser.add_argument("--horizon", type=int, help="steps over which the rate falls; all of them")
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--first", type=int, default=400, help="steps on angle and level alone")
    parser.add_argument("--unquantised", type=int, default=1000, help="steps before quantisation")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--phrases", type=int, default=16, help="phrases per training program")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--font", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    parser.add_argument(
        "--card-only", action="store_true", help="measure the weights that are there"
    )
    parser.add_argument("--no-card", action="store_true", help="leave the measuring out")
    return parser.parse_args()


def main() -> None:
    """Render, train, evaluate, write."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(24_000, args.font)
    sounds = training_sounds(renderer, n_per_program=args.phrases, seed=args.seed)
    log.info("%d recordings of %.0f s", len(sounds), SECONDS)
    model = EncodecModel(miniature_config())
    library = EncodecModel(miniature_config())
    if not args.card_only:
        save(model, args, train(model, sounds, args, lambda s: save(model, args, s)))
    weights = args.out / "mini-encodec.safetensors"
    model.load_state_dict(load_file(weights))
    if args.no_card:
        return
    codecs = {"this codec": model.eval(), **fill_controls(library, sounds, args.seed)}
    figures = evaluate(codecs, renderer, spectral_distances, seed=args.seed)
    write_codec_card(weights, figures, hours=len(sounds) * SECONDS / 3600)


if __name__ == "__main__":
    main()
