"""What folds, and what would not: strides behind a blur, transposed convolutions (METHODS B-2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.measures.stages import Stage, encoding
from auscult.models.base import AudioModel, Tap

_STRIDED = (nn.Conv1d, nn.Conv2d, nn.AvgPool1d, nn.MaxPool1d, nn.AvgPool2d, nn.MaxPool2d)


def strides_of(model: AudioModel) -> dict[str, int]:
    """Every module on the way to the latents that drops frames, with its stride.

    Returns:
        Address of what it hears (``path:in``) to stride; where the family declares times around a
        module that holds it, that module's address.
    """
    found: dict[str, int] = {}
    for firing in encoding(model):
        module: Any = model.module.get_submodule(firing.path)
        if isinstance(module, _STRIDED) and firing.n_calls == 1:
            stride: Any = module.stride
            largest = max(stride) if isinstance(stride, tuple) else int(stride)
            if largest > 1:
                found[f"{_declared(model, firing.path)}:in"] = largest
    return found


def _declared(model: AudioModel, path: str) -> str:
    """The module itself, or the nearest one around it whose time base the family declares."""
    around = path
    while around:
        if model.time_base(Tap(around), "in") is not None:
            return around
        around = around.rpartition(".")[0]
    return path


@dataclass(frozen=True)
class Images:
    """What a decoder makes of one line in its latents.

    Shares of the energy of the decoded sound that moves, 0 to 1.

    Attributes:
        line_hz: The line in the latents.
        at_line: At the line itself.
        at_images: At k F ± line: what each transposed convolution repeats.
        at_multiples: At k F: periods of the strides that constant latents leave ("tonal").
        elsewhere: The rest: what activations add.
    """

    line_hz: float
    at_line: float
    at_images: float
    at_multiples: float
    elsewhere: float

    @property
    def shares(self) -> Mapping[str, float]:
        """By name, in the order of the attributes."""
        return {
            "at the line": self.at_line,
            "at its images": self.at_images,
            "at multiples of the frame rate": self.at_multiples,
            "elsewhere": self.elsewhere,
        }


def images_of(
    model: AudioModel,
    latents: Float[Tensor, "1 d_latent frame"],
    time: TimeBase,
    seed: int,
    n_frames: int = 96,
) -> Images:
    """Decode latents that stand still but for one line, and find where its energy goes.

    The line moves along a random direction with the deviation of real latents. The frame rate must
    divide the sample rate's multiples of it evenly enough for the Hann window: bins next to a line
    are counted with it.

    Args:
        model: A codec.
        latents: Of a real sound: their mean stands still, their deviation is the line's.
        time: Time base of the latents.
        seed: Of the direction.
        n_frames: Length of what is decoded; a quarter is left out at each end.

    Raises:
        NothingToMeasureError: The model is no codec.
    """
    rate, hop = float(time.frame_rate), float(time.hop)
    line = rate * np.floor(0.23 * n_frames) / n_frames
    rng = named_rng(seed, "images")
    direction = torch.from_numpy(rng.standard_normal(latents.shape[1])).to(latents)
    direction = direction / direction.norm() * latents.std() * latents.shape[1] ** 0.5
    turning = torch.sin(2 * torch.pi * line / rate * torch.arange(n_frames)).to(latents)
    made = latents.mean(2, keepdim=True) + direction[None, :, None] * turning
    if model.codec is None:
        raise NothingToMeasureError(f"{model.name} decodes nothing")
    with torch.no_grad():
        decoded = model.codec.decode(made)[0].mean(0).double().numpy()
    edge = int(n_frames // 4 * hop)
    return _images(decoded[edge:-edge], line, rate, time.sample_rate)


def _images(sound: Float[np.ndarray, " time"], line: float, rate: float, fs: int) -> Images:
    n = len(sound)
    spectrum = np.fft.rfft((sound - sound.mean()) * np.hanning(n))
    power = np.square(np.abs(spectrum))
    power[:2] = 0.0
    hz = np.fft.rfftfreq(n, 1 / fs)
    width = 2.5 * fs / n
    phase = hz % rate
    at_multiples = np.minimum(phase, rate - phase) <= width
    at_lines = (np.abs(phase - line) <= width) | (np.abs(phase - (rate - line)) <= width)
    own = at_lines & (np.abs(hz - line) <= width)
    total = max(float(power.sum()), 1e-300)

    def share(where: np.ndarray) -> float:
        return float(power[where].sum()) / total

    shares = (share(own), share(at_lines & ~own), share(at_multiples & ~at_lines))
    return Images(line, *shares, 1 - sum(shares))


def alias_gain_db(
    energy: Float[np.ndarray, " tone"], tones_hz: Float[np.ndarray, " tone"], stage: Stage
) -> float:
    """Mean response to tones above the local Nyquist re that to tones below it, in dB.

    −∞ would be a stage that nothing folds into; 0 dB one that hears both alike. NaN where no tone
    lies on one of the sides.
    """
    above = tones_hz > stage.nyquist_hz
    if above.all() or not above.any():
        return float("nan")
    folded, kept = float(np.mean(energy[above])), float(np.mean(energy[~above]))
    return float(10 * np.log10(max(folded, 1e-300) / max(kept, 1e-300)))
