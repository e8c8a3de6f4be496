"""Mel spectra in torch: differentiable, with the place of every frame, in three conventions.

Audio transformers hear spectra that differ in small things (the mel scale, how filters are
normalised, whether frames are centred, what is taken off a frame before its transform), and a
checkpoint knows one of them only. The tests compare each with the library that defines it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.timebase import TimeBase

Scale = Literal["slaney", "htk", "kaldi"]

_SLANEY_HZ, _SLANEY_KNEE_HZ, _SLANEY_LOG = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0


@dataclass(frozen=True)
class MelSettings:
    """What defines a mel spectrum.

    Attributes:
        sample_rate: Of the sound, in Hz.
        n_mels: Number of bands.
        n_window: Length of the Hann window in samples.
        n_fft: Length of the transform in samples; the window is filled up with zeros.
        hop: Samples between frames.
        low_hz: Lower edge of the first band.
        high_hz: Upper edge of the last band.
        scale: Which mel scale. On ``kaldi``'s the triangles are straight over mels and not over
            hertz, frames lie within the sound, the mean of a frame is taken off, it is
            pre-emphasised by 0.97 and the window is symmetric; on the others frames are centred,
            the sound is reflected at its ends and the window is periodic.
        equal_area: Whether each filter has the same area over frequency (Slaney's normalisation)
            and not the same height.
    """

    sample_rate: int
    n_mels: int
    n_window: int
    n_fft: int
    hop: int
    low_hz: float
    high_hz: float
    scale: Scale = "slaney"
    equal_area: bool = True

    @property
    def time(self) -> TimeBase:
        """Where frames lie: a periodic Hann window is zero at its first sample."""
        start = TimeBase(self.sample_rate)
        if self.scale == "kaldi":
            return start.after_conv(self.n_window, self.hop)
        return start.after_conv(self.n_window - 1, self.hop, self.n_window // 2 - 1)

    def n_frames(self, n_samples: int) -> int:
        """Frames of a sound of some length."""
        if self.scale == "kaldi":
            return max(0, 1 + (n_samples - self.n_window) // self.hop)
        return 1 + n_samples // self.hop


class MelPower(nn.Module):
    """The power in mel bands of a waveform: |STFT|² through triangular filters."""

    filters: Tensor
    window: Tensor

    def __init__(self, settings: MelSettings) -> None:
        super().__init__()
        self.settings = settings
        centred = settings.scale != "kaldi"
        window = torch.hann_window(settings.n_window, periodic=centred, dtype=torch.float64)
        self.register_buffer("window", window.float(), persistent=False)
        filters = torch.from_numpy(mel_filters(settings)).float()
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveform: Float[Tensor, "batch time"]) -> Float[Tensor, "batch mel frame"]:
        """Power of each band in each frame."""
        settings = self.settings
        if settings.scale != "kaldi":
            spectrum = torch.stft(
                waveform,
                settings.n_fft,
                settings.hop,
                settings.n_window,
                self.window,
                center=True,
                pad_mode="reflect",
                return_complex=True,
            )
            return self.filters @ _power(spectrum)
        frames = waveform.unfold(1, settings.n_window, settings.hop)
        frames = frames - frames.mean(2, keepdim=True)
        # The sample before a frame's first one is taken to be equal to it.
        before = torch.cat([frames[..., :1], frames[..., :-1]], 2)
        spectrum = torch.fft.rfft((frames - 0.97 * before) * self.window, settings.n_fft)
        return self.filters @ _power(spectrum).transpose(1, 2)


def _power(spectrum: Tensor) -> Tensor:
    """|z|², whose gradient also exists where z is zero."""
    return spectrum.real.square() + spectrum.imag.square()


def mel_filters(settings: MelSettings) -> Float[np.ndarray, "mel bin"]:
    """Triangular filters over the bins of the transform; neighbours meet at half height."""
    bins_hz = np.fft.rfftfreq(settings.n_fft, 1 / settings.sample_rate)
    edges_hz = np.array([settings.low_hz, settings.high_hz])
    low, high = hz_to_mel(edges_hz, settings.scale)
    corners = np.linspace(float(low), float(high), settings.n_mels + 2)
    corners_hz = mel_to_hz(corners, settings.scale)
    places = bins_hz
    if settings.scale == "kaldi":
        places = hz_to_mel(bins_hz, "kaldi")
    else:
        corners = corners_hz
    widths = np.diff(corners)[:, None]
    rising = (places - corners[:-2, None]) / widths[:-1]
    falling = (corners[2:, None] - places) / widths[1:]
    filters = np.clip(np.minimum(rising, falling), 0, None)
    if settings.equal_area:
        filters = filters * (2 / (corners_hz[2:] - corners_hz[:-2]))[:, None]
    return np.asarray(filters)


def hz_to_mel(hz: Float[np.ndarray, "*n"], scale: Scale) -> Float[np.ndarray, "*n"]:
    """Frequency in mels: O'Shaughnessy's formula, or Slaney's, which is linear up to 1 kHz."""
    if scale == "kaldi":
        return np.asarray(1127.0 * np.log1p(hz / 700.0))
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    knee = _SLANEY_KNEE_HZ / _SLANEY_HZ
    above = knee + np.log(np.maximum(hz, 1e-9) / _SLANEY_KNEE_HZ) / _SLANEY_LOG
    return np.asarray(np.where(hz < _SLANEY_KNEE_HZ, hz / _SLANEY_HZ, above))


def mel_to_hz(mel: Float[np.ndarray, "*n"], scale: Scale) -> Float[np.ndarray, "*n"]:
    """The inverse of :func:`hz_to_mel`."""
    if scale == "kaldi":
        return np.asarray(700.0 * np.expm1(mel / 1127.0))
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    knee = _SLANEY_KNEE_HZ / _SLANEY_HZ
    above = _SLANEY_KNEE_HZ * np.exp(_SLANEY_LOG * (mel - knee))
    return np.asarray(np.where(mel < knee, mel * _SLANEY_HZ, above))
