"""How well the miniature codec passes sound on: figures on held-out programs and the model card."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import torch
from cards import bootstrap_mean, stamp, table, versions, write_card
from jaxtyping import Float
from safetensors import safe_open
from synth import Recording, Renderer, at_level, draw_note, held_out_programs, render_corpus
from torch import Tensor
from transformers import EncodecModel

from auscult.core.distances import si_sdr_db

Distances = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

BANDWIDTHS = (0.75, 1.5, 3.0, 6.0)
NOTE_BANDWIDTH = 6.0
NOTE_SECONDS = 1.5
PHRASE_SECONDS = 4.0
PITCHES_PER_PROGRAM = 12
LOWEST_MIDI, HIGHEST_MIDI = 45, 84
STEADY_S = (0.15, 1.0)
TOLERANCE_CENTS = 50.0


@dataclass(frozen=True)
class Figures:
    """What the card says; each array has one value a recording."""

    sdr_db: dict[str, dict[float, Float[np.ndarray, " recording"]]]
    linear: dict[str, dict[float, Float[np.ndarray, " recording"]]]
    logarithmic: dict[str, dict[float, Float[np.ndarray, " recording"]]]
    in_tune: dict[str, Float[np.ndarray, " note"]]
    codes_used: tuple[int, ...]


@torch.no_grad()
def round_trip(
    model: EncodecModel, samples: Float[np.ndarray, "recording time"], bandwidth: float
) -> Float[np.ndarray, "recording time"]:
    """Encode and decode through the model's own inference path."""
    passed = []
    for chunk in np.array_split(samples, max(1, len(samples) // 8)):
        x = torch.from_numpy(chunk[:, None])
        passed.append(model(x, bandwidth=bandwidth).audio_values[:, 0, : x.shape[-1]].numpy())
    return np.concatenate(passed)


def in_tune(
    samples: Float[np.ndarray, "note time"], pitches_midi: Float[np.ndarray, " note"], rate: int
) -> Float[np.ndarray, " note"]:
    """1 for each note whose median pitch in its steady part is within 50 cents of the score."""
    first, last = (int(t * rate) for t in STEADY_S)
    low, high = librosa.midi_to_hz(LOWEST_MIDI - 14), librosa.midi_to_hz(HIGHEST_MIDI + 14)
    found = librosa.yin(
        samples[:, first:last], fmin=low, fmax=high, sr=rate, frame_length=2048, center=False
    )
    error_cents = 100 * (librosa.hz_to_midi(np.median(found, axis=1)) - pitches_midi)
    return (np.abs(error_cents) <= TOLERANCE_CENTS).astype(float)


def held_out_notes(renderer: Renderer, seed: int) -> list[Recording]:
    """Single held notes of the held-out programs at random pitches."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 500]))
    scores = [
        draw_note(rng, family, program, NOTE_SECONDS, int(pitch_midi))
        for family, members in held_out_programs().items()
        for program in members
        for pitch_midi in rng.integers(LOWEST_MIDI, HIGHEST_MIDI + 1, size=PITCHES_PER_PROGRAM)
    ]
    return [at_level(renderer.render(score), -20.0) for score in scores]


@torch.no_grad()
def codes_used(model: EncodecModel, samples: Float[np.ndarray, "r time"]) -> tuple[int, ...]:
    """How many entries of each codebook occur in the sounds."""
    x = torch.from_numpy(samples[:, None])
    codes = model.encode(x, bandwidth=max(BANDWIDTHS)).audio_codes[0]
    return tuple(len(codes[:, i].unique()) for i in range(codes.shape[1]))


def evaluate(
    codecs: dict[str, EncodecModel],
    renderer: Renderer,
    distances: Distances,
    *,
    seed: int,
) -> Figures:
    """Measure `codecs["this codec"]` and its controls on held-out programs."""
    phrases = render_corpus(
        renderer, "programs", n_per_program=4, seconds=PHRASE_SECONDS, seed=seed
    )
    samples = np.stack([r.samples for r in phrases])
    notes = held_out_notes(renderer, seed)
    note_samples = np.stack([r.samples for r in notes])
    pitches_midi = np.array([r.score.notes[0].pitch_midi for r in notes], dtype=float)
    rate = renderer.sample_rate
    figures = Figures(
        {},
        {},
        {},
        {"original": in_tune(note_samples, pitches_midi, rate)},
        codes_used(codecs["this codec"], samples),
    )
    for who, codec in codecs.items():
        for kind in (figures.sdr_db, figures.linear, figures.logarithmic):
            kind[who] = {}
        for bandwidth in BANDWIDTHS:
            passed = round_trip(codec, samples, bandwidth)
            figures.sdr_db[who][bandwidth] = si_sdr_db(
                torch.from_numpy(samples), torch.from_numpy(passed)
            ).numpy()
            linear, logarithmic = distances(torch.from_numpy(samples), torch.from_numpy(passed))
            figures.linear[who][bandwidth] = linear.numpy()
            figures.logarithmic[who][bandwidth] = logarithmic.numpy()
        passed = round_trip(codec, note_samples, NOTE_BANDWIDTH)
        figures.in_tune[who] = in_tune(passed, pitches_midi, rate)
    return figures


def quality_table(figures: Figures) -> str:
    """One line a codec and bit rate."""
    rows = [
        [
            who,
            f"{bandwidth:g} kbit/s",
            str(2**i),
            bootstrap_mean(figures.sdr_db[who][bandwidth]).number(1),
            bootstrap_mean(figures.linear[who][bandwidth]).number(2),
            bootstrap_mean(figures.logarithmic[who][bandwidth]).number(2),
        ]
        for who in figures.sdr_db
        for i, bandwidth in enumerate(BANDWIDTHS)
    ]
    return table(["", "bit rate", "codebooks", "SI-SDR (dB)", "STFT, linear", "STFT, log"], rows)


def pitch_table(figures: Figures) -> str:
    """Share of notes in tune, of all and of those that the labeler gets right on the original."""
    heard = figures.in_tune["original"] == 1
    names = {
        who: "original audio (the labeler's ceiling)"
        if who == "original"
        else f"{who}, {NOTE_BANDWIDTH:g} kbit/s"
        for who in figures.in_tune
    }
    rows = [
        [
            name,
            bootstrap_mean(figures.in_tune[who]).percent(),
            bootstrap_mean(figures.in_tune[who][heard]).percent(),
        ]
        for who, name in names.items()
    ]
    return table(["", "of all notes", "of those right on the original"], rows)


def origin(weights: Path, hours: float) -> str:
    """How the codec was made; the commands and the time come from the file's metadata."""
    with safe_open(weights, "pt") as opened:
        made = opened.metadata()
    return f"""## How it was made

```
{made["recipe"]}
```

{hours:.1f} hours of phrases, held notes, percussive strokes and drum patterns by the 48 training
programs of the toy SampleCNN and four percussive programs, rendered with FluidR3 through
tinysoundfont. Losses: L1 on the waveform relative to the clip, one minus the cosine between the
waveforms, linear and logarithmic multi-resolution STFT distances, and commitment. Residual vector
quantisation with moving-average codebooks (decay 0.99) from k-means, replacement of dead entries,
straight-through gradients, and 1, 2, 4 or 8 codebooks by chance in each step. Adam, first without
the quantiser, at the end with it. {made["minutes"]} minutes by the clock on one thread of a busy
processor; {versions("torch", "transformers", "numpy", "tinysoundfont", "librosa")}.

## File

`{weights.name}`, {stamp(weights)}, loads strictly into a fresh `EncodecModel(config)`; weight
norm is kept as a parametrisation. Codebooks are stored in half precision and load into
float32; the figures above are those of the stored values. Licence: Apache-2.0. The sounds it
learned from were rendered with FluidR3 GM (Frank Wen, MIT licence).
"""


def write_codec_card(weights: Path, figures: Figures, *, hours: float) -> None:
    """Write the card beside the weights."""
    n_phrases = len(figures.sdr_db["this codec"][BANDWIDTHS[0]])
    used = ", ".join(map(str, figures.codes_used))
    write_card(
        weights.with_suffix(".md"),
        f"""
# mini-encodec

EnCodec in small: `transformers.EncodecModel` with the configuration in `mini-encodec.json` (24 kHz,
mono, causal, 8 filters, strides 2, 4, 5, 8, one LSTM layer, 32 latent channels at 75 frames/s,
up to 8 codebooks of 1024). The taps of the 24 kHz EnCodec exist here under the same names.

It exists so that analyses, tests and tutorials have a trained codec at hand. It knows rendered
General MIDI sounds only, was trained without an adversary, and sounds like it.

## How well it passes sound on

{n_phrases} phrases of {PHRASE_SECONDS:.0f} s by programs that it was not trained on: mean and 95 %
bootstrap interval over recordings. SI-SDR: higher is better. STFT distances (windows of 256 to
2048 samples): linear is sum |X - Y| / sum |X|, log is the mean |ln X - ln Y| above a floor 60 dB
below the peak; lower is better, and silence has linear distance 1.

{quality_table(figures)}

Both controls are this architecture with weights that saw no sound, their codebooks filled by
k-means on their own latents (as they come they are all zero). "starting values" is what the
training started from (orthogonal filters, no biases), by another seed: its output does depend on
its input, so it is the control to read the codec against. "library's random weights" is
`EncodecModel(config)`; its biases outweigh sounds of this level, so its output hardly depends on
the input.

Entries of codebook 1 to 8 in use on these phrases: {used} of 1024.

### Pitch

{len(figures.in_tune["original"])} single notes of the held-out programs, MIDI {LOWEST_MIDI} to
{HIGHEST_MIDI}: share whose median pitch (librosa.yin) is within 50 cents of the score.

{pitch_table(figures)}

{origin(weights, hours)}
""",
    )
