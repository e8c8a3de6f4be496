"""Measure the miniature audio ViT and its supervised twin, and write their model cards.

    python recipes/vit_card.py

Linear probes on what the two networks say of recordings, fitted on recordings of the training
programs and measured on programs that no training met, beside the same architecture with random
weights, the spectrum itself and the largest class; and how well masked patches are filled in.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from audio_vit_sounds import KINDS, SAMPLE_RATE, SECONDS, Sound, families, render, vocabulary
from cards import BUNDLED, bootstrap_mean, stamp, table, versions, write_card
from jaxtyping import Float
from mini_audio_vit import MASKED, N_FRAMES, Decoder, as_corpus, draw_kept, patches_of
from safetensors import safe_open
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from synth import Renderer, held_out_programs, training_programs
from torch import Tensor

from auscult.models.base import MODELS
from auscult.models.mini_audio_vit import MiniAudioVit
from auscult.models.networks.audio_vit import AudioVit

log = logging.getLogger("vit_card")

QUESTIONS = ("kind", "family", "octave", "pitch class")
N_TRAIN, N_TEST = 8, 12
TWINS = {"mini-audio-vit": "masked", "mini-audio-vit-supervised": "supervised"}


def answers(question: str, sounds: list[Sound]) -> list[str]:
    """The truth about each sound; "" where the question does not arise."""
    if question == "kind":
        return [sound.kind for sound in sounds]
    if question == "family":
        return [sound.family for sound in sounds]
    notes = [sound.pitch_midi for sound in sounds]
    told = [n // 12 - 1 if question == "octave" else n % 12 for n in notes]
    return [str(t) if n >= 0 else "" for t, n in zip(told, notes, strict=True)]


@torch.no_grad()
def looked_at(
    networks: dict[str, AudioVit], sounds: list[Sound]
) -> dict[str, Float[np.ndarray, "recording d_in"]]:
    """The mean over time of each network's columns; mean and deviation of the log-mel spectrum."""
    some = next(iter(networks.values()))
    n_samples = some.longest_samples
    vectors: dict[str, list[Tensor]] = {name: [] for name in [*networks, "log-mel"]}
    for start in range(0, len(sounds), 32):
        batch = [sound.samples[:n_samples] for sound in sounds[start : start + 32]]
        wave = torch.from_numpy(np.stack(batch))[:, None]
        for name, vit in networks.items():
            columns = vit.columns(vit.norm(vit.stream(vit.spectrum(wave))))
            vectors[name].append(columns.mean(1))
        log_mel = some.spectrum(wave)[:, 0]
        vectors["log-mel"].append(torch.cat([log_mel.mean(2), log_mel.std(2)], 1))
    return {name: torch.cat(parts).numpy() for name, parts in vectors.items()}


def probed(
    train: Float[np.ndarray, "n d_in"], test: Float[np.ndarray, "m d_in"], truth: list[str]
) -> list[str]:
    """What a linear probe, fitted on one set, says of another."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=400))
    return [str(said) for said in probe.fit(train, truth).predict(test)]


def rows_of_probes(
    networks: dict[str, AudioVit], train: list[Sound], test: list[Sound]
) -> list[list[str]]:
    """Share of right answers to each question, one row a place to look."""
    seen, unseen = looked_at(networks, train), looked_at(networks, test)
    rows = {name: [name] for name in [*seen, "largest class"]}
    for question in QUESTIONS:
        asked, told = answers(question, train), answers(question, test)
        known = [i for i, truth in enumerate(asked) if truth]
        wanted = [i for i, truth in enumerate(told) if truth]
        truth = [told[i] for i in wanted]
        for name, vectors in seen.items():
            said = probed(vectors[known], unseen[name][wanted], [asked[i] for i in known])
            right = np.array([a == b for a, b in zip(said, truth, strict=True)], dtype=float)
            rows[name].append(bootstrap_mean(right).percent())
            log.info("%-12s %-40s %s", question, name, rows[name][-1])
        largest = max(set(asked) - {""}, key=asked.count)
        rows["largest class"].append(
            bootstrap_mean(np.array([t == largest for t in truth], dtype=float)).percent()
        )
    return list(rows.values())


@torch.no_grad()
def rows_of_filling(vit: AudioVit, decoder: Decoder, sounds: list[Sound]) -> list[list[str]]:
    """What is left of the variance of hidden patches, per recording: the decoder and two nulls."""
    corpus = as_corpus(vit, sounds)
    mean, deviation = vit.norm_stats
    spectrum = ((corpus.spectra[..., :N_FRAMES] - mean) / deviation)[:, None]
    kept, hidden = draw_kept(len(sounds), torch.Generator().manual_seed(0))
    patches = patches_of(spectrum)
    filled = decoder(vit.norm(vit.stream(spectrum, kept)), kept)
    bands = patches.unflatten(1, (vit.shape.n_rows, -1))
    seen = (1 - hidden).unflatten(1, (vit.shape.n_rows, -1))[..., None]
    n_seen = seen.sum(2, keepdim=True)
    # A band of which no patch is visible has the mean over all recordings.
    everywhere = bands.mean((0, 2))[None, :, None]
    own = (bands * seen).sum(2, keepdim=True) / n_seen.clamp_min(1)
    own = torch.where(n_seen > 0, own, everywhere).expand_as(bands).flatten(1, 2)
    mean_patch = patches.mean(0, keepdim=True)
    total = _left(patches, mean_patch, hidden).mean()
    said = {
        "filled in by the network": filled,
        "mean of the visible patches of the same band (control)": own,
        "mean patch of that place over all recordings (control)": mean_patch,
    }
    left = {name: _left(patches, values, hidden) / total for name, values in said.items()}
    return [[name, bootstrap_mean(shares).number()] for name, shares in left.items()]


def _left(patches: Tensor, said: Tensor, hidden: Tensor) -> Float[np.ndarray, " recording"]:
    error = (patches - said).square().mean(2)
    return ((error * hidden).sum(1) / hidden.sum(1)).numpy()


def network(training: str, weights: str) -> AudioVit:
    """One of the bundled twins, or its architecture with random weights."""
    family, params = MODELS.parse({"type": "mini-audio-vit", "training": training}, "model")
    model = family.build(params, weights, 0)
    if not isinstance(model, MiniAudioVit):
        raise TypeError(type(model).__name__)
    return model.vit


TASKS = {
    "masked": "has learnt to fill in the hidden three quarters of a log-mel spectrum, and nothing\n"
    "else: it never saw a label",
    "supervised": f"has learnt to name what sounds: {len(vocabulary())} words (families, kinds,\n"
    "programs, strokes, noises), never a pitch",
}


def card(name: str, probes: str, filling: str, n_test: int, weights: Path) -> str:
    """The model card of one of the twins."""
    with safe_open(weights, "pt") as opened:
        made = opened.metadata()
    n_trained, n_held = (
        sum(map(len, programs.values())) for programs in (training_programs(), held_out_programs())
    )
    filled = _filled(filling, n_test) if TWINS[name] == "masked" else ""
    return f"""
