"""A network whose units are tuned to what is known: the answer that psychophysics must find."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

RATE = 16_000
_FRAME = 800
_NOISE = 0.02  # of a response that runs from 0 to about 1
_ENVELOPE_S = 0.01
_LEVEL_RANGE_DB = 40.0


@dataclass(frozen=True)
class Planted:
    """What each unit answers to, by its number.

    Attributes:
        pitch_hz: Middles of gammatone filters that hear the shape of a spectrum and not its level.
        level_db: Thresholds of units that grow with level above it, in dB re full scale.
        am_hz: Rates of modulation that units are tuned to.
        n_deaf: Units that answer to nothing but the phases of partials: noise.
    """

    pitch_hz: tuple[float, ...] = (230.0, 720.0)
    level_db: tuple[float, ...] = (-32.0,)
    am_hz: tuple[float, ...] = (16.0,)
    n_deaf: int = 4

    @property
    def n_units(self) -> int:
        """All of them, in the order of the fields."""
        return len(self.pitch_hz) + len(self.level_db) + len(self.am_hz) + self.n_deaf


class PlantedTuning(nn.Module):
    """Units with a known best pitch, level threshold and best rate of modulation, and deaf ones.

    Every response has noise of 0.02 that is a function of the sound, so that repeats with other
    phases differ and a unit must stand out of something. A deaf unit is that noise alone.

    Args:
        planted: What is planted; none of it where the network is to be deaf.
        deaf: Whether every unit is: the network without training.
    """

    filters: Tensor
    hashed: Tensor

    def __init__(self, planted: Planted | None = None, deaf: bool = False) -> None:
        super().__init__()
        self.planted = planted or Planted()
        self.deaf = deaf
        self.sample_rate = RATE
        self.units = nn.Identity()
        self.register_buffer("filters", torch.from_numpy(_gammatones(self.planted.pitch_hz)))
        rng = np.random.default_rng(0)
        hashed = rng.uniform(100, 200, (self.planted.n_units, _FRAME)).astype(np.float32)
        self.register_buffer("hashed", torch.from_numpy(hashed))

    def forward(self, waveform: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch unit frame"]:
        """Responses in frames of 50 ms; what is planted is the same in every frame of a clip."""
        sound = waveform[:, 0]
        n = sound.shape[1] // _FRAME
        frames = sound[:, : n * _FRAME].reshape(len(sound), n, _FRAME)
        # The fractional part of a large sum: any change of phase draws it anew, evenly from 0 to 1.
        noise = torch.frac((frames @ self.hashed.T).abs() * 1e3).transpose(1, 2)
        if self.deaf:
            return self._said(_NOISE * noise)
        level = sound.square().mean(1, keepdim=True).sqrt().clamp_min(1e-9)
        known = torch.cat(
            [self._pitches(sound / level), self._levels(level), self._rates(sound)], 1
        )
        return self._said(_padded(known, self.planted.n_units)[..., None] + _NOISE * noise)

    def _said(self, responses: Tensor) -> Tensor:
        said: Tensor = self.units(responses)
        return said

    def _pitches(self, sound: Float[Tensor, "batch time"]) -> Float[Tensor, "batch unit"]:
        """Root mean square behind each filter, of a sound of level 1."""
        heard = nn.functional.conv1d(sound[:, None], self.filters[:, None], padding="same")
        return heard.square().mean(-1).sqrt()

    def _levels(self, level: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch unit"]:
        """0 up to the threshold, then in proportion to the dB above it."""
        thresholds = torch.tensor(self.planted.level_db)
        return (20 * level.log10() - thresholds).clamp_min(0) / _LEVEL_RANGE_DB

    def _rates(self, sound: Float[Tensor, "batch time"]) -> Float[Tensor, "batch unit"]:
        """Depth of modulation at each rate: the envelope's transform over its mean."""
        step = round(_ENVELOPE_S * RATE)
        envelope = nn.functional.avg_pool1d(sound.abs()[:, None], step)[:, 0]
        times = (torch.arange(envelope.shape[1]) + 0.5) * step / RATE
        angles = 2 * torch.pi * torch.tensor(self.planted.am_hz)[:, None] * times
        change = (envelope - envelope.mean(1, keepdim=True)) * torch.hann_window(len(times))
        waves = torch.polar(torch.ones_like(angles), angles)
        depth = (change.to(waves.dtype) @ waves.T).abs() * 4 / len(times)
        return depth / envelope.mean(1, keepdim=True).clamp_min(1e-9)


def _padded(known: Float[Tensor, "batch planted"], n_units: int) -> Float[Tensor, "batch unit"]:
    return nn.functional.pad(known, (0, n_units - known.shape[1]))


def _gammatones(middles_hz: tuple[float, ...]) -> Float[np.ndarray, "unit tap"]:
    """Fourth-order gammatone filters (Patterson et al. 1992), each of gain 1 at its middle."""
    t = np.arange(round(0.05 * RATE) + 1) / RATE
    filters = []
    for middle in middles_hz:
        width = 1.019 * (24.7 + 0.108 * middle)
        filters.append(t**3 * np.exp(-2 * np.pi * width * t) * np.cos(2 * np.pi * middle * t))
        filters[-1] /= abs(np.sum(filters[-1] * np.exp(-2j * np.pi * middle * t)))
    return np.array(filters, dtype=np.float32)


def planted_tuning(random: bool = False) -> PlantedTuning:
    """The factory that a spec names; random weights make every unit deaf."""
    return PlantedTuning(deaf=random).eval()


def deaf_network(random: bool = False) -> PlantedTuning:
    """The null: nothing is planted, with training or without."""
    del random
    return PlantedTuning(deaf=True).eval()
