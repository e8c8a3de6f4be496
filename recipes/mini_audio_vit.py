"""Train the miniature audio ViT by masked modelling, or its supervised twin.

    python recipes/mini_audio_vit.py --training masked
    python recipes/mini_audio_vit.py --training supervised

writes `mini-audio-vit.safetensors` (or `mini-audio-vit-supervised.safetensors`). Both learn from
the same sounds, made by `audio_vit_sounds.py`; `vit_card.py` measures the two side by side.
"""

import argparse
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from audio_vit_sounds import SAMPLE_RATE, SECONDS, Sound, render, tags, vocabulary
from cards import BUNDLED
from jaxtyping import Float
from safetensors.torch import save_file
from synth import Renderer
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.models.mini_audio_vit import SHAPE
from auscult.models.networks.audio_vit import LOG_MEL_16K, AudioVit, Block

log = logging.getLogger("mini_audio_vit")

N_PATCHES = SHAPE.n_rows * SHAPE.n_columns
N_FRAMES = SHAPE.n_frames
MASKED = 0.75
N_NOTES = 40


class Decoder(nn.Module):
    """Fills in the patches that the encoder did not see. It is thrown away after training."""

    def __init__(self, d_model: int = 96, n_blocks: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(SHAPE.d_model, d_model)
        self.gap = nn.Parameter(torch.zeros(1, 1, d_model))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + N_PATCHES, d_model))
        self.blocks = nn.ModuleList(Block(d_model, 4, 4 * d_model) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(d_model)
        self.predict = nn.Linear(d_model, SHAPE.patch[0] * SHAPE.patch[1])

    def forward(self, seen: Float[Tensor, "batch token d_in"], kept: Tensor) -> Tensor:
        """All patches ``[batch patch value]`` from the class token and the patches kept."""
        x = self.embed(seen)
        filled = self.gap.expand(len(x), N_PATCHES, -1)
        filled = filled.scatter(1, kept[..., None].expand(-1, -1, x.shape[2]), x[:, 1:])
        x = torch.cat([x[:, :1], filled], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.predict(self.norm(x[:, 1:]))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Corpus:
    """Spectra of whole recordings and what is true of them."""

    spectra: Float[Tensor, "recording mel frame"]
    tags: Float[Tensor, "recording word"]
    sounds: list[Sound]


@torch.no_grad()
def as_corpus(vit: AudioVit, sounds: list[Sound]) -> Corpus:
    """Log-mel spectra, not yet at the network's mean and deviation."""
    spectra = []
    for start in range(0, len(sounds), 64):
        batch = np.stack([sound.samples for sound in sounds[start : start + 64]])
        power = vit.mel(torch.from_numpy(batch))
        spectra.append((power + torch.finfo(torch.float32).eps).log())
    words = vocabulary()
    true = torch.zeros(len(sounds), len(words))
    for row, sound in enumerate(sounds):
        true[row, [words.index(word) for word in tags(sound)]] = 1
    return Corpus(torch.cat(spectra), true, sounds)


def draw_batch(
    corpus: Corpus, vit: AudioVit, n: int, rng: np.random.Generator
) -> tuple[Float[Tensor, "batch 1 mel frame"], Tensor]:
    """Random crops at a random gain within 9 dB, as the network hears them; and their tags."""
    rows = rng.integers(len(corpus.spectra), size=n)
    starts = rng.integers(corpus.spectra.shape[2] - N_FRAMES + 1, size=n)
    gains = torch.from_numpy(rng.uniform(-9, 9, size=(n, 1, 1)).astype(np.float32))
    crops = [corpus.spectra[r, :, s : s + N_FRAMES] for r, s in zip(rows, starts, strict=True)]
    # A gain shifts a log spectrum, but for what lies at the floor.
    floor = float(np.log(torch.finfo(torch.float32).eps))
    louder = (torch.stack(crops) + gains * np.log(10) / 10).clamp_min(floor)
    mean, deviation = vit.norm_stats
    return ((louder - mean) / deviation)[:, None], corpus.tags[rows]


def patches_of(spectrum: Float[Tensor, "batch 1 mel frame"]) -> Float[Tensor, "batch patch value"]:
    """The values of each patch, in the network's order."""
    return F.unfold(spectrum, SHAPE.patch, stride=SHAPE.patch).transpose(1, 2)


def draw_kept(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of the patches that the encoder sees, and a mask that is 1 where it does not."""
    n_kept = round((1 - MASKED) * N_PATCHES)
    kept = torch.rand(n, N_PATCHES, generator=rng).argsort(1)[:, :n_kept]
    return kept, torch.ones(n, N_PATCHES).scatter(1, kept, 0.0)


def masked_loss(vit: AudioVit, decoder: Decoder, spectrum: Tensor, rng: torch.Generator) -> Tensor:
    """Mean squared error over the patches that were hidden."""
    kept, hidden = draw_kept(len(spectrum), rng)
    filled = decoder(vit.norm(vit.stream(spectrum, kept)), kept)
    error = (filled - patches_of(spectrum)).square().mean(2)
    return (error * hidden).sum() / hidden.sum()


def tagging_loss(vit: AudioVit, spectrum: Tensor, true: Tensor) -> Tensor:
    """Binary cross-entropy summed over the words, some of which are always true together."""
    if vit.head is None:
        raise ValueError("the supervised twin needs a head")
    logits = vit.head(vit.norm(vit.stream(spectrum))[:, 1:].mean(1))
    return F.binary_cross_entropy_with_logits(logits, true, reduction="none").sum(1).mean()


def initialise(vit: AudioVit, seed: int) -> None:
    """Matrices by Xavier, positions and the class token small and normal, as ViTs are."""
    torch.manual_seed(seed)
    for layer in vit.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    weight = vit.patch_embed.proj.weight
    nn.init.xavier_uniform_(weight.view(len(weight), -1))
    for parameter in (vit.pos_embed, vit.cls_token):
        nn.init.normal_(parameter, std=0.02)


def train(
    vit: AudioVit, decoder: Decoder | None, corpus: Corpus, args: argparse.Namespace
) -> float:
    """AdamW under a one-cycle rate; seconds of the processor's time taken."""
    rng = np.random.default_rng(np.random.SeedSequence([args.seed, 800]))
    gaps = torch.Generator().manual_seed(args.seed)
    parameters = [p for p in vit.parameters() if p.requires_grad]
    parameters += [] if decoder is None else list(decoder.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=args.rate, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, args.rate, total_steps=args.steps, pct_start=0.1
    )
    started, running = time.process_time(), 0.0
    for step in range(args.steps):
        spectrum, true = draw_batch(corpus, vit, args.batch, rng)
        if decoder is None:
            loss = tagging_loss(vit, spectrum, true)
        else:
            loss = masked_loss(vit, decoder, spectrum, gaps)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        running = loss.item() if step == 0 else running + 0.03 * (loss.item() - running)
        if step % 50 == 0 or step == args.steps - 1:
            log.info("%5d %5.0f s  loss %.3f", step, time.process_time() - started, running)
    return time.process_time() - started


def stored(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """The state as it is written: matrices in half precision, everything else as it is."""
    state = {
        f"{prefix}{n}": t.detach().contiguous().clone() for n, t in module.state_dict().items()
    }
    return {name: t.half() if t.ndim > 1 and t.numel() > 5000 else t for name, t in state.items()}


def command(args: argparse.Namespace) -> str:
    """The command line that repeats this run."""
    words = [
        f"--{name} {getattr(args, name)}" for name in ("training", "steps", "batch", "rate", "seed")
    ]
    return " ".join(["python recipes/mini_audio_vit.py", *words])


def training_sounds(args: argparse.Namespace) -> list[Sound]:
    """What both twins learn from."""
    return render(Renderer(SAMPLE_RATE, args.font), "train", N_NOTES, args.seed)


def main() -> None:
    """Render, train, round, write."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    words = vocabulary()
    supervised = args.training == "supervised"
    vit = AudioVit(SHAPE, LOG_MEL_16K, len(words) if supervised else 0)
    initialise(vit, args.seed)
    corpus = as_corpus(vit, training_sounds(args))
    vit.norm_stats.data = torch.stack([corpus.spectra.mean(), corpus.spectra.std()])
    log.info(
        "%d recordings of %.1f s, norm %s", len(corpus.sounds), SECONDS, vit.norm_stats.tolist()
    )
    decoder = None if supervised else Decoder()
    minutes = train(vit, decoder, corpus, args) / 60
    made = {
        "recipe": command(args),
        "minutes": f"{minutes:.1f}",
        "recordings": str(len(corpus.sounds)),
    }
    name = "mini-audio-vit-supervised" if supervised else "mini-audio-vit"
    weights = args.out / f"{name}.safetensors"
    save_file(stored(vit), weights, made)
    weights.chmod(0o644)
    if decoder is not None:
        args.scratch.mkdir(parents=True, exist_ok=True)
        save_file(stored(decoder), args.scratch / "decoder.safetensors")
    text = json.dumps(words, indent=0)
    (args.out / "mini-audio-vit-labels.json").write_text(text + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", choices=("masked", "supervised"), required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--font", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    parser.add_argument("--scratch", type=Path, default=Path("build/vit"), help="for the decoder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