# {name}

M2D's architecture at a tenth of its sizes (`AudioVit`: 80 log-mel bands at 16 kHz, patches of 16 by
16, 6 blocks of width 192 with 768 neurons and 6 heads each; clips of up to 1.6 s). This one
{TASKS[TWINS[name]]}.
Its twin, of the same architecture and trained on the same sounds, is the other of `mini-audio-vit`
and `mini-audio-vit-supervised`.

It exists so that self-supervised and supervised neurons can be compared anywhere. It knows rendered
General MIDI sounds and synthetic noises only.

## What a linear probe reads from it

Share of recordings answered rightly by logistic regression on the mean over time of `columns`
(standardised, C = 0.1), fitted on recordings of the {n_trained} training programs (drawn afresh,
{N_TRAIN} notes of each) and measured on the {n_held} programs that no training met; 95 % bootstrap
intervals over recordings. `kind` is one of {", ".join(KINDS)};
`family` one of {", ".join(families())};
octave and pitch class are asked of single notes.

{probes}

"log-mel" is the mean and deviation over time of the spectrum that both hear: what no network has
worked on. Random weights keep the spectrum's scaling and draw all else anew.
{filled}
## How it was made

`{made["recipe"]}`

{made["recordings"]} recordings of {SECONDS} s: notes, chords and phrases of 48 General MIDI
programs rendered with FluidR3, strokes of four percussive programs and nine drums, eight kinds of
synthetic noise, at levels from -34 to -14 dB. Random crops of 1.6 s at random gains; AdamW,
one-cycle rate. {made["minutes"]} minutes of one processor;
{versions("torch", "numpy", "tinysoundfont")}. Figures: `python recipes/vit_card.py`.

## File

`{weights.name}`, {stamp(weights)}. Matrices are stored in half precision and load into float32;
all figures are those of the stored values. Licence: Apache-2.0. The sounds it learned from were
rendered with FluidR3 GM (Frank Wen, MIT licence).
"""


def _filled(filling: str, n_test: int) -> str:
    return f"""
## How well it fills in

Mean squared error of hidden patches ({MASKED:.0%} of them), as a share of their variance over
recordings, on {n_test} recordings of held-out programs and of new strokes and noises; 95 %
bootstrap intervals over recordings. The decoder is not bundled.

{filling}
"""


def main() -> None:
    """Render, probe, write both cards."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    renderer = Renderer(SAMPLE_RATE, args.font)
    train = render(renderer, "train", N_TRAIN, args.seed + 1)
    test = render(renderer, "test", N_TEST, args.seed + 1)
    networks = {
        "mini-audio-vit (masked)": network("masked", "trained"),
        "mini-audio-vit-supervised": network("supervised", "trained"),
        "random weights (control)": network("masked", "random"),
    }
    probes = table(["read from", *QUESTIONS], rows_of_probes(networks, train, test))
    decoder = Decoder()
    decoder.load_state_dict(load_file(args.scratch / "decoder.safetensors"))
    filling = table(
        ["hidden patches", "share of variance left"],
        rows_of_filling(networks["mini-audio-vit (masked)"], decoder, test),
    )
    log.info("%s\n%s", probes, filling)
    for name in TWINS:
        weights = BUNDLED / f"{name}.safetensors"
        write_card(BUNDLED / f"{name}.md", card(name, probes, filling, len(test), weights))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--font", type=Path, default=None)
    parser.add_argument("--scratch", type=Path, default=Path("build/vit"), help="of the decoder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
