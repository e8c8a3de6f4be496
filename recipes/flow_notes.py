"""Notes for the miniature generator: six instruments, three octaves, any loudness.

Every note is rendered once and cut at several places before its onset: the same note at another
phase. What a wish leaves open, the phase at which the codec hears the note, the generator must
decide on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from synth import Note, Renderer, Score
from torch import Tensor

from auscult.models.base import AudioModel

SAMPLE_RATE = 24_000
PROGRAMS = {"piano": 0, "vibraphone": 11, "guitar": 24, "trumpet": 56, "clarinet": 71, "flute": 73}
"""Of as many families; none is a program that `synth` holds out."""

PITCHES = tuple(range(48, 84))
LEVELS_DB = (-34.0, -18.0)
HOP, N_FRAMES = 320, 80
N_SAMPLES = HOP * N_FRAMES
ONSET = 3 * HOP
"""Samples before the onset when nothing is cut off; two frames and a little are left at least."""

N_CUTS, CUT_STEP = 8, 37
"""Cuts of one note, and the samples between one and the next: no pitch's period divides them."""

_VELOCITY = 100
_HELD_S = 0.95


@dataclass(frozen=True)
class Notes:
    """Waveforms and what they play.

    Attributes:
        waveforms: At a peak of 1 or below, before any level is set.
        instruments: Index into `PROGRAMS`.
        pitches: Index into `PITCHES`.
    """

    waveforms: Float[Tensor, "note time"]
    instruments: Int[Tensor, " note"]
    pitches: Int[Tensor, " note"]

    def __len__(self) -> int:
        return len(self.waveforms)


def render_notes(renderer: Renderer, cuts: Sequence[int] = range(N_CUTS)) -> Notes:
    """Every instrument at every pitch, cut at each of the places asked for."""
    waveforms, instruments, pitches = [], [], []
    surplus = N_CUTS * CUT_STEP
    for index, (name, program) in enumerate(PROGRAMS.items()):
        for place, pitch in enumerate(PITCHES):
            seconds = (N_SAMPLES + surplus) / SAMPLE_RATE
            note = Note(ONSET / SAMPLE_RATE, _HELD_S, pitch, _VELOCITY)
            samples = renderer.render(Score("note", name, program, seconds, (note,))).samples
            for cut in cuts:
                start = cut * CUT_STEP
                waveforms.append(samples[start : start + N_SAMPLES])
                instruments.append(index)
                pitches.append(place)
    return Notes(
        torch.from_numpy(np.stack(waveforms)), torch.tensor(instruments), torch.tensor(pitches)
    )


def at_levels(
    waveforms: Float[Tensor, "note time"], levels_db: Float[Tensor, " note"]
) -> Float[Tensor, "note time"]:
    """Scale each to an RMS level re full scale, over the whole clip."""
    rms = waveforms.square().mean(1, keepdim=True).sqrt()
    return waveforms * (10 ** (levels_db[:, None] / 20) / rms)


@torch.no_grad()
def latents_of(
    codec: AudioModel, waveforms: Float[Tensor, "note time"]
) -> Float[Tensor, "note d_latent frame"]:
    """Continuous latents, before the quantiser."""
    if codec.codec is None:
        raise ValueError(f"{codec.name} is no codec")
    parts = [codec.codec.encode(part[:, None]) for part in waveforms.split(64)]
    return torch.cat(parts)
