"""A generator whose concepts settle at steps that are planted: what a study of it must find."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.models.base import Tap
from auscult.models.generation import Generator, Prompt, Step, Watch

RATE, HOP, N_FRAMES, N_STEPS = 16_000, 320, 40, 20
WINDOW = 1024
PARTIAL = 11
EDGE_HZ = 1_200
CONCEPTS = ("pitch", "centroid", "loudness")
"""What the channels of a latent frame are, in order."""

_LOW, _HIGH = (55.0, -18.0, -34.0), (75.0, -6.0, -14.0)
"""Range of pitch (MIDI), of the partial against the tone (dB), and of level (dB)."""

Course = Literal["planted", "straight"]


class Notes(nn.Module):
    """A tone with one high partial: latents are its pitch, the partial's level, and the level.

    Each channel runs from -1 to 1 over its range. Decoding synthesises; encoding measures what was
    synthesised, so that latents of decoded latents are those latents, but at the ends of a clip.
    """

    def __init__(self) -> None:
        super().__init__()
        self.measure = Measure()
        self.hear, self.say = nn.Identity(), nn.Identity()

    def encode(self, waveform: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch 3 frame"]:
        """Measure pitch, balance and level around each frame."""
        measured: Tensor = self.measure(waveform)
        return measured

    def decode(self, latents: Float[Tensor, "batch 3 frame"]) -> Float[Tensor, "batch 1 time"]:
        """A tone whose phase runs on from frame to frame, and its partial."""
        fine = nn.functional.interpolate(latents, size=latents.shape[2] * HOP, mode="linear")
        pitch, balance, level = _in_units(fine.clamp(-1.3, 1.3)).unbind(1)
        hz = 440 * 2 ** ((pitch - 69) / 12)
        phase = 2 * math.pi * torch.cumsum(hz / RATE, -1)
        ratio = 10 ** (balance / 20)
        size = 10 ** (level / 20) * (2 / (1 + ratio.square())).sqrt()
        return (size * (phase.sin() + ratio * (PARTIAL * phase).sin()))[:, None]


class Measure(nn.Module):
    """The encoder: the strongest low frequency, and the powers of two bands."""

    def forward(self, waveform: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch 3 frame"]:
        """One vector a hop, from a window of 64 ms around its middle."""
        padded = nn.functional.pad(waveform[:, 0], ((WINDOW - HOP) // 2, (WINDOW - HOP) // 2))
        frames = padded.unfold(1, WINDOW, HOP) * torch.hann_window(WINDOW)
        power = torch.fft.rfft(frames, 4 * WINDOW).abs().square()
        edge = round(EDGE_HZ / RATE * 4 * WINDOW)
        low = power[..., 1:edge].sum(-1) + 1e-9
        high = power[..., edge:].sum(-1) + 1e-9
        # Of a windowed tone the powers sum to n · Σ w² · a² / 4 on this side of the spectrum.
        scale = 4 * WINDOW * torch.hann_window(WINDOW).square().sum() / 2
        place = _peak(power[..., :edge])
        pitch = 69 + 12 * torch.log2(place * RATE / (4 * WINDOW) / 440)
        found = [pitch, 10 * (high / low).log10(), 10 * ((low + high) / scale).log10()]
        return _in_standard(torch.stack(found, 1))


def _peak(power: Float[Tensor, "batch frame bin"]) -> Float[Tensor, "batch frame"]:
    """Place of the highest peak, between bins by a parabola through the logarithms."""
    top = power.argmax(-1).clamp(1, power.shape[-1] - 2)
    near = (power + 1e-12).log()
    left, middle, right = (near.gather(-1, (top + by)[..., None])[..., 0] for by in (-1, 0, 1))
    bend = (left - 2 * middle + right).clamp_max(-1e-6)
    return (top + (0.5 * (left - right) / bend).clamp(-0.5, 0.5)).clamp_min(1.0)


def _in_units(latents: Float[Tensor, "batch 3 frame"]) -> Float[Tensor, "batch 3 frame"]:
    low, high = (torch.tensor(ends)[:, None] for ends in (_LOW, _HIGH))
    return low + (latents + 1) / 2 * (high - low)


def _in_standard(values: Float[Tensor, "batch 3 frame"]) -> Float[Tensor, "batch 3 frame"]:
    low, high = (torch.tensor(ends)[:, None] for ends in (_LOW, _HIGH))
    return 2 * (values - low) / (high - low) - 1


class PlantedGenerator(Notes):
    """Every prompt begins at one note and ends at another.

    On a ``planted`` course each concept jumps there at its step and stays; on a ``straight`` one
    all move alike, as on a line between noise and result, so that nothing settles before anything
    else but by the geometry of what reads them.

    Args:
        planted: Step of each concept in `CONCEPTS`.
        course: Which.
    """

    sample_rate = RATE

    def __init__(
        self, planted: Mapping[str, int] | None = None, course: Course = "planted"
    ) -> None:
        super().__init__()
        self.planted = dict(planted or {"pitch": 6, "centroid": 11, "loudness": 16})
        self.course = course
        self.generator = Generator(
            "flow",
            N_STEPS,
            "latent",
            N_FRAMES,
            self.generate,
            ("conditional", "unconditional"),
            taps=(Tap("hear", "hear", "btc"), Tap("say", "say", "bct")),
            times={"say": TimeBase(RATE).after_conv(HOP, HOP)},
        )

    def forward(self, waveform: Float[Tensor, "batch 1 time"]) -> Tensor:
        """Encode."""
        return self.encode(waveform)

    def generate(
        self, prompts: Sequence[Prompt], watch: Watch | None = None
    ) -> Float[Tensor, "prompt 3 frame"]:
        """Go the course; a changed state shifts all that comes after it."""
        ends = [_ends(one.seed) for one in prompts]
        start, stop = (torch.stack([pair[i] for pair in ends]) for i in (0, 1))
        shift = torch.zeros(len(prompts), len(CONCEPTS), N_FRAMES)
        for step in range(N_STEPS + 1):
            state = (torch.lerp(start, stop, self.share(step)[:, None]) + shift).contiguous()
            new = watch(Step(step, N_STEPS, step / N_STEPS, state)) if watch else None
            if new is not None:
                shift, state = shift + new - state, new
            if step < N_STEPS:
                # Both rows run through the network, whose taps see and may change them.
                rows = torch.cat([state, state.flip(1)])
                heard = self.hear(rows.transpose(1, 2).contiguous()).transpose(1, 2)
                said = self.say(heard)[: len(prompts)]
                shift = shift + said - state
                if watch:
                    watch(Step(step, N_STEPS, step / N_STEPS, state, said))
        return state

    def share(self, step: int) -> Float[Tensor, " 3"]:
        """How far each channel has come."""
        if self.course == "straight":
            return torch.full((len(CONCEPTS),), step / N_STEPS)
        return torch.tensor([float(step >= self.planted[name]) for name in CONCEPTS])


def _ends(seed: int) -> tuple[Float[Tensor, "3 frame"], Float[Tensor, "3 frame"]]:
    """Where a prompt begins and ends: far apart in every channel, wavering a little over time."""
    rng = named_rng(seed, "planted generation")
    first = rng.uniform(-0.9, -0.2, 3) * rng.choice([-1, 1], 3)
    last = -np.sign(first) * rng.uniform(0.2, 0.9, 3)
    waver = 0.03 * rng.standard_normal((2, 3, 1)) * np.sin(np.arange(N_FRAMES) / 5)
    ends = np.stack([first, last])[..., None] + waver
    return torch.from_numpy(ends[0]).float(), torch.from_numpy(ends[1]).float()


def straight() -> PlantedGenerator:
    """The null: nothing settles before anything else."""
    return PlantedGenerator(course="straight")


def note_sounds(n: int, seed: int = 0) -> Float[np.ndarray, "n time"]:
    """Sounds for probes to be trained on: all three channels wander, each on its own."""
    notes, waves = Notes(), []
    for place in range(n):
        rng = named_rng(seed, "note sounds", place)
        turns, phase = rng.uniform(0.3, 1.5, (3, 1)), rng.uniform(0, 1, (3, 1))
        at = turns * np.arange(N_FRAMES) / N_FRAMES + phase
        # A triangle visits all of its range alike.
        wandering = 0.98 * (4 * np.abs(at % 1 - 0.5) - 1)
        waves.append(notes.decode(torch.from_numpy(wandering).float()[None])[0, 0])
    return np.asarray(torch.stack(waves).numpy())
